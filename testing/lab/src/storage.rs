// SPDX-License-Identifier: MIT OR Apache-2.0

//! What an exported tree lies on.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};

use crate::fsmount;
use crate::loopback::Loop;
use crate::process;

/// The lower file system of a device.
#[derive(Clone, Debug)]
pub enum Storage {
    /// Memory, at most so many MiB.
    Memory(u32),
    /// A fresh image of so many MiB with this file system, in memory, through a loop device.
    Image(&'static str, u32),
    /// As [`Storage::Image`], in memory of which there is only so much: what is
    /// beyond that cannot be stored.
    Thin(&'static str, u32, u32),
    /// A disk that has a file system already; mounted as it is.
    Disk(PathBuf, &'static str),
}

impl Storage {
    fn backing_of(target: &Path) -> PathBuf {
        target.with_extension("backing")
    }

    fn image_of(target: &Path) -> PathBuf {
        target.with_extension("image")
    }

    /// What the disk of a [`Storage::Thin`] is that is mounted at `target`.
    pub fn thin_image(target: &Path) -> PathBuf {
        Self::backing_of(target).join("image")
    }

    /// Mounts it at `target`.
    pub fn attach(&self, target: &Path) -> Result<()> {
        match self {
            Self::Memory(mib) => {
                let size = format!("{mib}M");
                let options = [
                    ("source", Some("lab")),
                    ("size", Some(size.as_str())),
                    ("mode", Some("0755")),
                    ("nr_inodes", Some("2M")),
                ];
                fsmount::mount("tmpfs", &options, target).context("cannot mount a tmpfs")
            }
            Self::Image(fstype, mib) => attach_image(fstype, *mib, target, &Self::image_of(target)),
            Self::Thin(fstype, mib, memory) => {
                let backing = Self::backing_of(target);
                std::fs::create_dir(&backing)?;
                Self::Memory(*memory).attach(&backing)?;
                attach_image(fstype, *mib, target, &Self::thin_image(target))
            }
            Self::Disk(disk, fstype) => mount_disk(disk, fstype, target),
        }
    }

    /// Mounts it once more, so that the file system has nothing of its files in memory; what is in
    /// memory only is left alone.
    pub fn remount(&self, target: &Path) -> Result<()> {
        if let Self::Image(fstype, _) = self {
            fsmount::umount(target)
                .with_context(|| format!("cannot unmount {}", target.display()))?;
            let disk = Loop::attach(&Self::image_of(target))?;
            mount_disk(disk.path(), fstype, target)?;
        }
        Ok(())
    }

    /// Undoes [`Storage::attach`].
    pub fn detach(&self, target: &Path) -> Result<()> {
        fsmount::umount(target)
            .or_else(|_| fsmount::detach(target))
            .with_context(|| format!("cannot unmount {}", target.display()))?;
        match self {
            Self::Image(..) => std::fs::remove_file(Self::image_of(target))?,
            Self::Thin(..) => {
                let backing = Self::backing_of(target);
                // The loop device may still be letting go of the image.
                fsmount::detach(&backing)?;
                std::fs::remove_dir(&backing)?;
            }
            _ => {}
        }
        Ok(())
    }
}

fn attach_image(fstype: &str, mib: u32, target: &Path, image: &Path) -> Result<()> {
    File::create(image)?.set_len(u64::from(mib) << 20)?;
    let mkfs = format!("mkfs.{fstype}");
    let quiet: &[&str] = match fstype {
        "ext4" => &["-q", "-F"],
        "btrfs" | "xfs" => &["-q", "-f"],
        _ => &[],
    };
    let mut arguments: Vec<&Path> = quiet.iter().map(Path::new).collect();
    arguments.push(image);
    process::run(&mkfs, &arguments)?;
    let disk = Loop::attach(image)?;
    mount_disk(disk.path(), fstype, target)
}

fn mount_disk(disk: &Path, fstype: &str, target: &Path) -> Result<()> {
    let Some(source) = disk.to_str() else {
        bail!("{} is not UTF-8", disk.display());
    };
    fsmount::mount_source(fstype, source, target)
        .with_context(|| format!("cannot mount {source} ({fstype})"))
}
