// SPDX-License-Identifier: GPL-2.0

//! The options of a mount.

use hmdfs_kapi::fs::context::{Log, Parameter};
use hmdfs_model::names::Directories;
use kernel::{prelude::*, seq_file::SeqFile, seq_print};

/// What can be set when mounting.
#[derive(Clone)]
pub(crate) struct Options {
    /// For how many seconds the attributes and names that a peer told are used.
    pub(super) attribute_timeout: u32,
    /// What happens to remote directories whose names are those of local ones, if that was given.
    pub(super) directories: Option<Directories>,
}

impl Options {
    pub(super) const DEFAULT: Self = Self {
        attribute_timeout: 5,
        directories: None,
    };

    /// The largest time that makes sense, in seconds.
    const MAX_ATTRIBUTE_TIMEOUT: u32 = 3600;

    pub(super) fn directories(&self) -> Directories {
        self.directories.unwrap_or_default()
    }

    /// Takes one option; false when there is none of this name. What is wrong is logged.
    pub(super) fn parse(&mut self, parameter: &Parameter<'_>, log: &Log<'_>) -> Result<bool> {
        let value = parameter.string().and_then(|value| value.to_str().ok());
        let value = value.unwrap_or("");
        match parameter.name().to_bytes() {
            b"attr_timeout" => self.set_attribute_timeout(value, log)?,
            b"dirs" => self.set_directories(value, log)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn set_attribute_timeout(&mut self, value: &str, log: &Log<'_>) -> Result {
        match value.parse() {
            Ok(seconds) if seconds <= Self::MAX_ATTRIBUTE_TIMEOUT => {
                self.attribute_timeout = seconds;
                Ok(())
            }
            _ => {
                log.error(fmt!(
                    "attr_timeout: '{value}' is not a number of seconds from 0 to {}",
                    Self::MAX_ATTRIBUTE_TIMEOUT
                ));
                Err(EINVAL)
            }
        }
    }

    fn set_directories(&mut self, value: &str, log: &Log<'_>) -> Result {
        let known = [Directories::Merge, Directories::Rename];
        match known.into_iter().find(|&known| text_of(known) == value) {
            Some(directories) => {
                self.directories = Some(directories);
                Ok(())
            }
            None => {
                log.error(fmt!("dirs: '{value}' is neither 'merge' nor 'rename'"));
                Err(EINVAL)
            }
        }
    }

    /// Writes what holds, each with a comma in front.
    pub(super) fn show(&self, seq: &SeqFile) {
        seq_print!(
            seq,
            ",attr_timeout={},dirs={}",
            self.attribute_timeout,
            text_of(self.directories())
        );
    }
}

/// The value of the option `dirs`.
pub(super) fn text_of(directories: Directories) -> &'static str {
    match directories {
        Directories::Merge => "merge",
        Directories::Rename => "rename",
    }
}
