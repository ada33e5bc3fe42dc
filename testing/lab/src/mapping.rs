// SPDX-License-Identifier: MIT OR Apache-2.0

//! Files mapped into memory.

use std::fs::File;
use std::os::fd::AsFd;
use std::ptr::null_mut;

use anyhow::{ensure, Context, Result};
use rustix::mm::{mmap, msync, munmap, MapFlags, MsyncFlags, ProtFlags};

/// A shared mapping of the beginning of a file.
pub struct Mapping {
    address: *mut std::ffi::c_void,
    length: usize,
    writable: bool,
}

impl Mapping {
    /// Maps the first `length` bytes of `file`, which must have as many.
    pub fn of(file: &File, length: usize, writable: bool) -> Result<Self> {
        ensure!(
            length > 0 && file.metadata()?.len() >= length as u64,
            "there are no {length} bytes to map"
        );
        let protection = if writable {
            ProtFlags::READ | ProtFlags::WRITE
        } else {
            ProtFlags::READ
        };
        // SAFETY: the kernel chooses the place, so no memory that is in use is replaced.
        let address = unsafe {
            mmap(
                null_mut(),
                length,
                protection,
                MapFlags::SHARED,
                file.as_fd(),
                0,
            )
        };
        let address = address.context("cannot map the file")?;
        Ok(Self {
            address,
            length,
            writable,
        })
    }

    /// A copy of what the mapping shows now.
    pub fn read(&self) -> Vec<u8> {
        let mut copy = vec![0; self.length];
        // SAFETY: `address` is mapped for `length` bytes until `drop`, and `copy` has as many.
        // A raw copy, not a slice: others may change the file meanwhile.
        unsafe {
            std::ptr::copy_nonoverlapping(self.address.cast(), copy.as_mut_ptr(), self.length);
        }
        copy
    }

    /// Stores `bytes` at `offset`.
    pub fn write(&self, offset: usize, bytes: &[u8]) -> Result<()> {
        ensure!(self.writable, "the mapping is read-only");
        ensure!(
            offset
                .checked_add(bytes.len())
                .is_some_and(|end| end <= self.length),
            "that lies outside the mapping"
        );
        // SAFETY: the range was just checked to lie within the mapping, which is writable.
        unsafe {
            std::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                self.address.cast::<u8>().add(offset),
                bytes.len(),
            );
        }
        Ok(())
    }

    /// Tells the kernel how the mapping is used; C: `madvise`.
    pub fn advise(&self, advice: i32) -> Result<()> {
        self.advise_range(0, self.length, advice)
    }

    /// The same of a part, of whole pages.
    pub fn advise_range(&self, offset: usize, length: usize, advice: i32) -> Result<()> {
        ensure!(
            offset
                .checked_add(length)
                .is_some_and(|end| end <= self.length),
            "that lies outside the mapping"
        );
        // SAFETY: the range was just checked to lie within the mapping, which is shared: nothing
        // is lost by any advice but what the file loses, too.
        let result = unsafe { libc::madvise(self.address.byte_add(offset), length, advice) };
        ensure!(result == 0, std::io::Error::last_os_error());
        Ok(())
    }

    /// Writes what was stored to the file.
    pub fn sync(&self) -> Result<()> {
        // SAFETY: the range is mapped.
        unsafe { msync(self.address, self.length, MsyncFlags::SYNC) }.context("msync failed")
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it was mapped by `of`, and nothing refers to it any more.
        if let Err(error) = unsafe { munmap(self.address, self.length) } {
            eprintln!("lab: cannot unmap a file: {error}");
        }
    }
}
