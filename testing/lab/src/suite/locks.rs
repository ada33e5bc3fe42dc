// SPDX-License-Identifier: MIT OR Apache-2.0

//! Locks between devices, and with the owner's own programs.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{anyhow, ensure, Context, Result};

use crate::fleet::{Fleet, Plan};
use crate::hmdfsctl::round_trips;
use crate::lock::{self, Class, Conflict, Kind, CLASSES, WHOLE};
use crate::process;
use crate::suite::support::{fails, holds, same, same_bytes};
use crate::suite::{tests, Group};
use crate::wait::{self, PATIENCE};

/// A tablet whose files two others lock.
pub const GROUP: Group = Group {
    name: "locks",
    fleet: Some(prepare),
    seconds: 8,
    tests: tests![
        Fleet: every_kind_keeps_devices_apart,
        readers_share,
        ranges_are_apart,
        who_is_in_the_way_is_told,
        locks_are_handed_over,
        closing_gives_up,
        a_killed_waiter_gets_nothing,
        a_signal_ends_waiting,
        a_killed_holder_gives_up,
        what_a_killed_holder_has_written_is_read_by_the_next,
        deadlocks_are_found,
        three_devices_count_together,
        locks_cost_one_round_trip,
        a_lock_of_a_device_that_left_is_lost,
        a_device_that_left_stops_waiting,
    ],
};

fn prepare() -> Result<Fleet> {
    Plan::new(&["laptop", "tablet", "phone"])
        .policy("tablet", "laptop", "write", 4)
        .policy("tablet", "phone", "write", 4)
        .start()
}

/// A file of the tablet.
struct Subject {
    home: PathBuf,
    laptop: PathBuf,
    phone: PathBuf,
}

fn subject(fleet: &Fleet, name: &str, content: &[u8]) -> Result<Subject> {
    let home = fleet.device("tablet")?.export().join(name);
    fs::write(&home, content)?;
    Ok(Subject {
        home,
        laptop: fleet.device("laptop")?.view("tablet").join(name),
        phone: fleet.device("phone")?.view("tablet").join(name),
    })
}

fn open(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))
}

fn must_wait(what: &str, file: &File, class: Class, kind: Kind) -> Result<()> {
    fails(what, lock::lock(file, class, kind, WHOLE), libc::EAGAIN)
}

/// Waits until somebody waits for a lock, as the kernel sees it.
fn until_waiting(count: usize) -> Result<()> {
    wait::until("a lock to be waited for", PATIENCE, || {
        Ok(lock::waiters()? == count)
    })?;
    Ok(())
}

/// Runs `work` in another thread until it is done, while `meanwhile` runs here.
fn beside<T: Send>(
    work: impl FnOnce() -> Result<T> + Send,
    meanwhile: impl FnOnce() -> Result<()>,
) -> Result<T> {
    thread::scope(|scope| {
        let worker = scope.spawn(work);
        let here = meanwhile();
        let there = worker.join().map_err(|_| anyhow!("a thread panicked"))?;
        here?;
        there
    })
}

fn every_kind_keeps_devices_apart(fleet: &mut Fleet) -> Result<()> {
    let name = "apart";
    let subject = subject(fleet, name, b"x")?;
    let (laptop, tablet) = (fleet.device("laptop")?, fleet.device("tablet")?);
    let places = [
        ("the laptop", subject.laptop),
        ("the laptop", laptop.merged().join(name)),
        ("the phone", subject.phone),
        ("the tablet", subject.home),
        ("the tablet", tablet.local().join(name)),
        ("the tablet", tablet.merged().join(name)),
    ];
    are_apart(&places)
}

/// Every kind of lock on one file that is opened in all of these places: whose programs open them,
/// and what they open.
pub fn are_apart(places: &[(&str, PathBuf)]) -> Result<()> {
    for class in CLASSES {
        for (holder, held) in places {
            for (other, wanted) in places {
                // This is one process, which has locks of that class once on each device.
                if class == Class::Posix && holder == other {
                    continue;
                }
                let case = format!("{class:?}, {} and {}", held.display(), wanted.display());
                let (first, second) = (open(held)?, open(wanted)?);
                (|| {
                    lock::lock(&first, class, Kind::Write, WHOLE)?;
                    must_wait("a second lock", &second, class, Kind::Write)?;
                    must_wait("reading", &second, class, Kind::Read)?;
                    lock::unlock(&first, class)?;
                    lock::lock(&second, class, Kind::Write, WHOLE)?;
                    must_wait("the first again", &first, class, Kind::Write)?;
                    lock::unlock(&second, class)?;
                    Ok::<_, anyhow::Error>(())
                })()
                .context(case)?;
            }
        }
    }
    Ok(())
}

