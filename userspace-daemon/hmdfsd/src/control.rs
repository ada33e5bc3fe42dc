// SPDX-License-Identifier: MIT OR Apache-2.0

//! The socket of `hmdfsctl`.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hmdfs_control::{Failure, FailureCode, Reply, Request, REQUEST_MAX};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot, Semaphore};
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::daemon::Question;

/// Conversations at once.
const CONVERSATIONS: usize = 16;
/// A conversation that is silent for so long ends.
const SILENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);

/// The socket, which goes when this is dropped.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
    group: u32,
}

impl Control {
    /// Opens the socket at `path` for root and for the daemon's own user and group.
    ///
    /// # Errors
    /// A text for the user.
    pub fn bind(path: &Path) -> Result<Self, String> {
        let failed = |error: io::Error| format!("{}: {error}", path.display());
        if let Some(directory) = path.parent() {
            let mut builder = std::fs::DirBuilder::new();
            builder.recursive(true).mode(0o755);
            builder.create(directory).map_err(failed)?;
        }
        // Only a socket that nobody serves any more may be replaced.
        match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => {
                return Err(format!(
                    "{}: another hmdfsd is running; end it, or choose another 'socket'",
                    path.display()
                ));
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path).map_err(failed)?;
            }
            Err(_) => {}
        }
        // SAFETY: umask(2) takes no pointers. The other threads of the daemon make no files.
        let mask = unsafe { libc::umask(0o117) };
        let listener = UnixListener::bind(path);
        // SAFETY: as above.
        unsafe { libc::umask(mask) };
        let listener = listener.map_err(failed)?;
        let permissions = std::fs::Permissions::from_mode(0o660);
        std::fs::set_permissions(path, permissions).map_err(failed)?;
        let group = std::fs::metadata(path).map_err(failed)?.gid();
        Ok(Control {
            listener,
            path: path.to_owned(),
            group,
        })
    }

    /// Serves until the daemon no longer takes questions.
    pub async fn serve(self, questions: mpsc::Sender<Question>) {
        let places = Arc::new(Semaphore::new(CONVERSATIONS));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    warn!("accepting a connection of hmdfsctl: {error}");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let allowed = may_ask(&stream, self.group);
            let questions = questions.clone();
            tokio::task::spawn_local(async move {
                if let Err(error) = converse(stream, allowed, questions).await {
                    debug!("hmdfsctl: {error}");
                }
                drop(place);
            });
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Root, the daemon's own user, and members of the socket's group may ask. The mode of the socket
/// says the same, but a descriptor can be passed on.
fn may_ask(stream: &UnixStream, group: u32) -> bool {
    let Ok(credentials) = stream.peer_cred() else {
        return false;
    };
    // SAFETY: geteuid(2) takes no pointers and cannot fail.
    let own = unsafe { libc::geteuid() };
    credentials.uid() == 0
        || credentials.uid() == own
        || credentials.gid() == group
        || groups(stream).contains(&group)
}

/// The supplementary groups of the other side.
fn groups(stream: &UnixStream) -> Vec<libc::gid_t> {
    const MOST: usize = 256;
    let mut groups: Vec<libc::gid_t> = vec![0; MOST];
    let mut size = (MOST * size_of::<libc::gid_t>()) as libc::socklen_t;
    // SAFETY: the pointers and the size describe live, writable memory of that size.
    let result = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERGROUPS,
            groups.as_mut_ptr().cast(),
            &raw mut size,
        )
    };
    if result < 0 {
        return Vec::new();
    }
    groups.truncate(size as usize / size_of::<libc::gid_t>());
    groups
}

async fn converse(
    stream: UnixStream,
    allowed: bool,
    questions: mpsc::Sender<Question>,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        let mut limited = (&mut stream).take(REQUEST_MAX as u64);
        let reading = timeout(SILENCE, limited.read_line(&mut line)).await;
        if reading.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?? == 0 {
            return Ok(());
        }
        let complete = line.ends_with('\n');
        let reply = match serde_json::from_str::<Request>(&line) {
            _ if !allowed => failure(
                FailureCode::NotPermitted,
                "only root and members of the group of hmdfsd's socket may ask",
            ),
            Ok(request) if complete => match ask(&questions, request).await {
                Some(reply) => reply,
                None => return Ok(()),
            },
            _ => failure(
                FailureCode::BadRequest,
                "the request is not one that hmdfsd knows",
            ),
        };
        let mut text = serde_json::to_string(&reply)?;
        text.push('\n');
        let writing = timeout(SILENCE, stream.get_mut().write_all(text.as_bytes())).await;
        writing.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        if !complete {
            return Ok(());
        }
    }
}

async fn ask(questions: &mpsc::Sender<Question>, request: Request) -> Option<Reply> {
    let (answer, reply) = oneshot::channel();
    questions.send((request, answer)).await.ok()?;
    reply.await.ok()
}

fn failure(code: FailureCode, message: &str) -> Reply {
    Reply::Error(Failure {
        code,
        message: message.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hmdfs_control::Device;
    use tokio::task::LocalSet;

    async fn exchange(path: &Path, request: &[u8]) -> String {
        let mut stream = UnixStream::connect(path).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).await.unwrap();
        line
    }

    #[tokio::test]
    async fn questions_are_answered_and_nonsense_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/hmdfsd.sock");
        let local = LocalSet::new();
        let (questions, mut asked) = mpsc::channel::<Question>(1);
        let control = Control::bind(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        let second = Control::bind(&path).unwrap_err();
        assert!(second.contains("another hmdfsd is running"), "{second}");
        local.spawn_local(control.serve(questions));
        local.spawn_local(async move {
            while let Some((request, answer)) = asked.recv().await {
                assert_eq!(request, Request::Devices);
                answer.send(Reply::Devices(Vec::<Device>::new())).unwrap();
            }
        });
        local
            .run_until(async {
                let reply = exchange(&path, b"{\"op\":\"devices\"}\n").await;
                assert_eq!(reply, "{\"devices\":[]}\n");
                for nonsense in [
                    &b"hello\n"[..],
                    b"{\"op\":\"mkfs\"}\n",
                    &[b'a'; REQUEST_MAX],
                ] {
                    let reply = exchange(&path, nonsense).await;
                    assert!(reply.contains("bad-request"), "{reply}");
                }
            })
            .await;
        drop(local);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_socket_that_nobody_serves_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hmdfsd.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        Control::bind(&path).unwrap();
    }
}
