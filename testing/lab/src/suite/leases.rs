// SPDX-License-Identifier: MIT OR Apache-2.0

//! Leases: what costs no round trip, what takes it back, and what a device that does
//! not give it back can do to others.
//!
//! Without leases nothing is remembered here: `attr_timeout` is zero.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::thread;

use anyhow::{anyhow, ensure, Context, Result};
use hmdfs_proto::{Header, Kind, Name, Opcode, Operation, Recall};
use rustix::fs::{getxattr, listxattr, removexattr, setxattr, RenameFlags, XattrFlags, CWD};

use crate::fleet::{wait_for_state, Fleet, Plan};
use crate::hmdfsctl::round_trips;
use crate::impostor::Impostor;
use crate::mapping::Mapping;
use crate::net::Network;
use crate::random::Random;
use crate::suite::support::{drop_caches, fails, holds, same};
use crate::suite::{tests, Group};
use crate::tree;
use crate::wait::PATIENCE;

/// A tablet, whose files two others may change.
pub const GROUP: Group = Group {
    name: "leases",
    fleet: Some(|| plan(&["laptop", "tablet", "phone"]).start()),
    seconds: 7,
    tests: tests![
        Fleet: a_file_is_opened_and_read_again_for_nothing,
        what_was_listed_is_known_and_so_is_what_was_not,
        a_work_tree_is_looked_through_for_nothing,
        a_directory_is_listed_again_for_nothing,
        that_a_file_has_no_extended_attributes_is_known,
        the_owners_programs_are_noticed,
        what_moves_to_another_directory_is_noticed,
        the_owners_mount_is_noticed,
        another_device_is_noticed,
        what_is_written_through_a_mapping_is_seen_when_opened,
        own_changes_leave_the_rest_known,
        what_was_removed_here_is_not_listed,
        other_names_of_a_file_are_the_same_file,
        many_changes_of_names_are_seen,
        what_the_owner_renames_is_found_at_once,
        a_rename_hides_no_write_of_another_device,
        a_lower_level_counts_at_once,
        nothing_is_known_after_an_outage,
    ],
};

/// The phone's kernel does as it likes.
pub const HOSTILE: Group = Group {
    name: "hostile_leases",
    fleet: Some(prepare),
    seconds: 3,
    tests: tests![
        Fleet: a_lease_is_recalled_by_its_key,
        a_holder_that_never_replies_holds_nobody_up_for_long,
        recalls_of_what_was_never_given_are_put_up_with,
    ],
};