fn readers_share(fleet: &mut Fleet) -> Result<()> {
    let subject = subject(fleet, "shared", b"x")?;
    for class in CLASSES {
        let laptop = open(&subject.laptop)?;
        let phone = open(&subject.phone)?;
        let home = open(&subject.home)?;
        for file in [&laptop, &phone, &home] {
            lock::lock(file, class, Kind::Read, WHOLE)?;
        }
        must_wait("writing among readers", &phone, class, Kind::Write)?;
        lock::unlock(&laptop, class)?;
        lock::unlock(&home, class)?;
        lock::lock(&phone, class, Kind::Write, WHOLE).context("more, when alone")?;
        must_wait("a reader", &home, class, Kind::Read)?;
        lock::lock(&phone, class, Kind::Read, WHOLE).context("less")?;
        lock::lock(&home, class, Kind::Read, WHOLE)?;
    }
    Ok(())
}

/// What databases do: bytes here and there, upgraded, split and joined.
fn ranges_are_apart(fleet: &mut Fleet) -> Result<()> {
    let subject = subject(fleet, "ranges", b"x")?;
    for class in [Class::Posix, Class::Ofd] {
        let laptop = open(&subject.laptop)?;
        let phone = open(&subject.phone)?;
        let home = open(&subject.home)?;
        let try_it = |file: &File, kind: Kind, range| lock::lock(file, class, kind, range);
        try_it(&laptop, Kind::Write, (0, 100))?;
        try_it(&phone, Kind::Write, (100, 100))?;
        fails(
            "the last byte",
            try_it(&phone, Kind::Read, (99, 1)),
            libc::EAGAIN,
        )?;
        // A hole in the middle.
        try_it(&laptop, Kind::Unlock, (40, 20))?;
        try_it(&phone, Kind::Read, (40, 20))?;
        try_it(&home, Kind::Read, (45, 5))?;
        fails(
            "before it",
            try_it(&home, Kind::Read, (39, 2)),
            libc::EAGAIN,
        )?;
        fails(
            "behind it",
            try_it(&home, Kind::Read, (59, 2)),
            libc::EAGAIN,
        )?;
        fails(
            "more of it",
            try_it(&phone, Kind::Write, (40, 20)),
            libc::EAGAIN,
        )?;
        try_it(&home, Kind::Unlock, WHOLE)?;
        try_it(&phone, Kind::Write, (40, 20))?;
        // Less on a part, more on another.
        try_it(&laptop, Kind::Read, (0, 10))?;
        try_it(&home, Kind::Read, (0, 10))?;
        fails("the rest", try_it(&home, Kind::Read, (10, 1)), libc::EAGAIN)?;
        // Far beyond the end of the file, and up to the end of all files.
        try_it(&laptop, Kind::Write, (1 << 40, 0))?;
        fails(
            "far out",
            try_it(&phone, Kind::Read, (1 << 50, 1)),
            libc::EAGAIN,
        )?;
        for file in [&laptop, &phone, &home] {
            lock::unlock(file, class)?;
        }
        for file in [&laptop, &phone, &home] {
            try_it(file, Kind::Write, WHOLE)?;
            lock::unlock(file, class)?;
        }
    }
    Ok(())
}

fn who_is_in_the_way_is_told(fleet: &mut Fleet) -> Result<()> {
    let subject = subject(fleet, "told", b"x")?;
    let (laptop, phone) = (open(&subject.laptop)?, open(&subject.phone)?);
    let home = open(&subject.home)?;
    let pid = std::process::id() as i32;
    lock::lock(&laptop, Class::Posix, Kind::Write, (10, 20))?;
    let expected = Some(Conflict {
        kind: Kind::Write,
        range: (10, 20),
        pid: -pid,
    });
    for file in [&phone, &home] {
        let found = lock::test(file, Class::Posix, Kind::Read, (0, 11))?;
        same("what is in the way", found, expected)?;
        let found = lock::test(file, Class::Posix, Kind::Read, (0, 10))?;
        same("what is in front", found, None)?;
    }
    let own = lock::test(&laptop, Class::Posix, Kind::Write, WHOLE)?;
    same("one's own", own, None)?;
    let other = lock::test(&laptop, Class::Ofd, Kind::Write, WHOLE)?;
    same("of this device", other.map(|found| found.pid), Some(pid))?;
    lock::unlock(&laptop, Class::Posix)?;
    lock::lock(&home, Class::Posix, Kind::Read, (5, 0))?;
    let found = lock::test(&laptop, Class::Posix, Kind::Write, WHOLE)?;
    let expected = Some(Conflict {
        kind: Kind::Read,
        range: (5, 0),
        pid: -pid,
    });
    same("of the owner", found, expected)?;
    same(
        "no reader is in the way",
        lock::test(&laptop, Class::Posix, Kind::Read, WHOLE)?,
        None,
    )?;
    lock::unlock(&home, Class::Posix)?;
    lock::lock(&phone, Class::Ofd, Kind::Write, WHOLE)?;
    let found = lock::test(&laptop, Class::Posix, Kind::Write, WHOLE)?;
    same("an open file", found.map(|found| found.pid), Some(-1))
}

