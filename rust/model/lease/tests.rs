// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Leases against the simplest code that does the same.

extern crate std;

use super::*;
use proptest::prelude::*;
use std::boxed::Box;
use std::collections::{BTreeSet, VecDeque};
use std::vec;
use std::vec::Vec;

fn granted(slots: usize, buckets: usize) -> Granted<Box<[Slot]>, Box<[u32]>> {
    Granted::new(
        vec![Slot::EMPTY; slots].into_boxed_slice(),
        vec![0; buckets].into_boxed_slice(),
    )
}

fn take_all(granted: &mut Granted<Box<[Slot]>, Box<[u32]>>) -> Vec<u64> {
    let mut keys = [0; 3];
    let mut all = Vec::new();
    loop {
        let count = granted.take(&mut keys);
        if count == 0 {
            return all;
        }
        all.extend(&keys[..count]);
    }
}

#[test]
fn a_lease_is_broken_once() {
    let mut granted = granted(4, 2);
    assert!(granted.grant(1, 10));
    assert!(granted.grant(1, 10));
    assert!(granted.grant(2, 20));
    assert!(granted.change(1));
    assert!(!granted.change(1));
    assert_eq!(take_all(&mut granted), [10]);
    assert_eq!((granted.held(), granted.broken()), (1, 1));
}

#[test]
fn files_with_one_number_change_together() {
    let mut granted = granted(4, 2);
    assert!(granted.grant(1, 10));
    assert!(granted.grant(1, 11));
    assert!(granted.change(1));
    let mut keys = take_all(&mut granted);
    keys.sort();
    assert_eq!(keys, [10, 11]);
}

#[test]
fn what_was_not_used_makes_room() {
    let mut granted = granted(64, 16);
    for ino in 0..64 {
        assert!(granted.grant(ino, ino));
    }
    // All were used just now, so the first ones go.
    assert!(!granted.grant(64, 64));
    assert_eq!(take_all(&mut granted), [0, 1]);
    assert!(granted.grant(64, 64));
    assert!(granted.grant(2, 2));
    assert!(granted.grant(65, 65));
    assert!(!granted.grant(66, 66));
    assert_eq!(take_all(&mut granted), [3, 4]);
}

#[test]
fn without_memory_there_are_no_leases() {
    assert!(!granted(0, 0).grant(1, 1));
    assert!(!granted(0, 8).grant(1, 1));
}

#[test]
fn a_recall_voids_what_was_asked_before() {
    let mut recalled = Recalled::<2>::new();
    assert!(recalled.allows(1, 0));
    recalled.note(1, 10);
    assert!(!recalled.allows(1, 9));
    assert!(recalled.allows(1, 10));
    assert!(recalled.allows(2, 9));
    recalled.note(2, 20);
    recalled.note(3, 30);
    // The first one is forgotten, and now holds for all.
    assert!(!recalled.allows(4, 9));
    assert!(recalled.allows(4, 10));
    assert!(!recalled.allows(2, 19));
    recalled.note_all(40);
    assert!(!recalled.allows(5, 39));
    assert!(recalled.allows(5, 40));
}

/// A step of the owner.
#[derive(Clone, Debug)]
enum Step {
    Grant(u64, u64),
    Change(u64),
    Take(usize),
    Clear,
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0u64..12, 0u64..2).prop_map(|(ino, key)| Step::Grant(ino, 100 * key + ino)),
        3 => (0u64..12).prop_map(Step::Change),
        2 => (0usize..5).prop_map(Step::Take),
        1 => Just(Step::Clear),
    ]
}

proptest! {
    /// No lease is lost without the holder being told, and it is told of none that it had not.
    #[test]
    fn every_lease_ends_in_being_told(
        slots in 0usize..10, buckets in 0usize..4, steps in proptest::collection::vec(steps(), 0..200),
    ) {
        let mut granted = granted(slots, buckets);
        let mut held = BTreeSet::new();
        let mut line = VecDeque::new();
        for step in steps {
            match step {
                Step::Grant(ino, key) => {
                    let had = held.contains(&(ino, key));
                    let room = held.len() + line.len() < slots && buckets != 0;
                    let before = granted.broken();
                    let given = granted.grant(ino, key);
                    if buckets != 0 {
                        prop_assert_eq!(given, had || room);
                    }
                    if given {
                        held.insert((ino, key));
                    }
                    let evicted = granted.broken() - before;
                    if given {
                        prop_assert_eq!(evicted, 0);
                    }
                    // What was evicted is not known to the model: it is told now.
                    if evicted != 0 {
                        for _ in 0..line.len() {
                            let mut key = [0];
                            prop_assert_eq!(granted.take(&mut key), 1);
                            prop_assert_eq!(Some(key[0]), line.pop_front());
                        }
                        for _ in 0..evicted {
                            let mut key = [0];
                            prop_assert_eq!(granted.take(&mut key), 1);
                            prop_assert!(held.remove(&(key[0] % 100, key[0])));
                        }
                    }
                }
                Step::Change(ino) => {
                    let mut keys: Vec<u64> = held
                        .iter()
                        .filter(|(other, _)| *other == ino)
                        .map(|(_, key)| *key)
                        .collect();
                    prop_assert_eq!(granted.has(ino), !keys.is_empty());
                    prop_assert_eq!(granted.change(ino), !keys.is_empty());
                    prop_assert!(!granted.has(ino));
                    held.retain(|(other, _)| *other != ino);
                    // Two leases on one number are told in either order.
                    let mut told = Vec::new();
                    if keys.len() > 1 {
                        for _ in 0..line.len() {
                            let mut key = [0];
                            prop_assert_eq!(granted.take(&mut key), 1);
                            prop_assert_eq!(Some(key[0]), line.pop_front());
                        }
                        told = take_all(&mut granted);
                        told.sort();
                        keys.sort();
                        prop_assert_eq!(&told, &keys);
                    }
                    if told.is_empty() {
                        line.extend(keys);
                    }
                }
                Step::Take(count) => {
                    let mut keys = vec![0; count];
                    let taken = granted.take(&mut keys);
                    prop_assert_eq!(taken, count.min(line.len()));
                    for key in &keys[..taken] {
                        prop_assert_eq!(Some(*key), line.pop_front());
                    }
                }
                Step::Clear => {
                    granted.clear();
                    held.clear();
                    line.clear();
                }
            }
            prop_assert_eq!(granted.held(), held.len());
            prop_assert_eq!(granted.has_broken(), !line.is_empty());
            prop_assert_eq!(granted.broken() - granted.taken(), line.len() as u64);
        }
    }

    /// A lease is never believed that was recalled after it was asked for.
    #[test]
    fn recalls_are_never_forgotten(
        recalls in proptest::collection::vec(0u64..6, 0..30), key in 0u64..6, asked in 0u64..40,
    ) {
        let mut recalled = Recalled::<4>::new();
        let mut void = false;
        for (&recall, number) in recalls.iter().zip(1..) {
            recalled.note(recall, number);
            void |= recall == key && asked < number;
        }
        if void {
            prop_assert!(!recalled.allows(key, asked));
        }
        // What was asked after the last one is believed.
        prop_assert!(recalled.allows(key, recalls.len() as u64));
    }
}
