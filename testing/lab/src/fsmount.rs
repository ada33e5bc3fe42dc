// SPDX-License-Identifier: MIT OR Apache-2.0

//! The new mount API: one step at a time, with the messages that it gives.

use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::Result;
use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, unmount,
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, UnmountFlags,
};

/// A mount that was refused.
#[derive(Debug)]
pub struct Refused {
    /// The step that failed: `fsopen`, `fsconfig KEY`, `create`, `fsmount` or `move_mount`.
    pub step: String,
    /// What it returned.
    pub errno: Errno,
    /// What the file system had to say, one message each, with the kind
    /// (`e`, `w`, `i`) in front.
    pub log: Vec<String>,
}

impl Refused {
    /// Whether one of the messages contains `text`.
    pub fn says(&self, text: &str) -> bool {
        self.log.iter().any(|message| message.contains(text))
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.step, self.errno, self.log.join("; "))
    }
}

impl std::error::Error for Refused {}

fn log_of(context: &OwnedFd) -> Vec<String> {
    let mut messages = Vec::new();
    let mut buffer = [0; 4096];
    // ENODATA ends it.
    while let Ok(length) = rustix::io::read(context, &mut buffer) {
        if length == 0 {
            break;
        }
        let message = String::from_utf8_lossy(&buffer[..length]);
        messages.push(message.trim_end().to_owned());
    }
    messages
}

/// Mounts `fstype` with `options` (a key alone is a flag) at `target`.
pub fn mount(fstype: &str, options: &[(&str, Option<&str>)], target: &Path) -> Result<(), Refused> {
    let step = |step: &str, errno, context: Option<&OwnedFd>| Refused {
        step: step.to_owned(),
        errno,
        log: context.map(log_of).unwrap_or_default(),
    };
    let context =
        fsopen(fstype, FsOpenFlags::FSOPEN_CLOEXEC).map_err(|errno| step("fsopen", errno, None))?;
    for (key, value) in options {
        let result = match value {
            Some(value) => fsconfig_set_string(context.as_fd(), *key, *value),
            None => fsconfig_set_flag(context.as_fd(), *key),
        };
        result.map_err(|errno| step(&format!("fsconfig {key}"), errno, Some(&context)))?;
    }
    fsconfig_create(context.as_fd()).map_err(|errno| step("create", errno, Some(&context)))?;
    let mount = fsmount(
        context.as_fd(),
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::empty(),
    )
    .map_err(|errno| step("fsmount", errno, Some(&context)))?;
    move_mount(
        mount.as_fd(),
        "",
        CWD,
        target,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )
    .map_err(|errno| step("move_mount", errno, None))
}

/// Mounts with a source and no options.
pub fn mount_source(fstype: &str, source: &str, target: &Path) -> Result<(), Refused> {
    mount(fstype, &[("source", Some(source))], target)
}

/// Unmounts; fails with EBUSY while something uses it.
pub fn umount(target: &Path) -> Result<(), Errno> {
    unmount(target, UnmountFlags::NOFOLLOW)
}

/// Detaches at once whatever is mounted there.
pub fn detach(target: &Path) -> Result<(), Errno> {
    unmount(target, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH)
}

/// The mount points at or below `root`, the innermost first.
pub fn mounts_below(root: &Path) -> Result<Vec<PathBuf>> {
    table_below(root, |_| true)
}

/// Of the mount points at or below `root` those of disks.
pub fn disks_below(root: &Path) -> Result<Vec<PathBuf>> {
    table_below(root, |source| source.starts_with("/dev/"))
}

fn table_below(root: &Path, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>> {
    let table = std::fs::read_to_string("/proc/self/mounts")?;
    let mut targets: Vec<_> = table
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(source, _)| is_wanted(source))
        .filter_map(|(_, rest)| rest.split(' ').next())
        .map(|target| PathBuf::from(target.replace("\\040", " ")))
        .filter(|target| target.starts_with(root))
        .collect();
    targets.reverse();
    Ok(targets)
}
