// SPDX-License-Identifier: MIT OR Apache-2.0

//! Round trips, by the link's counters.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;

use anyhow::{ensure, Context, Result};

use super::Stage;
use crate::hmdfsctl::round_trips;
use crate::random::Random;
use crate::suite::remote_attributes::{time, utimes};
use crate::suite::support::{drop_caches, fails, holds, same, same_bytes, truncate};
use crate::tree;

const SMALL: usize = 65_536;

/// Files of up to 64 KiB, and names.
pub fn round_trips_of_files(stage: &Stage<'_>) -> Result<()> {
    let costs = |what: &str, expected: u64, work: &mut dyn FnMut() -> Result<()>| -> Result<()> {
        let cost = round_trips(&stage.laptop.control(), || {
            work().with_context(|| what.to_owned())
        })?;
        same(&format!("round trips of {what}"), cost, expected)
    };
    let content = Random::new(7).bytes(SMALL);
    fs::write(stage.home.join("small"), &content)?;
    // What has just been written is fetched anew where times are coarse.
    let old = time(1_000_000_000, 0);
    utimes(&stage.home.join("small"), old, old)?;
    let path = stage.there.join("small");
    drop_caches()?;
    fs::metadata(&stage.there)?;
    costs("a small file", 1, &mut || holds(&path, &content))?;
    // There are no leases on FAT: opening asks, and so does looking for what does not exist.
    let asked = u64::from(!stage.owner.unix);
    costs("the same again", asked, &mut || holds(&path, &content))?;
    same("names", tree::names(&stage.there)?.len(), 1)?;
    costs("names that are known, and none", asked, &mut || {
        same("size", fs::metadata(&path)?.len(), SMALL as u64)?;
        fails(
            "a missing name",
            fs::metadata(stage.there.join("no")),
            libc::ENOENT,
        )
    })?;
    if !stage.owner.unix {
        return Ok(());
    }
    let made = stage.there.join("made");
    // One tells whether it can be made, and one has the data.
    costs("a new file", 2, &mut || Ok(fs::write(&made, &content)?))?;
    costs("one that is stored", 2, &mut || {
        let file = File::create_new(stage.there.join("stored"))?;
        file.write_all_at(&content, 0)?;
        Ok(file.sync_all()?)
    })?;
    let folder = stage.there.join("folder");
    let moved = stage.there.join("moved");
    let each = |what: &str, work: &dyn Fn() -> io::Result<()>| costs(what, 1, &mut || Ok(work()?));
    each("mkdir", &|| fs::create_dir(&folder))?;
    each("rename", &|| fs::rename(&made, &moved))?;
    each("utimensat", &|| utimes(&moved, old, old))?;
    each("truncate", &|| truncate(&moved, 3))?;
    each("unlink", &|| fs::remove_file(&moved))?;
    each("rmdir", &|| fs::remove_dir(&folder))?;
    same_bytes("at home", &fs::read(stage.home.join("stored"))?, &content)
}

/// A listing, a work tree that has not changed, and its files one after the other.
pub fn many_small_files(stage: &Stage<'_>) -> Result<()> {
    const FOLDERS: usize = 4;
    const FILES: usize = 50;
    let text = |number: usize| format!("file {number}").into_bytes();
    for folder in 0..FOLDERS {
        let folder = stage.home.join(folder.to_string());
        fs::create_dir(&folder)?;
        for number in 0..FILES {
            fs::write(folder.join(format!("f{number:02}")), text(number))?;
        }
    }
    let look = || -> Result<()> {
        for folder in 0..FOLDERS {
            let folder = stage.there.join(folder.to_string());
            same("names", tree::names(&folder)?.len(), FILES)?;
            for number in 0..FILES {
                let size = fs::metadata(folder.join(format!("f{number:02}")))?.len();
                same("size", size, text(number).len() as u64)?;
            }
            let ignored = folder.join(".gitignore");
            fails("opening .gitignore", File::open(ignored), libc::ENOENT)?;
        }
        same("names", tree::names(&stage.there)?.len(), FOLDERS)
    };
    let control = stage.laptop.control();
    drop_caches()?;
    let cost = round_trips(&control, look)?;
    // There are no leases on FAT: what does not exist is asked for each time.
    if !stage.owner.unix {
        return Ok(());
    }
    ensure!(
        (1..=1 + 3 * FOLDERS as u64).contains(&cost),
        "{cost} round trips for {FOLDERS} listings"
    );
    same(
        "round trips of the same again",
        round_trips(&control, look)?,
        0,
    )?;
    let folder = stage.there.join("0");
    let cost = round_trips(&control, || {
        (0..FILES)
            .try_for_each(|number| holds(&folder.join(format!("f{number:02}")), &text(number)))
    })?;
    ensure!(
        (1..FILES as u64 / 3).contains(&cost),
        "{cost} round trips for {FILES} files"
    );
    Ok(())
}
