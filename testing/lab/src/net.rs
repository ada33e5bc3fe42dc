// SPDX-License-Identifier: MIT OR Apache-2.0

//! The network between the devices: one switch, one cable for each device.

use anyhow::Result;

use crate::netns::Namespace;

/// How a cable behaves; applied to what a device sends, so a round trip between
/// two devices pays the delay twice.
#[derive(Clone, Copy, Debug, Default)]
pub struct Line {
    /// One-way delay in microseconds.
    pub delay_us: u32,
    /// Bandwidth in Mbit/s; zero for no limit.
    pub rate_mbit: u32,
    /// Lost packets in hundredths of a percent.
    pub loss: u32,
}

impl Line {
    fn netem(&self) -> Vec<String> {
        let mut words = Vec::new();
        if self.delay_us > 0 {
            words.extend(["delay".to_owned(), format!("{}us", self.delay_us)]);
        }
        if self.rate_mbit > 0 {
            words.extend(["rate".to_owned(), format!("{}mbit", self.rate_mbit)]);
        }
        if self.loss > 0 {
            let percent = format!("{}.{:02}%", self.loss / 100, self.loss % 100);
            words.extend(["loss".to_owned(), percent]);
        }
        words
    }
}

/// A bridge in a namespace of its own, so that no device is nearer to it than another.
pub struct Network {
    switch: Namespace,
}

impl Network {
    /// A switch without cables.
    pub fn create() -> Result<Self> {
        let switch = Namespace::create("switch")?;
        switch.ip("link add name switch type bridge\nlink set switch up\n")?;
        Ok(Self { switch })
    }

    /// The address of the device with this number.
    pub fn address(number: u32) -> String {
        format!("10.77.0.{number}")
    }

    fn port(number: u32) -> String {
        format!("port{number}")
    }

    /// Plugs the namespace `device` in as the device with this number.
    pub fn plug(&self, device: &Namespace, number: u32, line: Line) -> Result<()> {
        let port = Self::port(number);
        self.switch.ip(&format!(
            "link add name {port} type veth peer name eth0 netns {}\n\
             link set {port} master switch\n\
             link set {port} up\n",
            device.name()
        ))?;
        device.ip(&format!(
            "addr add {}/24 dev eth0\nlink set eth0 up\n",
            Self::address(number)
        ))?;
        self.shape(device, line)
    }

    /// Changes how the cable of `device` behaves.
    pub fn shape(&self, device: &Namespace, line: Line) -> Result<()> {
        let netem = line.netem();
        if netem.is_empty() {
            return Ok(());
        }
        let mut words = vec!["qdisc", "replace", "dev", "eth0", "root", "netem"];
        words.extend(["limit", "100000"]);
        words.extend(netem.iter().map(String::as_str));
        device.tc(&words)
    }

    /// Pulls the cable: packets vanish in both directions, nobody is told.
    pub fn cut(&self, number: u32) -> Result<()> {
        self.switch
            .ip(&format!("link set {} down\n", Self::port(number)))
    }

    /// Plugs the cable in again.
    pub fn join(&self, number: u32) -> Result<()> {
        self.switch
            .ip(&format!("link set {} up\n", Self::port(number)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn netem_arguments() {
        let line = Line {
            delay_us: 1000,
            rate_mbit: 100,
            loss: 150,
        };
        assert_eq!(
            line.netem().join(" "),
            "delay 1000us rate 100mbit loss 1.50%"
        );
        assert!(Line::default().netem().is_empty());
    }
}
