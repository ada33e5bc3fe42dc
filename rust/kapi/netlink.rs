// SPDX-License-Identifier: GPL-2.0

//! The module's generic netlink family.
//!
//! Its tables are generated from the specification into `rust/netlink/`; what a
//! command does is a [`Handler`]'s. Attributes reach it only after they passed the
//! policy of the specification, and only with the privileges that it asks for.
//!
//! C headers: [`include/net/genetlink.h`](srctree/include/net/genetlink.h),
//! [`include/net/netlink.h`](srctree/include/net/netlink.h)

pub mod message;
pub mod request;
pub mod uapi;

pub use message::{
    multicast,
    Message, //
};
pub use request::{
    Dump,
    Request, //
};

use hmdfs_bindings as bindings;
use kernel::{
    error::{
        from_result,
        to_result, //
    },
    ffi::c_int,
    prelude::*,
    sync::SetOnce, //
};

/// What the commands of the family do.
///
/// Commands may run at the same time in several tasks, also while the handler is
/// being registered.
pub trait Handler: 'static {
    /// Executes a command.
    fn doit(command: u32, request: &Request<'_>) -> Result;

    /// Lists what a command gets, from where the last call stopped.
    fn dumpit(command: u32, dump: &mut Dump<'_>) -> Result;
}

#[derive(Clone, Copy)]
struct Functions {
    doit: fn(u32, &Request<'_>) -> Result,
    dumpit: fn(u32, &mut Dump<'_>) -> Result,
}

/// What the one registered handler does.
static FUNCTIONS: SetOnce<Functions> = SetOnce::new();

/// Keeps the family registered. There can be one.
pub struct Registration(());

impl Registration {
    /// Registers the family, with `H` for its commands.
    ///
    /// Errors: `EBUSY` when that was done before.
    pub fn new<H: Handler>() -> Result<Self> {
        let functions = Functions {
            doit: H::doit,
            dumpit: H::dumpit,
        };
        if !FUNCTIONS.populate(functions) {
            return Err(EBUSY);
        }
        // SAFETY: What the tables of the family call is in this module.
        to_result(unsafe { bindings::genl_register() })?;
        Ok(Self(()))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: It is registered; this waits for commands that run.
        unsafe { bindings::genl_unregister() };
    }
}

/// Executes a command of the family.
///
/// # Safety
///
/// `info` must be what generic netlink gave to the operation that is running.
#[no_mangle]
unsafe extern "C" fn hmdfs_netlink_doit(info: *mut bindings::genl_info) -> c_int {
    from_result(|| {
        let functions = FUNCTIONS.as_ref().ok_or(ENODEV)?;
        // SAFETY: By the safety requirements.
        let request = unsafe { Request::from_raw(info) };
        (functions.doit)(request.command(), &request)?;
        Ok(0)
    })
}

/// Executes a part of a dump of the family.
///
/// # Safety
///
/// The arguments must be what generic netlink gave to the operation that is running.
#[no_mangle]
unsafe extern "C" fn hmdfs_netlink_dumpit(
    skb: *mut bindings::sk_buff,
    cb: *mut bindings::netlink_callback,
) -> c_int {
    from_result(|| {
        let functions = FUNCTIONS.as_ref().ok_or(ENODEV)?;
        // SAFETY: By the safety requirements.
        let mut dump = unsafe { Dump::from_raw(skb, cb) };
        (functions.dumpit)(dump.command(), &mut dump)?;
        Ok(0)
    })
}
