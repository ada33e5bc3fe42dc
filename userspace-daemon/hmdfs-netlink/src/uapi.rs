// SPDX-License-Identifier: MIT OR Apache-2.0

//! Numbers of the interface, as `Documentation/netlink/specs/hmdfs.yaml` defines them.
//!
//! They are written by hand because a generator for so few would be longer than they are;
//! `tests/specification.rs` compares every one of them with the specification.

#![allow(missing_docs)]

/// Name by which the kernel's controller knows the family.
pub const FAMILY_NAME: &str = "hmdfs";
/// Version of the family. It never changes: attributes are only added.
pub const FAMILY_VERSION: u8 = 1;
/// The multicast group that carries all notifications.
pub const GROUP_EVENTS: &str = "events";

/// Octets of a device ID.
pub const DEVICE_ID_LEN: usize = 32;
/// Octets that a device's name may have.
pub const DEVICE_NAME_MAX: usize = 63;

/// Operations and notifications, which share one number space.
pub mod cmd {
    pub const INSTANCE_GET: u8 = 1;
    pub const INSTANCE_NTF: u8 = 2;
    pub const DEVICE_SET: u8 = 3;
    pub const DEVICE_DEL: u8 = 4;
    pub const DEVICE_GET: u8 = 5;
    pub const DEVICE_NTF: u8 = 6;
    pub const LINK_ADD: u8 = 7;
    pub const LINK_DEL: u8 = 8;
    pub const LINK_GET: u8 = 9;
    pub const LINK_NTF: u8 = 10;

    pub const ALL: &[(&str, u8)] = &[
        ("instance-get", INSTANCE_GET),
        ("instance-ntf", INSTANCE_NTF),
        ("device-set", DEVICE_SET),
        ("device-del", DEVICE_DEL),
        ("device-get", DEVICE_GET),
        ("device-ntf", DEVICE_NTF),
        ("link-add", LINK_ADD),
        ("link-del", LINK_DEL),
        ("link-get", LINK_GET),
        ("link-ntf", LINK_NTF),
    ];
}

macro_rules! attributes {
    ($(#[$doc:meta])* $module:ident { $($konst:ident = $value:literal, $name:literal;)* }) => {
        $(#[$doc])*
        pub mod $module {
            $(pub const $konst: u16 = $value;)*
            /// Names of the specification, for the test that compares.
            pub const ALL: &[(&str, u16)] = &[$(($name, $konst)),*];
        }
    };
}

attributes! {
    /// Attribute set `instance`.
    instance {
        ID = 1, "id";
        MOUNTED = 2, "mounted";
        PROTOCOL_MIN = 3, "protocol-min";
        PROTOCOL_MAX = 4, "protocol-max";
        FEATURES = 5, "features";
        EPOCH = 6, "epoch";
    }
}

attributes! {
    /// Attribute set `device`.
    device {
        PEER_ID = 1, "peer-id";
        NUMBER = 2, "number";
        NAME = 3, "name";
        ACCESS = 4, "access";
        LEVEL = 5, "level";
        ONLINE = 6, "online";
        LINKS = 7, "links";
    }
}

attributes! {
    /// Attribute set `link`.
    link {
        ID = 1, "id";
        PEER_ID = 2, "peer-id";
        SOCKFD = 3, "sockfd";
        ROLE = 4, "role";
        STATE = 5, "state";
        DOWN_REASON = 6, "down-reason";
        ERROR = 7, "error";
        STATS = 8, "stats";
    }
}

attributes! {
    /// Attribute set `link-stats`.
    link_stats {
        REQUESTS_SENT = 1, "requests-sent";
        REQUESTS_RECEIVED = 2, "requests-received";
        REPLIES_RECEIVED = 3, "replies-received";
        RX_BYTES = 4, "rx-bytes";
        TX_BYTES = 5, "tx-bytes";
        TIMEOUTS = 6, "timeouts";
        INFLIGHT = 7, "inflight";
        RTT_USEC = 8, "rtt-usec";
    }
}

macro_rules! enumeration {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$entry_doc:meta])* $variant:ident = $value:literal, $text:literal;)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$entry_doc])* $variant,)*
            /// A value that a newer kernel knows.
            Unknown(u32),
        }

        impl $name {
            /// Names and values of the specification.
            pub const ALL: &'static [(&'static str, u32)] = &[$(($text, $value)),*];

            /// The value's name in the specification.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Unknown(_) => "unknown",
                }
            }
        }

        impl From<u32> for $name {
            fn from(value: u32) -> Self {
                match value {
                    $($value => Self::$variant,)*
                    other => Self::Unknown(other),
                }
            }
        }

        impl From<$name> for u32 {
            fn from(value: $name) -> u32 {
                match value {
                    $($name::$variant => $value,)*
                    $name::Unknown(other) => other,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

enumeration! {
    /// What a device may do with the directory that this mount exports.
    Access {
        None = 0, "none";
        Read = 1, "read";
        Write = 2, "write";
    }
}

enumeration! {
    /// Which side opened the TCP connection.
    LinkRole {
        Initiator = 0, "initiator";
        Acceptor = 1, "acceptor";
    }
}

enumeration! {
    /// How far a link is. Only one that is up carries requests.
    LinkState {
        Greeting = 0, "greeting";
        Up = 1, "up";
        Down = 2, "down";
    }
}

enumeration! {
    /// Why a link went down.
    DownReason {
        /// The link is not down.
        None = 0, "none";
        /// Asked for: link-del, device-del or unmounting.
        Admin = 1, "admin";
        /// The peer said that it ends the link.
        PeerBye = 2, "peer-bye";
        /// The connection ended without a goodbye.
        Closed = 3, "closed";
        /// The peer stayed silent.
        Timeout = 4, "timeout";
        /// The socket reported an error.
        IoError = 5, "io-error";
        /// A TLS record failed authentication or was of an unexpected type.
        BadRecord = 6, "bad-record";
        /// The peer sent something that the protocol does not allow.
        Protocol = 7, "protocol";
        /// The two sides have no protocol version in common.
        Version = 8, "version";
        /// The keys have protected as many records as they may.
        KeyLimit = 9, "key-limit";
    }
}
