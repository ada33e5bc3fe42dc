// SPDX-License-Identifier: MIT OR Apache-2.0

//! The handshake between two devices, without any input or output of its own.
//!
//! [`Handshake::step`] says what to do next; the caller owns the socket and the clock.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::CommonState;

use crate::config;
use crate::device_id::DeviceId;
use crate::hello::{self, Answer, Kind};
use crate::identity::Identity;
use crate::record::RecordReader;
use crate::session::Session;

/// Why a handshake failed.
#[derive(Clone, Debug, PartialEq)]
pub enum HandshakeError {
    /// TLS failed: above all, a key that is not pinned.
    Tls(rustls::Error),
    /// The other side ended the connection.
    Closed,
    /// The other side answered "no".
    Refused(Answer),
    /// The other side broke a rule of ours.
    Protocol(&'static str),
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use rustls::{AlertDescription, CertificateError, Error};
        match self {
            HandshakeError::Tls(Error::InvalidCertificate(
                CertificateError::ApplicationVerificationFailure,
            )) => f.write_str("the other device's key is not one that is allowed here"),
            HandshakeError::Tls(Error::AlertReceived(AlertDescription::AccessDenied)) => {
                f.write_str("the other device does not allow this device's key")
            }
            HandshakeError::Tls(error) => write!(f, "TLS: {error}"),
            HandshakeError::Closed => f.write_str("the other device closed the connection"),
            HandshakeError::Refused(answer) => answer.fmt(f),
            HandshakeError::Protocol(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for HandshakeError {}

impl From<rustls::Error> for HandshakeError {
    fn from(error: rustls::Error) -> Self {
        HandshakeError::Tls(error)
    }
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send these octets.
    Send(Vec<u8>),
    /// Receive up to this many octets, never more, and pass them to [`Handshake::received`].
    Receive(usize),
    /// The peer is authenticated and asks for a link: call [`Handshake::answer`].
    Decide(DeviceId),
    /// Call [`Handshake::finish`].
    Done,
}

/// rustls has two connection types whose method of the same name no trait of its own joins.
trait Tls {
    type Data;
    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Tls for UnbufferedClientConnection {
    type Data = ClientConnectionData;
    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(bytes)
    }
}

impl Tls for UnbufferedServerConnection {
    type Data = ServerConnectionData;
    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(bytes)
    }
}

enum Connection {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Negotiating,
    AwaitHello,
    Deciding,
    AwaitAck,
    Done,
    Failed,
}

/// What rustls has come to.
enum Progress {
    NeedsMore,
    Established,
    Message(Vec<u8>),
}

/// One handshake.
pub struct Handshake {
    connection: Connection,
    phase: Phase,
    peer: Option<DeviceId>,
    reader: RecordReader,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    error: Option<HandshakeError>,
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake")
            .field("phase", &self.phase)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

impl Handshake {
    /// The side that opened the connection, to reach `peer`.
    ///
    /// # Errors
    /// [`HandshakeError::Tls`] when TLS cannot be set up.
    pub fn initiate(identity: &Identity, peer: DeviceId) -> Result<Self, HandshakeError> {
        let connection = Box::new(config::client(identity, peer)?);
        Ok(Self::new(Connection::Client(connection)))
    }

    /// The side that was connected to; `pins` are the devices that it accepts.
    ///
    /// # Errors
    /// As [`Handshake::initiate`].
    pub fn accept(
        identity: &Identity,
        pins: Arc<HashSet<DeviceId>>,
    ) -> Result<Self, HandshakeError> {
        let connection = Box::new(config::server(identity, pins)?);
        Ok(Self::new(Connection::Server(connection)))
    }

    fn new(connection: Connection) -> Self {
        Handshake {
            connection,
            phase: Phase::Negotiating,
            peer: None,
            reader: RecordReader::default(),
            incoming: Vec::new(),
            outgoing: Vec::new(),
            error: None,
        }
    }

    /// What to do next. A failure is told after what it has to say to the other side was sent.
    ///
    /// # Errors
    /// [`HandshakeError`]; the connection must then be closed.
    pub fn step(&mut self) -> Result<Step, HandshakeError> {
        if self.error.is_none() && self.phase != Phase::Failed {
            if let Err(error) = self.advance() {
                self.error = Some(error);
                self.phase = Phase::Failed;
            }
        }
        if !self.outgoing.is_empty() {
            return Ok(Step::Send(std::mem::take(&mut self.outgoing)));
        }
        match (self.phase, self.peer) {
            (Phase::Failed, _) => Err(self.error.clone().unwrap_or(HandshakeError::Closed)),
            (Phase::Done, _) => Ok(Step::Done),
            (Phase::Deciding, Some(peer)) => Ok(Step::Decide(peer)),
            _ => Ok(Step::Receive(self.reader.wanted())),
        }
    }

    fn advance(&mut self) -> Result<(), HandshakeError> {
        loop {
            match (self.phase, self.run(None)?) {
                (Phase::Deciding | Phase::Done, Progress::Message(_)) => {
                    return Err(HandshakeError::Protocol("data before the answer"));
                }
                (Phase::Deciding | Phase::Done | Phase::Failed, _) => return Ok(()),
                (_, Progress::NeedsMore) => return Ok(()),
                (Phase::Negotiating, Progress::Established) => self.established()?,
                (_, Progress::Established) => return Ok(()),
                (Phase::AwaitHello, Progress::Message(message)) => {
                    hello::decode(Kind::Hello, &message).map_err(HandshakeError::Protocol)?;
                    self.phase = Phase::Deciding;
                }
                (Phase::AwaitAck, Progress::Message(message)) => {
                    match hello::decode(Kind::Ack, &message).map_err(HandshakeError::Protocol)? {
                        Answer::Accepted => self.phase = Phase::Done,
                        refusal => return Err(HandshakeError::Refused(refusal)),
                    }
                }
                (Phase::Negotiating, Progress::Message(_)) => {
                    return Err(HandshakeError::Protocol("data before the handshake"));
                }
            }
        }
    }

    fn common(&self) -> &CommonState {
        match &self.connection {
            Connection::Client(connection) => connection,
            Connection::Server(connection) => connection,
        }
    }

    /// TLS is done and the other side has proven its key.
    fn established(&mut self) -> Result<(), HandshakeError> {
        let common = self.common();
        if common.alpn_protocol() != Some(config::ALPN) {
            return Err(HandshakeError::Protocol(
                "the other side does not speak hmdfs/1",
            ));
        }
        let key = common.peer_certificates().and_then(|keys| keys.first());
        let key = key.ok_or(HandshakeError::Protocol("the other side has shown no key"))?;
        self.peer = Some(DeviceId::of_public_key(key));
        match self.connection {
            Connection::Client(_) => {
                self.phase = Phase::AwaitAck;
                self.run(Some(&hello::encode(Kind::Hello, Answer::Accepted)))?;
            }
            Connection::Server(_) => self.phase = Phase::AwaitHello,
        }
        Ok(())
    }

    fn run(&mut self, message: Option<&[u8]>) -> Result<Progress, HandshakeError> {
        let (incoming, outgoing) = (&mut self.incoming, &mut self.outgoing);
        match &mut self.connection {
            Connection::Client(tls) => run(tls.as_mut(), incoming, outgoing, message),
            Connection::Server(tls) => run(tls.as_mut(), incoming, outgoing, message),
        }
    }

    /// Takes what was received; nothing means that the other side closed the connection.
    pub fn received(&mut self, bytes: &[u8]) {
        let result = match bytes {
            [] => Err(HandshakeError::Closed),
            bytes => self.reader.push(bytes).map_err(HandshakeError::Protocol),
        };
        match result {
            Ok(record) => self.incoming.extend(record.unwrap_or_default()),
            Err(error) => {
                self.phase = Phase::Failed;
                self.error.get_or_insert(error);
            }
        }
    }

    /// The acceptor's decision, after [`Step::Decide`].
    pub fn answer(&mut self, answer: Answer) {
        if self.phase != Phase::Deciding {
            return;
        }
        let sent = self.run(Some(&hello::encode(Kind::Ack, answer)));
        match (sent, answer) {
            (Ok(_), Answer::Accepted) => self.phase = Phase::Done,
            (Ok(_), refusal) => {
                self.phase = Phase::Failed;
                self.error = Some(HandshakeError::Refused(refusal));
            }
            (Err(error), _) => {
                self.phase = Phase::Failed;
                self.error = Some(error);
            }
        }
    }

    /// The session, after [`Step::Done`].
    ///
    /// # Errors
    /// [`HandshakeError::Protocol`] when octets were read that the kernel would miss, or the
    /// handshake is not done.
    pub fn finish(self) -> Result<Session, HandshakeError> {
        let (Phase::Done, Some(peer)) = (self.phase, self.peer) else {
            return Err(HandshakeError::Protocol("the handshake is not done"));
        };
        if !self.outgoing.is_empty() || !self.incoming.is_empty() || !self.reader.is_empty() {
            return Err(HandshakeError::Protocol(
                "octets are left over from the handshake",
            ));
        }
        let secrets = match self.connection {
            Connection::Client(tls) => tls.dangerous_into_kernel_connection()?.0,
            Connection::Server(tls) => tls.dangerous_into_kernel_connection()?.0,
        };
        Session::of(peer, &secrets).ok_or(HandshakeError::Protocol("a cipher that kTLS lacks"))
    }
}

/// Lets rustls work until it needs something, and sends `message` as soon as that is possible.
fn run<C: Tls>(
    tls: &mut C,
    incoming: &mut Vec<u8>,
    outgoing: &mut Vec<u8>,
    mut message: Option<&[u8]>,
) -> Result<Progress, HandshakeError> {
    loop {
        let status = tls.process(incoming);
        let mut discard = status.discard;
        let progress = match status.state {
            Err(error) => {
                // With another buffer than this one rustls would panic.
                flush_alert(tls, incoming, outgoing);
                return Err(error.into());
            }
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                encode(outgoing, |buffer| data.encode(buffer))?;
                None
            }
            Ok(ConnectionState::TransmitTlsData(data)) => {
                data.done();
                None
            }
            Ok(ConnectionState::WriteTraffic(mut traffic)) => match message.take() {
                Some(message) => {
                    encrypt(outgoing, |buffer| traffic.encrypt(message, buffer))?;
                    None
                }
                None => Some(Progress::Established),
            },
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                let mut data = Vec::new();
                while let Some(record) = traffic.next_record() {
                    let record = record?;
                    discard += record.discard;
                    data.extend_from_slice(record.payload);
                }
                Some(Progress::Message(data))
            }
            Ok(ConnectionState::BlockedHandshake) => Some(Progress::NeedsMore),
            Ok(_) => return Err(HandshakeError::Closed),
        };
        incoming.drain(..discard.min(incoming.len()));
        if let Some(progress) = progress {
            return Ok(progress);
        }
    }
}

fn flush_alert<C: Tls>(tls: &mut C, incoming: &mut [u8], outgoing: &mut Vec<u8>) {
    while let Ok(ConnectionState::EncodeTlsData(mut data)) = tls.process(incoming).state {
        if encode(outgoing, |buffer| data.encode(buffer)).is_err() {
            return;
        }
    }
}

/// Appends what `write` produces: it is called with no room first and says how much it needs.
fn append<E>(
    outgoing: &mut Vec<u8>,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, E>,
    needed: impl Fn(&E) -> Option<usize>,
) -> Result<(), HandshakeError> {
    let failed = HandshakeError::Protocol("TLS could not encode a record");
    let start = outgoing.len();
    let size = match write(&mut []) {
        Ok(_) => return Ok(()),
        Err(error) => needed(&error).ok_or(failed.clone())?,
    };
    outgoing.resize(start + size, 0);
    let room = outgoing.get_mut(start..).unwrap_or_default();
    let written = write(room).map_err(|_| failed)?;
    outgoing.truncate(start + written);
    Ok(())
}

fn encode(
    outgoing: &mut Vec<u8>,
    write: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>,
) -> Result<(), HandshakeError> {
    append(outgoing, write, |error| match error {
        EncodeError::InsufficientSize(size) => Some(size.required_size),
        EncodeError::AlreadyEncoded => None,
    })
}

fn encrypt(
    outgoing: &mut Vec<u8>,
    write: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>,
) -> Result<(), HandshakeError> {
    append(outgoing, write, |error| match error {
        EncryptError::InsufficientSize(size) => Some(size.required_size),
        EncryptError::EncryptExhausted => None,
    })
}
