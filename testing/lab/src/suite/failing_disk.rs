// SPDX-License-Identifier: MIT OR Apache-2.0

//! Owners whose disks cannot store what they were given: whoever wrote it is told, once by each
//! open file, and nothing is shown as stored that is not.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{ensure, Context, Result};

use crate::bad_blocks::BadBlocks;
use crate::fleet::{Fleet, Plan};
use crate::mapping::Mapping;
use crate::random::Random;
use crate::storage::Storage;
use crate::suite::support::{close, drop_caches, fails, holds, open_with, writable};
use crate::suite::{tests, Group};

/// Two that write to a tablet.
pub const GROUP: Group = Group {
    name: "failing_disk",
    fleet: Some(prepare),
    seconds: 4,
    tests: tests![
        Fleet: each_open_file_is_told_once,
        what_was_closed_is_told_to_who_asks,
        what_the_owner_has_forgotten_is_told,
        a_program_of_the_owner_takes_no_error_away,
        what_is_stored_at_once_fails_at_once,
        the_others_files_are_stored,
    ],
};

fn prepare() -> Result<Fleet> {
    Plan::with_storage(vec![
        ("laptop", Storage::Memory(64)),
        ("phone", Storage::Memory(64)),
        ("tablet", Storage::Thin("ext4", 48, 64)),
    ])
    .policy("tablet", "laptop", "write", 4)
    .policy("tablet", "phone", "write", 4)
    .start()
}

const SIZE: usize = 256 << 10;

/// Far from the ends of the file, whose blocks may share a page of the disk with others.
const PLACE: u64 = 128 << 10;

/// By then an owner has looked through the files that it keeps until they are stored.
const LOOKED_THROUGH: Duration = Duration::from_secs(3);

/// A file of the tablet, on blocks that nothing can be written to.
struct Doomed {
    home: PathBuf,
    laptop: PathBuf,
    phone: PathBuf,
    /// What was stored before.
    content: Vec<u8>,
    blocks: Option<BadBlocks>,
}

impl Doomed {
    fn new(fleet: &Fleet, name: &str) -> Result<Self> {
        let export = fleet.device("tablet")?.export();
        let home = export.join(name);
        let content = Random::new(31).bytes(SIZE);
        fs::write(&home, &content)?;
        File::open(&home)?.sync_all()?;
        drop_caches()?;
        Ok(Self {
            blocks: Some(BadBlocks::below(&home, &export)?),
            laptop: fleet.device("laptop")?.view("tablet").join(name),
            phone: fleet.device("phone")?.view("tablet").join(name),
            home,
            content,
        })
    }

    /// When the disk works again, so does the file, and all see the same.
    fn repaired(mut self) -> Result<()> {
        self.blocks = None;
        let open = writable(&self.laptop)?;
        open.write_all_at(&self.content, 0)?;
        open.sync_all().context("on a disk that works again")?;
        close(open).context("close")?;
        drop_caches()?;
        for path in [&self.home, &self.laptop, &self.phone] {
            holds(path, &self.content)?;
        }
        fs::remove_file(self.home)?;
        Ok(())
    }
}

/// Gives the owner what was written to `file`, which stays open.
fn hand_over(file: &File) -> Result<()> {
    close(file.try_clone()?).context("closing it once")
}

/// What says that it was not stored.
fn lost(what: &str, result: io::Result<()>) -> Result<()> {
    fails(what, result, libc::ENOSPC)
}

fn each_open_file_is_told_once(fleet: &mut Fleet) -> Result<()> {
    let doomed = Doomed::new(fleet, "told once")?;
    let (first, second) = (writable(&doomed.laptop)?, writable(&doomed.laptop)?);
    let phones = writable(&doomed.phone)?;
    first.write_all_at(b"lost by the laptop", PLACE)?;
    hand_over(&first)?;
    phones.write_all_at(b"lost by the phone", PLACE + 50_000)?;
    hand_over(&phones)?;
    lost("fsync", first.sync_all())?;
    lost("fsync of the phone", phones.sync_data())?;
    lost("fsync of the other file", second.sync_data())?;
    for file in [&first, &second, &phones] {
        file.sync_all().context("it was told already")?;
    }
    // And again, for what is written then.
    second.write_all_at(b"lost, too", PLACE)?;
    lost("fsync", second.sync_all())?;
    lost("fsync of the first", first.sync_all())?;
    for file in [first, second, phones] {
        close(file).context("it was told already")?;
    }
    doomed.repaired()
}