fn locks_are_handed_over(fleet: &mut Fleet) -> Result<()> {
    let subject = subject(fleet, "handed", b"0")?;
    for class in CLASSES {
        let holders = [&subject.laptop, &subject.home, &subject.phone];
        let waiters = [&subject.phone, &subject.laptop, &subject.home];
        for (held, wanted) in holders.into_iter().zip(waiters) {
            let (first, second) = (open(held)?, open(wanted)?);
            lock::lock(&first, class, Kind::Write, WHOLE)?;
            let given_up = AtomicBool::new(false);
            beside(
                || {
                    lock::wait(&second, class, Kind::Write, WHOLE)?;
                    ensure!(given_up.load(Ordering::SeqCst), "both had the lock");
                    let mut content = [0];
                    second.read_exact_at(&mut content, 0)?;
                    same("what was written before", &content, b"1")?;
                    second.write_all_at(b"0", 0)?;
                    lock::unlock(&second, class)?;
                    Ok(())
                },
                || {
                    until_waiting(1)?;
                    first.write_all_at(b"1", 0)?;
                    given_up.store(true, Ordering::SeqCst);
                    lock::unlock(&first, class)?;
                    Ok(())
                },
            )
            .with_context(|| format!("{class:?} from {}", held.display()))?;
            holds(&subject.home, b"0")?;
        }
    }
    same("waiting", lock::waiters()?, 0)
}

fn closing_gives_up(fleet: &mut Fleet) -> Result<()> {
    let subject = subject(fleet, "closed", b"x")?;
    let phone = open(&subject.phone)?;
    for class in CLASSES {
        let laptop = open(&subject.laptop)?;
        let second = open(&subject.laptop)?;
        let copy = laptop.try_clone()?;
        lock::lock(&laptop, class, Kind::Write, WHOLE)?;
        must_wait("before it is closed", &phone, class, Kind::Write)?;
        if class == Class::Posix {
            // Of a process, closing any is enough.
            drop(second);
        } else {
            drop(second);
            drop(laptop);
            must_wait("before all are closed", &phone, class, Kind::Write)?;
            drop(copy);
        }
        lock::lock(&phone, class, Kind::Write, WHOLE).context("after it was closed")?;
        lock::unlock(&phone, class)?;
    }
    Ok(())
}

/// A program that takes the lock by `flock` and keeps it.
fn keeper(path: &Path) -> Result<Child> {
    Command::new("/proc/self/exe")
        .arg("hold")
        .arg(path)
        .stdin(Stdio::null())
        .spawn()
        .context("cannot start a program that takes a lock")
}

fn kill(child: &mut Child) -> Result<()> {
    child.kill()?;
    process::wait(child, PATIENCE)?.context("it did not die")?;
    Ok(())
}

fn a_killed_waiter_gets_nothing(fleet: &mut Fleet) -> Result<()> {
    let subject = subject(fleet, "killed", b"x")?;
    let (home, phone) = (open(&subject.home)?, open(&subject.phone)?);
    lock::lock(&home, Class::Flock, Kind::Write, WHOLE)?;
    let mut waiter = keeper(&subject.laptop)?;
    until_waiting(1)?;
    kill(&mut waiter)?;
    until_waiting(0)?;
    lock::unlock(&home, Class::Flock)?;
    lock::lock(&phone, Class::Flock, Kind::Write, WHOLE).context("after the waiter has died")
}

extern "C" fn ignore(_signal: libc::c_int) {}

