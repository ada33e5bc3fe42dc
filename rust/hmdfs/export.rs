// SPDX-License-Identifier: GPL-2.0

//! The export: serves the local tree to other devices.
//!
//! A request is a compound of operations ([`proto::Operation`]) and comes with the device that sent
//! it ([`Client`]). It is checked as a whole ([`plan`]) and executed once ([`compound`], [`replay`]).
//! Its operations work on one file after the other ([`mod@current`]): they open ([`open`]), read
//! ([`read`], [`directory`]), write ([`mod@write`]), lock ([`locking`]) and change attributes ([`set`],
//! [`extended`]) and names ([`names`]), after a look at permissions ([`access`]) and the label
//! ([`label`]); and they ask for leases ([`leasing`]).
//!
//! A file is named by a handle that is good for ever ([`handles`]), and files that are kept open
//! ([`files`]) are only a shortcut. Between two requests, this is kept for a client: its leases
//! ([`leases`], [`holder`]), which files it may have open ([`opened`]) or be writing to
//! ([`writing`]), its locks ([`locks`]), and the replies to its last changes ([`replay`]).
//!
//! All of it runs with the credentials of the exported directory's owner, without
//! capabilities, and on the lower file system, never through a mount of hmdfs: so no request can
//! lead to another one, and two devices that serve each other cannot wait for
//! each other.

mod access;
mod attributes;
mod changing;
mod compound;
mod current;
mod directory;
mod extended;
mod files;
mod handles;
mod holder;
#[cfg(HMDFS_KUNIT)]
mod kunit;
mod label;
mod leases;
mod leasing;
mod lock_wait;
mod locking;
mod locks;
mod names;
mod open;
mod opened;
mod plan;
mod read;
mod recall;
mod replay;
mod set;
mod unstored;
mod write;
mod writers;
mod writing;

use core::ops::Deref;

use hmdfs_kapi::{
    cred,
    errno::{ENOLCK, ESTALE},
    fs::stack::watch::Unlinked,
    memalloc::NofsScope,
    page_run::PageRun,
    vfs::{Mask, Path},
};
use hmdfs_model::security::Access;
use hmdfs_proto as proto;
use kernel::{
    alloc::AllocError,
    cred::Credential,
    prelude::*,
    sync::{aref::ARef, Arc},
};

pub(crate) use replay::Replay;

use crate::peer::Peer;
use files::OpenFiles;
use handles::Handles;
pub(crate) use holder::Holder;
pub(crate) use leases::Leases;
pub(crate) use lock_wait::Waker;
pub(crate) use locks::{Grant, Held};
pub(crate) use recall::tell;
use unstored::Unstored;
use writers::Writers;

/// The device that sent a request, as far as the export has to know it.
pub(crate) trait Client {
    /// What the device may do with this share.
    fn access(&self) -> Access;

    /// How far the device is trusted, 1 to 5, if that is known.
    fn level(&self) -> Option<u8>;

    /// What the device had executed, and in which of its epochs it sent the request; nothing if
    /// its requests are not numbered.
    fn replay(&self) -> Option<(&Replay, u64)>;

    /// What is held for it; nothing for one that cannot have locks.
    fn held(&self) -> Option<&Held> {
        None
    }

    /// The number of the session with it, as of now.
    fn session(&self) -> u64 {
        0
    }

    /// Who sees to it that it is told of locks that were granted.
    fn waker(&self) -> Result<Arc<dyn Waker>> {
        Err(ENOLCK.into())
    }

    /// It has granted a lock that this device waits for, or has failed to.
    fn granted(&self, session: u64, waiter: u64, status: proto::Status) {
        let _ = (session, waiter, status);
    }
    /// The device itself, if it can have leases.
    fn peer(&self) -> Option<&Arc<Peer>> {
        None
    }
}

/// The answer to a request.
pub(crate) struct Response {
    /// How the whole message ended; when not [`proto::Status::Ok`], there is no body.
    pub(crate) status: proto::Status,
    /// The body of the reply, written by [`proto::ReplyWriter`].
    pub(crate) body: Body,
    /// The data of the reply.
    pub(crate) data: Option<PageRun>,
}

/// The body of an answer.
pub(crate) enum Body {
    /// One that is sent once.
    Own(KVVec<u8>),
    /// One that may have to be sent again.
    Kept(Arc<KVVec<u8>>),
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Body::Own(body) => body,
            Body::Kept(body) => body,
        }
    }
}

impl Response {
    /// The answer to a request that was not begun with.
    fn failed(status: proto::Status) -> Self {
        Self {
            status,
            body: Body::Own(KVVec::new()),
            data: None,
        }
    }
}

/// Why a directory cannot be exported.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refusal {
    /// It is not a directory.
    NotDirectory,
    /// It is in a mount of hmdfs.
    OwnKind,
    /// Its file system cannot find files by handles.
    NoHandles,
    /// Something else.
    Other(Error),
}

