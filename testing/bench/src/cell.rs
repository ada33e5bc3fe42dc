// SPDX-License-Identifier: MIT OR Apache-2.0

//! One system on one network: set up, measured, taken down, in a process of its own.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::measure::{Measured, Place, Unit};
use crate::network::Shape;
use crate::plan::{self, Cell};
use crate::record::{Key, Record};
use crate::selection::{Scale, Selection};
use crate::system::{self, System};
use crate::workload::{self, Workload};
use crate::{local, profile, raw, scaling};

/// Measures all of `cell` and prints its records.
pub fn run(cell: &Cell, selection: &Selection, scale: Scale) -> Result<()> {
    lab::fleet::clean()?;
    // What a cell that did not end well left behind.
    for target in lab::fsmount::mounts_below(Path::new(local::FOLDER))? {
        lab::fsmount::detach(&target)?;
    }
    let shape = Shape::named(cell.network)?;
    if plan::RAW.contains(&cell.system.as_str()) {
        return raw::run(cell, shape, selection, scale);
    }
    let rows: &[Workload] = if cell.network == "local" {
        workload::LOCAL
    } else {
        workload::REMOTE
    };
    let system = match system::set_up(&cell.system, shape) {
        Ok(system) => system,
        Err(error) => {
            let reason = format!("cannot be set up: {error:#}");
            for workload in plan::workloads_of(cell, selection) {
                gap(cell, workload, &reason);
            }
            return Ok(());
        }
    };
    fs::create_dir_all(system.owner()).context("cannot make the folder of the workloads")?;
    system.settle()?;
    for row in rows.iter().filter(|row| selection.workload(row.name)) {
        eprintln!("  {}", row.name);
        if let Some(reason) = plan::is_elsewhere(cell, row.name) {
            gap(cell, row.name, reason);
            continue;
        }
        if let Err(error) = measure(cell, system.as_ref(), row, scale) {
            gap(cell, row.name, &format!("not possible: {error:#}"));
        }
    }
    if let Some((_, lower)) = cell
        .system
        .split_once(':')
        .filter(|_| scaling::lists_beside_peers(&cell.system))
    {
        drop(system);
        if selection.workload(scaling::LIST_PEERS) {
            scaling::list_beside_peers(cell, lower, scale)?;
        }
    } else if scaling::belongs_to(&cell.system, cell.network) {
        scaling::entries(cell, system.as_ref(), selection, scale)?;
        drop(system);
        scaling::fleets(cell, selection, scale)?;
    }
    Ok(())
}

/// Says that `workload` could not be measured.
pub fn gap(cell: &Cell, workload: &str, reason: &str) {
    let record = Record::Gap {
        key: key(cell, workload),
        reason: reason.to_owned(),
    };
    println!("{record}");
}

/// Says what was measured.
pub fn figure(cell: &Cell, workload: &str, unit: &str, samples: Vec<f64>) {
    let record = Record::Figure {
        key: key(cell, workload),
        unit: unit.to_owned(),
        samples,
    };
    println!("{record}");
}

fn key(cell: &Cell, workload: &str) -> Key {
    Key {
        system: cell.system.clone(),
        network: cell.network.to_owned(),
        workload: workload.to_owned(),
    }
}

/// A directory in memory for what programs make elsewhere.
fn scratch() -> Result<PathBuf> {
    let path = Path::new("/tmp/bench");
    fs::create_dir_all(path)?;
    Ok(path.to_owned())
}

/// What workloads need of a system.
pub fn place<'a>(system: &'a dyn System, scale: Scale) -> Result<Place<'a>> {
    Ok(Place {
        root: system.root(),
        owner: system.owner(),
        scratch: scratch()?,
        scale,
        hooks: system,
    })
}

fn measure(cell: &Cell, system: &dyn System, row: &Workload, scale: Scale) -> Result<()> {
    let place = place(system, scale)?;
    (row.prepare)(&place).context("preparing")?;
    let result = runs(system, row, &place);
    place.leave()?;
    let cleaned = (row.clean)(&place);
    let runs = result?;
    cleaned.context("cleaning up")?;
    report(cell, row, &runs)
}

fn runs(system: &dyn System, row: &Workload, place: &Place) -> Result<Vec<Measured>> {
    let mut runs = Vec::new();
    system.settle()?;
    place.enter()?;
    for run in 0..row.warm_ups + row.runs(place.scale) {
        profile::set(run >= row.warm_ups);
        // What was made dirty before is not written back while the clock runs.
        rustix::fs::sync();
        runs.push((row.run)(place)?);
    }
    profile::set(false);
    Ok(runs.split_off(row.warm_ups))
}

fn report(cell: &Cell, row: &Workload, runs: &[Measured]) -> Result<()> {
    let all = |value: &dyn Fn(&Measured) -> f64| runs.iter().map(value).collect::<Vec<f64>>();
    figure(
        cell,
        row.name,
        row.unit.name(),
        all(&|run| run.figure(row.unit)),
    );
    // Where nothing waits for a network, guest time is the instructions of both sides.
    if matches!(cell.network, "local" | "unlimited") && row.name != "latency_under_copy" {
        if runs.iter().all(|run| run.bytes > 0) && row.unit == Unit::Megabytes {
            let per_byte = |run: &Measured| run.nanos as f64 / run.bytes as f64;
            figure(cell, row.name, "instructions/byte", all(&per_byte));
        } else {
            let per_operation = |run: &Measured| run.nanos as f64 / run.operations.max(1) as f64;
            figure(cell, row.name, "instructions/op", all(&per_operation));
        }
    }
    profile::say(runs.iter().map(|run| run.operations.max(1)).sum())?;
    let trips: Option<Vec<f64>> = runs
        .iter()
        .map(|run| {
            let per_operation = |trips| trips as f64 / run.operations.max(1) as f64;
            run.round_trips.map(per_operation)
        })
        .collect();
    if let Some(trips) = trips {
        figure(cell, row.name, "round_trips", trips);
    }
    Ok(())
}
