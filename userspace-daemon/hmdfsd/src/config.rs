// SPDX-License-Identifier: MIT OR Apache-2.0

//! The configuration: `hmdfsd.toml` and the files of `hmdfsd.toml.d`.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use hmdfs_netlink::{uapi, Access};
use hmdfs_tls::DeviceId;
use serde::Deserialize;

/// Where the configuration lies, unless `--config` says otherwise.
pub const DEFAULT_PATH: &str = "/etc/hmdfs/hmdfsd.toml";
/// TCP port of the daemon.
pub const DEFAULT_PORT: u16 = 20714;

const MANUAL: &str = "see hmdfsd.toml(5)";
const NUMBER_MAX: u32 = 4095;
const LEVEL_MAX: u32 = 5;
const RESERVED: [&str; 4] = ["local", "merge", ".", ".."];

/// What is wrong, where, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub path: PathBuf,
    /// The key, or nothing when the file as a whole is at fault.
    pub key: String,
    /// The error and its remedy.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path.display())?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConfigError {}

/// The whole configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Addresses to accept connections on, as `HOST:PORT`.
    pub listen: Vec<String>,
    /// What this device calls itself.
    pub name: String,
    /// Where the identity and the numbers are kept.
    pub state_dir: PathBuf,
    /// The socket of `hmdfsctl`.
    pub socket: PathBuf,
    /// The devices that are trusted, in the order of their numbers.
    pub peers: Vec<PeerConfig>,
}

/// A device that is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// Its ID.
    pub id: DeviceId,
    /// Its number, 1 to 4095.
    pub number: u32,
    /// Its directory under `device_view`.
    pub name: String,
    /// Where it is sought, as `HOST:PORT`; empty when it is only waited for.
    pub addresses: Vec<String>,
    /// What it may do with this device's files.
    pub access: Access,
    /// Its security level, 1 to 5.
    pub level: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    listen: Option<Vec<String>>,
    name: Option<String>,
    state_dir: Option<PathBuf>,
    socket: Option<PathBuf>,
    #[serde(default)]
    peer: Vec<FilePeer>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct FilePeer {
    id: String,
    number: u32,
    name: String,
    #[serde(default)]
    addresses: Vec<String>,
    #[serde(default)]
    access: FileAccess,
    level: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FileAccess {
    #[default]
    None,
    Read,
    Write,
}

impl Config {
    /// Reads `path` and, in the order of their names, the files `*.toml` of the directory
    /// `<path>.d`. Later files override single keys and add peers.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let mut config = Config {
            listen: vec![format!("[::]:{DEFAULT_PORT}")],
            name: host_name(),
            state_dir: "/var/lib/hmdfs".into(),
            socket: hmdfs_control::DEFAULT_SOCKET.into(),
            peers: Vec::new(),
        };
        let mut origins = Vec::new();
        for path in files(path)? {
            let file = read(&path)?;
            config.merge(file, &path)?;
            origins.resize(config.peers.len(), path);
        }
        config.check_unique(&origins)?;
        config.peers.sort_by_key(|peer| peer.number);
        Ok(config)
    }

    /// Checks that no peer is this device itself, whose ID is `own`. `path` is the main file.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn check_own(&self, path: &Path, own: DeviceId) -> Result<(), ConfigError> {
        match self.peers.iter().find(|peer| peer.id == own) {
            Some(peer) => Err(ConfigError {
                path: path.to_owned(),
                key: format!("peer '{}': id", peer.name),
                message: "it is the ID of this device itself: give that of the other one".into(),
            }),
            None => Ok(()),
        }
    }

    fn merge(&mut self, file: File, path: &Path) -> Result<(), ConfigError> {
        let error = |key: &str, message: String| ConfigError {
            path: path.to_owned(),
            key: key.to_owned(),
            message,
        };
        if let Some(listen) = file.listen {
            for address in &listen {
                check_address(address).map_err(|message| error("listen", message))?;
            }
            self.listen = listen;
        }
        if let Some(name) = file.name {
            check_name(&name).map_err(|message| error("name", message))?;
            self.name = name;
        }
        if let Some(directory) = file.state_dir {
            check_absolute(&directory).map_err(|message| error("state-dir", message))?;
            self.state_dir = directory;
        }
        if let Some(socket) = file.socket {
            check_absolute(&socket).map_err(|message| error("socket", message))?;
            self.socket = socket;
        }
        for peer in file.peer {
            let label = peer.name.clone();
            let peer = peer.check().map_err(|(key, message)| {
                error(
                    &format!("peer '{}': {key}", label.escape_default()),
                    message,
                )
            })?;
            self.peers.push(peer);
        }
        Ok(())
    }

    /// `origins` are the files from which the peers came, in the same order.
    fn check_unique(&self, origins: &[PathBuf]) -> Result<(), ConfigError> {
        let (mut ids, mut numbers, mut names) = (HashMap::new(), HashMap::new(), HashMap::new());
        for (peer, path) in self.peers.iter().zip(origins) {
            let clash = ids
                .insert(peer.id, &peer.name)
                .map(|other| ("id", other))
                .or(numbers
                    .insert(peer.number, &peer.name)
                    .map(|o| ("number", o)))
                .or(names.insert(&peer.name, &peer.name).map(|o| ("name", o)));
            if let Some((key, other)) = clash {
                return Err(ConfigError {
                    path: path.clone(),
                    key: format!("peer '{}': {key}", peer.name),
                    message: format!("the peer '{other}' has the same one: give each peer its own"),
                });
            }
        }
        Ok(())
    }
}

