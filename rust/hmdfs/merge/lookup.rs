// SPDX-License-Identifier: GPL-2.0

//! What a name of a merged directory stands for.
//!
//! The rules are those of [`hmdfs_model::names`]. Each device is asked for the few
//! real names that decide, all at once; one that does not answer has none of them.
//! Where none answers, there is nothing to be said about any name.

use hmdfs_kapi::{
    errno::{ENOTCONN, ESTALE},
    vfs,
};
use hmdfs_model::names::{
    resolve, Answer, Directories, Holder, Incomplete, Kind, RealNames, Role, Suffix, Text,
};
use hmdfs_proto::Name;
use kernel::{prelude::*, sync::Arc};

use super::{
    leases::Told,
    parts::{Part, Parts},
    snapshot::Snapshot,
};
use crate::{
    link::{Reply, Request},
    mount::{Mount, Question},
    node::{Inode, InodeRef},
    peer::Peer,
    remote::{
        compound::request,
        directory::{find_operations, found, name, Child},
        entries::Entries,
        gather::call_all,
        inode, leases,
    },
    validity::Validity,
};

/// Most real names that are asked for at once.
const MOST_WANTED: usize = 16;

/// What a name of a merged directory stands for.
pub(super) enum Meaning {
    /// A file of this device. Its real name is the one that is shown.
    Local(vfs::Path),
    /// A file of another device.
    Remote(Arc<Peer>, Arc<Child>),
    /// The directories of these devices.
    Directory(Arc<Parts>),
}

/// What a name stands for, and for how long.
pub(super) struct Found {
    /// `None` for nothing.
    pub(super) meaning: Option<Meaning>,
    pub(super) told: Told,
}

/// Finds what the name `shown` stands for in the merged directory `dir`, made of `directory`.
///
/// No message is sent when this device decides alone, or it is known what others would say. May sleep.
pub(super) fn find(dir: &Inode, directory: &Parts, shown: &[u8]) -> Result<Found> {
    find_with(dir, directory, shown, &mut KVec::new(), false)
}

/// As [`find`]; puts the real name into `real`, which is empty, if that is another one.
pub(super) fn find_real(
    dir: &Inode,
    directory: &Parts,
    shown: &[u8],
    real: &mut KVec<u8>,
) -> Result<Option<Meaning>> {
    Ok(find_with(dir, directory, shown, real, false)?.meaning)
}

/// As [`find_real`], but fails when any device does not answer. One that refuses to tell shows
/// nothing.
pub(super) fn find_on_all(
    dir: &Inode,
    directory: &Parts,
    shown: &[u8],
    real: &mut KVec<u8>,
) -> Result<Option<Meaning>> {
    Ok(find_with(dir, directory, shown, real, true)?.meaning)
}

fn find_with(
    dir: &Inode,
    directory: &Parts,
    shown: &[u8],
    real: &mut KVec<u8>,
    needs_all: bool,
) -> Result<Found> {
    name(shown)?;
    let mount = dir.super_block().data();
    let mut asked = Asked {
        dir,
        directory,
        told: Told::new(&mount, directory)?,
        others: KVec::new(),
        lost: KVec::from_elem(false, directory.remote().count(), GFP_KERNEL)?,
        error: ENOTCONN.into(),
        needs_all,
        known: KVec::new(),
        wanted: KVec::new(),
    };
    let meaning = asked.find(&mount, shown, real)?;
    Ok(Found {
        meaning,
        told: asked.told,
    })
}

/// What devices were asked in a lookup, and what they answered.
struct Asked<'a> {
    dir: &'a Inode,
    directory: &'a Parts,
    told: Told,
    /// The directories of the other devices, in their order; none yet if there are none to be asked.
    others: KVec<Other>,
    /// Which of the other devices, in their order, failed to answer.
    lost: KVec<bool>,
    /// Why the last one of these failed.
    error: Error,
    /// Whether it is all over when one fails.
    needs_all: bool,
    known: KVec<Known>,
    /// The names to ask for next.
    wanted: KVec<Text>,
}

/// The directory of another device.
struct Other {
    inode: Option<InodeRef>,
    /// All of its names, if they are known.
    entries: Option<Arc<Entries>>,
}

/// What the devices have of one real name.
struct Known {
    name: Text,
    local: Option<vfs::Path>,
    /// In the order of the devices.
    remote: KVec<Option<Arc<Child>>>,
}

