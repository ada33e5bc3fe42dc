// SPDX-License-Identifier: GPL-2.0

//! Stream sockets that user space handed over.
//!
//! C header: [`include/linux/net.h`](srctree/include/linux/net.h)

use super::{
    namespace::Namespace,
    tls::{
        self,
        Unfit, //
    }, //
};
use crate::{
    page_run::PageRun,
    signal::BlockedSignals, //
};
use core::{
    mem::{
        size_of,
        MaybeUninit, //
    },
    ptr::{
        self,
        NonNull, //
    },
};
use hmdfs_bindings as bindings;
use kernel::{
    error::to_result,
    ffi::{
        c_int,
        c_uint,
        c_void, //
    },
    iov::IovIterDest,
    prelude::*, //
};

/// What [`Socket::receive`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// So many bytes of data.
    Data(usize),
    /// So many bytes of a TLS record of this type, which is not data.
    Record(u8, usize),
    /// The peer will not send more.
    Closed,
}

/// A connected stream socket.
///
/// # Invariants
///
/// `socket` belongs to an open file that this value holds a reference to, and has
/// a `struct sock`.
pub struct Socket {
    socket: NonNull<bindings::socket>,
}

// SAFETY: Sockets are used by many tasks, and locked by the networking code.
unsafe impl Send for Socket {}
// SAFETY: The same.
unsafe impl Sync for Socket {}

/// Room for the control message that tells a record's type.
#[repr(C, align(8))]
struct Control {
    header: bindings::cmsghdr,
    kind: u8,
    rest: [u8; 7],
}

impl Control {
    /// Length of a control message with a record type (`CMSG_LEN(1)`).
    const LENGTH: usize = size_of::<bindings::cmsghdr>() + 1;
}

impl Socket {
    /// The socket behind a file descriptor of the current task. The descriptor may
    /// be closed afterwards.
    ///
    /// Errors: `EBADF`, `ENOTSOCK`.
    pub fn from_fd(fd: c_int) -> Result<Self> {
        let mut error = 0;
        // SAFETY: `error` can be written to.
        let socket = unsafe { bindings::sockfd_lookup(fd, &raw mut error) };
        let Some(socket) = NonNull::new(socket) else {
            to_result(error)?;
            return Err(EBADF);
        };
        // INVARIANT: `sockfd_lookup` took a reference to the file; an open socket has
        // a `struct sock`.
        Ok(Self { socket })
    }

    /// The namespace of the socket.
    pub fn namespace(&self) -> &Namespace {
        // SAFETY: By the type invariant it is valid.
        let net = unsafe { bindings::sock_net(self.as_raw()) };
        // SAFETY: A socket that was made by user space keeps its namespace.
        unsafe { Namespace::from_raw(net) }
    }

    /// Checks that it is an established TCP connection with TLS 1.3 in both
    /// directions.
    pub fn check_tls(&self) -> Result<(), Unfit> {
        let socket = self.as_raw();
        // SAFETY: By the type invariant it is valid.
        if !unsafe { bindings::sk_is_tcp(socket) } {
            return Err(Unfit::NotTcp);
        }
        // SAFETY: The same.
        if !unsafe { bindings::sk_is_established(socket) } {
            return Err(Unfit::NotEstablished);
        }
        // SAFETY: It is a TCP socket.
        if !unsafe { bindings::sk_has_tls(socket) } {
            return Err(Unfit::NoTls);
        }
        // SAFETY: It has TLS, which cannot be taken away again.
        if !unsafe { bindings::tls_has_keys(socket, true) } {
            return Err(Unfit::NoSendKeys);
        }
        // SAFETY: The same.
        if !unsafe { bindings::tls_has_keys(socket, false) } {
            return Err(Unfit::NoReceiveKeys);
        }
        // SAFETY: The same.
        if unsafe { bindings::tls_version(socket) } != tls::VERSION_13 {
            return Err(Unfit::NotVersion13);
        }
        Ok(())
    }

