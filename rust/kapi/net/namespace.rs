// SPDX-License-Identifier: GPL-2.0

//! Network namespaces.
//!
//! C header: [`include/net/net_namespace.h`](srctree/include/net/net_namespace.h)

use core::ptr::NonNull;
use hmdfs_bindings as bindings;
use kernel::{
    sync::aref::{
        ARef,
        AlwaysRefCounted, //
    },
    types::Opaque, //
};

/// A network namespace (`struct net`).
///
/// A reference keeps it alive with all of its interfaces. Giving one up may be
/// done in any context.
#[repr(transparent)]
pub struct Namespace(Opaque<bindings::net>);

// SAFETY: A namespace is used by many tasks; nothing in it is bound to one.
unsafe impl Send for Namespace {}
// SAFETY: The same.
unsafe impl Sync for Namespace {}

// SAFETY: `get_net` and `put_net` count references, and the last one frees it.
unsafe impl AlwaysRefCounted for Namespace {
    fn inc_ref(&self) {
        // SAFETY: `self` is a live namespace.
        unsafe { bindings::get_net(self.as_raw()) };
    }

    unsafe fn dec_ref(object: NonNull<Self>) {
        // SAFETY: The caller owns a reference.
        unsafe { bindings::put_net(object.as_ptr().cast()) };
    }
}

impl Namespace {
    /// The namespace of the current task.
    pub fn current() -> ARef<Self> {
        // SAFETY: A task that runs has namespaces.
        let net = unsafe { bindings::current_net() };
        // SAFETY: The task's own reference lives as long as the task is in this call.
        unsafe { Self::from_raw(net) }.into()
    }

    /// A namespace from a pointer of the C API.
    ///
    /// # Safety
    ///
    /// `net` must be valid, and stay so for `'a`.
    pub unsafe fn from_raw<'a>(net: *mut bindings::net) -> &'a Self {
        // SAFETY: By the safety requirements; the type is transparent.
        unsafe { &*net.cast::<Self>() }
    }

    /// The pointer of the C API.
    pub fn as_raw(&self) -> *mut bindings::net {
        self.0.get()
    }
}

impl PartialEq for Namespace {
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(self, other)
    }
}

impl Eq for Namespace {}
