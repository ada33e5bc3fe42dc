// SPDX-License-Identifier: GPL-2.0

//! Credentials: as whom the kernel acts.
//!
//! C header: [`include/linux/cred.h`](srctree/include/linux/cred.h)

use core::ptr::NonNull;

use hmdfs_bindings as bindings;
use kernel::{
    cred::Credential,
    error::to_result,
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

/// Credentials of the user `uid` and the group `gid`, numbers of the initial user namespace, with
/// no other groups and no capabilities, so that file permissions hold for root as well.
///
/// [`ENOMEM`] when there is no memory for it, [`EINVAL`] when there are no such numbers.
pub fn prepare_creds_of(uid: u32, gid: u32) -> Result<ARef<Credential>> {
    let cred = prepare(|cred| {
        let none = bindings::kernel_cap_t { val: 0 };
        cred.cap_inheritable = none;
        cred.cap_permitted = none;
        cred.cap_effective = none;
        cred.cap_ambient = none;
    })?;
    // SAFETY: The credentials are new: nobody but us has a reference.
    to_result(unsafe { bindings::cred_become(cred.as_ptr().cast_mut(), uid, gid) })?;
    Ok(cred)
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

/// The umask of the calling task; C: `current_umask`.
pub fn current_umask() -> u16 {
    // SAFETY: May be called by any task.
    let umask = unsafe { bindings::current_umask() };
    // CAST: A umask has nine bits.
    (umask & 0o777) as u16
}

/// Runs `f` with this umask. Only for kernel threads.
///
/// [`ENOMEM`] when there is no memory for the thread's own umask.
pub fn with_umask<R>(umask: u16, f: impl FnOnce() -> Result<R>) -> Result<R> {
    // SAFETY: May be called by any kernel thread, in process context.
    let old = unsafe { bindings::replace_umask((umask & 0o777).into()) };
    to_result(old)?;
    let _guard = ScopeGuard::new_with_data(NotThreadSafe, |_| {
        // SAFETY: As above. The thread has its own umask now if the two are different, so this
        // does not fail.
        unsafe { bindings::replace_umask(old) };
    });
    f()
}
