// SPDX-License-Identifier: GPL-2.0

//! Listing merged directories.

use hmdfs_kapi::{
    cred::prepare_creds,
    errno::EPROTO,
    fs::{
        directory::{Context, EntryType},
        file::{DirectoryOperations, File},
    },
    signal::fatal_signal_pending,
    vfs,
};
use hmdfs_proto::{Handle, Operation, Outcome};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{Arc, ArcBorrow, Mutex},
};

use super::{of, Directory, MergeOps, Part};
use crate::{
    link::Reply,
    mount::Hmdfs,
    node::{Inode, Key},
    peer::Peer,
    remote::{
        compound::{request, Outcomes},
        gather::call_all,
    },
};

/// Most bytes of entries that are asked for at once.
const CHUNK: u32 = 256 << 10;

/// Most names of one directory that are taken from one device: what a list may cost has an end,
/// even if the device's listing has none.
const MOST_NAMES: usize = 2 << 20;

/// One name of a merged directory.
struct Item {
    name: KVec<u8>,
    ino: u64,
    file_type: EntryType,
}

/// An open merged directory: the whole list, as it was when listing began, so that positions stay
/// right while devices come and go.
#[pin_data]
pub(crate) struct Listing {
    #[pin]
    items: Mutex<Option<KVVec<Item>>>,
}

impl DirectoryOperations<Hmdfs> for MergeOps {
    type Private = Arc<Listing>;

    fn open(_inode: &Inode, _file: &File<Hmdfs>) -> Result<Arc<Listing>> {
        Arc::pin_init(
            pin_init!(Listing {
                // Held while devices are asked; only the readers of this open file wait.
                items <- new_mutex!(None, "hmdfs::merge::Listing"),
            }),
            GFP_KERNEL,
        )
    }

    fn iterate(
        inode: &Inode,
        listing: ArcBorrow<'_, Listing>,
        context: &mut Context<'_, Hmdfs>,
    ) -> Result {
        // Rewinding asks again, as POSIX wants of rewinddir().
        let rewound = context.position() == 0;
        if !context.emit_dots() {
            return Ok(());
        }
        let mut items = listing.items.lock();
        if rewound || items.is_none() {
            *items = Some(collect(of(inode)?)?);
        }
        let first = usize::try_from(context.position().saturating_sub(2))?;
        for item in items.iter().flatten().skip(first) {
            if !context.emit(&item.name, item.ino, item.file_type) {
                return Ok(());
            }
            context.set_position(context.position().saturating_add(1));
        }
        Ok(())
    }
}

/// Lists all devices, and decides which device each name belongs to.
fn collect(directory: &Directory) -> Result<KVVec<Item>> {
    let mut items = KVVec::new();
    let mut going = KVec::new();
    for part in &directory.parts {
        match part {
            Part::Local(path) => list_local(path, &mut items)?,
            Part::Remote(peer, child) => {
                going.push((peer.clone(), child.handle, 0u64), GFP_KERNEL)?
            }
        }
    }
    // A round asks every device that has more; the order of devices is that of the parts, and a
    // later name yields to an earlier one, so each device's names are kept apart until all are
    // there.
    let mut lists: KVec<KVVec<Item>> = KVec::new();
    for _ in &going {
        lists.push(KVVec::new(), GFP_KERNEL)?;
    }
    let mut active: KVec<usize> = KVec::new();
    for index in 0..going.len() {
        active.push(index, GFP_KERNEL)?;
    }
    while !active.is_empty() {
        if fatal_signal_pending() {
            return Err(EINTR);
        }
        let mut requests = KVec::new();
        for (peer, handle, cookie) in active.iter().filter_map(|&index| going.get(index)) {
            let operations = operations(*handle, *cookie);
            requests.push((peer.clone(), request(&operations, 0)?), GFP_KERNEL)?;
        }
        let mut next = KVec::new();
        for (&index, reply) in active.iter().zip(call_all(requests)?) {
            let (Some((peer, handle, cookie)), Some(list)) =
                (going.get_mut(index), lists.get_mut(index))
            else {
                continue;
            };
            match reply.and_then(|reply| take(&reply, *handle, *cookie, peer, list)) {
                Ok(Some(_)) if list.len() > MOST_NAMES => {
                    pr_warn!("a device lists more than {MOST_NAMES} names in one directory\n");
                }
                Ok(Some(after)) => {
                    *cookie = after;
                    next.push(index, GFP_KERNEL)?;
                }
                Ok(None) => {}
                Err(error) => pr_debug!("a device did not list its directory: {error:?}\n"),
            }
        }
        active = next;
    }
    for list in lists {
        for item in list {
            items.push(item, GFP_KERNEL)?;
        }
    }
    first_of_each_name(&mut items)?;
    Ok(items)
}

