// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Whatever bytes come in, nothing panics and no limit is passed.

mod common;

use common::*;
use hmdfs_proto::directory::Entries;
use hmdfs_proto::{
    Handle, Header, Hello, Kind, Lock, LockRange, Locking, Name, Operation, Outcome, Recall,
    ReplyReader, RequestReader, RequestWriter, TestLock, Unlock, MAX_BODY, MAX_DATA,
    MAX_OPERATIONS, MAX_REQUESTS, MAX_SYMLINK,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// Bytes that are mostly small numbers, so that codes, counts and lengths make
/// sense more often than by chance.
fn bytes(length: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(
        prop_oneof![3 => 0u8..12, 1 => any::<u8>(), 1 => 33u8..38],
        0..length,
    )
}

fn check_name(name: &Name<'_>) {
    let bytes = name.as_bytes();
    assert!((1..=Name::MAX).contains(&bytes.len()));
    assert!(!bytes.contains(&0) && !bytes.contains(&b'/'));
    assert!(bytes != b"." && bytes != b"..");
}

fn check_handle(handle: &Handle) {
    assert!((1..=Handle::MAX).contains(&handle.as_bytes().len()));
}

fn check_request(body: &[u8]) {
    let Ok(reader) = RequestReader::new(body) else {
        return;
    };
    let operations: Vec<_> = reader.collect();
    assert!(operations.len() <= usize::from(MAX_OPERATIONS));
    for (index, operation) in operations.iter().enumerate() {
        let last = index + 1 == operations.len();
        match operation {
            // Iteration ends with the first error.
            Err(_) => assert!(last),
            Ok(Operation::Walk(name)) => check_name(name),
            Ok(Operation::File(handle)) => check_handle(handle),
            Ok(Operation::Read { offset, length }) => {
                assert!(last);
                assert!(i64::try_from(*offset).is_ok());
                assert!(*length <= MAX_DATA);
            }
            Ok(Operation::Locking(locking)) => match locking {
                Locking::Lock(Lock { range, .. })
                | Locking::Unlock(Unlock { range, .. })
                | Locking::Test(TestLock { range, .. }) => check_range(range),
                Locking::Cancel { .. } | Locking::Granted { .. } => {}
            },
            Ok(_) => {}
        }
    }
}

fn check_range(range: &LockRange) {
    assert!(range.start() <= range.end());
    assert!(i64::try_from(range.end()).is_ok());
}

fn check_entries(entries: Entries<'_>) {
    let mut ended = false;
    for entry in entries {
        assert!(!ended, "an entry after an error");
        match entry {
            Ok(entry) => {
                check_name(&entry.name);
                if let Some((handle, attributes)) = entry.node {
                    check_handle(&handle);
                    assert!(i64::try_from(attributes.size).is_ok());
                }
            }
            Err(_) => ended = true,
        }
    }
}

fn check_reply(body: &[u8], expected: &[Operation<'_>]) {
    let Ok(mut reader) = ReplyReader::new(body) else {
        return;
    };
    for operation in expected {
        match reader.next(operation) {
            Ok(Ok(Outcome::Handle(handle))) => check_handle(&handle),
            Ok(Ok(Outcome::Attributes(attributes))) => {
                assert!(i64::try_from(attributes.size).is_ok());
                assert!(attributes.mtime.nanoseconds() < 1_000_000_000);
            }
            Ok(Ok(Outcome::Target(target))) => {
                let target = target.as_bytes();
                assert!((1..=MAX_SYMLINK).contains(&target.len()));
                assert!(!target.contains(&0));
            }
            Ok(Ok(Outcome::Conflict(Some(conflict)))) => check_range(&conflict.range),
            Ok(Ok(Outcome::Directory { entries, .. })) => check_entries(entries),
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn headers(mut bytes in any::<[u8; Header::SIZE]>(), genuine in any::<bool>()) {
        if genuine {
            // Past the magic number and the kind, nearly everything is a header.
            let sample = Header::new(Kind::Request, hmdfs_proto::Opcode::Ping, 0).encode();
            bytes[..5].copy_from_slice(&sample[..5]);
        }
        if let Ok(header) = Header::decode(&bytes) {
            prop_assert!(header.body <= MAX_BODY);
            prop_assert!(header.all_data() <= MAX_DATA);
            prop_assert_eq!(header.all_data(), header.data + header.more);
            prop_assert!(header.more == 0 || header.data != 0);
            prop_assert!(header.window <= MAX_REQUESTS);
        }
    }

    #[test]
    fn recalls(bytes in bytes(2 * Recall::MAX_SIZE)) {
        if let Ok(recall) = Recall::decode(&bytes) {
            prop_assert!(bytes.len() <= Recall::MAX_SIZE);
            prop_assert_eq!(recall.keys().count() * 8, bytes.len());
        }
    }

    #[test]
    fn hellos(bytes in bytes(2 * Hello::SIZE)) {
        if let Ok(hello) = Hello::decode(&bytes) {
            prop_assert_eq!(bytes.len(), Hello::SIZE);
            prop_assert!((1..=MAX_REQUESTS).contains(&hello.window));
            prop_assert!(hello.version_min <= hello.version_max);
            if let Ok(version) = hello.common_version() {
                prop_assert!((hello.version_min..=hello.version_max).contains(&version));
            }
        }
    }

    #[test]
    fn requests(bytes in bytes(300)) {
        check_request(&bytes);
    }

    #[test]
    fn replies(bytes in bytes(500), expected in vec(operations(), 1..8)) {
        check_reply(&bytes, &expected);
    }

    #[test]
    fn listings(bytes in bytes(1000)) {
        check_entries(Entries::new(&bytes));
    }

    #[test]
    fn damaged_requests(
        operations in vec(operations(), 1..20), place in any::<Index>(), byte in any::<u8>(),
        length in any::<Index>(),
    ) {
        let mut body = vec![0; 2 + operations.iter().map(Operation::max_size).sum::<usize>()];
        let mut writer = RequestWriter::new(&mut body).unwrap();
        for operation in &operations {
            writer.push(operation).unwrap();
        }
        let written = writer.len();
        body.truncate(written);
        // A request that was cut off is never taken for a whole one.
        let cut = &body[..length.index(written)];
        prop_assert!(RequestReader::new(cut).map_or(true, |reader| reader
            .collect::<Result<Vec<_>, _>>()
            .is_err()));
        body[place.index(written)] = byte;
        check_request(&body);
    }

    #[test]
    fn damaged_replies(
        named in vec((entries(), names()), 1..20), place in any::<Index>(), byte in any::<u8>(),
    ) {
        let operation = Operation::ReadDirectory { cookie: 0, limit: 0, plus: true, lease: true };
        let mut body = vec![0; 16384];
        let mut writer = hmdfs_proto::ReplyWriter::new(&mut body).unwrap();
        writer
            .directory(&operation, |encoder| {
                for (entry, name) in &named {
                    hmdfs_proto::Entry { name: Name::new(name).unwrap(), ..*entry }
                        .encode(encoder)?;
                }
                Ok(false)
            })
            .unwrap();
        let written = writer.len();
        body.truncate(written);
        body[place.index(written)] = byte;
        check_reply(&body, &[operation]);
    }
}
