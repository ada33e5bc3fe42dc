// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a tree holds at home, with the digest of every file, to be compared with
//! what others see of it; and as text, to be sent to another machine.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{ensure, Context, Result};

use crate::tree::{self, Entry, Kind};

/// SHA-256 of a file's content.
pub type Digest = [u8; 32];

/// Every entry below a directory; files with their digests.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Manifest(BTreeMap<PathBuf, (Entry, Option<Digest>)>);

/// What two trees have in common, and what not.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Regular files whose content was compared.
    pub files: usize,
    /// All of their bytes.
    pub bytes: u64,
    /// One line for each difference.
    pub differences: Vec<String>,
}

impl Manifest {
    /// Reads the tree at `root` with so many threads.
    pub fn of(root: &Path, threads: usize) -> Result<Self> {
        let tree = tree::list(root)?;
        let files: Vec<&PathBuf> = tree
            .iter()
            .filter(|(_, entry)| matches!(entry.kind, Kind::File(_)))
            .map(|(name, _)| name)
            .collect();
        let digests = Mutex::new(BTreeMap::new());
        let errors = tree::in_parallel(threads, &files, |name| {
            let digest = tree::digest(&root.join(name))?;
            if let Ok(mut digests) = digests.lock() {
                digests.insert((*name).clone(), digest);
            }
            Ok(None)
        });
        ensure!(errors.is_empty(), "{}", errors.join("\n"));
        let digests = digests
            .into_inner()
            .unwrap_or_else(|poison| poison.into_inner());
        let entries = tree.into_iter().map(|(name, entry)| {
            let digest = digests.get(&name).copied();
            (name, (entry, digest))
        });
        Ok(Self(entries.collect()))
    }

    /// The files with their sizes and digests.
    pub fn files(&self) -> impl Iterator<Item = (&Path, u64, &Digest)> {
        self.0.iter().filter_map(|(name, (entry, digest))| {
            let Kind::File(size) = entry.kind else {
                return None;
            };
            Some((name.as_path(), size, digest.as_ref()?))
        })
    }

    /// Compares with the same tree as seen at `there`: names, kinds, sizes, modes,
    /// times, link targets, and the content of every file, read by so many threads.
    pub fn compare(&self, there: &Path, threads: usize) -> Result<Comparison> {
        let theirs = tree::list(there)?;
        let mut result = Comparison::default();
        for name in theirs.keys().filter(|name| !self.0.contains_key(*name)) {
            let text = format!("{name:?} is shown and not there at home");
            result.differences.push(text);
        }
        for (name, (entry, _)) in &self.0 {
            match theirs.get(name) {
                None => result.differences.push(format!("{name:?} is missing")),
                Some(other) if other != entry => result
                    .differences
                    .push(format!("{name:?}: at home {entry}; shown {other}")),
                Some(_) => {}
            }
        }
        let files: Vec<_> = self
            .files()
            .filter(|(name, ..)| theirs.contains_key(*name))
            .collect();
        result.files = files.len();
        result.bytes = files.iter().map(|(_, size, _)| size).sum();
        let differing = tree::in_parallel(threads, &files, |(name, _, digest)| {
            let shown = tree::digest(&there.join(name))?;
            Ok((shown != **digest).then(|| format!("{name:?}: the content differs")))
        });
        result.differences.extend(differing);
        Ok(result)
    }

    /// One line for each entry.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (name, (entry, digest)) in &self.0 {
            let kind = match &entry.kind {
                Kind::Directory => "d -".to_owned(),
                Kind::File(size) => format!("f {size}"),
                Kind::Link(target) => format!("l {}", hex(target.as_bytes())),
                Kind::Special => "s -".to_owned(),
            };
            let (seconds, nanoseconds) = entry.mtime;
            text.push_str(&format!(
                "{} {:o} {seconds} {nanoseconds} {kind} {}\n",
                hex(name.as_os_str().as_bytes()),
                entry.mode,
                digest.map_or_else(|| "-".to_owned(), |digest| hex(&digest)),
            ));
        }
        text
    }

    /// Reads what [`Manifest::to_text`] wrote.
    pub fn parse(text: &str) -> Result<Self> {
        let mut entries = BTreeMap::new();
        for line in text.lines() {
            let (name, entry) = parse_line(line).with_context(|| format!("the entry {line}"))?;
            entries.insert(name, entry);
        }
        Ok(Self(entries))
    }
}

