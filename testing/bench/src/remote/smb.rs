// SPDX-License-Identifier: MIT OR Apache-2.0

//! SMB 3.1.1 of the kernel (ksmbd and cifs), plain (signed as by default) and sealed.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use lab::process;

use super::{wait_for_port, Server, Stage};
use crate::local::FOLDER;
use crate::measure::{drop_caches, Hooks};
use crate::network::{Shape, OWNER};
use crate::system::System;

const PORT: u16 = 445;
const PASSWORD: &str = "bench";

/// Server and client.
pub struct Smb {
    stage: Stage,
    _server: Server,
    mounted: bool,
}

impl Smb {
    /// With leases, which is how SMB caches. The server allocates and clears "smb2 max trans" bytes for
    /// each compound request, 1 MiB by default: with the least, 64 KiB, it is faster.
    pub fn set_up(shape: Shape, sealed: bool) -> Result<Self> {
        let stage = Stage::set_up(shape)?;
        fs::create_dir_all("/etc/ksmbd")?;
        fs::write(
            "/etc/ksmbd/ksmbd.conf",
            format!(
                "[global]\n\tnetbios name = TABLET\n\tinterfaces = bench0\n\
                 \tbind interfaces only = yes\n\tserver min protocol = SMB3_11\n\
                 \tsmb2 leases = yes\n\tsmb2 max trans = 64K\n\ttcp port = {PORT}\n\
                 [bench]\n\tpath = {}\n\tread only = no\n\tguest ok = no\n",
                stage.export.display()
            ),
        )?;
        fs::write("/etc/ksmbd/ksmbdpwd.db", "")?;
        process::run("/usr/sbin/ksmbd.adduser", &["-a", "-p", PASSWORD, "root"])
            .context("no user for SMB")?;
        let server = Server::start("/usr/sbin/ksmbd.mountd", &["-n"])?;
        let mut system = Self {
            stage,
            _server: server,
            mounted: false,
        };
        wait_for_port(PORT, &system._server)?;
        let seal = if sealed { ",seal" } else { "" };
        let options = format!("username=root,password={PASSWORD},vers=3.1.1,mfsymlinks{seal}");
        let target = system.stage.mount.to_string_lossy().into_owned();
        let source = format!("//{OWNER}/bench");
        system
            .stage
            .reader_runs("/sbin/mount.cifs", &[&source, &target, "-o", &options])?;
        system.mounted = true;
        Ok(system)
    }
}

impl Drop for Smb {
    fn drop(&mut self) {
        if self.mounted {
            self.stage.umount();
        }
        if let Err(error) = process::run("/usr/sbin/ksmbd.control", &["-s"]) {
            eprintln!("bench: {error:#}");
        }
        let _ = fs::remove_file(format!("{FOLDER}/ksmbd.mountd.log"));
    }
}

impl Hooks for Smb {
    fn cold(&self) -> Result<()> {
        drop_caches()
    }

    fn round_trips(&self) -> Option<Result<u64>> {
        let stats = fs::read_to_string("/proc/fs/cifs/Stats").context("no statistics of SMB");
        Some(stats.map(|stats| requests(&stats)))
    }
}

/// The requests of all shares: lines `SMBs: COUNT`.
fn requests(stats: &str) -> u64 {
    stats
        .lines()
        .filter_map(|line| line.trim().strip_prefix("SMBs: "))
        .filter_map(|count| count.split(' ').next()?.parse::<u64>().ok())
        .sum()
}

impl System for Smb {
    fn root(&self) -> PathBuf {
        self.stage.mount.join("work")
    }

    fn owner(&self) -> PathBuf {
        self.stage.export.join("work")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_found() {
        assert_eq!(
            requests("1) \\\\x\\y\nSMBs: 12\nBytes read: 0\nSMBs: 3\n"),
            15
        );
    }
}
