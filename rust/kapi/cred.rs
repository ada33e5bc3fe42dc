// SPDX-License-Identifier: GPL-2.0

//! Credentials: as whom the kernel acts.
//!
//! C header: [`include/linux/cred.h`](srctree/include/linux/cred.h)

use core::ptr::NonNull;

use hmdfs_bindings as bindings;
use kernel::{
    cred::Credential,
    prelude::*,
    sync::aref::ARef,
    types::{NotThreadSafe, ScopeGuard},
};

/// A copy of the credentials of the calling task; C: `prepare_creds`.
///
/// [`ENOMEM`] when there is no memory for it.
pub fn prepare_creds() -> Result<ARef<Credential>> {
    prepare(|_| {})
}

/// A copy of the credentials of the calling task with no capability in effect,
/// so that file permissions hold for root as well.
///
/// [`ENOMEM`] when there is no memory for it.
pub fn prepare_creds_without_capabilities() -> Result<ARef<Credential>> {
    prepare(|cred| cred.cap_effective = bindings::kernel_cap_t { val: 0 })
}

fn prepare(change: impl FnOnce(&mut bindings::cred)) -> Result<ARef<Credential>> {
    // SAFETY: May be called by any task in process context.
    let cred = NonNull::new(unsafe { bindings::prepare_creds() }).ok_or(ENOMEM)?;
    // SAFETY: A prepared `struct cred` is valid and nobody else has a reference to it yet.
    change(unsafe { &mut *cred.as_ptr() });
    // SAFETY: The reference from `prepare_creds` becomes the one of the `ARef`; `Credential` is
    // a transparent wrapper.
    Ok(unsafe { ARef::from_raw(cred.cast()) })
}

/// Runs `f` with `cred` as the credentials of the calling task.
///
/// C: `scoped_with_creds`. May be nested.
pub fn with_creds<R>(cred: &Credential, f: impl FnOnce() -> R) -> R {
    // SAFETY: `cred` is valid, and stays so until the guard below has put back the old ones:
    // the reference outlives this function.
    let old = unsafe { bindings::override_creds(cred.as_ptr()) };
    let _guard = ScopeGuard::new_with_data(NotThreadSafe, |_| {
        // SAFETY: The same task's own credentials from before, which it still holds.
        unsafe { bindings::revert_creds(old) };
    });
    f()
}
