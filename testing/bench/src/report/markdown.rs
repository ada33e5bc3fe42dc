// SPDX-License-Identifier: MIT OR Apache-2.0

//! The report as a person reads it.

use std::fmt::Write;

use super::plot::Plot;
use super::{is_bulk, number, ratio, Results};
use crate::measure::Unit;
use crate::network::NETWORKS;
use crate::plan::{LOCAL, LOWER, RAW, REMOTE};
use crate::record::Key;
use crate::workload::{self, Workload};

/// Rows below these parts of a limit are named as behind.
const OF_KTLS: f64 = 0.9;
const OF_LINE: f64 = 0.95;

/// Writes the whole report.
pub fn report(results: &Results, plots: &[Plot]) -> String {
    let mut text = String::from(
        "<!-- Made by `make bench`; changes here are lost. -->\n\
         # Benchmark\n\n\
         How to read and to repeat this: [../benchmarks.md](../benchmarks.md). All figures are medians; how far the runs\n\
         lie apart, from the least to the greatest, is behind them in percent where it is 1 % or more. A ratio above 1 is\n\
         in favour of hmdfs. The best peer of a bulk row (seq_read, seq_write, streams_4) is the best one that encrypts, as hmdfs\n\
         always does; of all other rows it is the best of all, encrypted or not. The raw limit of a row in MB/s is the kTLS stream, or the line where that is slower; of a\n\
         row in us, its round trips times the kTLS ping of 64 bytes.\n\n",
    );
    for (key, value) in &results.about {
        let _ = writeln!(text, "- {key}: {value}");
    }
    behind(results, &mut text);
    local(results, &mut text);
    raw(results, &mut text);
    for network in NETWORKS.iter().filter(|shape| shape.name != "local") {
        remote(results, network.name, &mut text);
    }
    costs(
        results,
        &mut text,
        "round_trips",
        "Round trips for one operation",
    );
    costs(
        results,
        &mut text,
        "instructions/op",
        "Instructions for one operation, of both sides together",
    );
    costs(
        results,
        &mut text,
        "instructions/byte",
        "Instructions for one byte, of both sides together",
    );
    scaling(results, &mut text);
    gaps(results, &mut text);
    if !plots.is_empty() {
        text.push_str("\n## Plots\n\n");
        for plot in plots {
            let _ = writeln!(text, "![{}]({})\n", plot.title, plot.file);
        }
    }
    text
}

fn value(figure: Option<(f64, f64)>) -> String {
    match figure {
        Some((middle, spread)) if spread >= 0.01 => {
            format!("{} ({:.0} %)", number(middle), spread * 100.0)
        }
        Some((middle, _)) => number(middle),
        None => "-".to_owned(),
    }
}

fn shown(ratio: Option<f64>) -> String {
    ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"))
}

fn table(text: &mut String, heads: &[String], rows: &[Vec<String>]) {
    let _ = writeln!(text, "| {} |", heads.join(" | "));
    let _ = writeln!(
        text,
        "|---|{}",
        "---:|".repeat(heads.len().saturating_sub(1))
    );
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
}

fn local(results: &Results, text: &mut String) {
    for lower in LOWER {
        let mut rows = Vec::new();
        for row in workload::LOCAL {
            let unit = row.unit.name();
            let figure =
                |system: &str| results.get(&format!("{system}:{lower}"), "local", row.name, unit);
            if LOCAL.iter().all(|system| figure(system).is_none()) {
                continue;
            }
            let mut cells = vec![row.name.to_owned(), unit.to_owned()];
            cells.extend(LOCAL.iter().map(|system| value(figure(system))));
            for (ours, theirs) in [
                ("hmdfs_device", "native"),
                ("hmdfs_device", "overlayfs"),
                ("hmdfs_merge", "native"),
                ("hmdfs_merge", "overlayfs"),
            ] {
                let both = figure(ours).zip(figure(theirs));
                cells.push(shown(
                    both.map(|(ours, theirs)| ratio(ours.0, theirs.0, unit)),
                ));
            }
            rows.push(cells);
        }
        if rows.is_empty() {
            continue;
        }
        let _ = writeln!(text, "\n## Files of this device, on {lower}\n");
        let mut heads = vec!["workload".to_owned(), "unit".to_owned()];
        heads.extend(LOCAL.iter().map(|system| (*system).to_owned()));
        for head in [
            "device / native",
            "device / overlayfs",
            "merge / native",
            "merge / overlayfs",
        ] {
            heads.push(head.to_owned());
        }
        table(text, &heads, &rows);
    }
}

