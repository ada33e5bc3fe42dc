// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Arbitrary values of the protocol's types.

// Each test program uses a part of this.
#![allow(dead_code)]

use hmdfs_proto::{
    Allocate, AllocateMode, AttributeName, Attributes, Conflict, Entry, FileSystem, Handle, Header,
    Hello, Kind, Lease, Lock, LockClass, LockKind, LockOwner, LockRange, Locking, Name, Opcode,
    Operation, Recall, RenameFlags, SetAttributes, SetMode, SetTime, Status, Target, TestLock,
    Timestamp, Unlock, MAX_BODY, MAX_DATA, MAX_REQUESTS, MAX_SYMLINK,
};
use proptest::collection::vec;
use proptest::prelude::*;

pub fn statuses() -> impl Strategy<Value = Status> {
    prop_oneof![
        Just(Status::Ok),
        proptest::sample::select(Status::ERRORS.to_vec()),
    ]
}

pub fn headers() -> impl Strategy<Value = Header> {
    (
        prop_oneof![Just(Kind::Request), Just(Kind::Reply), Just(Kind::Notice)],
        prop_oneof![
            Just(Opcode::Hello),
            Just(Opcode::Bye),
            Just(Opcode::Ping),
            Just(Opcode::Compound),
            Just(Opcode::Recall),
            Just(Opcode::Data),
            (100..=u8::MAX).prop_map(Opcode::Other),
        ],
        0..=MAX_REQUESTS,
        any::<u64>(),
        0..=MAX_BODY,
        [0..=MAX_DATA, 0..=MAX_DATA],
        statuses(),
        any::<u32>(),
    )
        .prop_map(
            |(kind, opcode, window, id, body, [data, all], status, patience)| Header {
                kind,
                opcode,
                window,
                id,
                body,
                data: data.min(all),
                status,
                patience,
                more: if data == 0 {
                    0
                } else {
                    all.saturating_sub(data)
                },
            },
        )
}

pub fn hellos() -> impl Strategy<Value = Hello> {
    (
        any::<[u16; 2]>(),
        any::<u64>(),
        any::<[u64; 2]>(),
        1..=MAX_REQUESTS,
        MAX_DATA..,
    )
        .prop_map(
            |(versions, features, [epoch, session], window, data_window)| Hello {
                version_min: versions[0].min(versions[1]),
                version_max: versions[0].max(versions[1]),
                features,
                epoch,
                session,
                window,
                data_window,
            },
        )
}

pub fn handles() -> impl Strategy<Value = Handle> {
    (
        vec(any::<u8>(), 1..=Handle::MAX),
        any::<prop::sample::Index>(),
    )
        .prop_map(|(bytes, identity)| {
            Handle::with_identity(&bytes, 1 + identity.index(bytes.len())).unwrap()
        })
}

/// The bytes of names, which only borrow.
pub fn names() -> impl Strategy<Value = Vec<u8>> {
    vec(
        any::<u8>().prop_filter("not in names", |&byte| byte != 0 && byte != b'/'),
        1..=Name::MAX,
    )
    .prop_filter("not a name", |name| name != b"." && name != b"..")
}

pub fn timestamps() -> impl Strategy<Value = Timestamp> {
    (any::<i64>(), 0u32..1_000_000_000)
        .prop_map(|(seconds, nanoseconds)| Timestamp::new(seconds, nanoseconds).unwrap())
}

pub fn attributes() -> impl Strategy<Value = Attributes> {
    (
        (
            proptest::sample::select(vec![1u16, 2, 4, 6, 8, 10, 12]),
            0u16..0o10_000,
        ),
        any::<[u32; 3]>(),
        any::<(u32, u32)>(),
        any::<u64>(),
        0..=i64::MAX as u64,
        any::<u64>(),
        any::<u32>(),
        (timestamps(), timestamps(), timestamps(), timestamps()),
        any::<u64>(),
    )
        .prop_map(
            |(
                (file_type, permissions),
                [nlink, uid, gid],
                rdev,
                ino,
                size,
                blocks,
                blksize,
                times,
                change,
            )| {
                Attributes {
                    mode: file_type << 12 | permissions,
                    nlink,
                    uid,
                    gid,
                    rdev,
                    ino,
                    size,
                    blocks,
                    blksize,
                    atime: times.0,
                    mtime: times.1,
                    ctime: times.2,
                    btime: times.3,
                    change,
                }
            },
        )
}

pub fn file_systems() -> impl Strategy<Value = FileSystem> {
    (any::<u32>(), any::<[u64; 5]>(), any::<u32>()).prop_map(|(block_size, counts, name_max)| {
        FileSystem {
            block_size,
            blocks: counts[0],
            blocks_free: counts[1],
            blocks_available: counts[2],
            files: counts[3],
            files_free: counts[4],
            name_max,
        }
    })
}

pub fn leases() -> impl Strategy<Value = Lease> {
    proptest::sample::select(vec![Lease::None, Lease::Granted, Lease::Busy, Lease::Bare])
}

