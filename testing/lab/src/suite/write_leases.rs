// SPDX-License-Identifier: MIT OR Apache-2.0

//! Write leases: what a program has written and neither synced nor closed is seen by whoever looks.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{anyhow, bail, Context, Result};
use hmdfs_proto::{
    Header, Kind, Name, Opcode, OpenFiles, Operation, Outcome, Recall, ReplyReader, ReplyWriter,
    RequestReader, Status,
};

use crate::fleet::{Fleet, Plan};
use crate::hmdfsctl::round_trips;
use crate::impostor::{Impostor, Message};
use crate::mapping::Mapping;
use crate::net::Network;
use crate::suite::support::{holds, same, truncate};
use crate::suite::{tests, Group};
use crate::tree;

/// A tablet, whose files two others write.
pub const GROUP: Group = Group {
    name: "write_leases",
    fleet: Some(|| plan().start()),
    seconds: 3,
    tests: tests![
        Fleet: what_is_not_closed_is_seen,
        a_growing_file_is_followed,
        what_was_known_before_is_asked_again,
        what_is_written_through_a_mapping_is_seen,
        two_writers_see_each_other,
        two_devices_append_in_turn,
        many_programs_append_at_once,
        what_is_to_be_stored_is_stored_at_once,
        changing_attributes_hides_no_write,
        the_owners_programs_write_too,
        programs_of_the_owner_see_it,
        whoever_lists_knows_what_was_closed,
        what_was_closed_is_read_again_for_nothing,
        a_file_without_a_name_is_seen_when_it_has_one,
    ],
};

/// The phone's kernel does as it likes.
pub const HOSTILE: Group = Group {
    name: "hostile_write_leases",
    fleet: Some(|| {
        let mut fleet = plan().start()?;
        let phone = fleet.device_mut("phone")?;
        phone.stop()?;
        phone.umount()?;
        Ok(fleet)
    }),
    seconds: 5,
    tests: tests![
        Fleet: questions_about_unknown_files_are_put_up_with,
        a_writer_is_asked_until_it_has_closed,
        a_writer_that_never_answers_holds_nobody_up_for_long,
    ],
};

fn plan() -> Plan {
    Plan::new(&["laptop", "tablet", "phone"])
        .policy("tablet", "laptop", "write", 3)
        .policy("tablet", "phone", "write", 4)
}

/// Where the writer and the reader see a file of the tablet.
fn views(fleet: &Fleet, name: &str) -> Result<(PathBuf, PathBuf)> {
    let at = |device| anyhow::Ok(fleet.device(device)?.view("tablet").join(name));
    Ok((at("laptop")?, at("phone")?))
}

fn size(path: &Path) -> Result<u64> {
    Ok(fs::metadata(path)?.len())
}

fn what_is_not_closed_is_seen(fleet: &mut Fleet) -> Result<()> {
    let (there, here) = views(fleet, "new")?;
    let mut file = File::create(&there)?;
    file.write_all(b"one ")?;
    same("size", size(&here)?, 4)?;
    holds(&here, b"one ")?;
    file.write_all(b"two ")?;
    holds(&here, b"one two ")?;
    file.write_all(&[7; 300_000])?;
    same("size", size(&here)?, 300_008)?;
    file.set_len(5)?;
    file.write_all_at(b"5", 5)?;
    holds(&here, b"one t5")?;
    drop(file);
    holds(&here, b"one t5")
}

fn a_growing_file_is_followed(fleet: &mut Fleet) -> Result<()> {
    let (there, here) = views(fleet, "log")?;
    let mut log = File::create(&there)?;
    let reader = File::open(&here)?;
    let mut seen = 0;
    for number in 0..20 {
        let line = format!("line {number}\n");
        log.write_all(line.as_bytes())?;
        let end = reader.metadata()?.len();
        same("size", end, seen + line.len() as u64)?;
        let mut bytes = vec![0; line.len()];
        reader.read_exact_at(&mut bytes, seen)?;
        same("the line", String::from_utf8(bytes)?, line)?;
        seen = end;
    }
    Ok(())
}

/// The reader has a lease, which the writer breaks by opening the file.
fn what_was_known_before_is_asked_again(fleet: &mut Fleet) -> Result<()> {
    fs::write(fleet.device("tablet")?.export().join("known"), "before")?;
    let (there, here) = views(fleet, "known")?;
    let control = fleet.device("phone")?.control();
    holds(&here, b"before")?;
    same(
        "round trips with a lease",
        round_trips(&control, || holds(&here, b"before"))?,
        0,
    )?;
    let file = File::options().write(true).open(&there)?;
    file.write_all_at(b"after!", 0)?;
    holds(&here, b"after!")?;
    file.write_all_at(b"AFTER, and more", 0)?;
    same("size", size(&here)?, 15)?;
    holds(&here, b"AFTER, and more")
}

