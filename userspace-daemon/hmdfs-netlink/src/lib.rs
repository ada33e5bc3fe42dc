// SPDX-License-Identifier: MIT OR Apache-2.0

//! The netlink interface of hmdfs.ko (Documentation/netlink/specs/hmdfs.yaml).
