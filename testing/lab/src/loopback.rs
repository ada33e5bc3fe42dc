// SPDX-License-Identifier: MIT OR Apache-2.0

//! Loop devices: a file that looks like a disk.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Of linux/loop.h.
const LOOP_CTL_GET_FREE: libc::c_ulong = 0x4c82;
const LOOP_CONFIGURE: libc::c_ulong = 0x4c0a;
const LO_FLAGS_AUTOCLEAR: u32 = 4;

/// The size of `struct loop_config`, and where `info.lo_flags` lies in it; the
/// file's descriptor lies at its beginning.
const CONFIG_SIZE: usize = 304;
const CONFIG_FLAGS: usize = 60;

/// A loop device that goes away with its last user.
pub struct Loop {
    /// Keeps the device until something else, a mount, uses it.
    _device: File,
    path: PathBuf,
}

impl Loop {
    /// Makes `image` a disk.
    pub fn attach(image: &Path) -> Result<Self> {
        let image = OpenOptions::new().read(true).write(true).open(image)?;
        let control = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/loop-control")
            .context("cannot open /dev/loop-control")?;
        // SAFETY: this request takes no argument.
        let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE as _) };
        if number < 0 {
            return Err(io::Error::last_os_error()).context("there is no free loop device");
        }
        let path = PathBuf::from(format!("/dev/loop{number}"));
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        let mut config = [0_u8; CONFIG_SIZE];
        config[..4].copy_from_slice(&image.as_raw_fd().to_ne_bytes());
        config[CONFIG_FLAGS..CONFIG_FLAGS + 4].copy_from_slice(&LO_FLAGS_AUTOCLEAR.to_ne_bytes());
        // SAFETY: the request reads a `struct loop_config`, which is `CONFIG_SIZE` bytes.
        let result =
            unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE as _, config.as_ptr()) };
        if result < 0 {
            return Err(io::Error::last_os_error())
                .with_context(|| format!("cannot set up {}", path.display()));
        }
        // A kernel may refuse to mount what somebody could write to at the same time,
        // and the device would go away if nobody had it open.
        let reading = File::open(&path)?;
        drop(device);
        Ok(Self {
            _device: reading,
            path,
        })
    }

    /// The device node.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
