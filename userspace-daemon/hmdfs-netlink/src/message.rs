// SPDX-License-Identifier: MIT OR Apache-2.0

//! Framing of netlink messages: headers, attributes, acknowledgements.
//!
//! Parsing never indexes: whatever octets arrive, the answer is a value or an [`Error`].

use crate::error::{Error, Refusal};

/// Octets of `struct nlmsghdr`.
pub const HEADER_LEN: usize = 16;
/// Octets of `struct genlmsghdr`.
pub const GENERIC_LEN: usize = 4;

const NLA_F_NESTED: u16 = 1 << 15;
const NLA_TYPE_MASK: u16 = !(3 << 14);

const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSGERR_ATTR_MSG: u16 = 1;
const NLMSGERR_ATTR_OFFS: u16 = 2;
const NLMSGERR_ATTR_MISS_TYPE: u16 = 5;

fn align(len: usize) -> usize {
    len.saturating_add(3) & !3
}

fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    let end = at.checked_add(2)?;
    Some(u16::from_ne_bytes(bytes.get(at..end)?.try_into().ok()?))
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let end = at.checked_add(4)?;
    Some(u32::from_ne_bytes(bytes.get(at..end)?.try_into().ok()?))
}

/// One netlink message, as it lies in a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// `nlmsg_type`: a control message below 16, else the family.
    pub kind: u16,
    /// `nlmsg_flags`.
    pub flags: u16,
    /// `nlmsg_seq`: the request that this answers; 0 in notifications.
    pub sequence: u32,
    /// What follows the header.
    pub payload: &'a [u8],
}

/// Iterates over the messages of a datagram.
#[derive(Clone, Debug)]
pub struct Messages<'a>(&'a [u8]);

impl<'a> Messages<'a> {
    /// Starts at the first message of `datagram`.
    pub fn new(datagram: &'a [u8]) -> Self {
        Messages(datagram)
    }

    fn take(&mut self) -> Option<Message<'a>> {
        let len = usize::try_from(read_u32(self.0, 0)?).ok()?;
        let payload = self.0.get(HEADER_LEN..len)?;
        let message = Message {
            kind: read_u16(self.0, 4)?,
            flags: read_u16(self.0, 6)?,
            sequence: read_u32(self.0, 8)?,
            payload,
        };
        self.0 = self.0.get(align(len)..).unwrap_or_default();
        Some(message)
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        match self.take() {
            Some(message) => Some(Ok(message)),
            None => {
                self.0 = &[];
                Some(Err(Error::Malformed("a message's length")))
            }
        }
    }
}

/// One attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Number within its set, without the flag bits.
    pub kind: u16,
    /// The value.
    pub value: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// The value as `u8`.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the value has another size; so for the other readers.
    pub fn u8(&self) -> Result<u8, Error> {
        match self.value {
            [value] => Ok(*value),
            _ => Err(Error::Malformed("an attribute of 1 octet")),
        }
    }

    /// The value as `u16`.
    #[allow(clippy::missing_errors_doc)]
    pub fn u16(&self) -> Result<u16, Error> {
        let value = self.value.try_into();
        value
            .map(u16::from_ne_bytes)
            .map_err(|_| Error::Malformed("an attribute of 2 octets"))
    }

    /// The value as `u32`.
    #[allow(clippy::missing_errors_doc)]
    pub fn u32(&self) -> Result<u32, Error> {
        let value = self.value.try_into();
        value
            .map(u32::from_ne_bytes)
            .map_err(|_| Error::Malformed("an attribute of 4 octets"))
    }

    /// The value as `uint`, for which the kernel uses 4 octets where they suffice, else 8.
    #[allow(clippy::missing_errors_doc)]
    pub fn uint(&self) -> Result<u64, Error> {
        if self.value.len() == 4 {
            return self.u32().map(u64::from);
        }
        let value = self.value.try_into();
        value
            .map(u64::from_ne_bytes)
            .map_err(|_| Error::Malformed("an attribute of 4 or 8 octets"))
    }

    /// The value as text, without the NUL that ends it.
    #[allow(clippy::missing_errors_doc)]
    pub fn string(&self) -> Result<&'a str, Error> {
        let text = self.value.split(|octet| *octet == 0).next();
        std::str::from_utf8(text.unwrap_or_default())
            .map_err(|_| Error::Malformed("an attribute of UTF-8 text"))
    }

    /// The value as exactly `N` octets.
    #[allow(clippy::missing_errors_doc)]
    pub fn octets<const N: usize>(&self) -> Result<[u8; N], Error> {
        let value = self.value.try_into();
        value.map_err(|_| Error::Malformed("an attribute of fixed size"))
    }

    /// The attributes nested in this one.
    pub fn nested(&self) -> Attributes<'a> {
        Attributes::new(self.value)
    }
}

