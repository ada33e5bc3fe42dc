// SPDX-License-Identifier: GPL-2.0

//! The netlink interface to the daemon.

pub(crate) mod notify;
