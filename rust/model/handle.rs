// SPDX-License-Identifier: GPL-2.0 OR MIT

//! How the bytes of a handle are laid out, and that nobody else made them.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version, 2 |
//! | 1 | number of words that tell which file it is |
//! | 4 to 40 | these words |
//! | 1 | type, from the lower file system |
//! | 0 to 36 | further words: where the file was |
//! | 8 | message authentication code over all of the above, little endian |
//!
//! The words are those of the lower file system's file identifier, which can name the parent
//! directory too, after the file. What stands in front of the type is the same in all handles of
//! a file.
//!
//! A device gives out handles and gets them back. The code shows that it gave
//! out just this one, for just this share, so that a peer cannot name files of
//! its choice by making handles up.

/// The parts of a handle of the lower file system.
///
/// # Invariants
///
/// 1 to [`FileId::MAX_WORDS`] words are used, and the others are zero; `1 <= identity <= length`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    file_type: u8,
    length: u8,
    identity: u8,
    words: [u32; FileId::MAX_WORDS],
}

impl FileId {
    /// Most words of a file identifier.
    pub const MAX_WORDS: usize = 10;

    /// A file identifier of the first `length` of `words`, of which the first `identity` tell
    /// which file it is; [`None`] for no words or more than there are.
    pub fn new(
        file_type: u8,
        words: &[u32; Self::MAX_WORDS],
        length: usize,
        identity: usize,
    ) -> Option<Self> {
        if identity == 0 || identity > length {
            return None;
        }
        let mut used = [0; Self::MAX_WORDS];
        let source = words.get(..length).filter(|source| !source.is_empty())?;
        used.get_mut(..length)?.copy_from_slice(source);
        // INVARIANT: The length was checked, the rest of the array is zero.
        Some(Self {
            file_type,
            length: u8::try_from(length).ok()?,
            identity: u8::try_from(identity).ok()?,
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

    /// How many of the words tell which file it is.
    pub fn identity(&self) -> usize {
        self.identity.into()
    }
}

/// An encoded handle.
///
/// # Invariants
///
/// `identity <= length <= Encoded::MAX`.
#[derive(Clone, Copy, Debug)]
pub struct Encoded {
    length: usize,
    identity: usize,
    bytes: [u8; Encoded::MAX],
}

impl Encoded {
    /// Most bytes of an encoded handle.
    pub const MAX: usize = HEAD + FileId::MAX_WORDS * WORD + CODE;

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&[])
    }

    /// How many of the bytes are the same in all handles of the file.
    pub fn identity(&self) -> usize {
        self.identity
    }
}

const VERSION: u8 = 2;
/// Bytes of version, number of words, and type.
const HEAD: usize = 3;
/// Bytes of a word.
const WORD: usize = 4;
/// Bytes of the authentication code.
const CODE: usize = 8;

/// Encodes `id` and authenticates it with `code`, a keyed function of the bytes.
pub fn encode(id: &FileId, code: impl FnOnce(&[u8]) -> u64) -> Encoded {
    let mut bytes = [0; Encoded::MAX];
    let mut length = 0;
    let (file, place) = id
        .words()
        .split_at_checked(id.identity())
        .unwrap_or_default();
    let mut put = |byte: u8| {
        if let Some(free) = bytes.get_mut(length) {
            *free = byte;
            length = usize::saturating_add(length, 1);
        }
        length
    };
    put(VERSION);
    let mut identity = put(id.identity);
    for byte in file.iter().flat_map(|word| word.to_le_bytes()) {
        identity = put(byte);
    }
    put(id.file_type);
    for byte in place.iter().flat_map(|word| word.to_le_bytes()) {
        put(byte);
    }
    let code = code(bytes.get(..length).unwrap_or(&[]));
    for (free, byte) in bytes.iter_mut().skip(length).zip(code.to_le_bytes()) {
        *free = byte;
        length = usize::saturating_add(length, 1);
    }
    // INVARIANT: Both count places of `bytes`, `identity` some of the first.
    Encoded {
        length,
        identity,
        bytes,
    }
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
    let (&[VERSION, identity], rest) = signed.split_first_chunk::<2>()? else {
        return None;
    };
    let identity = usize::from(identity);
    let (file, rest) = rest.split_at_checked(usize::checked_mul(identity, WORD)?)?;
    let (&file_type, place) = rest.split_first()?;
    let mut words = [0; FileId::MAX_WORDS];
    let mut length = 0;
    for part in [file, place] {
        let mut rest = part;
        while let Some((word, after)) = rest.split_first_chunk::<WORD>() {
            *words.get_mut(length)? = u32::from_le_bytes(*word);
            length = usize::saturating_add(length, 1);
            rest = after;
        }
        if !rest.is_empty() {
            return None;
        }
    }
    FileId::new(file_type, &words, length, identity)
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
            any::<prop::sample::Index>(),
        )
            .prop_map(|(file_type, words, length, identity)| {
                FileId::new(file_type, &words, length, 1 + identity.index(length)).unwrap()
            })
    }

    #[test]
    fn a_file_identifier_has_one_to_ten_words() {
        let words = [7; FileId::MAX_WORDS];
        assert_eq!(FileId::new(1, &words, 0, 0), None);
        assert_eq!(FileId::new(1, &words, 11, 1), None);
        assert_eq!(FileId::new(1, &words, 10, 0), None);
        assert_eq!(FileId::new(1, &words, 9, 10), None);
        assert_eq!(FileId::new(1, &words, 10, 2).unwrap().words(), words);
    }

    #[test]
    fn another_version_is_refused() {
        let mut bytes = [1, 1, 0, 0, 0, 0, 1].to_vec();
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
        fn handles_of_a_file_begin_alike(
            id in ids(), place in any::<[u32; FileId::MAX_WORDS]>(), key in any::<u64>(),
        ) {
            // The same file, somewhere else.
            let file = id.identity();
            let mut words = place;
            words[..file].copy_from_slice(&id.words()[..file]);
            let other = FileId::new(!id.file_type(), &words, FileId::MAX_WORDS, file).unwrap();
            let (here, there) = (encode(&id, code(key)), encode(&other, code(key)));
            prop_assert_eq!(here.identity(), 2 + file * WORD);
            prop_assert_eq!(
                &here.as_bytes()[..here.identity()],
                &there.as_bytes()[..there.identity()]
            );
        }

        #[test]
        fn handles_of_different_files_begin_differently(
            id in ids(), other in ids(), key in any::<u64>(),
        ) {
            let (here, there) = (encode(&id, code(key)), encode(&other, code(key)));
            let same = id.words()[..id.identity()] == other.words()[..other.identity()];
            prop_assert_eq!(
                here.as_bytes()[..here.identity()] == there.as_bytes()[..there.identity()],
                same
            );
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
