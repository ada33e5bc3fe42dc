// SPDX-License-Identifier: MIT OR Apache-2.0

//! Small files that are fetched ahead: when they are, what that saves, and when they are not.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail, ensure, Context, Result};
use hmdfs_proto::{Handle, Name, Operation, Outcome, ReplyReader, MAX_DATA};

use crate::fleet::{Fleet, Plan};
use crate::hmdfsctl::{round_trips, Counters};
use crate::impostor::Impostor;
use crate::net::Network;
use crate::random::Random;
use crate::suite::support::{drop_caches, holds, same};
use crate::suite::{tests, Group};
use crate::tree;

/// Counted on the laptop.
pub const GROUP: Group = Group {
    name: "fetching",
    fleet: Some(prepare),
    seconds: 7,
    tests: tests![
        Fleet: files_in_the_order_of_the_listing_cost_few_messages,
        so_do_files_in_the_order_of_their_names,
        so_do_those_in_the_merged_view,
        files_in_no_order_are_not_fetched,
        what_is_not_used_is_not_fetched_again,
        what_is_only_opened_is_not_fetched,
        what_has_changed_since_is_fetched_anew,
        what_was_removed_or_replaced_since_is_not_found,
        what_may_not_be_read_is_not_fetched,
        bigger_files_are_left_out,
    ],
};

/// The phone's kernel does as it likes.
pub const HOSTILE: Group = Group {
    name: "hostile_fetching",
    fleet: Some(prepare_hostile),
    seconds: 2,
    tests: tests![
        Fleet: a_reply_has_room_for_some_files_only,
        what_is_no_file_is_not_fetched,
    ],
};

/// The phone is only a key to the tablet.
fn prepare_hostile() -> Result<Fleet> {
    let mut fleet = Plan::new(&["tablet", "phone"])
        .policy("tablet", "phone", "read", 3)
        .start()?;
    let phone = fleet.device_mut("phone")?;
    phone.stop()?;
    phone.umount()?;
    Ok(fleet)
}

fn prepare() -> Result<Fleet> {
    Plan::new(&["laptop", "tablet"])
        .policy("tablet", "laptop", "write", 3)
        .mount_option("attr_timeout", "0")
        .start()
}

/// A directory of so many files of the tablet, as the tablet and the laptop see it; nothing is cached.
fn make(fleet: &Fleet, name: &str, count: usize, size: usize) -> Result<(PathBuf, PathBuf)> {
    let home = fleet.device("tablet")?.export().join(name);
    fs::create_dir(&home)?;
    for number in 0..count {
        let content = Random::new(number as u64).bytes(size);
        fs::write(
            home.join(format!("file {:05}", number * 7919 % 100_003)),
            content,
        )?;
    }
    drop_caches()?;
    Ok((home, fleet.device("laptop")?.view("tablet").join(name)))
}

/// The names of a directory, in the order in which they are listed.
fn listed(folder: &Path) -> Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name());
    }
    Ok(names)
}

/// Reads files of the directory, and gives what that cost.
fn read(fleet: &Fleet, home: &Path, folder: &Path, names: &[OsString]) -> Result<Counters> {
    let control = fleet.device("laptop")?.control();
    let before = control.counters()?;
    for name in names {
        holds(&folder.join(name), &fs::read(home.join(name))?)?;
    }
    let after = control.counters()?;
    Ok(Counters {
        requests_sent: after.requests_sent - before.requests_sent,
        rx_bytes: after.rx_bytes - before.rx_bytes,
        ..Counters::default()
    })
}

fn files_in_the_order_of_the_listing_cost_few_messages(fleet: &mut Fleet) -> Result<()> {
    for (name, count, size) in [("listing", 500, 3_000), ("empty ones", 100, 1)] {
        let (home, folder) = make(fleet, name, count, size)?;
        let names = listed(&folder)?;
        let cost = read(fleet, &home, &folder, &names)?.requests_sent;
        ensure!(cost >= 3, "{cost} messages for {count} files");
        ensure!(
            cost <= count as u64 / 10 + 8,
            "{cost} messages for {count} files"
        );
        // And once more.
        same(
            "messages",
            read(fleet, &home, &folder, &names)?.requests_sent,
            0,
        )?;
    }
    Ok(())
}

fn so_do_files_in_the_order_of_their_names(fleet: &mut Fleet) -> Result<()> {
    let (home, folder) = make(fleet, "names", 500, 3_000)?;
    let names = tree::names(&folder)?;
    ensure!(names != listed(&folder)?, "both orders are the same");
    let cost = read(fleet, &home, &folder, &names)?.requests_sent;
    ensure!(cost <= 58, "{cost} messages for 500 files");
    Ok(())
}

