// SPDX-License-Identifier: GPL-2.0

//! Error numbers that the `kernel` crate has no names for.
//!
//! An [`Error`] cannot be made in a constant outside the `kernel` crate; these
//! turn into one with [`Errno::error`], `into()` or `?`.
//!
//! C headers: [`include/uapi/asm-generic/errno.h`](srctree/include/uapi/asm-generic/errno.h)

use hmdfs_bindings as bindings;
use kernel::{
    error::Error,
    ffi::c_int, //
};

/// An error number of the C API, positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(u32);

impl Errno {
    /// The error of this number.
    pub fn error(self) -> Error {
        // CAST: Error numbers are below 4096.
        Error::from_errno(-(self.0 as c_int))
    }

    /// The number, positive.
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Self {
        errno.error()
    }
}

impl PartialEq<Errno> for Error {
    fn eq(&self, other: &Errno) -> bool {
        *self == other.error()
    }
}

macro_rules! errors {
    ($($name:ident: $meaning:literal,)*) => {$(
        #[doc = $meaning]
        pub const $name: Errno = Errno(bindings::$name);
    )*};
}

errors! {
    EAFNOSUPPORT: "Address family not supported.",
    EALREADY: "Already in progress or done.",
    EBADMSG: "A record failed its authentication.",
    ECONNABORTED: "Connection ended by this side.",
    ECONNRESET: "Connection reset by peer.",
    EDQUOT: "Quota exceeded.",
    EHOSTDOWN: "Host is down.",
    EHOSTUNREACH: "No route to host.",
    EKEYEXPIRED: "The keys were replaced by the peer.",
    ELOOP: "Too many symbolic links.",
    ENAMETOOLONG: "File name too long.",
    ENODATA: "No data available.",
    ENOLCK: "No record locks available.",
    ENOPROTOOPT: "Protocol not available.",
    ENOSYS: "Not implemented.",
    ENOTCONN: "Not connected.",
    ENOTEMPTY: "Directory not empty.",
    ENOTSOCK: "Not a socket.",
    ENOTUNIQ: "Name not unique.",
    EOPENSTALE: "The name means another file by now; the VFS looks it up again.",
    EOPNOTSUPP: "Operation not supported.",
    EPROTO: "Protocol error.",
    EPROTONOSUPPORT: "Protocol not supported.",
    ESHUTDOWN: "Cannot send after shutdown.",
    ESTALE: "Stale file handle.",
}
