// SPDX-License-Identifier: GPL-2.0

//! Files of other file systems, as a file server inside the kernel uses them.
//!
//! A server begins with the [`Path`] of a directory, clones its mount
//! ([`PrivateMount`]) so that neither other mounts below it nor unmounting it
//! elsewhere matter, looks names up one by one, and opens what it finds. The
//! permissions that count are those of the calling task; a server acts as
//! somebody with [`crate::cred::with_creds`].

pub(crate) mod acl;
mod directory;
mod entry;
mod errors;
mod exportfs;
mod file;
pub mod lock;
pub(crate) mod modify;
mod mount;
pub(crate) mod path;
pub mod rename;
pub(crate) mod set;
mod stat;
#[cfg(HMDFS_KUNIT)]
pub mod testing;
mod write;
mod xattr;

pub use acl::AclType;
pub use directory::{DirectoryFile, Emit};
pub use entry::{Component, Entry, Lower};
pub use exportfs::{Fid, MAX_FID_WORDS};
pub use file::RegularFile;
pub use mount::PrivateMount;
pub use path::{Mask, Path};
pub use set::{Changes, SetTime};
pub use stat::{Stat, StatFs, Timespec};
pub use write::{Allocation, WritableFile};
pub use xattr::{XattrMode, XATTR_MAX};
