// SPDX-License-Identifier: MIT OR Apache-2.0

//! Requests to the kernel and their answers.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use crate::error::{Error, Refusal};
use crate::message::{acknowledgement, extended, generic, Attributes, Builder, Message, Messages};
use crate::socket::Socket;
use crate::types::{Device, DeviceSettings, Event, Instance, Link, PeerId};
use crate::uapi::{self, cmd, LinkRole};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_DUMP: u16 = 0x300;

const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const CTRL_ATTR_MCAST_GROUPS: u16 = 7;
const CTRL_ATTR_MCAST_GRP_NAME: u16 = 1;
const CTRL_ATTR_MCAST_GRP_ID: u16 = 2;

/// The kernel answers at once; this only keeps a broken one from holding us for ever.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Notifications come in bursts when many links change at once.
const EVENT_BUFFER: i32 = 1 << 20;
/// How often an interrupted dump is begun again before its answer is taken as it is.
const DUMP_ATTEMPTS: usize = 5;

#[derive(Clone, Copy, Debug, Default)]
struct Family {
    id: u16,
    events: u32,
}

/// Sends requests, one at a time, and waits for their answers.
#[derive(Debug)]
pub struct Client {
    socket: Socket,
    family: Family,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects to the family in the calling thread's network namespace.
    ///
    /// # Errors
    /// [`Error::NoFamily`] when the module is not loaded; [`Error::Io`] when netlink fails.
    pub fn connect() -> Result<Self, Error> {
        let mut client = Client {
            socket: Socket::open(libc::NETLINK_GENERIC, Some(TIMEOUT))?,
            family: Family::default(),
            sequence: 0,
            buffer: Vec::new(),
        };
        client.family = client.look_up()?;
        Ok(client)
    }

    fn look_up(&mut self) -> Result<Family, Error> {
        let mut family = Family::default();
        let fill = |b: &mut Builder| {
            b.put_string(CTRL_ATTR_FAMILY_NAME, uapi::FAMILY_NAME);
        };
        let request = (GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 2);
        let result = self.transact(request, NLM_F_ACK, fill, |attributes| {
            for attribute in attributes {
                let attribute = attribute?;
                match attribute.kind {
                    CTRL_ATTR_FAMILY_ID => family.id = attribute.u16()?,
                    CTRL_ATTR_MCAST_GROUPS => {
                        for group in attribute.nested() {
                            if let Some(id) = event_group(group?.nested())? {
                                family.events = id;
                            }
                        }
                    }
                    _ => {}
                }
            }
            Ok(())
        });
        match result {
            Err(error) if error.errno() == Some(libc::ENOENT) => return Err(Error::NoFamily),
            other => other?,
        };
        if family.id == 0 || family.events == 0 {
            return Err(Error::Malformed("the description of the family"));
        }
        Ok(family)
    }

