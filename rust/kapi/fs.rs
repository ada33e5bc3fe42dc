// SPDX-License-Identifier: GPL-2.0

//! Abstractions for file systems.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/fs_context.h`](srctree/include/linux/fs_context.h)
//!
//! A file system is a type that implements [`FileSystem`], which says what is kept
//! for each superblock and for each inode. The operations of its inodes, files and
//! dentries are tables made from further traits, one for each C table, and each
//! inode is given its tables when it is made:
//!
//! | C table | trait |
//! |---|---|
//! | `super_operations` | [`FileSystem`] |
//! | `inode_operations` | [`inode_operations::Operations`] |
//! | `file_operations` | [`mod@file`] |
//! | `dentry_operations` | [`dentry::Operations`] |

pub mod context;
pub mod dentry;
pub mod directory;
pub mod file;
pub mod inode;
pub mod inode_operations;
pub mod lock;
pub mod stack;
pub mod super_block;
mod xattr;

pub use context::{FileSystem, Registration};
pub use dentry::Dentry;
pub use file::File;
pub use inode::Inode;
pub use super_block::SuperBlock;