/// Iterates over attributes.
#[derive(Clone, Debug)]
pub struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// Starts at the first attribute of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Attributes(bytes)
    }

    fn take(&mut self) -> Option<Attribute<'a>> {
        let len = usize::from(read_u16(self.0, 0)?);
        let kind = read_u16(self.0, 2)? & NLA_TYPE_MASK;
        let value = self.0.get(4..len)?;
        self.0 = self.0.get(align(len)..).unwrap_or_default();
        Some(Attribute { kind, value })
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        match self.take() {
            Some(attribute) => Some(Ok(attribute)),
            None => {
                self.0 = &[];
                Some(Err(Error::Malformed("an attribute's length")))
            }
        }
    }
}

/// Splits the payload of a generic netlink message into its command and its attributes.
///
/// # Errors
/// [`Error::Malformed`] when the payload is shorter than the generic header.
pub fn generic(payload: &[u8]) -> Result<(u8, Attributes<'_>), Error> {
    match (payload.first(), payload.get(GENERIC_LEN..)) {
        (Some(command), Some(rest)) => Ok((*command, Attributes::new(rest))),
        _ => Err(Error::Malformed("a generic netlink header")),
    }
}

/// Reads an `NLMSG_ERROR` message: `Ok` is an acknowledgement, [`Error::Refused`] a refusal.
///
/// # Errors
/// As said, or [`Error::Malformed`].
pub fn acknowledgement(message: &Message<'_>) -> Result<(), Error> {
    let malformed = Error::Malformed("an acknowledgement");
    let Some(code) = read_u32(message.payload, 0) else {
        return Err(malformed);
    };
    let errno = (code as i32).saturating_neg();
    if errno == 0 {
        return Ok(());
    }
    let mut refusal = Refusal {
        errno,
        message: String::new(),
        offset: None,
        missing: None,
    };
    if message.flags & NLM_F_ACK_TLVS != 0 {
        // A capped acknowledgement repeats only the header of the request, a full one all of it.
        let request = if message.flags & NLM_F_CAPPED != 0 {
            HEADER_LEN
        } else {
            read_u32(message.payload, 4).map_or(HEADER_LEN, |len| len as usize)
        };
        let tlvs = message.payload.get(4usize.saturating_add(align(request))..);
        extended(&mut refusal, tlvs.unwrap_or_default());
    }
    Err(Error::Refused(refusal))
}

/// Reads the attributes of an extended acknowledgement. What cannot be read is left out:
/// the error number is worth more than its decoration.
pub(crate) fn extended(refusal: &mut Refusal, tlvs: &[u8]) {
    for attribute in Attributes::new(tlvs).flatten() {
        match attribute.kind {
            NLMSGERR_ATTR_MSG => {
                let text = attribute.string().unwrap_or_default();
                refusal.message = text.to_owned();
            }
            NLMSGERR_ATTR_OFFS => refusal.offset = attribute.u32().ok(),
            NLMSGERR_ATTR_MISS_TYPE => refusal.missing = attribute.u32().ok(),
            _ => {}
        }
    }
}

/// Builds one request.
#[derive(Clone, Debug)]
pub struct Builder {
    bytes: Vec<u8>,
}

impl Builder {
    /// Starts a request of `command` to the family `kind`.
    pub fn new(kind: u16, flags: u16, sequence: u32, command: u8, version: u8) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&0u32.to_ne_bytes());
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(&sequence.to_ne_bytes());
        bytes.extend_from_slice(&0u32.to_ne_bytes());
        bytes.extend_from_slice(&[command, version, 0, 0]);
        Builder { bytes }
    }

    /// Appends an attribute. Values of more than 65,531 octets are cut, which no attribute of
    /// this interface comes near to.
    pub fn put(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let value = value.get(..usize::from(u16::MAX - 4)).unwrap_or(value);
        let len = value.len() + 4;
        self.bytes.extend_from_slice(&(len as u16).to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(align(self.bytes.len()), 0);
        self
    }

    /// Appends a number of 32 bits.
    pub fn put_u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.put(kind, &value.to_ne_bytes())
    }

    /// Appends text with the NUL that the kernel expects at its end.
    pub fn put_string(&mut self, kind: u16, value: &str) -> &mut Self {
        let mut text = value.as_bytes().to_vec();
        text.push(0);
        self.put(kind, &text)
    }

    /// Appends nested attributes, which `fill` puts.
    pub fn put_nested(&mut self, kind: u16, fill: impl FnOnce(&mut Builder)) -> &mut Self {
        let mut inner = Builder { bytes: Vec::new() };
        fill(&mut inner);
        self.put(kind | NLA_F_NESTED, &inner.bytes)
    }

    /// The finished message.
    pub fn finish(mut self) -> Vec<u8> {
        let len = (self.bytes.len() as u32).to_ne_bytes();
        for (octet, value) in self.bytes.iter_mut().zip(len) {
            *octet = value;
        }
        self.bytes
    }
}

#[cfg(test)]
mod tests;
