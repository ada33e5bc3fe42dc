// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Making decorated names, and taking them apart.

use super::{hash::siphash, MAX, MAX_COUNTER};

const CONFLICT: &[u8] = b"_conflict_dev";
const REMOTE_DIRECTORY: &[u8] = b"_remote_directory";

/// Bytes of `~` and the hash of a name that was cut.
const TAG: usize = 9;

/// Most bytes of a character in UTF-8.
const CHARACTER: usize = 4;

/// Most bytes of a suffix: [`CONFLICT`], two numbers, and what is between them.
const SUFFIX: usize = 40;

/// The hash that names are tagged with. Tests let names share it.
const HASH_MASK: u32 = if cfg!(test) { 1 } else { u32::MAX };

/// Up to `N` bytes; what is beyond is lost.
///
/// # Invariants
///
/// `length <= N`.
#[derive(Clone, Copy, Debug)]
pub struct Text<const N: usize = MAX> {
    length: usize,
    bytes: [u8; N],
}

impl<const N: usize> Text<N> {
    /// These bytes.
    pub fn new(bytes: &[u8]) -> Self {
        let mut text = Self {
            length: 0,
            bytes: [0; N],
        };
        text.push(bytes);
        text
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&[])
    }

    fn push(&mut self, bytes: &[u8]) {
        let mut length = self.length;
        let places = self.bytes.get_mut(length..).unwrap_or(&mut []);
        for (place, &byte) in places.iter_mut().zip(bytes) {
            *place = byte;
            length = length.saturating_add(1);
        }
        // INVARIANT: There was a place for each byte.
        self.length = length;
    }

    fn push_decimal(&mut self, number: u32) {
        let mut digits = [0; 10];
        let (mut rest, mut used) = (number, 0usize);
        for digit in digits.iter_mut().rev() {
            // CAST: Less than ten.
            *digit = b'0'.wrapping_add((rest % 10) as u8);
            rest /= 10;
            used = used.saturating_add(1);
            if rest == 0 {
                break;
            }
        }
        let start = digits.len().saturating_sub(used);
        self.push(digits.get(start..).unwrap_or(&[]));
    }

    fn push_hex(&mut self, number: u32) {
        for shift in (0..8u32).rev() {
            let nibble = number.wrapping_shr(shift.wrapping_mul(4)) & 0xf;
            // CAST: Four bits.
            let digit = char::from_digit(nibble, 16).map_or(b'0', |digit| digit as u8);
            self.push(&[digit]);
        }
    }
}

/// What is added to a real name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Suffix {
    /// `_conflict_dev` and the number of the device.
    Conflict(u32),
    /// `_remote_directory`.
    RemoteDirectory,
}

impl Suffix {
    /// The text, with the counter unless that is 1.
    fn text(self, counter: u32) -> Text<SUFFIX> {
        let mut text = Text::new(b"");
        match self {
            Suffix::Conflict(device) => {
                text.push(CONFLICT);
                text.push_decimal(device);
            }
            Suffix::RemoteDirectory => text.push(REMOTE_DIRECTORY),
        }
        if counter != 1 {
            text.push(b"_");
            text.push_decimal(counter);
        }
        text
    }

    /// What a suffix stands after, and what follows it.
    fn split(self, name: &[u8]) -> (&[u8], &[u8]) {
        match self {
            Suffix::Conflict(_) => split(name),
            Suffix::RemoteDirectory => (name, &[]),
        }
    }
}

/// The name up to its last dot, and the rest; all of it when the last dot is the first character,
/// or there is none.
fn split(name: &[u8]) -> (&[u8], &[u8]) {
    match name.iter().rposition(|&byte| byte == b'.') {
        None | Some(0) => (name, &[]),
        Some(dot) => name.split_at_checked(dot).unwrap_or((name, &[])),
    }
}

/// A decorated name.
#[derive(Clone, Copy, Debug)]
pub struct Decorated {
    /// The name.
    pub text: Text,
    /// Whether it was cut.
    pub is_shortened: bool,
}

impl Decorated {
    /// Decorates a real name; the counter begins with 1.
    pub fn new(name: &[u8], suffix: Suffix, counter: u32) -> Self {
        let tail = suffix.text(counter);
        let (mut stem, mut extension) = suffix.split(name);
        let mut text = Text::new(b"");
        let is_shortened = name.len().saturating_add(tail.length) > MAX;
        if is_shortened {
            let fixed = tail.length.saturating_add(TAG);
            let room = |extension: &[u8]| MAX.saturating_sub(fixed).saturating_sub(extension.len());
            if room(extension) < CHARACTER {
                // All of it would be extension.
                (stem, extension) = (name, &[]);
            }
            stem = cut(stem, room(extension));
        }
        text.push(stem);
        if is_shortened {
            text.push(b"~");
            // CAST: The lower half of it.
            text.push_hex(siphash((0, 0), name) as u32 & HASH_MASK);
        }
        text.push(tail.as_bytes());
        text.push(extension);
        Self { text, is_shortened }
    }