fn raw(results: &Results, text: &mut String) {
    let mut rows = Vec::new();
    for network in NETWORKS {
        for system in RAW {
            let stream = results.get(system, network.name, "stream", "MB/s");
            let ping = results.get(system, network.name, "ping_64", "us");
            if stream.is_some() || ping.is_some() {
                rows.push(vec![
                    network.name.to_owned(),
                    system.to_owned(),
                    value(stream),
                    value(ping),
                ]);
            }
        }
    }
    if !rows.is_empty() {
        text.push_str("\n## Raw limits\n\n");
        let heads = ["network", "system", "stream, MB/s", "ping_64, us"].map(str::to_owned);
        table(text, &heads, &rows);
    }
}

/// What a bulk row is held against: the kTLS stream, or the line where that is slower.
fn bulk_limit(results: &Results, network: &str) -> Option<(f64, f64)> {
    let ktls = results.get("ktls", network, "stream", "MB/s")?.0;
    let shape = NETWORKS.iter().find(|shape| shape.name == network)?;
    match shape.line_rate() {
        // The stream is as fast as the line: that is what limits.
        Some(line) if ktls > 0.8 * line => Some((line, OF_LINE)),
        _ => Some((ktls, OF_KTLS)),
    }
}

/// For one operation that needs the network: the time of its round trips alone, as a part of
/// what it takes.
fn of_pings(results: &Results, network: &str, row: &Workload) -> Option<f64> {
    let (trips, _) = results.get("hmdfs_device", network, row.name, "round_trips")?;
    let (ping, _) = results.get("ktls", network, "ping_64", "us")?;
    let (ours, _) = results.get("hmdfs_device", network, row.name, "us")?;
    (row.unit == Unit::Micros && trips > 0.5).then(|| trips * ping / ours)
}

fn remote(results: &Results, network: &str, text: &mut String) {
    let systems: Vec<&str> = REMOTE
        .into_iter()
        .filter(|system| {
            results
                .all()
                .any(|(key, ..)| key.system == *system && key.network == network)
        })
        .collect();
    let mut rows = Vec::new();
    for row in workload::REMOTE {
        let unit = row.unit.name();
        let figure = |system: &str| results.get(system, network, row.name, unit);
        if systems.iter().all(|system| figure(system).is_none()) {
            continue;
        }
        let mut cells = vec![row.name.to_owned(), unit.to_owned()];
        cells.extend(systems.iter().map(|system| value(figure(system))));
        let best = results.best_peer(network, row);
        cells.push(best.map_or("-".to_owned(), |(peer, _)| peer.to_owned()));
        for ours in ["hmdfs_device", "hmdfs_merge"] {
            let both = figure(ours).zip(best);
            cells.push(shown(
                both.map(|(ours, (_, theirs))| ratio(ours.0, theirs, unit)),
            ));
        }
        let limit = bulk_limit(results, network).filter(|_| is_bulk(row.name));
        let part = figure("hmdfs_device").zip(limit);
        let of_limit = part.map(|(ours, limit)| ours.0 / limit.0);
        cells.push(shown(of_limit.or_else(|| of_pings(results, network, row))));
        rows.push(cells);
    }
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n## Files of another device, network {network}\n");
    let mut heads = vec!["workload".to_owned(), "unit".to_owned()];
    heads.extend(systems.iter().map(|system| (*system).to_owned()));
    for head in [
        "best peer",
        "device / best peer",
        "merge / best peer",
        "device / raw limit",
    ] {
        heads.push(head.to_owned());
    }
    table(text, &heads, &rows);
}

