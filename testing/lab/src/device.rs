// SPDX-License-Identifier: MIT OR Apache-2.0

//! A device: a network namespace, a tree that it exports, a mount, a daemon.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{anyhow, bail, Context, Result};

use crate::fsmount;
use crate::hmdfsctl::Control;
use crate::netns::Namespace;
use crate::process;
use crate::storage::Storage;

/// Where all that a run makes is found.
pub const FOLDER: &str = "/run/hmdfs-lab";

/// The TCP port of hmdfsd.
pub const PORT: u16 = 20714;

/// Another device, as one device's configuration describes it.
#[derive(Clone, Debug)]
pub struct Peer {
    /// `hm1-...`
    pub id: String,
    /// Its device number.
    pub number: u32,
    /// Its name under `device_view`.
    pub name: String,
    /// Where it listens, `HOST:PORT`.
    pub address: String,
    /// `none`, `read` or `write`: what it may do here.
    pub access: &'static str,
    /// Its security level, 1 to 5.
    pub level: u32,
}

/// One device. Dropping it stops the daemon and unmounts.
pub struct Device {
    name: String,
    folder: PathBuf,
    storage: Option<Storage>,
    namespace: Option<Namespace>,
    daemon: Option<Child>,
    mounted: bool,
}

impl Device {
    /// Makes the folders and the exported tree; nothing runs yet. Without a
    /// namespace the device lives in the one of the caller.
    pub fn create(name: &str, namespace: Option<Namespace>, storage: Storage) -> Result<Self> {
        let folder = Path::new(FOLDER).join(name);
        for part in ["export", "mount", "state"] {
            fs::create_dir_all(folder.join(part))?;
        }
        fs::set_permissions(folder.join("state"), fs::Permissions::from_mode(0o700))?;
        let mut device = Self {
            name: name.to_owned(),
            folder,
            storage: None,
            namespace,
            daemon: None,
            mounted: false,
        };
        storage.attach(&device.export())?;
        device.storage = Some(storage);
        Ok(device)
    }

    /// Its own name, which the others show under `device_view`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The tree that it exports, beneath the mount: the owner's own files.
    pub fn export(&self) -> PathBuf {
        self.folder.join("export")
    }

    /// The mount point.
    pub fn mount_point(&self) -> PathBuf {
        self.folder.join("mount")
    }

    /// Its own files through the mount.
    pub fn local(&self) -> PathBuf {
        self.view("local")
    }

    /// The files of the device called `name` as this one sees them.
    pub fn view(&self, name: &str) -> PathBuf {
        self.mount_point().join("device_view").join(name)
    }

    /// All files of all devices as this one sees them.
    pub fn merged(&self) -> PathBuf {
        self.mount_point().join("merge_view")
    }

    /// Its daemon's control socket.
    pub fn control(&self) -> Control {
        Control::new(&self.folder.join("hmdfsd.socket"))
    }

    /// Its network namespace.
    pub fn namespace(&self) -> Result<&Namespace> {
        self.namespace
            .as_ref()
            .ok_or_else(|| anyhow!("{} has no network namespace of its own", self.name))
    }