fn plan(names: &[&'static str]) -> Plan {
    Plan::new(names)
        .policy("tablet", "laptop", "write", 3)
        .policy("tablet", "phone", "write", 4)
        .mount_option("attr_timeout", "0")
}

/// The phone is only a key to the tablet, which the laptop uses as well.
fn prepare() -> Result<Fleet> {
    let mut fleet = plan(&["laptop", "tablet", "phone"]).start()?;
    let phone = fleet.device_mut("phone")?;
    phone.stop()?;
    phone.umount()?;
    Ok(fleet)
}

/// Costs nothing.
fn is_free(fleet: &Fleet, what: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let cost = round_trips(&fleet.device("laptop")?.control(), work)?;
    same(&format!("round trips of {what}"), cost, 0)
}

fn a_file_is_opened_and_read_again_for_nothing(fleet: &mut Fleet) -> Result<()> {
    let home = fleet.device("tablet")?.export().join("a/b/c/d");
    fs::create_dir_all(&home)?;
    let content = Random::new(70).bytes(60_000);
    fs::write(home.join("file"), &content)?;
    drop_caches()?;
    let path = fleet.device("laptop")?.view("tablet").join("a/b/c/d/file");
    holds(&path, &content)?;
    is_free(fleet, "opening and reading it again", || {
        for _ in 0..10 {
            holds(&path, &content)?;
            same("size", fs::metadata(&path)?.len(), 60_000)?;
        }
        Ok(())
    })
}

fn what_was_listed_is_known_and_so_is_what_was_not(fleet: &mut Fleet) -> Result<()> {
    let home = fleet.device("tablet")?.export().join("listed");
    fs::create_dir(&home)?;
    for number in 0..300 {
        fs::write(home.join(format!("file {number}")), vec![1; number])?;
    }
    drop_caches()?;
    let folder = fleet.device("laptop")?.view("tablet").join("listed");
    same("names", tree::names(&folder)?.len(), 300)?;
    fails(
        "a missing name",
        fs::metadata(folder.join("no")),
        libc::ENOENT,
    )?;
    is_free(fleet, "what is known", || {
        for number in 0..300 {
            let size = fs::metadata(folder.join(format!("file {number}")))?.len();
            same("size", size, number as u64)?;
        }
        fails(
            "a missing name",
            fs::metadata(folder.join("no")),
            libc::ENOENT,
        )?;
        fails("opening it", File::open(folder.join("no")), libc::ENOENT)
    })
}

/// As `git status` does.
fn a_work_tree_is_looked_through_for_nothing(fleet: &mut Fleet) -> Result<()> {
    let home = fleet.device("tablet")?.export().join("work");
    for directory in 0..50 {
        let directory = home.join(format!("d{directory}"));
        fs::create_dir_all(&directory)?;
        for file in 0..100 {
            fs::write(directory.join(format!("f{file}")), "x")?;
        }
    }
    drop_caches()?;
    let view = fleet.device("laptop")?.view("tablet").join("work");
    let look = || -> Result<()> {
        for directory in 0..50 {
            let directory = view.join(format!("d{directory}"));
            same("names", tree::names(&directory)?.len(), 100)?;
            let ignored = directory.join(".gitignore");
            fails("opening .gitignore", File::open(ignored), libc::ENOENT)?;
            for file in 0..100 {
                same(
                    "size",
                    fs::metadata(directory.join(format!("f{file}")))?.len(),
                    1,
                )?;
            }
        }
        same("names", tree::names(&view)?.len(), 50)
    };
    look()?;
    is_free(fleet, "5,000 files that have not changed", look)?;
    fs::remove_dir_all(home)?;
    Ok(())
}

fn a_directory_is_listed_again_for_nothing(fleet: &mut Fleet) -> Result<()> {
    let home = fleet.device("tablet")?.export().join("again");
    fs::create_dir(&home)?;
    for number in 0..3_000 {
        File::create(home.join(format!("a name of some length {number}")))?;
    }
    drop_caches()?;
    let folder = fleet.device("laptop")?.view("tablet").join("again");
    let first = tree::names(&folder)?;
    same("names", first.len(), 3_000)?;
    is_free(fleet, "listing it again", || {
        same("names", tree::names(&folder)?, first)
    })?;
    fs::remove_file(home.join("a name of some length 7"))?;
    same("names", tree::names(&folder)?.len(), 2_999)?;
    fs::remove_dir_all(home)?;
    Ok(())
}

/// As `ls -l` wants to know.
fn that_a_file_has_no_extended_attributes_is_known(fleet: &mut Fleet) -> Result<()> {
    let home = fleet.device("tablet")?.export().join("bare");
    fs::create_dir(&home)?;
    for number in 0..20 {
        fs::write(home.join(number.to_string()), "x")?;
    }
    drop_caches()?;
    let folder = fleet.device("laptop")?.view("tablet").join("bare");
    same("names", tree::names(&folder)?.len(), 20)?;
    let mut room = [0; 100];
    is_free(fleet, "what they do not have", || {
        for number in 0..20 {
            let path = folder.join(number.to_string());
            same("bytes of names", listxattr(&path, &mut room)?, 0)?;
            let value = getxattr(&path, "user.colour", &mut room);
            same("the error", value, Err(rustix::io::Errno::NODATA))?;
        }
        Ok(())
    })?;
    for (there, other) in [(&home, &folder), (&folder, &home)] {
        let (there, other) = (there.join("7"), other.join("7"));
        setxattr(&there, "user.colour", b"red", XattrFlags::empty())?;
        same("its length", getxattr(&other, "user.colour", &mut room)?, 3)?;
        same("its length", getxattr(&there, "user.colour", &mut room)?, 3)?;
        removexattr(&there, "user.colour")?;
        for path in [&there, &other] {
            same("bytes of names", listxattr(path, &mut room)?, 0)?;
        }
    }
    Ok(())
}

/// Does all kinds of changes below `there`, of which `seen` learns at once.
pub fn changes_are_seen(there: &Path, seen: &Path) -> Result<()> {
    fs::create_dir(there)?;
    let absent = |name: &str| fails(name, fs::metadata(seen.join(name)), libc::ENOENT);
    let (file, at) = (there.join("file"), seen.join("file"));
    for round in 0..3_u32 {
        absent("file")?;
        absent("moved")?;
        same("names", tree::names(seen)?.len(), 0)?;
        fs::write(&file, round.to_le_bytes())?;
        holds(&at, &round.to_le_bytes())?;
        same("names", tree::names(seen)?, vec!["file".into()])?;
        fs::write(&file, [7; 5000])?;
        holds(&at, &[7; 5000])?;
        same("size", fs::metadata(&at)?.len(), 5000)?;
        File::options().write(true).open(&file)?.set_len(10)?;
        same("size", fs::metadata(&at)?.len(), 10)?;
        holds(&at, &[7; 10])?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640))?;
        same("mode", fs::metadata(&at)?.mode() & 0o777, 0o640)?;
        fs::rename(&file, there.join("moved"))?;
        absent("file")?;
        holds(&seen.join("moved"), &[7; 10])?;
        fs::create_dir(&file)?;
        ensure!(fs::metadata(&at)?.is_dir(), "it became a directory");
        fs::remove_dir(&file)?;
        fs::hard_link(there.join("moved"), &file)?;
        same("links", fs::metadata(seen.join("moved"))?.nlink(), 2)?;
        holds(&at, &[7; 10])?;
        fs::remove_file(there.join("moved"))?;
        absent("moved")?;
        same("links", fs::metadata(&at)?.nlink(), 1)?;
        fs::write(there.join("new"), "replaced")?;
        fs::rename(there.join("new"), &file)?;
        holds(&at, b"replaced")?;
        fs::remove_file(&file)?;
        fails("opening it", File::open(&at), libc::ENOENT)?;
    }
    fs::remove_dir(there)?;
    fails("the directory", fs::metadata(seen), libc::ENOENT)
}

