// SPDX-License-Identifier: GPL-2.0

//! Changing attributes of files.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use hmdfs_bindings as bindings;
use kernel::{error::to_result, prelude::*};

use super::{
    modify::{break_delegations, WriteAccess},
    path::Path,
    Timespec,
};

/// A time to be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetTime {
    /// The time of the change.
    Now,
    /// This one.
    To(Timespec),
}

/// Attributes to be changed; what is not given stays as it is. C: `struct iattr`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Permission bits.
    pub mode: Option<u16>,
    /// Owning user, as the initial user namespace numbers it.
    pub uid: Option<u32>,
    /// Owning group, as the initial user namespace numbers it.
    pub gid: Option<u32>,
    /// Size in bytes, of a regular file.
    pub size: Option<u64>,
    /// Last access.
    pub atime: Option<SetTime>,
    /// Last change of the data.
    pub mtime: Option<SetTime>,
}

impl Changes {
    /// What the VFS asks of a file system.
    pub(crate) fn of(attributes: &bindings::iattr) -> Self {
        let has = |bit: u32| attributes.ia_valid & bit != 0;
        let time = |bit: u32, set: u32, time: bindings::timespec64| {
            has(bit).then(|| {
                if has(set) {
                    SetTime::To(time.into())
                } else {
                    SetTime::Now
                }
            })
        };
        Self {
            mode: has(bindings::ATTR_MODE).then_some(attributes.ia_mode & 0o7777),
            // SAFETY: The initial user namespace is static; both members of the union are the
            // same.
            uid: has(bindings::ATTR_UID).then(|| unsafe {
                bindings::from_kuid(
                    &raw mut bindings::init_user_ns,
                    attributes.__bindgen_anon_1.ia_uid,
                )
            }),
            // SAFETY: As above.
            gid: has(bindings::ATTR_GID).then(|| unsafe {
                bindings::from_kgid(
                    &raw mut bindings::init_user_ns,
                    attributes.__bindgen_anon_2.ia_gid,
                )
            }),
            size: has(bindings::ATTR_SIZE)
                .then(|| u64::try_from(attributes.ia_size).unwrap_or_default()),
            atime: time(
                bindings::ATTR_ATIME,
                bindings::ATTR_ATIME_SET,
                attributes.ia_atime,
            ),
            mtime: time(
                bindings::ATTR_MTIME,
                bindings::ATTR_MTIME_SET,
                attributes.ia_mtime,
            ),
        }
    }

    /// Whether there is nothing to change.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What is asked of a file system, as the system calls do it.
    fn to_iattr(self, path: &Path) -> Result<bindings::iattr> {
        let mut valid = bindings::ATTR_CTIME;
        let mut iattr = bindings::iattr::default();
        if let Some(mode) = self.mode {
            valid |= bindings::ATTR_MODE;
            iattr.ia_mode = mode & 0o7777;
        }
        if let Some(uid) = self.uid {
            valid |= bindings::ATTR_UID;
            // SAFETY: The initial user namespace is static.
            iattr.__bindgen_anon_1.ia_uid =
                unsafe { bindings::make_kuid(&raw mut bindings::init_user_ns, uid) };
        }
        if let Some(gid) = self.gid {
            valid |= bindings::ATTR_GID;
            // SAFETY: The initial user namespace is static.
            iattr.__bindgen_anon_2.ia_gid =
                unsafe { bindings::make_kgid(&raw mut bindings::init_user_ns, gid) };
        }
        if (self.uid.is_some() || self.gid.is_some()) && !path.is_dir() {
            valid |= bindings::ATTR_KILL_PRIV;
            if self.mode.is_none() {
                // A mode that is given says which bits there are then.
                // SAFETY: The inode is valid, and the map is that of the path's mount.
                let lost =
                    unsafe { bindings::setattr_should_drop_sgid(path.idmap(), path.inode()) };
                // CAST: A set of flags.
                valid |= bindings::ATTR_KILL_SUID | lost as u32;
            }
        }
        if let Some(size) = self.size {
            valid |= bindings::ATTR_SIZE | bindings::ATTR_MTIME;
            iattr.ia_size = i64::try_from(size)?;
        }
        if let Some(time) = self.atime {
            valid |= bindings::ATTR_ATIME;
            if let SetTime::To(time) = time {
                valid |= bindings::ATTR_ATIME_SET;
                iattr.ia_atime = time.into();
            }
        }
        if let Some(time) = self.mtime {
            valid |= bindings::ATTR_MTIME;
            if let SetTime::To(time) = time {
                valid |= bindings::ATTR_MTIME_SET;
                iattr.ia_mtime = time.into();
            }
        }
        match (self.atime, self.mtime) {
            (None, None) => {}
            // Whoever may write the file may do this.
            (Some(SetTime::Now), Some(SetTime::Now)) => valid |= bindings::ATTR_TOUCH,
            _ => valid |= bindings::ATTR_TIMES_SET,
        }
        iattr.ia_valid = valid;
        Ok(iattr)
    }
}

