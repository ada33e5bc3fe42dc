// SPDX-License-Identifier: GPL-2.0 OR MIT

//! How the bytes of a handle are laid out, and that nobody else made them.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version, 1 |
//! | 1 | type, from the lower file system |
//! | 4 to 40 | file identifier, from the lower file system, a multiple of 4 |
//! | 8 | message authentication code over all of the above, little endian |
//!
//! A device gives out handles and gets them back. The code shows that it gave
//! out just this one, for just this share, so that a peer cannot name files of
//! its choice by making handles up.

/// The parts of a handle of the lower file system.
///
/// # Invariants
///
/// 1 to [`FileId::MAX_WORDS`] words are used, and the others are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    file_type: u8,
    length: u8,
    words: [u32; FileId::MAX_WORDS],
}

impl FileId {
    /// Most words of a file identifier.
    pub const MAX_WORDS: usize = 10;

    /// A file identifier of the first `length` of `words`; [`None`] for no words
    /// or more than there are.
    pub fn new(file_type: u8, words: &[u32; Self::MAX_WORDS], length: usize) -> Option<Self> {
        let mut used = [0; Self::MAX_WORDS];
        let source = words.get(..length).filter(|source| !source.is_empty())?;
        used.get_mut(..length)?.copy_from_slice(source);
        // INVARIANT: The length was checked, the rest of the array is zero.
        Some(Self {
            file_type,
            length: u8::try_from(length).ok()?,
            words: used,
        })
    }

    /// The type, whose meaning the lower file system knows.
    pub const fn file_type(&self) -> u8 {
        self.file_type
    }

    /// The words.
    pub fn words(&self) -> &[u32] {
        self.words.get(..self.length.into()).unwrap_or(&[])
    }
}

/// An encoded handle.
///
/// # Invariants
///
/// `length <= Encoded::MAX`.
#[derive(Clone, Copy, Debug)]
pub struct Encoded {
    length: usize,
    bytes: [u8; Encoded::MAX],
}

impl Encoded {
    /// Most bytes of an encoded handle.
    pub const MAX: usize = HEAD + FileId::MAX_WORDS * WORD + CODE;

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&[])
    }
}

const VERSION: u8 = 1;
/// Bytes of version and type.
const HEAD: usize = 2;
/// Bytes of a word.
const WORD: usize = 4;
/// Bytes of the authentication code.
const CODE: usize = 8;

/// Encodes `id` and authenticates it with `code`, a keyed function of the bytes.
pub fn encode(id: &FileId, code: impl FnOnce(&[u8]) -> u64) -> Encoded {
    let mut bytes = [0; Encoded::MAX];
    let mut length = 0;
    let source = [VERSION, id.file_type]
        .into_iter()
        .chain(id.words().iter().flat_map(|word| word.to_le_bytes()));
    for (place, byte) in bytes.iter_mut().zip(source) {
        *place = byte;
        length = usize::saturating_add(length, 1);
    }
    let code = code(bytes.get(..length).unwrap_or(&[]));
    for (place, byte) in bytes.iter_mut().skip(length).zip(code.to_le_bytes()) {
        *place = byte;
        length = usize::saturating_add(length, 1);
    }
    // INVARIANT: `length` counts places of `bytes`.
    Encoded { length, bytes }
}

/// Decodes a handle; [`None`] when it is not one that [`encode`] made with the
/// same `code`.
///
/// Takes the same time whichever byte of the authentication code is wrong.
pub fn decode(bytes: &[u8], code: impl FnOnce(&[u8]) -> u64) -> Option<FileId> {
    let (signed, given) = bytes.split_last_chunk::<CODE>()?;
    // One comparison of two words: no early end that could be timed.
    if code(signed) ^ u64::from_le_bytes(*given) != 0 {
        return None;
    }
    let (&[VERSION, file_type], id) = signed.split_first_chunk::<HEAD>()? else {
        return None;
    };
    let mut words = [0; FileId::MAX_WORDS];
    let mut length = 0;
    let mut rest = id;
    while let Some((word, after)) = rest.split_first_chunk::<WORD>() {
        *words.get_mut(length)? = u32::from_le_bytes(*word);
        length = usize::saturating_add(length, 1);
        rest = after;
    }
    if !rest.is_empty() {
        return None;
    }
    FileId::new(file_type, &words, length)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// A keyed function that is good enough to notice changes (FNV-1a).
    fn code(key: u64) -> impl Fn(&[u8]) -> u64 {
        move |bytes| {
            bytes
                .iter()
                .fold(0xcbf2_9ce4_8422_2325 ^ key, |hash, &byte| {
                    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
                })
        }
    }

    fn ids() -> impl Strategy<Value = FileId> {
        (
            any::<u8>(),
            any::<[u32; FileId::MAX_WORDS]>(),
            1..=FileId::MAX_WORDS,
        )
            .prop_map(|(file_type, words, length)| FileId::new(file_type, &words, length).unwrap())
    }

    #[test]
    fn a_file_identifier_has_one_to_ten_words() {
        let words = [7; FileId::MAX_WORDS];
        assert_eq!(FileId::new(1, &words, 0), None);
        assert_eq!(FileId::new(1, &words, 11), None);
        assert_eq!(FileId::new(1, &words, 10).unwrap().words(), words);
    }

    #[test]
    fn another_version_is_refused() {
        let mut bytes = [2, 1, 0, 0, 0, 0].to_vec();
        bytes.extend(code(1)(&bytes).to_le_bytes());
        assert_eq!(decode(&bytes, code(1)), None);
    }

    proptest! {
        #[test]
        fn handles_survive(id in ids(), key in any::<u64>()) {
            let encoded = encode(&id, code(key));
            prop_assert_eq!(encoded.as_bytes().len(), HEAD + id.words().len() * WORD + CODE);
            prop_assert_eq!(decode(encoded.as_bytes(), code(key)), Some(id));
        }

        #[test]
        fn handles_of_another_key_are_refused(id in ids(), key in any::<u64>(), bit in 0u32..64) {
            let other = key ^ (1u64 << bit);
            prop_assert_eq!(decode(encode(&id, code(key)).as_bytes(), code(other)), None);
        }

        #[test]
        fn changed_handles_are_refused(
            id in ids(), key in any::<u64>(), place in any::<prop::sample::Index>(), flip in 1u8..,
        ) {
            let mut bytes: Vec<u8> = encode(&id, code(key)).as_bytes().to_vec();
            let place = place.index(bytes.len());
            bytes[place] ^= flip;
            prop_assert_eq!(decode(&bytes, code(key)), None);
        }

        #[test]
        fn shortened_handles_are_refused(
            id in ids(), key in any::<u64>(), length in any::<prop::sample::Index>(),
        ) {
            let encoded = encode(&id, code(key));
            let length = length.index(encoded.as_bytes().len());
            prop_assert_eq!(decode(&encoded.as_bytes()[..length], code(key)), None);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            // A peer that knew the key could still do no more than name a file.
            if let Some((signed, _)) = bytes.split_last_chunk::<CODE>() {
                let genuine = code(0)(signed);
                let mut bytes = signed.to_vec();
                bytes.extend(genuine.to_le_bytes());
                if let Some(id) = decode(&bytes, code(0)) {
                    let again = encode(&id, code(0));
                    prop_assert_eq!(again.as_bytes(), &bytes[..]);
                }
            }
            decode(&bytes, code(1));
        }
    }
}