/// An entry, but for its name.
pub fn entries() -> impl Strategy<Value = Entry<'static>> {
    (
        any::<u64>(),
        any::<u64>(),
        any::<u8>(),
        proptest::option::of((handles(), attributes())),
        leases(),
    )
        .prop_map(|(next, ino, file_type, node, lease)| Entry {
            next,
            ino,
            file_type,
            name: Name::new(b"x").unwrap(),
            lease: node.map_or(Lease::None, |_| lease),
            node,
        })
}

/// Names that stay for as long as the test runs.
fn static_names() -> impl Strategy<Value = Name<'static>> {
    names().prop_map(|name| Name::new(name.leak()).unwrap())
}

fn attribute_names() -> impl Strategy<Value = AttributeName<'static>> {
    vec(1u8.., 1..=AttributeName::MAX).prop_map(|name| AttributeName::new(name.leak()).unwrap())
}

fn set_times() -> impl Strategy<Value = Option<SetTime>> {
    proptest::option::of(prop_oneof![
        Just(SetTime::Now),
        timestamps().prop_map(SetTime::To)
    ])
}

pub fn set_attributes() -> impl Strategy<Value = SetAttributes> {
    (
        any::<(Option<u16>, Option<u32>, Option<u32>)>(),
        proptest::option::of(0..=i64::MAX as u64),
        set_times(),
        set_times(),
    )
        .prop_map(|((mode, uid, gid), size, atime, mtime)| SetAttributes {
            mode,
            uid,
            gid,
            size,
            atime,
            mtime,
        })
}

fn allocations() -> impl Strategy<Value = Allocate> {
    (
        proptest::sample::select(vec![
            AllocateMode::Allocate,
            AllocateMode::PunchHole,
            AllocateMode::ZeroRange,
            AllocateMode::CollapseRange,
            AllocateMode::InsertRange,
            AllocateMode::Unshare,
        ]),
        any::<bool>(),
        0..1u64 << 62,
        0..1u64 << 62,
    )
        .prop_map(|(mode, keep_size, offset, length)| Allocate {
            mode,
            keep_size,
            offset,
            length,
        })
}

/// Every operation but those that have places of their own: `Walk`, `Read`, `Write`, `Once`.
pub fn operations() -> impl Strategy<Value = Operation<'static>> {
    prop_oneof![
        plain_operations(),
        naming_operations(),
        file_operations(),
        lockings().prop_map(Operation::Locking)
    ]
}

fn plain_operations() -> impl Strategy<Value = Operation<'static>> {
    prop_oneof![
        Just(Operation::Root),
        handles().prop_map(Operation::File),
        Just(Operation::GetHandle),
        Just(Operation::GetAttributes),
        (any::<bool>(), any::<bool>()).prop_map(|(read, write)| Operation::Open {
            read: read || !write,
            write
        }),
        Just(Operation::ReadLink),
        (any::<u64>(), any::<u32>(), any::<[bool; 2]>()).prop_map(
            |(cookie, limit, [plus, lease])| {
                Operation::ReadDirectory {
                    cookie,
                    limit,
                    plus,
                    lease: plus && lease,
                }
            }
        ),
        Just(Operation::StatFileSystem),
        Just(Operation::GetChange),
        Just(Operation::ListExtended),
        Just(Operation::SyncFileSystem),
        Just(Operation::Lease),
        (handles(), 0..=MAX_DATA).prop_map(|(file, limit)| Operation::Fetch { file, limit }),
        (any::<bool>(), key_lists()).prop_map(|(flush, keys)| Operation::Writing {
            flush,
            files: Recall::decode(keys).unwrap(),
        }),
        (200..=u8::MAX).prop_map(Operation::Other),
    ]
}

/// The keys of a few files, encoded.
fn key_lists() -> impl Strategy<Value = &'static [u8]> {
    vec(any::<u64>(), 0..4).prop_map(|keys| {
        let bytes: Vec<u8> = keys.into_iter().flat_map(u64::to_le_bytes).collect();
        &*bytes.leak()
    })
}

fn naming_operations() -> impl Strategy<Value = Operation<'static>> {
    prop_oneof![
        (static_names(), any::<(u16, u16)>(), any::<bool>()).prop_map(|(name, mode, exclusive)| {
            Operation::Create {
                name,
                mode,
                exclusive,
            }
        }),
        (static_names(), any::<(u16, u16)>())
            .prop_map(|(name, mode)| Operation::MakeDirectory { name, mode }),
        (static_names(), any::<(u16, u16)>(), any::<(u32, u32)>())
            .prop_map(|(name, mode, device)| Operation::MakeNode { name, mode, device }),
        (static_names(), vec(1u8.., 1..=MAX_SYMLINK)).prop_map(|(name, target)| {
            Operation::MakeLink {
                name,
                target: Target::new(target.leak()).unwrap(),
            }
        }),
        (static_names(), handles()).prop_map(|(name, file)| Operation::Link { name, file }),
        (static_names(), handles(), any::<bool>(), any::<bool>()).prop_map(
            |(name, file, directory, open)| {
                Operation::Remove {
                    name,
                    file,
                    directory,
                    open,
                }
            }
        ),
        any::<(u16, u16)>().prop_map(|mode| Operation::MakeUnnamed { mode }),
        (static_names(), handles(), handles(), any::<bool>()).prop_map(
            |(name, replaced, file, open)| {
                Operation::Replace {
                    name,
                    replaced,
                    file,
                    open,
                }
            }
        ),
        Just(Operation::Closed),
        (
            (static_names(), handles()),
            (static_names(), handles()),
            proptest::sample::select(vec![
                RenameFlags::Replace,
                RenameFlags::NoReplace,
                RenameFlags::Exchange
            ]),
            any::<bool>(),
        )
            .prop_map(|((name, file), (new_name, new_directory), flags, open)| {
                Operation::Rename {
                    name,
                    file,
                    new_directory,
                    new_name,
                    flags,
                    open,
                }
            }),
    ]
}