impl Path {
    /// Changes attributes; C: `notify_change`, with what the system calls do around it.
    ///
    /// The right to write is not asked for when the size changes: that is for the caller. Waits
    /// for nobody who has a lease on the file.
    ///
    /// # Errors
    ///
    /// - [`EISDIR`], [`EINVAL`]: a size of what has none.
    /// - [`EPERM`], [`EACCES`]: the task may not do that.
    /// - [`EROFS`]: the mount is read-only.
    /// - [`EAGAIN`]: somebody has a lease on the file, and was just asked to give it up.
    pub fn set_attributes(&self, changes: &Changes) -> Result {
        if changes.size.is_some() {
            if self.is_dir() {
                return Err(EISDIR);
            }
            if !self.is_reg() {
                return Err(EINVAL);
            }
            // SAFETY: The inode is valid.
            if unsafe { bindings::inode_keeps_data(self.inode()) } {
                return Err(EPERM);
            }
            // SAFETY: The inode is valid.
            to_result(unsafe {
                bindings::break_lease(self.inode(), bindings::O_WRONLY | bindings::O_NONBLOCK)
            })?;
        }
        notify_change(self, &changes.to_iattr(self)?)
    }
}

/// C: `notify_change`, with all that goes with it.
pub(crate) fn notify_change(path: &Path, changes: &bindings::iattr) -> Result {
    let inode = path.inode();
    let truncates = changes.ia_valid & bindings::ATTR_SIZE != 0;
    let _write = WriteAccess::to(path)?;
    if truncates {
        // A file that is being executed is not truncated.
        // SAFETY: The inode is valid.
        to_result(unsafe { bindings::get_write_access(inode) })?;
    }
    let result = break_delegations(|delegated| {
        // Each try changes its argument.
        let mut changes = *changes;
        // SAFETY: The inode is valid. The order is ours before lower, always.
        unsafe { bindings::inode_lock(inode) };
        if truncates && changes.ia_valid & bindings::ATTR_MODE == 0 {
            // As `do_truncate` does: our inode tells the VFS that there is nothing to take away.
            // SAFETY: The path is valid, and its inode is locked.
            let lost = unsafe { bindings::setattr_should_drop_suidgid(path.idmap(), inode) };
            // CAST: A set of flags.
            changes.ia_valid |= lost as u32 | bindings::ATTR_KILL_PRIV;
            if lost != 0 {
                changes.ia_valid |= bindings::ATTR_FORCE;
            }
        }
        if changes.ia_valid & bindings::ATTR_MODE != 0 {
            // SAFETY: The inode is valid and locked.
            let file_type = unsafe { (*inode).i_mode } & 0o170_000;
            changes.ia_mode = changes.ia_mode & 0o7777 | file_type;
        }
        // SAFETY: The path is valid, and its inode is locked.
        let result = to_result(unsafe {
            bindings::notify_change(path.idmap(), path.dentry(), &mut changes, delegated)
        });
        // SAFETY: It was locked above.
        unsafe { bindings::inode_unlock(inode) };
        result
    });
    if truncates {
        // SAFETY: The access was got above.
        unsafe { bindings::put_write_access(inode) };
    }
    result
}
