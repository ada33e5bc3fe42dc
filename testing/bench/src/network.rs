// SPDX-License-Identifier: MIT OR Apache-2.0

//! The networks between the two devices: one cable, which delays, limits and loses.
//!
//! The owner of the files lives in the guest's first network namespace, because ksmbd
//! listens in no other; the device that reads them lives in one of its own.

use std::path::Path;

use anyhow::{Context, Result};
use lab::netns::Namespace;
use lab::process;

/// How the cable behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The name in the results.
    pub name: &'static str,
    /// Round trip time in microseconds; each end delays by a half.
    pub round_trip_us: u32,
    /// Mbit/s in each direction; zero for no limit.
    pub rate_mbit: u32,
    /// Lost packets in hundredths of a percent.
    pub loss: u32,
}

/// All of them; `local` has no cable.
pub const NETWORKS: [Shape; 5] = [
    shape("local", 0, 0, 0),
    shape("unlimited", 0, 0, 0),
    shape("lan", 200, 1000, 0),
    shape("wifi", 3_000, 400, 0),
    shape("wan", 20_000, 50, 10),
];

const fn shape(name: &'static str, round_trip_us: u32, rate_mbit: u32, loss: u32) -> Shape {
    Shape {
        name,
        round_trip_us,
        rate_mbit,
        loss,
    }
}

/// The name that the owner's certificate carries.
pub const OWNER_NAME: &str = "tablet";
/// The owner's address.
pub const OWNER: &str = "10.78.0.2";
/// The reader's address.
pub const READER: &str = "10.78.0.1";

impl Shape {
    /// The network of this name.
    pub fn named(name: &str) -> Result<Self> {
        NETWORKS
            .into_iter()
            .find(|shape| shape.name == name)
            .with_context(|| format!("there is no network called {name}"))
    }

    /// The line rate in MB/s.
    pub fn line_rate(&self) -> Option<f64> {
        (self.rate_mbit > 0).then(|| f64::from(self.rate_mbit) / 8.0)
    }

    fn netem(&self, seed: u32) -> Vec<String> {
        if self.round_trip_us == 0 && self.rate_mbit == 0 {
            return Vec::new();
        }
        let mut words = vec![format!("delay {}us", self.round_trip_us / 2)];
        if self.rate_mbit > 0 {
            words.push(format!("rate {}mbit", self.rate_mbit));
        }
        if self.loss > 0 {
            // The same packets are lost in every run.
            let percent = format!("{}.{:02}%", self.loss / 100, self.loss % 100);
            words.push(format!("loss {percent} seed {seed}"));
        }
        words
            .iter()
            .flat_map(|word| word.split(' '))
            .map(str::to_owned)
            .collect()
    }
}

/// The cable, with the namespace of the reader at its end.
pub struct Cable {
    reader: Option<Namespace>,
}

impl Cable {
    /// Lays the cable.
    pub fn lay(shape: Shape) -> Result<Self> {
        // The cable of an earlier system goes with its namespace, but not at once.
        if Path::new("/sys/class/net/bench0").exists() {
            let _ = process::run("ip", &["link", "del", "bench0"]);
        }
        let reader = Namespace::create("laptop")?;
        process::run_with_input(
            "ip",
            &["-batch", "-"],
            &format!(
                "link add name bench0 type veth peer name eth0 netns {}\n\
                 addr add {OWNER}/24 dev bench0\n\
                 link set bench0 up\n",
                reader.name()
            ),
        )
        .context("cannot lay the cable")?;
        reader.ip(&format!(
            "addr add {READER}/24 dev eth0\nlink set eth0 up\n"
        ))?;
        let words = |device: &'static str, seed| {
            let mut words = vec!["qdisc", "replace", "dev", device, "root", "netem"]
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<_>>();
            let netem = shape.netem(seed);
            if netem.is_empty() {
                return None;
            }
            words.extend(netem);
            Some(words)
        };
        if let Some(words) = words("bench0", 1) {
            process::run("tc", &words)?;
        }
        if let Some(words) = words("eth0", 2) {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            reader.tc(&words)?;
        }
        Ok(Self {
            reader: Some(reader),
        })
    }

    /// Runs `work` where the reader lives.
    pub fn reader<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        self.namespace()?.enter(work)
    }

    /// The reader's namespace.
    pub fn namespace(&self) -> Result<&Namespace> {
        self.reader
            .as_ref()
            .context("the reader's namespace was given away")
    }

    /// Gives the reader's namespace to a device that is made of it.
    pub fn take_namespace(&mut self) -> Result<Namespace> {
        self.reader
            .take()
            .context("the reader's namespace was given away")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn netem_arguments() {
        let wan = Shape::named("wan").expect("a network");
        assert_eq!(
            wan.netem(7).join(" "),
            "delay 10000us rate 50mbit loss 0.10% seed 7"
        );
        let unlimited = Shape::named("unlimited").expect("a network");
        assert!(unlimited.netem(7).is_empty());
    }
}
