// SPDX-License-Identifier: MIT OR Apache-2.0

//! Runs the tests, each group in a process of its own: a test that hangs costs
//! its time limit, and the tests after it still run.

use std::cmp::Reverse;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{kill_process_group, Pid, Signal};

use crate::conformance;
use crate::fleet::{self, Fleet};
use crate::kernel_log::KernelLog;
use crate::module;
use crate::process;
use crate::suite::{self, Body, Group};
use crate::tap::Report;

/// How long one test may take, in seconds; `$HMDFS_TEST_LIMIT` changes it.
const TEST_LIMIT: u64 = 450;

/// The name of the test point that a group's fleet could be taken down.
const CLOSING: &str = "closes_cleanly";

fn full_name(group: &str, test: &str) -> String {
    format!("{group}/{test}")
}

/// The tests of each of `groups` whose full names contain `filter`, or one of its parts between commas.
fn selection(groups: Vec<Group>, filter: &str) -> Vec<(Group, Vec<String>)> {
    groups
        .into_iter()
        .map(|group| {
            let mut names: Vec<String> = group
                .tests
                .iter()
                .map(|test| test.name.to_owned())
                .filter(|test| {
                    let name = full_name(group.name, test);
                    filter.split(',').any(|part| name.contains(part))
                })
                .collect();
            if group.fleet.is_some() && !names.is_empty() {
                names.push(CLOSING.to_owned());
            }
            (group, names)
        })
        .filter(|(_, names)| !names.is_empty())
        .collect()
}

/// Which tests, of those that are selected, are run here: the others are run in other guests meanwhile.
#[derive(Clone, Copy)]
pub struct Part {
    /// From 1 on.
    number: usize,
    of: usize,
}

impl Part {
    /// All of them.
    pub const WHOLE: Self = Self { number: 1, of: 1 };

    /// The groups of the part, in their order. The longest is dealt first, and each goes to where the
    /// least is to be done.
    fn of<T>(self, groups: Vec<T>, seconds: impl Fn(&T) -> u32) -> Vec<T> {
        let mut longest_first: Vec<usize> = (0..groups.len()).collect();
        longest_first.sort_by_key(|&index| Reverse(seconds(&groups[index])));
        let mut loads = vec![0; self.of];
        let mut dealt_to = vec![0; groups.len()];
        for index in longest_first {
            let least = (0..self.of).min_by_key(|&part| loads[part]).unwrap_or(0);
            loads[least] += seconds(&groups[index]);
            dealt_to[index] = least + 1;
        }
        let here = groups.into_iter().zip(dealt_to);
        here.filter(|(_, part)| *part == self.number)
            .map(|(group, _)| group)
            .collect()
    }
}

impl FromStr for Part {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers = text.split_once('/').and_then(|(number, of)| {
            Some(Self {
                number: number.parse().ok()?,
                of: of.parse().ok()?,
            })
        });
        numbers
            .filter(|part| (1..=part.of).contains(&part.number))
            .with_context(|| format!("'{text}' is no part of the tests, as 2/3 is"))
    }
}

/// About how long the tests `names` of a group take on a slow kernel.
fn seconds(group: &Group, names: &[String]) -> u32 {
    // Making a fleet takes as long as a few tests.
    (names.len() as u32 + 4) * group.seconds
}

/// Prints the names of the tests of `groups` that `filter` selects.
pub fn list(groups: Vec<Group>, filter: &str) {
    for (group, names) in selection(groups, filter) {
        for name in names {
            println!("{}", full_name(group.name, &name));
        }
    }
}

/// Runs this `part` of the tests of `groups` whose names contain `filter`; whether all passed.
pub fn run(groups: Vec<Group>, filter: &str, part: Part) -> Result<bool> {
    let limit = std::env::var("HMDFS_TEST_LIMIT")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(TEST_LIMIT);
    let mut report = Report::begin(io::stdout())?;
    let selected = part.of(selection(groups, filter), |(group, names)| {
        seconds(group, names)
    });
    for (group, names) in selected {
        if !run_group(&group, names, Duration::from_secs(limit), &mut report)? {
            break;
        }
    }
    Ok(report.end()?)
}

/// Runs tests of one group, in more than one process when one of them hangs;
/// false when nothing more can be run.
fn run_group(
    group: &Group,
    mut names: Vec<String>,
    limit: Duration,
    report: &mut Report<io::Stdout>,
) -> Result<bool> {
    while !names.is_empty() {
        let mut child = Command::new("/proc/self/exe")
            .args(["group", group.name])
            .args(&names)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .context("cannot start the process of a group of tests")?;
        let lines = lines_of(&mut child);
        let done = follow(group.name, &names, &lines, limit, report)?;
        if done == names.len() {
            process::stop(&mut child, limit)?;
            return Ok(true);
        }
        report.note(&process::stacks(child.id()))?;
        if !end(&mut child)? {
            report.bail_out("a process of the tests cannot be killed")?;
            return Ok(false);
        }
        if let Err(error) = fleet::clean() {
            report.note(&format!("{error:#}"))?;
        }
        names.drain(..=done);
    }
    Ok(true)
}

