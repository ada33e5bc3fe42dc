// SPDX-License-Identifier: MIT OR Apache-2.0

//! Does what a step says, as a program would.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{copy_file_range, fallocate, FallocateFlags};

use super::step::{Action, Name, Outcome, Range};
use crate::mapping::Mapping;
use crate::random::Random;

/// Carries out an action in `folder`.
pub fn perform(folder: &Path, action: &Action) -> Outcome {
    match attempt(folder, action) {
        Ok(outcome) => outcome,
        // Errors of the tests themselves have no number, and are no errno that is expected.
        Err(error) => Outcome::Failed(error.raw_os_error().unwrap_or(-1)),
    }
}

fn attempt(folder: &Path, action: &Action) -> io::Result<Outcome> {
    let path = |name: &Name| folder.join(name.path());
    let writable = |name: &Name| OpenOptions::new().read(true).write(true).open(path(name));
    match action {
        Action::Create(name) => {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).open(path(name))?;
        }
        Action::Remove(name) => fs::remove_file(path(name))?,
        Action::Rename(from, to) => fs::rename(path(from), path(to))?,
        Action::Link(from, to) => fs::hard_link(path(from), path(to))?,
        Action::Write(name, range, seed) => {
            let open = OpenOptions::new().write(true).open(path(name))?;
            open.write_all_at(&Random::new(*seed).bytes(range.length), range.at as u64)?;
        }
        Action::Append(name, length, seed) => {
            let mut open = OpenOptions::new().append(true).open(path(name))?;
            open.write_all(&Random::new(*seed).bytes(*length))?;
        }
        Action::Map(name, range, seed) => {
            let open = writable(name)?;
            let mapping = Mapping::of(&open, range.at + range.length, true).map_err(other)?;
            let bytes = Random::new(*seed).bytes(range.length);
            mapping.write(range.at, &bytes).map_err(other)?;
            mapping.sync().map_err(other)?;
        }
        Action::Direct(name, range, seed) => direct(&path(name), *range, *seed)?,
        Action::Truncate(name, size) => writable(name)?.set_len(*size as u64)?,
        Action::Punch(name, range) => allocate(
            &writable(name)?,
            FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
            *range,
        )?,
        Action::Zero(name, range) => {
            allocate(&writable(name)?, FallocateFlags::ZERO_RANGE, *range)?;
        }
        Action::Copy(from, range, to, at) => {
            let (source, target) = (File::open(path(from))?, writable(to)?);
            copy(&source, *range, &target, *at)?;
        }
        Action::Read(name) => {
            let mut content = Vec::new();
            File::open(path(name))?.read_to_end(&mut content)?;
            return Ok(Outcome::Content(content));
        }
        Action::ReadMapped(name) => {
            let open = File::open(path(name))?;
            let length = open.metadata()?.len() as usize;
            let mapping = Mapping::of(&open, length, false).map_err(other)?;
            return Ok(Outcome::Content(mapping.read()));
        }
        Action::Stat(name) => {
            let metadata = fs::metadata(path(name))?;
            return Ok(Outcome::Stat(metadata.len(), metadata.nlink()));
        }
        Action::List => {
            let mut names = BTreeSet::new();
            for directory in ["d0", "d1"] {
                for entry in fs::read_dir(folder.join(directory))? {
                    let name = entry?.file_name();
                    names.insert(format!("{directory}/{}", name.to_string_lossy()));
                }
            }
            return Ok(Outcome::Names(names));
        }
    }
    Ok(Outcome::Done)
}

fn other(error: anyhow::Error) -> io::Error {
    io::Error::other(format!("{error:#}"))
}

fn allocate(file: &File, flags: FallocateFlags, range: Range) -> io::Result<()> {
    Ok(fallocate(
        file,
        flags,
        range.at as u64,
        range.length as u64,
    )?)
}

fn direct(path: &Path, range: Range, seed: u64) -> io::Result<()> {
    let mut buffer = vec![0; range.length + 4096];
    let start = buffer.as_ptr().align_offset(4096);
    let aligned = &mut buffer[start..start + range.length];
    aligned.copy_from_slice(&Random::new(seed).bytes(range.length));
    let mut options = OpenOptions::new();
    let open = options
        .write(true)
        .custom_flags(libc::O_DIRECT)
        .open(path)?;
    open.write_all_at(aligned, range.at as u64)
}

/// Copies as cp does: in the kernel where it can, else by hand (a file onto itself where the
/// ranges overlap).
fn copy(source: &File, range: Range, target: &File, at: usize) -> io::Result<()> {
    let (mut from, mut to) = (range.at as u64, at as u64);
    let mut left = range.length;
    while left != 0 {
        match copy_file_range(source, Some(&mut from), target, Some(&mut to), left) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
            Ok(copied) => left -= copied,
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::XDEV) => {
                let mut bytes = vec![0; left];
                source.read_exact_at(&mut bytes, from)?;
                target.write_all_at(&bytes, to)?;
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