impl Refusal {
    /// Says to the user what is wrong and what can be done.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Refusal::NotDirectory => "the exported path is not a directory",
            Refusal::OwnKind => {
                "a directory of an hmdfs mount cannot be exported again; name the original directory"
            }
            Refusal::NoHandles => {
                "the file system of the exported directory has no file handles; use a directory on one that NFS could export, such as ext4, xfs, btrfs, f2fs or tmpfs"
            }
            Refusal::Other(_) => "the directory cannot be exported",
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Refusal::Other(error)
    }
}

impl From<AllocError> for Refusal {
    fn from(error: AllocError) -> Self {
        Refusal::Other(error.into())
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotDirectory => ENOTDIR,
            Refusal::OwnKind | Refusal::NoHandles => EINVAL,
            Refusal::Other(error) => error,
        }
    }
}

/// A directory that is served to other devices.
pub(crate) struct Export {
    root: Path,
    /// For finding a file by its handle, which may lead through directories that
    /// the server itself may not list.
    mounter: ARef<Credential>,
    /// For everything else.
    server: ARef<Credential>,
    handles: Handles,
    files: OpenFiles,
    writers: Pin<KBox<Writers>>,
    unstored: Unstored,
    leases: Leases,
}

impl Export {
    /// Exports `root`, which should be of a mount of its own
    /// ([`hmdfs_kapi::vfs::PrivateMount`]). Peers act as its owner.
    ///
    /// `key` authenticates handles. As long as it stays the same, they stay valid.
    pub(crate) fn new(root: Path, key: [u8; 16]) -> core::result::Result<Arc<Self>, Refusal> {
        if !root.is_dir() {
            return Err(Refusal::NotDirectory);
        }
        if root.file_system_name() == c"hmdfs" {
            return Err(Refusal::OwnKind);
        }
        if !root.exportfs_may_export() {
            return Err(Refusal::NoHandles);
        }
        let handles = Handles::new(&root, key)?;
        let mounter = cred::prepare_creds()?;
        let owner = root.getattr()?;
        let server = cred::prepare_creds_of(owner.uid, owner.gid)?;
        let files = OpenFiles::new()?;
        let writers = KBox::pin_init(Writers::new(), GFP_KERNEL)?;
        let leases = Leases::new(&root)?;
        Ok(Arc::new(
            Self {
                root,
                mounter,
                server,
                handles,
                files,
                writers,
                unstored: Unstored::new()?,
                leases,
            },
            GFP_KERNEL,
        )?)
    }

    /// Executes a compound request that comes with the data `input`; without an `export` it is
    /// answered with that status. Without an answer, the client has sent the request again on
    /// another way, and waits there.
    ///
    /// An error means that the client broke the protocol; its link has to end. Sleeps.
    pub(crate) fn compound<C: Client + ?Sized>(
        export: core::result::Result<&Self, proto::Status>,
        client: &C,
        body: &[u8],
        input: Option<PageRun>,
    ) -> proto::Result<Option<Response>> {
        compound::serve(export, client, body, input)
    }

    /// A mark of what went wrong when anything was stored.
    pub(crate) fn errors(&self) -> u32 {
        self.root.sample_filesystem_errors()
    }

    /// The leases that peers have.
    pub(crate) fn leases(&self) -> &Leases {
        &self.leases
    }

    /// A file of the lower file system has lost its last name. Called by the task that removed it,
    /// with locks of that file system held.
    pub(crate) fn unlinked(&self, file: &Unlinked<'_>) {
        if !self.leases.has_opened() {
            return;
        }
        let _nofs = NofsScope::enter();
        let Some(path) = file
            .path(&self.root)
            .filter(|path| path.is_below(&self.root))
        else {
            return;
        };
        if let Ok(handle) = self.handles.encode(&path) {
            self.leases.unlinked(handle.identity().key(), &path);
        }
    }

    /// Closes all files that are kept open. Sleeps.
    #[cfg(HMDFS_KUNIT)]
    pub(crate) fn close_files(&self) {
        self.files.close();
    }

    /// Checks that `path` lies below the root, and that the server may search all
    /// directories on the way.
    ///
    /// A handle may be old: permissions may have changed since, and the file may have
    /// been moved out.
    fn check_reachable(&self, path: &Path) -> Result {
        let mut path = path.clone();
        while !path.is_same(&self.root) {
            let parent = path.parent();
            if parent.is_same(&path) {
                return Err(ESTALE.into());
            }
            parent.inode_permission(Mask::Exec)?;
            path = parent;
        }
        Ok(())
    }
}

/// The status that tells a client of `error`.
fn status(error: Error) -> proto::Status {
    proto::Status::from_errno(error.to_errno().unsigned_abs())
}
