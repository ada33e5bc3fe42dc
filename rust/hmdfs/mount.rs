// SPDX-License-Identifier: GPL-2.0

//! A mount: what this device exports, the devices it knows, and its options.
//!
//! There is at most one in each network namespace, where it is one device. It can
//! be mounted in several places, which then share everything.

use hmdfs_kapi::{
    errno::{ENAMETOOLONG, ENOTCONN},
    fs::{
        self,
        context::{Log, Parameter, Request, StatFs},
        SuperBlock,
    },
    net::Net,
    random, time, vfs,
};
use hmdfs_proto::Operation;
use kernel::{
    new_mutex,
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    str::CString,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc, ArcBorrow, Mutex,
    },
};

use crate::{
    control, local,
    export::Export,
    node::{Inode, InodeRef, Node},
    peer::Peers,
    remote::compound::{self, Outcomes},
    validity::Validity,
    view::{self, DentryOps, View},
};

/// The type of file system.
pub(crate) struct Hmdfs;

/// Bytes that are read ahead: several requests of the largest size.
const READAHEAD: usize = 8 << 20;

/// Number of the next mount.
static NEXT: Atomic<u32> = Atomic::new(1);

kernel::sync::global_lock! {
    /// All mounts. Taken for moments only; nothing is waited for under it.
    // SAFETY: Initialised when the module is loaded, before anything can be mounted.
    unsafe(uninit) static MOUNTS: Mutex<KVec<Arc<Mount>>> = KVec::new();
}

/// What can be set when mounting.
#[derive(Clone)]
pub(crate) struct Options {
    /// For how many seconds the attributes and names that a peer told are used.
    attribute_timeout: u32,
}

impl Options {
    const DEFAULT: Self = Self {
        attribute_timeout: 5,
    };

    /// The largest time that makes sense, in seconds.
    const MAX_ATTRIBUTE_TIMEOUT: u32 = 3600;
}

/// A mount.
#[pin_data]
pub(crate) struct Mount {
    /// Its number, never used again while the module is loaded.
    pub(crate) id: u32,
    /// Random; a device that sees another number than before knows that this is not the same
    /// mount.
    pub(crate) epoch: u64,
    /// The network namespace that it belongs to.
    pub(crate) net: Net,
    /// The devices that it knows, and the links to them.
    #[pin]
    pub(crate) peers: Peers,
    /// What peers are served.
    pub(crate) export: Export,
    /// When it was made: the times of the directories that exist in views only.
    pub(crate) mounted_at: (i64, u32),
    root: vfs::Path,
    source: CString,
    options: Options,
}

impl Mount {
    /// How long what a peer tells now is used without asking again.
    pub(crate) fn lease(&self) -> Validity {
        let jiffies = kernel::time::msecs_to_jiffies(
            self.options.attribute_timeout.saturating_mul(1000),
        );
        if jiffies == 0 {
            return Validity::NONE;
        }
        Validity::lease(self.peers.generation(), jiffies as usize)
    }

    /// The exported directory.
    pub(crate) fn local_path(&self) -> vfs::Path {
        self.root.clone()
    }

    /// The inode of `device_view/local`.
    pub(crate) fn local_root(&self, sb: &SuperBlock<Hmdfs>) -> Result<InodeRef> {
        local::iget(sb, self.root.clone())
    }
}