fn the_owners_programs_are_noticed(fleet: &mut Fleet) -> Result<()> {
    let there = fleet.device("tablet")?.export().join("below");
    changes_are_seen(
        &there,
        &fleet.device("laptop")?.view("tablet").join("below"),
    )
}

fn what_moves_to_another_directory_is_noticed(fleet: &mut Fleet) -> Result<()> {
    let home = fleet.device("tablet")?.export().join("moves");
    let there = fleet.device("laptop")?.view("tablet").join("moves");
    for folder in ["from", "to"] {
        fs::create_dir_all(home.join(folder))?;
    }
    for round in 0..3_u8 {
        fs::write(home.join("from/file"), [round])?;
        same("names", tree::names(&there.join("from"))?.len(), 1)?;
        same("names", tree::names(&there.join("to"))?.len(), 0)?;
        fails("it", File::open(there.join("to/file")), libc::ENOENT)?;
        fs::rename(home.join("from/file"), home.join("to/file"))?;
        holds(&there.join("to/file"), &[round])?;
        same("names", tree::names(&there.join("from"))?.len(), 0)?;
        same("names", tree::names(&there.join("to"))?.len(), 1)?;
        fs::remove_file(home.join("to/file"))?;
    }
    Ok(())
}

fn the_owners_mount_is_noticed(fleet: &mut Fleet) -> Result<()> {
    let there = fleet.device("tablet")?.local().join("own");
    changes_are_seen(&there, &fleet.device("laptop")?.view("tablet").join("own"))
}

fn another_device_is_noticed(fleet: &mut Fleet) -> Result<()> {
    let there = fleet.device("phone")?.view("tablet").join("third");
    changes_are_seen(
        &there,
        &fleet.device("laptop")?.view("tablet").join("third"),
    )
}

/// The file stays open for writing, so there may be no lease on it.
fn what_is_written_through_a_mapping_is_seen_when_opened(fleet: &mut Fleet) -> Result<()> {
    let home = fleet.device("tablet")?.export().join("mapped");
    let there = fleet.device("laptop")?.view("tablet").join("mapped");
    fs::write(&home, [0; 4096])?;
    holds(&there, &[0; 4096])?;
    let file = File::options().read(true).write(true).open(&home)?;
    for round in 1..20 {
        let mapping = Mapping::of(&file, 4096, true)?;
        mapping.write(0, &[round; 4096])?;
        mapping.sync()?;
        holds(&there, &[round; 4096])?;
    }
    Ok(())
}

