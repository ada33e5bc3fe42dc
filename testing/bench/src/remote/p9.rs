// SPDX-License-Identifier: MIT OR Apache-2.0

//! 9P2000.L over TCP: diod and the kernel's client.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{wait_for_port, Server, Stage};
use crate::measure::{drop_caches, Hooks};
use crate::network::{Shape, OWNER};
use crate::system::System;

const PORT: u16 = 564;

/// Server and client.
pub struct P9 {
    stage: Stage,
    _server: Server,
    mounted: bool,
}

impl P9 {
    /// With the most caching that does not show old content: pages, not names.
    pub fn set_up(shape: Shape) -> Result<Self> {
        let stage = Stage::set_up(shape)?;
        let export = stage.export.to_string_lossy().into_owned();
        let listen = format!("{OWNER}:{PORT}");
        let server = Server::start(
            "/usr/sbin/diod",
            &["-f", "-n", "-L", "stderr", "-l", &listen, "-e", &export],
        )?;
        let mut system = Self {
            stage,
            _server: server,
            mounted: false,
        };
        wait_for_port(PORT, &system._server)?;
        // The server offers less than this message size; both take the smaller one.
        let options = format!(
            "trans=tcp,port={PORT},version=9p2000.L,aname={export},uname=root,access=user,\
             msize=1048576,cache=mmap"
        );
        let target = system.stage.mount.to_string_lossy().into_owned();
        let arguments = ["-i", "-t", "9p", "-o", &options, OWNER, &target];
        system
            .stage
            .reader_runs("/bin/mount", &arguments)
            .with_context(|| system._server.last_words())?;
        system.mounted = true;
        Ok(system)
    }
}

impl Drop for P9 {
    fn drop(&mut self) {
        if self.mounted {
            self.stage.umount();
        }
    }
}

impl Hooks for P9 {
    fn cold(&self) -> Result<()> {
        drop_caches()
    }
}

impl System for P9 {
    fn root(&self) -> PathBuf {
        self.stage.mount.join("work")
    }

    fn owner(&self) -> PathBuf {
        self.stage.export.join("work")
    }
}
