// SPDX-License-Identifier: MIT OR Apache-2.0

//! A device dies in the middle of what changes several: at every step of it.
//!
//! The steps are the messages between the laptop, which does it, and the device that dies. There is
//! one such device for each of several steps, so that their deaths are waited for together; what is done
//! with one of them concerns this one, the laptop and the phone only.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure, Context, Result};
use rustix::fs::{renameat, unlinkat, AtFlags};

use crate::device::PORT as DAEMON;
use crate::fleet::{wait_for_state, Fleet, Plan};
use crate::net::Network;
use crate::random::Random;
use crate::relay::{self, Relay};
use crate::suite::merged_making::{home, lists, merged, put};
use crate::suite::support::holds;
use crate::suite::{tests, Group};
use crate::tree;
use crate::wait::{self, PATIENCE};

/// A laptop, tablets that it reaches through relays only and that do not reach it, and a phone. The
/// laptop may change what the others have.
pub const GROUP: Group = Group {
    name: "merged_dying",
    fleet: Some(prepare),
    seconds: 50,
    tests: tests![
        Fleet: while_a_directory_is_removed,
        while_a_directory_is_renamed,
        while_a_directory_is_renamed_and_again,
        while_a_directory_replaces_another,
        while_a_file_is_saved,
        while_a_large_file_is_saved,
    ],
};

const TABLETS: [&str; 5] = ["t1", "t2", "t3", "t4", "t5"];

/// How long it may take a device that is back to do what the others have done meanwhile, if it does.
const FOLLOWING: Duration = Duration::from_secs(10);

/// More steps than anything has.
const MOST_STEPS: usize = 80;

fn prepare() -> Result<Fleet> {
    let names: Vec<_> = ["laptop"]
        .into_iter()
        .chain(TABLETS)
        .chain(["phone"])
        .collect();
    let mut plan = Plan::new(&names).policy("phone", "laptop", "write", 4);
    for (index, tablet) in TABLETS.into_iter().enumerate() {
        // Nobody listens at the discard port.
        plan = plan
            .policy(tablet, "laptop", "write", 4)
            .address("laptop", tablet, format!("127.0.0.1:{}", port(index)))
            .address(tablet, "laptop", "127.0.0.1:9".to_owned());
    }
    plan.build()
}

fn port(index: usize) -> u16 {
    relay::PORT + index as u16
}

