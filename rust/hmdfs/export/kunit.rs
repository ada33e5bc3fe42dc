// SPDX-License-Identifier: GPL-2.0

//! Tests of the export over a file system in memory.

use hmdfs_kapi::vfs::testing::Tree;
use hmdfs_model::security::Access;
use hmdfs_proto::{
    self as proto, Handle, Name, Operation, Outcome, ReplyReader, RequestWriter, Status, Target,
};
use kernel::{prelude::*, sync::Arc};

use super::{Client, Export, Replay, Response};

/// A device that asks.
struct Device {
    access: Access,
    level: Option<u8>,
}

impl Client for Device {
    fn access(&self) -> Access {
        self.access
    }

    fn level(&self) -> Option<u8> {
        self.level
    }

    fn replay(&self) -> Option<(&Replay, u64)> {
        None
    }
}

/// One that may read all but the most sensitive files.
const TRUSTED: Device = Device {
    access: Access::Read,
    level: Some(3),
};

const KEY: [u8; 16] = *b"0123456789abcdef";

const READ_ALL: Operation<'static> = Operation::Read {
    offset: 0,
    length: proto::MAX_DATA,
};

fn walk(name: &[u8]) -> Operation<'_> {
    // A name that is not one is found out by the test.
    Name::new(name).map_or(Operation::Other(0), Operation::Walk)
}

fn export(tree: &Tree) -> Result<Arc<Export>> {
    Ok(Export::new(tree.root(), KEY)?)
}