impl Asked<'_> {
    /// See [`find`] and [`find_real`].
    fn find(
        &mut self,
        mount: &Mount,
        shown: &[u8],
        real: &mut KVec<u8>,
    ) -> Result<Option<Meaning>> {
        if let Some(path) = self.directory.lookup_local(shown)? {
            if !path.is_dir() {
                return Ok(Some(Meaning::Local(path)));
            }
            if mount.directories() == Directories::Rename {
                let mut parts = KVec::new();
                parts.push(Part::Local(path), GFP_KERNEL)?;
                let parts = Parts::new(parts, self.told.begin().generation)?;
                return Ok(Some(Meaning::Directory(parts)));
            }
            // It is a real name, whatever it looks like.
            self.want(shown);
            self.ask(mount)?;
        }
        let answer = loop {
            match self.resolve(mount, shown) {
                Ok(answer) => break answer,
                Err(Incomplete) => self.ask(mount)?,
            }
        };
        match answer {
            Answer::Nothing => self.nothing(),
            Answer::Plain => self.take(mount, shown, None),
            Answer::Decorated(name, suffix) => {
                real.extend_from_slice(name.as_bytes(), GFP_KERNEL)?;
                self.take(mount, name.as_bytes(), Some(suffix))
            }
            Answer::Shortened => {
                // It depends on all names.
                self.told.add_all(self.told.begin().validity);
                let (snapshot, _) = Snapshot::collect(self.dir, self.directory)?;
                let Some((name, suffix)) = snapshot.find(shown) else {
                    return Ok(None);
                };
                real.extend_from_slice(name.as_bytes(), GFP_KERNEL)?;
                self.want(name.as_bytes());
                self.ask(mount)?;
                self.take(mount, name.as_bytes(), suffix)
            }
        }
    }

    /// Notes that a name is to be asked for, if there is room.
    fn want(&mut self, name: &[u8]) {
        let is_noted = self.wanted.iter().any(|text| text.as_bytes() == name);
        if !is_noted && self.wanted.len() < MOST_WANTED {
            // Without memory there is nothing to ask for, which `ask` reports.
            let _ = self.wanted.push(Text::new(name), GFP_KERNEL);
        }
    }

    /// Asks all devices for all names that are wanted, if it is not known what they would say.
    fn ask(&mut self, mount: &Mount) -> Result {
        let wanted = core::mem::take(&mut self.wanted);
        if wanted.is_empty() {
            return Err(ENOMEM);
        }
        self.meet(mount)?;
        let question = mount.ask();
        let replies = call_all(self.requests(&wanted)?)?;
        self.learn(wanted, replies, question)
    }

    // What takes much of the stack is in functions of its own, which have returned when devices
    // are asked: sending takes much too.

    /// Finds the directories of the other devices.
    #[inline(never)]
    fn meet(&mut self, mount: &Mount) -> Result {
        if !self.others.is_empty() {
            return Ok(());
        }
        for (peer, part) in self.directory.remote() {
            let inode = match inode::iget(self.dir.super_block(), peer, part) {
                Ok(inode) => Some(inode),
                Err(error) if error == ENOMEM => return Err(error),
                // The device says so itself when it is asked.
                Err(_) => None,
            };
            let entries = inode.as_ref().and_then(|dir| known_names(mount, dir));
            self.others.push(Other { inode, entries }, GFP_KERNEL)?;
        }
        Ok(())
    }

    #[inline(never)]
    fn requests(&self, wanted: &[Text]) -> Result<KVec<(Arc<Peer>, Request)>> {
        let mut requests = KVec::new();
        for text in wanted {
            let bytes = text.as_bytes();
            let devices = self.directory.remote().zip(&self.lost).zip(&self.others);
            for (((peer, part), &lost), other) in devices {
                if !lost && other.lacks(bytes).is_none() {
                    let operations = find_operations(part.handle, name(bytes)?);
                    requests.push((peer.clone(), request(&operations, 0)?), GFP_KERNEL)?;
                }
            }
        }
        Ok(requests)
    }

    /// Takes over the answers to [`Asked::requests`].
    #[inline(never)]
    fn learn(
        &mut self,
        wanted: KVec<Text>,
        replies: KVec<Result<Reply>>,
        question: Question,
    ) -> Result {
        let mut replies = replies.into_iter();
        let mut lost = KVec::from_elem(false, self.lost.len(), GFP_KERNEL)?;
        for text in wanted {
            let name = name(text.as_bytes())?;
            let mut remote = KVec::with_capacity(lost.len(), GFP_KERNEL)?;
            let devices = self.directory.remote().zip(&self.lost).zip(&self.others);
            for (index, (((_, part), &was_lost), other)) in devices.enumerate() {
                let answer = if was_lost {
                    Ok((None, Validity::NONE))
                } else if let Some(validity) = other.lacks(name.as_bytes()) {
                    Ok((None, validity))
                } else {
                    let reply = replies.next().unwrap_or(Err(EIO));
                    reply.and_then(|reply| other.answer(part, name, &reply, question))
                };
                let child = match answer {
                    Ok((child, validity)) => {
                        self.told.add(index, validity);
                        child
                    }
                    Err(error) => {
                        pr_debug!("a device did not look up a name: {error:?}\n");
                        if self.needs_all && error != EACCES && error != ESTALE {
                            return Err(error);
                        }
                        self.error = error;
                        self.told.add(index, Validity::NONE);
                        if let Some(is_lost) = lost.get_mut(index) {
                            *is_lost = true;
                        }
                        None
                    }
                };
                remote.push(child, GFP_KERNEL)?;
            }
            let local = self.directory.lookup_local(text.as_bytes())?;
            let known = Known {
                name: text,
                local,
                remote,
            };
            self.known.push(known, GFP_KERNEL)?;
        }
        for (lost, is_lost) in self.lost.iter_mut().zip(lost) {
            *lost |= is_lost;
        }
        Ok(())
    }

    /// See [`resolve`].
    #[inline(never)]
    fn resolve(&mut self, mount: &Mount, shown: &[u8]) -> Result<Answer, Incomplete> {
        resolve(self, shown, mount.directories())
    }

    /// There is no such name, as far as anybody knows: an error when nobody does, because this
    /// device has no part of the directory and no other one has answered.
    fn nothing(&self) -> Result<Option<Meaning>> {
        if self.directory.local().is_none() && self.lost.iter().all(|&lost| lost) {
            return Err(self.error);
        }
        Ok(None)
    }

    /// What those devices have that have the real name `name` and show it with `suffix`.
    #[inline(never)]
    fn take(
        &mut self,
        mount: &Mount,
        name: &[u8],
        suffix: Option<Suffix>,
    ) -> Result<Option<Meaning>> {
        let mut known = core::mem::take(&mut self.known).into_iter();
        let Some(known) = known.find(|known| known.name.as_bytes() == name) else {
            return Ok(None);
        };
        let mut parts = KVec::new();
        if let Some(path) = known.local {
            parts.push(Part::Local(path), GFP_KERNEL)?;
        }
        let devices = self.directory.remote().zip(&self.lost).zip(known.remote);
        for (((peer, _), &lost), child) in devices {
            if let Some(child) = child.filter(|_| !lost) {
                parts.push(Part::Remote(peer.clone(), child), GFP_KERNEL)?;
            }
        }
        let Some(first) = parts.first().map(Part::holder) else {
            return Ok(None);
        };
        parts.retain(|part| {
            let holder = part.holder();
            Role::of(holder, first, mount.directories()).suffix(holder.device) == suffix
        });
        if parts.iter().all(Part::is_directory) {
            if parts.is_empty() {
                return Ok(None);
            }
            return Ok(Some(Meaning::Directory(Parts::new(
                parts,
                self.told.begin().generation,
            )?)));
        }
        // A file is never one of several.
        Ok(parts.into_iter().next().map(|part| match part {
            Part::Local(path) => Meaning::Local(path),
            Part::Remote(peer, child) => Meaning::Remote(peer, child),
        }))
    }
}

