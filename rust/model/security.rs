// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Which device may read which file: access, levels and labels.
//!
//! A file carries a label, from S0 (public) to S4 (most sensitive). A device has
//! a level, from SL1 (least trusted) to SL5. A device reads a file only if the
//! file's label is not above what its level allows. Whatever is unknown is
//! refused: a device without a level reads nothing, and neither does anybody a
//! file whose label makes no sense.

/// What a device may do with a share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Nothing at all.
    #[default]
    None,
    /// Look and read.
    Read,
    /// Look, read and change.
    Write,
}

/// How sensitive a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Label {
    /// Public.
    S0,
    /// Of little sensitivity.
    S1,
    /// Of some sensitivity.
    S2,
    /// Private. Files that carry no label have this one.
    S3,
    /// Most sensitive.
    S4,
}

impl Label {
    /// The label of files that carry none.
    pub const DEFAULT: Label = Label::S3;

    /// Most bytes in the text of a label.
    pub const MAX_TEXT: usize = 2;

    /// The label of a text: "s0" to "s4", in either case; [`None`] for any other.
    pub const fn parse(text: &[u8]) -> Option<Label> {
        let [b's' | b'S', digit] = text else {
            return None;
        };
        match digit {
            b'0' => Some(Label::S0),
            b'1' => Some(Label::S1),
            b'2' => Some(Label::S2),
            b'3' => Some(Label::S3),
            b'4' => Some(Label::S4),
            _ => None,
        }
    }
}

/// How far a device is trusted, from 1 to 5.
///
/// # Invariants
///
/// The number is from 1 to 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(u8);

impl Level {
    /// The level of a number; [`None`] for one that is not from 1 to 5.
    pub const fn new(number: u8) -> Option<Level> {
        match number {
            // INVARIANT: The pattern is the range.
            1..=5 => Some(Level(number)),
            _ => None,
        }
    }

    /// The number.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The most sensitive label that devices of this level may read.
    pub const fn highest_label(self) -> Label {
        match self.0 {
            0 | 1 => Label::S1,
            2 => Label::S2,
            3 => Label::S3,
            _ => Label::S4,
        }
    }
}

/// Whether a device of this level may read a file with this label.
///
/// `level` is [`None`] for a device of which no level is known, `label` for a
/// file whose label makes no sense; both are refused.
pub fn may_read(level: Option<Level>, label: Option<Label>) -> bool {
    match (level, label) {
        (Some(level), Some(label)) => label <= level.highest_label(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use proptest::prelude::*;
    use std::format;
    use std::vec::Vec;

    const LABELS: [Label; 5] = [Label::S0, Label::S1, Label::S2, Label::S3, Label::S4];

    #[test]
    fn the_table_of_levels_and_labels() {
        // Rows: levels 1 to 5; columns: labels S0 to S4.
        let table = [
            [true, true, false, false, false],
            [true, true, true, false, false],
            [true, true, true, true, false],
            [true, true, true, true, true],
            [true, true, true, true, true],
        ];
        for (number, row) in (1..).zip(table) {
            for (label, expected) in LABELS.into_iter().zip(row) {
                assert_eq!(
                    may_read(Level::new(number), Some(label)),
                    expected,
                    "level {number}, {label:?}"
                );
            }
        }
    }

    #[test]
    fn labels_are_read_in_either_case() {
        for (number, label) in LABELS.into_iter().enumerate() {
            assert_eq!(Label::parse(format!("s{number}").as_bytes()), Some(label));
            assert_eq!(Label::parse(format!("S{number}").as_bytes()), Some(label));
        }
    }

    #[test]
    fn what_is_unknown_is_refused() {
        assert_eq!(Level::new(0), None);
        assert_eq!(Level::new(6), None);
        assert!(!may_read(None, Some(Label::S0)));
        assert!(!may_read(Level::new(5), None));
        assert_eq!(Access::default(), Access::None);
    }

    proptest! {
        #[test]
        fn only_ten_texts_are_labels(text in proptest::collection::vec(any::<u8>(), 0..4)) {
            let well_formed: Vec<Vec<u8>> = (b'0'..=b'4')
                .flat_map(|digit| [[b's', digit].to_vec(), [b'S', digit].to_vec()])
                .collect();
            prop_assert_eq!(Label::parse(&text).is_some(), well_formed.contains(&text));
        }

        #[test]
        fn a_higher_level_never_reads_less(low in 1u8..=5, high in 1u8..=5, label in 0usize..5) {
            prop_assume!(low <= high);
            let label = Some(LABELS[label]);
            prop_assert!(!may_read(Level::new(low), label) || may_read(Level::new(high), label));
        }

        #[test]
        fn a_lower_label_is_never_harder_to_read(
            level in any::<u8>(), low in 0usize..5, high in 0usize..5,
        ) {
            prop_assume!(low <= high);
            let level = Level::new(level);
            prop_assert!(!may_read(level, Some(LABELS[high])) || may_read(level, Some(LABELS[low])));
        }
    }
}
