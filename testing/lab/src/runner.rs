// SPDX-License-Identifier: MIT OR Apache-2.0

//! Runs the tests, each group in a process of its own: a test that hangs costs
//! its time limit, and the tests after it still run.

use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
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
const TEST_LIMIT: u64 = 300;

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

/// Prints the names of the tests of `groups` that `filter` selects.
pub fn list(groups: Vec<Group>, filter: &str) {
    for (group, names) in selection(groups, filter) {
        for name in names {
            println!("{}", full_name(group.name, &name));
        }
    }
}

/// Runs the tests of `groups` whose names contain `filter`; whether all passed.
pub fn run(groups: Vec<Group>, filter: &str) -> Result<bool> {
    let limit = std::env::var("HMDFS_TEST_LIMIT")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(TEST_LIMIT);
    let mut report = Report::begin(io::stdout())?;
    for (group, names) in selection(groups, filter) {
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
