// SPDX-License-Identifier: GPL-2.0

//! Safe abstractions over kernel C APIs that the `kernel` crate does not have.
//!
//! All unsafe code of the module is in this crate, and nothing here knows what
//! hmdfs is. Names are those of the C API without their prefixes, and each file
//! stands for one C object.

pub mod completion;
pub mod cred;
pub mod errno;
pub mod fs;
pub mod global;
pub mod kthread;
pub mod memalloc;
pub mod net;
pub mod netfs;
pub mod netlink;
pub mod page_run;
pub mod random;
pub mod schedule;
pub mod signal;
pub mod siphash;
pub mod sort;
pub mod vfs;
pub mod workqueue;

/// Prefix of `pr_info!` and its like.
const __LOG_PREFIX: &[u8] = b"hmdfs\0";
