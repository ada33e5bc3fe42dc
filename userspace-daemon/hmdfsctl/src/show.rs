// SPDX-License-Identifier: MIT OR Apache-2.0

//! Answers of the daemon, for people.

use hmdfs_control::{Device, Link, Status};

use crate::table::{octets, printable, Table};

/// This device, its mount, and the others.
pub fn status(status: &Status, bold: bool) -> String {
    let mount = match (&status.mount, &status.problem) {
        (Some(mount), _) => format!("mounted (instance {})", mount.instance),
        (None, Some(problem)) => format!("none: {problem}"),
        (None, None) => "none".to_owned(),
    };
    let online = status.devices.iter().filter(|device| device.online).count();
    let mut text = String::new();
    for (key, value) in [
        ("device", &status.name),
        ("id", &status.id),
        ("mount", &mount),
        ("listening", &status.listen.join(", ")),
        (
            "online",
            &format!("{online} of {} devices", status.devices.len()),
        ),
    ] {
        text.push_str(&format!("{:<11}{}\n", format!("{key}:"), printable(value)));
    }
    if !status.devices.is_empty() {
        text.push('\n');
        text.push_str(&devices(&status.devices, bold));
    }
    text
}

/// One row for each device.
pub fn devices(devices: &[Device], bold: bool) -> String {
    let mut table = Table::new(&["NR", "NAME", "STATE", "ACCESS", "LEVEL", "ID", "REASON"]);
    for device in devices {
        table.row([
            device.number.to_string(),
            device.name.clone(),
            if device.online { "online" } else { "offline" }.to_owned(),
            device.access.clone(),
            device
                .level
                .map_or("-".to_owned(), |level| level.to_string()),
            // Enough to tell devices apart; --json has all of it.
            device.id.chars().take(11).collect(),
            device.reason.clone().unwrap_or_default(),
        ]);
    }
    table.render(bold)
}

/// One row for each link.
pub fn links(links: &[Link], bold: bool) -> String {
    let mut table = Table::new(&[
        "LINK",
        "DEVICE",
        "STATE",
        "ROLE",
        "RTT",
        "SENT",
        "SERVED",
        "RECEIVED",
        "TRANSMITTED",
        "TIMEOUTS",
        "REASON",
    ]);
    for link in links {
        let stats = &link.stats;
        let unknown = || link.peer_id.chars().take(11).collect();
        table.row([
            link.id.to_string(),
            link.device.clone().unwrap_or_else(unknown),
            link.state.clone(),
            link.role.clone(),
            format!("{}.{:03} ms", stats.rtt_usec / 1000, stats.rtt_usec % 1000),
            stats.requests_sent.to_string(),
            stats.requests_received.to_string(),
            octets(stats.rx_bytes),
            octets(stats.tx_bytes),
            stats.timeouts.to_string(),
            if link.down_reason == "none" {
                String::new()
            } else {
                link.down_reason.clone()
            },
        ]);
    }
    table.render(bold)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hmdfs_control::LinkStats;

    fn device(online: bool) -> Device {
        Device {
            id: "hm1-abcdefg-hijklmn".into(),
            number: 2,
            name: "tablet".into(),
            access: "read".into(),
            level: None,
            addresses: Vec::new(),
            online,
            links: u32::from(online),
            reason: (!online).then(|| "connection refused".into()),
        }
    }

    #[test]
    fn an_offline_device_says_why() {
        let text = devices(&[device(false)], false);
        let row = text.lines().nth(1).unwrap();
        assert_eq!(
            row,
            "2   tablet  offline  read    -      hm1-abcdefg  connection refused"
        );
    }

    #[test]
    fn a_missing_mount_says_why() {
        let text = status(
            &Status {
                id: "hm1-x".into(),
                name: "laptop".into(),
                version: "0".into(),
                listen: vec!["[::]:20714".into()],
                mount: None,
                problem: Some("the module is not loaded".into()),
                devices: vec![device(true), device(false)],
            },
            false,
        );
        assert!(
            text.contains("mount:     none: the module is not loaded\n"),
            "{text}"
        );
        assert!(text.contains("online:    1 of 2 devices\n"), "{text}");
    }

    #[test]
    fn a_link_shows_its_counters() {
        let link = Link {
            id: 3,
            peer_id: "hm1-abcdefg-hijklmn".into(),
            device: None,
            role: "acceptor".into(),
            state: "down".into(),
            down_reason: "timeout".into(),
            error: 110,
            stats: LinkStats {
                rtt_usec: 2050,
                requests_sent: 17,
                ..LinkStats::default()
            },
        };
        let text = links(&[link], false);
        let cells: Vec<_> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(
            cells[..7],
            ["3", "hm1-abcdefg", "down", "acceptor", "2.050", "ms", "17"]
        );
        assert_eq!(cells.last(), Some(&"timeout"));
    }
}