    /// The bytes of the name.
    pub fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

/// The first `most` bytes, or up to three fewer where that would cut a character of UTF-8.
fn cut(name: &[u8], most: usize) -> &[u8] {
    let begins = |&end: &usize| name.get(end).is_none_or(|byte| byte & 0xc0 != 0x80);
    let end = (most.saturating_sub(CHARACTER - 1)..=most)
        .rev()
        .find(begins);
    name.get(..end.unwrap_or(most)).unwrap_or(name)
}

/// A name that was taken apart: it is the complete decorated form of `name`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parsed {
    pub(super) name: Text,
    pub(super) suffix: Suffix,
    pub(super) counter: u32,
}

impl Parsed {
    /// A name with [`Suffix::Conflict`], not cut.
    pub(super) fn conflict(shown: &[u8]) -> Option<Self> {
        let (stem, extension) = split(shown);
        let (stem, suffix, counter) = strip_conflict(stem)?;
        Self::new(shown, stem, extension, suffix, counter)
    }

    /// A name with [`Suffix::RemoteDirectory`], not cut.
    pub(super) fn remote_directory(shown: &[u8]) -> Option<Self> {
        let (stem, suffix, counter) = strip_remote_directory(shown)?;
        Self::new(shown, stem, &[], suffix, counter)
    }

    fn new(
        shown: &[u8],
        stem: &[u8],
        extension: &[u8],
        suffix: Suffix,
        counter: u32,
    ) -> Option<Self> {
        let mut name = Text::new(stem);
        name.push(extension);
        if matches!(name.as_bytes(), b"" | b"." | b"..") || counter > MAX_COUNTER {
            return None;
        }
        let again = Decorated::new(name.as_bytes(), suffix, counter);
        (!again.is_shortened && again.as_bytes() == shown).then_some(Self {
            name,
            suffix,
            counter,
        })
    }
}

fn strip_conflict(stem: &[u8]) -> Option<(&[u8], Suffix, u32)> {
    let (head, last) = strip_number(stem)?;
    if let Some(stem) = head.strip_suffix(CONFLICT) {
        return Some((stem, Suffix::Conflict(last), 1));
    }
    let (head, device) = strip_number(head.strip_suffix(b"_")?)?;
    let stem = head.strip_suffix(CONFLICT)?;
    Some((stem, Suffix::Conflict(device), last))
}

fn strip_remote_directory(name: &[u8]) -> Option<(&[u8], Suffix, u32)> {
    if let Some(stem) = name.strip_suffix(REMOTE_DIRECTORY) {
        return Some((stem, Suffix::RemoteDirectory, 1));
    }
    let (head, counter) = strip_number(name)?;
    let stem = head.strip_suffix(b"_")?.strip_suffix(REMOTE_DIRECTORY)?;
    Some((stem, Suffix::RemoteDirectory, counter))
}

/// The decimal number that a name ends with, and what is in front of it.
fn strip_number(name: &[u8]) -> Option<(&[u8], u32)> {
    let start = name
        .iter()
        .rposition(|byte| !byte.is_ascii_digit())
        .map_or(0, |last| last.saturating_add(1));
    let (head, digits) = name.split_at_checked(start)?;
    let mut number = (!digits.is_empty()).then_some(0u32)?;
    for digit in digits {
        number = number
            .checked_mul(10)?
            .checked_add(u32::from(digit.wrapping_sub(b'0')))?;
    }
    Some((head, number))
}

/// Whether `shown` has the form of a name that was cut.
pub(super) fn may_be_shortened(shown: &[u8]) -> bool {
    if !(MAX - (CHARACTER - 1)..=MAX).contains(&shown.len()) {
        return false;
    }
    let is_tagged = |stem: Option<(&[u8], Suffix, u32)>| {
        let tag = stem.and_then(|(stem, _, _)| {
            stem.split_at_checked(stem.len().checked_sub(TAG)?)
                .and_then(|(_, tag)| tag.strip_prefix(b"~"))
        });
        tag.is_some_and(|tag| tag.iter().all(u8::is_ascii_hexdigit))
    };
    is_tagged(strip_conflict(split(shown).0))
        || is_tagged(strip_conflict(shown))
        || is_tagged(strip_remote_directory(shown))
}

