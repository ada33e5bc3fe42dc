// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is measured: systems, networks, workloads, and which part a quick run takes.

use crate::network::NETWORKS;
use crate::raw;
use crate::scaling;
use crate::selection::{Scale, Selection};
use crate::workload;

/// The lower file systems of local rows.
pub const LOWER: [&str; 3] = ["ext4", "xfs", "tmpfs"];

/// What stands on a lower file system.
pub const LOCAL: [&str; 4] = ["native", "overlayfs", "hmdfs_device", "hmdfs_merge"];

/// What shows the files of another device.
pub const REMOTE: [&str; 8] = [
    "hmdfs_device",
    "hmdfs_merge",
    "nfs",
    "nfs_tls",
    "smb",
    "smb_seal",
    "p9",
    "sshfs",
];

/// The raw limits.
pub const RAW: [&str; 2] = ["tcp", "ktls"];

/// Every name of the column `system`.
pub fn systems() -> Vec<String> {
    let local = LOWER
        .iter()
        .flat_map(|lower| LOCAL.iter().map(move |system| format!("{system}:{lower}")));
    let named = RAW.iter().chain(&REMOTE).map(|name| (*name).to_owned());
    local.chain(named).collect()
}

/// Every name of the column `workload`.
pub fn workloads() -> Vec<&'static str> {
    let mut names: Vec<&str> = workload::LOCAL
        .iter()
        .chain(workload::REMOTE)
        .map(|workload| workload.name)
        .chain(raw::WORKLOADS)
        .chain(scaling::WORKLOADS)
        .chain([scaling::LIST_PEERS])
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// One process of the run: a system on a network, freshly set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The network's name.
    pub network: &'static str,
    /// The system's name.
    pub system: String,
}

/// The cells that are run, in their order.
pub fn cells(selection: &Selection, scale: Scale) -> Vec<Cell> {
    let mut cells = Vec::new();
    for shape in NETWORKS {
        let quick = selection.names_networks() || matches!(shape.name, "local" | "unlimited");
        if !scale.pick(true, quick) {
            continue;
        }
        for system in systems() {
            // Local rows carry the lower file system.
            if system.contains(':') != (shape.name == "local") {
                continue;
            }
            let quick = selection.names_systems()
                || (!matches!(system.as_str(), "smb" | "p9") && !system.ends_with(":xfs"));
            if scale.pick(true, quick) && selection.cell(shape.name, &system) {
                cells.push(Cell {
                    network: shape.name,
                    system,
                });
            }
        }
    }
    cells
}

/// Whether something that is run needs the programs and data of `tools/bench-root`.
pub fn needs_programs(selection: &Selection, scale: Scale) -> bool {
    cells(selection, scale).iter().any(|cell| {
        cell.network != "local"
            || workload::LOCAL
                .iter()
                .any(|row| row.needs_programs() && selection.workload(row.name))
    })
}

/// The names of what a cell measures.
pub fn workloads_of(cell: &Cell, selection: &Selection) -> Vec<&'static str> {
    let all: Vec<&'static str> = if cell.network == "local" {
        let mut names: Vec<&str> = workload::LOCAL.iter().map(|row| row.name).collect();
        if scaling::lists_beside_peers(&cell.system) {
            names.push(scaling::LIST_PEERS);
        }
        names
    } else if RAW.contains(&cell.system.as_str()) {
        raw::WORKLOADS.to_vec()
    } else {
        let mut names: Vec<&str> = workload::REMOTE.iter().map(|row| row.name).collect();
        if scaling::belongs_to(&cell.system, cell.network) {
            names.extend(scaling::WORKLOADS);
        }
        names
    };
    all.into_iter()
        .filter(|name| selection.workload(name))
        .collect()
}

/// Why a workload says nothing about the other device in this cell, if so.
pub fn is_elsewhere(cell: &Cell, workload: &str) -> Option<&'static str> {
    const MAKING: [&str; 5] = [
        "create_unlink",
        "seq_write",
        "shared_dir",
        "small_create",
        "untar",
    ];
    (cell.system == "hmdfs_merge" && MAKING.contains(&workload))
        .then_some("new files in merge_view are made on this device")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_systems_are_measured_locally_only() {
        let all = cells(&Selection::default(), Scale::Full);
        assert_eq!(
            all.len(),
            LOWER.len() * LOCAL.len() + 4 * (RAW.len() + REMOTE.len())
        );
        assert!(all
            .iter()
            .all(|cell| cell.system.contains(':') == (cell.network == "local")));
    }

    #[test]
    fn every_cell_has_workloads() {
        let selection = Selection::default();
        for cell in cells(&selection, Scale::Quick) {
            assert!(!workloads_of(&cell, &selection).is_empty(), "{cell:?}");
        }
    }
}
