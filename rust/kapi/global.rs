// SPDX-License-Identifier: GPL-2.0

//! Static variables of a module.
//!
//! The lock macros of the `kernel` crate for statics must be initialised by unsafe
//! code of their user. A [`Global`] is ready from the beginning, because its mutex is
//! a static one of C. All of a module share it: it is for what is rarely touched.

use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    ops::{Deref, DerefMut},
};

use hmdfs_bindings as bindings;

/// A static variable that one task at a time may use.
///
/// # Invariants
///
/// The value is only touched by who holds the module's global mutex.
pub struct Global<T>(UnsafeCell<T>);

// SAFETY: The mutex serialises all access, and the value may go from task to task.
unsafe impl<T: Send> Sync for Global<T> {}

impl<T> Global<T> {
    /// Makes the variable, for a `static`.
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Waits until nobody else uses a [`Global`] of this module. May sleep; not recursive.
    pub fn lock(&self) -> Guard<'_, T> {
        // SAFETY: The mutex is static.
        unsafe { bindings::global_mutex_lock() };
        Guard {
            global: self,
            _not_send: PhantomData,
        }
    }
}

/// The right to use a [`Global`], until it is dropped.
///
/// # Invariants
///
/// The calling task holds the module's global mutex.
pub struct Guard<'a, T> {
    global: &'a Global<T>,
    _not_send: PhantomData<*mut ()>,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: The mutex is held.
        unsafe { &*self.global.0.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: The mutex is held, and `self` is exclusive.
        unsafe { &mut *self.global.0.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: The mutex is held by this task.
        unsafe { bindings::global_mutex_unlock() };
    }
}
