// SPDX-License-Identifier: GPL-2.0

//! SipHash-2-4, a keyed hash for short messages.
//!
//! C header: [`include/linux/siphash.h`](srctree/include/linux/siphash.h)

use hmdfs_bindings as bindings;

/// A key; C: `siphash_key_t`.
#[derive(Clone, Copy)]
pub struct Key(bindings::siphash_key_t);

impl Key {
    /// A key of 16 secret bytes.
    pub const fn new(bytes: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
        Self(bindings::siphash_key_t {
            key: [
                u64::from_le_bytes([a, b, c, d, e, f, g, h]),
                u64::from_le_bytes(rest),
            ],
        })
    }

    /// The keyed hash of `data`; C: `siphash`.
    pub fn siphash(&self, data: &[u8]) -> u64 {
        // SAFETY: `data` is valid for reads of its length, and so is the key.
        unsafe { bindings::siphash(data.as_ptr().cast(), data.len(), &self.0) }
    }
}

#[cfg(HMDFS_KUNIT)]
#[kernel::prelude::kunit_tests(hmdfs_siphash)]
mod tests {
    use super::*;

    #[test]
    fn the_vector_of_the_siphash_paper() {
        let key = Key::new(core::array::from_fn(|index| index as u8));
        let data: [u8; 15] = core::array::from_fn(|index| index as u8);
        assert_eq!(key.siphash(&data), 0xa129_ca61_49be_45e5);
    }
}
