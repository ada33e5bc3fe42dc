// SPDX-License-Identifier: MIT OR Apache-2.0

//! Systems on the files of another device. The owner's tree is in memory, so that no disk
//! is measured.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use lab::fsmount;
use lab::process;
use lab::storage::Storage;

use crate::local::FOLDER;
use crate::network::{Cable, Shape, OWNER, OWNER_NAME, READER};

mod hmdfs;
mod nfs;
mod p9;
mod smb;
mod sshfs;

pub use hmdfs::Hmdfs;
pub use nfs::Nfs;
pub use p9::P9;
pub use smb::Smb;
pub use sshfs::Sshfs;

/// MiB of the owner's tree.
const SIZE: u32 = 1024;

/// What all peers need: a cable, a tree, a mount point.
struct Stage {
    cable: Cable,
    storage: Storage,
    export: PathBuf,
    mount: PathBuf,
}

impl Stage {
    fn set_up(shape: Shape) -> Result<Self> {
        let cable = Cable::lay(shape)?;
        let folder = Path::new(FOLDER);
        let (export, mount) = (folder.join("export"), folder.join("mount"));
        fs::create_dir_all(&export)?;
        fs::create_dir_all(&mount)?;
        let storage = Storage::Memory(SIZE);
        storage.attach(&export)?;
        // Certificates carry a name; diod refuses whom it cannot name.
        fs::write(
            "/etc/hosts",
            format!("127.0.0.1 localhost\n{OWNER} {OWNER_NAME}\n{READER} laptop\n"),
        )?;
        Ok(Self {
            cable,
            storage,
            export,
            mount,
        })
    }

    /// Starts a program as the reader.
    fn reader_runs(&self, program: &str, arguments: &[&str]) -> Result<()> {
        self.cable
            .reader(|| process::run(program, arguments).map(drop))
    }

    fn umount(&self) {
        if let Err(error) = fsmount::umount(&self.mount) {
            eprintln!("bench: cannot unmount: {error}; detaching");
            let _ = fsmount::detach(&self.mount);
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Err(error) = self.storage.detach(&self.export) {
            eprintln!("bench: {error:#}");
        }
    }
}

/// A server program, which is stopped when dropped.
struct Server {
    child: Child,
    name: String,
}

impl Server {
    /// Starts it; what it says goes to a log file.
    fn start(program: &str, arguments: &[&str]) -> Result<Self> {
        fs::create_dir_all(FOLDER)?;
        let name = Path::new(program).file_name().unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        let log = File::create(Path::new(FOLDER).join(format!("{name}.log")))?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        Ok(Self { child, name })
    }

    /// The last line of its log, to explain a failure.
    fn last_words(&self) -> String {
        let log = fs::read(Path::new(FOLDER).join(format!("{}.log", self.name)));
        let log = String::from_utf8_lossy(&log.unwrap_or_default()).into_owned();
        let last = log.lines().rev().take(2).collect::<Vec<_>>().join("; ");
        format!("{} said: {last}", self.name)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = process::stop(&mut self.child, Duration::from_secs(5)) {
            eprintln!("bench: cannot stop {}: {error:#}", self.name);
        }
    }
}

/// Waits until something listens on a TCP port of the owner.
fn wait_for_port(port: u16, server: &Server) -> Result<()> {
    lab::wait::until(
        &format!("port {port} to answer"),
        Duration::from_secs(20),
        || Ok(std::net::TcpStream::connect((OWNER, port)).is_ok()),
    )
    .with_context(|| server.last_words())?;
    Ok(())
}
