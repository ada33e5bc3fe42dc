// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The rules by example.

use std::format;
use std::string::String;

use super::*;

fn tree(devices: &[(u32, &[(&str, Kind)])]) -> Tree {
    let names = |entries: &[(&str, Kind)]| {
        let entries = entries.iter();
        entries
            .map(|&(name, kind)| (name.as_bytes().to_vec(), kind))
            .collect()
    };
    devices
        .iter()
        .map(|&(device, entries)| (device, names(entries)))
        .collect()
}

/// What is shown, as a person would write it down: name, devices, a slash for a directory.
fn shown(tree: &Tree, directories: Directories) -> Vec<String> {
    let collected = collect(tree, |device| device);
    let mut lines: Vec<_> = listed(&collected, directories)
        .into_iter()
        .map(|(shown, item)| {
            let (name, suffix) = (&collected.0[item.entry].0, item.suffix);
            let suffix = suffix.map(|(suffix, _)| suffix);
            let (_, devices, is_directory) = meaning(tree, name, suffix, directories);
            let slash = if is_directory { "/" } else { "" };
            let shown = String::from_utf8(shown).unwrap();
            format!("{shown}{slash} {devices:?}")
        })
        .collect();
    lines.sort();
    lines
}

/// The second table of the rules.
#[test]
fn files_and_directories_of_one_name() {
    type Row = ([Option<Kind>; 3], &'static [&'static str]);
    const ROWS: [Row; 7] = [
        (
            [Some(FILE), None, Some(FILE)],
            &["N [0]", "N_conflict_dev2 [2]"],
        ),
        (
            [None, Some(FILE), Some(FILE)],
            &["N [1]", "N_conflict_dev2 [2]"],
        ),
        (
            [Some(DIRECTORY), Some(DIRECTORY), Some(DIRECTORY)],
            &["N/ [0, 1, 2]"],
        ),
        (
            [Some(DIRECTORY), Some(FILE), Some(DIRECTORY)],
            &["N/ [0, 2]", "N_conflict_dev1 [1]"],
        ),
        (
            [Some(FILE), Some(DIRECTORY), Some(DIRECTORY)],
            &["N [0]", "N_remote_directory/ [1, 2]"],
        ),
        (
            [Some(FILE), Some(DIRECTORY), Some(FILE)],
            &["N [0]", "N_conflict_dev2 [2]", "N_remote_directory/ [1]"],
        ),
        (
            [None, Some(FILE), Some(DIRECTORY)],
            &["N [1]", "N_remote_directory/ [2]"],
        ),
    ];
    for (kinds, expected) in ROWS {
        let devices = (0u32..).zip(kinds);
        let tree = devices
            .map(|(device, kind)| (device, kind.map(|kind| (b"N".to_vec(), kind))))
            .map(|(device, entry)| (device, entry.into_iter().collect()))
            .collect();
        assert_eq!(shown(&tree, Directories::Merge), expected, "{kinds:?}");
    }
}

#[test]
fn remote_directories_can_be_kept_apart_from_local_ones() {
    let tree = tree(&[
        (0, &[("here", DIRECTORY)]),
        (1, &[("here", DIRECTORY), ("there", DIRECTORY)]),
        (2, &[("here", DIRECTORY), ("there", DIRECTORY)]),
        (3, &[("here", FILE)]),
    ]);
    assert_eq!(
        shown(&tree, Directories::Rename),
        [
            "here/ [0]",
            "here_conflict_dev3 [3]",
            "here_remote_directory/ [1, 2]",
            "there/ [1, 2]"
        ]
    );
}

#[test]
fn real_names_win_and_files_win_over_directories() {
    let tree = tree(&[
        (
            0,
            &[("a", FILE), ("b.txt", FILE), ("b_conflict_dev1.txt", FILE)],
        ),
        (
            1,
            &[
                ("a", FILE),
                ("b.txt", FILE),
                ("a_conflict_dev1_2", DIRECTORY),
            ],
        ),
        (
            2,
            &[
                ("a_conflict_dev1", FILE),
                ("a", DIRECTORY),
                ("a_remote_directory", FILE),
            ],
        ),
        // Both would be b_conflict_dev4.txt_remote_directory.
        (
            3,
            &[
                ("b.txt_remote_directory", FILE),
                ("b_conflict_dev4.txt", FILE),
            ],
        ),
        (
            4,
            &[
                ("b.txt_remote_directory", FILE),
                ("b_conflict_dev4.txt", DIRECTORY),
            ],
        ),
    ]);
    let names = shown(&tree, Directories::Merge);
    for name in [
        "a [0]",
        "a_conflict_dev1 [2]",
        "a_conflict_dev1_2/ [1]",
        "a_conflict_dev1_3 [1]",
        "a_remote_directory [2]",
        "a_remote_directory_2/ [2]",
        "b.txt [0]",
        "b_conflict_dev1.txt [0]",
        "b_conflict_dev1_2.txt [1]",
        "b_conflict_dev4.txt [3]",
        "b.txt_remote_directory [3]",
        "b_conflict_dev4.txt_remote_directory [4]",
        "b_conflict_dev4.txt_remote_directory_2/ [4]",
    ] {
        assert!(names.iter().any(|found| found == name), "{name}: {names:?}");
    }
    assert_eq!(names.len(), 13);
}

#[test]
fn a_lookup_asks_little_and_at_once() {
    let tree = tree(&[(1, &[("a", FILE)]), (2, &[("a", FILE)])]);
    let cost = |name: &str| {
        let (found, rounds, names) = find(&tree, name.as_bytes(), Directories::Merge);
        (found.is_some(), rounds, names)
    };
    assert_eq!(cost("a"), (true, 1, 1));
    assert_eq!(cost("b"), (false, 1, 1));
    assert_eq!(cost("a_conflict_dev2"), (true, 1, 2));
    assert_eq!(cost("a_conflict_dev2_3"), (false, 1, 4));
    assert_eq!(cost("a_remote_directory_2"), (false, 1, 3));
    assert_eq!(cost("a_conflict_dev2_1000"), (false, 1, 10));
    let (_, rounds, names) = find(
        &tree,
        b"a_conflict_dev2_1000.b_remote_directory_1000",
        Directories::Merge,
    );
    assert!((rounds, names) <= (1, 100), "{rounds} {names}");
}

/// A device that answers whatever suits it does not keep a lookup busy for ever.
#[test]
fn a_liar_ends() {
    struct Liar(usize);
    impl RealNames for Liar {
        fn holders(&mut self, name: &[u8], mut each: impl FnMut(Holder)) -> bool {
            self.0 += 1;
            if !name.ends_with(b"_1000") {
                each(Holder {
                    device: 1,
                    kind: FILE,
                });
                each(Holder {
                    device: 2,
                    kind: FILE,
                });
            }
            true
        }
    }
    let mut liar = Liar(0);
    let answer = resolve(&mut liar, b"a_conflict_dev2_1000", Directories::Merge);
    assert!(matches!(answer, Ok(Answer::Decorated(..))), "{answer:?}");
    assert!(liar.0 < 1100);
}
