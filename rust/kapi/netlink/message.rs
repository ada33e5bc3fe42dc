// SPDX-License-Identifier: GPL-2.0

//! Messages from the family to user space.

use crate::net::Namespace;
use core::{
    marker::PhantomData,
    mem,
    ptr::NonNull, //
};
use hmdfs_bindings as bindings;
use kernel::{
    error::to_result,
    ffi::c_void,
    prelude::*, //
};

/// A buffer for messages.
///
/// # Invariants
///
/// The pointer is to a buffer that belongs to this value.
pub(super) struct Buffer(NonNull<bindings::sk_buff>);

impl Buffer {
    pub(super) fn new() -> Result<Self> {
        // SAFETY: Nothing is required.
        let skb = unsafe { bindings::genlmsg_new() };
        // INVARIANT: It was made for this value.
        Ok(Self(NonNull::new(skb).ok_or(ENOMEM)?))
    }

    pub(super) fn as_raw(&self) -> *mut bindings::sk_buff {
        self.0.as_ptr()
    }

    /// Gives the buffer to a function that takes it.
    pub(super) fn into_raw(self) -> *mut bindings::sk_buff {
        let skb = self.as_raw();
        mem::forget(self);
        skb
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::nlmsg_free(self.as_raw()) };
    }
}

/// A message that is being written.
///
/// # Invariants
///
/// `skb` is valid for `'a`, and the message that was begun is its last.
pub struct Message<'a> {
    skb: *mut bindings::sk_buff,
    _skb: PhantomData<&'a mut bindings::sk_buff>,
}

impl Message<'_> {
    /// Completes the message that begins with `header`, or takes it back when
    /// `write` fails. A header that is null had no room.
    pub(super) fn write(
        skb: *mut bindings::sk_buff,
        header: *mut c_void,
        write: impl FnOnce(&mut Message<'_>) -> Result,
    ) -> Result {
        if header.is_null() {
            return Err(EMSGSIZE);
        }
        let result = write(&mut Message {
            skb,
            _skb: PhantomData,
        });
        match result {
            // SAFETY: `header` was begun in `skb`.
            Ok(()) => unsafe { bindings::genlmsg_end(skb, header) },
            // SAFETY: The same.
            Err(_) => unsafe { bindings::genlmsg_cancel(skb, header) },
        }
        result
    }

    /// Appends bytes. `EMSGSIZE` when there is no room, as from all of these.
    pub fn put_bytes(&mut self, attribute: u32, bytes: &[u8]) -> Result {
        let attribute = u16::try_from(attribute)?;
        let length = i32::try_from(bytes.len())?;
        // SAFETY: By the type invariant; `length` is that of `bytes`.
        to_result(unsafe { bindings::nla_put(self.skb, attribute, length, bytes.as_ptr().cast()) })
    }

    /// Appends a string, which gets a NUL.
    pub fn put_string(&mut self, attribute: u32, string: &[u8]) -> Result {
        let mut terminated = KVec::with_capacity(string.len().saturating_add(1), GFP_KERNEL)?;
        terminated.extend_from_slice(string, GFP_KERNEL)?;
        terminated.push(0, GFP_KERNEL)?;
        self.put_bytes(attribute, &terminated)
    }

    /// Appends a number of 8 bits.
    pub fn put_u8(&mut self, attribute: u32, value: u8) -> Result {
        self.put_bytes(attribute, &[value])
    }

    /// Appends a number of 32 bits.
    pub fn put_u32(&mut self, attribute: u32, value: u32) -> Result {
        self.put_bytes(attribute, &value.to_ne_bytes())
    }

    /// Appends a number in as many bits as it needs, 32 or 64.
    pub fn put_uint(&mut self, attribute: u32, value: u64) -> Result {
        let attribute = u16::try_from(attribute)?;
        // SAFETY: By the type invariant.
        to_result(unsafe { bindings::nla_put_uint(self.skb, attribute, value) })
    }

    /// Appends an attribute that consists of what `write` appends.
    pub fn nest(&mut self, attribute: u32, write: impl FnOnce(&mut Self) -> Result) -> Result {
        let attribute = u16::try_from(attribute)?;
        // SAFETY: By the type invariant.
        let nest = unsafe { bindings::nla_nest_start(self.skb, attribute) };
        if nest.is_null() {
            return Err(EMSGSIZE);
        }
        // When it fails, the whole message is taken back.
        write(self)?;
        // SAFETY: The attribute was begun in this buffer.
        unsafe { bindings::nla_nest_end(self.skb, nest) };
        Ok(())
    }
}

/// Tells all members of `group` in a namespace that something happened.
///
/// Succeeds when there are none. Errors: `ENOMEM`.
pub fn multicast(
    net: &Namespace,
    command: u32,
    group: u32,
    write: impl FnOnce(&mut Message<'_>) -> Result,
) -> Result {
    // SAFETY: The namespace is valid.
    if !unsafe { bindings::genl_has_listeners(net.as_raw(), group) } {
        return Ok(());
    }
    let command = u8::try_from(command)?;
    let skb = Buffer::new()?;
    // SAFETY: The buffer is empty.
    let header = unsafe { bindings::genlmsg_put_event(skb.as_raw(), command) };
    Message::write(skb.as_raw(), header, write)?;
    // SAFETY: The namespace is valid, and the buffer, which holds a message that is
    // complete, is given away.
    unsafe { bindings::genlmsg_multicast(net.as_raw(), skb.into_raw(), group) };
    Ok(())
}