fn a_signal_ends_waiting(fleet: &mut Fleet) -> Result<()> {
    // Without SA_RESTART.
    // SAFETY: all of the structure is plain data.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = ignore as extern "C" fn(libc::c_int) as usize;
    // SAFETY: the handler does nothing.
    let set = unsafe { libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()) };
    same("sigaction", set, 0)?;
    let subject = subject(fleet, "signal", b"x")?;
    for class in CLASSES {
        let (home, laptop) = (open(&subject.home)?, open(&subject.laptop)?);
        lock::lock(&home, class, Kind::Write, WHOLE)?;
        let (sender, receiver) = std::sync::mpsc::channel();
        let waited = beside(
            || {
                // SAFETY: it has no arguments.
                sender.send(unsafe { libc::pthread_self() })?;
                Ok(lock::wait(&laptop, class, Kind::Write, WHOLE))
            },
            || {
                let thread = receiver.recv()?;
                until_waiting(1)?;
                // SAFETY: the thread runs until it is joined.
                let sent = unsafe { libc::pthread_kill(thread, libc::SIGUSR1) };
                same("pthread_kill", sent, 0)
            },
        )?;
        fails("waiting", waited, libc::EINTR)?;
        until_waiting(0)?;
        lock::unlock(&home, class)?;
        let phone = open(&subject.phone)?;
        lock::lock(&phone, class, Kind::Write, WHOLE).context("nobody has it")?;
    }
    Ok(())
}

fn a_killed_holder_gives_up(fleet: &mut Fleet) -> Result<()> {
    let subject = subject(fleet, "holder", b"x")?;
    let phone = open(&subject.phone)?;
    let mut holder = keeper(&subject.laptop)?;
    wait::until("the lock to be taken", PATIENCE, || {
        let free = lock::lock(&phone, Class::Flock, Kind::Read, WHOLE).is_ok();
        if free {
            lock::unlock(&phone, Class::Flock)?;
        }
        Ok(!free)
    })?;
    kill(&mut holder)?;
    lock::wait(&phone, Class::Flock, Kind::Write, WHOLE).context("after the holder has died")
}