    /// Runs `work` where the device lives.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        match &self.namespace {
            Some(namespace) => namespace.enter(work),
            None => work(),
        }
    }

    fn config(&self) -> PathBuf {
        self.folder.join("hmdfsd.toml")
    }

    /// The folder with its daemon's identity.
    pub fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// Writes the daemon's configuration.
    pub fn configure(&self, peers: &[Peer]) -> Result<()> {
        let quote = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let path = |path: PathBuf| quote(&path.to_string_lossy());
        let mut text = format!(
            "listen = [\"0.0.0.0:{PORT}\"]\nname = {}\nstate-dir = {}\nsocket = {}\n",
            quote(&self.name),
            path(self.state()),
            path(self.folder.join("hmdfsd.socket")),
        );
        for peer in peers {
            text.push_str(&format!(
                "\n[[peer]]\nid = {}\nnumber = {}\nname = {}\naddresses = [{}]\n\
                 access = \"{}\"\nlevel = {}\n",
                quote(&peer.id),
                peer.number,
                quote(&peer.name),
                quote(&peer.address),
                peer.access,
                peer.level
            ));
        }
        fs::write(self.config(), text)?;
        Ok(())
    }

    /// The device's id, which is made when there is none yet; needs a configuration.
    pub fn id(&self) -> Result<String> {
        let arguments = [
            Path::new("--config"),
            &self.config(),
            Path::new("--print-id"),
        ];
        Ok(process::run("hmdfsd", &arguments)?.trim().to_owned())
    }

    /// Mounts the views.
    pub fn mount(&mut self) -> Result<()> {
        self.mount_with(&[])
    }

    /// Mounts the views with further options.
    pub fn mount_with(&mut self, options: &[(&str, Option<&str>)]) -> Result<()> {
        let export = self.export();
        let source = export
            .to_str()
            .ok_or_else(|| anyhow!("{} is not UTF-8", export.display()))?;
        let mut all = vec![("source", Some(source))];
        all.extend(options);
        let target = self.mount_point();
        self.enter(|| {
            fsmount::mount("hmdfs", &all, &target)
                .with_context(|| format!("cannot mount hmdfs at {}", target.display()))
        })?;
        self.mounted = true;
        Ok(())
    }

    /// Unmounts the views; fails while they are in use.
    pub fn umount(&mut self) -> Result<()> {
        let target = self.mount_point();
        fsmount::umount(&target).with_context(|| format!("cannot unmount {}", target.display()))?;
        self.mounted = false;
        Ok(())
    }

    /// Unmounts the views and what they lie on, and mounts both again, as after a new start of the
    /// machine.
    pub fn remount_all(&mut self) -> Result<()> {
        self.umount()?;
        if let Some(storage) = &self.storage {
            storage.remount(&self.export())?;
        }
        self.mount()
    }

    /// Starts the daemon.
    pub fn start(&mut self) -> Result<()> {
        if self.daemon.is_some() {
            bail!("the daemon of {} runs already", self.name);
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_file())?;
        let mut command = Command::new("hmdfsd");
        command
            .arg("--config")
            .arg(self.config())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        self.daemon = Some(self.enter(|| command.spawn().context("cannot start hmdfsd"))?);
        Ok(())
    }

    /// Stops the daemon, kindly; its links live on in the kernel.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(mut daemon) = self.daemon.take() {
            process::stop(&mut daemon, Duration::from_secs(20))?;
        }
        Ok(())
    }

    /// Kills the daemon without warning.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill()?;
            daemon.wait()?;
        }
        Ok(())
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("hmdfsd.log")
    }

    /// The last lines that the daemon wrote.
    pub fn log(&self) -> String {
        let text = fs::read(self.log_file()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }

    /// Stops, unmounts and removes everything; an error when the mount is still in use.
    pub fn close(mut self) -> Result<()> {
        self.dismantle()
    }

    fn dismantle(&mut self) -> Result<()> {
        let stopped = self.stop();
        let mut unmounted = Ok(());
        if self.mounted {
            unmounted = self.umount();
            if unmounted.is_err() {
                // The next test must not find it.
                let _ = fsmount::detach(&self.mount_point());
                self.mounted = false;
            }
        }
        if let Some(storage) = self.storage.take() {
            storage.detach(&self.export())?;
        }
        let removed = fs::remove_dir_all(&self.folder);
        stopped?;
        unmounted?;
        if self.folder.exists() {
            removed.with_context(|| format!("cannot remove {}", self.folder.display()))?;
        }
        Ok(())
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if let Err(error) = self.dismantle() {
            eprintln!("lab: {}: {error:#}", self.name);
        }
    }
}
