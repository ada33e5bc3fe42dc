// SPDX-License-Identifier: MIT OR Apache-2.0

//! The first and only application data that the daemons exchange: HELLO from the initiator,
//! HELLO-ACK from the acceptor.
//!
//! In TLS 1.3 a client is done before the server has seen its key. Without an answer inside TLS it
//! would hand a connection to the kernel that the other side refuses. Both messages have eight
//! octets: the magic number `HMDd`, the kind, the version, and the reason, little endian.

use std::fmt;

/// Octets of both messages.
pub(crate) const LEN: usize = 8;

const MAGIC: [u8; 4] = *b"HMDd";
const VERSION: u8 = 1;

/// Which of the two messages it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Hello = 1,
    Ack = 2,
}

/// Whether the acceptor takes the link, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// You are known and allowed; the kernel takes over.
    Accepted,
    /// Nothing is mounted here; try again later.
    NotMounted,
    /// There is a link between us already, and it is the one to keep.
    Duplicate,
    /// The daemon is ending.
    ShuttingDown,
    /// A reason that a newer daemon knows.
    Other(u16),
}

impl Answer {
    fn code(self) -> u16 {
        match self {
            Answer::Accepted => 0,
            Answer::NotMounted => 1,
            Answer::Duplicate => 2,
            Answer::ShuttingDown => 3,
            Answer::Other(code) => code,
        }
    }

    fn of_code(code: u16) -> Self {
        match code {
            0 => Answer::Accepted,
            1 => Answer::NotMounted,
            2 => Answer::Duplicate,
            3 => Answer::ShuttingDown,
            code => Answer::Other(code),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Accepted => f.write_str("accepted"),
            Answer::NotMounted => f.write_str("hmdfs is not mounted on the other device"),
            Answer::Duplicate => f.write_str("the devices are linked already"),
            Answer::ShuttingDown => f.write_str("the other device's daemon is ending"),
            Answer::Other(code) => write!(f, "the other device refused for reason {code}"),
        }
    }
}

pub(crate) fn encode(kind: Kind, answer: Answer) -> [u8; LEN] {
    let [m0, m1, m2, m3] = MAGIC;
    let [low, high] = answer.code().to_le_bytes();
    [m0, m1, m2, m3, kind as u8, VERSION, low, high]
}

/// Reads the message of `kind`; the text says what is wrong with another one.
pub(crate) fn decode(kind: Kind, message: &[u8]) -> Result<Answer, &'static str> {
    let Ok([m0, m1, m2, m3, k, version, low, high]) = <[u8; LEN]>::try_from(message) else {
        return Err("the greeting has another length");
    };
    if [m0, m1, m2, m3] != MAGIC || k != kind as u8 {
        return Err("the greeting is not one of hmdfs");
    }
    if version != VERSION {
        return Err("the greeting has another version; update the older of the two devices");
    }
    Ok(Answer::of_code(u16::from_le_bytes([low, high])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn layout() {
        assert_eq!(
            encode(Kind::Hello, Answer::Accepted),
            *b"HMDd\x01\x01\x00\x00"
        );
        assert_eq!(
            encode(Kind::Ack, Answer::NotMounted),
            *b"HMDd\x02\x01\x01\x00"
        );
    }

    #[test]
    fn another_message_is_refused() {
        let hello = encode(Kind::Hello, Answer::Accepted);
        assert!(decode(Kind::Ack, &hello).is_err());
        assert!(decode(Kind::Hello, &hello[..7]).is_err());
        let mut newer = hello;
        newer[5] = 2;
        assert!(decode(Kind::Hello, &newer).unwrap_err().contains("version"));
    }

    proptest! {
        #[test]
        fn every_answer_is_read_back(code in any::<u16>()) {
            let answer = Answer::of_code(code);
            let bytes = encode(Kind::Ack, answer);
            prop_assert_eq!(decode(Kind::Ack, &bytes), Ok(answer));
            prop_assert_eq!(answer.code(), code);
        }
    }
}
