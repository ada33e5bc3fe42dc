// SPDX-License-Identifier: GPL-2.0

//! Sorting.
//!
//! C header: [`include/linux/sort.h`](srctree/include/linux/sort.h)
//!
//! The methods of slices recurse, with frames of a kilobyte: more than a kernel's
//! stack has for large slices.

use core::{cmp::Ordering, mem::size_of};

use hmdfs_bindings as bindings;
use kernel::prelude::*;

/// Sorts by `compare`, with a heap: O(n log n) steps whatever the order was, no memory, and equal
/// items in any order; C: `sort_r_nonatomic`. May sleep.
pub fn sort_by<T, F: Fn(&T, &T) -> Ordering>(items: &mut [T], compare: F) {
    if size_of::<T>() == 0 {
        return;
    }
    // SAFETY: The items are valid and nobody else uses them; they are moved as bytes, and all are
    // there again in the end. The function is for items of this type, and given `compare`.
    unsafe {
        bindings::sort_r_nonatomic(
            items.as_mut_ptr().cast(),
            items.len(),
            size_of::<T>(),
            Some(call::<T, F>),
            None,
            (&raw const compare).cast(),
        )
    };
}

/// # Safety
///
/// `a` and `b` must point to valid `T`s, and `compare` to a valid `F`.
unsafe extern "C" fn call<T, F: Fn(&T, &T) -> Ordering>(
    a: *const c_void,
    b: *const c_void,
    compare: *const c_void,
) -> c_int {
    // SAFETY: By the function's contract.
    let (a, b, compare) = unsafe { (&*a.cast::<T>(), &*b.cast::<T>(), &*compare.cast::<F>()) };
    compare(a, b) as c_int
}

#[cfg(HMDFS_KUNIT)]
#[kernel::prelude::kunit_tests(hmdfs_sort)]
mod tests {
    use super::*;

    #[test]
    fn many_items_in_any_order() -> Result {
        const COUNT: u64 = 200_000;
        // Multiplying by an odd number is a permutation.
        let orders: [fn(u64) -> u64; 4] = [
            |number| number,
            |number| COUNT - number,
            |number| number / 1000,
            |number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        ];
        for order in orders {
            let mut items = KVVec::new();
            for number in 0..COUNT {
                items.push((order(number), number), GFP_KERNEL)?;
            }
            sort_by(&mut items, |a, b| a.cmp(b));
            assert!(items.is_sorted());
            assert_eq!(items.len() as u64, COUNT);
            sort_by(&mut items, |(_, a), (_, b)| a.cmp(b));
            assert!(items.iter().map(|(_, number)| *number).eq(0..COUNT));
        }
        let nothing: &mut [u8] = &mut [];
        sort_by(nothing, |a, b| a.cmp(b));
        Ok(())
    }
}
