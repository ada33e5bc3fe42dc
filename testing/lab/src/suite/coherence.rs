// SPDX-License-Identifier: MIT OR Apache-2.0

//! Close-to-open: what one device wrote and closed, another reads after opening.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::{Duration, SystemTime};

use anyhow::{ensure, Result};

use crate::fleet::{Fleet, Plan};
use crate::random::Random;
use crate::suite::support::{fails, holds, same};
use crate::suite::{tests, Group};
use crate::tree;
use crate::wait::{self, PATIENCE};

/// A laptop that reads what changes on a tablet.
pub const GROUP: Group = Group {
    name: "coherence",
    fleet: Some(|| Plan::new(&["laptop", "tablet"]).start()),
    seconds: 1,
    tests: tests![
        Fleet: a_longer_file,
        a_shorter_file,
        same_size_and_same_time,
        many_changes_within_one_tick,
        changed_through_the_owners_mount,
        changed_through_a_mapping,
        replaced_by_rename,
        removed,
        removed_and_made_again,
        made_after_it_was_missed,
        renamed,
        a_directory_gains_and_loses_names,
        a_file_becomes_a_directory,
        an_open_file_stays_readable_after_its_removal,
    ],
};

/// Where the tablet has `name`, and where the laptop sees it.
fn paths(fleet: &Fleet, name: &str) -> Result<(std::path::PathBuf, std::path::PathBuf)> {
    Ok((
        fleet.device("tablet")?.export().join(name),
        fleet.device("laptop")?.view("tablet").join(name),
    ))
}

/// Opening asks the owner; what paths lead through may be known from a moment ago.
fn soon(what: &str, mut check: impl FnMut() -> Result<()>) -> Result<()> {
    wait::until(what, PATIENCE, || check().map(|()| true))?;
    Ok(())
}

fn a_longer_file(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = paths(fleet, "growing")?;
    let content = Random::new(30).bytes(200_000);
    for length in [0, 10, 4_096, 10_000, 200_000] {
        fs::write(&home, &content[..length])?;
        holds(&there, &content[..length])?;
        same("size", fs::metadata(&there)?.len(), length as u64)?;
    }
    fs::remove_file(home)?;
    Ok(())
}

fn a_shorter_file(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = paths(fleet, "shrinking")?;
    let content = Random::new(31).bytes(200_000);
    for length in [200_000, 10_000, 4_096, 10, 0] {
        fs::write(&home, &content[..length])?;
        holds(&there, &content[..length])?;
        same("size", fs::metadata(&there)?.len(), length as u64)?;
    }
    fs::remove_file(home)?;
    Ok(())
}

/// Size and modification time say that nothing happened.
fn same_size_and_same_time(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = paths(fleet, "sly")?;
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    for content in [b"first", b"other", b"third"] {
        fs::write(&home, content)?;
        File::options()
            .write(true)
            .open(&home)?
            .set_modified(time)?;
        holds(&there, content)?;
    }
    fs::remove_file(home)?;
    Ok(())
}

/// Faster than the kernel's clock for time stamps advances.
fn many_changes_within_one_tick(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = paths(fleet, "busy")?;
    for number in 0..50_u32 {
        fs::write(&home, number.to_le_bytes())?;
        holds(&there, &number.to_le_bytes())?;
    }
    fs::remove_file(home)?;
    Ok(())
}

fn changed_through_the_owners_mount(fleet: &mut Fleet) -> Result<()> {
    let home = fleet.device("tablet")?.local().join("own");
    let there = fleet.device("laptop")?.view("tablet").join("own");
    for content in ["one", "two", "three"] {
        fs::write(&home, content)?;
        holds(&there, content.as_bytes())?;
    }
    fs::remove_file(home)?;
    Ok(())
}

fn changed_through_a_mapping(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = paths(fleet, "mapped")?;
    fs::write(&home, [b'a'; 8192])?;
    holds(&there, &[b'a'; 8192])?;
    let file = File::options().read(true).write(true).open(&home)?;
    let mapping = crate::mapping::Mapping::of(&file, 8192, true)?;
    mapping.write(4000, &[b'b'; 200])?;
    mapping.sync()?;
    drop((mapping, file));
    let mut expected = vec![b'a'; 8192];
    expected[4000..4200].fill(b'b');
    holds(&there, &expected)?;
    fs::remove_file(home)?;
    Ok(())
}

