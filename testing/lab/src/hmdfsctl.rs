// SPDX-License-Identifier: MIT OR Apache-2.0

//! Asking a device's daemon, through `hmdfsctl` as a person would.

use std::path::{Path, PathBuf};

use anyhow::{anyhow, Context, Result};
use serde_json::Value;

use crate::process;

/// The way to one daemon.
#[derive(Clone)]
pub struct Control {
    socket: PathBuf,
}

/// Counters of all links of a device together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests sent, which are round trips.
    pub requests_sent: u64,
    /// Requests of peers that were served.
    pub requests_received: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Requests whose deadline passed.
    pub timeouts: u64,
}

impl Control {
    /// The daemon that listens on `socket`.
    pub fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
        }
    }

    /// The text that `hmdfsctl WORD` prints.
    pub fn text(&self, word: &str) -> Result<String> {
        process::run(
            "hmdfsctl",
            &[Path::new("--socket"), &self.socket, Path::new(word)],
        )
    }

    fn json(&self, word: &str) -> Result<Vec<Value>> {
        let arguments = [
            Path::new("--socket"),
            self.socket.as_path(),
            Path::new(word),
            Path::new("--json"),
        ];
        let text = process::run("hmdfsctl", &arguments)?;
        let value: Value = serde_json::from_str(&text)
            .with_context(|| format!("`hmdfsctl {word} --json` printed no JSON: {text}"))?;
        let list = match &value {
            Value::Object(object) => object.get(word).and_then(Value::as_array),
            other => other.as_array(),
        };
        list.cloned()
            .ok_or_else(|| anyhow!("`hmdfsctl {word} --json` printed no list: {text}"))
    }

    /// The devices known, with whether each is online.
    pub fn devices(&self) -> Result<Vec<(String, bool)>> {
        self.json("devices")?
            .iter()
            .map(|device| {
                let name = device.get("name").and_then(Value::as_str);
                let online = device.get("online").and_then(Value::as_bool);
                name.map(str::to_owned)
                    .zip(online)
                    .ok_or_else(|| anyhow!("a device without name or online: {device}"))
            })
            .collect()
    }

    /// Whether the device called `name` is online.
    pub fn is_online(&self, name: &str) -> Result<bool> {
        Ok(self
            .devices()?
            .iter()
            .any(|(found, online)| found == name && *online))
    }

    /// All links as the daemon reports them, those that went down included.
    pub fn links(&self) -> Result<Vec<Value>> {
        self.json("links")
    }

    /// The sum of the counters of all links.
    pub fn counters(&self) -> Result<Counters> {
        let mut sum = Counters::default();
        for link in self.links()? {
            sum.requests_sent += number(&link, "requests_sent")?;
            sum.requests_received += number(&link, "requests_received")?;
            sum.rx_bytes += number(&link, "rx_bytes")?;
            sum.timeouts += number(&link, "timeouts")?;
        }
        Ok(sum)
    }
}

/// A counter of a link.
fn number(link: &Value, name: &str) -> Result<u64> {
    link.get("stats")
        .and_then(|stats| stats.get(name))
        .and_then(Value::as_u64)
        .ok_or_else(|| anyhow!("a link without the counter {name}: {link}"))
}

/// How many requests `work` costs the device of `control`.
pub fn round_trips(control: &Control, work: impl FnOnce() -> Result<()>) -> Result<u64> {
    let before = control.counters()?;
    work()?;
    let after = control.counters()?;
    after
        .requests_sent
        .checked_sub(before.requests_sent)
        .ok_or_else(|| anyhow!("requests_sent went backwards: {before:?}, {after:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found() {
        let link = serde_json::json!({"stats": {"requests_sent": 7}});
        assert_eq!(number(&link, "requests_sent").ok(), Some(7));
        assert!(number(&link, "timeouts").is_err());
    }
}
