// SPDX-License-Identifier: GPL-2.0

//! Attributes of the lower file system, as the protocol tells them.

use hmdfs_kapi::{
    fs::inode::current_time,
    vfs::{Stat, StatFs, Timespec},
};
use hmdfs_model::change::{may_keep_time, Version};
use hmdfs_proto as proto;
use kernel::sync::atomic::{Atomic, Relaxed};

/// The attributes of a file.
pub(super) fn attributes(stat: &Stat) -> proto::Attributes {
    let version = Version {
        cookie: stat.change_cookie.or_else(|| of_coarse_time(stat)),
        ctime_seconds: stat.ctime.seconds,
        ctime_nanoseconds: stat.ctime.nanoseconds,
        size: stat.size,
    };
    proto::Attributes {
        mode: stat.mode,
        nlink: stat.nlink,
        uid: stat.uid,
        gid: stat.gid,
        rdev: stat.rdev,
        ino: stat.ino,
        size: stat.size,
        blocks: stat.blocks,
        blksize: stat.blksize,
        atime: timestamp(stat.atime),
        mtime: timestamp(stat.mtime),
        ctime: timestamp(stat.ctime),
        btime: stat.btime.map_or_else(Default::default, timestamp),
        change: version.change(),
    }
}

/// What tells a file apart from what it was a moment ago, where its times may not: nothing that was
/// known of it is the same, until the time has passed that a value of `ctime` stands for.
fn of_coarse_time(stat: &Stat) -> Option<u64> {
    static ASKED: Atomic<u64> = Atomic::new(0);
    if stat.has_fine_times {
        return None;
    }
    let (seconds, nanoseconds) = current_time();
    may_keep_time(stat.ctime.seconds, seconds).then(|| {
        // CAST: Just a number; another one each time, also after a new start.
        (seconds as u64)
            .wrapping_mul(1_000_000_000)
            .wrapping_add(nanoseconds.into())
            .wrapping_add(ASKED.fetch_add(1, Relaxed))
    })
}

/// Space and file counts of a file system.
pub(super) fn file_system(statfs: &StatFs) -> proto::FileSystem {
    proto::FileSystem {
        block_size: statfs.block_size,
        blocks: statfs.blocks,
        blocks_free: statfs.blocks_free,
        blocks_available: statfs.blocks_available,
        files: statfs.files,
        files_free: statfs.files_free,
        name_max: statfs.name_max,
    }
}

fn timestamp(time: Timespec) -> proto::Timestamp {
    // Never fails: the nanoseconds of a `Timespec` are in range.
    proto::Timestamp::new(time.seconds, time.nanoseconds).unwrap_or_default()
}
