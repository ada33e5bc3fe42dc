// SPDX-License-Identifier: GPL-2.0

//! The operations that change the data of a regular file, and bring them to stable storage.

use hmdfs_kapi::{
    page_run::PageRun,
    vfs::{Allocation, DirectoryFile, Mask, RegularFile},
};
use hmdfs_proto::{Allocate, AllocateMode, Handle, Outcome, Written};
use kernel::prelude::*;

use super::{
    access,
    compound::Execution,
    writers,
    Client, //
};

impl<'a, C: Client + ?Sized> Execution<'a, C> {
    /// Writes the request's data to the current file.
    pub(super) fn write(&mut self, offset: u64, length: u32) -> Result<Outcome<'static>> {
        // Decoding has seen to it that there is one write, with as much data as it says.
        let data = self.input.take().unwrap_or_else(PageRun::new);
        if data.len() != usize::try_from(length)? {
            return Err(EINVAL);
        }
        let (client, export) = (self.client, self.export);
        let current = self.current()?;
        current.check_regular()?;
        access::check_use(export, client, &current.path, Mask::Write)?;
        let writer = export.writers.open(&current.path, &export.server)?;
        let turn = writer.turn.lock();
        let disturbed = writer.file.has_other_writers();
        let errors = current.path.sample_errors();
        let before = current.change()?;
        let written = writer.file.write(offset, &data)?;
        export.unstored.written(&current.path, errors);
        let after = current.change()?;
        // The attribute does not tell how many changes there were. A program of this device that
        // may have made one must not pass for the client.
        let before = if disturbed || writer.file.has_other_writers() {
            after
        } else {
            before
        };
        drop(turn);
        Ok(Outcome::Written(Written {
            length: u32::try_from(written)?,
            before,
            after,
            errors,
        }))
    }

    /// Waits until the current file is on stable storage; fails with the error that its data have
    /// met with since the mark `errors`.
    pub(super) fn sync(
        &mut self,
        data_only: bool,
        errors: Option<u32>,
    ) -> Result<Outcome<'static>> {
        let export = self.export;
        let current = self.current()?;
        if current.path.is_dir() {
            DirectoryFile::open(&current.path, &export.server)?.fsync()?;
        } else {
            current.check_regular()?;
            self.keep_open()?.fsync(data_only)?;
        }
        // Whoever shares the open file may have been told of it in the client's place.
        let path = &self.current()?.path;
        let mut mark = errors.unwrap_or_else(|| path.sample_errors());
        path.check_errors(&mut mark)?;
        Ok(Outcome::Synced(mark))
    }

    /// Waits until everything in the current file's file system is on stable storage.
    pub(super) fn sync_file_system(&mut self) -> Result<Outcome<'static>> {
        access::check_change(self.client)?;
        let client = self.client;
        let path = &self.current()?.path;
        path.sync_filesystem()?;
        if let Some((replay, _)) = client.replay() {
            replay.check_errors(path)?;
        }
        Ok(Outcome::Done)
    }

    /// Allocates or frees space of the current file.
    pub(super) fn allocate(&mut self, allocate: &Allocate) -> Result<Outcome<'static>> {
        let writer = self.writer()?;
        let what = match allocate.mode {
            AllocateMode::Allocate => Allocation::Allocate,
            AllocateMode::PunchHole => Allocation::PunchHole,
            AllocateMode::ZeroRange => Allocation::ZeroRange,
            AllocateMode::CollapseRange => Allocation::CollapseRange,
            AllocateMode::InsertRange => Allocation::InsertRange,
            AllocateMode::Unshare => Allocation::Unshare,
        };
        let _turn = writer.turn.lock();
        writer
            .file
            .fallocate(what, allocate.keep_size, allocate.offset, allocate.length)?;
        Ok(Outcome::Done)
    }

    /// Copies from the file `source` to the current file.
    pub(super) fn copy(
        &mut self,
        source: &Handle,
        source_offset: u64,
        offset: u64,
        length: u64,
        clone: bool,
    ) -> Result<Outcome<'static>> {
        let (client, export) = (self.client, self.export);
        let source = self.file(source)?;
        source.check_regular()?;
        access::check_use(export, client, &source.path, Mask::Read)?;
        let from = RegularFile::open(&source.path, &export.server)?;
        let writer = self.writer()?;
        let errors = self.current()?.path.sample_errors();
        let _turn = writer.turn.lock();
        let copied = if clone {
            writer
                .file
                .clone_from(&from, source_offset, offset, length)?
        } else {
            writer
                .file
                .copy_from(&from, source_offset, offset, length)?
        };
        export.unstored.written(&self.current()?.path, errors);
        Ok(Outcome::Copied(copied))
    }

    /// The current file, open for writing, after all checks.
    fn writer(&mut self) -> Result<writers::Use<'a>> {
        let (client, export) = (self.client, self.export);
        let current = self.current()?;
        current.check_regular()?;
        access::check_use(export, client, &current.path, Mask::Write)?;
        export.writers.open(&current.path, &export.server)
    }
}
