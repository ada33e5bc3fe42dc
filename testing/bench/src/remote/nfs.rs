// SPDX-License-Identifier: MIT OR Apache-2.0

//! NFS 4.2 of the kernel, plain and over TLS (RFC 9289).

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{bail, Context, Result};
use lab::fsmount;
use lab::process;

use super::{wait_for_port, Server, Stage};
use crate::local::FOLDER;
use crate::measure::{drop_caches, Hooks};
use crate::network::{Shape, OWNER_NAME};
use crate::system::System;

const CONTROL: &str = "/proc/fs/nfsd";
const PORT: u16 = 2049;

/// Server and client.
pub struct Nfs {
    stage: Stage,
    _servers: Vec<Server>,
    running: bool,
    mounted: bool,
}

impl Nfs {
    /// With the options that both sides have by default, except encryption.
    pub fn set_up(shape: Shape, encrypted: bool) -> Result<Self> {
        let stage = Stage::set_up(shape)?;
        let mut system = Self {
            stage,
            _servers: Vec::new(),
            running: false,
            mounted: false,
        };
        system.serve(encrypted)?;
        system.mount(encrypted)?;
        Ok(system)
    }

    fn serve(&mut self, encrypted: bool) -> Result<()> {
        if !Path::new(CONTROL).join("threads").exists() {
            fsmount::mount_source("nfsd", "nfsd", Path::new(CONTROL))
                .context("cannot mount the control files of nfsd")?;
        }
        // Locks and opens of clients from before a restart may be claimed again during a
        // grace period, in which nobody else may open anything: 90 s by default, 10 s at least.
        for time in ["nfsv4leasetime", "nfsv4gracetime"] {
            fs::write(Path::new(CONTROL).join(time), "10")
                .with_context(|| format!("cannot set {time}"))?;
        }
        let security = if encrypted { ",xprtsec=tls" } else { "" };
        fs::create_dir_all("/var/lib/nfs")?;
        for table in ["etab", "rmtab", "xtab"] {
            fs::write(Path::new("/var/lib/nfs").join(table), "")?;
        }
        fs::write(
            "/etc/exports",
            format!(
                "{} *(rw,no_root_squash,no_subtree_check,insecure,fsid=0{security})\n",
                self.stage.export.display()
            ),
        )?;
        // The kernel registers itself there, and waits when nobody answers.
        self._servers
            .push(Server::start("/sbin/rpcbind", &["-f", "-w"])?);
        thread::sleep(Duration::from_millis(300));
        if encrypted {
            certificate()?;
            let arguments = ["-s", "-c", "/etc/tlshd.conf"];
            self._servers
                .push(Server::start("/usr/sbin/tlshd", &arguments)?);
            let reader = self
                .stage
                .cable
                .reader(|| Server::start("/usr/sbin/tlshd", &arguments))?;
            self._servers.push(reader);
        }
        process::run("/usr/sbin/exportfs", &["-r"])?;
        // It tells the kernel what is exported when that asks.
        let mountd = Server::start("/usr/sbin/rpc.mountd", &["-F", "-N", "3"])?;
        process::run("/usr/sbin/rpc.nfsd", &["-N", "3", "-U", "8"])?;
        self.running = true;
        wait_for_port(PORT, &mountd)?;
        self._servers.push(mountd);
        // The grace period passes; the guest's clock jumps over it.
        thread::sleep(Duration::from_secs(11));
        Ok(())
    }

    fn mount(&mut self, encrypted: bool) -> Result<()> {
        let security = if encrypted { ",xprtsec=tls" } else { "" };
        let options = format!("vers=4.2,proto=tcp,sec=sys{security}");
        let target = self.stage.mount.to_string_lossy().into_owned();
        let source = format!("{OWNER_NAME}:/");
        self.stage
            .reader_runs("/sbin/mount.nfs4", &[&source, &target, "-o", &options])?;
        self.mounted = true;
        Ok(())
    }
}

/// A certificate for the owner, which the reader trusts, and the configuration of both ends.
fn certificate() -> Result<()> {
    let (key, certificate) = (
        format!("{FOLDER}/tls.key"),
        format!("{FOLDER}/tls.certificate"),
    );
    let name = format!("subjectAltName=DNS:{OWNER_NAME}");
    let subject = format!("/CN={OWNER_NAME}");
    let made = process::output(
        std::process::Command::new("openssl").args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "3650",
            "-subj",
            &subject,
            "-addext",
            &name,
            "-keyout",
            &key,
            "-out",
            &certificate,
        ]),
        "",
        process::HELPER_LIMIT,
    )?;
    if !made.status.success() {
        bail!("openssl made no certificate: {}", made.stderr.trim());
    }
    fs::write(
        "/etc/tlshd.conf",
        format!(
            "[debug]\nloglevel=0\ntls=0\nnl=0\n[authenticate]\n\
             [authenticate.client]\nx509.truststore={certificate}\n\
             [authenticate.server]\nx509.truststore={certificate}\n\
             x509.certificate={certificate}\nx509.private_key={key}\n"
        ),
    )?;
    Ok(())
}

impl Drop for Nfs {
    fn drop(&mut self) {
        if self.mounted {
            self.stage.umount();
        }
        if self.running {
            for (program, arguments) in [
                ("/usr/sbin/rpc.nfsd", ["0"].as_slice()),
                ("/usr/sbin/exportfs", ["-au"].as_slice()),
                ("/usr/sbin/exportfs", ["-f"].as_slice()),
            ] {
                if let Err(error) = process::run(program, arguments) {
                    eprintln!("bench: {error:#}");
                }
            }
        }
    }
}

impl Hooks for Nfs {
    fn cold(&self) -> Result<()> {
        drop_caches()
    }

    fn round_trips(&self) -> Option<Result<u64>> {
        let stats = fs::read_to_string("/proc/self/mountstats").context("no mount statistics");
        Some(stats.map(|stats| requests(&stats)))
    }
}

/// The requests of all mounts: the field "sends" of `xprt: tcp PORT BINDS CONNECTS TIME IDLE SENDS ...`.
fn requests(mountstats: &str) -> u64 {
    mountstats
        .lines()
        .filter_map(|line| line.trim().strip_prefix("xprt:\ttcp "))
        .filter_map(|fields| fields.split(' ').nth(5)?.parse::<u64>().ok())
        .sum()
}

impl System for Nfs {
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
    fn sends_are_found() {
        let text = "device x mounted\n\txprt:\ttcp 796 1 1 0 3 1234 1230 0 5 6 7\n\tother: 1\n";
        assert_eq!(requests(text), 1234);
    }
}
