// SPDX-License-Identifier: GPL-2.0

//! Files and directories of other devices.
//!
//! A read goes, in this order: the netfs library -> [`mod@file`]`::issue_read` ->
//! `peer::Peer::call` -> the peer -> the receive thread, which decrypts into the
//! pages of the read -> `file::ReadCompletion::complete`.
//!
//! A write ends in the page cache. When it is written back, the pages go, in this order: the
//! netfs library -> `write::issue_write` -> `peer::Peer::call`, which sends them -> the peer ->
//! `write::WriteCompletion::complete`.

pub(crate) mod ahead;
pub(crate) mod attributes;
mod beginning;
mod changed;
pub(crate) mod compound;
pub(crate) mod directory;
pub(crate) mod entries;
pub(crate) mod extended;
pub(crate) mod file;
pub(crate) mod gather;
pub(crate) mod inode;
pub(crate) mod leases;
pub(crate) mod listing;
mod lock;
mod locks;
pub(crate) mod names;
pub(crate) mod open;
mod opens;
mod place;
mod plain;
pub(crate) mod rename;
pub(crate) mod replace;
pub(crate) mod set;
mod sharing;
mod space;
pub(crate) mod statfs;
mod symlink;
pub(crate) mod unfinished;
pub(crate) mod write;
pub(crate) mod writing;
mod written;

pub(crate) use inode::Node;
