// SPDX-License-Identifier: MIT OR Apache-2.0

//! Trees to test with: everything that is hard about names, sizes and attributes.

use std::fs::{self, File, Permissions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{symlink, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use crate::random::Random;
use crate::tree;

/// Sizes around everything that a file system rounds to, in bytes.
const SIZES: [usize; 14] = [
    0, 1, 4095, 4096, 4097, 8192, 65_535, 65_536, 65_537, 131_072, 1_000_000, 1_048_576, 1_048_577,
    1_310_720,
];

/// Names that programs get wrong.
pub const ODD_NAMES: [&[u8]; 12] = [
    b"new\nline",
    b"tab\tand space ",
    b"-dash",
    b"quote\"'`$\\",
    b"\x01\x7f",
    b"latin-1 \xe9\xff",
    "Gr\u{fc}\u{df}e \u{65e5}\u{672c} \u{1f600}".as_bytes(),
    b"...",
    b".hidden",
    b"a_conflict_dev1.txt",
    b"N_remote_directory",
    b"*?[]",
];

/// Makes a file with `content`, some time in the past to the nanosecond.
pub fn file(path: &Path, content: &[u8], mode: u32, random: &mut Random) -> Result<()> {
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    stamp(path, random)
}

fn stamp(path: &Path, random: &mut Random) -> Result<()> {
    let seconds = random.below(1_700_000_000);
    let nanoseconds = random.below(1_000_000_000);
    let time = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds as u32);
    File::open(path)?
        .set_modified(time)
        .with_context(|| format!("cannot set the time of {}", path.display()))
}

/// Fills `root` with one of everything: every size, every odd name, the longest name,
/// deep folders, an empty one, sparse files, symbolic and hard links.
pub fn everything(root: &Path, random: &mut Random) -> Result<()> {
    let sizes = root.join("sizes");
    fs::create_dir(&sizes)?;
    for size in SIZES {
        let content = random.bytes(size);
        file(&sizes.join(size.to_string()), &content, 0o644, random)?;
    }
    let odd = root.join("odd names");
    fs::create_dir(&odd)?;
    for name in ODD_NAMES {
        file(&tree::below(&odd, name), name, 0o644, random)?;
    }
    file(&odd.join("n".repeat(255)), b"long", 0o644, random)?;
    file(&tree::below(&odd, &[0xfe; 255]), b"long", 0o644, random)?;

    let modes = root.join("modes");
    fs::create_dir(&modes)?;
    for mode in [0o444, 0o755, 0o664, 0o1644, 0o4755] {
        let name = format!("{mode:o}");
        file(&modes.join(&name), name.as_bytes(), mode, random)?;
    }

    let mut deep = root.join("deep");
    for level in 0..20 {
        fs::create_dir(&deep)?;
        file(&deep.join("here"), &[level], 0o644, random)?;
        deep = deep.join(format!("level {level}"));
    }
    fs::create_dir(root.join("empty"))?;
    sparse(&root.join("sparse"), random)?;

    let links = root.join("links");
    fs::create_dir(&links)?;
    symlink("../sizes/4096", links.join("to a file"))?;
    symlink("..", links.join("up"))?;
    symlink("nowhere", links.join("dangling"))?;
    symlink("x".repeat(1000), links.join("long"))?;
    fs::hard_link(root.join("sizes/4097"), links.join("hard"))?;
    Ok(())
}

/// Two islands of data in 3 MiB of nothing.
fn sparse(path: &Path, random: &mut Random) -> Result<()> {
    let mut file = File::create_new(path)?;
    for offset in [100_000, 2_000_001] {
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(&random.bytes(5_000))?;
    }
    file.set_len(3 << 20)?;
    drop(file);
    stamp(path, random)
}

/// Fills `root` with `files` random files in random folders, of mostly small sizes.
pub fn forest(root: &Path, files: usize, random: &mut Random) -> Result<()> {
    let mut folders = vec![root.to_owned()];
    for number in 0..files {
        let pick = random.below(folders.len() as u64) as usize;
        let folder = folders.get(pick).map_or(root, |folder| folder.as_path());
        if random.below(8) == 0 {
            let made = folder.join(format!("folder {number}"));
            fs::create_dir(&made)?;
            folders.push(made);
            continue;
        }
        let size = match random.below(10) {
            0 => 0,
            1..=7 => random.below(6_000),
            8 => random.below(70_000),
            _ => random.below(300_000),
        };
        let content = random.bytes(size as usize);
        let mode = [0o644, 0o640, 0o755, 0o444][random.below(4) as usize] | 0o004;
        file(
            &folder.join(format!("file {number}.txt")),
            &content,
            mode,
            random,
        )?;
    }
    Ok(())
}