fn own_changes_leave_the_rest_known(fleet: &mut Fleet) -> Result<()> {
    let folder = fleet.device("laptop")?.view("tablet").join("mine");
    fs::create_dir(&folder)?;
    for name in ["one", "two", "three"] {
        fs::write(folder.join(name), name)?;
        holds(&folder.join(name), name.as_bytes())?;
    }
    fails(
        "a missing name",
        fs::metadata(folder.join("no")),
        libc::ENOENT,
    )?;
    fs::write(folder.join("four"), "four")?;
    fs::remove_file(folder.join("two"))?;
    fs::rename(folder.join("three"), folder.join("five"))?;
    is_free(fleet, "what this device has not changed", || {
        holds(&folder.join("one"), b"one")?;
        for name in ["no", "two"] {
            fails(name, fs::metadata(folder.join(name)), libc::ENOENT)?;
        }
        Ok(())
    })?;
    holds(&folder.join("four"), b"four")?;
    holds(&folder.join("five"), b"three")?;
    fails(
        "the old name",
        File::open(folder.join("three")),
        libc::ENOENT,
    )
}

/// A listing that is under way tells of names that are removed meanwhile.
fn what_was_removed_here_is_not_listed(fleet: &mut Fleet) -> Result<()> {
    let folder = fleet.device("laptop")?.view("tablet").join("emptied");
    fs::create_dir(&folder)?;
    for number in 0..200 {
        File::create(folder.join(number.to_string()))?;
    }
    let mut listing = fs::read_dir(&folder)?;
    let first = listing.next().context("nothing is listed")??.file_name();
    for number in 0..200 {
        fs::remove_file(folder.join(number.to_string()))?;
    }
    // What was read already may be given; nothing of it may come to life again.
    for entry in listing {
        let _ = entry?;
    }
    fails("the first", fs::metadata(folder.join(first)), libc::ENOENT)?;
    for number in 0..200 {
        let path = folder.join(number.to_string());
        fails("a removed file", fs::metadata(path), libc::ENOENT)?;
    }
    same("names", tree::names(&folder)?.len(), 0)?;
    fs::remove_dir(folder)?;
    Ok(())
}

fn other_names_of_a_file_are_the_same_file(fleet: &mut Fleet) -> Result<()> {
    let home = fleet.device("tablet")?.export();
    let view = fleet.device("laptop")?.view("tablet");
    for directory in ["here", "elsewhere"] {
        fs::create_dir(home.join(directory))?;
    }
    fs::write(home.join("here/name"), "before")?;
    fs::hard_link(home.join("here/name"), home.join("elsewhere/other"))?;
    holds(&view.join("here/name"), b"before")?;
    fs::write(home.join("elsewhere/other"), "and after")?;
    holds(&view.join("here/name"), b"and after")?;
    same("size", fs::metadata(view.join("here/name"))?.len(), 9)
}

/// More changes than recalls are remembered one by one, while others look.
fn many_changes_of_names_are_seen(fleet: &mut Fleet) -> Result<()> {
    let home = fleet.device("tablet")?.export().join("busy");
    let view = fleet.device("laptop")?.view("tablet").join("busy");
    fs::create_dir(&home)?;
    thread::scope(|scope| {
        let reader = scope.spawn(|| -> Result<()> {
            for _ in 0..30 {
                for name in tree::names(&view)? {
                    // It may be gone by now.
                    let _ = fs::read(view.join(name));
                }
            }
            Ok(())
        });
        for round in 0..120_usize {
            fs::write(home.join((round % 40).to_string()), vec![1; round])?;
            if round % 3 == 0 {
                let _ = fs::remove_file(home.join((round % 29).to_string()));
            }
        }
        reader.join().map_err(|_| anyhow!("the reader panicked"))?
    })?;
    same("names", tree::names(&view)?, tree::names(&home)?)?;
    for name in tree::names(&home)? {
        holds(&view.join(&name), &fs::read(home.join(&name))?)?;
    }
    Ok(())
}