/// Whether `shown` may be a decorated name. If not, it is the real name of what it stands for; if
/// so, it may be that nevertheless.
pub fn is_decorated(shown: &[u8]) -> bool {
    Parsed::conflict(shown).is_some()
        || Parsed::remote_directory(shown).is_some()
        || may_be_shortened(shown)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::vec::Vec;

    /// The first table of the rules.
    #[test]
    fn the_suffix_stands_before_the_last_dot() {
        for (name, shown) in [
            ("notes", "notes_conflict_dev1"),
            ("a.txt", "a_conflict_dev1.txt"),
            ("a.tar.gz", "a.tar_conflict_dev1.gz"),
            (".bashrc", ".bashrc_conflict_dev1"),
            (".config.json", ".config_conflict_dev1.json"),
            ("a.", "a_conflict_dev1."),
            ("...", ".._conflict_dev1."),
            ("..a", "._conflict_dev1.a"),
        ] {
            let decorated = Decorated::new(name.as_bytes(), Suffix::Conflict(1), 1);
            assert_eq!(decorated.as_bytes(), shown.as_bytes());
            let parsed = Parsed::conflict(shown.as_bytes()).unwrap();
            assert_eq!(parsed.name.as_bytes(), name.as_bytes());
        }
    }

    #[test]
    fn numbers_and_directories() {
        let show = |name: &str, suffix, counter| {
            let decorated = Decorated::new(name.as_bytes(), suffix, counter);
            Vec::from(decorated.as_bytes())
        };
        let conflict = Suffix::Conflict(4_294_967_295);
        assert_eq!(show("a.b", conflict, 1), b"a_conflict_dev4294967295.b");
        assert_eq!(show("a.b", Suffix::Conflict(1), 2), b"a_conflict_dev1_2.b");
        let directory = Suffix::RemoteDirectory;
        assert_eq!(show("a.b", directory, 1), b"a.b_remote_directory");
        assert_eq!(show(".b", directory, 10), b".b_remote_directory_10");
    }

    #[test]
    fn what_only_looks_decorated_is_not() {
        for name in [
            "_conflict_dev1",
            "a_conflict_dev",
            "a_conflict_dev01",
            "a_conflict_dev1_1",
            "a_conflict_dev1_01",
            "a_conflict_dev1_",
            "a_conflict_dev1_1001",
            "a_conflict_dev4294967296",
            "._conflict_dev1",
            "_conflict_dev1.txt",
            "a.txt_conflict_dev1",
        ] {
            assert!(Parsed::conflict(name.as_bytes()).is_none(), "{name}");
        }
        for name in [
            "_remote_directory",
            "._remote_directory",
            ".._remote_directory",
            "a_remote_directory_1",
            "a_remote_directory_",
            "a_remote_directory.txt",
        ] {
            assert!(
                Parsed::remote_directory(name.as_bytes()).is_none(),
                "{name}"
            );
        }
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        let tag = |bytes: &[u8]| may_be_shortened(bytes);
        // 2 + 4 * 62 + 4 bytes; the suffix takes 14 and the tag 9.
        let name = [b"ab", "\u{1f600}".repeat(62).as_bytes(), b".txt"].concat();
        let decorated = Decorated::new(&name, Suffix::Conflict(1), 1);
        let text = core::str::from_utf8(decorated.as_bytes()).unwrap();
        assert!(decorated.is_shortened && tag(text.as_bytes()));
        assert!(text.starts_with("ab\u{1f600}") && text.ends_with("_conflict_dev1.txt"));
        assert_eq!(text.len(), 2 + 4 * 56 + 9 + 14 + 4);
        // No characters at all, and an extension without end.
        for name in [[0x80; 255], [b'.'; 255]] {
            let decorated = Decorated::new(&name, Suffix::RemoteDirectory, 1000);
            assert_eq!(decorated.as_bytes().len(), 255);
            assert!(tag(decorated.as_bytes()));
        }
        let mut name = [b'x'; 255];
        name[1] = b'.';
        let decorated = Decorated::new(&name, Suffix::Conflict(9), 1);
        assert!(decorated.as_bytes().ends_with(b"_conflict_dev9"));
        // As long as is allowed.
        let name = [b'x'; 241];
        assert!(!Decorated::new(&name, Suffix::Conflict(1), 1).is_shortened);
        assert!(Decorated::new(&name, Suffix::Conflict(10), 1).is_shortened);
    }
}
