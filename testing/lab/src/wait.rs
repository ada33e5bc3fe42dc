// SPDX-License-Identifier: MIT OR Apache-2.0

//! Waiting for something to become true.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, Result};

/// How long changes may take that a person would wait for: connecting,
/// noticing that a device is gone. Generous, for the slowest machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks `condition` again and again until it holds; returns how long it took.
/// The last error of `condition`, or what it was waiting for, ends up in the error.
pub fn until(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> Result<bool>,
) -> Result<Duration> {
    let start = Instant::now();
    loop {
        let answer = condition();
        if matches!(answer, Ok(true)) {
            return Ok(start.elapsed());
        }
        if start.elapsed() >= limit {
            return match answer {
                Err(error) => Err(error.context(format!("while waiting for {what}"))),
                Ok(_) => bail!("after {} s still waiting for {what}", limit.as_secs()),
            };
        }
        thread::sleep(Duration::from_millis(50));
    }
}
