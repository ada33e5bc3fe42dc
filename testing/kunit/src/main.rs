// SPDX-License-Identifier: MIT OR Apache-2.0

//! Judges what the tests inside the kernel module reported.
//!
//! KUnit writes its results as KTAP into the kernel's log. This program reads the
//! log of a guest that loaded the module, prints one TAP line for each test case
//! and fails when a test failed, when anything that was announced is missing, or
//! when nothing was announced.
//!
//! Usage: `kunit LOG`

mod ktap;

use std::env;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use ktap::Outcome;

fn main() -> ExitCode {
    let Some(path) = env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("error: no kernel log given\n  usage: kunit LOG");
        return ExitCode::from(2);
    };
    let log = match fs::read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => {
            eprintln!("error: {}: {error}", path.display());
            return ExitCode::from(2);
        }
    };
    let report = ktap::parse(&log);
    match print(&report) {
        Ok(()) if report.is_success() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: standard output: {error}");
            ExitCode::from(2)
        }
    }
}

/// Prints the report as TAP: the test cases, then what is wrong with the log itself,
/// each as a failure of its own.
fn print(report: &ktap::Report) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "TAP version 14")?;
    for (index, case) in report.cases.iter().enumerate() {
        let number = index + 1;
        let name = format!("{}: {}", case.suite, case.name);
        match &case.outcome {
            Outcome::Passed => writeln!(out, "ok {number} - {name}")?,
            Outcome::Skipped(reason) => writeln!(out, "ok {number} - {name} # SKIP {reason}")?,
            Outcome::Failed => writeln!(out, "not ok {number} - {name}")?,
        }
        for line in &case.diagnostics {
            writeln!(out, "# {line}")?;
        }
    }
    let mut number = report.cases.len();
    for problem in &report.problems {
        number += 1;
        writeln!(out, "not ok {number} - kunit: {problem}")?;
    }
    writeln!(out, "1..{number}")
}
