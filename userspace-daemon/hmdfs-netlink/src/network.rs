// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tells that the network has changed: an interface came or went, or an address.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use crate::error::Error;
use crate::socket::Socket;

/// Notifications of the network namespace's interfaces and addresses. What they say is not read:
/// that there was one is reason enough to try again what has failed before.
#[derive(Debug)]
pub struct NetworkChanges {
    socket: Socket,
    buffer: Vec<u8>,
}

impl NetworkChanges {
    /// Subscribes in the calling thread's network namespace.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn subscribe() -> Result<Self, Error> {
        let socket = Socket::open(libc::NETLINK_ROUTE, None)?;
        for group in [
            libc::RTNLGRP_LINK,
            libc::RTNLGRP_IPV4_IFADDR,
            libc::RTNLGRP_IPV6_IFADDR,
        ] {
            socket.join(group)?;
        }
        Ok(NetworkChanges {
            socket,
            buffer: Vec::new(),
        })
    }

    /// Takes all notifications that have arrived; tells whether there were any.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn take(&mut self) -> Result<bool, Error> {
        let mut any = false;
        loop {
            match self.socket.receive(&mut self.buffer) {
                Ok(()) | Err(Error::Overrun) => any = true,
                Err(Error::Io(_, error)) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    return Ok(any);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for NetworkChanges {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for NetworkChanges {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_network_tells_nothing() {
        let mut changes = NetworkChanges::subscribe().unwrap();
        // Others may change the network meanwhile; after taking all, nothing is left.
        changes.take().unwrap();
        assert!(changes.socket.receive(&mut Vec::new()).is_err());
    }
}