fn parse_line(line: &str) -> Result<(PathBuf, (Entry, Option<Digest>))> {
    let words: Vec<&str> = line.split(' ').collect();
    let [name, mode, seconds, nanoseconds, kind, detail, digest] = words[..] else {
        anyhow::bail!("it has not seven words");
    };
    let kind = match kind {
        "d" => Kind::Directory,
        "f" => Kind::File(detail.parse()?),
        "l" => Kind::Link(OsString::from_vec(unhex(detail)?)),
        _ => Kind::Special,
    };
    let digest = match digest {
        "-" => None,
        digest => Some(
            unhex(digest)?
                .try_into()
                .map_err(|_| anyhow::anyhow!("a digest of another length"))?,
        ),
    };
    let entry = Entry {
        kind,
        mode: u32::from_str_radix(mode, 8)?,
        mtime: (seconds.parse()?, nanoseconds.parse()?),
    };
    let name = OsString::from_vec(unhex(name)?);
    Ok((name.into(), (entry, digest)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Result<Vec<u8>> {
    ensure!(
        text.is_ascii() && text.len() % 2 == 0,
        "not hexadecimal: {text}"
    );
    (0..text.len())
        .step_by(2)
        .map(|at| Ok(u8::from_str_radix(&text[at..at + 2], 16)?))
        .collect()
}

/// An error unless the tree at `there` equals that at `home`.
pub fn must_be_equal(home: &Path, there: &Path) -> Result<()> {
    let result = Manifest::of(home, 4)?.compare(there, 4)?;
    let count = result.differences.len();
    ensure!(
        count == 0,
        "{} differs from {} in {count} places:\n{}",
        there.display(),
        home.display(),
        result.differences[..count.min(10)].join("\n")
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use crate::sample;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("lab-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).expect("a folder");
        path
    }

    #[test]
    fn survives_being_text() {
        let root = scratch("text");
        sample::everything(&root, &mut Random::new(1)).expect("a tree");
        let manifest = Manifest::of(&root, 2).expect("it can be read");
        let again = Manifest::parse(&manifest.to_text()).expect("it can be parsed");
        assert_eq!(manifest, again);
        assert!(manifest.files().count() > 40);
        std::fs::remove_dir_all(&root).expect("it is there");
    }

    #[test]
    fn every_difference_is_found() {
        let (home, there) = (scratch("home"), scratch("there"));
        for (root, seed) in [(&home, 2), (&there, 2)] {
            sample::forest(root, 40, &mut Random::new(seed)).expect("a tree");
            sample::file(&root.join("a"), b"content", 0o644, &mut Random::new(3)).expect("a file");
            sample::file(&root.join("b"), b"b", 0o644, &mut Random::new(4)).expect("a file");
        }
        let count = || {
            let manifest = Manifest::of(&home, 2).expect("it can be read");
            let result = manifest.compare(&there, 2).expect("it can be read");
            result.differences
        };
        // Folders are made just now, each with its own time.
        let at_first: Vec<String> = count();
        let files = |texts: Vec<String>| -> Vec<String> {
            texts
                .into_iter()
                .filter(|text| !at_first.contains(text))
                .collect()
        };
        sample::file(&there.join("a"), b"CONTENT", 0o644, &mut Random::new(3)).expect("a file");
        let texts = files(count());
        assert!(
            texts.iter().any(|text| text.contains("\"a\": the content")),
            "{texts:?}"
        );
        std::fs::remove_file(there.join("b")).expect("it is there");
        std::fs::write(there.join("c"), "").expect("a file");
        let texts = files(count());
        assert!(
            texts.iter().any(|text| text == "\"b\" is missing"),
            "{texts:?}"
        );
        assert!(
            texts.iter().any(|text| text.contains("\"c\" is shown")),
            "{texts:?}"
        );
        for root in [home, there] {
            std::fs::remove_dir_all(root).expect("it is there");
        }
    }
}