/// All names of another device's directory, if they are known for certain.
fn known_names(mount: &Mount, dir: &Inode) -> Option<Arc<Entries>> {
    inode::of(dir).ok()?.entries(mount, dir)
}

impl Other {
    /// If it is known that there is no such name: for how long.
    fn lacks(&self, name: &[u8]) -> Option<Validity> {
        let entries = self.entries.as_ref()?;
        (!entries.has(name)).then_some(entries.names)
    }

    /// What the device has of `name`, and for how long that is right.
    #[inline(never)]
    fn answer(
        &self,
        part: &Child,
        name: Name<'_>,
        reply: &Reply,
        question: Question,
    ) -> Result<(Option<Arc<Child>>, Validity)> {
        let found = found(reply, &find_operations(part.handle, name), question)?;
        let validity = match &self.inode {
            Some(dir) => leases::settle_names(dir, found.lease, question)?,
            None => question.validity,
        };
        let child = found.child.map(|child| Arc::new(child, GFP_KERNEL));
        Ok((child.transpose()?, validity))
    }
}

impl RealNames for Asked<'_> {
    fn holders(&mut self, name: &[u8], mut each: impl FnMut(Holder)) -> bool {
        let mut known = self.known.iter();
        let Some(known) = known.find(|known| known.name.as_bytes() == name) else {
            self.want(name);
            return false;
        };
        if let Some(path) = &known.local {
            each(Holder {
                device: 0,
                kind: kind(path.is_dir()),
            });
        }
        let devices = self.directory.remote().zip(&self.lost).zip(&known.remote);
        for (((peer, _), &lost), child) in devices {
            if let Some(child) = child.as_ref().filter(|_| !lost) {
                each(Holder {
                    device: peer.number(),
                    kind: kind(child.attributes.is_directory()),
                });
            }
        }
        true
    }
}

fn kind(is_directory: bool) -> Kind {
    if is_directory {
        Kind::Directory
    } else {
        Kind::Other
    }
}

impl Part {
    /// Whose it is, and what.
    fn holder(&self) -> Holder {
        Holder {
            device: self.device(),
            kind: kind(self.is_directory()),
        }
    }

    /// While names are looked up, parts may be files too.
    fn is_directory(&self) -> bool {
        match self {
            Part::Local(path) => path.is_dir(),
            Part::Remote(_, child) => child.attributes.is_directory(),
        }
    }
}

impl Parts {
    /// This device's entry of this real name.
    pub(super) fn lookup_local(&self, name: &[u8]) -> Result<Option<vfs::Path>> {
        match self.local().map(|path| path.lookup(name)) {
            None => Ok(None),
            Some(Ok(path)) => Ok(Some(path)),
            Some(Err(error)) if error == ENOENT => Ok(None),
            Some(Err(error)) => Err(error),
        }
    }
}
