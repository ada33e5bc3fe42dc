// SPDX-License-Identifier: MIT OR Apache-2.0

//! Shows what the hmdfs daemon does. See hmdfsctl(1).

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod show;
mod table;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use hmdfs_control::{ask, AskError, FailureCode, Reply, Request, Status};

/// Longer than the daemon waits for the kernel.
const TIMEOUT: Duration = Duration::from_secs(35);

/// Shows this device, the others, and the links between them.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit status: 0 success, 1 failure, 2 wrong usage, 3 the daemon \
is not running,\n4 no such device, 5 not permitted, 6 no answer in time, 8 not all is well (status --check)."
)]
struct Arguments {
    /// Where the daemon listens.
    #[arg(long, global = true, value_name = "PATH", env = "HMDFS_SOCKET",
          default_value = hmdfs_control::DEFAULT_SOCKET)]
    socket: PathBuf,

    /// Print JSON, whose field names do not change.
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// This device, its mount, and whether the others are online.
    Status {
        /// End with 8 unless hmdfs is mounted and all devices are online.
        #[arg(long)]
        check: bool,
    },
    /// The other devices.
    Devices {
        /// Only the device of this name.
        name: Option<String>,
    },
    /// The links with their counters.
    Links {
        /// Only those of the device of this name.
        device: Option<String>,
    },
    /// The ID of this device, which others need to trust it.
    Id,
}

/// How the program ends, for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Exit {
    Success = 0,
    Failure = 1,
    NotRunning = 3,
    NotFound = 4,
    NotPermitted = 5,
    Timeout = 6,
    Degraded = 8,
}

/// What went wrong, for people, and how to end.
#[derive(Debug)]
struct Problem(Exit, String);

impl From<AskError> for Problem {
    fn from(error: AskError) -> Self {
        let exit = match &error {
            AskError::NotRunning(_) => Exit::NotRunning,
            AskError::NotPermitted(_) => Exit::NotPermitted,
            AskError::Timeout => Exit::Timeout,
            AskError::Refused(failure) if failure.code == FailureCode::NotPermitted => {
                Exit::NotPermitted
            }
            _ => Exit::Failure,
        };
        Problem(exit, error.to_string())
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let exit = match run(&arguments) {
        Ok((text, exit)) => match std::io::stdout().write_all(text.as_bytes()) {
            Ok(()) => exit,
            // Who reads has seen enough: `hmdfsctl links | head`.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => exit,
            Err(_) => Exit::Failure,
        },
        Err(Problem(exit, message)) => {
            eprintln!("hmdfsctl: {message}");
            exit
        }
    };
    ExitCode::from(exit as u8)
}

fn run(arguments: &Arguments) -> Result<(String, Exit), Problem> {
    let json = arguments.json;
    let bold = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    match &arguments.command {
        Command::Status { check } => {
            let status = status(arguments)?;
            let well = status.mount.is_some() && status.devices.iter().all(|device| device.online);
            let exit = if *check && !well {
                Exit::Degraded
            } else {
                Exit::Success
            };
            let text = if json {
                to_json(&status)?
            } else {
                show::status(&status, bold)
            };
            Ok((text, exit))
        }
        Command::Devices { name } => {
            let mut devices = match ask(&arguments.socket, &Request::Devices, TIMEOUT)? {
                Reply::Devices(devices) => devices,
                _ => return Err(AskError::Malformed.into()),
            };
            if let Some(name) = name {
                devices.retain(|device| device.name == *name);
                if devices.is_empty() {
                    return Err(not_found(name));
                }
            }
            let text = if json {
                to_json(&devices)?
            } else {
                show::devices(&devices, bold)
            };
            Ok((text, Exit::Success))
        }
        Command::Links { device } => {
            let mut links = match ask(&arguments.socket, &Request::Links, TIMEOUT)? {
                Reply::Links(links) => links,
                _ => return Err(AskError::Malformed.into()),
            };
            if let Some(name) = device {
                if !status(arguments)?
                    .devices
                    .iter()
                    .any(|device| device.name == *name)
                {
                    return Err(not_found(name));
                }
                links.retain(|link| link.device.as_ref() == Some(name));
            }
            let text = if json {
                to_json(&links)?
            } else {
                show::links(&links, bold)
            };
            Ok((text, Exit::Success))
        }
        Command::Id => {
            let id = status(arguments)?.id;
            let text = if json {
                to_json(&serde_json::json!({ "id": id }))?
            } else {
                format!("{id}\n")
            };
            Ok((text, Exit::Success))
        }
    }
}

fn status(arguments: &Arguments) -> Result<Status, Problem> {
    match ask(&arguments.socket, &Request::Status, TIMEOUT)? {
        Reply::Status(status) => Ok(status),
        _ => Err(AskError::Malformed.into()),
    }
}

fn not_found(name: &str) -> Problem {
    let name = table::printable(name);
    let message = format!("there is no device '{name}': 'hmdfsctl devices' lists them");
    Problem(Exit::NotFound, message)
}

fn to_json(value: &impl serde::Serialize) -> Result<String, Problem> {
    let text = serde_json::to_string_pretty(value);
    let text = text.map_err(|error| Problem(Exit::Failure, error.to_string()))?;
    Ok(text + "\n")
}
