// SPDX-License-Identifier: GPL-2.0

//! Attributes of files and file systems.
//!
//! C headers: [`include/linux/stat.h`](srctree/include/linux/stat.h),
//! [`include/linux/statfs.h`](srctree/include/linux/statfs.h)

use hmdfs_bindings as bindings;
use kernel::{error::to_result, prelude::*};

use super::Path;

/// Seconds since 1970 and nanoseconds; C: `struct timespec64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timespec {
    /// Seconds.
    pub seconds: i64,
    /// Nanoseconds, less than a billion.
    pub nanoseconds: u32,
}

impl From<bindings::timespec64> for Timespec {
    fn from(time: bindings::timespec64) -> Self {
        Self {
            seconds: time.tv_sec,
            // What is out of range would be a bug of the file system; it must not be ours.
            nanoseconds: u32::try_from(time.tv_nsec)
                .map_or(0, |nanoseconds| core::cmp::min(nanoseconds, 999_999_999)),
        }
    }
}

impl From<Timespec> for bindings::timespec64 {
    fn from(time: Timespec) -> Self {
        Self {
            tv_sec: time.seconds,
            // CAST: Less than a billion.
            tv_nsec: time.nanoseconds as isize,
        }
    }
}

/// Attributes of a file; C: `struct kstat`.
#[derive(Clone, Copy, Debug)]
pub struct Stat {
    /// Type and permission bits.
    pub mode: u16,
    /// Number of hard links.
    pub nlink: u32,
    /// Owning user, as the initial user namespace numbers it.
    pub uid: u32,
    /// Owning group, as the initial user namespace numbers it.
    pub gid: u32,
    /// Major and minor number of a device node.
    pub rdev: (u32, u32),
    /// Inode number.
    pub ino: u64,
    /// Size in bytes.
    pub size: u64,
    /// Space taken, in units of 512 bytes.
    pub blocks: u64,
    /// Preferred size of an I/O, in bytes.
    pub blksize: u32,
    /// Last access.
    pub atime: Timespec,
    /// Last change of the data.
    pub mtime: Timespec,
    /// Last change of anything.
    pub ctime: Timespec,
    /// Creation, where the file system knows it.
    pub btime: Option<Timespec>,
    /// The file system's counter of changes (`STATX_CHANGE_COOKIE`), where it has one.
    pub change_cookie: Option<u64>,
    /// Whether each change that somebody could know of gives `ctime` another value; C: `FS_MGTIME`.
    pub has_fine_times: bool,
}

/// Space and file counts; C: `struct kstatfs`.
#[derive(Clone, Copy, Debug, Default)]
pub struct StatFs {
    /// Size of a block, in bytes.
    pub block_size: u32,
    /// All blocks.
    pub blocks: u64,
    /// Free blocks.
    pub blocks_free: u64,
    /// Blocks that are free for ordinary users.
    pub blocks_available: u64,
    /// All inodes.
    pub files: u64,
    /// Free inodes.
    pub files_free: u64,
    /// Most bytes in a name.
    pub name_max: u32,
}

impl Path {
    /// The attributes of the file; C: `vfs_getattr`.
    pub fn getattr(&self) -> Result<Stat> {
        const WANTED: u32 =
            bindings::STATX_BASIC_STATS | bindings::STATX_BTIME | bindings::STATX_CHANGE_COOKIE;
        let mut stat = bindings::kstat::default();
        // SAFETY: The path is valid, and `stat` may be written.
        to_result(unsafe {
            bindings::vfs_getattr(
                self.as_raw(),
                &mut stat,
                WANTED,
                bindings::AT_STATX_SYNC_AS_STAT,
            )
        })?;
        let has = |bit: u32| stat.result_mask & bit != 0;
        Ok(Stat {
            mode: stat.mode,
            nlink: stat.nlink,
            // SAFETY: The initial user namespace is static.
            uid: unsafe { bindings::from_kuid_munged(&raw mut bindings::init_user_ns, stat.uid) },
            // SAFETY: The initial user namespace is static.
            gid: unsafe { bindings::from_kgid_munged(&raw mut bindings::init_user_ns, stat.gid) },
            rdev: (
                stat.rdev >> bindings::MINORBITS,
                stat.rdev & ((1 << bindings::MINORBITS) - 1),
            ),
            ino: stat.ino,
            size: u64::try_from(stat.size).map_err(|_| EIO)?,
            blocks: stat.blocks,
            blksize: stat.blksize,
            atime: stat.atime.into(),
            mtime: stat.mtime.into(),
            ctime: stat.ctime.into(),
            btime: has(bindings::STATX_BTIME).then(|| stat.btime.into()),
            change_cookie: has(bindings::STATX_CHANGE_COOKIE).then_some(stat.change_cookie),
            // SAFETY: The superblock is valid, and has a type.
            has_fine_times: unsafe { bindings::sb_has_fine_times(self.super_block()) },
        })
    }

    /// Space and file counts of the file's file system; C: `vfs_statfs`.
    pub fn statfs(&self) -> Result<StatFs> {
        let mut statfs = bindings::kstatfs::default();
        // SAFETY: The path is valid, and `statfs` may be written.
        to_result(unsafe { bindings::vfs_statfs(self.as_raw(), (&raw mut statfs).cast()) })?;
        Ok(StatFs {
            block_size: u32::try_from(statfs.f_bsize).map_err(|_| EIO)?,
            blocks: statfs.f_blocks,
            blocks_free: statfs.f_bfree,
            blocks_available: statfs.f_bavail,
            files: statfs.f_files,
            files_free: statfs.f_ffree,
            name_max: u32::try_from(statfs.f_namelen).map_err(|_| EIO)?,
        })
    }
}