fn what_the_owner_renames_is_found_at_once(fleet: &mut Fleet) -> Result<()> {
    let home = fleet.device("tablet")?.export().join("renames");
    let there = fleet.device("laptop")?.view("tablet").join("renames");
    for directory in ["from", "to"] {
        fs::create_dir_all(home.join(directory))?;
    }
    for name in ["file", "directory"] {
        match name {
            "file" => fs::write(home.join("from/file"), name)?,
            _ => fs::create_dir(home.join("from").join(name))?,
        }
        let (old, new) = (Path::new("from").join(name), Path::new("to").join(name));
        for (before, after) in [(&old, &new), (&new, &old)] {
            fs::metadata(there.join(before))?;
            fails("before", fs::metadata(there.join(after)), libc::ENOENT)?;
            fs::rename(home.join(before), home.join(after))?;
            fs::metadata(there.join(after)).context("the new name")?;
            fails("after", fs::metadata(there.join(before)), libc::ENOENT)?;
        }
    }
    // Over another one.
    fs::write(home.join("to/file"), "another")?;
    holds(&there.join("to/file"), b"another")?;
    fs::rename(home.join("from/file"), home.join("to/file"))?;
    holds(&there.join("to/file"), b"file")
}

/// What this device has cached of a file that loses a name is not taken for what another one wrote.
fn a_rename_hides_no_write_of_another_device(fleet: &mut Fleet) -> Result<()> {
    let home = fleet.device("tablet")?.export().join("hidden");
    fs::create_dir(&home)?;
    let laptop = fleet.device("laptop")?.view("tablet").join("hidden");
    let phone = fleet.device("phone")?.view("tablet").join("hidden");
    fs::write(laptop.join("one"), [1; 9000])?;
    fs::hard_link(laptop.join("one"), laptop.join("other"))?;
    for name in ["replacing", "exchanged"] {
        fs::write(laptop.join(name), name)?;
    }
    fs::write(phone.join("one"), [2; 9000])?;
    fs::rename(laptop.join("replacing"), laptop.join("one"))?;
    holds(&laptop.join("other"), &[2; 9000])?;

    fs::write(phone.join("other"), [3; 9000])?;
    let exchange = |one: &Path, other: &Path| {
        rustix::fs::renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)
    };
    exchange(&laptop.join("exchanged"), &laptop.join("other"))?;
    holds(&laptop.join("exchanged"), &[3; 9000])?;
    fs::write(phone.join("exchanged"), [4; 9000])?;
    exchange(&laptop.join("exchanged"), &laptop.join("other"))?;
    holds(&laptop.join("other"), &[4; 9000])
}

fn a_lower_level_counts_at_once(fleet: &mut Fleet) -> Result<()> {
    let home = fleet.device("tablet")?.export().join("secret");
    let there = fleet.device("laptop")?.view("tablet").join("secret");
    fs::write(&home, "content")?;
    holds(&there, b"content")?;
    let label = |label: &str| {
        setxattr(
            &home,
            "user.hmdfs.label",
            label.as_bytes(),
            XattrFlags::empty(),
        )
    };
    label("S4")?;
    fails("opening it", File::open(&there), libc::EACCES)?;
    label("S1")?;
    holds(&there, b"content")
}

fn nothing_is_known_after_an_outage(fleet: &mut Fleet) -> Result<()> {
    let home = fleet.device("tablet")?.export().join("outage");
    fs::create_dir(&home)?;
    fs::write(home.join("file"), "before")?;
    let laptop = fleet.device("laptop")?;
    let there = laptop.view("tablet").join("outage");
    holds(&there.join("file"), b"before")?;
    fails(
        "a missing name",
        fs::metadata(there.join("new")),
        libc::ENOENT,
    )?;
    fleet.cut("laptop")?;
    wait_for_state(laptop, "tablet", false, PATIENCE)?;
    // Nobody can be told of these.
    fs::write(home.join("file"), "meanwhile")?;
    fs::write(home.join("new"), "new")?;
    fleet.join("laptop")?;
    fleet.wait_online(PATIENCE)?;
    holds(&there.join("file"), b"meanwhile")?;
    holds(&there.join("new"), b"new")
}

fn name(bytes: &[u8]) -> Result<Name<'_>> {
    Name::new(bytes).map_err(|error| anyhow!("{error:?}"))
}

