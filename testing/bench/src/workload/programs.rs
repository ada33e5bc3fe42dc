// SPDX-License-Identifier: MIT OR Apache-2.0

//! Programs that people run: git, tar, a compiler.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{bail, ensure, Context, Result};
use lab::process;

use super::{nothing, Workload};
use crate::measure::{Measured, Place, Unit};

/// Where tools/bench-root puts what is unpacked here.
const DATA: &str = "/usr/share/bench";

/// Guest seconds that one program may take.
const LIMIT: Duration = Duration::from_secs(3_600);

fn archive(name: &str) -> PathBuf {
    Path::new(DATA).join(format!("{name}.tar"))
}

/// Runs a program that must succeed.
fn run(command: &mut Command) -> Result<String> {
    let output = process::output(command, "", LIMIT)?;
    if !output.status.success() {
        let last: Vec<&str> = output.stderr.lines().rev().take(2).collect();
        bail!("{}: {}", output.status, last.join("; "));
    }
    Ok(output.stdout)
}

fn tar(archive: &Path, into: &Path) -> Result<()> {
    // Not the ownership: who may give files away differs between the systems.
    run(Command::new("tar")
        .arg("--no-same-owner")
        .arg("-xf")
        .arg(archive)
        .arg("-C")
        .arg(into))
    .context("tar")?;
    Ok(())
}

/// Unpacks an archive in the owner's directory, once.
pub(super) fn unpack(place: &Place, name: &str) -> Result<()> {
    if place.owner.join(name).exists() {
        return Ok(());
    }
    tar(&archive(name), &place.owner)
}

fn git_status(place: &Place, cold: bool) -> Result<Measured> {
    let status = || {
        let mut command = Command::new("git");
        command
            .arg("-C")
            .arg(Path::new("tree"))
            .args(["status", "--porcelain"])
            // The index is not written, so that a read-only system does the same work.
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "safe.directory")
            .env("GIT_CONFIG_VALUE_0", "*");
        let changes = run(&mut command).context("git status")?;
        ensure!(
            changes.is_empty(),
            "git sees changes, the first: {}",
            changes.lines().next().unwrap_or_default()
        );
        Ok(())
    };
    if cold {
        return place.time_cold(status);
    }
    status()?;
    place.time(status)
}

/// `git status` in the tree, nothing of it cached.
pub const GIT_STATUS_COLD: Workload = Workload {
    name: "git_status_cold",
    unit: Unit::Seconds,
    warm_ups: 1,
    runs: (3, 2),
    prepare: |place| unpack(place, "tree"),
    run: |place| git_status(place, true),
    clean: nothing,
};

/// `git status` again at once.
pub const GIT_STATUS_WARM: Workload = Workload {
    name: "git_status_warm",
    unit: Unit::Seconds,
    warm_ups: 1,
    runs: (3, 2),
    prepare: |place| unpack(place, "tree"),
    run: |place| git_status(place, false),
    clean: |place| Ok(fs::remove_dir_all(place.owner.join("tree"))?),
};

/// A real source tree unpacked from an archive of this device; everything is at its owner
/// when the clock stops.
pub const UNTAR: Workload = Workload {
    name: "untar",
    unit: Unit::Seconds,
    warm_ups: 1,
    runs: (3, 1),
    prepare: nothing,
    run: |place| {
        let folder = Path::new("untar");
        fs::create_dir(folder).context("mkdir")?;
        let measured = place.time_cold(|| {
            tar(&archive("untar"), folder)?;
            rustix::fs::sync();
            Ok(())
        })?;
        let count = super::trees::walk(&place.owner.join("untar"))?;
        fs::remove_dir_all(folder).context("remove")?;
        Ok(measured.of(count as u64, 0))
    },
    clean: |place| {
        let _ = fs::remove_dir_all(place.owner.join("untar"));
        Ok(())
    },
};

/// Lua compiled and linked: sources there, objects and headers of the system here.
pub const COMPILE: Workload = Workload {
    name: "compile",
    unit: Unit::Seconds,
    warm_ups: 1,
    runs: (1, 1),
    prepare: |place| unpack(place, "lua"),
    run: compile,
    clean: |place| Ok(fs::remove_dir_all(place.owner.join("lua"))?),
};

/// Lua compiled and linked with everything on this device; sources and objects are in the measured
/// directory. What the compiler itself reads is cached.
pub const COMPILE_LOCAL: Workload = Workload {
    name: "compile",
    unit: Unit::Seconds,
    warm_ups: 1,
    runs: (5, 1),
    prepare: |place| unpack(place, "lua"),
    run: |place| {
        let objects = Path::new("objects");
        let work = Compilation::of(place, objects)?;
        let measured = place.time(|| work.run(objects))?;
        fs::remove_dir_all(objects)?;
        Ok(measured.of(work.sources.len() as u64, 0))
    },
    clean: |place| Ok(fs::remove_dir_all(place.owner.join("lua"))?),
};

fn compile(place: &Place) -> Result<Measured> {
    let objects = place.scratch.join("objects");
    let work = Compilation::of(place, &objects)?;
    let measured = place.time_cold(|| work.run(&objects))?;
    fs::remove_dir_all(objects)?;
    Ok(measured.of(work.sources.len() as u64, 0))
}

struct Compilation {
    sources: Vec<String>,
    /// A part of the program in quick runs, without the link.
    links: bool,
}

impl Compilation {
    /// What is to be compiled into the folder `objects`, which is made.
    fn of(place: &Place, objects: &Path) -> Result<Self> {
        let mut sources: Vec<String> = fs::read_dir(place.owner.join("lua"))?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            // The compiler of Lua is a second program.
            .filter(|name| name.ends_with(".c") && name != "luac.c")
            .collect();
        sources.sort();
        let links = place.scale.pick(true, false);
        if !links {
            sources.truncate(4);
        }
        fs::create_dir_all(objects)?;
        Ok(Self { sources, links })
    }

    fn run(&self, objects: &Path) -> Result<()> {
        let object = |source: &String| objects.join(source).with_extension("o");
        for source in &self.sources {
            run(Command::new("gcc")
                .args(["-O0", "-DLUA_USE_POSIX", "-c", "-o"])
                .arg(object(source))
                .arg(Path::new("lua").join(source)))
            .with_context(|| format!("gcc {source}"))?;
        }
        if self.links {
            run(Command::new("gcc")
                .arg("-o")
                .arg(objects.join("lua"))
                .args(self.sources.iter().map(object))
                .arg("-lm"))
            .context("link")?;
        }
        Ok(())
    }
}
