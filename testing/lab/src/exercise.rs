// SPDX-License-Identifier: MIT OR Apache-2.0

//! Random work of several devices on the same files, against a model.
//!
//! Each step opens what it works on and closes it again, and the next one, on whichever
//! device, has to find exactly what the model says: that is the promise. Devices are
//! the owner, who works on the exported tree itself, and its peers.
//!
//! A divergence is made as small as possible, by doing the same without more and more
//! of the steps before it, and printed so that it can be repeated.

mod perform;
mod step;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};

use crate::fleet::{Fleet, Plan};
use crate::module;
use crate::random::Random;
use crate::storage::Storage;
use step::{Model, Outcome, Step};

/// Number of steps after which a new folder is begun.
const STEPS: usize = 500;

/// How often a failure is repeated with fewer steps.
const ATTEMPTS: usize = 200;

/// Where the devices find the tree that they share.
pub struct Devices {
    /// At its owner.
    home: PathBuf,
    /// On those that take part.
    roots: Vec<PathBuf>,
}

impl Devices {
    /// The tree of `owner`, at home and on all `peers`.
    pub fn of(fleet: &Fleet, owner: &str, peers: &[&str]) -> Result<Self> {
        let mut roots = vec![fleet.device(owner)?.export()];
        for peer in peers {
            roots.push(fleet.device(peer)?.view(owner));
        }
        Ok(Self {
            home: roots[0].clone(),
            roots,
        })
    }

    /// The peers only.
    pub fn without_owner(mut self) -> Self {
        self.roots.remove(0);
        self
    }
}

/// Runs `count` random steps; an error describes the smallest sequence found that fails.
pub fn run(devices: &Devices, seed: u64, count: usize) -> Result<()> {
    let mut random = Random::new(seed);
    let mut model = Model::default();
    let mut steps = Vec::new();
    for _ in 0..count {
        let step = step::random(&mut random, devices.roots.len(), &mut model);
        model.apply(&step.action);
        steps.push(step);
    }
    let Some(divergence) = attempt(devices, &steps)? else {
        return Ok(());
    };
    steps.truncate(divergence.at + 1);
    let steps = shrink(devices, steps)?;
    let Some(smallest) = attempt(devices, &steps)? else {
        bail!("seed {seed}: {divergence}\nit did not happen again in {steps:#?}");
    };
    bail!("seed {seed}: {smallest}\nafter {steps:#?}\n(at first: {divergence})")
}

/// What a step gave, and should have given.
struct Divergence {
    at: usize,
    step: Step,
    found: Outcome,
    expected: Outcome,
}

impl std::fmt::Display for Divergence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "step {}, {:?}: ", self.at, self.step)?;
        match (&self.found, &self.expected) {
            (Outcome::Content(found), Outcome::Content(expected)) => {
                let equal = found
                    .iter()
                    .zip(expected)
                    .take_while(|(found, expected)| found == expected)
                    .count();
                let part = |bytes: &[u8]| -> Vec<u8> {
                    bytes.iter().skip(equal).take(4).copied().collect()
                };
                write!(
                    f,
                    "{} bytes instead of {}, different from byte {equal} on: {:?} instead of {:?}",
                    found.len(),
                    expected.len(),
                    part(found),
                    part(expected)
                )
            }
            (Outcome::Content(found), expected) => {
                write!(f, "{} bytes instead of {expected:?}", found.len())
            }
            (found, Outcome::Content(expected)) => {
                write!(f, "{found:?} instead of {} bytes", expected.len())
            }
            (found, expected) => write!(f, "{found:?} instead of {expected:?}"),
        }
    }
}

/// Does the steps in a new folder, and gives the first that diverges.
fn attempt(devices: &Devices, steps: &[Step]) -> Result<Option<Divergence>> {
    let (name, home) = folder(&devices.home)?;
    let mut model = Model::default();
    let mut result = None;
    for (at, step) in steps.iter().enumerate() {
        if !model.allows(&step.action) {
            continue;
        }
        let expected = model.apply(&step.action);
        let found = perform::perform(&devices.roots[step.device].join(&name), &step.action);
        if found != expected {
            result = Some(Divergence {
                at,
                step: step.clone(),
                found,
                expected,
            });
            break;
        }
    }
    fs::remove_dir_all(home)?;
    Ok(result)
}

/// A folder that was never used, made by the owner.
fn folder(root: &Path) -> Result<(String, PathBuf)> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let round = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("exercise-{}-{round}", std::process::id());
    let home = root.join(&name);
    fs::create_dir(&home).context("cannot make a folder")?;
    for directory in ["d0", "d1"] {
        fs::create_dir(home.join(directory))?;
    }
    Ok((name, home))
}

/// Leaves out as many steps as possible; the last one goes on failing.
fn shrink(devices: &Devices, mut steps: Vec<Step>) -> Result<Vec<Step>> {
    let mut attempts = 0;
    let mut chunk = steps.len() / 2;
    while chunk > 0 && attempts < ATTEMPTS {
        let mut start = 0;
        while start + chunk < steps.len() && attempts < ATTEMPTS {
            attempts += 1;
            let mut fewer = steps.clone();
            fewer.drain(start..start + chunk);
            match attempt(devices, &fewer)? {
                Some(divergence) => {
                    fewer.truncate(divergence.at + 1);
                    steps = fewer;
                }
                None => start += chunk,
            }
        }
        chunk /= 2;
    }
    Ok(steps)
}

/// Three devices work on the files of one of them for so many seconds.
pub fn for_seconds(seconds: u64, seed: u64) -> Result<()> {
    module::ensure_loaded()?;
    let fleet = fleet("xfs")?;
    let devices = Devices::of(&fleet, "tablet", &["laptop", "phone"])?;
    let (begin, mut rounds) = (Instant::now(), 0);
    while begin.elapsed() < Duration::from_secs(seconds) {
        run(&devices, seed.wrapping_add(rounds), STEPS)?;
        rounds += 1;
        println!(
            "{} steps in {} s, no divergence",
            rounds as usize * STEPS,
            begin.elapsed().as_secs()
        );
    }
    ensure!(rounds > 0, "there was no time for anything");
    fleet.close()
}

/// A tablet with this lower file system, whose files two others may change. Of what there is no
/// lease on, nothing that was told is used again, so that what the owner does is seen at once.
pub fn fleet(fstype: &'static str) -> Result<Fleet> {
    Plan::with_storage(vec![
        ("laptop", Storage::Memory(16)),
        ("tablet", Storage::Image(fstype, 320)),
        ("phone", Storage::Memory(16)),
    ])
    .policy("tablet", "laptop", "write", 4)
    .policy("tablet", "phone", "write", 4)
    .mount_option("attr_timeout", "0")
    .start()
}