fn replaced_by_rename(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = paths(fleet, "document")?;
    for content in ["draft", "final", "really final"] {
        let temporary = home.with_extension("new");
        fs::write(&temporary, content)?;
        fs::rename(&temporary, &home)?;
        holds(&there, content.as_bytes())?;
    }
    fs::remove_file(home)?;
    Ok(())
}

fn removed(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = paths(fleet, "removed")?;
    fs::write(&home, "x")?;
    holds(&there, b"x")?;
    fs::remove_file(&home)?;
    fails("opening it", File::open(&there), libc::ENOENT)?;
    let view = fleet.device("laptop")?.view("tablet");
    ensure!(!tree::shows(&view, "removed")?, "still listed");
    Ok(())
}

fn removed_and_made_again(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = paths(fleet, "again")?;
    for content in ["one", "two"] {
        fs::write(&home, content)?;
        holds(&there, content.as_bytes())?;
        fs::remove_file(&home)?;
    }
    Ok(())
}

fn made_after_it_was_missed(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = paths(fleet, "late")?;
    fails("opening it", File::open(&there), libc::ENOENT)?;
    fs::write(&home, "here now")?;
    holds(&there, b"here now")?;
    fs::remove_file(home)?;
    Ok(())
}

fn renamed(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = paths(fleet, "before")?;
    let (home_after, there_after) = paths(fleet, "after")?;
    fs::write(&home, "x")?;
    holds(&there, b"x")?;
    fs::rename(&home, &home_after)?;
    fails("the old name", File::open(&there), libc::ENOENT)?;
    holds(&there_after, b"x")?;
    fs::remove_file(home_after)?;
    Ok(())
}

fn a_directory_gains_and_loses_names(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = paths(fleet, "folder")?;
    fs::create_dir(&home)?;
    same("names", tree::names(&there)?, vec![])?;
    fs::write(home.join("a"), "")?;
    fs::create_dir(home.join("b"))?;
    same("names", tree::names(&there)?, vec!["a".into(), "b".into()])?;
    fs::remove_file(home.join("a"))?;
    same("names", tree::names(&there)?, vec!["b".into()])?;
    fs::remove_dir_all(&home)?;
    soon("the directory to be gone", || {
        fails("listing it", fs::read_dir(&there), libc::ENOENT)
    })
}

fn a_file_becomes_a_directory(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = paths(fleet, "changeling")?;
    fs::write(&home, "file")?;
    holds(&there, b"file")?;
    fs::remove_file(&home)?;
    fs::create_dir(&home)?;
    fs::write(home.join("inside"), "x")?;
    soon("the directory to be one", || {
        holds(&there.join("inside"), b"x")
    })?;
    fs::remove_dir_all(&home)?;
    fs::write(&home, "file again")?;
    soon("the file to be one", || holds(&there, b"file again"))?;
    fs::remove_file(home)?;
    Ok(())
}

/// What was read stays readable; what was not is ESTALE or still there, never
/// something else's content.
fn an_open_file_stays_readable_after_its_removal(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = paths(fleet, "held")?;
    fs::write(&home, "content")?;
    let file = File::open(&there)?;
    let mut buffer = [0; 7];
    file.read_exact_at(&mut buffer, 0)?;
    let inode = file.metadata()?.ino();
    fs::remove_file(&home)?;
    fs::write(&home, "another")?;
    let mut again = [0; 7];
    match file.read_exact_at(&mut again, 0) {
        Ok(()) => same("the content", &again, b"content")?,
        Err(error) => same("the error", error.raw_os_error(), Some(libc::ESTALE))?,
    }
    holds(&there, b"another")?;
    ensure!(
        fs::metadata(&there)?.ino() != inode,
        "the new file has the inode number of the old one, which is still open"
    );
    fs::remove_file(home)?;
    Ok(())
}
