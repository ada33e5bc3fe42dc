// SPDX-License-Identifier: GPL-2.0

//! Reading data, links and attributes.

#[kernel::prelude::kunit_tests(hmdfs_export_read)]
mod tests {
    use crate::export::kunit::*;
    use hmdfs_kapi::vfs::testing::{create, mkdir, symlink};

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
}
