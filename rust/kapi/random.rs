// SPDX-License-Identifier: GPL-2.0

//! Random numbers.
//!
//! C header: [`include/linux/random.h`](srctree/include/linux/random.h)

use hmdfs_bindings as bindings;

/// A random number that nobody can guess; C: `get_random_u64`.
pub fn get_random_u64() -> u64 {
    // SAFETY: Any context may call this.
    unsafe { bindings::get_random_u64() }
}
