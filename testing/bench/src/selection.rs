// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which part of the benchmark is run.

use anyhow::{bail, Result};

use crate::network::NETWORKS;
use crate::plan;

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Everything.
    Full,
    /// A few minutes' worth.
    Quick,
}

impl Scale {
    /// One of two numbers.
    pub fn pick<T>(self, full: T, quick: T) -> T {
        match self {
            Self::Full => full,
            Self::Quick => quick,
        }
    }
}

/// Words of one column are alternatives; all columns that are named must match.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    networks: Vec<String>,
    systems: Vec<String>,
    workloads: Vec<String>,
}

impl Selection {
    /// From words separated by commas or spaces: names of networks, systems (with or without
    /// their lower file system), lower file systems (`:ext4`) and workloads.
    pub fn parse(text: &str) -> Result<Self> {
        let mut selection = Self::default();
        for word in text
            .split([',', ' '])
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
        {
            let system = |known: &String| system_matches(&word, known);
            if NETWORKS.iter().any(|network| network.name == word) {
                selection.networks.push(word);
            } else if plan::systems().iter().any(system) {
                selection.systems.push(word);
            } else if plan::workloads().contains(&word.as_str()) {
                selection.workloads.push(word);
            } else {
                bail!("nothing is called {word}; `bench list` prints all names");
            }
        }
        Ok(selection)
    }

    /// Whether something of this system is measured on this network.
    pub fn cell(&self, network: &str, system: &str) -> bool {
        let networks = self.networks.is_empty() || self.networks.iter().any(|word| word == network);
        let systems =
            self.systems.is_empty() || self.systems.iter().any(|word| system_matches(word, system));
        networks && systems
    }

    /// The words that select of all that is selected only what one system does on one network.
    pub fn of_cell(&self, network: &str, system: &str) -> String {
        let mut words = vec![network, system];
        words.extend(self.workloads.iter().map(String::as_str));
        words.join(" ")
    }

    /// Whether networks were named: then a quick run leaves none of them out.
    pub fn names_networks(&self) -> bool {
        !self.networks.is_empty()
    }

    /// Whether systems were named.
    pub fn names_systems(&self) -> bool {
        !self.systems.is_empty()
    }

    /// Whether this workload is measured.
    pub fn workload(&self, name: &str) -> bool {
        self.workloads.is_empty() || self.workloads.iter().any(|word| word == name)
    }
}

fn system_matches(word: &str, system: &str) -> bool {
    word == system
        || system.split(':').next() == Some(word)
        || (word.starts_with(':') && system.ends_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_combined() {
        let selection = Selection::parse("local native,overlayfs:xfs stat_warm").expect("valid");
        assert!(selection.cell("local", "native:ext4"));
        assert!(selection.cell("local", "overlayfs:xfs"));
        assert!(!selection.cell("local", "overlayfs:ext4"));
        assert!(!selection.cell("lan", "native:ext4"));
        assert!(selection.workload("stat_warm"));
        assert!(!selection.workload("rename"));
    }

    #[test]
    fn a_cell_is_selected_alone() {
        let selection = Selection::parse("native local lan nfs rename").expect("valid");
        let words = selection.of_cell("local", "native:ext4");
        assert_eq!(words, "local native:ext4 rename");
        let alone = Selection::parse(&words).expect("valid");
        let cells = plan::cells(&alone, Scale::Full);
        assert_eq!(cells.len(), 1, "{cells:?}");
        assert!(alone.workload("rename") && !alone.workload("stat_warm"));
    }

    #[test]
    fn nothing_selects_everything() {
        let selection = Selection::parse("").expect("valid");
        assert!(selection.cell("wan", "nfs") && selection.workload("rename"));
    }

    #[test]
    fn lower_file_systems() {
        let selection = Selection::parse(":tmpfs").expect("valid");
        assert!(selection.cell("local", "hmdfs_merge:tmpfs"));
        assert!(!selection.cell("local", "hmdfs_merge:xfs"));
        assert!(!selection.cell("lan", "nfs"));
    }

    #[test]
    fn unknown_words_are_refused() {
        assert!(Selection::parse("fast").is_err());
    }
}
