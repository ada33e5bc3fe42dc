// SPDX-License-Identifier: MIT OR Apache-2.0

//! From an address or an accepted connection to a socket that runs kTLS.

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::time::Duration;

use hmdfs_tls::ktls::{self, KtlsError};
use hmdfs_tls::{Answer, DeviceId, Handshake, HandshakeError, Identity, Session, Step};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// For connecting to one address.
const CONNECT: Duration = Duration::from_secs(5);
/// For the whole handshake; generous, since small devices may be slow.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Sent data that stays unacknowledged for so long ends the connection.
const USER_TIMEOUT: Duration = Duration::from_secs(15);
const KEEPALIVE_IDLE: i32 = 10;
const KEEPALIVE_INTERVAL: i32 = 3;
const KEEPALIVE_PROBES: i32 = 3;

/// An authenticated connection that the kernel encrypts.
#[derive(Debug)]
pub struct Connection {
    /// Which device is at the other end.
    pub peer: DeviceId,
    /// The socket. Its descriptor gives access to the session keys: close it soon.
    pub socket: std::net::TcpStream,
}

/// Why there is no connection.
#[derive(Debug)]
pub enum TransportError {
    /// TCP failed.
    Io(io::Error),
    /// It took too long.
    Timeout(&'static str),
    /// The devices did not agree.
    Handshake(HandshakeError),
    /// The kernel did not take the keys.
    Ktls(KtlsError),
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TransportError::Io(error) => write!(f, "{error}"),
            TransportError::Timeout(what) => write!(f, "no answer while {what}"),
            TransportError::Handshake(error) => error.fmt(f),
            TransportError::Ktls(error) => error.fmt(f),
        }
    }
}

impl From<io::Error> for TransportError {
    fn from(error: io::Error) -> Self {
        TransportError::Io(error)
    }
}

impl From<HandshakeError> for TransportError {
    fn from(error: HandshakeError) -> Self {
        TransportError::Handshake(error)
    }
}

/// Connects to `peer`, which is sought at `addresses` one after the other.
///
/// # Errors
/// A text for the user, about the last address.
pub async fn dial(
    identity: &Identity,
    peer: DeviceId,
    addresses: &[String],
) -> Result<Connection, String> {
    let mut problem = "it has no address: waiting for it to connect".to_owned();
    for address in addresses {
        let resolved = match tokio::net::lookup_host(address).await {
            Ok(resolved) => resolved.collect(),
            Err(error) => {
                problem = format!("{address}: {error}");
                Vec::new()
            }
        };
        for resolved in resolved {
            match dial_one(identity, peer, resolved).await {
                Ok(connection) => return Ok(connection),
                Err(error) => problem = format!("{address}: {error}"),
            }
        }
    }
    Err(problem)
}

async fn dial_one(
    identity: &Identity,
    peer: DeviceId,
    address: SocketAddr,
) -> Result<Connection, TransportError> {
    let connecting = timeout(CONNECT, TcpStream::connect(address)).await;
    let stream = connecting.map_err(|_| TransportError::Timeout("connecting"))??;
    let handshake = Handshake::initiate(identity, peer)?;
    // Only an acceptor decides.
    establish(stream, handshake, |_| async { Answer::Other(u16::MAX) }).await
}

/// Authenticates a connection that was accepted. `decide` is asked once the other side has proven
/// which device it is.
///
/// # Errors
/// [`TransportError`].
pub async fn accept<F: Future<Output = Answer>>(
    identity: &Identity,
    pins: Arc<HashSet<DeviceId>>,
    stream: TcpStream,
    decide: impl FnOnce(DeviceId) -> F,
) -> Result<Connection, TransportError> {
    let handshake = Handshake::accept(identity, pins)?;
    establish(stream, handshake, decide).await
}

async fn establish<F: Future<Output = Answer>>(
    mut stream: TcpStream,
    handshake: Handshake,
    decide: impl FnOnce(DeviceId) -> F,
) -> Result<Connection, TransportError> {
    stream.set_nodelay(true)?;
    let shaking = shake(&mut stream, handshake, decide);
    let session = timeout(HANDSHAKE, shaking).await;
    let session = session.map_err(|_| TransportError::Timeout("shaking hands"))??;
    let socket = stream.into_std()?;
    keep_alive(&socket)?;
    ktls::install(socket.as_fd(), &session).map_err(TransportError::Ktls)?;
    Ok(Connection {
        peer: session.peer,
        socket,
    })
}

