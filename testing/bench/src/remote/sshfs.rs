// SPDX-License-Identifier: MIT OR Apache-2.0

//! sshfs: the SFTP of OpenSSH, and FUSE.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use lab::process;

use super::{wait_for_port, Server, Stage};
use crate::local::FOLDER;
use crate::measure::{drop_caches, Hooks};
use crate::network::{Shape, OWNER};
use crate::system::System;

const PORT: u16 = 22;

/// Server and client.
pub struct Sshfs {
    stage: Stage,
    _server: Server,
    mounted: std::cell::Cell<bool>,
}

impl Sshfs {
    /// With its defaults, and the cipher that the others use, too.
    pub fn set_up(shape: Shape) -> Result<Self> {
        let stage = Stage::set_up(shape)?;
        for key in ["ssh_host", "ssh_reader"] {
            let path = format!("{FOLDER}/{key}");
            if !Path::new(&path).exists() {
                process::run(
                    "ssh-keygen",
                    &["-q", "-t", "ed25519", "-N", "", "-f", &path],
                )?;
            }
        }
        // sshd gives up its privileges into this folder.
        fs::create_dir_all("/run/sshd")?;
        let configuration = format!("{FOLDER}/sshd_config");
        fs::write(
            &configuration,
            format!(
                "ListenAddress {OWNER}:{PORT}\nHostKey {FOLDER}/ssh_host\n\
                 AuthorizedKeysFile {FOLDER}/ssh_reader.pub\nStrictModes no\nUsePAM no\n\
                 PermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\n\
                 PidFile none\n"
            ),
        )?;
        let server = Server::start("/usr/sbin/sshd", &["-D", "-e", "-f", &configuration])?;
        let system = Self {
            stage,
            _server: server,
            mounted: std::cell::Cell::new(false),
        };
        wait_for_port(PORT, &system._server)?;
        system.mount()?;
        Ok(system)
    }

    fn mount(&self) -> Result<()> {
        let options = format!(
            "IdentityFile={FOLDER}/ssh_reader,StrictHostKeyChecking=no,\
             UserKnownHostsFile=/dev/null,LogLevel=ERROR,Ciphers=aes128-gcm@openssh.com"
        );
        let source = format!("root@{OWNER}:{}", self.stage.export.display());
        let target = self.stage.mount.to_string_lossy().into_owned();
        self.stage
            .reader_runs("sshfs", &[&source, &target, "-o", &options])?;
        self.mounted.set(true);
        Ok(())
    }
}

impl Drop for Sshfs {
    fn drop(&mut self) {
        if self.mounted.get() {
            self.stage.umount();
        }
    }
}

impl Hooks for Sshfs {
    // It caches names in its own process, which nobody else can drop.
    fn cold(&self) -> Result<()> {
        self.mounted.set(false);
        self.stage.umount();
        drop_caches()?;
        self.mount()
    }
}

impl System for Sshfs {
    fn root(&self) -> PathBuf {
        self.stage.mount.join("work")
    }

    fn owner(&self) -> PathBuf {
        self.stage.export.join("work")
    }
}
