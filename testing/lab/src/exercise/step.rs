// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a device does in one step, and what has to come of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::random::Random;

/// A file, by one of [`Name::COUNT`] paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(pub u8);

impl Name {
    /// Number of paths.
    pub const COUNT: u8 = 8;

    /// The path below the folder of a run.
    pub fn path(self) -> String {
        format!("d{}/f{}", self.0 / 4, self.0 % 4)
    }
}

/// A range of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub at: usize,
    /// Number of bytes, not zero.
    pub length: usize,
}

impl Range {
    fn end(self) -> usize {
        self.at + self.length
    }
}

/// What is done. Each opens what it needs and closes it again, so that everything is promised
/// to be seen by the next step, whichever device takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Makes a file that must not exist.
    Create(Name),
    /// Removes a file.
    Remove(Name),
    /// Renames, over what is there.
    Rename(Name, Name),
    /// Gives a file another name.
    Link(Name, Name),
    /// Writes these many bytes of `Random::new(seed)`.
    Write(Name, Range, u64),
    /// The same at the end of the file.
    Append(Name, usize, u64),
    /// The same through a shared mapping.
    Map(Name, Range, u64),
    /// The same with O_DIRECT; all in units of 4096.
    Direct(Name, Range, u64),
    /// Sets the size.
    Truncate(Name, usize),
    /// Frees space; it reads as zeros.
    Punch(Name, Range),
    /// Zeros with space; may make the file longer.
    Zero(Name, Range),
    /// Copies a range to a place in another file.
    Copy(Name, Range, Name, usize),
    /// Reads all.
    Read(Name),
    /// Reads all through a mapping.
    ReadMapped(Name),
    /// The size and the number of links.
    Stat(Name),
    /// All names.
    List,
}

/// An action of one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which.
    pub device: usize,
    /// What.
    pub action: Action,
}

/// What came of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing but success.
    Done,
    /// The content of a file.
    Content(Vec<u8>),
    /// Size and number of links.
    Stat(u64, u64),
    /// The paths.
    Names(BTreeSet<String>),
    /// An errno.
    Failed(i32),
}

/// What all devices have to see.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// Which content each name has.
    names: BTreeMap<Name, usize>,
    contents: BTreeMap<usize, Vec<u8>>,
    next: usize,
}

/// Largest size of a file.
const LIMIT: usize = 400_000;

impl Model {
    fn content(&mut self, name: Name) -> Option<&mut Vec<u8>> {
        self.contents.get_mut(self.names.get(&name)?)
    }

    fn change(&mut self, name: Name, change: impl FnOnce(&mut Vec<u8>)) -> Outcome {
        match self.content(name) {
            Some(content) => {
                change(content);
                Outcome::Done
            }
            None => Outcome::Failed(libc::ENOENT),
        }
    }

    /// Whether an action makes sense now: while a failure is made smaller, the steps before it may
    /// have gone.
    pub fn allows(&mut self, action: &Action) -> bool {
        match action {
            Action::Map(name, range, _) => self
                .content(*name)
                .is_some_and(|content| range.end() <= content.len()),
            Action::ReadMapped(name) => self.content(*name).is_some_and(|it| !it.is_empty()),
            Action::Copy(from, range, ..) => self
                .content(*from)
                .is_some_and(|content| range.end() <= content.len()),
            _ => true,
        }
    }

    /// What has to come of an action, which is allowed.
    pub fn apply(&mut self, action: &Action) -> Outcome {
        match action {
            Action::Create(name) => {
                if self.names.contains_key(name) {
                    return Outcome::Failed(libc::EEXIST);
                }
                self.next += 1;
                self.names.insert(*name, self.next);
                self.contents.insert(self.next, Vec::new());
                Outcome::Done
            }
            Action::Remove(name) => match self.names.remove(name) {
                Some(_) => Outcome::Done,
                None => Outcome::Failed(libc::ENOENT),
            },
            Action::Rename(from, to) => match self.names.get(from).copied() {
                // Two names of one file: nothing happens.
                Some(file) if self.names.get(to) == Some(&file) => Outcome::Done,
                Some(file) => {
                    self.names.remove(from);
                    self.names.insert(*to, file);
                    Outcome::Done
                }
                None => Outcome::Failed(libc::ENOENT),
            },
            Action::Link(from, to) => match self.names.get(from).copied() {
                None => Outcome::Failed(libc::ENOENT),
                Some(_) if self.names.contains_key(to) => Outcome::Failed(libc::EEXIST),
                Some(file) => {
                    self.names.insert(*to, file);
                    Outcome::Done
                }
            },
            Action::Write(name, range, seed)
            | Action::Map(name, range, seed)
            | Action::Direct(name, range, seed) => self.change(*name, |content| {
                put(content, range.at, &Random::new(*seed).bytes(range.length));
            }),
            Action::Append(name, length, seed) => self.change(*name, |content| {
                content.extend(Random::new(*seed).bytes(*length));
            }),
            Action::Truncate(name, size) => self.change(*name, |content| content.resize(*size, 0)),
            Action::Punch(name, range) => self.change(*name, |content| {
                let length = content.len();
                content[range.at.min(length)..range.end().min(length)].fill(0);
            }),
            Action::Zero(name, range) => self.change(*name, |content| {
                put(content, range.at, &vec![0; range.length]);
            }),
            Action::Copy(from, range, to, at) => {
                let Some(source) = self.content(*from) else {
                    return Outcome::Failed(libc::ENOENT);
                };
                let part = source[range.at..range.end()].to_vec();
                self.change(*to, |content| put(content, *at, &part))
            }
            Action::Read(name) | Action::ReadMapped(name) => match self.content(*name) {
                Some(content) => Outcome::Content(content.clone()),
                None => Outcome::Failed(libc::ENOENT),
            },
            Action::Stat(name) => match self.names.get(name).copied() {
                Some(file) => {
                    let links = self.names.values().filter(|other| **other == file).count();
                    let size = self.contents.get(&file).map_or(0, Vec::len);
                    Outcome::Stat(size as u64, links as u64)
                }
                None => Outcome::Failed(libc::ENOENT),
            },
            Action::List => Outcome::Names(self.names.keys().map(|name| name.path()).collect()),
        }
    }
}

