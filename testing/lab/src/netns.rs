// SPDX-License-Identifier: MIT OR Apache-2.0

//! Network namespaces: what makes one kernel look like many machines.

use std::fs::File;
use std::path::PathBuf;
use std::thread;

use anyhow::{anyhow, Context, Result};
use rustix::thread::{move_into_link_name_space, LinkNameSpaceType};

use crate::process;

/// All namespaces made here carry this prefix, so that leftovers are recognised.
const PREFIX: &str = "lab-";
const FOLDER: &str = "/run/netns";

/// A named network namespace, deleted when dropped.
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes an empty namespace with its loopback device up.
    pub fn create(name: &str) -> Result<Self> {
        let name = format!("{PREFIX}{name}");
        process::run("ip", &["netns", "add", &name])?;
        let namespace = Self { name };
        namespace.ip("link set lo up\n")?;
        Ok(namespace)
    }

    /// The name as `ip netns` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip` commands, one on each line, inside the namespace.
    pub fn ip(&self, batch: &str) -> Result<()> {
        process::run_with_input("ip", &["-n", &self.name, "-batch", "-"], batch)
            .with_context(|| format!("in the network namespace {}:\n{batch}", self.name))?;
        Ok(())
    }

    /// Runs `tc` with `arguments` inside the namespace.
    pub fn tc(&self, arguments: &[&str]) -> Result<()> {
        let mut all = vec!["-n", self.name.as_str()];
        all.extend(arguments);
        process::run("tc", &all)?;
        Ok(())
    }

    /// Runs `work` in a thread that lives in this namespace. Mounts and sockets
    /// that it makes, and programs that it starts, belong to the namespace.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        self.entrance().enter(work)
    }

    /// The way in, for a thread that may outlive the namespace.
    pub fn entrance(&self) -> Entrance {
        Entrance(PathBuf::from(FOLDER).join(&self.name))
    }
}

/// The way into a namespace.
pub struct Entrance(PathBuf);

impl Entrance {
    /// As [`Namespace::enter`].
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let path = &self.0;
        thread::scope(|scope| {
            scope
                .spawn(move || {
                    let namespace = File::open(path)
                        .with_context(|| format!("cannot open {}", path.display()))?;
                    move_into_link_name_space(
                        std::os::fd::AsFd::as_fd(&namespace),
                        Some(LinkNameSpaceType::Network),
                    )
                    .with_context(|| format!("cannot enter {}", path.display()))?;
                    work()
                })
                .join()
                .map_err(|_| anyhow!("a thread inside a network namespace panicked"))?
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = process::run("ip", &["netns", "del", &self.name]) {
            eprintln!("lab: {error:#}");
        }
    }
}

/// Deletes the namespaces that an interrupted run left behind.
pub fn delete_leftovers() -> Result<()> {
    let Ok(entries) = std::fs::read_dir(FOLDER) else {
        return Ok(());
    };
    for entry in entries {
        if let Some(name) = entry?.file_name().to_str() {
            if name.starts_with(PREFIX) {
                process::run("ip", &["netns", "del", name])?;
            }
        }
    }
    Ok(())
}