/// A phone that has leases on the root, and on the file `file` of it.
fn holder(fleet: &Fleet) -> Result<(Impostor, u64)> {
    let (phone, tablet) = (fleet.device("phone")?, fleet.device("tablet")?);
    fs::write(tablet.export().join("file"), "content")?;
    let mut impostor = Impostor::greeted(phone, tablet, &Network::address(2))?;
    let steps = [
        Operation::Root,
        Operation::Lease,
        Operation::Walk(name(b"file")?),
        Operation::Lease,
        Operation::GetHandle,
    ];
    let handle = impostor.handle(&steps)?.context("no handle")?;
    Ok((impostor, handle.identity().key()))
}

/// The next RECALL, and the keys in it.
fn recall(impostor: &mut Impostor) -> Result<(Header, Vec<u64>)> {
    let message = impostor.receive_no_ping()?.context("the link has ended")?;
    same("the kind", message.header.kind, Kind::Request)?;
    same("the subject", message.header.opcode, Opcode::Recall)?;
    let recall = Recall::decode(&message.body).map_err(|error| anyhow!("{error:?}"))?;
    Ok((message.header, recall.keys().collect()))
}

fn a_lease_is_recalled_by_its_key(fleet: &mut Fleet) -> Result<()> {
    let (mut impostor, key) = holder(fleet)?;
    let path = fleet.device("laptop")?.view("tablet").join("file");
    thread::scope(|scope| {
        let changer = scope.spawn(|| fs::set_permissions(&path, fs::Permissions::from_mode(0o600)));
        let (header, keys) = recall(&mut impostor)?;
        same("the keys", keys, vec![key])?;
        ensure!(!changer.is_finished(), "the change did not wait");
        impostor.send(&Header::new(Kind::Reply, Opcode::Recall, header.id).encode())?;
        changer
            .join()
            .map_err(|_| anyhow!("the changer panicked"))??;
        anyhow::Ok(())
    })?;
    same("the mode", fs::metadata(&path)?.mode() & 0o777, 0o600)?;
    impostor.hang_up()
}

/// The laptop's change is made all the same, and the link to the silent one ends.
fn a_holder_that_never_replies_holds_nobody_up_for_long(fleet: &mut Fleet) -> Result<()> {
    let (mut impostor, _) = holder(fleet)?;
    let path = fleet.device("laptop")?.view("tablet").join("file");
    let ended = impostor.try_clone()?;
    thread::scope(|scope| {
        // It answers PINGs, so its link is well.
        let silent = scope.spawn(move || -> Result<()> {
            while impostor.receive_no_ping()?.is_some() {}
            Ok(())
        });
        fs::write(&path, "changed")?;
        holds(&path, b"changed")?;
        silent.join().map_err(|_| anyhow!("the phone panicked"))?
    })?;
    ended.hang_up()?;
    // It gets none for a while, so there is nothing to wait for.
    let (mut impostor, _) = holder(fleet)?;
    fs::write(&path, "again")?;
    same("the status", impostor.compound(&[Operation::Root])?, 0)?;
    impostor.hang_up()
}

fn recalls_of_what_was_never_given_are_put_up_with(fleet: &mut Fleet) -> Result<()> {
    let (phone, tablet) = (fleet.device("phone")?, fleet.device("tablet")?);
    let mut impostor = Impostor::greeted(phone, tablet, &Network::address(2))?;
    for body in [vec![], vec![7; 8], vec![9; Recall::MAX_SIZE]] {
        let message = impostor.request(Opcode::Recall, &body);
        impostor.send(&message)?;
        let reply = impostor.receive_no_ping()?.context("the link has ended")?;
        same("the kind", reply.header.kind, Kind::Reply)?;
        same("the subject", reply.header.opcode, Opcode::Recall)?;
    }
    impostor.hang_up()?;
    for body in [vec![7; 9], vec![7; Recall::MAX_SIZE + 8]] {
        let mut impostor = Impostor::greeted(phone, tablet, &Network::address(2))?;
        let message = impostor.request(Opcode::Recall, &body);
        impostor.send(&message)?;
        impostor.wait_for_the_end()?;
    }
    holds(
        &fleet.device("laptop")?.view("tablet").join("file"),
        b"again",
    )
}
