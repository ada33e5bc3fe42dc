// SPDX-License-Identifier: MIT OR Apache-2.0

//! Device IDs and their written form.

use std::fmt;
use std::str::FromStr;

/// Octets of a device ID.
pub const LEN: usize = 32;

const PREFIX: &str = "hm1";
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// 256 bits in base 32; the last letter holds one bit of them.
const LETTERS: usize = 52;
const GROUP: usize = 7;

/// SHA-256 of a device's public key (the DER of its SubjectPublicKeyInfo).
///
/// Written as `hm1-` and groups of seven letters of base 32, of which the last letter is a check
/// on the others (Luhn, modulo 32). Upper case and missing dashes are accepted when it is read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId(pub [u8; LEN]);

impl DeviceId {
    /// The ID of the device whose public key is `spki` (DER).
    pub fn of_public_key(spki: &[u8]) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, spki);
        let mut id = [0; LEN];
        for (octet, value) in id.iter_mut().zip(digest.as_ref()) {
            *octet = *value;
        }
        DeviceId(id)
    }

    fn digits(&self) -> [u8; LETTERS] {
        let mut digits = [0; LETTERS];
        for (index, digit) in digits.iter_mut().enumerate() {
            for bit in index * 5..index * 5 + 5 {
                let octet = self.0.get(bit / 8).copied().unwrap_or(0);
                *digit = (*digit << 1) | ((octet >> (7 - bit % 8)) & 1);
            }
        }
        digits
    }

    fn of_digits(digits: &[u8; LETTERS]) -> Option<Self> {
        let mut id = [0u8; LEN];
        for (index, digit) in digits.iter().enumerate() {
            for bit in 0..5 {
                let at = index * 5 + bit;
                let value = (digit >> (4 - bit)) & 1;
                match id.get_mut(at / 8) {
                    Some(octet) => *octet |= value << (7 - at % 8),
                    None if value != 0 => return None,
                    None => {}
                }
            }
        }
        Some(DeviceId(id))
    }

    /// The first letters, to tell devices apart on a screen; never to be trusted.
    pub fn short(&self) -> String {
        self.to_string()
            .chars()
            .take(PREFIX.len() + 1 + GROUP)
            .collect()
    }
}

/// Luhn's check digit in base 32: finds every single wrong letter and nearly all swapped neighbours.
fn check_digit(digits: &[u8]) -> u8 {
    let mut sum = 0u32;
    for (index, digit) in digits.iter().rev().enumerate() {
        let factor = if index % 2 == 0 { 2 } else { 1 };
        let product = u32::from(*digit) * factor;
        sum += product / 32 + product % 32;
    }
    ((32 - sum % 32) % 32) as u8
}

fn letter(digit: u8) -> char {
    ALPHABET
        .get(usize::from(digit))
        .map_or('?', |l| char::from(*l))
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.digits();
        f.write_str(PREFIX)?;
        for (index, digit) in digits.iter().chain([&check_digit(&digits)]).enumerate() {
            if index % GROUP == 0 {
                f.write_str("-")?;
            }
            write!(f, "{}", letter(*digit))?;
        }
        Ok(())
    }
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is not a device ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// It does not begin with `hm1-`.
    Prefix,
    /// It holds a character that IDs do not have.
    Letter(char),
    /// It has too few or too many letters.
    Length(usize),
    /// The check letter does not fit the others.
    Check,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParseError::Prefix => f.write_str("a device ID begins with 'hm1-'"),
            ParseError::Letter(c) => write!(f, "'{c}' does not occur in device IDs"),
            ParseError::Length(n) => {
                write!(f, "a device ID has {} letters, not {n}", LETTERS + 1)
            }
            ParseError::Check => {
                f.write_str("the device ID was mistyped (its check letter differs)")
            }
        }
    }
}

impl std::error::Error for ParseError {}

impl FromStr for DeviceId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let text = text.trim().to_ascii_lowercase();
        let rest = text.strip_prefix(PREFIX).ok_or(ParseError::Prefix)?;
        let rest = rest.strip_prefix('-').ok_or(ParseError::Prefix)?;
        let mut digits = Vec::with_capacity(LETTERS + 1);
        for c in rest.chars().filter(|c| *c != '-') {
            let digit = ALPHABET.iter().position(|l| char::from(*l) == c);
            digits.push(digit.ok_or(ParseError::Letter(c))? as u8);
        }
        let length = digits.len();
        let check = digits.pop().ok_or(ParseError::Length(0))?;
        let digits: [u8; LETTERS] = digits.try_into().map_err(|_| ParseError::Length(length))?;
        if check_digit(&digits) != check {
            return Err(ParseError::Check);
        }
        DeviceId::of_digits(&digits).ok_or(ParseError::Check)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn form() {
        let text = DeviceId([0xff; LEN]).to_string();
        assert_eq!(text.len(), 4 + 53 + 7);
        assert!(text.starts_with("hm1-7777777-"), "{text}");
        assert_eq!(DeviceId([0; LEN]).to_string().matches('a').count(), 53);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let parse = |text: &str| text.parse::<DeviceId>().unwrap_err();
        assert_eq!(parse("abc"), ParseError::Prefix);
        assert_eq!(parse("hm1-abc1"), ParseError::Letter('1'));
        assert_eq!(parse("hm1-abc"), ParseError::Length(3));
        assert_eq!(parse("hm1-"), ParseError::Length(0));
    }

    proptest! {
        #[test]
        fn read_back(id in any::<[u8; LEN]>()) {
            let id = DeviceId(id);
            let text = id.to_string();
            prop_assert_eq!(text.parse::<DeviceId>(), Ok(id));
            prop_assert_eq!(text.to_uppercase().replace("HM1", "hm1").parse(), Ok(id));
            let bare = format!("hm1-{}", text[4..].replace('-', ""));
            prop_assert_eq!(bare.parse(), Ok(id));
        }

        #[test]
        fn one_wrong_letter_is_found(id in any::<[u8; LEN]>(), at in 0usize..53, by in 1u8..32) {
            let mut letters: Vec<char> =
                DeviceId(id).to_string()[4..].chars().filter(|c| *c != '-').collect();
            let old = ALPHABET.iter().position(|l| char::from(*l) == letters[at]).unwrap() as u8;
            letters[at] = letter((old + by) % 32);
            let text: String = "hm1-".chars().chain(letters).collect();
            prop_assert_eq!(text.parse::<DeviceId>(), Err(ParseError::Check));
        }

        #[test]
        fn any_text_is_read_without_panic(text in "\\PC{0,80}") {
            let _ = text.parse::<DeviceId>();
        }
    }
}
