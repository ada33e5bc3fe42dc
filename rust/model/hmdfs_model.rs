// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The pure logic of hmdfs: decisions that need no clock, no lock and no memory
//! but what the caller gives.

#![cfg_attr(not(CONFIG_RUST), no_std)]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

pub mod ahead;
pub mod calls;
pub mod change;
pub mod content;
pub mod handle;
pub mod lease;
pub mod link;
pub mod names;
pub mod replay;
pub mod security;
pub mod slots;
