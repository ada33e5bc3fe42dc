// SPDX-License-Identifier: GPL-2.0

//! Making and removing files.

#[kernel::prelude::kunit_tests(hmdfs_export_names)]
mod tests {
    use crate::export::kunit::*;
    use hmdfs_kapi::vfs::testing::{create, mkdir, symlink};
    use hmdfs_proto::Target;
    use kernel::str::CString;

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
        let name = name(b"x")?;
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
}
