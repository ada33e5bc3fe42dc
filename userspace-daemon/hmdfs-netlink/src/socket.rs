// SPDX-License-Identifier: MIT OR Apache-2.0

//! A netlink socket.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use crate::error::Error;

const NETLINK_EXT_ACK: libc::c_int = 11;
const NETLINK_GET_STRICT_CHK: libc::c_int = 12;

/// A netlink socket of the calling thread's network namespace.
#[derive(Debug)]
pub(crate) struct Socket(OwnedFd);

fn last(call: &'static str) -> Error {
    Error::Io(call, io::Error::last_os_error())
}

impl Socket {
    /// Opens a socket of `protocol` whose receiving gives up after `timeout`; `None` makes it
    /// non-blocking.
    pub(crate) fn open(protocol: libc::c_int, timeout: Option<Duration>) -> Result<Self, Error> {
        let mut kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        if timeout.is_none() {
            kind |= libc::SOCK_NONBLOCK;
        }
        // SAFETY: socket(2) takes no pointers.
        let fd = unsafe { libc::socket(libc::AF_NETLINK, kind, protocol) };
        if fd < 0 {
            return Err(last("socket"));
        }
        // SAFETY: the descriptor was just made and nothing else owns it.
        let socket = Socket(unsafe { OwnedFd::from_raw_fd(fd) });
        // SAFETY: an all-zero sockaddr_nl is valid: any port, no groups.
        let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
        // SAFETY: the pointer and the length describe `address`, which outlives the call.
        let result = unsafe {
            libc::bind(
                fd,
                (&raw const address).cast(),
                size_of::<libc::sockaddr_nl>() as libc::socklen_t,
            )
        };
        if result < 0 {
            return Err(last("bind"));
        }
        socket.set(libc::SOL_NETLINK, NETLINK_EXT_ACK, &1i32)?;
        socket.set(libc::SOL_NETLINK, libc::NETLINK_CAP_ACK, &1i32)?;
        socket.set(libc::SOL_NETLINK, NETLINK_GET_STRICT_CHK, &1i32)?;
        if let Some(timeout) = timeout {
            let value = libc::timeval {
                tv_sec: timeout.as_secs() as libc::time_t,
                tv_usec: libc::suseconds_t::from(timeout.subsec_micros() as i32),
            };
            socket.set(libc::SOL_SOCKET, libc::SO_RCVTIMEO, &value)?;
        }
        Ok(socket)
    }

    fn set<T: Copy>(&self, level: i32, option: i32, value: &T) -> Result<(), Error> {
        // SAFETY: the pointer and the length describe `value`, which outlives the call.
        let result = unsafe {
            libc::setsockopt(
                self.0.as_raw_fd(),
                level,
                option,
                (value as *const T).cast(),
                size_of::<T>() as libc::socklen_t,
            )
        };
        if result < 0 {
            return Err(last("setsockopt"));
        }
        Ok(())
    }

    /// Room for bursts of notifications. More than the system's limit needs a privilege; without
    /// it the limit is what we get, and an overrun is handled anyway.
    pub(crate) fn enlarge_buffer(&self, octets: i32) -> Result<(), Error> {
        self.set(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &octets)
            .or_else(|_| self.set(libc::SOL_SOCKET, libc::SO_RCVBUF, &octets))
    }

    pub(crate) fn join(&self, group: u32) -> Result<(), Error> {
        self.set(libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP, &group)
    }

    pub(crate) fn send(&self, message: &[u8]) -> Result<(), Error> {
        loop {
            // SAFETY: the pointer and the length describe `message`. Without an address the
            // message goes to port 0, which is the kernel.
            let sent = unsafe {
                libc::send(
                    self.0.as_raw_fd(),
                    message.as_ptr().cast(),
                    message.len(),
                    0,
                )
            };
            if sent >= 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(Error::Io("send", error));
            }
        }
    }

    /// Receives one datagram into `buffer`, which grows as needed. Datagrams of other processes
    /// are skipped: only the kernel, which is port 0, is believed.
    pub(crate) fn receive(&self, buffer: &mut Vec<u8>) -> Result<(), Error> {
        loop {
            let size = self.pending()?;
            buffer.clear();
            buffer.resize(size.max(1), 0);
            // SAFETY: an all-zero sockaddr_nl is valid.
            let mut from: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
            let mut from_len = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
            // SAFETY: both pointers and lengths describe live, writable memory of those sizes.
            let received = unsafe {
                libc::recvfrom(
                    self.0.as_raw_fd(),
                    buffer.as_mut_ptr().cast(),
                    buffer.len(),
                    libc::MSG_DONTWAIT,
                    (&raw mut from).cast(),
                    &raw mut from_len,
                )
            };
            let Ok(received) = usize::try_from(received) else {
                match receive_error() {
                    None => continue,
                    Some(error) => return Err(error),
                }
            };
            buffer.truncate(received);
            if from.nl_pid == 0 {
                return Ok(());
            }
        }
    }

    /// Waits for a datagram (as the socket was opened) and tells its size.
    fn pending(&self) -> Result<usize, Error> {
        loop {
            // SAFETY: no octet is written through the null pointer, as the length is 0.
            let size = unsafe {
                libc::recv(
                    self.0.as_raw_fd(),
                    std::ptr::null_mut(),
                    0,
                    libc::MSG_PEEK | libc::MSG_TRUNC,
                )
            };
            match usize::try_from(size) {
                Ok(size) => return Ok(size),
                Err(_) => {
                    if let Some(error) = receive_error() {
                        return Err(error);
                    }
                }
            }
        }
    }
}

/// The error of a failed receive; nothing when it should just be tried again.
fn receive_error() -> Option<Error> {
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::Interrupted {
        return None;
    }
    if error.raw_os_error() == Some(libc::ENOBUFS) {
        return Some(Error::Overrun);
    }
    Some(Error::Io("receive", error))
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
