// SPDX-License-Identifier: MIT OR Apache-2.0

//! Mounting, and being told why it was refused.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{anyhow, bail, ensure, Result};
use rustix::io::Errno;

use crate::device::Device;
use crate::fleet;
use crate::fsmount::{self, Refused};
use crate::module;
use crate::netns::Namespace;
use crate::storage::Storage;
use crate::suite::support::same;
use crate::suite::{tests, Group};
use crate::tree;

/// Mounts without peers.
pub const GROUP: Group = Group {
    name: "mounting",
    fleet: None,
    seconds: 1,
    tests: tests![
        Alone: shows_the_views,
        remounting_elsewhere_works,
        without_a_source_is_refused,
        a_source_that_is_no_directory_is_refused,
        a_source_that_does_not_exist_is_refused,
        an_unknown_option_is_refused,
        a_wrong_value_of_dirs_is_refused,
        two_values_of_dirs_are_refused,
        another_directory_in_the_same_namespace_is_refused,
        another_namespace_is_another_device,
        is_listed_with_its_options,
        exporting_itself_is_refused,
    ],
};

/// A device of its own, not mounted.
fn alone(name: &str) -> Result<Device> {
    module::ensure_loaded()?;
    Device::create(name, Some(Namespace::create(name)?), Storage::Memory(64))
}

fn prepared() -> Result<Device> {
    fleet::clean()?;
    alone("laptop")
}

fn refused(device: &Device, options: &[(&str, Option<&str>)]) -> Result<Refused> {
    let target = device.mount_point();
    let result = device.enter(|| Ok(fsmount::mount("hmdfs", options, &target)))?;
    match result {
        Err(refused) => Ok(refused),
        Ok(()) => {
            fsmount::umount(&target)?;
            bail!("mounting with {options:?} was not refused")
        }
    }
}

/// The refusal has this errno and an error message that contains `text`.
fn because(refused: &Refused, errno: Errno, text: &str) -> Result<()> {
    same("the error", refused.errno, errno)?;
    ensure!(
        refused.log.iter().any(|message| message.starts_with('e')),
        "no error message, just {:?}",
        refused.log
    );
    ensure!(
        refused.says(text),
        "the message does not say {text:?}: {refused}"
    );
    Ok(())
}

fn shows_the_views() -> Result<()> {
    let mut device = prepared()?;
    fs::write(device.export().join("file"), "content")?;
    device.mount()?;
    let names = tree::names(&device.mount_point())?;
    same(
        "the views",
        names,
        vec!["device_view".into(), "merge_view".into()],
    )?;
    let devices = tree::names(&device.mount_point().join("device_view"))?;
    same("the devices", devices, vec!["local".into()])?;
    for view in [device.local(), device.merged()] {
        same("the names", tree::names(&view)?, vec!["file".into()])?;
        same(
            "the content",
            fs::read(view.join("file"))?,
            b"content".to_vec(),
        )?;
    }
    device.close()
}

fn remounting_elsewhere_works() -> Result<()> {
    let mut device = prepared()?;
    for _ in 0..3 {
        device.mount()?;
        ensure!(device.local().is_dir(), "the view is missing");
        device.umount()?;
        ensure!(!device.local().exists(), "the view is still there");
    }
    device.close()
}

fn source_of(path: &Path) -> Result<String> {
    path.to_str()
        .map(str::to_owned)
        .ok_or_else(|| anyhow!("{} is not UTF-8", path.display()))
}

fn without_a_source_is_refused() -> Result<()> {
    let device = prepared()?;
    because(&refused(&device, &[])?, Errno::INVAL, "directory")?;
    device.close()
}

fn a_source_that_is_no_directory_is_refused() -> Result<()> {
    let device = prepared()?;
    let file = device.export().join("file");
    fs::write(&file, "")?;
    let source = source_of(&file)?;
    let refused = refused(&device, &[("source", Some(&source))])?;
    because(&refused, Errno::NOTDIR, "director")?;
    device.close()
}

