// SPDX-License-Identifier: MIT OR Apache-2.0

//! A program that waits for a device that gives signs of life and answers nothing can be killed,
//! whatever it does.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use anyhow::{anyhow, ensure, Context, Result};

use crate::fleet::{wait_for_state, Fleet};
use crate::impostor::Impostor;
use crate::liar::{self, Lie};
use crate::net::Network;
use crate::process;
use crate::suite::hostile;
use crate::suite::support::{drop_caches, same};
use crate::suite::{tests, Group};
use crate::wait::{self, PATIENCE};

/// A laptop, and a tablet that falls silent.
pub const GROUP: Group = Group {
    name: "killing",
    fleet: Some(hostile::prepare),
    seconds: 6,
    tests: tests![
        Fleet: who_changes_names,
        who_reads,
        who_writes,
        who_stores,
        who_locks,
    ],
};

/// Starts what is to be killed, up to the point where it waits for a line.
fn start(what: &str, path: &Path) -> Result<Child> {
    let mut child = Command::new("/proc/self/exe")
        .arg("stuck")
        .arg(what)
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start it")?;
    let stdout = child.stdout.as_mut().context("no output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    if line != "ready\n" {
        child.kill()?;
        child.wait()?;
        return Err(anyhow!("it said: {line}"));
    }
    Ok(child)
}

/// Kills programs that do each of `deeds` while the tablet does not answer.
fn kill_while(fleet: &Fleet, deeds: &[&str]) -> Result<()> {
    for what in deeds {
        kill_one(fleet, what).with_context(|| format!("while it does: {what}"))?;
    }
    Ok(())
}

fn kill_one(fleet: &Fleet, what: &str) -> Result<()> {
    let (laptop, tablet) = (fleet.device("laptop")?, fleet.device("tablet")?);
    drop_caches()?;
    let mut impostor = Impostor::greeted(tablet, laptop, &Network::address(1))?;
    let hold = impostor.try_clone()?;
    let (is_silent, unanswered) = (AtomicBool::new(false), AtomicU32::new(0));
    let result = thread::scope(|scope| {
        let (is_silent, unanswered) = (&is_silent, &unanswered);
        let server = scope.spawn(move || {
            liar::serve_some(&mut impostor, Lie::Large, || {
                let silent = is_silent.load(Ordering::SeqCst);
                unanswered.fetch_add(silent.into(), Ordering::SeqCst);
                !silent
            })
        });
        let killed = wait_for_state(laptop, "tablet", true, PATIENCE).and_then(|_| {
            let path = laptop.view("tablet").join(liar::name());
            let mut child = start(what, &path)?;
            let before = laptop.control().counters()?.timeouts;
            is_silent.store(true, Ordering::SeqCst);
            let stuck = (|| {
                writeln!(child.stdin.as_mut().context("no input")?, "go")?;
                if !what.starts_with("die") {
                    wait::until("a request that is not answered", PATIENCE, || {
                        Ok(unanswered.load(Ordering::SeqCst) != 0)
                    })?;
                }
                same("what has become of it", child.try_wait()?, None)
            })();
            child.kill()?;
            let ended = process::wait(&mut child, PATIENCE)?;
            let stacks = ended.is_none().then(|| process::stacks(child.id()));
            let after = laptop.control().counters()?.timeouts;
            stuck?;
            let status = ended
                .with_context(|| format!("it does not die: {}", stacks.unwrap_or_default()))?;
            same("the signal", status.signal(), Some(libc::SIGKILL))?;
            // It did not just wait until the kernel had given up.
            ensure!(
                after == before,
                "{} requests timed out first",
                after - before
            );
            Ok(())
        });
        // What it has left behind ends with the link.
        let _ = hold.say_goodbye();
        let served = server.join();
        killed?;
        served.map_err(|_| anyhow!("the server panicked"))?
    });
    result?;
    wait_for_state(laptop, "tablet", false, PATIENCE)?;
    Ok(())
}

fn who_changes_names(fleet: &mut Fleet) -> Result<()> {
    kill_while(
        fleet,
        &["look_up", "open", "list", "make", "remove", "attributes"],
    )
}

fn who_reads(fleet: &mut Fleet) -> Result<()> {
    kill_while(fleet, &["read", "fault", "random_fault", "direct_read"])
}

fn who_writes(fleet: &mut Fleet) -> Result<()> {
    kill_while(
        fleet,
        &[
            "direct_write",
            "synchronous_write",
            "write_another_part",
            "truncate",
        ],
    )
}

fn who_stores(fleet: &mut Fleet) -> Result<()> {
    kill_while(fleet, &["fsync", "close", "msync", "die", "die_with_much"])
}

fn who_locks(fleet: &mut Fleet) -> Result<()> {
    kill_while(fleet, &["lock", "flock"])
}
