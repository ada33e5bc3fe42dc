// SPDX-License-Identifier: GPL-2.0

//! Compounds as such.

#[kernel::prelude::kunit_tests(hmdfs_export_compound)]
mod tests {
    use crate::export::kunit::*;
    use hmdfs_kapi::vfs::testing::{create, mkdir};

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
}
