// SPDX-License-Identifier: MIT OR Apache-2.0

//! What others have written to check file systems, on the views: `tools/conformance`.
//!
//! Their programs are in that script's guest only, so none of this is part of `lab test`.

use std::fs;
use std::os::unix::fs::{symlink, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{bail, Context, Result};

use crate::fleet::{Fleet, Plan};
use crate::process;
use crate::storage::Storage;
use crate::suite::Group;

mod load;
mod posix;

/// How long one program may take, under emulation.
const LIMIT: Duration = Duration::from_secs(1_500);

/// All groups.
pub fn groups() -> Vec<Group> {
    vec![posix::PJDFSTEST, load::GROUP]
}

/// The viewer, a tablet, and the owner, a laptop that may be written to.
fn fleet() -> Result<Fleet> {
    Plan::with_storage(vec![
        ("tablet", Storage::Image("ext4", 1536)),
        ("laptop", Storage::Image("ext4", 1536)),
    ])
    .policy("laptop", "tablet", "write", 4)
    .start()
}

/// Where a program works.
#[derive(Clone, Copy)]
enum View {
    /// The exported tree itself: what the lower file system does.
    Lower,
    /// The tablet's own files in `device_view/local`.
    Local,
    /// The tablet's own files in `merge_view`.
    MergedLocal,
    /// The laptop's files in the tablet's `device_view`.
    Device,
    /// The laptop's files in the tablet's `merge_view`.
    MergedDevice,
}

impl View {
    /// The directory that is worked in.
    fn name(self) -> &'static str {
        match self {
            Self::Lower => "lower",
            Self::Local => "local",
            Self::MergedLocal => "merged local",
            Self::Device => "device",
            Self::MergedDevice => "merged device",
        }
    }
}

/// A fresh directory, in `view`, that everybody may write to. Its path is short, because the
/// address of a socket has room for 108 bytes.
fn directory(fleet: &Fleet, view: View) -> Result<PathBuf> {
    let tablet = fleet.device("tablet")?;
    let (home, root) = match view {
        View::Lower => (tablet, tablet.export()),
        View::Local => (tablet, tablet.local()),
        View::MergedLocal => (tablet, tablet.merged()),
        View::Device => (fleet.device("laptop")?, tablet.view("laptop")),
        View::MergedDevice => (fleet.device("laptop")?, tablet.merged()),
    };
    let name = view.name();
    let path = home.export().join(name);
    if path.exists() {
        fs::remove_dir_all(&path)?;
    }
    fs::create_dir(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777))?;
    let seen = root.join(name);
    fs::metadata(&seen).with_context(|| format!("{} is not there", seen.display()))?;
    let short = PathBuf::from("/tmp/seen-by-checks");
    if short.is_symlink() {
        fs::remove_file(&short)?;
    }
    symlink(&seen, &short)?;
    Ok(short)
}

/// Runs a program in `directory`; returns all that it wrote, and whether it succeeded.
fn run(program: &str, arguments: &[&str], directory: &Path) -> Result<(String, bool)> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(directory);
    let output = process::output(&mut command, "", LIMIT)?;
    let text = format!("{}{}", output.stdout, output.stderr);
    Ok((text, output.status.success()))
}

/// [`run`] of what must succeed.
fn succeeds(program: &str, arguments: &[&str], directory: &Path) -> Result<()> {
    let (text, success) = run(program, arguments, directory)?;
    if success {
        return Ok(());
    }
    let lines: Vec<&str> = text.lines().collect();
    let end = lines[lines.len().saturating_sub(60)..].join("\n");
    bail!("{program} {}:\n{end}", arguments.join(" "))
}
