// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Leases: what a device has promised to tell another one of.
//!
//! [`Granted`] is the owner's side: which files one holder has leases on. A lease is
//! found by the inode number of its file, because that is what a change is told
//! with. Its memory is given once; what has no room any more is taken back, the
//! least used first. A lease that is broken waits in a line until it was told to the
//! holder.
//!
//! [`Recalled`] is the holder's side. A recall may overtake the very reply that
//! grants the lease, so it is remembered for a while: what was asked before it came
//! gives no lease.

use core::ops::DerefMut;

/// The end of a list.
const NONE: u32 = u32::MAX;

/// What is in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    /// A lease, on the list of its bucket.
    Held,
    /// A broken lease that the holder was not told of, on the line.
    Broken,
}

/// Room for one lease.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// Inode number of the file.
    ino: u64,
    /// What the holder knows the file by.
    key: u64,
    /// The next one on the list that it is on.
    next: u32,
    state: State,
    /// Whether it was asked for since the hand went by.
    used: bool,
}

impl Slot {
    /// An empty one.
    pub const EMPTY: Self = Self {
        ino: 0,
        key: 0,
        next: NONE,
        state: State::Free,
        used: false,
    };
}

/// The leases of one holder.
///
/// # Invariants
///
/// Each slot is on the list that its state says, and on no other: free ones on that of `free`,
/// held ones on that of the bucket of their inode number, broken ones on the line from `first` to
/// `last`.
#[derive(Debug)]
pub struct Granted<S, B> {
    slots: S,
    buckets: B,
    free: u32,
    first: u32,
    last: u32,
    /// Where the search for what is used least goes on.
    hand: usize,
    held: usize,
    /// Number of leases that were ever broken.
    broken: u64,
    /// Number of these that were ever taken.
    taken: u64,
}

impl<S: DerefMut<Target = [Slot]>, B: DerefMut<Target = [u32]>> Granted<S, B> {
    /// No leases, in the memory of `slots`, whose number is below `u32::MAX`. As many buckets as
    /// slots, or a few times fewer, make it fast.
    pub fn new(mut slots: S, mut buckets: B) -> Self {
        let length = u32::try_from(slots.len()).unwrap_or(NONE);
        for (number, slot) in (0..length).zip(slots.iter_mut()) {
            let next = number.saturating_add(1);
            *slot = Slot {
                next: if next < length { next } else { NONE },
                ..Slot::EMPTY
            };
        }
        buckets.fill(NONE);
        Self {
            slots,
            buckets,
            free: if length == 0 { NONE } else { 0 },
            first: NONE,
            last: NONE,
            hand: 0,
            held: 0,
            broken: 0,
            taken: 0,
        }
    }

    /// Number of leases that are held.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Number of leases that were ever broken.
    pub fn broken(&self) -> u64 {
        self.broken
    }

    /// Number of broken leases that were ever [taken](Granted::take).
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Whether the holder has to be told of broken leases.
    pub fn has_broken(&self) -> bool {
        self.first != NONE
    }

    /// Gives a lease; false when there is no room for it now. Then some are broken, so that there
    /// will be when the holder was told.
    pub fn grant(&mut self, ino: u64, key: u64) -> bool {
        let mut at = self.bucket(ino).copied().unwrap_or(NONE);
        while let Some(slot) = self.slot(at) {
            if slot.ino == ino && slot.key == key {
                slot.used = true;
                return true;
            }
            at = slot.next;
        }
        let number = self.free;
        let Some(&mut head) = self.bucket(ino) else {
            return false;
        };
        let Some(slot) = self.slot(number) else {
            self.make_room();
            return false;
        };
        let free = slot.next;
        *slot = Slot {
            ino,
            key,
            next: head,
            state: State::Held,
            used: true,
        };
        // INVARIANT: It moves from the free ones to its bucket.
        self.free = free;
        if let Some(bucket) = self.bucket(ino) {
            *bucket = number;
        }
        self.held = self.held.saturating_add(1);
        true
    }

    /// Whether there is a lease on the file.
    pub fn has(&mut self, ino: u64) -> bool {
        let mut at = self.bucket(ino).copied().unwrap_or(NONE);
        while let Some(slot) = self.slot(at) {
            if slot.ino == ino {
                return true;
            }
            at = slot.next;
        }
        false
    }

    /// The file has changed: breaks the leases on it, and says whether there were any.
    pub fn change(&mut self, ino: u64) -> bool {
        let mut any = false;
        while let Some(number) = self.unlink(ino, |_| true) {
            self.queue(number);
            any = true;
        }
        any
    }

    /// Breaks all leases.
    pub fn change_all(&mut self) {
        for number in 0..self.slots.len() {
            let held = self
                .slots
                .get(number)
                .filter(|slot| slot.state == State::Held);
            if let Some(ino) = held.map(|slot| slot.ino) {
                self.change(ino);
            }
        }
    }

    /// Forgets all leases, also broken ones: the holder has lost them all.
    pub fn clear(&mut self) {
        self.change_all();
        while self.take(&mut [0; 64]) != 0 {}
    }