impl FilePeer {
    fn check(self) -> Result<PeerConfig, (&'static str, String)> {
        let id = self.id.parse::<DeviceId>().map_err(|error| {
            let hint = "copy what 'hmdfsd --print-id' says on that device";
            ("id", format!("{error}: {hint}"))
        })?;
        if !(1..=NUMBER_MAX).contains(&self.number) {
            return Err(("number", format!("choose one from 1 to {NUMBER_MAX}")));
        }
        check_name(&self.name).map_err(|message| ("name", message))?;
        for address in &self.addresses {
            check_address(address).map_err(|message| ("addresses", message))?;
        }
        if self
            .level
            .is_some_and(|level| !(1..=LEVEL_MAX).contains(&level))
        {
            let hint = "leave it out to refuse everything that has a label";
            return Err((
                "level",
                format!("choose one from 1 to {LEVEL_MAX}, or {hint}"),
            ));
        }
        Ok(PeerConfig {
            id,
            number: self.number,
            name: self.name,
            addresses: self.addresses,
            access: match self.access {
                FileAccess::None => Access::None,
                FileAccess::Read => Access::Read,
                FileAccess::Write => Access::Write,
            },
            level: self.level,
        })
    }
}

/// The main file, then the drop-ins.
fn files(path: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let mut directory = path.as_os_str().to_owned();
    directory.push(".d");
    let directory = PathBuf::from(directory);
    let mut drop_ins = Vec::new();
    match std::fs::read_dir(&directory) {
        Ok(entries) => {
            for entry in entries {
                let entry = entry.map_err(|error| unreadable(&directory, &error))?;
                drop_ins.push(entry.path());
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(unreadable(&directory, &error)),
    }
    drop_ins.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "toml")
    });
    drop_ins.sort();
    drop_ins.insert(0, path.to_owned());
    Ok(drop_ins)
}

fn unreadable(path: &Path, error: &std::io::Error) -> ConfigError {
    ConfigError {
        path: path.to_owned(),
        key: String::new(),
        message: format!("{error}; {MANUAL}"),
    }
}

fn read(path: &Path) -> Result<File, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    toml::from_str(&text).map_err(|error| ConfigError {
        path: path.to_owned(),
        key: String::new(),
        message: format!("{}\n{MANUAL}", error.to_string().trim_end()),
    })
}

/// `HOST:PORT`, where the host is a name, an IPv4 address, or an IPv6 address in brackets.
fn check_address(address: &str) -> Result<(), String> {
    let wrong = || {
        format!("'{address}' is not HOST:PORT, as in \"10.0.0.2:{DEFAULT_PORT}\" or \"[fe80::1%eth0]:{DEFAULT_PORT}\"")
    };
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    let bracketed = host.starts_with('[') && host.ends_with(']');
    let plain = !host.is_empty() && !host.contains([':', '[', ']', ' ']);
    match port.parse::<u16>() {
        Ok(1..) if bracketed || plain => Ok(()),
        _ => Err(wrong()),
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let message = if name.is_empty() {
        "it is empty"
    } else if name.len() > uapi::DEVICE_NAME_MAX {
        "it is longer than 63 octets"
    } else if RESERVED.contains(&name) {
        "it is reserved"
    } else if name.contains('/') || name.chars().any(char::is_control) {
        "it holds a '/' or a control character, which a directory's name must not"
    } else {
        return Ok(());
    };
    Err(format!("{message}: choose another name"))
}

fn check_absolute(path: &Path) -> Result<(), String> {
    if path.is_absolute() {
        return Ok(());
    }
    Err(format!(
        "'{}' is relative: give the path from '/' on",
        path.display()
    ))
}

fn host_name() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = text.trim();
    if check_name(name).is_ok() {
        name.to_owned()
    } else {
        "unnamed".to_owned()
    }
}

#[cfg(test)]
mod tests;
