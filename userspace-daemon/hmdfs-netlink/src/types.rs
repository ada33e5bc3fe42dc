// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the operations carry, in types.

use crate::error::Error;
use crate::message::{Attributes, Builder};
use crate::uapi::{self, Access, DownReason, LinkRole, LinkState};

/// SHA-256 of a device's public key.
pub type PeerId = [u8; uapi::DEVICE_ID_LEN];

/// The mount of this network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instance {
    /// The kernel's number of the mount; never reused while the module is loaded.
    pub id: u32,
    /// False only in the notification of unmounting.
    pub mounted: bool,
    /// Oldest protocol version that the kernel speaks.
    pub protocol_min: u32,
    /// Newest protocol version that the kernel speaks.
    pub protocol_max: u32,
    /// Feature bits that the kernel offers.
    pub features: u64,
    /// Random number of this mount; another one after a remount.
    pub epoch: u64,
}

/// A device that the mount knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its ID.
    pub peer_id: PeerId,
    /// Its number, 1 to 4095.
    pub number: u32,
    /// Its directory under `device_view`.
    pub name: String,
    /// What it may do with our files.
    pub access: Access,
    /// Its security level, 1 to 5.
    pub level: Option<u32>,
    /// Whether a link is up.
    pub online: bool,
    /// Links that are up.
    pub links: u32,
}

/// What to tell the kernel about a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceSettings {
    /// Its ID.
    pub peer_id: PeerId,
    /// Its number, 1 to 4095.
    pub number: u32,
    /// Its directory under `device_view`.
    pub name: String,
    /// What it may do with our files.
    pub access: Access,
    /// Its security level, 1 to 5; without one it stays what it was, and a new device has none.
    pub level: Option<u32>,
}

/// A link of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The kernel's number of the link.
    pub id: u32,
    /// The device at its other end.
    pub peer_id: PeerId,
    /// Which side opened the connection, seen from here.
    pub role: LinkRole,
    /// How far it is.
    pub state: LinkState,
    /// Why it went down.
    pub down_reason: DownReason,
    /// Positive error number behind the reason; 0 when there is none.
    pub error: i32,
    /// Counters.
    pub stats: LinkStats,
}

/// Counters of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Requests to the peer, which are round trips; PING and HELLO are not counted.
    pub requests_sent: u64,
    /// Requests of the peer.
    pub requests_received: u64,
    /// Replies of the peer.
    pub replies_received: u64,
    /// Octets received.
    pub rx_bytes: u64,
    /// Octets sent.
    pub tx_bytes: u64,
    /// Requests whose deadline passed.
    pub timeouts: u64,
    /// Requests that wait for their replies.
    pub inflight: u32,
    /// Smoothed round-trip time of PING, in microseconds.
    pub rtt_usec: u32,
}

/// A notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The mount was made, or is gone (see [`Instance::mounted`]).
    Instance(Instance),
    /// A device went online or offline.
    Device(Device),
    /// A link changed state.
    Link(Link),
}

impl Instance {
    pub(crate) fn parse(attributes: Attributes<'_>) -> Result<Self, Error> {
        use uapi::instance as a;
        let mut result = Instance {
            mounted: true,
            ..Instance::default()
        };
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                a::ID => result.id = attribute.u32()?,
                a::MOUNTED => result.mounted = attribute.u8()? != 0,
                a::PROTOCOL_MIN => result.protocol_min = attribute.u32()?,
                a::PROTOCOL_MAX => result.protocol_max = attribute.u32()?,
                a::FEATURES => result.features = attribute.uint()?,
                a::EPOCH => result.epoch = attribute.uint()?,
                _ => {}
            }
        }
        if result.id == 0 {
            return Err(Error::Malformed("an instance without an id"));
        }
        Ok(result)
    }
}

impl Device {
    pub(crate) fn parse(attributes: Attributes<'_>) -> Result<Self, Error> {
        use uapi::device as a;
        let mut peer_id = None;
        let mut result = Device {
            peer_id: [0; uapi::DEVICE_ID_LEN],
            number: 0,
            name: String::new(),
            access: Access::None,
            level: None,
            online: false,
            links: 0,
        };
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                a::PEER_ID => peer_id = Some(attribute.octets()?),
                a::NUMBER => result.number = attribute.u32()?,
                a::NAME => result.name = attribute.string()?.to_owned(),
                a::ACCESS => result.access = attribute.u32()?.into(),
                // Zero is no level: a kernel may say so instead of leaving the attribute out.
                a::LEVEL => result.level = Some(attribute.u32()?).filter(|level| *level != 0),
                a::ONLINE => result.online = attribute.u8()? != 0,
                a::LINKS => result.links = attribute.u32()?,
                _ => {}
            }
        }
        result.peer_id = peer_id.ok_or(Error::Malformed("a device without an id"))?;
        Ok(result)
    }
}

impl DeviceSettings {
    pub(crate) fn put(&self, builder: &mut Builder) {
        use uapi::device as a;
        builder
            .put(a::PEER_ID, &self.peer_id)
            .put_u32(a::NUMBER, self.number)
            .put_string(a::NAME, &self.name)
            .put_u32(a::ACCESS, self.access.into());
        if let Some(level) = self.level {
            builder.put_u32(a::LEVEL, level);
        }
    }
}

