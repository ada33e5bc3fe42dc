// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reads exactly one TLS record at a time.
//!
//! What is read beyond the last record of the handshake would be lost at the handover: the kernel
//! decrypts what is in the socket, not what lies in our memory. So we ask for the five octets of a
//! header, then for exactly the record.

/// Octets of a record's header.
const HEADER: usize = 5;
/// Most octets that a protected record of TLS 1.3 may have (RFC 8446, 5.2).
const RECORD_MAX: usize = (1 << 14) + 256;
/// A handshake with raw keys has a few thousand octets; who sends more is not greeting us.
const TOTAL_MAX: usize = 64 << 10;

/// Collects a record.
#[derive(Debug, Default)]
pub(crate) struct RecordReader {
    record: Vec<u8>,
    total: usize,
}

impl RecordReader {
    /// How many octets to receive next.
    pub(crate) fn wanted(&self) -> usize {
        let whole = self.length().map_or(HEADER, |body| HEADER + body);
        whole.saturating_sub(self.record.len())
    }

    fn length(&self) -> Option<usize> {
        match self.record.get(..HEADER) {
            Some([_, _, _, high, low]) => Some(usize::from(u16::from_be_bytes([*high, *low]))),
            _ => None,
        }
    }

    /// Takes the octets that were asked for; gives the record when it is whole.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
        if bytes.len() > self.wanted() {
            return Err("more was read than one record");
        }
        self.total = self.total.saturating_add(bytes.len());
        if self.total > TOTAL_MAX {
            return Err("the handshake is too long");
        }
        self.record.extend_from_slice(bytes);
        let Some(length) = self.length() else {
            return Ok(None);
        };
        // Types 20 to 23, and 3 as the major version: anything else does not speak TLS.
        if !matches!(self.record.get(..2), Some([20..=23, 3])) {
            return Err("the other side does not speak TLS");
        }
        if length > RECORD_MAX {
            return Err("a TLS record is too long");
        }
        if self.record.len() < HEADER + length {
            return Ok(None);
        }
        Ok(Some(std::mem::take(&mut self.record)))
    }

    /// Whether no part of a record is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.record.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_record_in_pieces() {
        let mut reader = RecordReader::default();
        assert_eq!(reader.wanted(), 5);
        assert_eq!(reader.push(&[22, 3, 1]).unwrap(), None);
        assert_eq!(reader.wanted(), 2);
        assert_eq!(reader.push(&[0, 3]).unwrap(), None);
        assert_eq!(reader.wanted(), 3);
        let record = reader.push(&[7, 8, 9]).unwrap();
        assert_eq!(record, Some(vec![22, 3, 1, 0, 3, 7, 8, 9]));
        assert!(reader.is_empty());
        assert_eq!(reader.wanted(), 5);
    }

    #[test]
    fn more_than_was_asked_for_is_refused() {
        let mut reader = RecordReader::default();
        assert!(reader.push(&[22, 3, 3, 0, 1, 0]).is_err());
    }

    #[test]
    fn what_is_not_tls_is_refused() {
        assert!(RecordReader::default().push(b"GET /").is_err());
        assert!(RecordReader::default()
            .push(&[23, 3, 3, 0xff, 0xff])
            .is_err());
    }

    #[test]
    fn an_endless_handshake_is_refused() {
        let mut reader = RecordReader::default();
        let result = (0..TOTAL_MAX).try_for_each(|_| reader.push(&[22, 3, 3, 0, 0]).map(drop));
        assert!(result.is_err());
    }

    proptest! {
        #[test]
        fn any_octets_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let mut reader = RecordReader::default();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let wanted = reader.wanted();
                prop_assert!(wanted > 0);
                let (now, later) = rest.split_at(wanted.min(rest.len()));
                rest = later;
                if reader.push(now).is_err() {
                    break;
                }
            }
        }
    }
}