fn request(operations: &[Operation<'_>]) -> Result<KVVec<u8>> {
    let mut body = KVVec::from_elem(0, 4096, GFP_KERNEL)?;
    let mut writer = RequestWriter::new(&mut body).map_err(|_| EINVAL)?;
    for operation in operations {
        writer.push(operation).map_err(|_| EINVAL)?;
    }
    let length = writer.len();
    body.truncate(length);
    Ok(body)
}

fn call(export: &Export, device: &Device, operations: &[Operation<'_>]) -> Result<Response> {
    Export::compound(Ok(export), device, &request(operations)?, None)
        .map_err(|_| EINVAL)?
        .ok_or(EIO)
}

/// The status of the first operation that failed, or `Ok`.
fn status(response: &Response, operations: &[Operation<'_>]) -> Result<Status> {
    let mut reader = ReplyReader::new(&response.body).map_err(|_| EINVAL)?;
    for operation in operations {
        if let Err(status) = reader.next(operation).map_err(|_| EINVAL)? {
            return Ok(status);
        }
    }
    Ok(Status::Ok)
}

fn call_status(export: &Export, device: &Device, operations: &[Operation<'_>]) -> Result<Status> {
    status(&call(export, device, operations)?, operations)
}

/// The outcome of the last operation, when all succeeded.
fn last<'a>(response: &'a Response, operations: &[Operation<'_>]) -> Result<Outcome<'a>> {
    let mut reader = ReplyReader::new(&response.body).map_err(|_| EINVAL)?;
    let mut last = Err(EINVAL);
    for operation in operations {
        last = match reader.next(operation) {
            Ok(Ok(outcome)) => Ok(outcome),
            _ => return Err(EIO),
        };
    }
    last
}

fn handle(export: &Export, path: &[&[u8]]) -> Result<Handle> {
    let mut operations = KVec::new();
    operations.push(Operation::Root, GFP_KERNEL)?;
    for name in path {
        operations.push(walk(name), GFP_KERNEL)?;
    }
    operations.push(Operation::GetHandle, GFP_KERNEL)?;
    match last(&call(export, &TRUSTED, &operations)?, &operations)? {
        Outcome::Handle(handle) => Ok(handle),
        _ => Err(EINVAL),
    }
}

/// Lists a directory in pieces, and gives the names in order.
fn list(
    export: &Export,
    directory: Handle,
    limit: u32,
    plus: bool,
    mut between: impl FnMut(usize) -> Result,
) -> Result<KVVec<KVec<u8>>> {
    let mut names = KVVec::new();
    let mut cookie = 0;
    for piece in 0.. {
        let operations = [
            Operation::File(directory),
            Operation::ReadDirectory {
                cookie,
                limit,
                plus,
                lease: false,
            },
        ];
        let response = call(export, &TRUSTED, &operations)?;
        let Outcome::Directory {
            entries,
            end_of_directory,
        } = last(&response, &operations)?
        else {
            return Err(EINVAL);
        };
        let before = names.len();
        for entry in entries {
            let entry = entry.map_err(|_| EINVAL)?;
            if entry.node.is_some() != plus {
                return Err(ENXIO);
            }
            let mut name = KVec::new();
            name.extend_from_slice(entry.name.as_bytes(), GFP_KERNEL)?;
            names.push(name, GFP_KERNEL)?;
            cookie = entry.next;
        }
        if end_of_directory {
            break;
        }
        // A piece that is not the last one must lead on.
        if names.len() == before {
            return Err(EIO);
        }
        between(piece)?;
    }
    Ok(names)
}

fn pattern(length: usize) -> Result<KVVec<u8>> {
    let mut bytes = KVVec::with_capacity(length, GFP_KERNEL)?;
    for index in 0..length {
        bytes.push((index % 251) as u8, GFP_KERNEL)?;
    }
    Ok(bytes)
}

#[kunit_tests(hmdfs_export)]
mod tests {
    use super::*;
    use crate::export::Refusal;
    use hmdfs_kapi::vfs::testing::{create, mkdir, setxattr, symlink, unlink};
    use kernel::str::CString;

    #[test]
    fn a_walk_an_open_and_a_read_are_one_compound() -> Result {
        let tree = Tree::new()?;
        let content = pattern(300_000)?;
        let album = mkdir(&tree.root(), c"album")?;
        create(&album, c"photo", 0o640, &content)?;
        let export = export(&tree)?;
        let operations = [
            Operation::Root,
            walk(b"album"),
            walk(b"photo"),
            Operation::GetHandle,
            Operation::GetAttributes,
            Operation::Open {
                read: true,
                write: false,
            },
            READ_ALL,
        ];
        let response = call(&export, &TRUSTED, &operations)?;
        assert!(response.status == Status::Ok);
        match last(&response, &operations[..5])? {
            Outcome::Attributes(attributes) => {
                assert!(attributes.mode == 0o100_640);
                assert!(attributes.size == 300_000);
                assert!(attributes.nlink == 1);
            }
            _ => return Err(EINVAL),
        }
        match last(&response, &operations)? {
            Outcome::Read {
                length,
                end_of_file,
            } => {
                assert!(length == 300_000);
                assert!(end_of_file);
            }
            _ => return Err(EINVAL),
        }
        let data = response.data.ok_or(EIO)?;
        assert!(data.len() == 300_000);
        assert!(data.copy()?[..] == content[..]);
        Ok(())
    }

    #[test]
    fn reads_end_at_the_end_of_the_file() -> Result {
        let tree = Tree::new()?;
        let content = pattern(10_000)?;
        create(&tree.root(), c"file", 0o600, &content)?;
        let export = export(&tree)?;
        let file = handle(&export, &[b"file"])?;
        for (offset, asked, expected, end) in [
            (0_u64, 4096_u32, 4096_usize, false),
            (5000, 5000, 5000, true),
            (9999, 4096, 1, true),
            (10_000, 1, 0, true),
            (i64::MAX as u64, 4096, 0, true),
            (0, 0, 0, false),
        ] {
            let operations = [
                Operation::File(file),
                Operation::Read {
                    offset,
                    length: asked,
                },
            ];
            let response = call(&export, &TRUSTED, &operations)?;
            match last(&response, &operations)? {
                Outcome::Read {
                    length,
                    end_of_file,
                } => {
                    assert!(length as usize == expected);
                    assert!(end_of_file == end);
                }
                _ => return Err(EINVAL),
            }
            let data = response.data.ok_or(EIO)?.copy()?;
            let start = content.len().min(offset as usize);
            assert!(data[..] == content[start..start + expected]);
        }
        Ok(())
    }

    #[test]
    fn a_handle_that_was_changed_is_stale() -> Result {
        let tree = Tree::new()?;
        create(&tree.root(), c"file", 0o600, b"content")?;
        let export = export(&tree)?;
        let file = handle(&export, &[b"file"])?;
        for index in 0..file.as_bytes().len() {
            let mut bytes = KVec::new();
            bytes.extend_from_slice(file.as_bytes(), GFP_KERNEL)?;
            bytes[index] ^= 1;
            let forged = Handle::new(&bytes).map_err(|_| EINVAL)?;
            let operations = [Operation::File(forged), Operation::GetAttributes];
            assert!(call_status(&export, &TRUSTED, &operations)? == Status::ESTALE);
        }
        Ok(())
    }

    #[test]
    fn a_file_outside_of_the_share_is_stale() -> Result {
        let tree = Tree::new()?;
        let share = mkdir(&tree.root(), c"share")?;
        let inside = create(&share, c"inside", 0o600, b"mine")?;
        let outside = create(&tree.root(), c"outside", 0o600, b"not mine")?;
        let whole = export(&tree)?;
        let export = Export::new(share, KEY)?;

        // Well authenticated, as if the file had been moved out since.
        let handle_inside = export.handles.encode(&inside)?;
        let handle_outside = export.handles.encode(&outside)?;
        let operations = [Operation::File(handle_inside), Operation::GetAttributes];
        assert!(call_status(&export, &TRUSTED, &operations)? == Status::Ok);
        let operations = [Operation::File(handle_outside), Operation::GetAttributes];
        assert!(call_status(&export, &TRUSTED, &operations)? == Status::ESTALE);

        // Of another share with the same key.
        let other = whole.handles.encode(&inside)?;
        let operations = [Operation::File(other), Operation::GetAttributes];
        assert!(call_status(&whole, &TRUSTED, &operations)? == Status::Ok);
        assert!(call_status(&export, &TRUSTED, &operations)? == Status::ESTALE);
        Ok(())
    }

    #[test]
    fn a_deleted_file_is_stale() -> Result {
        let tree = Tree::new()?;
        create(&tree.root(), c"file", 0o600, b"content")?;
        let export = export(&tree)?;
        let operations = [Operation::File(handle(&export, &[b"file"])?), READ_ALL];
        assert!(call_status(&export, &TRUSTED, &operations)? == Status::Ok);
        unlink(&tree.root(), c"file")?;
        // Although it is kept open.
        assert!(call_status(&export, &TRUSTED, &operations)? == Status::ESTALE);
        Ok(())
    }

    #[test]
    fn labels_and_levels_decide_over_content() -> Result {
        let tree = Tree::new()?;
        let root = tree.root();
        create(&root, c"plain", 0o600, b"x")?;
        for (name, label) in [
            (c"public", &b"s0"[..]),
            (c"little", b"S1"),
            (c"most", b"s4"),
            (c"strange", b"secret"),
        ] {
            let file = create(&root, name, 0o600, b"x")?;
            setxattr(&file, c"user.hmdfs.label", label)?;
        }
        let export = export(&tree)?;
        for (name, lowest) in [
            (&b"public"[..], Some(1)),
            (b"little", Some(1)),
            (b"plain", Some(3)),
            (b"most", Some(4)),
            (b"strange", None),
        ] {
            for level in [
                None,
                Some(0),
                Some(1),
                Some(2),
                Some(3),
                Some(4),
                Some(5),
                Some(6),
            ] {
                let device = Device {
                    access: Access::Read,
                    level,
                };
                let seen = [Operation::Root, walk(name), Operation::GetAttributes];
                assert!(call_status(&export, &device, &seen)? == Status::Ok);
                let allowed = match (level, lowest) {
                    (Some(level @ 1..=5), Some(lowest)) => level >= lowest,
                    _ => false,
                };
                let expected = if allowed { Status::Ok } else { Status::EACCES };
                let opened = [
                    Operation::Root,
                    walk(name),
                    Operation::Open {
                        read: true,
                        write: false,
                    },
                ];
                assert!(call_status(&export, &device, &opened)? == expected);
                // The file may be open by now, for somebody else.
                let read = [Operation::Root, walk(name), READ_ALL];
                assert!(call_status(&export, &device, &read)? == expected);
            }
        }
        Ok(())
    }

    #[test]
    fn a_device_without_access_gets_nothing() -> Result {
        let tree = Tree::new()?;
        let export = export(&tree)?;
        let device = Device {
            access: Access::None,
            level: Some(5),
        };
        for operation in [
            Operation::Root,
            Operation::StatFileSystem,
            Operation::Other(77),
        ] {
            assert!(call_status(&export, &device, &[operation])? == Status::EACCES);
        }
        Ok(())
    }

    #[test]
    fn root_has_no_more_rights_than_files_give() -> Result {
        let tree = Tree::new()?;
        create(&tree.root(), c"closed", 0, b"x")?;
        let export = export(&tree)?;
        let open = Operation::Open {
            read: true,
            write: false,
        };
        let operations = [Operation::Root, walk(b"closed"), open];
        assert!(call_status(&export, &TRUSTED, &operations)? == Status::EACCES);
        Ok(())
    }

    #[test]
    fn symbolic_links_are_read_and_not_followed() -> Result {
        let tree = Tree::new()?;
        mkdir(&tree.root(), c"directory")?;
        symlink(&tree.root(), c"link", c"directory/../directory")?;
        let export = export(&tree)?;
        let operations = [Operation::Root, walk(b"link"), Operation::ReadLink];
        let response = call(&export, &TRUSTED, &operations)?;
        match last(&response, &operations)? {
            Outcome::Target(target) => assert!(target.as_bytes() == b"directory/../directory"),
            _ => return Err(EINVAL),
        }
        let through = [Operation::Root, walk(b"link"), walk(b"x")];
        assert!(call_status(&export, &TRUSTED, &through)? == Status::ENOTDIR);
        let opened = [
            Operation::Root,
            walk(b"link"),
            Operation::Open {
                read: true,
                write: false,
            },
        ];
        assert!(call_status(&export, &TRUSTED, &opened)? == Status::ELOOP);
        // The default label is too high for this one.
        let device = Device {
            access: Access::Read,
            level: Some(2),
        };
        assert!(call_status(&export, &device, &operations)? == Status::EACCES);
        Ok(())
    }

    #[test]
    fn nothing_is_made_in_what_is_no_directory() -> Result {
        let tree = Tree::new()?;
        mkdir(&tree.root(), c"directory")?;
        symlink(&tree.root(), c"link", c"directory")?;
        create(&tree.root(), c"program", 0o777, b"")?;
        let export = export(&tree)?;
        let writer = Device {
            access: Access::Write,
            level: Some(4),
        };
        let name = Name::new(b"x").map_err(|_| EINVAL)?;
        let target = Target::new(b"y").map_err(|_| EINVAL)?;
        // Everybody may execute both, which for a directory means to look names up.
        for place in [&b"link"[..], b"program"] {
            for made in [
                Operation::MakeDirectory {
                    name,
                    mode: (0o755, 0),
                },
                Operation::MakeLink { name, target },
                Operation::Create {
                    name,
                    mode: (0o644, 0),
                    exclusive: true,
                },
            ] {
                let operations = [Operation::Root, walk(place), made];
                assert!(call_status(&export, &writer, &operations)? == Status::ENOTDIR);
            }
        }
        Ok(())
    }

    #[test]
    fn listings_in_pieces_are_complete() -> Result {
        let tree = Tree::new()?;
        let directory = mkdir(&tree.root(), c"many")?;
        for number in 0..300 {
            let name = CString::try_from_fmt(fmt!("file number {number}"))?;
            create(&directory, &name, 0o600, b"")?;
        }
        let export = export(&tree)?;
        let directory = handle(&export, &[b"many"])?;
        for (limit, plus) in [
            (0, false),
            (1, true),
            (1000, false),
            (4096, true),
            (u32::MAX, true),
        ] {
            let mut names = list(&export, directory, limit, plus, |_| Ok(()))?;
            names.sort_unstable_by(|a, b| a[..].cmp(&b[..]));
            assert!(names.len() == 300);
            assert!(names.windows(2).all(|pair| pair[0][..] != pair[1][..]));
        }
        // Without what is kept from one request to the next, too.
        let names = list(&export, directory, 1000, true, |_| {
            export.close_files();
            Ok(())
        })?;
        assert!(names.len() == 300);
        Ok(())
    }

    #[test]
    fn listings_go_on_while_files_are_deleted() -> Result {
        let tree = Tree::new()?;
        let directory = mkdir(&tree.root(), c"many")?;
        for number in 0..100 {
            let name = CString::try_from_fmt(fmt!("{number}"))?;
            create(&directory, &name, 0o600, b"")?;
        }
        let export = export(&tree)?;
        let listed = handle(&export, &[b"many"])?;
        let names = list(&export, listed, 1, true, |piece| {
            // Every other one of the first fifty.
            if piece < 25 {
                let name = CString::try_from_fmt(fmt!("{}", piece * 2))?;
                unlink(&directory, &name)?;
            }
            Ok(())
        })?;
        // What was there all the time is listed exactly once.
        for number in 0..100 {
            if number >= 50 || number % 2 == 1 {
                let name = CString::try_from_fmt(fmt!("{number}"))?;
                let count = names
                    .iter()
                    .filter(|listed| listed[..] == *name.to_bytes())
                    .count();
                assert!(count == 1);
            }
        }
        Ok(())
    }

    #[test]
    fn nonsense_is_refused() -> Result {
        let tree = Tree::new()?;
        let export = export(&tree)?;
        assert!(Export::compound(Ok(&*export), &TRUSTED, &[], None).is_err());
        assert!(Export::compound(Ok(&*export), &TRUSTED, &[1, 0], None).is_err());
        assert!(Export::compound(Ok(&*export), &TRUSTED, &[0xff; 100], None).is_err());
        for (operations, expected) in [
            (&[Operation::GetAttributes][..], Status::EBADF),
            (&[Operation::Other(99)], Status::EOPNOTSUPP),
            (&[Operation::Root, walk(b"missing")], Status::ENOENT),
            (
                &[
                    Operation::Root,
                    Operation::Open {
                        read: true,
                        write: false,
                    },
                ],
                Status::EISDIR,
            ),
            (&[Operation::Root, Operation::ReadLink], Status::EINVAL),
        ] {
            assert!(call_status(&export, &TRUSTED, operations)? == expected);
        }
        // Nothing is done after the first failure.
        let operations = [Operation::Root, walk(b"missing"), Operation::Root];
        let response = call(&export, &TRUSTED, &operations)?;
        let mut reader = ReplyReader::new(&response.body).map_err(|_| EINVAL)?;
        assert!(matches!(reader.next(&operations[0]), Ok(Ok(_))));
        assert!(matches!(reader.next(&operations[1]), Ok(Err(_))));
        assert!(reader.next(&operations[2]).is_err());
        Ok(())
    }

    #[test]
    fn only_directories_are_exported() -> Result {
        let tree = Tree::new()?;
        let file = create(&tree.root(), c"file", 0o600, b"")?;
        assert!(matches!(Export::new(file, KEY), Err(Refusal::NotDirectory)));
        Ok(())
    }

    #[test]
    fn changes_show_in_the_change_attribute() -> Result {
        let tree = Tree::new()?;
        create(&tree.root(), c"file", 0o600, b"one")?;
        let export = export(&tree)?;
        let operations = [Operation::Root, walk(b"file"), Operation::GetAttributes];
        let change = || -> Result<u64> {
            match last(&call(&export, &TRUSTED, &operations)?, &operations)? {
                Outcome::Attributes(attributes) => Ok(attributes.change),
                _ => Err(EINVAL),
            }
        };
        let before = change()?;
        assert!(change()? == before);
        create(&tree.root(), c"file", 0o600, b"two")?;
        assert!(change()? != before);
        Ok(())
    }

    fn name(bytes: &[u8]) -> Result<Name<'_>> {
        Name::new(bytes).map_err(|_| EINVAL)
    }

    /// One that may change what it may read.
    const WRITER: Device = Device {
        access: Access::Write,
        level: Some(3),
    };

    #[test]
    fn the_umask_is_the_clients() -> Result {
        let tree = Tree::new()?;
        let export = export(&tree)?;
        for (index, (mode, umask)) in [(0o666, 0), (0o777, 0o027), (0o666, 0o777), (0o1777, 0o022)]
            .into_iter()
            .enumerate()
        {
            let file = CString::try_from_fmt(fmt!("file {index}"))?;
            let create = [
                Operation::Root,
                Operation::Create {
                    name: name(file.to_bytes())?,
                    mode: (mode, umask),
                    exclusive: true,
                },
                Operation::GetAttributes,
            ];
            match last(&call(&export, &WRITER, &create)?, &create)? {
                Outcome::Attributes(attributes) => {
                    assert!(attributes.mode & 0o7777 == mode & !umask);
                }
                _ => return Err(EINVAL),
            }
        }
        Ok(())
    }

    #[test]
    fn what_was_removed_can_be_looked_at() -> Result {
        let tree = Tree::new()?;
        create(&tree.root(), c"file", 0o600, b"content")?;
        let export = export(&tree)?;
        let file = handle(&export, &[b"file"])?;
        let operations = [
            Operation::Root,
            Operation::Remove {
                name: name(b"file")?,
                file,
                directory: false,
                open: false,
            },
            Operation::GetAttributes,
        ];
        match last(&call(&export, &WRITER, &operations)?, &operations)? {
            Outcome::Attributes(attributes) => {
                assert!(attributes.nlink == 0);
                assert!(attributes.size == 7);
            }
            _ => return Err(EINVAL),
        }
        assert!(call_status(&export, &WRITER, &operations)? == Status::ENOENT);
        let gone = [Operation::File(file), Operation::GetAttributes];
        assert!(call_status(&export, &WRITER, &gone)? == Status::ESTALE);
        Ok(())
    }

    #[test]
    fn who_may_only_read_changes_nothing() -> Result {
        let tree = Tree::new()?;
        create(&tree.root(), c"file", 0o666, b"content")?;
        let export = export(&tree)?;
        let file = handle(&export, &[b"file"])?;
        let root = handle(&export, &[])?;
        let new = name(b"new")?;
        let attribute = proto::AttributeName::new(b"user.x").map_err(|_| EINVAL)?;
        for change in [
            Operation::Create {
                name: new,
                mode: (0o666, 0),
                exclusive: false,
            },
            Operation::MakeDirectory {
                name: new,
                mode: (0o777, 0),
            },
            Operation::Link { name: new, file },
            Operation::Remove {
                name: name(b"file")?,
                file,
                directory: false,
                open: false,
            },
            Operation::Rename {
                name: name(b"file")?,
                file,
                new_directory: root,
                new_name: new,
                flags: proto::RenameFlags::Replace,
                open: false,
            },
            Operation::SetAttributes(proto::SetAttributes {
                mode: Some(0o600),
                ..proto::SetAttributes::default()
            }),
            Operation::SetExtended {
                name: attribute,
                value: b"y",
                mode: proto::SetMode::Any,
            },
            Operation::RemoveExtended(attribute),
        ] {
            let operations = [Operation::Root, change];
            assert!(call_status(&export, &TRUSTED, &operations)? == Status::EROFS);
        }
        // What exists is found all the same.
        let existing = [
            Operation::Root,
            Operation::Create {
                name: name(b"file")?,
                mode: (0o666, 0),
                exclusive: false,
            },
        ];
        match last(&call(&export, &TRUSTED, &existing)?, &existing)? {
            Outcome::Created(created) => assert!(!created),
            _ => return Err(EINVAL),
        }
        Ok(())
    }
}