fn file_operations() -> impl Strategy<Value = Operation<'static>> {
    let position = || 0..1u64 << 62;
    prop_oneof![
        set_attributes().prop_map(Operation::SetAttributes),
        (any::<bool>(), proptest::option::of(any::<u32>()))
            .prop_map(|(data_only, errors)| Operation::Sync { data_only, errors }),
        allocations().prop_map(Operation::Allocate),
        (
            handles(),
            (position(), position(), position()),
            any::<bool>()
        )
            .prop_map(|(source, (source_offset, offset, length), clone)| {
                Operation::Copy {
                    source,
                    source_offset,
                    offset,
                    length,
                    clone,
                }
            }),
        (position(), any::<bool>()).prop_map(|(offset, hole)| Operation::Seek { offset, hole }),
        attribute_names().prop_map(Operation::GetExtended),
        attribute_names().prop_map(Operation::RemoveExtended),
        vec(any::<u8>(), 0..2000).prop_map(|value| Operation::Value(value.leak())),
        (
            attribute_names(),
            vec(any::<u8>(), 0..2000),
            proptest::sample::select(vec![SetMode::Any, SetMode::Create, SetMode::Replace]),
        )
            .prop_map(|(name, value, mode)| Operation::SetExtended {
                name,
                value: value.leak(),
                mode,
            }),
    ]
}

fn lock_owners() -> impl Strategy<Value = LockOwner> {
    (any::<[u64; 2]>(), lock_classes()).prop_map(|([session, owner], class)| LockOwner {
        session,
        class,
        owner,
    })
}

fn lock_classes() -> impl Strategy<Value = LockClass> {
    proptest::sample::select(vec![LockClass::Posix, LockClass::Ofd, LockClass::Flock])
}

fn lock_kinds() -> impl Strategy<Value = LockKind> {
    proptest::sample::select(vec![LockKind::Read, LockKind::Write])
}

fn lock_ranges() -> impl Strategy<Value = LockRange> {
    [0..=i64::MAX as u64, 0..=i64::MAX as u64]
        .prop_map(|[a, b]| LockRange::new(a.min(b), a.max(b)).unwrap())
}

pub fn conflicts() -> impl Strategy<Value = Option<Conflict>> {
    proptest::option::of(
        (lock_classes(), lock_kinds(), lock_ranges(), any::<u32>()).prop_map(
            |(class, kind, range, pid)| Conflict {
                class,
                kind,
                range,
                pid,
            },
        ),
    )
}

fn lockings() -> impl Strategy<Value = Locking> {
    prop_oneof![
        (
            lock_owners(),
            lock_kinds(),
            lock_ranges(),
            any::<u32>(),
            any::<u64>()
        )
            .prop_map(|(by, kind, range, pid, waiter)| Locking::Lock(Lock {
                by,
                kind,
                range,
                pid,
                waiter,
            })),
        (lock_owners(), lock_ranges())
            .prop_map(|(by, range)| Locking::Unlock(Unlock { by, range })),
        (lock_owners(), lock_kinds(), lock_ranges())
            .prop_map(|(by, kind, range)| Locking::Test(TestLock { by, kind, range })),
        any::<[u64; 2]>().prop_map(|[session, waiter]| Locking::Cancel { session, waiter }),
        (any::<[u64; 2]>(), statuses()).prop_map(|([session, waiter], status)| {
            Locking::Granted {
                session,
                waiter,
                status,
            }
        }),
    ]
}

pub fn writes() -> impl Strategy<Value = Operation<'static>> {
    (0..=i64::MAX as u64 - MAX_DATA as u64, 0..=MAX_DATA)
        .prop_map(|(offset, length)| Operation::Write { offset, length })
}

pub fn onces() -> impl Strategy<Value = Operation<'static>> {
    (0..MAX_REQUESTS, 1..=u64::MAX).prop_map(|(slot, sequence)| Operation::Once { slot, sequence })
}

pub fn reads() -> impl Strategy<Value = Operation<'static>> {
    prop_oneof![
        (0..=i64::MAX as u64, 0..=MAX_DATA)
            .prop_map(|(offset, length)| Operation::Read { offset, length }),
        (0..=MAX_DATA).prop_map(|limit| Operation::ReadWhole { limit }),
    ]
}
