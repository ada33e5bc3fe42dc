// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The operations of a compound, with their arguments.

use crate::changes::{Allocate, RenameFlags, SetAttributes, SetMode};
use crate::handle::Handle;
use crate::lock::Locking;
use crate::name::{AttributeName, Name, Target};
use crate::recall::Recall;

mod wire;

/// One operation of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation<'a> {
    /// The current file becomes the root of the exported tree.
    Root,
    /// The current file becomes the one of this handle.
    File(Handle),
    /// The current file becomes its entry of this name.
    Walk(Name<'a>),
    /// The handle of the current file.
    GetHandle,
    /// The attributes of the current file.
    GetAttributes,
    /// Checks that the current file, a regular one, may be opened like this: the
    /// permissions, and the security label.
    Open {
        /// To be read.
        read: bool,
        /// To be written.
        write: bool,
    },
    /// Data of the current file, which follow the reply's body. Only the last
    /// operation of a compound may be this.
    Read {
        /// First byte; at most `i64::MAX`.
        offset: u64,
        /// Number of bytes; at most [`crate::MAX_DATA`].
        length: u32,
    },
    /// The target of the current file, a symbolic link.
    ReadLink,
    /// Entries of the current file, a directory.
    ReadDirectory {
        /// Where to go on: zero, or [`crate::Entry::next`] of the last entry seen.
        cookie: u64,
        /// Most bytes of encoded entries.
        limit: u32,
        /// Whether handles and attributes are wanted.
        plus: bool,
        /// Whether leases on what they are of are wanted, too.
        lease: bool,
    },
    /// Space and file counts of the file system that holds the current file.
    StatFileSystem,
    /// The change attribute of the current file: what an operation on it, later in the same
    /// compound, finds before it changes anything.
    GetChange,
    /// Writes the request's data to the current file, a regular one. There may be one of it in a
    /// compound, and then the request has as many bytes of data.
    Write {
        /// First byte.
        offset: u64,
        /// Number of bytes; at most [`crate::MAX_DATA`], and `offset + length` at most `i64::MAX`.
        length: u32,
    },
    /// Makes a regular file in the current file, a directory. It becomes the current file.
    Create {
        /// Its name.
        name: Name<'a>,
        /// Its permissions, and what of them a umask takes away; it does not where the directory
        /// has a default access control list.
        mode: (u16, u16),
        /// Whether it is an error when there is such a file already; if it is not, that becomes
        /// the current file.
        exclusive: bool,
    },
    /// Makes a directory in the current file. It becomes the current file.
    MakeDirectory {
        /// Its name.
        name: Name<'a>,
        /// Its permissions, and what of them a umask takes away; it does not where the directory
        /// has a default access control list.
        mode: (u16, u16),
    },
    /// Makes a FIFO, socket or device node in the current file. It becomes the current file.
    MakeNode {
        /// Its name.
        name: Name<'a>,
        /// Its type and permissions, and what of these a umask takes away.
        mode: (u16, u16),
        /// Major and minor number, of a device node.
        device: (u32, u32),
    },
    /// Makes a symbolic link in the current file. It becomes the current file.
    MakeLink {
        /// Its name.
        name: Name<'a>,
        /// Where it points.
        target: Target<'a>,
    },
    /// Gives the file of a handle another name in the current file, a directory. It becomes the
    /// current file.
    Link {
        /// The new name.
        name: Name<'a>,
        /// The file.
        file: Handle,
    },
    /// Removes a name from the current file, a directory.
    Remove {
        /// The name.
        name: Name<'a>,
        /// What it is believed to stand for.
        file: Handle,
        /// Whether that is a directory.
        directory: bool,
        /// Whether the client has it open, and wants to go on using it.
        open: bool,
    },
    /// Renames an entry of the current file, a directory.
    Rename {
        /// The old name.
        name: Name<'a>,
        /// What it is believed to stand for.
        file: Handle,
        /// The directory of the new name.
        new_directory: Handle,
        /// The new name.
        new_name: Name<'a>,
        /// How.
        flags: RenameFlags,
        /// Whether the client has what is replaced open, and wants to go on using it.
        open: bool,
    },
    /// Changes attributes of the current file.
    SetAttributes(SetAttributes),
    /// Waits until the current file, regular or a directory, is on stable storage.
    Sync {
        /// Only what is needed to read the data again.
        data_only: bool,
        /// What a `Write` or `Sync` of before told: it fails when storing the file's data has met
        /// with an error since.
        errors: Option<u32>,
    },
    /// Allocates or frees space of the current file.
    Allocate(Allocate),
    /// Copies data into the current file, within this device.
    Copy {
        /// The file that is copied from.
        source: Handle,
        /// First byte there.
        source_offset: u64,
        /// First byte in the current file.
        offset: u64,
        /// Number of bytes.
        length: u64,
        /// Whether the files have to share the space afterwards (`FICLONERANGE`).
        clone: bool,
    },
    /// The next data or hole of the current file, from a position on.
    Seek {
        /// The position.
        offset: u64,
        /// Whether a hole is looked for.
        hole: bool,
    },
    /// The value of an extended attribute of the current file.
    GetExtended(AttributeName<'a>),
    /// Sets an extended attribute of the current file.
    SetExtended {
        /// Its name.
        name: AttributeName<'a>,
        /// Its value.
        value: &'a [u8],
        /// Whether it may, or must, exist.
        mode: SetMode,
    },
    /// The names of the current file's extended attributes.
    ListExtended,
    /// Removes an extended attribute of the current file.
    RemoveExtended(AttributeName<'a>),
    /// Comes first in a compound that must not be executed twice (section 5 of
    /// Documentation/protocol.md).
    Once {
        /// Which of the sender's slots it uses; below [`crate::MAX_REQUESTS`].
        slot: u16,
        /// One more than that of the compound before it in the slot; from 1 on.
        sequence: u64,
    },
    /// Waits until all of the file system that holds the current file is on stable storage.
    SyncFileSystem,
    /// All data of the current file, which follow the reply's body, if they are few enough; otherwise
    /// none. Only the last operation of a compound may be this.
    ReadWhole {
        /// Most bytes; at most [`crate::MAX_DATA`].
        limit: u32,
    },
    /// What the value begins with that a later `SetExtended` sets: so it can be longer than the
    /// arguments of one operation.
    Value(&'a [u8]),
    /// What has to do with locks.
    Locking(Locking),
    /// Wants a lease on the current file: to be told before what later operations tell of it is not
    /// right any more.
    Lease,
    /// The client has no open file of the current file any more.
    Closed,
    /// Makes a regular file without a name, in the file system of the current file, a directory.
    /// It becomes the current file, and is open.
    MakeUnnamed {
        /// Its permissions, and what of them a umask takes away; it does not where the directory
        /// has a default access control list.
        mode: (u16, u16),
    },
    /// Puts a regular file that has no name in the place of another one in the current file, a
    /// directory. It becomes the current file.
    Replace {
        /// The name that it gets.
        name: Name<'a>,
        /// The regular file that the name is believed to stand for, which loses it.
        replaced: Handle,
        /// The file without a name.
        file: Handle,
        /// Whether the client has what is replaced open, and wants to go on using it.
        open: bool,
    },
    /// All of a regular file, if it has few bytes and may be opened to be read, with its attributes and
    /// a lease. Not being able to is no failure. The current file stays what it is.
    Fetch {
        /// The file.
        file: Handle,
        /// Most bytes; at most [`crate::MAX_DATA`].
        limit: u32,
    },
    /// Asks which of some files of the sender the receiver may have written to without having sent that, or
    /// write to at any moment. It is the only operation of its compound.
    Writing {
        /// Whether what was written to the first one is sent before that is answered.
        flush: bool,
        /// The keys of the files.
        files: Recall<'a>,
    },
    /// One that this version does not know; its outcome is
    /// [`crate::Status::EOPNOTSUPP`].
    Other(u8),
}

impl Operation<'_> {
    /// Bytes in front of the arguments of each operation.
    pub const HEADER: usize = 3;

    /// The number of the operation on the wire.
    pub const fn code(&self) -> u8 {
        match self {
            Operation::Root => 1,
            Operation::File(_) => 2,
            Operation::Walk(_) => 3,
            Operation::GetHandle => 4,
            Operation::GetAttributes => 5,
            Operation::Open { .. } => 6,
            Operation::Read { .. } => 7,
            Operation::ReadLink => 8,
            Operation::ReadDirectory { .. } => 9,
            Operation::StatFileSystem => 10,
            Operation::GetChange => 11,
            Operation::Write { .. } => 12,
            Operation::Create { .. } => 13,
            Operation::MakeDirectory { .. } => 14,
            Operation::MakeNode { .. } => 15,
            Operation::MakeLink { .. } => 16,
            Operation::Link { .. } => 17,
            Operation::Remove { .. } => 18,
            Operation::Rename { .. } => 19,
            Operation::SetAttributes(_) => 20,
            Operation::Sync { .. } => 21,
            Operation::Allocate(_) => 22,
            Operation::Copy { .. } => 23,
            Operation::Seek { .. } => 24,
            Operation::GetExtended(_) => 25,
            Operation::SetExtended { .. } => 26,
            Operation::ListExtended => 27,
            Operation::RemoveExtended(_) => 28,
            Operation::Once { .. } => 29,
            Operation::SyncFileSystem => 30,
            Operation::Lease => 31,
            Operation::ReadWhole { .. } => 32,
            Operation::Locking(locking) => locking.code(),
            Operation::Value(_) => 38,
            Operation::Closed => 39,
            Operation::MakeUnnamed { .. } => 40,
            Operation::Fetch { .. } => 41,
            Operation::Writing { .. } => 42,
            Operation::Replace { .. } => 43,
            Operation::Other(code) => *code,
        }
    }

    /// Whether executing it may change something.
    pub const fn is_change(&self) -> bool {
        matches!(self.code(), 12..=20 | 22 | 23 | 26 | 28 | 40 | 43)
    }
}