fn what_is_written_through_a_mapping_is_seen(fleet: &mut Fleet) -> Result<()> {
    let (there, here) = views(fleet, "mapped")?;
    fs::write(&there, [1; 8192])?;
    let file = File::options().read(true).write(true).open(&there)?;
    let mapping = Mapping::of(&file, 8192, true)?;
    drop(file);
    for text in [b"first ", b"second", b"third "] {
        mapping.write(5000, text)?;
        let found = fs::read(&here)?;
        same("what is mapped", &found[5000..5006], &text[..])?;
    }
    // Nobody has the file open any more, and nothing was sent yet.
    mapping.write(100, b"last")?;
    drop(mapping);
    same("the end", &fs::read(&here)?[100..104], b"last")
}

fn two_writers_see_each_other(fleet: &mut Fleet) -> Result<()> {
    let (there, here) = views(fleet, "both")?;
    fs::write(&there, [b'.'; 20_000])?;
    let open = |path| File::options().read(true).write(true).open(path);
    let (left, right) = (open(&there)?, open(&here)?);
    for round in 0..5u8 {
        left.write_all_at(&[b'a' + round; 10], 0)?;
        right.write_all_at(&[b'A' + round; 10], 10_000)?;
        for path in [&there, &here] {
            let found = fs::read(path)?;
            same("the left half", &found[..10], &[b'a' + round; 10])?;
            same(
                "the right half",
                &found[10_000..10_010],
                &[b'A' + round; 10],
            )?;
        }
    }
    Ok(())
}

fn two_devices_append_in_turn(fleet: &mut Fleet) -> Result<()> {
    let (there, here) = views(fleet, "journal")?;
    File::create(&there)?;
    let open = |path| File::options().append(true).open(path);
    let mut writers = [open(&there)?, open(&here)?];
    let mut expected = String::new();
    for number in 0..20 {
        let line = format!("entry {number}\n");
        writers[number % 2].write_all(line.as_bytes())?;
        expected.push_str(&line);
    }
    holds(&there, expected.as_bytes())?;
    holds(&here, expected.as_bytes())
}

/// Two on the laptop, while the phone may write, too: none of what they write is lost.
fn many_programs_append_at_once(fleet: &mut Fleet) -> Result<()> {
    let (there, here) = views(fleet, "events")?;
    File::create(&there)?;
    let other = File::options().append(true).open(&here)?;
    thread::scope(|scope| {
        let programs = ["a", "b"].map(|name| {
            let there = &there;
            scope.spawn(move || -> Result<()> {
                let mut file = File::options().append(true).open(there)?;
                for _ in 0..50 {
                    file.write_all(name.as_bytes())?;
                }
                Ok(())
            })
        });
        programs.into_iter().try_for_each(|program| {
            let ended = program.join();
            ended.map_err(|_| anyhow!("a program panicked"))?
        })
    })?;
    drop(other);
    let found = fs::read(&there)?;
    let count = |name| found.iter().filter(|&&byte| byte == name).count();
    same(
        "what was written",
        (count(b'a'), count(b'b'), found.len()),
        (50, 50, 100),
    )
}

fn what_is_to_be_stored_is_stored_at_once(fleet: &mut Fleet) -> Result<()> {
    let (there, here) = views(fleet, "stored")?;
    File::create(&there)?;
    let _other = File::options().write(true).open(&here)?;
    let control = fleet.device("laptop")?.control();
    for (flags, expected) in [(0, 1), (libc::O_DSYNC, 2)] {
        let file = File::options()
            .write(true)
            .custom_flags(flags)
            .open(&there)?;
        file.write_all_at(b"0", 0)?;
        let cost = round_trips(&control, || Ok(file.write_all_at(b"1", 1)?))?;
        same("round trips of a write", cost, expected)?;
    }
    Ok(())
}

