// SPDX-License-Identifier: MIT OR Apache-2.0

use std::fmt;
use std::io;

/// Why a request to the kernel failed.
#[derive(Debug)]
pub enum Error {
    /// The kernel has no family of this name: the module is not loaded.
    NoFamily,
    /// The kernel refused the request.
    Refused(Refusal),
    /// Notifications were lost because they came faster than they were read.
    Overrun,
    /// The kernel's answer is not what the interface promises.
    Malformed(&'static str),
    /// A system call failed; the text says which one.
    Io(&'static str, io::Error),
}

/// The kernel's "no", with its own words where it gave any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Positive error number.
    pub errno: i32,
    /// Text of the extended acknowledgement; empty when there was none.
    pub message: String,
    /// Offset of the attribute at fault in the request, in octets.
    pub offset: Option<u32>,
    /// Number of an attribute that the request lacks.
    pub missing: Option<u32>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = io::Error::from_raw_os_error(self.errno);
        if self.message.is_empty() {
            write!(f, "{error}")?;
        } else {
            write!(f, "{} ({error})", self.message)?;
        }
        if let Some(missing) = self.missing {
            write!(f, "; attribute {missing} is missing")?;
        }
        Ok(())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoFamily => {
                f.write_str("the kernel has no hmdfs: load the module with 'modprobe hmdfs'")
            }
            Error::Refused(refusal) => refusal.fmt(f),
            Error::Overrun => f.write_str("notifications of the kernel were lost"),
            Error::Malformed(what) => write!(f, "the kernel's message is malformed: {what}"),
            Error::Io(call, error) => write!(f, "netlink: {call}: {error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io(_, error) => Some(error),
            _ => None,
        }
    }
}

impl Error {
    /// The error number behind a refusal, if it is one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Error::Refused(refusal) => Some(refusal.errno),
            _ => None,
        }
    }
}
