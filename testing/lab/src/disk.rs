// SPDX-License-Identifier: MIT OR Apache-2.0

//! The guest's disks, found by the labels of their ext4 file systems.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};

use crate::storage::Storage;

/// Where an ext4 superblock begins, and its fields within.
const SUPERBLOCK: u64 = 1024;
const MAGIC: usize = 0x38;
const LABEL: usize = 0x78;

/// The label of the ext4 file system on `disk`, if it has one.
fn label_of(disk: &Path) -> Option<String> {
    let mut block = [0; 0x100];
    let disk = File::open(disk).ok()?;
    disk.read_exact_at(&mut block, SUPERBLOCK).ok()?;
    if block[MAGIC..MAGIC + 2] != [0x53, 0xef] {
        return None;
    }
    let label = &block[LABEL..LABEL + 16];
    let end = label.iter().position(|byte| *byte == 0).unwrap_or(16);
    String::from_utf8(label[..end].to_vec()).ok()
}

/// The virtio disk whose file system is called `label`.
pub fn storage(label: &str) -> Result<Storage> {
    for entry in fs::read_dir("/sys/block").context("cannot list the disks")? {
        let disk = PathBuf::from("/dev").join(entry?.file_name());
        if label_of(&disk).as_deref() == Some(label) {
            return Ok(Storage::Disk(disk, "ext4"));
        }
    }
    bail!("no disk has an ext4 file system labelled {label}; give the guest one")
}

/// Removes the folder that mkfs made and that nobody would call a file of theirs.
pub fn tidy(root: &Path) -> Result<()> {
    let lost = root.join("lost+found");
    if lost.exists() {
        fs::remove_dir(&lost).with_context(|| format!("cannot remove {}", lost.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        let path = std::env::temp_dir().join(format!("lab-label-{}", std::process::id()));
        let mut disk = vec![0; 4096];
        fs::write(&path, &disk).expect("a file");
        assert_eq!(label_of(&path), None);
        disk[1024 + MAGIC..][..2].copy_from_slice(&[0x53, 0xef]);
        disk[1024 + LABEL..][..6].copy_from_slice(b"tablet");
        fs::write(&path, &disk).expect("a file");
        assert_eq!(label_of(&path).as_deref(), Some("tablet"));
        fs::remove_file(&path).expect("it is there");
    }
}