/// What the laptop sends in between is no part of what the phone does.
fn changing_attributes_hides_no_write(fleet: &mut Fleet) -> Result<()> {
    let (there, here) = views(fleet, "attributes")?;
    fs::write(&there, "before")?;
    holds(&here, b"before")?;
    let file = File::options().write(true).open(&there)?;
    file.write_all_at(b"after!", 0)?;
    fs::set_permissions(&here, fs::Permissions::from_mode(0o640))?;
    holds(&here, b"after!")?;
    file.write_all_at(b"longer than that", 0)?;
    truncate(&here, 6)?;
    holds(&here, b"longer")?;
    holds(&there, b"longer")
}

/// Into the same page, between what the laptop writes.
fn the_owners_programs_write_too(fleet: &mut Fleet) -> Result<()> {
    let (there, _) = views(fleet, "three")?;
    fs::write(&there, [b'.'; 3000])?;
    let open = |path| File::options().read(true).write(true).open(path);
    let (home, away) = (
        open(&fleet.device("tablet")?.export().join("three"))?,
        open(&there)?,
    );
    let mut expected = [b'.'; 3000];
    for round in 0..10 {
        let (left, right) = (round * 100, 1500 + round * 100);
        home.write_all_at(b"home", left as u64)?;
        away.write_all_at(b"away", right as u64)?;
        expected[left..left + 4].copy_from_slice(b"home");
        expected[right..right + 4].copy_from_slice(b"away");
    }
    away.sync_all()?;
    holds(&fleet.device("tablet")?.export().join("three"), &expected)?;
    holds(&there, &expected)
}

fn programs_of_the_owner_see_it(fleet: &mut Fleet) -> Result<()> {
    let (there, _) = views(fleet, "owned")?;
    let tablet = fleet.device("tablet")?;
    let mut file = File::create(&there)?;
    let mut expected = Vec::new();
    for path in [
        tablet.export().join("owned"),
        tablet.view("local").join("owned"),
        tablet.merged().join("owned"),
    ] {
        file.write_all(b"more ")?;
        expected.extend(b"more ");
        holds(&path, &expected)?;
    }
    Ok(())
}

/// Whoever has written does not say when it has closed; but a listing finds out for all files at once.
fn whoever_lists_knows_what_was_closed(fleet: &mut Fleet) -> Result<()> {
    let (there, here) = views(fleet, "many")?;
    fs::create_dir(&there)?;
    for number in 0..100 {
        fs::write(there.join(format!("file {number}")), vec![1; number])?;
    }
    let mut open = File::create(there.join("open"))?;
    open.write_all(b"written")?;
    same("names", tree::names(&here)?.len(), 101)?;
    let control = fleet.device("phone")?.control();
    let cost = round_trips(&control, || {
        for number in 0..100 {
            let size = size(&here.join(format!("file {number}")))?;
            same("size", size, number as u64)?;
        }
        Ok(())
    })?;
    same("round trips after the listing", cost, 0)?;
    same("size of the open file", size(&here.join("open"))?, 7)
}

fn what_was_closed_is_read_again_for_nothing(fleet: &mut Fleet) -> Result<()> {
    let (there, here) = views(fleet, "closed")?;
    fs::write(&there, "text")?;
    holds(&here, b"text")?;
    let control = fleet.device("phone")?.control();
    let cost = round_trips(&control, || holds(&here, b"text"))?;
    same("round trips", cost, 0)
}

fn a_file_without_a_name_is_seen_when_it_has_one(fleet: &mut Fleet) -> Result<()> {
    use rustix::fs::{linkat, openat, AtFlags, Mode, OFlags, CWD};
    let (there, here) = views(fleet, "")?;
    let flags = OFlags::TMPFILE | OFlags::RDWR;
    let mut file = File::from(openat(CWD, &there, flags, Mode::from_raw_mode(0o600))?);
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    let target = there.join("named");
    linkat(CWD, path, CWD, &target, AtFlags::SYMLINK_FOLLOW)?;
    file.write_all(b"not closed")?;
    holds(&here.join("named"), b"not closed")
}

/// The phone has opened `name` for writing.
fn writer(fleet: &Fleet, name: &str) -> Result<Impostor> {
    let (phone, tablet) = (fleet.device("phone")?, fleet.device("tablet")?);
    fs::write(tablet.export().join(name), "old")?;
    let mut impostor = Impostor::greeted(phone, tablet, &Network::address(2))?;
    let name = Name::new(name.as_bytes()).map_err(|error| anyhow!("{error:?}"))?;
    let (read, write) = (false, true);
    let status = impostor.compound(&[
        Operation::Root,
        Operation::Walk(name),
        Operation::Open { read, write },
    ])?;
    same("the status", status, 0)?;
    Ok(impostor)
}