    /// Sends a request and passes the attributes of every answer to `read`. The result says
    /// whether the kernel called its answer inconsistent.
    fn transact(
        &mut self,
        (family, command, version): (u16, u8, u8),
        flags: u16,
        fill: impl FnOnce(&mut Builder),
        mut read: impl FnMut(Attributes<'_>) -> Result<(), Error>,
    ) -> Result<bool, Error> {
        self.sequence = self.sequence.wrapping_add(1).max(1);
        let flags = NLM_F_REQUEST | flags;
        let mut builder = Builder::new(family, flags, self.sequence, command, version);
        fill(&mut builder);
        self.socket.send(&builder.finish())?;
        let mut interrupted = false;
        loop {
            self.socket.receive(&mut self.buffer)?;
            for message in Messages::new(&self.buffer) {
                let message = message?;
                // An answer to a request that was given up earlier.
                if message.sequence != self.sequence {
                    continue;
                }
                interrupted |= message.flags & NLM_F_DUMP_INTR != 0;
                match message.kind {
                    NLMSG_ERROR => return acknowledgement(&message).map(|()| interrupted),
                    NLMSG_DONE => return done(&message).map(|()| interrupted),
                    kind if kind == family => read(generic(message.payload)?.1)?,
                    _ => {}
                }
            }
        }
    }

    fn request(
        &mut self,
        command: u8,
        fill: impl FnOnce(&mut Builder),
        read: impl FnMut(Attributes<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let request = (self.family.id, command, uapi::FAMILY_VERSION);
        self.transact(request, NLM_F_ACK, fill, read).map(drop)
    }

    fn dump<T>(
        &mut self,
        command: u8,
        parse: fn(Attributes<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let request = (self.family.id, command, uapi::FAMILY_VERSION);
        let mut items = Vec::new();
        for _ in 0..DUMP_ATTEMPTS {
            items.clear();
            let interrupted = self.transact(
                request,
                NLM_F_DUMP,
                |_| {},
                |attributes| {
                    items.push(parse(attributes)?);
                    Ok(())
                },
            )?;
            if !interrupted {
                break;
            }
        }
        Ok(items)
    }

    /// The mount of this network namespace; `None` when there is none.
    ///
    /// # Errors
    /// [`Error`], as for all requests: [`Error::Refused`] carries the kernel's words.
    pub fn instance(&mut self) -> Result<Option<Instance>, Error> {
        let mut instance = None;
        let result = self.request(
            cmd::INSTANCE_GET,
            |_| {},
            |attributes| {
                instance = Some(Instance::parse(attributes)?);
                Ok(())
            },
        );
        match result {
            Err(error) if matches!(error.errno(), Some(libc::ENODEV | libc::ENOENT)) => Ok(None),
            Err(error) => Err(error),
            Ok(()) => Ok(instance.filter(|instance| instance.mounted)),
        }
    }

    /// Makes a device known, or changes what is known of it.
    ///
    /// # Errors
    /// As [`Client::instance`].
    pub fn device_set(&mut self, settings: &DeviceSettings) -> Result<(), Error> {
        self.request(cmd::DEVICE_SET, |b| settings.put(b), |_| Ok(()))
    }

    /// Forgets a device; its links go down.
    ///
    /// # Errors
    /// As [`Client::instance`].
    pub fn device_del(&mut self, peer_id: &PeerId) -> Result<(), Error> {
        let fill = |b: &mut Builder| {
            b.put(uapi::device::PEER_ID, peer_id);
        };
        self.request(cmd::DEVICE_DEL, fill, |_| Ok(()))
    }

    /// All devices that the mount knows.
    ///
    /// # Errors
    /// As [`Client::instance`].
    pub fn devices(&mut self) -> Result<Vec<Device>, Error> {
        self.dump(cmd::DEVICE_GET, Device::parse)
    }

    /// Hands an authenticated connection to the mount and returns the link's number. The kernel
    /// takes its own reference: the caller should close `socket` afterwards, whose descriptor
    /// gives access to the session keys.
    ///
    /// # Errors
    /// As [`Client::instance`].
    pub fn link_add(
        &mut self,
        peer_id: &PeerId,
        socket: BorrowedFd<'_>,
        role: LinkRole,
    ) -> Result<u32, Error> {
        let mut id = None;
        let fill = |b: &mut Builder| {
            b.put(uapi::link::PEER_ID, peer_id)
                .put(uapi::link::SOCKFD, &socket.as_raw_fd().to_ne_bytes())
                .put_u32(uapi::link::ROLE, role.into());
        };
        self.request(cmd::LINK_ADD, fill, |attributes| {
            for attribute in attributes {
                let attribute = attribute?;
                if attribute.kind == uapi::link::ID {
                    id = Some(attribute.u32()?);
                }
            }
            Ok(())
        })?;
        id.ok_or(Error::Malformed("the answer to link-add"))
    }

    /// Ends one link.
    ///
    /// # Errors
    /// As [`Client::instance`].
    pub fn link_del(&mut self, id: u32) -> Result<(), Error> {
        let fill = |b: &mut Builder| {
            b.put_u32(uapi::link::ID, id);
        };
        self.request(cmd::LINK_DEL, fill, |_| Ok(()))
    }

    /// All links with their counters.
    ///
    /// # Errors
    /// As [`Client::instance`].
    pub fn links(&mut self) -> Result<Vec<Link>, Error> {
        self.dump(cmd::LINK_GET, Link::parse)
    }

    /// Subscribes to the family's notifications.
    ///
    /// # Errors
    /// As [`Client::instance`].
    pub fn subscribe(&self) -> Result<Events, Error> {
        let socket = Socket::open(libc::NETLINK_GENERIC, None)?;
        socket.enlarge_buffer(EVENT_BUFFER)?;
        socket.join(self.family.events)?;
        Ok(Events {
            socket,
            family: self.family.id,
            buffer: Vec::new(),
        })
    }
}

fn event_group(attributes: Attributes<'_>) -> Result<Option<u32>, Error> {
    let mut name = "";
    let mut id = None;
    for attribute in attributes {
        let attribute = attribute?;
        match attribute.kind {
            CTRL_ATTR_MCAST_GRP_NAME => name = attribute.string()?,
            CTRL_ATTR_MCAST_GRP_ID => id = Some(attribute.u32()?),
            _ => {}
        }
    }
    Ok(id.filter(|_| name == uapi::GROUP_EVENTS))
}

/// The end of a dump, which carries an error number and the kernel's words as an acknowledgement
/// does, without the header of the request between them.
fn done(message: &Message<'_>) -> Result<(), Error> {
    let code = message.payload.get(..4).unwrap_or_default();
    let code = code.try_into().map(i32::from_ne_bytes).unwrap_or(0);
    if code >= 0 {
        return Ok(());
    }
    let mut refusal = Refusal {
        errno: code.saturating_neg(),
        message: String::new(),
        offset: None,
        missing: None,
    };
    extended(&mut refusal, message.payload.get(4..).unwrap_or_default());
    Err(Error::Refused(refusal))
}

/// The notifications of the mount. The socket is non-blocking: wait until it is readable
/// ([`AsFd`]), then take what is there.
#[derive(Debug)]
pub struct Events {
    socket: Socket,
    family: u16,
    buffer: Vec<u8>,
}

impl Events {
    /// Takes the notifications that have arrived; empty when there are none.
    ///
    /// # Errors
    /// [`Error::Overrun`] when some were lost: what they said must be asked for.
    pub fn take(&mut self) -> Result<Vec<Event>, Error> {
        let mut events = Vec::new();
        loop {
            match self.socket.receive(&mut self.buffer) {
                Err(Error::Io(_, error)) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    return Ok(events);
                }
                other => other?,
            }
            for message in Messages::new(&self.buffer) {
                let message = message?;
                if message.kind == self.family {
                    let (command, attributes) = generic(message.payload)?;
                    events.extend(Event::parse(command, attributes)?);
                }
            }
        }
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Events {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.socket.as_raw_fd()
    }
}
