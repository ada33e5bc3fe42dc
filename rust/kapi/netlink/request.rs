// SPDX-License-Identifier: GPL-2.0

//! What generic netlink asks of a family.

use super::message::Message;
use crate::net::Namespace;
use core::{
    marker::PhantomData,
    ptr,
    slice, //
};
use hmdfs_bindings as bindings;
use kernel::{
    error::to_result,
    prelude::*,
    str::CStrExt, //
};

/// A command with its attributes (`struct genl_info`).
///
/// # Invariants
///
/// `info` is valid for `'a`, and so are its attributes, which fit their policy.
pub struct Request<'a> {
    info: *mut bindings::genl_info,
    _info: PhantomData<&'a bindings::genl_info>,
}

impl<'a> Request<'a> {
    /// # Safety
    ///
    /// `info` must be of the command that is running, which must outlast `'a`.
    pub(super) unsafe fn from_raw(info: *mut bindings::genl_info) -> Self {
        // INVARIANT: By the safety requirements; generic netlink has checked the
        // attributes.
        Self {
            info,
            _info: PhantomData,
        }
    }

    /// The command's number.
    pub fn command(&self) -> u32 {
        // SAFETY: By the type invariant.
        unsafe { bindings::genl_info_command(self.info) }.into()
    }

    /// The namespace of the socket that sent the command.
    pub fn net(&self) -> &'a Namespace {
        // SAFETY: By the type invariant.
        let net = unsafe { bindings::genl_info_net(self.info) };
        // SAFETY: The socket keeps it while its command runs.
        unsafe { Namespace::from_raw(net) }
    }

    /// The bytes of an attribute.
    pub fn bytes(&self, attribute: u32) -> Option<&'a [u8]> {
        let attribute = self.attribute(attribute);
        if attribute.is_null() {
            return None;
        }
        // SAFETY: The attribute is valid.
        let length = unsafe { bindings::nla_len(attribute) };
        // SAFETY: The same.
        let data = unsafe { bindings::nla_data(attribute) };
        // SAFETY: An attribute that was parsed has as many bytes as it says, which
        // stay as they are while the command runs.
        Some(unsafe { slice::from_raw_parts(data.cast(), usize::try_from(length).ok()?) })
    }

    /// The bytes of a string, without the NUL at its end.
    pub fn string(&self, attribute: u32) -> Option<&'a [u8]> {
        self.bytes(attribute)?.split(|&byte| byte == 0).next()
    }

    /// The value of an attribute of 32 bits.
    pub fn u32(&self, attribute: u32) -> Option<u32> {
        self.bytes(attribute)?
            .try_into()
            .ok()
            .map(u32::from_ne_bytes)
    }

    /// The value of an attribute of 32 bits with a sign.
    pub fn s32(&self, attribute: u32) -> Option<i32> {
        self.bytes(attribute)?
            .try_into()
            .ok()
            .map(i32::from_ne_bytes)
    }

    /// Says to the user why the command fails, and gives `error` back.
    pub fn refuse(&self, error: impl Into<Error>, text: &'static CStr) -> Error {
        self.say(text, ptr::null_mut());
        error.into()
    }

    /// As [`Request::refuse`], and points at the attribute that is wrong.
    pub fn refuse_attribute(
        &self,
        error: impl Into<Error>,
        attribute: u32,
        text: &'static CStr,
    ) -> Error {
        self.say(text, self.attribute(attribute));
        error.into()
    }

    /// Answers with one message.
    pub fn reply(&self, write: impl FnOnce(&mut Message<'_>) -> Result) -> Result {
        let skb = super::message::Buffer::new()?;
        // SAFETY: The buffer is empty, and `info` valid by the type invariant.
        let header = unsafe { bindings::genlmsg_iput(skb.as_raw(), self.info) };
        Message::write(skb.as_raw(), header, write)?;
        // SAFETY: The buffer holds a message that is complete, and is given away.
        to_result(unsafe { bindings::genlmsg_reply(skb.into_raw(), self.info) })
    }

    fn attribute(&self, attribute: u32) -> *mut bindings::nlattr {
        let Ok(attribute) = u16::try_from(attribute) else {
            return ptr::null_mut();
        };
        // SAFETY: By the type invariant.
        unsafe { bindings::genl_info_attribute(self.info, attribute) }
    }

    fn say(&self, text: &'static CStr, attribute: *mut bindings::nlattr) {
        // SAFETY: By the type invariant; the text is static, and the attribute is of
        // this command or null.
        unsafe { bindings::genl_info_refuse(self.info, text.as_char_ptr(), attribute) };
    }
}

/// A list that is sent in several parts (`struct netlink_callback`).
///
/// # Invariants
///
/// Both pointers are valid for `'a`.
pub struct Dump<'a> {
    skb: *mut bindings::sk_buff,
    cb: *mut bindings::netlink_callback,
    _cb: PhantomData<&'a mut bindings::netlink_callback>,
}

impl<'a> Dump<'a> {
    /// # Safety
    ///
    /// The pointers must be those of the dump that is running, which must outlast
    /// `'a`.
    pub(super) unsafe fn from_raw(
        skb: *mut bindings::sk_buff,
        cb: *mut bindings::netlink_callback,
    ) -> Self {
        // INVARIANT: By the safety requirements.
        Self {
            skb,
            cb,
            _cb: PhantomData,
        }
    }

    /// The command's number.
    pub fn command(&self) -> u32 {
        // SAFETY: By the type invariant.
        unsafe { bindings::netlink_dump_command(self.cb) }.into()
    }

    /// The namespace of the socket that wants the list.
    pub fn net(&self) -> &'a Namespace {
        // SAFETY: By the type invariant.
        let net = unsafe { bindings::netlink_dump_net(self.cb) };
        // SAFETY: The socket keeps it while its command runs.
        unsafe { Namespace::from_raw(net) }
    }

    /// What the last call for this list remembered; zero at the first.
    pub fn state(&self) -> usize {
        // SAFETY: By the type invariant.
        unsafe { bindings::netlink_dump_state(self.cb) }
    }

    /// Remembers something for the next call.
    pub fn set_state(&mut self, state: usize) {
        // SAFETY: By the type invariant.
        unsafe { bindings::netlink_dump_set_state(self.cb, state) };
    }

    /// Appends an entry. `EMSGSIZE` when this part is full, which is to be returned
    /// then.
    pub fn entry(&mut self, write: impl FnOnce(&mut Message<'_>) -> Result) -> Result {
        // SAFETY: By the type invariant.
        let header = unsafe { bindings::genlmsg_put_dump(self.skb, self.cb) };
        Message::write(self.skb, header, write)
    }
}