fn operations(handle: Handle, cookie: u64) -> [Operation<'static>; 2] {
    [
        Operation::File(handle),
        Operation::ReadDirectory {
            cookie,
            limit: CHUNK,
            plus: false,
        },
    ]
}

/// Takes the entries of a reply; where the listing goes on, or `None` at its end.
fn take(
    reply: &Reply,
    handle: Handle,
    cookie: u64,
    peer: &Peer,
    items: &mut KVVec<Item>,
) -> Result<Option<u64>> {
    let operations = operations(handle, cookie);
    let mut outcomes = Outcomes::new(reply, &operations)?;
    outcomes.done()?;
    let Outcome::Directory {
        entries,
        end_of_directory,
    } = outcomes.next()?
    else {
        return Err(EPROTO.into());
    };
    let mut after = None;
    for entry in entries {
        let entry = entry.map_err(|_| EPROTO.error())?;
        after = Some(entry.next);
        let mut name = KVec::new();
        name.extend_from_slice(entry.name.as_bytes(), GFP_KERNEL)?;
        items.push(
            Item {
                name,
                ino: Key::remote_number(peer.number(), entry.ino),
                file_type: EntryType(entry.file_type),
            },
            GFP_KERNEL,
        )?;
    }
    Ok(after.filter(|_| !end_of_directory))
}

fn list_local(path: &vfs::Path, items: &mut KVVec<Item>) -> Result {
    let mut directory = vfs::DirectoryFile::open(path, &*prepare_creds()?)?;
    loop {
        let mut seen = false;
        let mut result: Result = Ok(());
        directory.iterate(|entry| {
            seen = true;
            if entry.name == b"." || entry.name == b".." {
                return true;
            }
            result = (|| {
                let mut name = KVec::new();
                name.extend_from_slice(entry.name, GFP_KERNEL)?;
                let item = Item {
                    name,
                    ino: entry.ino,
                    file_type: EntryType(entry.file_type),
                };
                items.push(item, GFP_KERNEL)?;
                Ok(())
            })();
            result.is_ok()
        })?;
        result?;
        if !seen {
            return Ok(());
        }
    }
}

/// Leaves the first of the items of each name, in the order of the items.
fn first_of_each_name(items: &mut KVVec<Item>) -> Result {
    let mut order: KVVec<usize> = KVVec::with_capacity(items.len(), GFP_KERNEL)?;
    for index in 0..items.len() {
        order.push(index, GFP_KERNEL)?;
    }
    let name = |index: usize| items.get(index).map(|item| item.name.as_slice());
    order.sort_unstable_by(|&a, &b| name(a).cmp(&name(b)).then(a.cmp(&b)));
    let mut keep = KVVec::from_elem(true, items.len(), GFP_KERNEL)?;
    for pair in order.windows(2) {
        if let &[first, second] = pair {
            if name(first) == name(second) {
                if let Some(keep) = keep.get_mut(second) {
                    *keep = false;
                }
            }
        }
    }
    let mut keep = keep.iter();
    items.retain(|_| keep.next().copied().unwrap_or(true));
    Ok(())
}