/// That a file is closed means that its owner has the data; `fsync` tells what became of them.
fn what_was_closed_is_told_to_who_asks(fleet: &mut Fleet) -> Result<()> {
    let doomed = Doomed::new(fleet, "closed")?;
    let open = writable(&doomed.laptop)?;
    let other = writable(&doomed.laptop)?;
    other.write_all_at(b"lost", PLACE)?;
    close(other).context("close")?;
    let folder = File::open(fleet.device("laptop")?.view("tablet"))?;
    // SAFETY: the descriptor is open.
    let synced = unsafe { libc::syncfs(folder.as_raw_fd()) };
    ensure!(synced < 0, "all was stored");
    lost("fsync", open.sync_all())?;
    open.sync_all().context("it was told already")?;
    drop(open);
    doomed.repaired()
}

/// It was told to the owner's kernel in the background, which has nothing of the file in memory
/// when it is asked.
fn what_the_owner_has_forgotten_is_told(fleet: &mut Fleet) -> Result<()> {
    let doomed = Doomed::new(fleet, "forgotten")?;
    let open = writable(&doomed.laptop)?;
    open.write_all_at(b"lost", PLACE)?;
    hand_over(&open)?;
    for _ in 0..3 {
        drop_caches()?;
        thread::sleep(LOOKED_THROUGH);
    }
    lost("fsync", open.sync_all())?;
    open.sync_all().context("it was told already")?;
    drop(open);
    doomed.repaired()
}

fn a_program_of_the_owner_takes_no_error_away(fleet: &mut Fleet) -> Result<()> {
    let doomed = Doomed::new(fleet, "shared")?;
    let open = writable(&doomed.laptop)?;
    open.write_all_at(b"lost", PLACE)?;
    hand_over(&open)?;
    let local = writable(&doomed.home)?;
    lost("fsync of the owner", local.sync_all())?;
    lost("fsync", open.sync_all())?;
    // And the other way round.
    open.write_all_at(b"lost", PLACE)?;
    lost("fsync", open.sync_all())?;
    lost("fsync of the owner", local.sync_all())?;
    drop((open, local));
    doomed.repaired()
}

fn what_is_stored_at_once_fails_at_once(fleet: &mut Fleet) -> Result<()> {
    let doomed = Doomed::new(fleet, "at once")?;
    for flag in [libc::O_SYNC, libc::O_DSYNC] {
        let open = open_with(&doomed.laptop, libc::O_WRONLY | flag)?;
        lost("write", open.write_all_at(b"lost", PLACE))?;
        open.sync_all().context("it was told already")?;
    }
    let open = writable(&doomed.laptop)?;
    let mapping = Mapping::of(&open, SIZE, true)?;
    mapping.write(PLACE as usize, b"lost")?;
    ensure!(mapping.sync().is_err(), "msync has stored it");
    mapping.sync().context("it was told already")?;
    drop((mapping, open));
    doomed.repaired()
}

fn the_others_files_are_stored(fleet: &mut Fleet) -> Result<()> {
    let doomed = Doomed::new(fleet, "beside")?;
    let other = doomed.laptop.with_file_name("sound");
    fs::write(doomed.home.with_file_name("sound"), [0; 8192])?;
    let (lame, sound) = (writable(&doomed.laptop)?, writable(&other)?);
    for round in 0..3_u8 {
        lame.write_all_at(&[round; 4096], PLACE)?;
        sound.write_all_at(&[round; 4096], 0)?;
        lost("fsync", lame.sync_all())?;
        sound.sync_all().context("of a file that has its blocks")?;
    }
    drop((lame, sound));
    fs::remove_file(other)?;
    doomed.repaired()
}
