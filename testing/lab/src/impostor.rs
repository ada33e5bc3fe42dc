// SPDX-License-Identifier: MIT OR Apache-2.0

//! A device whose kernel lies: a trusted key, a proper handshake, and then
//! whatever bytes a test wants to send.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{anyhow, bail, ensure, Context, Result};
use hmdfs_netlink::{Client, DownReason, Event, Events, LinkState};
use hmdfs_proto::{
    Encoder, Handle, Header, Hello, Kind, Opcode, Operation, Outcome, ReplyReader, RequestWriter,
};
use hmdfs_tls::{ktls, DeviceId, Handshake, Identity, Step};

use crate::device::{Device, PORT};
use crate::wait::{self, PATIENCE};

/// A connection that ends in the kernel of the victim.
pub struct Impostor {
    stream: TcpStream,
    next_id: u64,
}

/// A message as it came.
pub struct Message {
    /// Its header.
    pub header: Header,
    /// Its body.
    pub body: Vec<u8>,
    /// The data that came with it at once.
    pub data: Vec<u8>,
}

fn shake_hands(stream: &mut TcpStream, identity: &Identity, victim: DeviceId) -> Result<()> {
    let mut handshake = Handshake::initiate(identity, victim)?;
    loop {
        match handshake.step()? {
            Step::Send(bytes) => stream.write_all(&bytes)?,
            Step::Receive(wanted) => {
                let mut bytes = vec![0; wanted];
                let length = stream.read(&mut bytes)?;
                handshake.received(&bytes[..length]);
            }
            Step::Decide(_) => bail!("the victim behaves as if it had connected"),
            Step::Done => break,
        }
    }
    let session = handshake.finish()?;
    ktls::install(stream.as_fd(), &session)?;
    Ok(())
}

impl Impostor {
    /// Connects from where `disguise` lives, with `identity`, to the device `victim` at `address`.
    pub fn connect_as(
        disguise: &Device,
        identity: &Identity,
        victim: DeviceId,
        address: &str,
    ) -> Result<Self> {
        let stream = disguise.enter(|| {
            let mut stream = TcpStream::connect((address, PORT))?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            shake_hands(&mut stream, identity, victim)?;
            Ok(stream)
        })?;
        Ok(Self { stream, next_id: 1 })
    }

    /// Connects with the identity of `disguise`; tries again while the victim has
    /// not got over the last connection.
    pub fn connect(disguise: &Device, victim: &Device, address: &str) -> Result<Self> {
        let identity = Identity::load_or_create(&disguise.state())?;
        let id: DeviceId = victim.id()?.parse().map_err(|error| anyhow!("{error}"))?;
        let mut connection = None;
        wait::until("the victim to accept a connection", PATIENCE, || {
            connection = Some(Self::connect_as(disguise, &identity, id, address)?);
            Ok(true)
        })?;
        connection.ok_or_else(|| anyhow!("no connection"))
    }

    /// [`Impostor::connect`], and both sides have said HELLO.
    pub fn greeted(disguise: &Device, victim: &Device, address: &str) -> Result<Self> {
        let hello = hello(hmdfs_proto::VERSION_MIN, hmdfs_proto::VERSION_MAX)?;
        Self::greeted_with(&hello, disguise, victim, address)
    }

    /// As [`Impostor::greeted`], with this HELLO.
    pub fn greeted_with(
        hello: &[u8],
        disguise: &Device,
        victim: &Device,
        address: &str,
    ) -> Result<Self> {
        let mut impostor = Self::connect(disguise, victim, address)?;
        impostor.send(hello)?;
        let message = impostor.receive()?.context("the victim hung up")?;
        ensure!(
            message.header.opcode == Opcode::Hello,
            "the victim's first message is {:?}",
            message.header
        );
        Hello::decode(&message.body).map_err(|error| anyhow!("HELLO: {}", error.as_str()))?;
        Ok(impostor)
    }

