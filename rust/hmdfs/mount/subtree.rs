// SPDX-License-Identifier: GPL-2.0

//! Mounting one directory of one device, or of the merged tree, by itself:
//! `mount -t hmdfs DEVICE:/PATH DIR`.
//!
//! Such a mount is another root into the one superblock of its network namespace. When there is
//! none, it is made without a share. Then the daemon has to be waited for: it makes the devices
//! known to a superblock that it was told of, and links to them.

use hmdfs_kapi::{
    completion::Completion,
    errno::{EHOSTDOWN, ENOTCONN},
    fs::context::Log,
    vfs,
};
use kernel::{fmt, prelude::*, str::BStr, sync::Arc};

use super::Mount;
use crate::{
    peer::Peer,
    view::{DEVICE_VIEW, LOCAL, MERGE_VIEW},
};

/// What a source `merge:/PATH` begins with.
const MERGE: &[u8] = b"merge";

/// How often it is looked whether a device has come, in milliseconds.
const INTERVAL: u32 = 50;

/// What a source `NAME:/PATH` stands for.
pub(crate) struct Subtree<'a> {
    /// A device, `local` or `merge`.
    name: &'a [u8],
    /// Without a slash at its beginning.
    path: &'a CStr,
}

/// Why there is no such directory.
#[derive(Clone, Copy)]
enum Failure {
    /// No device has this name.
    Unknown,
    /// The device is offline.
    Away,
    /// The device shows nothing.
    NoShare,
    /// Looking the path up failed.
    Path(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if error == ENOTCONN || error == ETIMEDOUT {
            Failure::Away
        } else if error == ENODEV {
            Failure::NoShare
        } else {
            Failure::Path(error)
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unknown | Failure::NoShare => ENXIO,
            Failure::Away => EHOSTDOWN.into(),
            Failure::Path(error) => error,
        }
    }
}

impl<'a> Subtree<'a> {
    /// `None`: the source is a directory to export.
    pub(super) fn new(source: &'a CStr, log: &Log<'_>) -> Result<Option<Self>> {
        let bytes = source.to_bytes_with_nul();
        let colon = bytes.windows(2).position(|two| two == b":/");
        let Some((name, path)) = colon.and_then(|colon| bytes.split_at_checked(colon)) else {
            return Ok(None);
        };
        if name.is_empty() || name.contains(&b'/') {
            return Ok(None);
        }
        let start = path.iter().skip(1).position(|&byte| byte != b'/');
        let path = start.and_then(|start| path.get(start.saturating_add(1)..));
        let path = path.unwrap_or(b"\0");
        let path = CStr::from_bytes_with_nul(path).map_err(|_| EINVAL)?;
        if path
            .to_bytes()
            .split(|&byte| byte == b'/')
            .any(|part| part == b"..")
        {
            log.error(fmt!("'..' is not allowed in what is mounted"));
            return Err(EINVAL);
        }
        Ok(Some(Self { name, path }))
    }

    /// Finds the directory. As long as the superblock is new, a device may still come. May sleep.
    pub(super) fn find(
        &self,
        mount: &Mount,
        whole: &vfs::Path,
        log: &Log<'_>,
    ) -> Result<vfs::Path> {
        let never = KBox::pin_init(Completion::new(), GFP_KERNEL)?;
        loop {
            // In this order: what comes in between is not missed.
            let is_new = mount.is_new();
            let failure = match self.look_up(mount, whole) {
                Ok(path) => return Ok(path),
                Err(failure) => failure,
            };
            if !(is_new && self.may_pass(failure)) {
                self.explain(mount, failure, log);
                return Err(failure.into());
            }
            match never.wait_killable_timeout(INTERVAL) {
                Err(error) if error != ETIMEDOUT => return Err(error),
                _ => {}
            }
        }
    }

    fn look_up(&self, mount: &Mount, whole: &vfs::Path) -> Result<vfs::Path, Failure> {
        let tree = match self.name {
            MERGE => below(whole, MERGE_VIEW)?,
            LOCAL if mount.share().is_none() => return Err(Failure::NoShare),
            LOCAL => self.device(whole)?,
            name => match mount.peers.by_name(name) {
                None => return Err(Failure::Unknown),
                Some(peer) if !peer.is_online() => return Err(Failure::Away),
                Some(_) => self.device(whole).map_err(|error| {
                    if error == ENOENT {
                        // It has gone just now.
                        Failure::Away
                    } else {
                        error.into()
                    }
                })?,
            },
        };
        if self.path.is_empty() {
            return Ok(tree);
        }
        Ok(tree.vfs_path_lookup(self.path)?)
    }

    /// The root of the device's tree.
    fn device(&self, whole: &vfs::Path) -> Result<vfs::Path> {
        below(&below(whole, DEVICE_VIEW)?, self.name)
    }

    /// Whether it may be otherwise in a moment.
    fn may_pass(&self, failure: Failure) -> bool {
        match failure {
            Failure::Unknown | Failure::Away => true,
            // In the merged tree it may be of a device that has not come yet.
            Failure::Path(error) => self.name == MERGE && error == ENOENT,
            Failure::NoShare => false,
        }
    }

    fn explain(&self, mount: &Mount, failure: Failure, log: &Log<'_>) {
        let (name, path) = (
            BStr::from_bytes(self.name),
            BStr::from_bytes(self.path.to_bytes()),
        );
        match failure {
            Failure::Unknown => match mount.peers.snapshot() {
                Ok(peers) if peers.is_empty() => log.error(fmt!(
                    "no device is called '{name}': none is known at all; is hmdfsd running?"
                )),
                Ok(peers) => log.error(fmt!(
                    "no device is called '{name}'; there are{}",
                    Names(&peers)
                )),
                Err(_) => {}
            },
            Failure::Away => log.error(fmt!("the device '{name}' is away")),
            Failure::NoShare => log.error(fmt!("the device '{name}' exports nothing")),
            Failure::Path(error) => {
                let why = if error == ENOTDIR {
                    "is not a directory"
                } else if error == ENOENT {
                    "does not exist"
                } else if error == EXDEV || error == EACCES {
                    "may not be used, or leads through a symbolic link that leaves the tree"
                } else {
                    "cannot be opened"
                };
                log.error(fmt!("'/{path}' of '{name}' {why}"));
            }
        }
    }
}

/// The directory of this name, which has no NUL in it.
fn below(path: &vfs::Path, name: &[u8]) -> Result<vfs::Path> {
    let mut text = KVec::with_capacity(name.len().saturating_add(1), GFP_KERNEL)?;
    text.extend_from_slice(name, GFP_KERNEL)?;
    text.push(0, GFP_KERNEL)?;
    path.vfs_path_lookup(CStr::from_bytes_with_nul(&text).map_err(|_| EINVAL)?)
}

/// The names of devices, for a message.
struct Names<'a>(&'a [Arc<Peer>]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, peer) in self.0.iter().enumerate() {
            let separator = if place == 0 { "" } else { "," };
            formatter.write_fmt(fmt!("{separator} '{}'", peer.name()))?;
        }
        Ok(())
    }
}
