// SPDX-License-Identifier: GPL-2.0

//! Files and directories of other devices.
//!
//! A read goes, in this order: the netfs library -> [`file`]`::issue_read` ->
//! `peer::Peer::call` -> the peer -> the receive thread, which decrypts into the
//! pages of the read -> `file::ReadCompletion::complete`.

pub(crate) mod compound;
pub(crate) mod directory;
pub(crate) mod file;
pub(crate) mod gather;
pub(crate) mod inode;
mod symlink;

pub(crate) use inode::Node;
