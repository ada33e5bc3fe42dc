// SPDX-License-Identifier: GPL-2.0

//! Locks on the library's files, and what depends on them.

use hmdfs_bindings as bindings;
use kernel::{error::from_result, prelude::*};

use super::{
    killable::{transfer, write_through},
    table::Vtable,
    Operations,
};
use crate::{
    errno::ENOLCK,
    fs::{
        lock::{FileLock, Owner},
        File, FileSystem,
    },
    vfs::lock::Class,
};

impl<F: FileSystem, T: Operations<F>> Vtable<F, T> {
    /// # Safety
    ///
    /// The VFS calls this with an open file, and a lock of the calling task that is in no list.
    pub(super) unsafe extern "C" fn lock(
        file: *mut bindings::file,
        command: c_int,
        lock: *mut kernel::bindings::file_lock,
    ) -> c_int {
        from_result(|| {
            // SAFETY: By the function's contract.
            let file = unsafe { File::<F>::from_raw(file) };
            // SAFETY: By the function's contract; the two are one type.
            let mut lock = unsafe { FileLock::from_raw(file, lock.cast()) };
            match command as u32 {
                bindings::F_GETLK => T::test_lock(file.inode(), &mut lock)?,
                bindings::F_SETLK | bindings::F_SETLKW => T::lock(file.inode(), &mut lock)?,
                bindings::F_CANCELLK => {}
                _ => return Err(ENOLCK.into()),
            }
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// As for [`Self::lock`].
    pub(super) unsafe extern "C" fn flock(
        file: *mut bindings::file,
        _command: c_int,
        lock: *mut kernel::bindings::file_lock,
    ) -> c_int {
        // Whether to wait is in the lock.
        // SAFETY: By the function's contract.
        unsafe { Self::lock(file, bindings::F_SETLK as c_int, lock) }
    }

    /// # Safety
    ///
    /// The VFS calls this with a request for an open file, and where its data go.
    pub(super) unsafe extern "C" fn read_iter(
        request: *mut bindings::kiocb,
        to: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: By the function's contract.
        match unsafe { Self::may_transfer((*request).ki_filp) } {
            // SAFETY: By the function's contract.
            Ok(()) => unsafe { transfer(request, to, bindings::netfs_file_read_iter) },
            Err(error) => error.to_errno() as isize,
        }
    }

    /// # Safety
    ///
    /// The VFS calls this with a request for an open file, and where its data come from.
    pub(super) unsafe extern "C" fn write_iter(
        request: *mut bindings::kiocb,
        from: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: By the function's contract.
        if let Err(error) = unsafe { Self::may_transfer((*request).ki_filp) } {
            return error.to_errno() as isize;
        }
        // SAFETY: By the function's contract.
        let (flags, file) =
            unsafe { ((*request).ki_flags, File::<F>::from_raw((*request).ki_filp)) };
        let inode = file.inode();
        let is_direct = flags & bindings::IOCB_DIRECT as c_int != 0;
        if !is_direct && T::writes_through(inode) {
            let written = (|| {
                let _lock = inode.lock_killable()?;
                inode.dio_wait();
                inode.write_and_wait()?;
                if flags & bindings::IOCB_APPEND != 0 {
                    T::find_end(inode);
                }
                // SAFETY: By the function's contract; the inode is locked.
                Ok::<_, Error>(unsafe { write_through(request, from) })
            })();
            let written = written.unwrap_or_else(|error| error.to_errno() as isize);
            // SAFETY: By the function's contract.
            return unsafe { bindings::generic_write_sync(request, written) };
        }
        // SAFETY: By the function's contract.
        let written = unsafe { transfer(request, from, bindings::netfs_write_iter) };
        if is_direct {
            // SAFETY: By the function's contract.
            return unsafe { bindings::generic_write_sync(request, written) };
        }
        if written > 0 && !T::may_stay(inode) {
            // An error is told when the file is closed, as of all that is written later.
            let _ = inode.write_and_wait();
        }
        written
    }

    /// # Safety
    ///
    /// `file` must be an open file.
    unsafe fn may_transfer(file: *mut bindings::file) -> Result {
        // SAFETY: By the function's contract.
        let file = unsafe { File::<F>::from_raw(file) };
        T::may_transfer(file.inode(), file)
    }

    /// Whoever opens the file on any device after it was closed here sees what was written; unless
    /// whoever closes it was killed, and does not wait for it.
    ///
    /// # Safety
    ///
    /// The VFS calls this with a file of which a descriptor is closed.
    pub(super) unsafe extern "C" fn flush(
        file: *mut bindings::file,
        owner: bindings::fl_owner_t,
    ) -> c_int {
        let mut result = 0;
        // SAFETY: By the function's contract.
        if unsafe { (*file).f_mode } & bindings::FMODE_WRITE != 0 {
            // SAFETY: By the function's contract.
            result = unsafe { bindings::file_write_and_wait_killable(file, 0, i64::MAX) };
        }
        // SAFETY: By the function's contract.
        let inode = unsafe { File::<F>::from_raw(file) }.inode();
        T::closed(
            inode,
            Owner {
                class: Class::Posix,
                address: owner.addr(),
            },
        );
        result
    }

    /// Gives up what locks the open file may still have.
    pub(super) fn released(file: &File<F>) {
        for class in [Class::Ofd, Class::Flock] {
            T::closed(file.inode(), Owner::file(class, file));
        }
    }
}
