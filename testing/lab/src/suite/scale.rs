// SPDX-License-Identifier: MIT OR Apache-2.0

//! Many files at once. How many is for slow kernels; `$HMDFS_SCALE=full` makes it what people may
//! have.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{ensure, Context, Result};
use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};

use crate::fleet::{Fleet, Plan};
use crate::storage::Storage;
use crate::suite::remote::entries;
use crate::suite::support::{drop_caches, fails, holds, same, same_bytes};
use crate::suite::{tests, Group};
use crate::tree;
use crate::wait::{self, PATIENCE};

/// A laptop that looks at a tablet, and may change it.
pub const GROUP: Group = Group {
    name: "scale",
    fleet: Some(prepare),
    seconds: 30,
    tests: tests![
        Fleet: many_open_files,
        a_directory_with_many_names,
        a_tree_of_many_files,
    ],
};

fn prepare() -> Result<Fleet> {
    Plan::with_storage(vec![
        ("laptop", Storage::Memory(64)),
        ("tablet", Storage::Memory(2048)),
    ])
    .policy("tablet", "laptop", "write", 4)
    .start()
}

/// So many, or at least some.
fn count(full: usize, otherwise: usize) -> usize {
    match std::env::var("HMDFS_SCALE").as_deref() {
        Ok("full") => full,
        _ => otherwise,
    }
}

/// How many inodes are in memory, of all file systems. The allocator cannot tell: it holds back for long
/// what was given back, on a kernel that looks for uses after that.
fn inodes() -> Result<usize> {
    let text = fs::read_to_string("/proc/sys/fs/inode-nr")?;
    let count = text.split_whitespace().next().context("no number")?;
    Ok(count.parse()?)
}

/// Waits until so few inodes are in memory, which takes some grace periods.
fn given_back(most: usize) -> Result<()> {
    wait::until("inodes to be given up", PATIENCE, || {
        drop_caches()?;
        Ok(inodes()? <= most)
    })?;
    Ok(())
}

/// Makes files, each with its number for content.
fn fill(folder: &Path, files: usize) -> Result<()> {
    fs::create_dir_all(folder)?;
    for number in 0..files {
        fs::write(folder.join(number.to_string()), number.to_string())
            .with_context(|| format!("file {number}"))?;
    }
    Ok(())
}

/// Each works, whatever memory does with what is known of it.
fn many_open_files(fleet: &mut Fleet) -> Result<()> {
    let files = count(10_000, 1_000);
    let home = fleet.device("tablet")?.export().join("open");
    let there = fleet.device("laptop")?.view("tablet").join("open");
    fill(&home, files)?;
    let limit = getrlimit(Resource::Nofile);
    let more = files as u64 + 1_000;
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(more),
            maximum: limit.maximum.map(|most| most.max(more)),
        },
    )?;
    let open = (0..files)
        .map(|number| {
            File::options()
                .read(true)
                .write(true)
                .open(there.join(number.to_string()))
                .with_context(|| format!("file {number}"))
        })
        .collect::<Result<Vec<_>>>()?;
    drop_caches()?;
    let text = |number: usize| number.to_string().into_bytes();
    for (number, file) in open.iter().enumerate() {
        let mut read = vec![0; text(number).len()];
        file.read_exact_at(&mut read, 0)?;
        same_bytes("a file", &read, &text(number))?;
    }
    // Some lose their names, here and there; some are written.
    for number in (0..files).step_by(20) {
        fs::remove_file(home.join(number.to_string()))?;
        fs::remove_file(there.join((number + 1).to_string()))?;
        open[number + 2].write_all_at(b"written", 100)?;
    }
    drop_caches()?;
    for (number, file) in open.iter().enumerate() {
        let mut read = vec![0; text(number).len()];
        file.read_exact_at(&mut read, 0)
            .with_context(|| format!("file {number}, which is open"))?;
        same_bytes("a file", &read, &text(number))?;
    }
    drop(open);
    for number in (0..files).step_by(20) {
        let mut expected = text(number + 2);
        expected.resize(100, 0);
        expected.extend(b"written");
        holds(&home.join((number + 2).to_string()), &expected)?;
        let gone = fs::metadata(there.join(number.to_string()));
        fails("what was removed", gone, libc::ENOENT)?;
    }
    fs::remove_dir_all(&home)?;
    setrlimit(Resource::Nofile, limit)?;
    Ok(())
}

