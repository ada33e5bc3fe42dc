// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The rules over random trees: what is listed is found, and nothing else is.

extern crate std;

use std::collections::{BTreeMap, BTreeSet};
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

mod vectors;

const FILE: Kind = Kind::Other;
const DIRECTORY: Kind = Kind::Directory;

/// A name, and what is shown of it.
type Bytes = Vec<u8>;

/// What a shown name stands for: a real name, the devices, and whether it is a directory.
type Meaning = (Bytes, Vec<u32>, bool);

/// What each device has in the directory.
type Tree = BTreeMap<u32, BTreeMap<Bytes, Kind>>;

/// The rules 1 to 4, as they are written down: what is shown, but for the names.
fn claims(tree: &Tree, directories: Directories) -> BTreeSet<(Meaning, Option<Suffix>)> {
    let names: BTreeSet<&Bytes> = tree.values().flat_map(BTreeMap::keys).collect();
    let mut claims = BTreeSet::new();
    for name in names {
        let holders: Vec<(u32, Kind)> = tree
            .iter()
            .filter_map(|(&device, names)| Some((device, *names.get(name)?)))
            .collect();
        let (first, kind) = holders[0];
        let mut of_directories: Vec<u32> = Vec::new();
        for &(device, kind) in &holders[1..] {
            match kind {
                Kind::Directory => of_directories.push(device),
                Kind::Other => {
                    let meaning = (name.clone(), vec![device], false);
                    claims.insert((meaning, Some(Suffix::Conflict(device))));
                }
            }
        }
        let mut plain = vec![first];
        let renames = first == 0 && directories == Directories::Rename;
        if kind == Kind::Directory && !renames {
            plain.append(&mut of_directories);
        }
        let meaning = (name.clone(), plain, kind == Kind::Directory);
        claims.insert((meaning, None));
        if !of_directories.is_empty() {
            let meaning = (name.clone(), of_directories, true);
            claims.insert((meaning, Some(Suffix::RemoteDirectory)));
        }
    }
    claims
}

struct Collected(Vec<(Bytes, Holder)>);

impl Entries for Collected {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn entry(&self, index: usize) -> Option<Entry<'_>> {
        let (name, holder) = self.0.get(index)?;
        Some(Entry {
            name,
            holder: *holder,
        })
    }
}

/// The entries, as they arrive when `order` sorts the devices.
fn collect(tree: &Tree, order: impl Fn(u32) -> u32) -> Collected {
    let mut devices: Vec<u32> = tree.keys().copied().collect();
    devices.sort_by_key(|&device| order(device));
    let mut all = Vec::new();
    for device in devices {
        for (name, &kind) in &tree[&device] {
            all.push((name.clone(), Holder { device, kind }));
        }
    }
    let entry = |(name, holder): &(Bytes, Holder)| (name.clone(), holder.device, holder.kind);
    all.sort_by(|a, b| {
        let (a, b) = (entry(a), entry(b));
        let of = |(name, device, kind): &(Bytes, u32, Kind)| (name.clone(), *device, *kind);
        of(&a).cmp(&of(&b))
    });
    Collected(all)
}

/// The items of a listing with the shown names.
fn listed(collected: &Collected, directories: Directories) -> Vec<(Bytes, Item)> {
    let mut items = Vec::new();
    let mut add = |item: Item| {
        let shown = item.shown(&collected.0[item.entry].0);
        items.push((shown.as_bytes().to_vec(), item));
        Ok::<(), ()>(())
    };
    let shortened = list(collected, directories, &mut add).unwrap();
    if shortened != 0 {
        let slots = vec![Slot::default(); shortened * 2];
        let taken = Taken::new(slots, (1, 2));
        list_shortened(collected, directories, taken, &mut add).unwrap();
    }
    items
}

/// Those that have `name` and this suffix, or none.
fn meaning(tree: &Tree, name: &[u8], suffix: Option<Suffix>, directories: Directories) -> Meaning {
    let (mut first, mut devices, mut is_directory) = (None, Vec::new(), false);
    for (&device, names) in tree {
        let Some(&kind) = names.get(name) else {
            continue;
        };
        let holder = Holder { device, kind };
        let first = *first.get_or_insert(holder);
        let wanted = Role::of(holder, first, directories).suffix(device) == suffix;
        if wanted {
            devices.push(device);
            is_directory = kind == Kind::Directory;
        }
    }
    (name.to_vec(), devices, is_directory)
}

