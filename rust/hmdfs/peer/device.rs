// SPDX-License-Identifier: GPL-2.0

//! What is known of a device before anything is heard from it.

use hmdfs_model::security::{
    Access,
    Level, //
};
use hmdfs_proto::Name;
use kernel::{
    fmt,
    str::BStr, //
};

/// SHA-256 of a device's public key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeviceId([u8; Self::LENGTH]);

impl DeviceId {
    /// Number of bytes.
    pub(crate) const LENGTH: usize = 32;

    /// The identifier of these bytes, if they are so many.
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes.
    pub(crate) const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Name of a device's directory: one path component of at most
/// [`DeviceName::MAX`] bytes that is not the name of anything else there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeviceName {
    bytes: [u8; Self::MAX],
    length: u8,
}

impl DeviceName {
    /// Most bytes.
    pub(crate) const MAX: usize = 63;

    /// Checks `bytes`.
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        Name::new(bytes).ok()?;
        if bytes == b"local" || bytes == b"merge" {
            return None;
        }
        let mut name = Self {
            bytes: [0; Self::MAX],
            length: u8::try_from(bytes.len()).ok()?,
        };
        name.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(name)
    }

    /// The bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length.into()).unwrap_or(&[])
    }
}

/// For logs: what could disturb a terminal is escaped.
impl fmt::Display for DeviceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(BStr::from_bytes(self.as_bytes()), formatter)
    }
}

/// What to change of a device; what is not given stays as it is.
pub(crate) struct DeviceSettings {
    /// Which device.
    pub(crate) id: DeviceId,
    /// Its number, from 1 on; never changes.
    pub(crate) number: Option<u32>,
    /// Its directory.
    pub(crate) name: Option<DeviceName>,
    /// What it may do here.
    pub(crate) access: Option<Access>,
    /// How far it is trusted.
    pub(crate) level: Option<Level>,
}

/// Why settings were refused; nothing was changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum SettingsError {
    /// A new device has no number.
    NumberMissing,
    /// A new device has no name.
    NameMissing,
    /// The device has another number.
    NumberFixed,
    /// Another device has the number.
    NumberTaken,
    /// Another device has the name.
    NameTaken,
    /// The mount is going away.
    Unmounting,
    /// There is no memory for it.
    Memory,
}
