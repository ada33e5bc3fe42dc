// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The wire format of hmdfs (Documentation/protocol.md).

#![cfg_attr(not(CONFIG_RUST), no_std)]
#![forbid(unsafe_code)]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]
