// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reading from a device that lies: programs get errors, never a hang, never a
//! name that is a path, and the kernel lives on.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;

use anyhow::{anyhow, bail, ensure, Result};

use crate::fleet::{wait_for_state, Fleet};
use crate::impostor::Impostor;
use crate::liar::{self, Lie};
use crate::net::Network;
use crate::suite::hostile;
use crate::suite::support::{drop_caches, holds, same};
use crate::suite::{tests, Group};
use crate::tree;
use crate::wait::PATIENCE;

/// A laptop that reads what a taken-over tablet serves.
pub const GROUP: Group = Group {
    name: "lies",
    fleet: Some(hostile::prepare),
    seconds: 2,
    tests: tests![
        Fleet: an_honest_device_is_believed,
        garbage,
        an_answer_to_another_request,
        data_that_nobody_asked_for,
        more_data_than_asked_for,
        no_data_where_there_must_be_some,
        half_a_body,
        a_listed_name_that_is_a_path,
        a_file_of_nine_exabytes,
        a_root_that_is_a_file,
        a_directory_that_contains_itself,
        no_answer_at_all,
    ],
};

/// While the tablet answers with `lie`, the laptop looks at its view of it.
fn look(fleet: &Fleet, lie: Lie, look: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let (laptop, tablet) = (fleet.device("laptop")?, fleet.device("tablet")?);
    drop_caches()?;
    let mut impostor = Impostor::greeted(tablet, laptop, &Network::address(1))?;
    let hold = impostor.try_clone()?;
    let result = thread::scope(|scope| {
        let server = scope.spawn(move || liar::serve(&mut impostor, lie));
        let result = wait_for_state(laptop, "tablet", true, PATIENCE)
            .and_then(|_| look(&laptop.view("tablet")));
        // A victim that hung up is well within its rights.
        let _ = hold.say_goodbye();
        let served = server.join();
        result?;
        served.map_err(|_| anyhow!("the server panicked"))?
    });
    result?;
    wait_for_state(laptop, "tablet", false, PATIENCE)?;
    holds(&laptop.local().join("file"), b"content")
}

/// Neither the directory nor the file can be read.
fn nothing_is_read(view: &Path) -> Result<()> {
    if let Ok(names) = tree::names(view) {
        bail!("the listing succeeded: {names:?}");
    }
    ensure!(
        fs::read(view.join(liar::name())).is_err(),
        "the file could be read"
    );
    Ok(())
}

fn an_honest_device_is_believed(fleet: &mut Fleet) -> Result<()> {
    look(fleet, Lie::Nothing, |view| {
        same("the names", tree::names(view)?, vec![liar::name().into()])?;
        holds(&view.join(liar::name()), liar::CONTENT)
    })
}

fn garbage(fleet: &mut Fleet) -> Result<()> {
    look(fleet, Lie::Garbage, nothing_is_read)
}

fn an_answer_to_another_request(fleet: &mut Fleet) -> Result<()> {
    look(fleet, Lie::OtherRequest, nothing_is_read)
}

fn data_that_nobody_asked_for(fleet: &mut Fleet) -> Result<()> {
    look(fleet, Lie::UnaskedData, nothing_is_read)
}

fn more_data_than_asked_for(fleet: &mut Fleet) -> Result<()> {
    look(fleet, Lie::MoreData, |view| {
        let content = fs::read(view.join(liar::name()));
        ensure!(content.is_err(), "the file could be read");
        Ok(())
    })
}

fn no_data_where_there_must_be_some(fleet: &mut Fleet) -> Result<()> {
    look(fleet, Lie::NoData, |view| {
        if let Ok(content) = fs::read(view.join(liar::name())) {
            bail!("{} bytes were read", content.len());
        }
        Ok(())
    })
}

fn half_a_body(fleet: &mut Fleet) -> Result<()> {
    look(fleet, Lie::HalfABody, nothing_is_read)
}

fn a_listed_name_that_is_a_path(fleet: &mut Fleet) -> Result<()> {
    look(fleet, Lie::NameIsPath, |view| {
        let names = tree::names(view).unwrap_or_default();
        let path = names.iter().find(|name| name.as_bytes().contains(&b'/'));
        ensure!(path.is_none(), "the laptop lists {path:?}");
        Ok(())
    })
}

/// Reading at places where the arithmetic of offsets is about to overflow.
fn a_file_of_nine_exabytes(fleet: &mut Fleet) -> Result<()> {
    look(fleet, Lie::Huge, |view| {
        if let Ok(file) = File::open(view.join(liar::name())) {
            let mut buffer = [0; 4096];
            for offset in [0, 1 << 40, i64::MAX as u64 - 4096, i64::MAX as u64 - 1] {
                // Error or short read, both are fine.
                let _ = file.read_at(&mut buffer, offset);
            }
        }
        Ok(())
    })
}

fn a_root_that_is_a_file(fleet: &mut Fleet) -> Result<()> {
    look(fleet, Lie::RootIsFile, |view| {
        if let Ok(metadata) = fs::metadata(view) {
            ensure!(metadata.is_dir(), "the device's directory became a file");
        }
        Ok(())
    })
}

fn a_directory_that_contains_itself(fleet: &mut Fleet) -> Result<()> {
    look(fleet, Lie::Loop, |view| {
        let mut path = view.to_owned();
        for _ in 0..20 {
            path.push(liar::name());
            // It may be refused, or go on: the kernel must not mind.
            let _ = tree::names(&path);
        }
        Ok(())
    })
}

fn no_answer_at_all(fleet: &mut Fleet) -> Result<()> {
    look(fleet, Lie::Silence, nothing_is_read)
}
