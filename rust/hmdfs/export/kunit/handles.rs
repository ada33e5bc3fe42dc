// SPDX-License-Identifier: GPL-2.0

//! What handles lead to, and what can be exported.

#[kernel::prelude::kunit_tests(hmdfs_export_handles)]
mod tests {
    use crate::export::kunit::*;
    use crate::export::Refusal;
    use hmdfs_kapi::vfs::testing::{create, mkdir, unlink};

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
    fn only_directories_are_exported() -> Result {
        let tree = Tree::new()?;
        let file = create(&tree.root(), c"file", 0o600, b"")?;
        assert!(matches!(Export::new(file, KEY), Err(Refusal::NotDirectory)));
        Ok(())
    }
}