async fn shake<F: Future<Output = Answer>>(
    stream: &mut TcpStream,
    mut handshake: Handshake,
    decide: impl FnOnce(DeviceId) -> F,
) -> Result<Session, TransportError> {
    let mut decide = Some(decide);
    loop {
        match handshake.step()? {
            Step::Send(bytes) => stream.write_all(&bytes).await?,
            Step::Receive(most) => {
                let mut buffer = vec![0; most];
                let count = stream.read(&mut buffer).await?;
                handshake.received(buffer.get(..count).unwrap_or_default());
            }
            Step::Decide(peer) => match decide.take() {
                Some(decide) => handshake.answer(decide(peer).await),
                None => return Err(HandshakeError::Closed.into()),
            },
            Step::Done => return Ok(handshake.finish()?),
        }
    }
}

/// So that the kernel notices a peer that went away without a word.
fn keep_alive(socket: &std::net::TcpStream) -> io::Result<()> {
    let user_timeout = USER_TIMEOUT.as_millis() as libc::c_int;
    set(
        socket,
        libc::IPPROTO_TCP,
        libc::TCP_USER_TIMEOUT,
        user_timeout,
    )?;
    set(
        socket,
        libc::IPPROTO_TCP,
        libc::TCP_KEEPIDLE,
        KEEPALIVE_IDLE,
    )?;
    set(
        socket,
        libc::IPPROTO_TCP,
        libc::TCP_KEEPINTVL,
        KEEPALIVE_INTERVAL,
    )?;
    set(
        socket,
        libc::IPPROTO_TCP,
        libc::TCP_KEEPCNT,
        KEEPALIVE_PROBES,
    )?;
    set(socket, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1)
}

fn set(
    socket: &std::net::TcpStream,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the pointer and the length describe `value`, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    async fn meet(
        pinned: bool,
        answer: Answer,
    ) -> (
        Result<Connection, String>,
        Result<Connection, TransportError>,
    ) {
        let (a, b) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let pins = if pinned {
            HashSet::from([a.id()])
        } else {
            HashSet::new()
        };
        let acceptor = async {
            let (stream, _) = listener.accept().await.unwrap();
            accept(&b, Arc::new(pins), stream, |_| async move { answer }).await
        };
        let addresses = ["127.0.0.1:1".to_owned(), address];
        tokio::join!(dial(&a, b.id(), &addresses), acceptor)
    }

    /// Where the kernel of the tests offers TLS, data passes through it both ways. Where it does
    /// not, the handshake has still succeeded on both sides up to the handover.
    #[tokio::test]
    async fn two_devices_come_to_the_handover() {
        use std::io::{Read, Write};
        match meet(true, Answer::Accepted).await {
            (Ok(near), Ok(far)) => {
                assert_ne!(near.peer, far.peer);
                near.socket.set_nonblocking(false).unwrap();
                far.socket.set_nonblocking(false).unwrap();
                for (mut from, mut to) in [(&near.socket, &far.socket), (&far.socket, &near.socket)]
                {
                    from.write_all(b"through the kernel").unwrap();
                    let mut buffer = [0; 18];
                    to.read_exact(&mut buffer).unwrap();
                    assert_eq!(&buffer, b"through the kernel");
                }
            }
            (Err(near), Err(TransportError::Ktls(far))) => {
                assert!(near.contains("modprobe tls"), "{near}");
                assert!(matches!(far, KtlsError::Unavailable(_)), "{far}");
            }
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_stranger_is_turned_away() {
        let (near, far) = meet(false, Answer::Accepted).await;
        assert!(near
            .unwrap_err()
            .contains("does not allow this device's key"));
        assert!(matches!(far, Err(TransportError::Handshake(_))));
    }

    #[tokio::test]
    async fn a_refusal_is_told() {
        let (near, _) = meet(true, Answer::NotMounted).await;
        assert!(near
            .unwrap_err()
            .contains("not mounted on the other device"));
    }

    #[tokio::test]
    async fn nobody_there_is_told_with_the_address() {
        let identity = Identity::generate().unwrap();
        let result = dial(&identity, DeviceId([0; 32]), &["127.0.0.1:1".to_owned()]).await;
        assert!(result.unwrap_err().starts_with("127.0.0.1:1: "));
        let result = dial(&identity, DeviceId([0; 32]), &[]).await;
        assert!(result.unwrap_err().contains("no address"));
    }
}
