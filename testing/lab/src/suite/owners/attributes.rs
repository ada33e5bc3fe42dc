// SPDX-License-Identifier: MIT OR Apache-2.0

//! Attributes: what is told of the owner's, and what programs set.

use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::fs::{chown, symlink, FileExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use rustix::fs::{listxattr, removexattr, statvfs, statx, AtFlags, StatxFlags, XattrFlags, CWD};

use super::Stage;
use crate::suite::remote_attributes::{mtime, set, some_list, time, utimes, value, ACCESS, ANY};
use crate::suite::support::{drop_caches, fails, holds, same, same_bytes};

/// What statx(2) tells of a file that does not depend on where it is seen.
fn known(path: &Path) -> Result<String> {
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    let state = statx(
        CWD,
        path,
        flags,
        StatxFlags::BASIC_STATS | StatxFlags::BTIME,
    )
    .with_context(|| format!("statx of {}", path.display()))?;
    let stamp = |time: rustix::fs::StatxTimestamp| format!("{}.{:09}", time.tv_sec, time.tv_nsec);
    Ok(format!(
        "mask {:#x}, size {}, blocks {}, mode {:o}, links {}, owner {}:{}, modified {}, changed {}, born {}",
        state.stx_mask & (StatxFlags::BASIC_STATS | StatxFlags::BTIME).bits(),
        state.stx_size,
        state.stx_blocks,
        state.stx_mode,
        state.stx_nlink,
        state.stx_uid,
        state.stx_gid,
        stamp(state.stx_mtime),
        stamp(state.stx_ctime),
        stamp(state.stx_btime),
    ))
}

/// Everybody sees what the owner sees.
pub fn told(stage: &Stage<'_>) -> Result<()> {
    let [home, there, third] = stage.file("file");
    fs::write(&there, [1; 10_000])?;
    fs::create_dir(stage.there.join("directory"))?;
    let names: &[&str] = if stage.owner.unix {
        symlink("file", stage.there.join("link"))?;
        fs::hard_link(&there, stage.there.join("hard"))?;
        &["file", "directory", "link", "hard", "."]
    } else {
        &["file", "directory", "."]
    };
    // How much space a file takes is settled when it is stored.
    drop_caches()?;
    let all_are_told = || -> Result<()> {
        for name in names {
            let expected = known(&stage.home.join(name))?;
            for folder in [&stage.there, &stage.third] {
                same(name, known(&folder.join(name))?, expected.clone())?;
            }
        }
        Ok(())
    };
    all_are_told()?;
    let mode = |path: &Path| Ok::<_, anyhow::Error>(fs::metadata(path)?.permissions().mode());
    fs::set_permissions(&there, Permissions::from_mode(0o604))?;
    if stage.owner.unix {
        same("mode", mode(&home)? & 0o7777, 0o604)?;
    }
    if !stage.owner.unix {
        drop_caches()?;
    }
    same("mode", mode(&there)?, mode(&home)?)?;
    same("mode", mode(&third)?, mode(&home)?)?;
    chown(&there, Some(0), Some(0)).context("to the same owner")?;
    let foreign = chown(&there, Some(1000), None);
    fails("to somebody else", foreign, libc::EPERM)?;
    all_are_told()?;
    let space = |path: &Path| -> Result<_> {
        let space = statvfs(path)?;
        Ok((
            space.f_blocks * space.f_frsize,
            space.f_bfree * space.f_frsize,
        ))
    };
    same("space", space(&stage.there)?, space(&stage.home)?)
}

/// As `touch -t`, `cp -p`, `tar x` and `rsync -t` set them.
pub fn times(stage: &Stage<'_>) -> Result<()> {
    let paths = stage.file("touched");
    let [home, there, third] = &paths;
    fs::write(home, "content")?;
    holds(third, b"content")?;
    // FAT has even seconds.
    let nanoseconds = if stage.owner.unix { 123_456_789 } else { 0 };
    let both = |what: &str, expected: (i64, i64)| -> Result<()> {
        if !stage.owner.unix {
            // There, attributes are some seconds old.
            drop_caches()?;
        }
        for path in &paths {
            same(what, mtime(path)?, expected).with_context(|| format!("{path:?}"))?;
        }
        drop_caches()?;
        for path in &paths {
            let seen = || format!("{path:?}, by who knows nothing");
            same(what, mtime(path)?, expected).with_context(seen)?;
        }
        Ok(())
    };
    for (by, seconds) in [(1, 1_000_000_000), (2, 1_100_000_000), (0, 1_200_000_000)] {
        let stamp = time(seconds, nanoseconds);
        utimes(&paths[by], stamp, stamp)?;
        both("set by its name", (seconds, nanoseconds))?;
    }
    let seconds = 1_300_000_000;
    let old = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds as u32);
    let file = File::options().write(true).open(there)?;
    file.write_all_at(&[b'x'; 100_000], 0)?;
    file.set_times(FileTimes::new().set_modified(old).set_accessed(old))?;
    same("while it is open", file.metadata()?.modified()?, old)?;
    drop(file);
    both("set while it was open", (seconds as i64, nanoseconds))?;
    if !stage.owner.unix {
        // What cannot be kept is not shown, either.
        utimes(there, time(5, 0), time(1_400_000_001, 999))?;
        drop_caches()?;
        same("as at home", mtime(there)?, mtime(home)?)?;
        same("as at home", mtime(third)?, mtime(home)?)?;
    }
    let folder = stage.file("folder");
    fs::create_dir(&folder[1])?;
    let stamp = time(1_000_000_002, 0);
    utimes(&folder[1], stamp, stamp)?;
    for path in &folder {
        same("of a directory", mtime(path)?, (1_000_000_002, 0))?;
    }
    Ok(())
}

/// Values of programs, and access control lists.
pub fn extended(stage: &Stage<'_>) -> Result<()> {
    let paths = stage.file("noted");
    let [home, there, third] = &paths;
    fs::write(home, "content")?;
    fails(
        "none",
        value(third, "user.colour"),
        if stage.owner.unix {
            libc::ENODATA
        } else {
            libc::EOPNOTSUPP
        },
    )?;
    let noted = set(there, "user.colour", b"red", ANY);
    let listed = set(there, ACCESS, &some_list(), ANY);
    let able = stage.owner.unix;
    stage.tries("a list", able, listed, libc::EOPNOTSUPP)?;
    let Some(()) = stage.tries("a value", able, noted, libc::EOPNOTSUPP)? else {
        let mut names = [0_u8; 100];
        return same("names", listxattr(there, &mut names)?, 0);
    };
    drop_caches()?;
    for path in &paths {
        same_bytes("the value", &value(path, "user.colour")?, b"red")?;
        same_bytes("the list", &value(path, ACCESS)?, &some_list())?;
    }
    // What the others know is the owner's last word.
    for (round, path) in paths.iter().enumerate() {
        let text = [b'0' + round as u8; 900];
        set(path, "user.colour", &text, XattrFlags::REPLACE)?;
        for path in &paths {
            same_bytes("the value", &value(path, "user.colour")?, &text)?;
        }
    }
    removexattr(third, "user.colour")?;
    for path in &paths {
        fails("removed", value(path, "user.colour"), libc::ENODATA)?;
    }
    Ok(())
}