    /// Sets the socket up for use by a file system: memory for it is allocated
    /// without calling into file systems, small messages leave at once, and records
    /// are decrypted where they are wanted.
    ///
    /// Only after [`Socket::check_tls`] found nothing.
    pub fn adopt(&self) -> Result<(), Unfit> {
        self.check_tls()?;
        // SAFETY: The socket has TLS.
        unsafe { bindings::sock_adopt(self.as_raw()) };
        // SAFETY: The same.
        unsafe { bindings::tls_expect_no_pad(self.as_raw()) };
        Ok(())
    }

    /// Whether the two are one connection.
    pub fn is_same(&self, other: &Self) -> bool {
        self.socket == other.socket
    }

    /// Ends both directions: whoever waits in a call returns.
    pub fn shutdown(&self) {
        // SAFETY: By the type invariant it is valid. The result only says that the
        // connection had ended before.
        let _ = unsafe {
            bindings::kernel_sock_shutdown(self.as_raw(), bindings::sock_shutdown_cmd_SHUT_RDWR)
        };
    }

    /// Waits for data, and receives what is there, into `buffer`.
    ///
    /// Errors: those of `recvmsg(2)`; `EBADMSG` when a record is not authentic.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Received> {
        let mut vector = bindings::kvec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: buffer.len(),
        };
        let mut message = bindings::msghdr::default();
        // SAFETY: `vector` describes `buffer`, and both outlive `message`.
        unsafe {
            bindings::iov_iter_kvec(
                &raw mut message.msg_iter,
                bindings::ITER_DEST,
                &raw mut vector,
                1,
                buffer.len(),
            )
        };
        // SAFETY: The iterator was set up for `buffer`, to be written to.
        unsafe { self.receive_message(&mut message) }
    }

    /// As [`Socket::receive`], at most `limit` bytes into an iterator, which is
    /// advanced by what was received, also before an error.
    pub fn receive_into(&self, iterator: &mut IovIterDest<'_>, limit: usize) -> Result<Received> {
        let whole = iterator.len();
        let limit = limit.min(whole);
        let raw = iterator.as_raw();
        let mut message = bindings::msghdr {
            // SAFETY: `raw` is a valid iterator, and may be copied as C code does; the
            // copy alone is used until it is copied back.
            msg_iter: unsafe { ptr::read(raw) },
            ..Default::default()
        };
        // SAFETY: The copy is valid.
        unsafe { iov_iter_set_count(&raw mut message.msg_iter, limit) };
        // SAFETY: The type of `iterator` says that its memory may be written to.
        let received = unsafe { self.receive_message(&mut message) };
        // SAFETY: The copy is valid.
        let left = unsafe { iov_iter_count(&raw const message.msg_iter) };
        // SAFETY: The same. `left <= limit <= whole`.
        unsafe {
            iov_iter_set_count(
                &raw mut message.msg_iter,
                whole.saturating_sub(limit).saturating_add(left),
            )
        };
        // SAFETY: Gives the iterator the state that it would have if it had been
        // used itself.
        unsafe { ptr::write(raw, message.msg_iter) };
        received
    }

    /// As [`Socket::receive`], at most `limit` bytes into those of `run` from `from` on.
    pub fn receive_pages(&self, run: &mut PageRun, from: usize, limit: usize) -> Result<Received> {
        let vectors = run.bio_vecs();
        let mut message = bindings::msghdr::default();
        // SAFETY: The vectors outlive `message`, and have as many bytes as the run says; the
        // pages may be written to, because `run` is exclusive.
        unsafe {
            bindings::iov_iter_bvec(
                &raw mut message.msg_iter,
                bindings::ITER_DEST,
                vectors.as_ptr(),
                vectors.len(),
                run.len(),
            )
        };
        // SAFETY: The iterator is valid; this stops at its end.
        unsafe { bindings::iov_iter_advance(&raw mut message.msg_iter, from) };
        // SAFETY: As above; this makes it no longer.
        unsafe { bindings::iov_iter_truncate(&raw mut message.msg_iter, limit) };
        // SAFETY: The iterator is of pages that may be written to.
        unsafe { self.receive_message(&mut message) }
    }

    /// # Safety
    ///
    /// The iterator of `message` must be of kernel memory that may be written to.
    unsafe fn receive_message(&self, message: &mut bindings::msghdr) -> Result<Received> {
        let mut control = MaybeUninit::<Control>::zeroed();
        message.__bindgen_anon_1.msg_control = control.as_mut_ptr().cast::<c_void>();
        message.msg_controllen = size_of::<Control>();
        // SAFETY: By the type invariant, and by the safety requirements.
        let received = unsafe { bindings::sock_recvmsg(self.as_raw(), message, 0) };
        if received <= 0 {
            to_result(received)?;
            return Ok(Received::Closed);
        }
        let length = usize::try_from(received).map_err(|_| EIO)?;
        // SAFETY: It was zeroed, and any bytes are a valid value of it.
        let control = unsafe { control.assume_init() };
        let used = size_of::<Control>().saturating_sub(message.msg_controllen);
        // Without TLS there is no control message, and everything is data.
        if used >= Control::LENGTH
            && control.header.cmsg_len >= Control::LENGTH
            // CAST: A small positive number.
            && control.header.cmsg_level == bindings::SOL_TLS as c_int
            && control.header.cmsg_type == bindings::TLS_GET_RECORD_TYPE as c_int
            && control.kind != tls::RECORD_DATA
        {
            return Ok(Received::Record(control.kind, length));
        }
        Ok(Received::Data(length))
    }

    /// Sends all of `parts`. With `more`, what is sent next may share the last record, which
    /// leaves with it; otherwise nothing else does.
    ///
    /// May wait for the peer to make room, and no signal ends that. After an error
    /// the connection is of no use, for a part may have been sent.
    pub fn send(&self, parts: [&[u8]; 3], more: bool) -> Result {
        self.send_flags(parts, if more { bindings::MSG_MORE } else { 0 })
    }

    /// As [`Socket::send`], but gives up at once (`EAGAIN`) when there is no room.
    pub fn try_send(&self, bytes: &[u8]) -> Result {
        self.send_flags([bytes, &[], &[]], bindings::MSG_DONTWAIT)
    }

    fn send_flags(&self, parts: [&[u8]; 3], flags: c_uint) -> Result {
        let mut vectors = parts.map(|bytes| bindings::kvec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        });
        let length = parts.iter().map(|bytes| bytes.len()).sum();
        let mut message = bindings::msghdr {
            msg_flags: flags | bindings::MSG_NOSIGNAL,
            ..Default::default()
        };
        // SAFETY: The vectors describe `parts`, which are only read, and outlive `message`.
        unsafe {
            bindings::iov_iter_kvec(
                &raw mut message.msg_iter,
                bindings::ITER_SOURCE,
                vectors.as_mut_ptr(),
                vectors.len(),
                length,
            )
        };
        // SAFETY: The iterator was set up for these bytes.
        unsafe { self.send_message(&mut message, length) }
    }

    /// Sends an alert, in a record of its own, if there is room for it.
    pub fn try_send_alert(&self, level: u8, description: u8) -> Result {
        let alert = [level, description];
        let mut vector = bindings::kvec {
            iov_base: alert.as_ptr().cast_mut().cast(),
            iov_len: alert.len(),
        };
        let mut control = Control {
            header: bindings::cmsghdr {
                cmsg_len: Control::LENGTH,
                // CAST: Small positive numbers.
                cmsg_level: bindings::SOL_TLS as c_int,
                cmsg_type: bindings::TLS_SET_RECORD_TYPE as c_int,
            },
            kind: tls::RECORD_ALERT,
            rest: [0; 7],
        };
        let mut message = bindings::msghdr {
            msg_flags: bindings::MSG_DONTWAIT | bindings::MSG_NOSIGNAL,
            msg_controllen: size_of::<Control>(),
            ..Default::default()
        };
        message.__bindgen_anon_1.msg_control = ptr::from_mut(&mut control).cast::<c_void>();
        // SAFETY: The vector describes `alert`, which is only read and outlives
        // `message`.
        unsafe {
            bindings::iov_iter_kvec(
                &raw mut message.msg_iter,
                bindings::ITER_SOURCE,
                &raw mut vector,
                1,
                alert.len(),
            )
        };
        // SAFETY: The iterator was set up for these bytes, and `control` is a well
        // formed control message that outlives the call.
        unsafe { self.send_message(&mut message, alert.len()) }
    }

    /// Bytes that the peer's TCP has acknowledged so far; C: `bytes_acked` of `struct tcp_sock`.
    pub fn bytes_acked(&self) -> u64 {
        // SAFETY: By the type invariant, a TCP socket.
        unsafe { bindings::tcp_bytes_acked((*self.as_raw()).sk) }
    }

    /// Sends `length` bytes of `run`, from `from` on, without copying them; see [`Socket::send`]
    /// for what else is to be known. Fails with EPIPE when the run has not so many.
    pub fn send_pages(&self, run: &PageRun, from: usize, length: usize) -> Result {
        let vectors = run.bio_vecs();
        let mut message = bindings::msghdr {
            msg_flags: bindings::MSG_SPLICE_PAGES | bindings::MSG_NOSIGNAL,
            ..Default::default()
        };
        // SAFETY: The vectors outlive `message`, and have as many bytes as the run
        // says.
        unsafe {
            bindings::iov_iter_bvec(
                &raw mut message.msg_iter,
                bindings::ITER_SOURCE,
                vectors.as_ptr(),
                vectors.len(),
                run.len(),
            )
        };
        // SAFETY: The iterator is valid; this stops at its end.
        unsafe { bindings::iov_iter_advance(&raw mut message.msg_iter, from) };
        // SAFETY: As above; this makes it no longer.
        unsafe { bindings::iov_iter_truncate(&raw mut message.msg_iter, length) };
        // SAFETY: The run refers to its pages, none of which is of the slab. They are
        // encrypted into memory of the socket before the call returns.
        unsafe { self.send_message(&mut message, length) }
    }

    /// # Safety
    ///
    /// `message` must hold `length` bytes of kernel memory to read.
    unsafe fn send_message(&self, message: &mut bindings::msghdr, length: usize) -> Result {
        let signals = BlockedSignals::new();
        // SAFETY: By the type invariant, and by the safety requirements.
        let sent = unsafe { bindings::hmdfs_sock_sendmsg(self.as_raw(), message) };
        drop(signals);
        match usize::try_from(sent) {
            Ok(sent) if sent == length => Ok(()),
            Ok(_) => Err(EPIPE),
            Err(_) => Err(Error::from_errno(sent)),
        }
    }

    fn as_raw(&self) -> *mut bindings::socket {
        self.socket.as_ptr()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // SAFETY: By the type invariant there is a reference to the file to give up.
        unsafe { bindings::fput((*self.as_raw()).file) };
    }
}

/// Bytes that are left in an iterator.
///
/// # Safety
///
/// `iterator` must be valid.
unsafe fn iov_iter_count(iterator: *const bindings::iov_iter) -> usize {
    // SAFETY: By the safety requirements.
    unsafe { (*iterator).__bindgen_anon_1.__bindgen_anon_1.as_ref().count }
}

/// Sets the number of bytes that are left in an iterator.
///
/// # Safety
///
/// `iterator` must be valid, and have room for `count` bytes.
unsafe fn iov_iter_set_count(iterator: *mut bindings::iov_iter, count: usize) {
    // SAFETY: By the safety requirements.
    unsafe { (*iterator).__bindgen_anon_1.__bindgen_anon_1.as_mut().count = count };
}
