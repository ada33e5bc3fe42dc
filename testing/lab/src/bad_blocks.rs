// SPDX-License-Identifier: MIT OR Apache-2.0

//! A disk that cannot store what is written to some of its blocks.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};
use rustix::fs::{fallocate, FallocateFlags};

use crate::storage::Storage;

/// Of linux/fs.h and linux/fiemap.h.
const FS_IOC_FIEMAP: libc::c_ulong = 0xc020_660b;
const FIEMAP_FLAG_SYNC: u32 = 1;
const MOST_EXTENTS: usize = 32;

/// C: `struct fiemap_extent`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Extent {
    logical: u64,
    physical: u64,
    length: u64,
    reserved: [u64; 2],
    flags: u32,
    reserved_too: [u32; 3],
}

/// C: `struct fiemap`, with room for some extents.
#[repr(C)]
struct Map {
    start: u64,
    length: u64,
    flags: u32,
    mapped: u32,
    room: u32,
    reserved: u32,
    extents: [Extent; MOST_EXTENTS],
}

/// Where on its disk a file's data lie: first byte, and number of bytes.
fn extents(path: &Path) -> Result<Vec<(u64, u64)>> {
    let file = File::open(path)?;
    let mut map = Map {
        start: 0,
        length: u64::MAX,
        flags: FIEMAP_FLAG_SYNC,
        mapped: 0,
        room: MOST_EXTENTS as u32,
        reserved: 0,
        extents: [Extent::default(); MOST_EXTENTS],
    };
    // SAFETY: the request reads and writes such a structure, with as much room as it says.
    if unsafe { libc::ioctl(file.as_raw_fd(), FS_IOC_FIEMAP as _, &mut map) } < 0 {
        return Err(io::Error::last_os_error()).context("FS_IOC_FIEMAP");
    }
    let mapped = &map.extents[..(map.mapped as usize).min(MOST_EXTENTS)];
    Ok(mapped
        .iter()
        .map(|extent| (extent.physical, extent.length))
        .collect())
}

/// Until this is dropped, nothing that is written to the blocks of one file can be stored.
///
/// The disk is an image in a small file system. All of it gets space there, but for these blocks,
/// and then there is no space any more.
pub struct BadBlocks {
    filler: PathBuf,
}

impl BadBlocks {
    /// Breaks the disk [`Storage::Thin`] that is mounted at `target` where the file `path` lies,
    /// which must have its blocks already, in a file system that does not move them.
    pub fn below(path: &Path, target: &Path) -> Result<Self> {
        let image = Storage::thin_image(target);
        let filler = image.with_file_name("filler");
        let disk = File::options().write(true).open(&image)?;
        let size = disk.metadata()?.len();
        fallocate(&disk, FallocateFlags::empty(), 0, size).context("all space of the disk")?;
        let extents = extents(path)?;
        ensure!(!extents.is_empty(), "{} has no blocks", path.display());
        let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        for (start, length) in extents {
            fallocate(&disk, punch, start, length).context("a hole in the disk")?;
        }
        let broken = Self { filler };
        let mut file = File::create(&broken.filler)?;
        let chunk = vec![0; 65_536];
        let filled = loop {
            if let Err(error) = file.write_all(&chunk) {
                break error;
            }
        };
        ensure!(
            filled.raw_os_error() == Some(libc::ENOSPC),
            "the disk cannot be filled: {filled}"
        );
        Ok(broken)
    }
}

impl Drop for BadBlocks {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.filler) {
            eprintln!("lab: cannot remove {}: {error}", self.filler.display());
        }
    }
}
