// SPDX-License-Identifier: GPL-2.0

//! A file system in memory, for tests.

use hmdfs_bindings as bindings;
use kernel::{
    error::{from_err_ptr, to_result},
    prelude::*,
};

use super::{path::qstr, Path, PrivateMount};

/// A file system in memory that lives as long as this value.
pub struct Tree(PrivateMount);

impl Tree {
    /// A new file system with nothing in it.
    pub fn new() -> Result<Self> {
        PrivateMount::tmpfs().map(Self)
    }

    /// The root.
    pub fn root(&self) -> Path {
        self.0.root()
    }
}

/// Makes a directory.
pub fn mkdir(parent: &Path, name: &CStr) -> Result<Path> {
    let mut qstr = qstr(name.to_bytes())?;
    // SAFETY: The parent is valid, the name outlives the call.
    let dentry = from_err_ptr(unsafe {
        bindings::start_creating(parent.idmap(), parent.dentry(), &mut qstr)
    })?;
    // SAFETY: The dentry is locked for creating it.
    let dentry = unsafe {
        bindings::vfs_mkdir(
            parent.idmap(),
            parent.inode(),
            dentry,
            0o755,
            core::ptr::null_mut(),
        )
    };
    // SAFETY: The result of `vfs_mkdir`, whatever it is, ends what `start_creating` began.
    unsafe { bindings::end_dirop(dentry) };
    from_err_ptr(dentry)?;
    parent.lookup(name.to_bytes())
}

/// Makes a symbolic link.
pub fn symlink(parent: &Path, name: &CStr, target: &CStr) -> Result<Path> {
    let mut qstr = qstr(name.to_bytes())?;
    // SAFETY: The parent is valid, the name outlives the call.
    let dentry = from_err_ptr(unsafe {
        bindings::start_creating(parent.idmap(), parent.dentry(), &mut qstr)
    })?;
    // SAFETY: The dentry is locked for creating it.
    let made = to_result(unsafe {
        bindings::vfs_symlink(
            parent.idmap(),
            parent.inode(),
            dentry,
            target.as_char_ptr(),
            core::ptr::null_mut(),
        )
    });
    // SAFETY: Ends what `start_creating` began.
    unsafe { bindings::end_dirop(dentry) };
    made?;
    parent.lookup(name.to_bytes())
}

/// Makes a regular file.
pub fn create(parent: &Path, name: &CStr, mode: u16, content: &[u8]) -> Result<Path> {
    const FLAGS: c_int = (bindings::O_CREAT | bindings::O_WRONLY) as c_int;
    // SAFETY: The parent is valid, the name outlives the call.
    let file = from_err_ptr(unsafe {
        bindings::file_open_root(parent.as_raw(), name.as_char_ptr(), FLAGS, mode)
    })?;
    // SAFETY: The file is open for writing.
    let written = unsafe {
        bindings::kernel_write(
            file,
            content.as_ptr().cast(),
            content.len(),
            core::ptr::null_mut(),
        )
    };
    // SAFETY: The reference is ours.
    unsafe { bindings::__fput_sync(file) };
    if usize::try_from(written) != Ok(content.len()) {
        return Err(EIO);
    }
    parent.lookup(name.to_bytes())
}

/// Removes what is not a directory.
pub fn unlink(parent: &Path, name: &CStr) -> Result {
    let mut qstr = qstr(name.to_bytes())?;
    // SAFETY: The parent is valid, the name outlives the call.
    let dentry = from_err_ptr(unsafe {
        bindings::start_removing(parent.idmap(), parent.dentry(), &mut qstr)
    })?;
    // SAFETY: The dentry is locked for removing it.
    let removed = to_result(unsafe {
        bindings::vfs_unlink(
            parent.idmap(),
            parent.inode(),
            dentry,
            core::ptr::null_mut(),
        )
    });
    // SAFETY: Ends what `start_removing` began.
    unsafe { bindings::end_dirop(dentry) };
    removed
}

/// Sets an extended attribute.
pub fn setxattr(path: &Path, name: &CStr, value: &[u8]) -> Result {
    // SAFETY: The dentry is valid, and so are name and value.
    to_result(unsafe {
        bindings::vfs_setxattr(
            path.idmap(),
            path.dentry(),
            name.as_char_ptr(),
            value.as_ptr().cast(),
            value.len(),
            0,
        )
    })
}
