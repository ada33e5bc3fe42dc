// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Arbitrary values of the protocol's types.

// Each test program uses a part of this.
#![allow(dead_code)]

use hmdfs_proto::{
    Attributes, Entry, FileSystem, Handle, Header, Hello, Kind, Name, Opcode, Operation, Status,
    Timestamp, MAX_BODY, MAX_DATA, MAX_REQUESTS,
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
            (5..=u8::MAX).prop_map(Opcode::Other),
        ],
        0..=MAX_REQUESTS,
        any::<u64>(),
        0..=MAX_BODY,
        0..=MAX_DATA,
        statuses(),
        any::<u32>(),
    )
        .prop_map(
            |(kind, opcode, window, id, body, data, status, patience)| Header {
                kind,
                opcode,
                window,
                id,
                body,
                data,
                status,
                patience,
            },
        )
}

pub fn hellos() -> impl Strategy<Value = Hello> {
    (
        any::<[u16; 2]>(),
        any::<u64>(),
        any::<u64>(),
        1..=MAX_REQUESTS,
    )
        .prop_map(|(versions, features, epoch, window)| Hello {
            version_min: versions[0].min(versions[1]),
            version_max: versions[0].max(versions[1]),
            features,
            epoch,
            window,
        })
}

pub fn handles() -> impl Strategy<Value = Handle> {
    vec(any::<u8>(), 1..=Handle::MAX).prop_map(|bytes| Handle::new(&bytes).unwrap())
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

/// An entry, but for its name.
pub fn entries() -> impl Strategy<Value = Entry<'static>> {
    (
        any::<u64>(),
        any::<u64>(),
        any::<u8>(),
        proptest::option::of((handles(), attributes())),
    )
        .prop_map(|(next, ino, file_type, node)| Entry {
            next,
            ino,
            file_type,
            name: Name::new(b"x").unwrap(),
            node,
        })
}

/// Every operation but `Walk`, which borrows, and `Read`, which has its own place.
pub fn operations() -> impl Strategy<Value = Operation<'static>> {
    prop_oneof![
        Just(Operation::Root),
        handles().prop_map(Operation::File),
        Just(Operation::GetHandle),
        Just(Operation::GetAttributes),
        Just(Operation::Open),
        Just(Operation::ReadLink),
        (any::<u64>(), any::<u32>(), any::<bool>()).prop_map(|(cookie, limit, plus)| {
            Operation::ReadDirectory {
                cookie,
                limit,
                plus,
            }
        }),
        Just(Operation::StatFileSystem),
        (200..=u8::MAX).prop_map(Operation::Other),
    ]
}

pub fn reads() -> impl Strategy<Value = Operation<'static>> {
    (0..=i64::MAX as u64, 0..=MAX_DATA)
        .prop_map(|(offset, length)| Operation::Read { offset, length })
}
