// SPDX-License-Identifier: MIT OR Apache-2.0

//! Links that break again and again: nothing is done twice, nothing is lost, and programs
//! notice nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{anyhow, ensure, Context, Result};

use crate::device::PORT as DAEMON;
use crate::fleet::{Fleet, Plan};
use crate::net::Network;
use crate::random::Random;
use crate::relay::{self, Relay};
use crate::suite::support::{drop_caches, fails, holds, same, same_bytes};
use crate::suite::{tests, Group};
use crate::tree;
use crate::wait::{self, PATIENCE};

/// A laptop that reaches a tablet through a relay only, and is not reached by it.
pub const GROUP: Group = Group {
    name: "broken",
    fleet: Some(prepare),
    seconds: 10,
    tests: tests![
        Fleet: a_storm_of_changes_survives,
        bulk_data_survive,
        a_change_that_was_done_is_not_done_again,
        a_change_is_not_repeated_in_another_life,
    ],
};

fn prepare() -> Result<Fleet> {
    // Nobody listens at the discard port.
    Plan::new(&["laptop", "tablet"])
        .policy("tablet", "laptop", "write", 4)
        .address("laptop", "tablet", format!("127.0.0.1:{}", relay::PORT))
        .address("tablet", "laptop", "127.0.0.1:9".to_owned())
        .build()
}

/// Runs `work` while the relay works, from the moment on in which the devices see each other.
fn relayed(fleet: &mut Fleet, work: impl FnOnce(&mut Fleet, &Relay) -> Result<()>) -> Result<()> {
    let relay = Relay::default();
    let target = format!("{}:{DAEMON}", Network::address(2)).parse()?;
    let entrance = fleet.device("laptop")?.namespace()?.entrance();
    thread::scope(|scope| {
        let running = relay.clone();
        let server = scope.spawn(move || entrance.enter(|| running.run(relay::PORT, target)));
        let result = begin(fleet).and_then(|()| work(fleet, &relay));
        relay.stop();
        let served = server.join().map_err(|_| anyhow!("the relay panicked"))?;
        result?;
        served
    })
}

fn begin(fleet: &mut Fleet) -> Result<()> {
    // So that it dials at once.
    let laptop = fleet.device_mut("laptop")?;
    laptop.stop()?;
    laptop.start()?;
    fleet.wait_online(PATIENCE)?;
    Ok(())
}

/// Breaks the link `times` times; each has lasted long enough to be dialled again at once.
fn break_links(fleet: &Fleet, relay: &Relay, times: usize) -> Result<()> {
    for round in 0..times {
        let links = fleet.device("laptop")?.control().links()?.len();
        thread::sleep(Duration::from_millis(5500));
        if round % 2 == 0 {
            relay.break_after_losing_answers();
        } else {
            relay.break_all();
        }
        let control = fleet.device("laptop")?.control();
        wait::until("another link", PATIENCE, || {
            Ok(control.links()?.len() > links || control.is_online("tablet")?)
        })?;
    }
    Ok(())
}

/// All that one program changes, over and over, and that would fail or show if anything of it were
/// done twice, or not at all.
fn change(folder: &Path, stop: &AtomicBool) -> Result<u32> {
    let mut rounds = 0u32;
    let log = folder.join("log");
    while !stop.load(Ordering::Relaxed) {
        let made = folder.join(format!("made {rounds}"));
        fs::create_dir(&made).context("mkdir")?;
        let file = made.join("file");
        let mut open = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&file)
            .context("exclusive create")?;
        write!(open, "{rounds}")?;
        drop(open);
        let renamed = made.join("renamed");
        fs::rename(&file, &renamed).context("rename")?;
        let linked = made.join("linked");
        fs::hard_link(&renamed, &linked).context("link")?;
        fs::remove_file(&renamed).context("unlink")?;
        let text = fs::read_to_string(&linked).context("read")?;
        same("what was written", text, rounds.to_string())?;
        fs::remove_file(&linked).context("unlink of the link")?;
        fs::remove_dir(&made).context("rmdir")?;
        let mut open = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&log)
            .context("append")?;
        writeln!(open, "{rounds}")?;
        open.sync_all().context("fsync")?;
        rounds += 1;
    }
    Ok(rounds)
}