/// A program that is killed does not wait for what it has written, but nobody gets its lock before
/// that is there.
fn what_a_killed_holder_has_written_is_read_by_the_next(fleet: &mut Fleet) -> Result<()> {
    let subject = subject(fleet, "heir", b"x")?;
    let phone = open(&subject.phone)?;
    let mut holder = Command::new("/proc/self/exe")
        .args(["stuck", "die_locked"])
        .arg(&subject.laptop)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start a program that writes with a lock")?;
    let stdout = holder.stdout.as_mut().context("no output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    same("what it said", line.as_str(), "ready\n")?;
    must_wait("while it lives", &phone, Class::Flock, Kind::Write)?;
    beside(
        || Ok(lock::wait(&phone, Class::Flock, Kind::Write, WHOLE)?),
        || {
            until_waiting(1)?;
            kill(&mut holder)
        },
    )?;
    let content = vec![1; 8 << 20];
    same("size", phone.metadata()?.len(), content.len() as u64)?;
    let mut read = vec![0; content.len()];
    phone.read_exact_at(&mut read, 0)?;
    same_bytes("what it wrote", &read, &content)
}

fn deadlocks_are_found(fleet: &mut Fleet) -> Result<()> {
    let one = subject(fleet, "dead", b"x")?;
    let two = subject(fleet, "lock", b"x")?;
    let (laptop_one, laptop_two) = (open(&one.laptop)?, open(&two.laptop)?);
    let (phone_one, phone_two) = (open(&one.phone)?, open(&two.phone)?);
    lock::lock(&laptop_one, Class::Posix, Kind::Write, WHOLE)?;
    lock::lock(&phone_two, Class::Posix, Kind::Write, WHOLE)?;
    beside(
        || Ok(lock::wait(&laptop_two, Class::Posix, Kind::Write, WHOLE)?),
        || {
            until_waiting(1)?;
            let refused = lock::wait(&phone_one, Class::Posix, Kind::Write, WHOLE);
            lock::unlock(&phone_two, Class::Posix)?;
            fails("waiting in a circle", refused, libc::EDEADLK)
        },
    )
}

fn three_devices_count_together(fleet: &mut Fleet) -> Result<()> {
    const TIMES: u64 = 25;
    for class in CLASSES {
        let subject = subject(fleet, "counter", &0u64.to_le_bytes())?;
        let paths = [&subject.laptop, &subject.phone, &subject.home];
        let count = |path: &Path| {
            let file = open(path)?;
            for _ in 0..TIMES {
                lock::wait(&file, class, Kind::Write, WHOLE)?;
                let mut number = [0; 8];
                file.read_exact_at(&mut number, 0)?;
                let next = u64::from_le_bytes(number) + 1;
                file.write_all_at(&next.to_le_bytes(), 0)?;
                lock::unlock(&file, class)?;
            }
            Ok::<_, anyhow::Error>(())
        };
        thread::scope(|scope| {
            let counters = paths.map(|path| scope.spawn(|| count(path)));
            counters
                .into_iter()
                .try_for_each(|counter| counter.join().map_err(|_| anyhow!("a thread panicked"))?)
        })
        .with_context(|| format!("{class:?}"))?;
        holds(&subject.home, &(3 * TIMES).to_le_bytes())?;
    }
    Ok(())
}

fn locks_cost_one_round_trip(fleet: &mut Fleet) -> Result<()> {
    let subject = subject(fleet, "cost", b"x")?;
    let control = fleet.device("laptop")?.control();
    for class in CLASSES {
        let (first, second) = (open(&subject.laptop)?, open(&subject.laptop)?);
        let cost = round_trips(&control, || {
            Ok(lock::lock(&first, class, Kind::Write, WHOLE)?)
        })?;
        same("taking a lock", cost, 1)?;
        if class != Class::Posix {
            let cost = round_trips(&control, || {
                must_wait("on one device", &second, class, Kind::Read)
            })?;
            same("a conflict on one device", cost, 0)?;
        }
        let cost = round_trips(&control, || Ok(lock::unlock(&first, class)?))?;
        same("giving a lock up", cost, 1)?;
        let cost = round_trips(&control, || Ok(lock::unlock(&first, class)?))?;
        same("giving up nothing", cost, 0)?;
    }
    Ok(())
}

/// The one that left must not believe that it still has the lock, and what it wrote and could not
/// send must not destroy what others wrote.
fn a_lock_of_a_device_that_left_is_lost(fleet: &mut Fleet) -> Result<()> {
    for class in CLASSES {
        let subject = subject(fleet, "lost", b"before")?;
        let (laptop, phone) = (open(&subject.laptop)?, open(&subject.phone)?);
        lock::lock(&laptop, class, Kind::Write, WHOLE)?;
        laptop.write_all_at(b"laptop", 0)?;
        laptop.sync_all()?;
        let result = beside(
            || {
                lock::wait(&phone, class, Kind::Write, WHOLE)?;
                phone.write_all_at(b"phone!", 0)?;
                lock::unlock(&phone, class)?;
                Ok(())
            },
            || {
                until_waiting(1)?;
                laptop.write_all_at(b"unsent", 0)?;
                fleet.cut("laptop")
            },
        );
        fleet.join("laptop")?;
        fleet.wait_online(PATIENCE)?;
        result.with_context(|| format!("{class:?}"))?;
        let mut content = [0; 6];
        fails("reading", laptop.read_exact_at(&mut content, 0), libc::EIO)?;
        fails("writing", laptop.write_all_at(b"more", 0), libc::EIO)?;
        let again = lock::lock(&laptop, class, Kind::Write, WHOLE);
        fails("locking once more", again, libc::EIO)?;
        fails("unlocking", lock::unlock(&laptop, class), libc::EIO)?;
        holds(&subject.home, b"phone!")?;
        lock::lock(&laptop, class, Kind::Write, WHOLE).context("when it knows")?;
        laptop.read_exact_at(&mut content, 0)?;
        same("what others wrote", &content, b"phone!")?;
        laptop.write_all_at(b"laptop", 0)?;
        lock::unlock(&laptop, class)?;
        holds(&subject.home, b"laptop")?;
    }
    Ok(())
}

fn a_device_that_left_stops_waiting(fleet: &mut Fleet) -> Result<()> {
    for class in CLASSES {
        let subject = subject(fleet, "left", b"x")?;
        let (laptop, home) = (open(&subject.laptop)?, open(&subject.home)?);
        lock::lock(&home, class, Kind::Write, WHOLE)?;
        let waited = beside(
            || Ok(lock::wait(&laptop, class, Kind::Write, WHOLE)),
            || {
                until_waiting(1)?;
                fleet.cut("laptop")
            },
        );
        // The owner forgets the waiter, too.
        let gone = until_waiting(0);
        fleet.join("laptop")?;
        fleet.wait_online(PATIENCE)?;
        fails("waiting for one that is away", waited?, libc::ENOTCONN)?;
        gone?;
        lock::unlock(&home, class)?;
        thread::sleep(Duration::from_millis(100));
        let phone = open(&subject.phone)?;
        lock::lock(&phone, class, Kind::Write, WHOLE).context("nobody has it")?;
    }
    Ok(())
}