fn so_do_those_in_the_merged_view(fleet: &mut Fleet) -> Result<()> {
    let (home, _) = make(fleet, "merged", 500, 3_000)?;
    let laptop = fleet.device("laptop")?;
    // A part of this device does not change that.
    fs::create_dir(laptop.export().join("merged"))?;
    let folder = laptop.merged().join("merged");
    let names = tree::names(&folder)?;
    let cost = read(fleet, &home, &folder, &names)?.requests_sent;
    ensure!(cost <= 58, "{cost} messages for 500 files");
    Ok(())
}

fn files_in_no_order_are_not_fetched(fleet: &mut Fleet) -> Result<()> {
    let (home, folder) = make(fleet, "no order", 300, 10_000)?;
    listed(&folder)?;
    let mut names = tree::names(&folder)?;
    let mut random = Random::new(7);
    for index in (1..names.len()).rev() {
        names.swap(index, random.below(index as u64 + 1) as usize);
    }
    names.truncate(100);
    let cost = read(fleet, &home, &folder, &names)?;
    ensure!(cost.requests_sent >= 90, "{} messages", cost.requests_sent);
    ensure!(cost.rx_bytes < 1_200_000, "{} bytes", cost.rx_bytes);
    Ok(())
}

fn what_is_not_used_is_not_fetched_again(fleet: &mut Fleet) -> Result<()> {
    let (home, folder) = make(fleet, "not used", 300, 50_000)?;
    let names = listed(&folder)?;
    // Three in a row, again and again, and then somewhere else.
    let mut some = Vec::new();
    for row in names.chunks(30) {
        some.extend_from_slice(&row[..3]);
    }
    let cost = read(fleet, &home, &folder, &some)?;
    same("messages", cost.requests_sent, some.len() as u64)?;
    // 30 files, the four that were fetched at first, and what is said besides.
    ensure!(cost.rx_bytes < 36 * 50_000, "{} bytes", cost.rx_bytes);
    Ok(())
}

fn what_is_only_opened_is_not_fetched(fleet: &mut Fleet) -> Result<()> {
    let (_, folder) = make(fleet, "only opened", 100, 50_000)?;
    let control = fleet.device("laptop")?.control();
    let names = listed(&folder)?;
    let before = control.counters()?.rx_bytes;
    for name in &names {
        File::open(folder.join(name))?;
    }
    let received = control.counters()?.rx_bytes - before;
    // Each of these comes along when it is opened for the first time.
    ensure!(received < 103 * 50_000, "{received} bytes");
    Ok(())
}

/// Reads the first files of a directory, so that some of the next ones are there.
fn begin(fleet: &Fleet, name: &str) -> Result<(PathBuf, PathBuf, Vec<OsString>)> {
    let (home, folder) = make(fleet, name, 40, 2_000)?;
    let mut names = listed(&folder)?;
    let cost = read(fleet, &home, &folder, &names[..5])?.requests_sent;
    ensure!(cost <= 3, "{cost} messages for five files");
    names.drain(..5);
    Ok((home, folder, names))
}

fn what_has_changed_since_is_fetched_anew(fleet: &mut Fleet) -> Result<()> {
    let (home, folder, names) = begin(fleet, "changed")?;
    for (number, name) in names.iter().take(2).enumerate() {
        fs::write(home.join(name), format!("changed {number}"))?;
        holds(&folder.join(name), format!("changed {number}").as_bytes())?;
    }
    // The laptop itself changes one that was not opened yet.
    let (home, folder, names) = begin(fleet, "changed here")?;
    fs::write(folder.join(&names[0]), "new")?;
    holds(&folder.join(&names[0]), b"new")?;
    holds(&home.join(&names[0]), b"new")?;
    Ok(())
}

fn what_was_removed_or_replaced_since_is_not_found(fleet: &mut Fleet) -> Result<()> {
    let (home, folder, names) = begin(fleet, "removed")?;
    fs::remove_file(home.join(&names[0]))?;
    ensure!(!folder.join(&names[0]).exists(), "a removed file is there");
    fs::write(home.join("other"), "other")?;
    fs::rename(home.join("other"), home.join(&names[1]))?;
    holds(&folder.join(&names[1]), b"other")
}

