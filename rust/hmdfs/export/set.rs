// SPDX-License-Identifier: GPL-2.0

//! Changing attributes of files for other devices.

use hmdfs_kapi::vfs::{Changes, Mask, Path, SetTime, Timespec};
use hmdfs_proto as proto;
use kernel::prelude::*;

use super::{access, label, names::check_mode, Client, Export};

/// Changes attributes of `path`.
pub(super) fn set<C: Client + ?Sized>(
    export: &Export,
    client: &C,
    path: &Path,
    set: &proto::SetAttributes,
) -> Result {
    label::check(export, client, path)?;
    if let Some(mode) = set.mode.filter(|_| !path.is_dir()) {
        check_mode(mode)?;
    }
    let mut writer = None;
    if set.size.is_some() {
        access::check_use(export, client, path, Mask::Write)?;
        if path.is_reg() {
            writer = Some(export.writers.open(path, &export.server)?);
        }
    }
    // A new size is a change of the data, like a write.
    let _turn = writer.as_ref().map(|writer| writer.turn.lock());
    path.set_attributes(&Changes {
        mode: set.mode,
        uid: set.uid,
        gid: set.gid,
        size: set.size,
        atime: set.atime.map(time),
        mtime: set.mtime.map(time),
    })
}

fn time(time: proto::SetTime) -> SetTime {
    match time {
        proto::SetTime::Now => SetTime::Now,
        proto::SetTime::To(time) => SetTime::To(Timespec {
            seconds: time.seconds(),
            nanoseconds: time.nanoseconds(),
        }),
    }
}
