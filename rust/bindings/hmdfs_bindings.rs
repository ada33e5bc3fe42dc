// SPDX-License-Identifier: GPL-2.0

//! Bindings to the C APIs that `kernel::bindings` lacks.
//!
//! Only `kapi` may use this crate. What `kernel::bindings` has is re-exported, so
//! that one name stands for one C type; a type that it knows only by name is
//! defined in full here and takes precedence.

#![allow(
    clippy::all,
    missing_docs,
    non_camel_case_types,
    non_upper_case_globals,
    non_snake_case,
    improper_ctypes,
    unreachable_pub,
    unsafe_op_in_unsafe_fn
)]

#[allow(dead_code)]
#[allow(clippy::cast_lossless)]
#[allow(clippy::ptr_as_ptr)]
#[allow(clippy::ref_as_ptr)]
#[allow(clippy::undocumented_unsafe_blocks)]
#[allow(unnecessary_transmutes)]
mod generated {
    // Items defined below take precedence over this glob import.
    pub use kernel::bindings::*;
    use kernel::ffi;
    use pin_init::{MaybeZeroable, Zeroable};

    // SAFETY: `__BindgenBitfieldUnit<Storage>` is a newtype around `Storage`.
    unsafe impl<Storage> Zeroable for __BindgenBitfieldUnit<Storage> where Storage: Zeroable {}

    include!(env!("HMDFS_BINDINGS"));
}

pub use generated::*;