/// Something that changes what three devices have together.
struct Work {
    name: &'static str,
    /// Makes what it needs at home on the devices.
    prepare: fn(&Place<'_>) -> Result<()>,
    run: fn(&Place<'_>) -> io::Result<()>,
    /// Whether everything is as it must be in the view of the laptop and at home on the laptop and the
    /// phone, when it was done, or failed.
    holds: fn(&Place<'_>, done: bool) -> Result<()>,
    /// The same at home on the device that died, of which nobody can tell whether it has done its
    /// part.
    holds_there: fn(&Place<'_>) -> Result<()>,
    /// Whether it was done by the others alone, because the device had gone before it began.
    holds_without: fn(&Place<'_>) -> Result<()>,
    /// Messages between two places to die at.
    stride: usize,
    /// After a failure it is done again while the device is away, and not when it is back.
    is_repeated_at_once: bool,
}

/// Where it happens: a directory that the laptop, the phone and one tablet have.
struct Place<'a> {
    fleet: &'a Fleet,
    tablet: &'static str,
    name: String,
    view: PathBuf,
    directory: File,
}

impl<'a> Place<'a> {
    fn new(fleet: &'a Fleet, work: &Work, tablet: &'static str, step: usize) -> Result<Self> {
        let name = format!("{} {step}", work.name);
        let view = merged(fleet, &name)?;
        Ok(Self {
            fleet,
            tablet,
            directory: File::open(&view)?,
            view,
            name,
        })
    }

    fn devices(&self) -> [&'static str; 3] {
        ["laptop", "phone", self.tablet]
    }

    fn home(&self, device: &str, path: &str) -> Result<PathBuf> {
        home(self.fleet, device, &format!("{}/{path}", self.name))
    }

    /// Makes a directory with a file on each device.
    fn fill(&self, directory: &str) -> Result<()> {
        for device in self.devices() {
            let path = format!("{}/{directory}/in {device}", self.name);
            put(self.fleet, &[(device, &path)])?;
        }
        Ok(())
    }

    fn make(&self, directory: &str) -> Result<()> {
        for device in self.devices() {
            fs::create_dir(self.home(device, directory)?)?;
        }
        Ok(())
    }

    /// At home on the device, there are these names besides the file that is never touched.
    fn has(&self, device: &str, names: &[&str]) -> Result<()> {
        let own = format!("of {device}");
        let all: Vec<_> = names.iter().copied().chain([own.as_str()]).collect();
        lists(&self.home(device, "")?, &all).with_context(|| format!("on the {device}"))
    }

    fn filled(&self, device: &str, directory: &str) -> Result<()> {
        let folder = self.home(device, directory)?;
        lists(&folder, &[&format!("in {device}")])?;
        holds(&folder.join(format!("in {device}")), device.as_bytes())
    }

    /// The view shows these names besides the files that are never touched.
    fn shows(&self, names: &[&str]) -> Result<()> {
        let own: Vec<_> = self
            .shown()?
            .into_iter()
            .map(|device| format!("of {device}"))
            .collect();
        let all: Vec<_> = names
            .iter()
            .copied()
            .chain(own.iter().map(String::as_str))
            .collect();
        lists(&self.view, &all).context("in the view")
    }

    /// The view shows this directory with all files of the devices that are there.
    fn shows_filled(&self, directory: &str) -> Result<()> {
        self.shows(&[directory])?;
        let names: Vec<_> = self
            .shown()?
            .into_iter()
            .map(|device| format!("in {device}"))
            .collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        lists(&self.view.join(directory), &names)
    }

    /// The view shows whatever the devices have that are there.
    fn shows_everything(&self) -> Result<()> {
        let shown = tree::names(&self.view)?;
        for device in self.shown()? {
            for name in tree::names(&self.home(device, "")?)? {
                ensure!(shown.contains(&name), "the view does not show {name:?}");
            }
        }
        Ok(())
    }

    /// The devices whose files the view has.
    fn shown(&self) -> Result<Vec<&'static str>> {
        let control = self.fleet.device("laptop")?.control();
        let mut devices = vec!["laptop", "phone"];
        if control.is_online(self.tablet)? {
            devices.push(self.tablet);
        }
        Ok(devices)
    }
}

/// Runs `test` while the relays work, from the moment on in which all devices see each other.
fn relayed(fleet: &mut Fleet, test: impl FnOnce(&mut Fleet, &[Relay]) -> Result<()>) -> Result<()> {
    let relays: Vec<_> = TABLETS.iter().map(|_| Relay::default()).collect();
    thread::scope(|scope| {
        let mut servers = Vec::new();
        for (index, relay) in relays.iter().enumerate() {
            let target = format!("{}:{DAEMON}", Network::address(index as u32 + 2)).parse()?;
            let entrance = fleet.device("laptop")?.namespace()?.entrance();
            servers.push(scope.spawn(move || entrance.enter(|| relay.run(port(index), target))));
        }
        let result = dial(fleet).and_then(|()| test(fleet, &relays));
        relays.iter().for_each(Relay::stop);
        let served = servers
            .into_iter()
            .try_for_each(|server| server.join().map_err(|_| anyhow!("a relay panicked"))?);
        result.and(served)
    })
}

/// Has the laptop dial at once, and waits until all are there.
fn dial(fleet: &mut Fleet) -> Result<()> {
    let laptop = fleet.device_mut("laptop")?;
    laptop.stop()?;
    laptop.start()?;
    fleet.wait_online(PATIENCE)?;
    Ok(())
}

/// Does `work` again and again, each time with another device that dies one step later, until none
/// dies.
fn at_every_step(fleet: &mut Fleet, work: &Work) -> Result<()> {
    relayed(fleet, |fleet, relays| {
        let (mut failed, mut followed) = (0, 0);
        for first in (0..MOST_STEPS).step_by(TABLETS.len()) {
            let deaths = at_steps(fleet, relays, work, first)?;
            failed += deaths
                .iter()
                .filter(|death| death.died && !death.done)
                .count();
            followed += deaths.iter().filter(|death| death.followed).count();
            if deaths.last().is_some_and(|death| !death.died) {
                ensure!(failed > 0, "no death was noticed");
                ensure!(
                    followed > 0 || !work.is_repeated_at_once,
                    "no device has followed the others"
                );
                return Ok(());
            }
        }
        Err(anyhow!("it never ends"))
    })
}

/// One device that was to die, and what came of the work.
struct Death {
    tablet: &'static str,
    step: usize,
    died: bool,
    done: bool,
    /// It was done without the device.
    without: bool,
    /// It had failed, and was done again without the device.
    repeated: bool,
    /// It has done so as well when it was back.
    followed: bool,
}

impl Death {
    fn place<'a>(&self, fleet: &'a Fleet, work: &Work) -> Result<Place<'a>> {
        Place::new(fleet, work, self.tablet, self.step)
    }
}

/// One device dies at each of the steps from `first` on.
fn at_steps(fleet: &mut Fleet, relays: &[Relay], work: &Work, first: usize) -> Result<Vec<Death>> {
    let mut deaths = die(fleet, relays, work, first)?;
    for death in &mut deaths {
        let place = death.place(fleet, work)?;
        let told = format!("{}, {} died: {}", place.name, place.tablet, death.died);
        away(work, &place, death).context(told)?;
    }
    for (index, death) in deaths.iter().enumerate() {
        // Every other two of them have forgotten what they had in mind.
        if death.died && index % 4 >= 2 {
            let tablet = fleet.device_mut(death.tablet)?;
            tablet.umount()?;
            tablet.mount()?;
        }
    }
    relays.iter().for_each(Relay::mend);
    dial(fleet)?;
    let followed_by = Instant::now() + FOLLOWING;
    for death in &mut deaths {
        let place = death.place(fleet, work)?;
        back(work, &place, death, followed_by)
            .with_context(|| format!("{}, back again", place.name))?;
    }
    Ok(deaths)
}

/// Does the work with all devices at the same time.
fn die(fleet: &Fleet, relays: &[Relay], work: &Work, first: usize) -> Result<Vec<Death>> {
    let mut places = Vec::new();
    for (tablet, step) in TABLETS.into_iter().zip(first..) {
        for device in ["laptop", tablet, "phone"] {
            put(
                fleet,
                &[(device, &format!("{} {step}/of {device}", work.name))],
            )?;
        }
        let place = Place::new(fleet, work, tablet, step)?;
        (work.prepare)(&place)?;
        let shows_all = || Ok(place.shown()?.len() == 3 && tree::names(&place.view)?.len() >= 3);
        wait::until("the directory of all devices", PATIENCE, shows_all)?;
        // What is cached is not asked for again.
        for name in tree::names(&place.view)? {
            fs::metadata(place.view.join(name))?;
        }
        places.push((step, place));
    }
    thread::scope(|scope| {
        let mut running = Vec::new();
        for ((step, place), relay) in places.into_iter().zip(relays) {
            running.push(scope.spawn(move || {
                relay.cut_after((step * work.stride) as u32);
                let done = (work.run)(&place).is_ok();
                let died = relay.is_cut();
                if !died {
                    relay.mend();
                }
                Death {
                    tablet: place.tablet,
                    step,
                    died,
                    done,
                    without: false,
                    repeated: false,
                    followed: false,
                }
            }));
        }
        running
            .into_iter()
            .map(|program| program.join().map_err(|_| anyhow!("a program panicked")))
            .collect()
    })
}

/// What holds while the device is away.
fn away(work: &Work, place: &Place<'_>, death: &mut Death) -> Result<()> {
    if death.died {
        let laptop = place.fleet.device("laptop")?;
        wait_for_state(laptop, place.tablet, false, PATIENCE)?;
    } else {
        ensure!(death.done, "it failed");
    }
    if death.died && death.done && (work.holds_without)(place).is_ok() {
        death.without = true;
        return place.shows_everything();
    }
    (work.holds)(place, death.done)?;
    (work.holds_there)(place)?;
    if !death.done && work.is_repeated_at_once {
        (work.run)(place).context("again")?;
        death.repeated = true;
        (work.holds)(place, true)?;
    }
    Ok(())
}

/// What holds when the device is back, and after the work was done again if it had failed.
fn back(work: &Work, place: &Place<'_>, death: &mut Death, followed_by: Instant) -> Result<()> {
    if death.repeated {
        let follows = || (work.holds)(place, true).map(|()| true);
        let left = followed_by.saturating_duration_since(Instant::now());
        death.followed = wait::until("the device to follow", left, follows).is_ok();
        // It may have gone before it was asked to do anything.
        death.without = !death.followed;
    }
    if death.without {
        (work.holds_without)(place)?;
        return place.shows_everything();
    }
    let done = death.done || death.repeated;
    wait::until("everything to be as it is to be", PATIENCE, || {
        (work.holds)(place, done).map(|()| true)
    })?;
    (work.holds_there)(place)?;
    if !done {
        (work.run)(place).context("again")?;
    }
    (work.holds)(place, true)?;
    (work.holds_there)(place)
}

fn while_a_directory_is_removed(fleet: &mut Fleet) -> Result<()> {
    at_every_step(
        fleet,
        &Work {
            name: "rmdir",
            prepare: |place| place.make("d"),
            run: |place| Ok(unlinkat(&place.directory, "d", AtFlags::REMOVEDIR)?),
            holds: |place, done| {
                let names: &[&str] = if done { &[] } else { &["d"] };
                place.has("laptop", names)?;
                place.has("phone", names)?;
                place.shows(names)
            },
            holds_there: |place| {
                place
                    .has(place.tablet, &["d"])
                    .or_else(|_| place.has(place.tablet, &[]))
            },
            holds_without: |place| {
                place.has("laptop", &[])?;
                place.has("phone", &[])?;
                place.has(place.tablet, &["d"])
            },
            stride: 1,
            is_repeated_at_once: false,
        },
    )
}

fn renamed(place: &Place<'_>, done: bool) -> Result<()> {
    let name = if done { "new" } else { "old" };
    for device in ["laptop", "phone"] {
        place.has(device, &[name])?;
        place.filled(device, name)?;
    }
    place.shows_filled(name)
}

fn renamed_without(place: &Place<'_>) -> Result<()> {
    place.filled("laptop", "new")?;
    place.filled("phone", "new")?;
    place.filled(place.tablet, "old")
}

fn renamed_there(place: &Place<'_>) -> Result<()> {
    let has = |name| {
        place.has(place.tablet, &[name])?;
        place.filled(place.tablet, name)
    };
    has("old").or_else(|_| has("new"))
}

fn rename(place: &Place<'_>) -> io::Result<()> {
    Ok(renameat(&place.directory, "old", &place.directory, "new")?)
}

fn while_a_directory_is_renamed(fleet: &mut Fleet) -> Result<()> {
    at_every_step(
        fleet,
        &Work {
            name: "rename",
            prepare: |place| place.fill("old"),
            run: rename,
            holds: renamed,
            holds_there: renamed_there,
            holds_without: renamed_without,
            stride: 1,
            is_repeated_at_once: false,
        },
    )
}

/// Nobody waits for a device to come back.
fn while_a_directory_is_renamed_and_again(fleet: &mut Fleet) -> Result<()> {
    at_every_step(
        fleet,
        &Work {
            name: "rename at once",
            prepare: |place| place.fill("old"),
            run: rename,
            holds: renamed,
            holds_there: renamed_there,
            holds_without: renamed_without,
            stride: 1,
            is_repeated_at_once: true,
        },
    )
}

fn while_a_directory_replaces_another(fleet: &mut Fleet) -> Result<()> {
    at_every_step(
        fleet,
        &Work {
            name: "replace",
            prepare: |place| {
                place.fill("old")?;
                place.make("new")
            },
            run: rename,
            holds: |place, done| {
                if done {
                    return renamed(place, true);
                }
                for device in ["laptop", "phone"] {
                    place.has(device, &["new", "old"])?;
                    place.filled(device, "old")?;
                    lists(&place.home(device, "new")?, &[])?;
                }
                place.shows(&["new", "old"])?;
                lists(&place.view.join("new"), &[])
            },
            holds_there: |place| {
                if place.filled(place.tablet, "new").is_ok() {
                    return Ok(());
                }
                place.filled(place.tablet, "old")
            },
            holds_without: renamed_without,
            stride: 1,
            is_repeated_at_once: false,
        },
    )
}

const OLD: &[u8] = b"the old content of the file";

fn prepare_saving(place: &Place<'_>, content: &[u8]) -> Result<()> {
    fs::write(place.home(place.tablet, "file")?, OLD)?;
    Ok(fs::write(place.home("laptop", "file.new")?, content)?)
}

fn save(place: &Place<'_>) -> io::Result<()> {
    Ok(renameat(
        &place.directory,
        "file.new",
        &place.directory,
        "file",
    )?)
}

fn saved(place: &Place<'_>, done: bool, content: &[u8]) -> Result<()> {
    let is_there = place.shown()?.contains(&place.tablet);
    let mut names = Vec::new();
    if is_there {
        names.push("file");
    }
    if !done {
        names.push("file.new");
        holds(&place.home("laptop", "file.new")?, content)?;
        holds(&place.view.join("file.new"), content)?;
    }
    place.shows(&names)?;
    if is_there && done {
        holds(&place.view.join("file"), content)?;
    }
    place.has("laptop", if done { &[] } else { &["file.new"] })?;
    place.has("phone", &[])
}

fn saved_there(place: &Place<'_>, content: &[u8]) -> Result<()> {
    place.has(place.tablet, &["file"])?;
    let file = place.home(place.tablet, "file")?;
    holds(&file, OLD).or_else(|_| holds(&file, content))
}

/// It was renamed on the laptop, where there was no such name.
fn saved_without(place: &Place<'_>, content: &[u8]) -> Result<()> {
    place.has("laptop", &["file"])?;
    holds(&place.home("laptop", "file")?, content)?;
    place.has(place.tablet, &["file"])?;
    holds(&place.home(place.tablet, "file")?, OLD)
}

fn small() -> Vec<u8> {
    Random::new(5).bytes(5000)
}

fn large() -> Vec<u8> {
    Random::new(6).bytes((2 << 20) + 77)
}

fn while_a_file_is_saved(fleet: &mut Fleet) -> Result<()> {
    at_every_step(
        fleet,
        &Work {
            name: "save",
            prepare: |place| prepare_saving(place, &small()),
            run: save,
            holds: |place, done| saved(place, done, &small()),
            holds_there: |place| saved_there(place, &small()),
            holds_without: |place| saved_without(place, &small()),
            stride: 1,
            is_repeated_at_once: false,
        },
    )
}

fn while_a_large_file_is_saved(fleet: &mut Fleet) -> Result<()> {
    at_every_step(
        fleet,
        &Work {
            name: "save much",
            prepare: |place| prepare_saving(place, &large()),
            run: save,
            holds: |place, done| saved(place, done, &large()),
            holds_there: |place| saved_there(place, &large()),
            holds_without: |place| saved_without(place, &large()),
            stride: 20,
            is_repeated_at_once: false,
        },
    )
}