    /// Sends raw bytes in TLS records.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).context("cannot send")
    }

    /// Fills `bytes`; false when the victim has ended the connection.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<bool> {
        match self.stream.read_exact(bytes) {
            Ok(()) => Ok(true),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                bail!("the victim neither answers nor hangs up")
            }
            // A goodbye in TLS is a record that a plain read cannot return: EIO.
            Err(_) => Ok(false),
        }
    }

    /// The next message, or nothing when the victim has ended the connection.
    pub fn receive(&mut self) -> Result<Option<Message>> {
        let mut bytes = [0; Header::SIZE];
        if !self.fill(&mut bytes)? {
            return Ok(None);
        }
        let header = Header::decode(&bytes).map_err(|error| anyhow!("{}", error.as_str()))?;
        let mut body = vec![0; header.body as usize];
        let mut data = vec![0; header.data as usize];
        if !self.fill(&mut body)? || !self.fill(&mut data)? {
            return Ok(None);
        }
        Ok(Some(Message { header, body, data }))
    }

    /// The next message that is no PING of the victim's; answers those.
    pub fn receive_no_ping(&mut self) -> Result<Option<Message>> {
        loop {
            match self.receive()? {
                Some(message)
                    if message.header.opcode == Opcode::Ping
                        && message.header.kind == Kind::Request =>
                {
                    let pong = Header::new(Kind::Reply, Opcode::Ping, message.header.id);
                    self.send(&pong.encode())?;
                }
                other => return Ok(other),
            }
        }
    }

    /// A request with this body, not yet sent.
    pub fn request(&mut self, opcode: Opcode, body: &[u8]) -> Vec<u8> {
        let mut header = Header::new(Kind::Request, opcode, self.next_id);
        self.next_id += 1;
        header.body = body.len() as u32;
        let mut message = header.encode().to_vec();
        message.extend(body);
        message
    }

    /// Runs a compound and returns the reply.
    pub fn reply(&mut self, operations: &[Operation<'_>]) -> Result<Message> {
        let message = self.request(Opcode::Compound, &compound(operations)?);
        self.send(&message)?;
        let reply = self
            .receive_no_ping()?
            .context("the victim ended the link instead of answering")?;
        ensure!(
            reply.header.kind == Kind::Reply,
            "no reply: {:?}",
            reply.header
        );
        Ok(reply)
    }

    /// Runs a compound and returns the status of its last operation, as errno.
    pub fn compound(&mut self, operations: &[Operation<'_>]) -> Result<u32> {
        let reply = self.reply(operations)?;
        if reply.header.status.errno() != 0 {
            return Ok(reply.header.status.errno());
        }
        let malformed = |error: hmdfs_proto::Error| anyhow!("the reply: {}", error.as_str());
        let mut reader = ReplyReader::new(&reply.body).map_err(malformed)?;
        for operation in operations {
            if let Err(status) = reader.next(operation).map_err(malformed)? {
                return Ok(status.errno());
            }
        }
        Ok(0)
    }

    /// Runs a compound that ends with a question for a handle, and gives that, if all succeeded.
    pub fn handle(&mut self, operations: &[Operation<'_>]) -> Result<Option<Handle>> {
        let reply = self.reply(operations)?;
        let malformed = |error: hmdfs_proto::Error| anyhow!("the reply: {}", error.as_str());
        let mut reader = ReplyReader::new(&reply.body).map_err(malformed)?;
        let mut found = None;
        for operation in operations {
            match reader.next(operation).map_err(malformed)? {
                Ok(Outcome::Handle(handle)) => found = Some(handle),
                Ok(_) => {}
                Err(_) => return Ok(None),
            }
        }
        Ok(found)
    }

    /// Waits until the victim ends the connection.
    pub fn wait_for_the_end(&mut self) -> Result<()> {
        while self.receive()?.is_some() {}
        Ok(())
    }

    /// A second hold on the connection.
    pub fn try_clone(&self) -> Result<Self> {
        Ok(Self {
            stream: self.stream.try_clone()?,
            next_id: self.next_id,
        })
    }

    /// Ends the connection with a goodbye.
    pub fn say_goodbye(mut self) -> Result<()> {
        // The victim may have been faster.
        let _ = self.send(&Header::new(Kind::Notice, Opcode::Bye, 0).encode());
        self.hang_up()
    }

    /// Ends the connection without a word.
    pub fn hang_up(self) -> Result<()> {
        match self.stream.shutdown(std::net::Shutdown::Both) {
            // The victim was faster.
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(()),
            result => Ok(result?),
        }
    }
}

/// The body of a compound.
pub fn compound(operations: &[Operation<'_>]) -> Result<Vec<u8>> {
    let mut body = vec![0; 4096];
    let mut writer = RequestWriter::new(&mut body).map_err(|error| anyhow!("{error:?}"))?;
    for operation in operations {
        writer
            .push(operation)
            .map_err(|error| anyhow!("{error:?}"))?;
    }
    let length = writer.len();
    body.truncate(length);
    Ok(body)
}

/// The epoch in which impostors speak.
static EPOCH: AtomicU64 = AtomicU64::new(0x1234_5678);

/// From now on impostors speak in another epoch; gives the one before.
pub fn begin_anew() -> u64 {
    EPOCH.fetch_add(1, Ordering::Relaxed)
}

/// A HELLO that offers these versions.
pub fn hello(version_min: u16, version_max: u16) -> Result<Vec<u8>> {
    hello_in(EPOCH.load(Ordering::Relaxed), version_min, version_max)
}

/// A HELLO in another epoch.
pub fn hello_in(epoch: u64, version_min: u16, version_max: u16) -> Result<Vec<u8>> {
    let hello = Hello {
        version_min,
        version_max,
        features: 0,
        epoch,
        session: 1,
        window: 64,
        data_window: hmdfs_proto::MAX_DATA,
    };
    let mut body = [0; Hello::SIZE];
    hello
        .encode(&mut Encoder::new(&mut body))
        .map_err(|error| anyhow!("{error:?}"))?;
    let mut header = Header::new(Kind::Notice, Opcode::Hello, 0);
    header.body = Hello::SIZE as u32;
    let mut message = header.encode().to_vec();
    message.extend(body);
    Ok(message)
}

/// Watches what becomes of a device's links.
pub struct Watch(Events);

impl Watch {
    /// From now on, the links of `device`.
    pub fn on(device: &Device) -> Result<Self> {
        let events = device.enter(|| Ok(Client::connect()?.subscribe()?))?;
        Ok(Self(events))
    }

    /// Waits until a link goes down; returns why it did.
    pub fn down(&mut self) -> Result<DownReason> {
        let mut reason = None;
        wait::until("a link to go down", PATIENCE, || {
            for event in self.0.take()? {
                if let Event::Link(link) = event {
                    if link.state == LinkState::Down {
                        reason.get_or_insert(link.down_reason);
                    }
                }
            }
            Ok(reason.is_some())
        })?;
        reason.ok_or_else(|| anyhow!("no link went down"))
    }
}
