// SPDX-License-Identifier: MIT OR Apache-2.0

//! The hmdfs daemon: finds the other devices, proves who they are, and hands the connections to
//! the kernel. See hmdfsd(8).

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod backoff;
mod config;
mod control;
mod daemon;
mod kernel;
mod links;
mod listener;
mod network;
mod numbers;
mod peer;
mod policy;
mod report;
mod service;
mod transport;

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use hmdfs_tls::Identity;
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use tracing::{error, info, level_filters::LevelFilter};

use crate::config::Config;
use crate::control::Control;
use crate::daemon::{Daemon, Inputs};
use crate::listener::Acceptor;
use crate::numbers::Numbers;
use crate::service::Signals;

/// Links this device to the user's other devices, for the hmdfs file system.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The configuration; the files *.toml of the directory FILE.d add to it.
    #[arg(long, value_name = "FILE", default_value = config::DEFAULT_PATH)]
    config: PathBuf,

    /// Print the ID of this device and end; its key is made if it has none.
    #[arg(long)]
    print_id: bool,

    /// How much to log: error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: LevelFilter,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_log(arguments.log_level);
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            error!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// Logs to the standard error. The journal notes the time itself.
fn start_log(level: LevelFilter) {
    let log = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(false)
        .with_writer(std::io::stderr);
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        log.without_time().init();
    } else {
        log.init();
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let config = Config::load(&arguments.config).map_err(|error| error.to_string())?;
    make_state_directory(&config.state_dir)?;
    let identity =
        Identity::load_or_create(&config.state_dir).map_err(|error| error.to_string())?;
    if arguments.print_id {
        println!("{}", identity.id());
        return Ok(());
    }
    let own = config.check_own(&arguments.config, identity.id());
    own.map_err(|error| error.to_string())?;
    let mut numbers = Numbers::load(&config.state_dir)?;
    numbers
        .claim(&config.peers)
        .map_err(|problem| format!("{}: {problem}", arguments.config.display()))?;
    let daemon = Daemon::new(arguments.config.clone(), config, identity, numbers);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let result = LocalSet::new().block_on(&runtime, serve(daemon));
    // A request that hangs in the kernel must not keep the daemon from ending.
    runtime.shutdown_background();
    result
}

fn make_state_directory(path: &Path) -> Result<(), String> {
    let mut builder = std::fs::DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(path);
    made.map_err(|error| format!("state-dir: {}: {error}", path.display()))
}

async fn serve(daemon: Daemon) -> Result<(), String> {
    let signals =
        Signals::listen().map_err(|error| format!("cannot listen to signals: {error}"))?;
    let control = Control::bind(&daemon.config.socket)?;
    let listeners = listener::bind(&daemon.config.listen).await?;
    let (notice, notices) = mpsc::channel(64);
    let (arrival, arrivals) = mpsc::channel(64);
    let (question, questions) = mpsc::channel(16);
    let (change, changes) = mpsc::channel(1);
    let acceptor = Acceptor {
        identity: daemon.identity.clone(),
        pins: daemon.pins(),
        arrivals: arrival,
    };
    acceptor.run(listeners);
    tokio::task::spawn_local(kernel::watch(notice));
    tokio::task::spawn_local(network::watch(change));
    let control = tokio::task::spawn_local(control.serve(question));
    info!(
        "this device is {}, called '{}'",
        daemon.identity.id(),
        daemon.config.name
    );
    service::ready();
    daemon
        .run(Inputs {
            notices,
            arrivals,
            changes,
            questions,
            signals,
        })
        .await;
    service::stopping();
    // The links stay: they are with the kernel. Only the socket goes.
    control.abort();
    let _ = control.await;
    info!("ended");
    Ok(())
}
