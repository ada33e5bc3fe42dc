// SPDX-License-Identifier: MIT OR Apache-2.0

use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{Failure, Reply, Request};

/// Why the daemon gave no answer.
#[derive(Debug)]
pub enum AskError {
    /// Nothing listens at the socket.
    NotRunning(PathBuf),
    /// The user may not use the socket.
    NotPermitted(PathBuf),
    /// The daemon took too long.
    Timeout,
    /// Reading or writing failed.
    Io(io::Error),
    /// The answer is not one that this version knows.
    Malformed,
    /// The daemon refused.
    Refused(Failure),
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AskError::NotRunning(path) => write!(
                f,
                "hmdfsd is not running (nothing answers at {}): start it with 'systemctl start hmdfsd', or name its socket with --socket",
                path.display()
            ),
            AskError::NotPermitted(path) => write!(
                f,
                "{}: permission denied: become root or a member of the group 'hmdfs'",
                path.display()
            ),
            AskError::Timeout => f.write_str("hmdfsd does not answer: see its log"),
            AskError::Io(error) => write!(f, "the connection to hmdfsd: {error}"),
            AskError::Malformed => f.write_str(
                "hmdfsd's answer is not understood: hmdfsctl and hmdfsd are of different versions",
            ),
            AskError::Refused(failure) => f.write_str(&failure.message),
        }
    }
}

impl std::error::Error for AskError {}

fn io_error(error: io::Error) -> AskError {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => AskError::Timeout,
        _ => AskError::Io(error),
    }
}

/// Asks the daemon behind `socket` and waits up to `timeout` for its answer.
///
/// # Errors
/// [`AskError`]; [`AskError::Refused`] is the daemon's own "no".
pub fn ask(socket: &Path, request: &Request, timeout: Duration) -> Result<Reply, AskError> {
    let stream = UnixStream::connect(socket).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            AskError::NotRunning(socket.to_owned())
        }
        io::ErrorKind::PermissionDenied => AskError::NotPermitted(socket.to_owned()),
        _ => io_error(error),
    })?;
    stream.set_read_timeout(Some(timeout)).map_err(io_error)?;
    stream.set_write_timeout(Some(timeout)).map_err(io_error)?;
    let mut line = serde_json::to_string(request).map_err(|error| AskError::Io(error.into()))?;
    line.push('\n');
    (&stream).write_all(line.as_bytes()).map_err(io_error)?;
    let mut answer = String::new();
    BufReader::new(&stream)
        .read_line(&mut answer)
        .map_err(io_error)?;
    match serde_json::from_str(&answer) {
        Ok(Reply::Error(failure)) => Err(AskError::Refused(failure)),
        Ok(reply) => Ok(reply),
        Err(_) => Err(AskError::Malformed),
    }
}
