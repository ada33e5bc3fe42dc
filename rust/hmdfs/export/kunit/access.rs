// SPDX-License-Identifier: GPL-2.0

//! Who may do what.

#[kernel::prelude::kunit_tests(hmdfs_export_access)]
mod tests {
    use crate::export::kunit::*;
    use hmdfs_kapi::vfs::testing::{create, setxattr};

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
