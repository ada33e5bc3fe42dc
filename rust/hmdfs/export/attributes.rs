// SPDX-License-Identifier: GPL-2.0

//! Attributes of the lower file system, as the protocol tells them.

use hmdfs_kapi::vfs::{Stat, StatFs, Timespec};
use hmdfs_model::change::Version;
use hmdfs_proto as proto;

/// The attributes of a file.
pub(super) fn attributes(stat: &Stat) -> proto::Attributes {
    let version = Version {
        cookie: stat.change_cookie,
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