fn lines_of(child: &mut Child) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
    }
    receiver
}

/// Reports what a group's process says; returns how many tests it finished. All,
/// or the one after them hung or ended the process, which is reported too.
fn follow(
    group: &str,
    names: &[String],
    lines: &Receiver<String>,
    limit: Duration,
    report: &mut Report<io::Stdout>,
) -> Result<usize> {
    for (index, name) in names.iter().enumerate() {
        let full = full_name(group, name);
        let start = Instant::now();
        let mut why = String::new();
        loop {
            let left = limit.saturating_sub(start.elapsed());
            let line = match lines.recv_timeout(left) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => {
                    report.fail(&full, &format!("still running after {} s", limit.as_secs()))?;
                    return Ok(index);
                }
                Err(RecvTimeoutError::Disconnected) => {
                    report.fail(&full, "its process ended unexpectedly")?;
                    return Ok(index);
                }
            };
            match line.split_once(' ') {
                Some(("pass", _)) => report.pass(&full)?,
                Some(("fail", _)) => report.fail(&full, &why)?,
                Some(("why", text)) => {
                    why.push_str(text);
                    why.push('\n');
                    continue;
                }
                _ => {
                    report.note(&line)?;
                    continue;
                }
            }
            report.note(&format!("{:.1} s", start.elapsed().as_secs_f64()))?;
            break;
        }
    }
    Ok(names.len())
}

/// Kills a group's process with all that it started; whether it is gone.
fn end(child: &mut Child) -> Result<bool> {
    // It may have ended by itself meanwhile.
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    Ok(process::wait(child, Duration::from_secs(30))?.is_some())
}

/// The other side: runs the tests `names` of one group and says on standard
/// output what came of each.
pub fn run_here(group: &str, names: &[String]) -> Result<()> {
    let group = suite::groups()
        .into_iter()
        .chain(conformance::groups())
        .find(|known| known.name == group)
        .with_context(|| format!("there is no group of tests called {group}"))?;
    let mut log = KernelLog::from_now();
    let mut stage = None;
    for name in names {
        let mut result = if name == CLOSING {
            stage.take().map_or(Ok(()), Fleet::close)
        } else {
            run_one(&group, name, &mut stage)
        };
        if let Some(complaint) = log.complaint() {
            let before = result
                .err()
                .map_or(String::new(), |error| format!("{error:#}\n"));
            result = Err(anyhow::anyhow!("{before}{complaint}"));
        }
        match result {
            Ok(()) => println!("pass {name}"),
            Err(error) => {
                let logs = stage.as_ref().map(Fleet::logs).unwrap_or_default();
                for line in format!("{error:#}\n{logs}").lines() {
                    println!("why {line}");
                }
                // The next test gets a fleet that this one did not spoil.
                drop(stage.take());
                println!("fail {name}");
            }
        }
    }
    Ok(())
}

fn run_one(group: &Group, name: &str, stage: &mut Option<Fleet>) -> Result<()> {
    let test = group
        .tests
        .iter()
        .find(|test| test.name == name)
        .with_context(|| format!("there is no test called {name}"))?;
    match (test.body, group.fleet) {
        (Body::Alone(body), _) => body(),
        (Body::Fleet(body), Some(build)) => {
            let fleet = match stage {
                Some(fleet) => fleet,
                None => {
                    module::ensure_loaded()?;
                    stage.insert(build()?)
                }
            };
            body(fleet)
        }
        (Body::Fleet(_), None) => anyhow::bail!("the group has no fleet"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_hold_everything_once() {
        let groups: Vec<u32> = (1..50).map(|number| number * 37 % 50).collect();
        for of in 1..6 {
            let parts: Vec<_> = (1..=of)
                .map(|number| Part { number, of }.of(groups.clone(), |&seconds| seconds))
                .collect();
            let mut all: Vec<_> = parts.iter().flatten().copied().collect();
            all.sort_unstable();
            let mut expected = groups.clone();
            expected.sort_unstable();
            assert_eq!(all, expected);
            let sums = parts.iter().map(|part| part.iter().sum::<u32>());
            assert!(sums.clone().max() <= sums.min().map(|least| least + 50));
        }
    }

    #[test]
    fn a_part_is_a_number_of_a_number() {
        assert!("1/1".parse::<Part>().is_ok() && "3/3".parse::<Part>().is_ok());
        for wrong in ["", "1", "0/2", "3/2", "1/0", "a/2", "1/2/3", "-1/2"] {
            assert!(wrong.parse::<Part>().is_err(), "{wrong}");
        }
    }
}