    /// Gives the keys of broken leases, the first broken first, and how many.
    pub fn take(&mut self, keys: &mut [u64]) -> usize {
        let mut count: usize = 0;
        for place in keys {
            let number = self.first;
            let Some(slot) = self.slot(number) else {
                break;
            };
            *place = slot.key;
            let next = slot.next;
            // INVARIANT: It moves from the line to the free ones.
            self.first = next;
            if next == NONE {
                self.last = NONE;
            }
            self.release(number);
            count = count.saturating_add(1);
            self.taken = self.taken.saturating_add(1);
        }
        count
    }

    /// Breaks a part of the leases, those that were used least.
    fn make_room(&mut self) {
        let mut wanted = self.slots.len().div_ceil(32);
        // Twice around: the first time, all may be found used.
        for _ in 0..self.slots.len().saturating_mul(2) {
            if wanted == 0 {
                return;
            }
            let number = self.hand;
            self.hand = number.saturating_add(1);
            if self.hand >= self.slots.len() {
                self.hand = 0;
            }
            let Some(slot) = self.slots.get_mut(number) else {
                continue;
            };
            if slot.state != State::Held || core::mem::take(&mut slot.used) {
                continue;
            }
            let (ino, key) = (slot.ino, slot.key);
            if let Some(number) = self.unlink(ino, |slot| slot.key == key) {
                self.queue(number);
                wanted = wanted.saturating_sub(1);
            }
        }
    }

    /// Takes a lease on the file out of its bucket.
    fn unlink(&mut self, ino: u64, condition: impl Fn(&Slot) -> bool) -> Option<u32> {
        let mut before = NONE;
        let mut at = self.bucket(ino).copied().unwrap_or(NONE);
        loop {
            let slot = self.slot(at)?;
            let next = slot.next;
            if slot.ino == ino && condition(slot) {
                // INVARIANT: It is on no list; the caller puts it on another one.
                match self.slot(before) {
                    Some(slot) => slot.next = next,
                    None => {
                        if let Some(bucket) = self.bucket(ino) {
                            *bucket = next;
                        }
                    }
                }
                self.held = self.held.saturating_sub(1);
                return Some(at);
            }
            before = at;
            at = next;
        }
    }

    /// Puts a lease that is on no list at the end of the line.
    fn queue(&mut self, number: u32) {
        if let Some(slot) = self.slot(number) {
            slot.state = State::Broken;
            slot.next = NONE;
        }
        match self.slot(self.last) {
            Some(last) => last.next = number,
            None => self.first = number,
        }
        self.last = number;
        self.broken = self.broken.saturating_add(1);
    }

    /// Frees a slot that is on no list.
    fn release(&mut self, number: u32) {
        let free = self.free;
        if let Some(slot) = self.slot(number) {
            *slot = Slot {
                next: free,
                ..Slot::EMPTY
            };
            self.free = number;
        }
    }

    fn slot(&mut self, number: u32) -> Option<&mut Slot> {
        self.slots.get_mut(usize::try_from(number).ok()?)
    }

    fn bucket(&mut self, ino: u64) -> Option<&mut u32> {
        // The multiplier is that of the kernel's `hash_64`.
        let hash = ino.wrapping_mul(0x61c8_8646_80b5_83eb) >> 32;
        let number = usize::try_from(hash)
            .ok()?
            .checked_rem(self.buckets.len())?;
        self.buckets.get_mut(number)
    }
}

/// The recalls that came last, of one owner.
#[derive(Debug)]
pub struct Recalled<const N: usize> {
    /// The key of a file, and the number at which its lease was recalled.
    recent: [(u64, u64); N],
    /// Which of them is replaced next.
    next: usize,
    /// Everything that was asked for before this number is void.
    floor: u64,
    /// Number of the last recall.
    last: u64,
}

impl<const N: usize> Recalled<N> {
    /// No recalls.
    pub const fn new() -> Self {
        Self {
            recent: [(0, 0); N],
            next: 0,
            floor: 0,
            last: 0,
        }
    }

    /// The lease on the file of `key` was recalled. Questions that were asked before have numbers
    /// below `number`.
    pub fn note(&mut self, key: u64, number: u64) {
        self.last = self.last.max(number);
        let Some(place) = self.recent.get_mut(self.next) else {
            self.floor = self.floor.max(number);
            return;
        };
        // What is forgotten is held to be about every file.
        self.floor = self.floor.max(place.1);
        *place = (key, number);
        self.next = self.next.saturating_add(1);
        if self.next >= N {
            self.next = 0;
        }
    }

    /// All leases were recalled.
    pub fn note_all(&mut self, number: u64) {
        self.last = self.last.max(number);
        self.floor = self.floor.max(number);
    }

    /// Whether the answer to the question `number` gives a lease on the file of `key`, if it says
    /// so: whether that was not recalled since.
    pub fn allows(&self, key: u64, number: u64) -> bool {
        if number >= self.last {
            return true;
        }
        number >= self.floor
            && !self
                .recent
                .iter()
                .any(|&(other, at)| other == key && number < at)
    }
}

impl<const N: usize> Default for Recalled<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
