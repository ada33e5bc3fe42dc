// SPDX-License-Identifier: MIT OR Apache-2.0

//! Measures hmdfs beside other file systems, in one guest.
//!
//! `tools/bench` runs it: `bench guest` inside the guest, `bench report` on what that printed.

mod cell;
mod guest;
mod local;
mod measure;
mod network;
mod plan;
mod profile;
mod raw;
mod record;
mod remote;
mod report;
mod scaling;
mod selection;
mod statistics;
mod system;
mod workload;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{bail, Result};

use crate::plan::Cell;
use crate::selection::{Scale, Selection};

const USAGE: &str = "\
usage: bench guest [--quick] [--only WORDS]   measure; records on standard output
       bench cell NETWORK SYSTEM [...]        one system on one network (what `guest` starts)
       bench report RECORDS FOLDER            results.csv, report.md and plots of a run
       bench profile COUNTS SYMBOLS MODULE    what `tools/profile` prints: see the beginning of profile.rs
       bench check [--only WORDS]             whether WORDS are names of something
       bench cells [--quick] [--only WORDS]   what would be measured: WORDS for each system on each network
       bench programs [--quick] [--only WORDS]  whether it needs what tools/bench-root makes
       bench list                             the names of networks, systems and workloads
";

fn options(arguments: &[String]) -> Result<(Selection, Scale)> {
    let mut selection = Selection::default();
    let mut scale = Scale::Full;
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match (word.as_str(), word) {
            ("--quick", _) => scale = Scale::Quick,
            ("--profile", _) => profile::allow(),
            ("--only", _) => match words.next() {
                Some(text) => selection = Selection::parse(text)?,
                None => bail!("--only what?\n{USAGE}"),
            },
            (_, unknown) => bail!("unknown argument: {unknown}\n{USAGE}"),
        }
    }
    Ok((selection, scale))
}

fn list() {
    let networks: Vec<&str> = network::NETWORKS.iter().map(|shape| shape.name).collect();
    println!("networks:  {}", networks.join(" "));
    println!("systems:   {}", plan::systems().join(" "));
    println!("workloads: {}", plan::workloads().join(" "));
}

fn run(arguments: &[String]) -> Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["list"] => list(),
        ["check", ..] => drop(options(&arguments[1..])?),
        ["cells", ..] => {
            let (selection, scale) = options(&arguments[1..])?;
            for cell in plan::cells(&selection, scale) {
                println!("{}", selection.of_cell(cell.network, &cell.system));
            }
        }
        ["programs", ..] => {
            let (selection, scale) = options(&arguments[1..])?;
            println!("{}", plan::needs_programs(&selection, scale));
        }
        ["guest", ..] => {
            let (selection, scale) = options(&arguments[1..])?;
            guest::run(&arguments[1..], &selection, scale)?;
        }
        ["cell", network, system, ..] => {
            let (selection, scale) = options(&arguments[3..])?;
            let shape = network::Shape::named(network)?;
            let cell = Cell {
                network: shape.name,
                system: (*system).to_owned(),
            };
            cell::run(&cell, &selection, scale)?;
        }
        ["profile", counts, symbols, module] => profile::report(counts, symbols, module)?,
        ["report", records, folder] => report::make(Path::new(records), Path::new(folder))?,
        _ => bail!("{USAGE}"),
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