/// A directory of which little is known: names are asked for in rounds.
struct Asking<'a> {
    tree: &'a Tree,
    known: BTreeSet<Bytes>,
    wanted: BTreeSet<Bytes>,
    rounds: usize,
}

impl RealNames for Asking<'_> {
    fn holders(&mut self, name: &[u8], mut each: impl FnMut(Holder)) -> bool {
        if !self.known.contains(name) {
            self.wanted.insert(name.to_vec());
            return false;
        }
        for (&device, names) in self.tree {
            if let Some(&kind) = names.get(name) {
                each(Holder { device, kind });
            }
        }
        true
    }
}

/// What `shown` stands for, and how many rounds and real names that took.
fn find(tree: &Tree, shown: &[u8], directories: Directories) -> (Option<Meaning>, usize, usize) {
    let mut asking = Asking {
        tree,
        known: BTreeSet::new(),
        wanted: BTreeSet::new(),
        rounds: 0,
    };
    let answer = loop {
        match resolve(&mut asking, shown, directories) {
            Ok(answer) => break answer,
            Err(Incomplete) => {
                assert!(!asking.wanted.is_empty(), "nothing more can be known");
                asking.rounds += 1;
                let wanted = std::mem::take(&mut asking.wanted);
                asking.known.extend(wanted);
            }
        }
    };
    let found = match answer {
        Answer::Nothing => None,
        Answer::Plain => Some((shown.to_vec(), None)),
        Answer::Decorated(name, suffix) => Some((name.as_bytes().to_vec(), Some(suffix))),
        Answer::Shortened => {
            let collected = collect(tree, |device| device);
            listed(&collected, directories)
                .into_iter()
                .find(|(name, _)| name == shown)
                .map(|(_, item)| {
                    let (suffix, _) = item.suffix.unwrap();
                    (collected.0[item.entry].0.clone(), Some(suffix))
                })
        }
    };
    let found = found.map(|(name, suffix)| meaning(tree, &name, suffix, directories));
    (found, asking.rounds, asking.known.len())
}

/// Real names that make trouble for each other.
fn name() -> impl Strategy<Value = Bytes> {
    let stems = vec![
        &b"a"[..],
        b"a.b",
        b".a",
        b"a.",
        b"...",
        b"a.b.c",
        "\u{e9}".as_bytes(),
        b"\xff.\x80",
        b"~00000000",
        b"a~00000001",
    ];
    let filler = select(vec![
        &b"x"[..],
        "\u{20ac}".as_bytes(),
        "\u{1f600}".as_bytes(),
        b"\x80",
        b".",
    ]);
    let long = (select(stems.clone()), filler, 225usize..=255, 0usize..3).prop_map(
        |(stem, filler, length, end)| {
            let extension = [&b""[..], b".c", b".dddd"][end];
            let mut name = stem.to_vec();
            while name.len() + filler.len() + extension.len() <= length {
                name.extend_from_slice(filler);
            }
            name.extend_from_slice(extension);
            name
        },
    );
    let suffix = prop_oneof![
        select(vec![1u32, 2, 3, 12]).prop_map(Suffix::Conflict),
        Just(Suffix::RemoteDirectory),
    ];
    let base = prop_oneof![4 => select(stems).prop_map(Vec::from), 1 => long];
    let decorations = proptest::collection::vec((suffix, 1u32..4), 0..4);
    let bare = proptest::bool::weighted(0.2);
    (base, decorations, bare).prop_map(|(mut name, decorations, bare)| {
        for (suffix, counter) in decorations {
            name = Decorated::new(&name, suffix, counter).as_bytes().to_vec();
        }
        // What was cut and tagged, so that it is a real name by itself.
        let undecorated = name.strip_suffix(b"_remote_directory");
        match undecorated.filter(|name| bare && !matches!(name, [] | [b'.'] | [b'.', b'.'])) {
            Some(name) => name.to_vec(),
            None => name,
        }
    })
}