fn a_source_that_does_not_exist_is_refused() -> Result<()> {
    let device = prepared()?;
    let source = source_of(&device.export().join("nothing"))?;
    let refused = refused(&device, &[("source", Some(&source))])?;
    because(&refused, Errno::NOENT, "nothing")?;
    device.close()
}

fn an_unknown_option_is_refused() -> Result<()> {
    let device = prepared()?;
    let source = source_of(&device.export())?;
    let options = [("source", Some(source.as_str())), ("colour", Some("blue"))];
    because(&refused(&device, &options)?, Errno::INVAL, "colour")?;
    device.close()
}

fn a_wrong_value_of_dirs_is_refused() -> Result<()> {
    let device = prepared()?;
    let source = source_of(&device.export())?;
    for value in [Some("Merge"), Some("")] {
        let options = [("source", Some(source.as_str())), ("dirs", value)];
        because(&refused(&device, &options)?, Errno::INVAL, "'merge'")?;
    }
    device.close()
}

fn two_values_of_dirs_are_refused() -> Result<()> {
    let mut device = prepared()?;
    device.mount_with(&[("dirs", Some("rename"))])?;
    let source = source_of(&device.export())?;
    let options = [("source", Some(source.as_str())), ("dirs", Some("merge"))];
    because(&refused(&device, &options)?, Errno::BUSY, "dirs=rename")?;
    // Without a value, or with the same, it is the same mount.
    for options in [&options[..1], &[options[0], ("dirs", Some("rename"))]] {
        let target = device.export().join("target");
        fs::create_dir_all(&target)?;
        device.enter(|| Ok(fsmount::mount("hmdfs", options, &target)?))?;
        fsmount::umount(&target)?;
    }
    device.close()
}

fn another_directory_in_the_same_namespace_is_refused() -> Result<()> {
    let mut device = prepared()?;
    device.mount()?;
    let other = device.export().join("other");
    fs::create_dir(&other)?;
    let source = source_of(&other)?;
    let options = [("source", Some(source.as_str()))];
    because(&refused(&device, &options)?, Errno::BUSY, "namespace")?;
    device.close()
}

fn another_namespace_is_another_device() -> Result<()> {
    let mut laptop = prepared()?;
    let mut tablet = alone("tablet")?;
    laptop.mount()?;
    tablet.mount()?;
    fs::write(laptop.local().join("here"), "")?;
    ensure!(!tree::shows(&tablet.local(), "here")?, "one tree in both");
    ensure!(
        fs::metadata(laptop.local())?.dev() != fs::metadata(tablet.local())?.dev(),
        "two mounts share a device number"
    );
    laptop.close()?;
    ensure!(
        tablet.local().is_dir(),
        "unmounting one took the other away"
    );
    tablet.close()
}

fn is_listed_with_its_options() -> Result<()> {
    let mut device = prepared()?;
    device.mount()?;
    let table = fs::read_to_string("/proc/self/mounts")?;
    let target = source_of(&device.mount_point())?;
    let line = table
        .lines()
        .find(|line| line.split(' ').nth(1) == Some(&target))
        .ok_or_else(|| anyhow!("{target} is not in /proc/self/mounts"))?;
    let fields: Vec<&str> = line.split(' ').collect();
    same(
        "the source",
        fields[0],
        source_of(&device.export())?.as_str(),
    )?;
    same("the type", fields[2], "hmdfs")?;
    for option in ["attr_timeout=5", "dirs=merge"] {
        let found = fields[3].split(',').any(|found| found == option);
        ensure!(found, "{option} is not among {}", fields[3]);
    }
    device.close()
}

fn exporting_itself_is_refused() -> Result<()> {
    let mut device = prepared()?;
    fs::create_dir(device.export().join("folder"))?;
    device.mount()?;
    let source = source_of(&device.local().join("folder"))?;
    let second = alone("second")?;
    let refused = refused(&second, &[("source", Some(&source))])?;
    ensure!(
        refused.log.iter().any(|message| message.starts_with('e')),
        "refused without a message: {refused}"
    );
    second.close()?;
    device.close()
}