fn costs(results: &Results, text: &mut String, unit: &str, title: &str) {
    let mut rows = Vec::new();
    let mut named: Vec<(&str, &str)> = results
        .all()
        .filter(|(_, found, ..)| *found == unit)
        .map(|(key, ..)| (key.network.as_str(), key.workload.as_str()))
        .filter(|(network, _)| *network == "unlimited")
        .collect();
    named.sort_unstable();
    named.dedup();
    let systems: Vec<&str> = REMOTE
        .into_iter()
        .filter(|system| {
            results
                .all()
                .any(|(key, found, ..)| found == unit && key.system == *system)
        })
        .collect();
    for (network, workload) in named {
        let mut cells = vec![workload.to_owned()];
        cells.extend(
            systems
                .iter()
                .map(|system| value(results.get(system, network, workload, unit))),
        );
        rows.push(cells);
    }
    if !rows.is_empty() {
        let _ = writeln!(text, "\n## {title}\n");
        let mut heads = vec!["workload".to_owned()];
        heads.extend(systems.iter().map(|system| (*system).to_owned()));
        table(text, &heads, &rows);
    }
}

fn scaling(results: &Results, text: &mut String) {
    let mut rows: Vec<(String, u64, Vec<String>)> = Vec::new();
    for (key, unit, middle, spread) in results.all() {
        let scaled = key.workload.contains(':') || key.workload == "memory";
        if !scaled {
            continue;
        }
        // By number, not by digits.
        let (kind, rest) = key.workload.split_once(':').unwrap_or((&key.workload, "0"));
        let number = rest.parse().ok();
        rows.push((
            format!("{kind} {unit} {}", key.system),
            number.unwrap_or(0),
            vec![
                key.workload.clone(),
                key.system.clone(),
                value(Some((middle, spread))),
                unit.to_owned(),
            ],
        ));
    }
    rows.sort();
    if !rows.is_empty() {
        text.push_str("\n## How cost grows, and memory\n\n");
        let heads = ["what", "system", "value", "unit"].map(str::to_owned);
        let rows: Vec<Vec<String>> = rows.into_iter().map(|(_, _, row)| row).collect();
        table(text, &heads, &rows);
    }
}

fn against(ours: f64, peer: &str, theirs: f64, unit: &str, ratio: f64) -> String {
    let (ours, theirs) = (number(ours), number(theirs));
    format!("{ours} {unit}, {peer} {theirs} ({ratio:.2})")
}

/// Every row in which hmdfs is not where it should be.
fn behind(results: &Results, text: &mut String) {
    let mut lines = Vec::new();
    let mut name = |key: &Key, what: String| {
        let reason = results.reason(key).unwrap_or("why is not known yet");
        lines.push(format!(
            "- {} {} {}: {what}; {reason}",
            key.system, key.network, key.workload
        ));
    };
    for (key, unit, ours, _) in results.all() {
        if let Some((kind, lower)) = key.system.split_once(':') {
            let overlay = format!("overlayfs:{lower}");
            let theirs = results.get(&overlay, &key.network, &key.workload, unit);
            let main = matches!(unit, "us" | "s" | "MB/s");
            if let Some((theirs, _)) = theirs.filter(|_| main && kind.starts_with("hmdfs")) {
                let ratio = ratio(ours, theirs, unit);
                if ratio < 0.995 {
                    name(key, against(ours, "overlayfs", theirs, unit, ratio));
                }
            }
            continue;
        }
        let Some(row) = workload::REMOTE.iter().find(|row| row.name == key.workload) else {
            continue;
        };
        if !REMOTE[..2].contains(&key.system.as_str()) || unit != row.unit.name() {
            continue;
        }
        if let Some((peer, theirs)) = results.best_peer(&key.network, row) {
            let ratio = ratio(ours, theirs, unit);
            if ratio < 0.995 {
                name(key, against(ours, peer, theirs, unit, ratio));
            }
        }
        let bulk = is_bulk(row.name);
        if let Some((limit, least)) = bulk_limit(results, &key.network).filter(|_| bulk) {
            let part = ours / limit;
            if part < least {
                name(
                    key,
                    format!(
                        "{} {unit} is {part:.2} of the limit of {}, not {least}",
                        number(ours),
                        number(limit)
                    ),
                );
            }
        }
    }
    text.push_str("\n## Where hmdfs is behind\n\n");
    if lines.is_empty() {
        text.push_str("Nowhere in this run.\n");
    }
    for line in lines {
        let _ = writeln!(text, "{line}");
    }
}

fn gaps(results: &Results, text: &mut String) {
    if results.gaps.is_empty() {
        return;
    }
    text.push_str("\n## What could not be measured\n\n");
    for (key, reason) in &results.gaps {
        let Key {
            system,
            network,
            workload,
        } = key;
        let _ = writeln!(text, "- {system} {network} {workload}: {reason}");
    }
}