fn what_may_not_be_read_is_not_fetched(fleet: &mut Fleet) -> Result<()> {
    let (home, folder) = make(fleet, "forbidden", 40, 2_000)?;
    let names = listed(&folder)?;
    for name in names.iter().skip(1).step_by(2) {
        let label = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(home.join(name), "user.hmdfs.label", b"S4", label)?;
    }
    listed(&folder)?;
    for (number, name) in names.iter().enumerate() {
        let opened = fs::read(folder.join(name));
        same("whether it may be read", opened.is_ok(), number % 2 == 0)?;
    }
    Ok(())
}

fn bigger_files_are_left_out(fleet: &mut Fleet) -> Result<()> {
    let (home, folder) = make(fleet, "bigger", 60, 2_000)?;
    for name in listed(&home)?.iter().step_by(5) {
        fs::write(home.join(name), vec![7; 200_000])?;
    }
    drop_caches()?;
    let names = listed(&folder)?;
    let cost = round_trips(&fleet.device("laptop")?.control(), || {
        for name in &names {
            holds(&folder.join(name), &fs::read(home.join(name))?)?;
        }
        Ok(())
    })?;
    // Some for each of the bigger ones.
    ensure!(cost < 12 * 4 + 30, "{cost} messages for 60 files");
    Ok(())
}

/// A phone that is linked to the tablet, and the handle of `name` in what the tablet exports.
fn impostor(fleet: &Fleet, name: &[u8]) -> Result<(Impostor, Handle)> {
    let (phone, tablet) = (fleet.device("phone")?, fleet.device("tablet")?);
    let mut impostor = Impostor::greeted(phone, tablet, &Network::address(1))?;
    let name = Name::new(name).map_err(|error| anyhow!("{error:?}"))?;
    let steps = [Operation::Root, Operation::Walk(name), Operation::GetHandle];
    let handle = impostor.handle(&steps)?.context("no handle")?;
    Ok((impostor, handle))
}

/// Has all of these fetched; gives the lengths, and the bytes of data that came along.
fn fetch(impostor: &mut Impostor, wanted: &[(Handle, u32)]) -> Result<(Vec<Option<u32>>, u32)> {
    let operations: Vec<_> = wanted
        .iter()
        .map(|&(file, limit)| Operation::Fetch { file, limit })
        .collect();
    let reply = impostor.reply(&operations)?;
    let malformed = |error: hmdfs_proto::Error| anyhow!("the reply: {}", error.as_str());
    let mut reader = ReplyReader::new(&reply.body).map_err(malformed)?;
    let mut lengths = Vec::new();
    for operation in &operations {
        match reader.next(operation).map_err(malformed)? {
            Ok(Outcome::Fetched(fetched)) => lengths.push(fetched.map(|fetched| fetched.length)),
            other => bail!("fetching ended with {other:?}"),
        }
    }
    Ok((lengths, reply.header.all_data()))
}

fn a_reply_has_room_for_some_files_only(fleet: &mut Fleet) -> Result<()> {
    fs::write(fleet.device("tablet")?.export().join("file"), [7; 60_000])?;
    let (mut impostor, file) = impostor(fleet, b"file")?;
    let (lengths, data) = fetch(&mut impostor, &[(file, MAX_DATA); 40])?;
    let count = MAX_DATA / 60_000;
    same("bytes", data, count * 60_000)?;
    for (number, length) in lengths.into_iter().enumerate() {
        same(
            "length",
            length,
            ((number as u32) < count).then_some(60_000),
        )?;
    }
    impostor.hang_up()
}

fn what_is_no_file_is_not_fetched(fleet: &mut Fleet) -> Result<()> {
    let home = fleet.device("tablet")?.export();
    fs::create_dir(home.join("folder"))?;
    fs::write(home.join("other"), "other")?;
    let (mut impostor, other) = impostor(fleet, b"other")?;
    let name = Name::new(b"folder").map_err(|error| anyhow!("{error:?}"))?;
    let steps = [Operation::Root, Operation::Walk(name), Operation::GetHandle];
    let folder = impostor.handle(&steps)?.context("no handle")?;
    let wanted = [
        (folder, MAX_DATA),
        (other, 4),
        (other, 5),
        (folder, 0),
        (other, 6),
    ];
    let (lengths, data) = fetch(&mut impostor, &wanted)?;
    same("lengths", lengths, vec![None, None, Some(5), None, Some(5)])?;
    same("bytes", data, 10)?;
    // Nothing of it is the current file of what follows.
    let operations = [
        Operation::Fetch {
            file: other,
            limit: 5,
        },
        Operation::GetAttributes,
    ];
    same(
        "the status",
        impostor.compound(&operations)?,
        libc::EBADF as u32,
    )?;
    impostor.hang_up()
}