fn trees() -> impl Strategy<Value = Tree> {
    let devices = [0u32, 1, 2, 3, 12];
    let names = proptest::collection::vec(name(), 1..8).prop_map(|mut names| {
        // Real names that are what others would be called.
        for (index, suffix) in [Suffix::RemoteDirectory, Suffix::Conflict(2)]
            .into_iter()
            .enumerate()
        {
            let Some(name) = names.get(index) else {
                break;
            };
            let decorated = Decorated::new(name, suffix, 1);
            let undecorated = decorated.as_bytes().strip_suffix(b"_remote_directory");
            names.push(undecorated.unwrap_or(decorated.as_bytes()).to_vec());
        }
        names
    });
    names
        .prop_flat_map(move |names| {
            let kind = prop_oneof![
                2 => Just(None),
                3 => Just(Some(FILE)),
                3 => Just(Some(DIRECTORY)),
            ];
            let kinds = proptest::collection::vec(kind, names.len() * devices.len());
            (Just(names), kinds)
        })
        .prop_map(move |(names, kinds)| {
            let mut tree = Tree::new();
            for (device, kinds) in devices.iter().zip(kinds.chunks(names.len())) {
                let entries = names.iter().zip(kinds);
                let entries = entries.filter_map(|(name, kind)| Some((name.clone(), (*kind)?)));
                tree.insert(*device, entries.collect());
            }
            tree
        })
}

fn policies() -> impl Strategy<Value = Directories> {
    select(vec![Directories::Merge, Directories::Rename])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    /// Each thing to be shown is shown once, by a name of its own, which is a name.
    #[test]
    fn a_listing_is_a_bijection(tree in trees(), directories in policies()) {
        let collected = collect(&tree, |device| device);
        let mut names = BTreeSet::new();
        let mut found = BTreeSet::new();
        for (shown, item) in listed(&collected, directories) {
            let (name, _) = &collected.0[item.entry];
            let suffix = item.suffix.map(|(suffix, _)| suffix);
            prop_assert!((1..=MAX).contains(&shown.len()));
            prop_assert!(core::str::from_utf8(name).is_err() || core::str::from_utf8(&shown).is_ok());
            prop_assert!(names.insert(shown.clone()), "{} twice", shown.escape_ascii());
            let meaning = meaning(&tree, name, suffix, directories);
            prop_assert!(found.insert((meaning, suffix)));
        }
        prop_assert_eq!(found, claims(&tree, directories));
    }

    /// A lookup finds exactly what the listing shows, and for real names that is themselves.
    #[test]
    fn what_is_listed_is_found_and_nothing_else(
        tree in trees(),
        directories in policies(),
        others in proptest::collection::vec(name(), 0..4),
    ) {
        let collected = collect(&tree, |device| device);
        let listed = listed(&collected, directories);
        let mut expected = BTreeMap::new();
        for (shown, item) in &listed {
            let (name, _) = &collected.0[item.entry];
            let suffix = item.suffix.map(|(suffix, _)| suffix);
            expected.insert(shown.clone(), meaning(&tree, name, suffix, directories));
        }
        let mut asked: BTreeSet<Bytes> = expected.keys().cloned().chain(others).collect();
        // What could be taken for a name of an entry that has another one.
        for (name, _) in &collected.0 {
            for suffix in [1, 2, 3, 4, 12].map(Suffix::Conflict).into_iter().chain([Suffix::RemoteDirectory]) {
                for counter in 1..4 {
                    asked.insert(Decorated::new(name, suffix, counter).as_bytes().to_vec());
                }
            }
            let mut shorter = name.clone();
            shorter.pop();
            asked.insert(shorter);
        }
        asked.remove(&b""[..]);
        for shown in asked {
            let (found, ..) = find(&tree, &shown, directories);
            prop_assert_eq!(found.as_ref(), expected.get(&shown), "{}", shown.escape_ascii());
        }
        for (name, _) in &collected.0 {
            prop_assert_eq!(&expected[name].0, name);
        }
    }

    /// Devices may answer in any order.
    #[test]
    fn the_order_of_arrival_does_not_matter(tree in trees(), directories in policies(), seed in any::<u32>()) {
        let order = |device: u32| device.wrapping_add(seed).wrapping_mul(0x9e37_79b9);
        let one = listed(&collect(&tree, |device| device), directories);
        let other = listed(&collect(&tree, order), directories);
        prop_assert_eq!(one, other);
    }

    /// A device that has nothing in the directory might as well not be there.
    #[test]
    fn a_device_without_entries_changes_nothing(tree in trees(), directories in policies()) {
        let mut without = tree.clone();
        without.remove(&12);
        let mut empty = without.clone();
        empty.insert(12, BTreeMap::new());
        prop_assert_eq!(
            listed(&collect(&without, |device| device), directories),
            listed(&collect(&empty, |device| device), directories)
        );
    }
}