impl Link {
    pub(crate) fn parse(attributes: Attributes<'_>) -> Result<Self, Error> {
        use uapi::link as a;
        let mut peer_id = None;
        let mut id = None;
        let mut result = Link {
            id: 0,
            peer_id: [0; uapi::DEVICE_ID_LEN],
            role: LinkRole::Initiator,
            state: LinkState::Greeting,
            down_reason: DownReason::None,
            error: 0,
            stats: LinkStats::default(),
        };
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                a::ID => id = Some(attribute.u32()?),
                a::PEER_ID => peer_id = Some(attribute.octets()?),
                a::ROLE => result.role = attribute.u32()?.into(),
                a::STATE => result.state = attribute.u32()?.into(),
                a::DOWN_REASON => result.down_reason = attribute.u32()?.into(),
                a::ERROR => result.error = attribute.u32()? as i32,
                a::STATS => result.stats = LinkStats::parse(attribute.nested())?,
                _ => {}
            }
        }
        result.id = id.ok_or(Error::Malformed("a link without an id"))?;
        result.peer_id = peer_id.ok_or(Error::Malformed("a link without a device"))?;
        Ok(result)
    }
}

impl LinkStats {
    fn parse(attributes: Attributes<'_>) -> Result<Self, Error> {
        use uapi::link_stats as a;
        let mut result = LinkStats::default();
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                a::REQUESTS_SENT => result.requests_sent = attribute.uint()?,
                a::REQUESTS_RECEIVED => result.requests_received = attribute.uint()?,
                a::REPLIES_RECEIVED => result.replies_received = attribute.uint()?,
                a::RX_BYTES => result.rx_bytes = attribute.uint()?,
                a::TX_BYTES => result.tx_bytes = attribute.uint()?,
                a::TIMEOUTS => result.timeouts = attribute.uint()?,
                a::INFLIGHT => result.inflight = attribute.u32()?,
                a::RTT_USEC => result.rtt_usec = attribute.u32()?,
                _ => {}
            }
        }
        Ok(result)
    }
}

impl Event {
    /// Reads a notification; commands that a newer kernel knows give nothing.
    pub(crate) fn parse(command: u8, attributes: Attributes<'_>) -> Result<Option<Self>, Error> {
        use uapi::cmd;
        Ok(match command {
            cmd::INSTANCE_NTF => Some(Event::Instance(Instance::parse(attributes)?)),
            cmd::DEVICE_NTF => Some(Event::Device(Device::parse(attributes)?)),
            cmd::LINK_NTF => Some(Event::Link(Link::parse(attributes)?)),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{generic, Messages};
    use proptest::prelude::*;

    fn attributes_of(fill: impl FnOnce(&mut Builder)) -> Vec<u8> {
        let mut builder = Builder::new(20, 0, 0, 0, 1);
        fill(&mut builder);
        builder.finish()
    }

    fn parse<T>(bytes: &[u8], parse: fn(Attributes<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let message = Messages::new(bytes).next().unwrap()?;
        parse(generic(message.payload)?.1)
    }

    #[test]
    fn settings_are_what_the_kernel_would_answer() {
        let settings = DeviceSettings {
            peer_id: [5; 32],
            number: 9,
            name: "tablet".into(),
            access: Access::Read,
            level: Some(3),
        };
        let bytes = attributes_of(|b| settings.put(b));
        let device = parse(&bytes, Device::parse).unwrap();
        assert_eq!(device.peer_id, settings.peer_id);
        assert_eq!(device.number, 9);
        assert_eq!(device.name, "tablet");
        assert_eq!(device.access, Access::Read);
        assert_eq!(device.level, Some(3));
        assert!(!device.online);
    }

    #[test]
    fn a_link_is_read_with_its_counters() {
        use uapi::{link, link_stats};
        let bytes = attributes_of(|b| {
            b.put_u32(link::ID, 4).put(link::PEER_ID, &[1; 32]);
            b.put_u32(link::STATE, 2).put_u32(link::DOWN_REASON, 4);
            b.put_u32(link::ERROR, 110);
            b.put_nested(link::STATS, |s| {
                s.put(link_stats::RX_BYTES, &(1u64 << 40).to_ne_bytes());
                s.put_u32(link_stats::REQUESTS_SENT, 12);
            });
        });
        let link = parse(&bytes, Link::parse).unwrap();
        assert_eq!(link.state, LinkState::Down);
        assert_eq!(link.down_reason, DownReason::Timeout);
        assert_eq!(link.error, 110);
        assert_eq!(link.stats.rx_bytes, 1 << 40);
        assert_eq!(link.stats.requests_sent, 12);
    }

    #[test]
    fn what_has_no_id_is_refused() {
        let bytes = attributes_of(|_| {});
        assert!(parse(&bytes, Device::parse).is_err());
        assert!(parse(&bytes, Link::parse).is_err());
        assert!(parse(&bytes, Instance::parse).is_err());
    }

    proptest! {
        #[test]
        fn any_octets_give_a_value_or_an_error(
            command in 0u8..12, bytes in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let _ = Event::parse(command, Attributes::new(&bytes));
        }
    }
}
