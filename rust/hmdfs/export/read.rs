// SPDX-License-Identifier: GPL-2.0

//! The operations that read: data of regular files, and the targets of symbolic links.
//!
//! Data go behind the body of the reply, in the order of the operations, as much as there is room for.

use hmdfs_kapi::{
    page_run::PageRun,
    vfs::{Mask, RegularFile},
};
use hmdfs_proto::{self as proto, Fetched, Handle, Operation, Outcome, ReplyWriter, Target};
use kernel::{error::code::EOVERFLOW, prelude::*, sync::Arc};

use super::{access, attributes, compound::Execution, label, Client};
use crate::peer::Peer;

impl<C: Client + ?Sized> Execution<'_, C> {
    /// Reads data of the current file.
    pub(super) fn read(&mut self, offset: u64, length: u32) -> Result<Outcome<'static>> {
        let (data, end_of_file) = self.read_data(offset, length)?;
        let length = u32::try_from(data.len())?;
        self.add_data(data)?;
        Ok(Outcome::Read {
            length,
            end_of_file,
        })
    }

    /// Reads all of a small file.
    pub(super) fn read_whole(&mut self, limit: u32) -> Result<Outcome<'static>> {
        let size = self.current()?.path.getattr()?.size;
        if size > u64::from(limit) {
            return Ok(Outcome::Read {
                length: 0,
                end_of_file: false,
            });
        }
        self.read(0, limit)
    }

    /// Gives all of a small file, and a lease on it; nothing if it cannot be had just so. The current
    /// file stays the same.
    pub(super) fn fetch(&mut self, handle: &Handle, limit: u32) -> Outcome<'static> {
        let before = self.current.take();
        let fetched = self.fetch_current(handle, limit);
        self.current = before;
        // Whoever wants to know why asks for it by itself.
        Outcome::Fetched(fetched.unwrap_or(None))
    }

    /// The same, but the file is the current one afterwards.
    fn fetch_current(&mut self, handle: &Handle, limit: u32) -> Result<Option<Fetched>> {
        let found = self.find(handle)?;
        self.current = Some(found);
        let (client, export) = (self.client, self.export);
        let current = self.current()?;
        current.check_regular()?;
        let file = current.noted(export)?;
        let others = |peer: &Arc<Peer>| export.leases.may_be_written(peer, file);
        if client.peer().is_some_and(others) {
            // Nobody has asked for it, so nobody is asked.
            return Ok(None);
        }
        let lease = self.lease()?;
        let current = self.current()?;
        // That it is opened under the lease is not said, so this is for all times that it is.
        access::check_open(export, client, &current.path, Mask::Read)?;
        self.opened(false)?;
        let attributes = attributes::attributes(&self.current()?.path.getattr()?);
        if attributes.size > u64::from(limit.min(self.data_left())) {
            return Ok(None);
        }
        let (data, end_of_file) = self.read_data(0, limit)?;
        if !end_of_file {
            return Ok(None);
        }
        let length = u32::try_from(data.len())?;
        self.add_data(data)?;
        Ok(Some(Fetched {
            lease,
            attributes,
            length,
        }))
    }

    /// Data of the current file, as far as the reply has room for them, and whether they reach its end.
    fn read_data(&mut self, offset: u64, length: u32) -> Result<(PageRun, bool)> {
        let length = length.min(self.data_left());
        let (client, export) = (self.client, self.export);
        let current = self.current()?;
        current.check_regular()?;
        access::check_use(export, client, &current.path, Mask::Read)?;
        let file = self.keep_open()?;
        let data = file.splice_read(offset, usize::try_from(length)?)?;
        let read = u32::try_from(data.len())?;
        let reached = offset.saturating_add(read.into());
        let end_of_file = (length != 0 && read == 0) || reached >= file.size();
        Ok((data, end_of_file))
    }

    /// How many bytes of data the reply has room for.
    fn data_left(&self) -> u32 {
        let taken = self.data.as_ref().map_or(0, PageRun::len);
        // CAST: A reply has no more than `MAX_DATA`.
        proto::MAX_DATA.saturating_sub(taken as u32)
    }

    /// Puts more data behind those that the reply has; all or none.
    fn add_data(&mut self, data: PageRun) -> Result {
        match &mut self.data {
            Some(before) => before.append(data),
            none => {
                *none = Some(data);
                Ok(())
            }
        }
    }

    /// Finds the next data or hole of the current file.
    pub(super) fn seek(&mut self, offset: u64, hole: bool) -> Result<Outcome<'static>> {
        let (client, export) = (self.client, self.export);
        let current = self.current()?;
        current.check_regular()?;
        access::check_use(export, client, &current.path, Mask::Read)?;
        Ok(Outcome::Position(self.keep_open()?.seek(offset, hole)?))
    }

    /// The current file, regular and checked, open for reading; it stays so for a while.
    pub(super) fn keep_open(&mut self) -> Result<Arc<RegularFile>> {
        let export = self.export;
        let current = self.current()?;
        if let Some(file) = &current.file {
            return Ok(file.clone());
        }
        let handle = current.handle(export)?;
        let file = match export.files.regular(&handle) {
            Some(file) => file,
            None => {
                let file = Arc::new(
                    RegularFile::open(&current.path, &export.server)?,
                    GFP_KERNEL,
                )?;
                export.files.keep_regular(&handle, &file);
                file
            }
        };
        current.file = Some(file.clone());
        Ok(file)
    }

    /// Gives the target of the current file, a symbolic link.
    pub(super) fn read_link(
        &mut self,
        operation: &Operation<'_>,
        writer: &mut ReplyWriter<'_>,
    ) -> Result {
        let (client, export) = (self.client, self.export);
        let current = self.current()?;
        if !current.path.is_symlink() {
            return Err(EINVAL);
        }
        label::check(export, client, &current.path)?;
        current.path.with_link(|target| {
            let target = Target::new(target).map_err(|_| EIO)?;
            writer
                .push(operation, &Outcome::Target(target))
                .map_err(|_| EOVERFLOW)
        })?
    }
}
