// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What is written is what is read.

mod common;

use common::*;
use hmdfs_proto::{
    AttributeName, Decoder, Encoder, Entry, Error, Fetched, Handle, Header, Hello, LockClass,
    LockKind, LockOwner, LockRange, Locking, Name, OpenFiles, Operation, Outcome, Recall,
    ReplyReader, ReplyWriter, RequestReader, RequestWriter, SetMode, Status, Target, TestLock,
    Written, MAX_OPERATIONS, MAX_SYMLINK,
};
use proptest::collection::vec;
use proptest::prelude::*;

fn encode_request(operations: &[Operation<'_>]) -> Vec<u8> {
    let mut body = vec![0; 2 + operations.iter().map(Operation::max_size).sum::<usize>()];
    let mut writer = RequestWriter::new(&mut body).unwrap();
    for operation in operations {
        writer.push(operation).unwrap();
    }
    let length = writer.len();
    body.truncate(length);
    body
}

/// Writes one outcome, checks its size, and hands it to `check` as it was read.
fn round_trip(
    operation: &Operation<'_>,
    outcome: &Outcome<'_>,
    check: impl FnOnce(Outcome<'_>) -> bool,
) -> bool {
    let mut body = vec![0; 8192];
    let mut writer = ReplyWriter::new(&mut body).unwrap();
    writer.push(operation, outcome).unwrap();
    let length = writer.len();
    let mut reader = ReplyReader::new(&body[..length]).unwrap();
    check(reader.next(operation).unwrap().unwrap())
}

proptest! {
    #[test]
    fn headers_survive(header in headers()) {
        prop_assert_eq!(Header::decode(&header.encode()), Ok(header));
    }

    #[test]
    fn hellos_survive(hello in hellos()) {
        let mut buffer = [0; Hello::SIZE];
        hello.encode(&mut Encoder::new(&mut buffer)).unwrap();
        prop_assert_eq!(Hello::decode(&buffer), Ok(hello));
    }

    #[test]
    fn a_compound_is_numbered_when_it_is_sent(
        slot in 0..hmdfs_proto::MAX_REQUESTS,
        sequence in 1..=u64::MAX,
        rest in vec(operations(), 0..30),
    ) {
        let with = |slot, sequence| {
            let mut all = vec![Operation::Once { slot, sequence }];
            all.extend(&rest);
            encode_request(&all)
        };
        let mut body = with(0, 0);
        let numbered = hmdfs_proto::numbered(&body, slot, sequence).unwrap();
        body[..numbered.len()].copy_from_slice(&numbered);
        prop_assert_eq!(body, with(slot, sequence));
        let other = encode_request(&rest);
        prop_assert!(hmdfs_proto::numbered(&other, slot, sequence).is_err());
    }

    #[test]
    fn requests_survive(
        name in names(),
        once in proptest::option::of(onces()),
        front in vec(operations(), 0..30),
        write in proptest::option::of(writes()),
        back in vec(operations(), 0..30),
        read in proptest::option::of(reads()),
    ) {
        let mut written = Vec::from_iter(once);
        written.extend(front);
        written.extend(write);
        written.push(Operation::Walk(Name::new(&name).unwrap()));
        written.extend(back);
        written.extend(read);
        let body = encode_request(&written);
        let read: Result<Vec<_>, _> = RequestReader::new(&body).unwrap().collect();
        prop_assert_eq!(read, Ok(written));
    }

    #[test]
    fn a_read_in_front_of_another_operation_is_misplaced(
        read in reads(), operation in operations(),
    ) {
        let body = encode_request(&[read, operation]);
        let first = RequestReader::new(&body).unwrap().next();
        prop_assert_eq!(first, Some(Err(Error::Misplaced)));
    }

    #[test]
    fn a_second_write_is_misplaced(write in writes(), other in writes()) {
        let body = encode_request(&[write, other]);
        let last = RequestReader::new(&body).unwrap().last();
        prop_assert_eq!(last, Some(Err(Error::Misplaced)));
    }

    #[test]
    fn once_must_come_first(once in onces(), operation in operations()) {
        let body = encode_request(&[operation, once]);
        let last = RequestReader::new(&body).unwrap().last();
        prop_assert_eq!(last, Some(Err(Error::Misplaced)));
    }

    #[test]
    fn outcomes_survive(
        handle in handles(),
        attributes in attributes(),
        file_system in file_systems(),
        length in any::<u32>(),
        end in any::<bool>(),
        target in vec(1u8.., 1..=MAX_SYMLINK),
        lease in leases(),
    ) {
        let read = Operation::Read { offset: 0, length: 1 };
        prop_assert!(round_trip(
            &Operation::GetHandle,
            &Outcome::Handle(handle),
            |outcome| matches!(outcome, Outcome::Handle(read) if read == handle),
        ));
        prop_assert!(round_trip(
            &Operation::GetAttributes,
            &Outcome::Attributes(attributes),
            |outcome| matches!(outcome, Outcome::Attributes(read) if read == attributes),
        ));
        prop_assert!(round_trip(
            &Operation::StatFileSystem,
            &Outcome::FileSystem(file_system),
            |outcome| matches!(outcome, Outcome::FileSystem(read) if read == file_system),
        ));
        let survived = round_trip(
            &read,
            &Outcome::Read { length, end_of_file: end },
            |outcome| matches!(
                outcome,
                Outcome::Read { length: l, end_of_file: e } if l == length && e == end
            ),
        );
        prop_assert!(survived);
        prop_assert!(round_trip(
            &Operation::ReadLink,
            &Outcome::Target(Target::new(&target).unwrap()),
            |outcome| matches!(outcome, Outcome::Target(read) if read.as_bytes() == target),
        ));
        let write = Operation::Write { offset: 0, length };
        let written = Written {
            length,
            before: attributes.change,
            after: attributes.ino,
            errors: !length,
        };
        let seek = Operation::Seek { offset: 0, hole: end };
        let name = AttributeName::new(b"user.a").unwrap();
        prop_assert!(round_trip(
            &Operation::GetExtended(name),
            &Outcome::Value(&target),
            |outcome| matches!(outcome, Outcome::Value(read) if read == target),
        ));
        prop_assert!(round_trip(
            &Operation::GetChange,
            &Outcome::Change(length.into()),
            |outcome| matches!(outcome, Outcome::Change(read) if read == length.into()),
        ));
        prop_assert!(round_trip(
            &write,
            &Outcome::Written(written),
            |outcome| matches!(outcome, Outcome::Written(read) if read == written),
        ));
        prop_assert!(round_trip(
            &seek,
            &Outcome::Position(length.into()),
            |outcome| matches!(outcome, Outcome::Position(read) if read == length.into()),
        ));
        let fetched = end.then_some(Fetched { lease, attributes, length });
        let fetch = Operation::Fetch { file: handle, limit: 0 };
        prop_assert!(round_trip(
            &fetch,
            &Outcome::Fetched(fetched),
            |outcome| matches!(outcome, Outcome::Fetched(read) if read == fetched),
        ));
        prop_assert!(round_trip(
            &Operation::Lease,
            &Outcome::Lease(lease),
            |outcome| matches!(outcome, Outcome::Lease(read) if read == lease),
        ));
        let mut written = OpenFiles::default();
        target.iter().for_each(|&place| written.add(place.into()));
        let files = Recall::decode(&[]).unwrap();
        let writing = Operation::Writing { flush: end, files };
        for files in [written, OpenFiles::default()] {
            prop_assert!(round_trip(
                &writing,
                &Outcome::Writing(files),
                |outcome| matches!(outcome, Outcome::Writing(read) if read == files),
            ));
        }
        let set = Operation::SetExtended { name, value: &target, mode: SetMode::Any };
        let unnamed = Operation::MakeUnnamed { mode: (0o600, 0) };
        let open = Operation::Open { read: true, write: end };
        let entry = Name::new(b"a").unwrap();
        let replace = Operation::Replace { name: entry, replaced: handle, file: handle, open: end };
        for operation in [Operation::Root, open, set, unnamed, replace, Operation::Closed] {
            prop_assert!(round_trip(
                &operation,
                &Outcome::Done,
                |outcome| matches!(outcome, Outcome::Done),
            ));
        }
    }

    #[test]
    fn what_became_of_locks_survives(conflict in conflicts(), granted in any::<bool>()) {
        let cancel = Operation::Locking(Locking::Cancel { session: 1, waiter: 2 });
        prop_assert!(round_trip(
            &cancel,
            &Outcome::Locked(granted),
            |outcome| matches!(outcome, Outcome::Locked(read) if read == granted),
        ));
        let by = LockOwner { session: 1, class: LockClass::Posix, owner: 2 };
        let test = TestLock { by, kind: LockKind::Read, range: LockRange::WHOLE };
        prop_assert!(round_trip(
            &Operation::Locking(Locking::Test(test)),
            &Outcome::Conflict(conflict),
            |outcome| matches!(outcome, Outcome::Conflict(read) if read == conflict),
        ));
    }

    #[test]
    fn recalls_survive(keys in vec(any::<u64>(), 0..=Recall::MAX)) {
        let mut body = [0; Recall::MAX_SIZE];
        let mut encoder = Encoder::new(&mut body);
        Recall::encode(&keys, &mut encoder).unwrap();
        let length = encoder.len();
        let recall = Recall::decode(&body[..length]).unwrap();
        prop_assert_eq!(recall.is_of_all(), keys.is_empty());
        prop_assert_eq!(recall.keys().collect::<Vec<_>>(), keys);
    }

    #[test]
    fn what_is_open_survives(open in vec(any::<bool>(), 0..=Recall::MAX)) {
        let mut files = OpenFiles::default();
        for (place, _) in open.iter().enumerate().filter(|(_, open)| **open) {
            files.add(place);
        }
        prop_assert_eq!(files.is_empty(), !open.contains(&true));
        let mut body = [0; OpenFiles::SIZE];
        let mut encoder = Encoder::new(&mut body);
        files.encode(&mut encoder).unwrap();
        prop_assert_eq!(encoder.len(), OpenFiles::SIZE);
        let read = OpenFiles::decode(&body).unwrap();
        for place in 0..2 * Recall::MAX {
            prop_assert_eq!(read.has(place), open.get(place) == Some(&true));
        }
        prop_assert!(OpenFiles::decode(&[]).unwrap().is_empty());
        prop_assert!(OpenFiles::decode(&body[1..]).is_err());
    }

    #[test]
    fn all_handles_of_a_file_have_one_key(bytes in vec(any::<u8>(), 20..60), other in any::<u8>()) {
        let key = |bytes: &[u8]| Handle::with_identity(bytes, 16).unwrap().identity().key();
        let mut moved = bytes.clone();
        moved.push(other);
        prop_assert_eq!(key(&bytes), key(&moved));
        moved[7] ^= 1;
        prop_assert_ne!(key(&bytes), key(&moved));
    }

    #[test]
    fn listings_survive(
        named in vec((entries(), names()), 0..40), end in any::<bool>(), room in 0usize..8192,
    ) {
        let operation = Operation::ReadDirectory { cookie: 0, limit: 0, plus: true, lease: true };
        let expected: Vec<Entry<'_>> = named
            .iter()
            .map(|(entry, name)| Entry { name: Name::new(name).unwrap(), ..*entry })
            .collect();
        let mut body = vec![0; 2 + ReplyWriter::OUTCOME_HEADER + 1 + room];
        let mut writer = ReplyWriter::new(&mut body).unwrap();
        let mut written = 0;
        writer
            .directory(&operation, |encoder| {
                for entry in &expected {
                    if entry.encode(encoder).is_err() {
                        break;
                    }
                    written += 1;
                }
                Ok(end)
            })
            .unwrap();
        let length = writer.len();
        let mut reader = ReplyReader::new(&body[..length]).unwrap();
        let Ok(Ok(Outcome::Directory { entries, end_of_directory })) = reader.next(&operation)
        else {
            return Err(TestCaseError::fail("not a listing"));
        };
        let read: Result<Vec<_>, _> = entries.collect();
        prop_assert_eq!(read.unwrap(), &expected[..written]);
        prop_assert_eq!(end_of_directory, end);
    }

    #[test]
    fn sizes_of_entries_are_as_announced((entry, name) in (entries(), names())) {
        let entry = Entry { name: Name::new(&name).unwrap(), ..entry };
        let mut buffer = [0; Entry::MAX_SIZE];
        let mut encoder = Encoder::new(&mut buffer);
        entry.encode(&mut encoder).unwrap();
        let length = encoder.len();
        prop_assert!(length >= Entry::MIN_SIZE + name.len());
        let mut decoder = Decoder::new(&buffer[..length]);
        prop_assert_eq!(Entry::decode(&mut decoder), Ok(entry));
        prop_assert_eq!(decoder.finish(), Ok(()));
    }

    #[test]
    fn failures_survive(operations in vec(operations(), 1..10), status in statuses()) {
        prop_assume!(status != Status::Ok);
        let mut body = [0; 1024];
        let mut writer = ReplyWriter::new(&mut body).unwrap();
        for operation in &operations {
            writer.fail(operation, status).unwrap();
        }
        let length = writer.len();
        let mut reader = ReplyReader::new(&body[..length]).unwrap();
        for operation in &operations {
            prop_assert_eq!(reader.next(operation).unwrap().unwrap_err(), status);
        }
        prop_assert_eq!(reader.next(&operations[0]).unwrap_err(), Error::Truncated);
    }
}

#[test]
fn a_request_has_at_most_so_many_operations() {
    let mut body = vec![0; 65536];
    let mut writer = RequestWriter::new(&mut body).unwrap();
    for _ in 0..MAX_OPERATIONS {
        writer.push(&Operation::Root).unwrap();
    }
    assert_eq!(writer.push(&Operation::Root), Err(Error::TooLong));
    let length = writer.len();
    let count = RequestReader::new(&body[..length]).unwrap().count();
    assert_eq!(count, usize::from(MAX_OPERATIONS));
}

#[test]
fn what_does_not_fit_leaves_no_trace() {
    let mut body = [0; 2 + ReplyWriter::OUTCOME_HEADER + 20];
    let mut writer = ReplyWriter::new(&mut body).unwrap();
    writer.push(&Operation::Root, &Outcome::Done).unwrap();
    let before = writer.len();
    let too_long = [b'x'; 30];
    let too_long = Outcome::Target(Target::new(&too_long).unwrap());
    assert_eq!(
        writer.push(&Operation::ReadLink, &too_long),
        Err(Error::TooLong)
    );
    assert_eq!(writer.len(), before);
    let mut reader = ReplyReader::new(&body[..before]).unwrap();
    assert!(matches!(
        reader.next(&Operation::Root),
        Ok(Ok(Outcome::Done))
    ));
    assert_eq!(
        reader.next(&Operation::ReadLink).unwrap_err(),
        Error::Truncated
    );
}