/// Writes `part` at `at`; what lies between is zeros.
fn put(content: &mut Vec<u8>, at: usize, part: &[u8]) {
    let end = at + part.len();
    content.resize(content.len().max(end), 0);
    content[at..end].copy_from_slice(part);
}

/// The next step, for any of `devices` devices. What reads is a third of all.
pub fn random(random: &mut Random, devices: usize, model: &mut Model) -> Step {
    loop {
        let action = random_action(random, model);
        if model.allows(&action) {
            return Step {
                device: random.below(devices as u64) as usize,
                action,
            };
        }
    }
}

fn random_action(random: &mut Random, model: &mut Model) -> Action {
    let name = Name(random.below(Name::COUNT.into()) as u8);
    let other = Name(random.below(Name::COUNT.into()) as u8);
    let size = model.content(name).map_or(0, |content| content.len());
    let seed = random.next();
    let range = random_range(random, LIMIT);
    // Where mappings and copies have to stay.
    let inside = random_range(random, size.max(1));
    match random.below(32) {
        0..=3 => Action::Create(name),
        4 => Action::Remove(name),
        5 => Action::Rename(name, other),
        6 => Action::Link(name, other),
        7..=10 => Action::Write(name, range, seed),
        11 => Action::Append(name, range.length, seed),
        12..=13 => Action::Map(name, inside, seed),
        14 => Action::Direct(name, aligned(range), seed),
        15..=16 => Action::Truncate(name, range.at),
        17 => Action::Punch(name, range),
        18 => Action::Zero(name, range),
        19..=20 => Action::Copy(name, inside, other, range.at),
        21..=25 => Action::Read(name),
        26..=27 => Action::ReadMapped(name),
        28..=30 => Action::Stat(name),
        _ => Action::List,
    }
}

/// A range within `limit`, mostly short, and often at the border of pages.
fn random_range(random: &mut Random, limit: usize) -> Range {
    let mut place = |limit: usize| {
        let place = random.below(limit as u64) as usize;
        match random.below(4) {
            0 => place & !4095,
            1 => (place & !4095) + random.below(3) as usize,
            2 => place.min(8192 + random.below(16) as usize),
            _ => place,
        }
        .min(limit - 1)
    };
    let at = place(limit);
    let length = place(limit - at) + 1;
    let length = if random.below(3) == 0 {
        length
    } else {
        length.min(10_000)
    };
    Range { at, length }
}

fn aligned(range: Range) -> Range {
    Range {
        at: range.at & !4095,
        length: (range.length + 4095) & !4095,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_repeatable_and_stays_in_bounds() {
        let run = || {
            let (mut random_, mut model) = (Random::new(7), Model::default());
            let steps: Vec<Step> = (0..2000)
                .map(|_| {
                    let step = random(&mut random_, 3, &mut model);
                    model.apply(&step.action);
                    step
                })
                .collect();
            steps
        };
        let steps = run();
        assert_eq!(steps, run());
        assert!(steps.iter().all(|step| step.device < 3));
    }

    #[test]
    fn links_share_their_content() {
        let (mut model, a, b) = (Model::default(), Name(0), Name(5));
        model.apply(&Action::Create(a));
        model.apply(&Action::Link(a, b));
        model.apply(&Action::Truncate(a, 5));
        assert_eq!(model.apply(&Action::Stat(b)), Outcome::Stat(5, 2));
        model.apply(&Action::Remove(a));
        assert_eq!(model.apply(&Action::Stat(b)), Outcome::Stat(5, 1));
        assert_eq!(model.apply(&Action::Read(a)), Outcome::Failed(libc::ENOENT));
    }
}