/// Positions stay right while names come and go.
fn a_directory_with_many_names(fleet: &mut Fleet) -> Result<()> {
    let files = count(100_000, 3_000);
    let home = fleet.device("tablet")?.export().join("names");
    let there = fleet.device("laptop")?.view("tablet").join("names");
    fs::create_dir(&home)?;
    let name = |number: usize| format!("a name of some length {number}");
    for number in 0..files {
        File::create(home.join(name(number)))?;
    }
    let folder = File::open(&there)?;
    let all = entries(&folder, 0)?;
    same("entries", all.len(), files + 2)?;
    let distinct: BTreeSet<_> = all.iter().map(|(name, _)| name.as_slice()).collect();
    same("different entries", distinct.len(), files + 2)?;
    for place in [2, files / 3, files - 1] {
        let rest = entries(&folder, all[place].1)?;
        ensure!(rest == all[place + 1..], "another listing from {place} on");
    }
    let half = files / 2;
    for (index, (entry, _)) in all.iter().enumerate().filter(|(index, _)| index % 4 == 3) {
        if !entry.starts_with(b".") {
            let by = if index % 8 == 3 { &home } else { &there };
            fs::remove_file(tree::below(by, entry))?;
        }
    }
    for number in files..files + 1_000 {
        File::create(home.join(name(number)))?;
    }
    let rest = entries(&folder, all[half].1)?;
    let names: BTreeSet<_> = rest.iter().map(|(name, _)| name.as_slice()).collect();
    same("names that are shown twice", rest.len() - names.len(), 0)?;
    for (index, (entry, _)) in all.iter().enumerate().skip(half + 1) {
        ensure!(
            index % 4 == 3 || names.contains(entry.as_slice()),
            "{:?} was missed",
            String::from_utf8_lossy(entry)
        );
    }
    let listed: BTreeSet<_> = tree::names(&there)?.into_iter().collect();
    let expected: BTreeSet<_> = tree::names(&home)?.into_iter().collect();
    ensure!(
        listed == expected,
        "{} names instead of {}",
        listed.len(),
        expected.len()
    );
    fs::remove_dir_all(&there)?;
    fails("the directory", fs::metadata(&home), libc::ENOENT)
}

/// How many files and directories are below a directory, and how many bytes.
fn walk(root: &Path) -> Result<(usize, usize, u64)> {
    let (mut files, mut folders, mut bytes) = (0, 0, 0);
    let mut todo = vec![root.to_owned()];
    while let Some(folder) = todo.pop() {
        folders += 1;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                todo.push(entry.path());
            } else {
                files += 1;
                bytes += entry.metadata()?.len();
            }
        }
    }
    Ok((files, folders, bytes))
}

/// More than there can be leases on; what is known of it takes no memory that cannot be had back.
fn a_tree_of_many_files(fleet: &mut Fleet) -> Result<()> {
    let (folders, files) = (count(1_000, 40), count(1_000, 150));
    let home = fleet.device("tablet")?.export().join("tree");
    let there = fleet.device("laptop")?.view("tablet").join("tree");
    for folder in 0..folders {
        let folder = home.join(format!("{}/{folder}", folder % 10));
        fs::create_dir_all(&folder)?;
        for number in 0..files {
            let file = File::create(folder.join(number.to_string()))?;
            // Holes, of a size of their own.
            file.set_len(number as u64)?;
        }
    }
    let sizes = (files * (files - 1) / 2 * folders) as u64;
    let expected = (folders * files, folders + 10 + 1, sizes);
    drop_caches()?;
    let before = inodes()?;
    same("the tree", walk(&there)?, expected)?;
    let known = inodes()?;
    same("the tree again", walk(&there)?, expected)?;
    let again = inodes()?;
    ensure!(
        again <= known + known / 10,
        "{known} inodes after the first walk, {again} after the second"
    );
    given_back(before + (known - before) / 3)?;
    // Whatever is known of it: changes are seen, wherever they are.
    for folder in (0..folders).step_by(7) {
        let folder = format!("{}/{folder}", folder % 10);
        fs::write(home.join(&folder).join("0"), "changed")?;
        holds(&there.join(&folder).join("0"), b"changed")?;
        fs::remove_file(home.join(&folder).join("1"))?;
        let gone = fs::metadata(there.join(&folder).join("1"));
        fails("what was removed", gone, libc::ENOENT)?;
    }
    let changed = folders.div_ceil(7);
    let sizes = sizes + (7 * changed - changed) as u64;
    let expected = (expected.0 - changed, expected.1, sizes);
    same("the tree that was changed", walk(&there)?, expected)?;
    fs::remove_dir_all(&home)?;
    fails("the tree", fs::metadata(&there), libc::ENOENT)
}
