// SPDX-License-Identifier: GPL-2.0

//! Listings.

#[kernel::prelude::kunit_tests(hmdfs_export_directory)]
mod tests {
    use crate::export::kunit::*;
    use hmdfs_kapi::vfs::testing::{create, mkdir, unlink};
    use kernel::str::CString;

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
}
