// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What can be wrong with a message, and the errors that a reply can carry.

/// Why bytes from the wire were refused. Each of these ends the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The message ends before the value does.
    Truncated,
    /// Bytes are left over after the last value.
    TrailingBytes,
    /// The header does not begin with the protocol's magic number.
    Magic,
    /// A length is above the limit.
    TooLong,
    /// A number does not stand for anything.
    Unknown,
    /// A name is not one path component.
    Name,
    /// A value is not allowed where it stands.
    Misplaced,
    /// The two sides have no version in common.
    Version,
}

impl Error {
    /// Says what was wrong, for logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Error::Truncated => "message ends too early",
            Error::TrailingBytes => "bytes after the end of the message",
            Error::Magic => "wrong magic number",
            Error::TooLong => "length above the limit",
            Error::Unknown => "unknown number",
            Error::Name => "name is not a path component",
            Error::Misplaced => "value not allowed here",
            Error::Version => "no common protocol version",
        }
    }
}

/// Result of decoding.
pub type Result<T> = core::result::Result<T, Error>;

macro_rules! statuses {
    ($($(#[$meta:meta])* $name:ident = $number:literal,)*) => {
        /// How an operation ended; on the wire, zero or a Linux errno number.
        ///
        /// Only errors that a file system may report to a program are in the list.
        /// Whatever else a peer sends becomes [`Status::EIO`], so that no internal
        /// code of this kernel (ERESTARTSYS, EIOCBQUEUED...) can come from outside.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Status {
            /// Success.
            Ok = 0,
            $(
                #[doc = concat!("The errno of this name.")]
                $name = $number,
            )*
        }

        impl Status {
            /// All errors, for tests and tables.
            pub const ERRORS: &'static [Status] = &[$(Status::$name),*];

            /// The errno number, or zero.
            pub const fn errno(self) -> u32 {
                self as u32
            }

            /// The status for an errno number; what is not in the list is EIO.
            pub const fn from_errno(errno: u32) -> Status {
                match errno {
                    0 => Status::Ok,
                    $($number => Status::$name,)*
                    _ => Status::EIO,
                }
            }
        }
    };
}

statuses! {
    EPERM = 1,
    ENOENT = 2,
    EINTR = 4,
    EIO = 5,
    ENXIO = 6,
    E2BIG = 7,
    EBADF = 9,
    EAGAIN = 11,
    ENOMEM = 12,
    EACCES = 13,
    EBUSY = 16,
    EEXIST = 17,
    EXDEV = 18,
    ENODEV = 19,
    ENOTDIR = 20,
    EISDIR = 21,
    EINVAL = 22,
    ENFILE = 23,
    EMFILE = 24,
    ETXTBSY = 26,
    EFBIG = 27,
    ENOSPC = 28,
    EROFS = 30,
    EMLINK = 31,
    ERANGE = 34,
    EDEADLK = 35,
    ENAMETOOLONG = 36,
    ENOLCK = 37,
    ENOSYS = 38,
    ENOTEMPTY = 39,
    ELOOP = 40,
    ENODATA = 61,
    EOVERFLOW = 75,
    EOPNOTSUPP = 95,
    ETIMEDOUT = 110,
    ESTALE = 116,
    EDQUOT = 122,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_survive_the_wire() {
        for &status in Status::ERRORS {
            assert_eq!(Status::from_errno(status.errno()), status);
        }
        assert_eq!(Status::from_errno(0), Status::Ok);
    }

    #[test]
    fn internal_codes_become_eio() {
        for errno in [512, 513, 529, 4095, u32::MAX] {
            assert_eq!(Status::from_errno(errno), Status::EIO);
        }
    }
}
