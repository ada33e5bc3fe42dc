// SPDX-License-Identifier: MIT OR Apache-2.0

//! The run in the guest: each cell in a process of its own, so that one that hangs or
//! dies costs its own figures only.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{kill_process_group, Pid, Signal};

use crate::cell::gap;
use crate::plan::{self, Cell};
use crate::record::Record;
use crate::selection::{Scale, Selection};

/// Guest seconds without a record from a cell after which it is given up: a walk of a big tree
/// over a slow network takes long, several times.
const SILENCE: Duration = Duration::from_secs(7_200);

/// Runs all selected cells; the records go to standard output, what happens to standard error.
pub fn run(arguments: &[String], selection: &Selection, scale: Scale) -> Result<()> {
    // No periodic writeback: it would fall into some runs and not into others.
    fs::write("/proc/sys/vm/dirty_writeback_centisecs", "0")?;
    // Dropping caches says nothing in the log.
    fs::write("/proc/sys/vm/drop_caches", "4")?;
    let start = Instant::now();
    let cells = plan::cells(selection, scale);
    for (index, cell) in cells.iter().enumerate() {
        eprintln!(
            "[{:5.0} s] {} of {}: {} on {}",
            start.elapsed().as_secs_f64(),
            index + 1,
            cells.len(),
            cell.system,
            cell.network
        );
        let mut missing: BTreeSet<&str> = plan::workloads_of(cell, selection).into_iter().collect();
        let outcome = follow(cell, arguments, &mut missing)?;
        for workload in missing {
            gap(cell, workload, &outcome);
        }
    }
    eprintln!("[{:5.0} s] done", start.elapsed().as_secs_f64());
    Ok(())
}

/// Runs one cell, passes on what it prints, and takes what it reports off `missing`; returns
/// how it ended.
fn follow(cell: &Cell, arguments: &[String], missing: &mut BTreeSet<&str>) -> Result<String> {
    let mut child = Command::new("/proc/self/exe")
        .args(["cell", cell.network, &cell.system])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .context("cannot start the process of a cell")?;
    let (sender, lines) = mpsc::channel();
    let stdout = child.stdout.take().context("no output")?;
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let outcome = loop {
        match lines.recv_timeout(SILENCE) {
            Ok(line) => {
                println!("{line}");
                if let Some(record) = Record::parse(&line)? {
                    missing.remove(record.key().workload.as_str());
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                break format!("no answer for {} s of guest time", SILENCE.as_secs());
            }
            // Its output is closed: it ended.
            Err(RecvTimeoutError::Disconnected) => match child.wait()? {
                status if status.success() => break "nothing was reported".to_owned(),
                status => break format!("the measuring process failed: {status}"),
            },
        }
    };
    // What it left behind, too: servers, helpers of mounts.
    let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
    lab::process::wait(&mut child, Duration::from_secs(10))?;
    Ok(outcome)
}