fn a_storm_of_changes_survives(fleet: &mut Fleet) -> Result<()> {
    const PROGRAMS: usize = 3;
    relayed(fleet, |fleet, relay| {
        let home = fleet.device("tablet")?.export();
        let there = fleet.device("laptop")?.view("tablet");
        let stop = AtomicBool::new(false);
        for program in 0..PROGRAMS {
            fs::create_dir(home.join(format!("storm {program}")))?;
        }
        let rounds = thread::scope(|scope| {
            let programs: Vec<_> = (0..PROGRAMS)
                .map(|program| {
                    let folder = there.join(format!("storm {program}"));
                    let stop = &stop;
                    scope.spawn(move || change(&folder, stop))
                })
                .collect();
            let broken = break_links(fleet, relay, 5);
            stop.store(true, Ordering::Relaxed);
            let rounds: Vec<_> = programs
                .into_iter()
                .map(|program| program.join().map_err(|_| anyhow!("a program panicked"))?)
                .collect::<Result<_>>()?;
            broken?;
            Ok::<_, anyhow::Error>(rounds)
        })?;
        for (program, rounds) in rounds.into_iter().enumerate() {
            ensure!(rounds > 0, "program {program} did nothing");
            let folder = home.join(format!("storm {program}"));
            same("what is left", tree::names(&folder)?, vec!["log".into()])?;
            let expected: String = (0..rounds).map(|round| format!("{round}\n")).collect();
            holds(&folder.join("log"), expected.as_bytes())?;
        }
        Ok(())
    })
}

fn bulk_data_survive(fleet: &mut Fleet) -> Result<()> {
    relayed(fleet, |fleet, relay| {
        let home = fleet.device("tablet")?.export();
        let there = fleet.device("laptop")?.view("tablet");
        let content = Random::new(81).bytes(24 << 20);
        fs::write(home.join("bulk"), &content)?;
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let copier = scope.spawn(|| {
                let mut rounds = 0;
                while !stop.load(Ordering::Relaxed) {
                    drop_caches()?;
                    let read = fs::read(there.join("bulk")).context("reading")?;
                    same_bytes("what was read", &read, &content)?;
                    let mut copy = File::create(there.join("copy")).context("creating")?;
                    copy.write_all(&read).context("writing")?;
                    copy.sync_all().context("syncing")?;
                    holds(&home.join("copy"), &content)?;
                    rounds += 1;
                }
                Ok::<_, anyhow::Error>(rounds)
            });
            let broken = break_links(fleet, relay, 3);
            stop.store(true, Ordering::Relaxed);
            let rounds = copier
                .join()
                .map_err(|_| anyhow!("the copier panicked"))??;
            broken?;
            ensure!(rounds > 0, "nothing was copied");
            Ok(())
        })
    })
}

/// The tablet has made the directory and said so, and that got lost.
fn a_change_that_was_done_is_not_done_again(fleet: &mut Fleet) -> Result<()> {
    relayed(fleet, |fleet, relay| {
        let home = fleet.device("tablet")?.export();
        let there = fleet.device("laptop")?.view("tablet");
        fs::metadata(&there)?;
        relay.lose_answers();
        thread::scope(|scope| {
            let maker = scope.spawn(|| fs::create_dir(there.join("once")));
            let made = wait::until("the directory to be made", PATIENCE, || {
                Ok(home.join("once").exists())
            });
            // It is somebody else's by now.
            let moved = fs::rename(home.join("once"), home.join("elsewhere"));
            relay.break_all();
            maker
                .join()
                .map_err(|_| anyhow!("mkdir panicked"))?
                .context("mkdir")?;
            made?;
            moved?;
            Ok::<_, anyhow::Error>(())
        })?;
        ensure!(!home.join("once").exists(), "it was made twice");
        Ok(())
    })
}

/// The tablet has done it, said so in vain, and knows nothing of it any more. What only reads goes
/// on.
fn a_change_is_not_repeated_in_another_life(fleet: &mut Fleet) -> Result<()> {
    relayed(fleet, |fleet, relay| {
        let home = fleet.device("tablet")?.export();
        let there = fleet.device("laptop")?.view("tablet");
        fs::write(home.join("readable"), "what is read")?;
        let open = File::open(there.join("readable"))?;
        drop(open);
        drop_caches()?;
        let mut open = File::open(there.join("readable"))?;
        drop_caches()?;
        relay.lose_answers();
        thread::scope(|scope| {
            let maker = scope.spawn(|| fs::create_dir(there.join("lost")));
            let reader = scope.spawn(|| {
                let mut text = String::new();
                open.read_to_string(&mut text).map(|_| text)
            });
            let made = wait::until("the directory to be made", PATIENCE, || {
                Ok(home.join("lost").exists())
            });
            let tablet = fleet.device_mut("tablet")?;
            let remounted = tablet.umount().and_then(|()| tablet.mount());
            relay.break_all();
            let made_twice = maker.join().map_err(|_| anyhow!("mkdir panicked"))?;
            let read = reader.join().map_err(|_| anyhow!("read panicked"))?;
            made?;
            remounted?;
            fails("mkdir", made_twice, libc::EIO)?;
            same("what was read", read?, "what is read".to_owned())
        })?;
        fleet.wait_online(PATIENCE)?;
        fs::remove_dir(there.join("lost")).context("rmdir")?;
        Ok(())
    })
}