/// The next message, which must ask what was written to one file.
fn question(impostor: &mut Impostor) -> Result<Message> {
    let message = impostor.receive_no_ping()?.context("the link has ended")?;
    same("the kind", message.header.kind, Kind::Request)?;
    same("the subject", message.header.opcode, Opcode::Compound)?;
    let malformed = |error: hmdfs_proto::Error| anyhow!("the question: {}", error.as_str());
    let mut operations = RequestReader::new(&message.body).map_err(malformed)?;
    let first = operations
        .next()
        .context("no operation")?
        .map_err(malformed)?;
    let Operation::Writing { flush, files } = first else {
        return Err(anyhow!("not a question: {first:?}"));
    };
    same("files", (flush, files.keys().count()), (true, 1))?;
    Ok(message)
}

/// Answers a question: whether the first file is being written.
fn answer(impostor: &mut Impostor, question: &Message, is_written: bool) -> Result<()> {
    let malformed = |error: hmdfs_proto::Error| anyhow!("{}", error.as_str());
    let mut operations = RequestReader::new(&question.body).map_err(malformed)?;
    let operation = operations
        .next()
        .context("no operation")?
        .map_err(malformed)?;
    let mut written = OpenFiles::default();
    if is_written {
        written.add(0);
    }
    let mut body = [0; 128];
    let mut writer = ReplyWriter::new(&mut body).map_err(malformed)?;
    writer
        .push(&operation, &Outcome::Writing(written))
        .map_err(malformed)?;
    let length = writer.len();
    let mut header = Header::new(Kind::Reply, Opcode::Compound, question.header.id);
    header.body = length as u32;
    impostor.send(&header.encode())?;
    impostor.send(&body[..length])
}

fn questions_about_unknown_files_are_put_up_with(fleet: &mut Fleet) -> Result<()> {
    let (phone, tablet) = (fleet.device("phone")?, fleet.device("tablet")?);
    let mut impostor = Impostor::greeted(phone, tablet, &Network::address(2))?;
    let malformed = |error: hmdfs_proto::Error| anyhow!("{}", error.as_str());
    for count in [0, 1, 500] {
        let keys: Vec<u8> = (0..count).flat_map(u64::to_le_bytes).collect();
        let files = Recall::decode(&keys).map_err(malformed)?;
        let flush = true;
        let operation = Operation::Writing { flush, files };
        let reply = impostor.reply(&[operation])?;
        same("the status", reply.header.status, Status::Ok)?;
        let mut outcomes = ReplyReader::new(&reply.body).map_err(malformed)?;
        match outcomes.next(&operation).map_err(malformed)? {
            Ok(Outcome::Writing(files)) => same("files", files, OpenFiles::default())?,
            other => bail!("not an answer: {other:?}"),
        }
    }
    impostor.hang_up()
}

fn a_writer_is_asked_until_it_has_closed(fleet: &mut Fleet) -> Result<()> {
    let mut impostor = writer(fleet, "asked")?;
    let path = fleet.device("laptop")?.view("tablet").join("asked");
    for is_written in [true, true, false] {
        let answered = AtomicBool::new(false);
        thread::scope(|scope| {
            // After an answer that took too long, nobody is asked for a while.
            let reader = scope.spawn(|| -> Result<()> {
                while !answered.load(Ordering::Relaxed) {
                    same("size", size(&path)?, 3)?;
                }
                Ok(())
            });
            let asked = question(&mut impostor)
                .and_then(|question| answer(&mut impostor, &question, is_written));
            answered.store(true, Ordering::Relaxed);
            reader
                .join()
                .map_err(|_| anyhow!("the reader panicked"))??;
            asked
        })?;
    }
    // It would be asked now, and would not answer.
    holds(&path, b"old")?;
    same("the status", impostor.compound(&[Operation::Root])?, 0)?;
    impostor.hang_up()
}

fn a_writer_that_never_answers_holds_nobody_up_for_long(fleet: &mut Fleet) -> Result<()> {
    let mut impostor = writer(fleet, "silent")?;
    let path = fleet.device("laptop")?.view("tablet").join("silent");
    let ended = impostor.try_clone()?;
    thread::scope(|scope| {
        // It answers PINGs, so its link is well.
        let silent = scope.spawn(move || -> Result<()> {
            while impostor.receive_no_ping()?.is_some() {}
            Ok(())
        });
        for _ in 0..100 {
            holds(&path, b"old")?;
        }
        ended.hang_up()?;
        silent.join().map_err(|_| anyhow!("the phone panicked"))?
    })
}
