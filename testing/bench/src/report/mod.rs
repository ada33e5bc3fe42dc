// SPDX-License-Identifier: MIT OR Apache-2.0

//! From the records of a run to results.csv, report.md and plots.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{bail, Context, Result};

use crate::measure::Unit;
use crate::record::{Key, Record};
use crate::statistics::{median, spread};
use crate::workload::Workload;

mod markdown;
mod plot;

/// Where the reasons for rows that are behind are kept, beside the report: lines
/// `SYSTEM NETWORK WORKLOAD: TEXT`, with `*` for any.
const REASONS: &str = "reasons.txt";

/// The peers, and whether they encrypt.
const PEERS: [(&str, bool); 6] = [
    ("nfs", false),
    ("nfs_tls", true),
    ("smb", false),
    ("smb_seal", true),
    ("p9", false),
    ("sshfs", true),
];

/// Whether a row is about moving much data, where encryption is what costs.
fn is_bulk(workload: &str) -> bool {
    matches!(workload, "seq_read" | "seq_write" | "streams_4")
}

/// How many times better `ours` is than `theirs`.
fn ratio(ours: f64, theirs: f64, unit: &str) -> f64 {
    if Unit::greater_is_better(unit) {
        ours / theirs
    } else {
        theirs / ours
    }
}

/// All that a run found.
#[derive(Default)]
pub struct Results {
    /// What it was run on, in order: lines `@about KEY VALUE` of the records.
    pub about: Vec<(String, String)>,
    /// Median and spread, by key and unit.
    figures: BTreeMap<(Key, String), (f64, f64)>,
    /// What could not be measured, and why.
    pub gaps: BTreeMap<Key, String>,
    /// Why rows are behind.
    reasons: Vec<([String; 3], String)>,
}

impl Results {
    fn parse(text: &str) -> Result<Self> {
        let mut results = Self::default();
        for line in text.lines() {
            if let Some((key, value)) = line
                .strip_prefix("@about\t")
                .and_then(|rest| rest.split_once('\t'))
            {
                results.about.push((key.to_owned(), value.to_owned()));
                continue;
            }
            match Record::parse(line)? {
                // That a group of rows was measured.
                Some(Record::Figure { unit, .. }) if unit == "rows" => {}
                Some(Record::Figure { key, unit, samples }) => {
                    let value = (median(&samples), spread(&samples));
                    results.figures.insert((key, unit), value);
                }
                Some(Record::Gap { key, reason }) => {
                    results.gaps.insert(key, reason);
                }
                None => {}
            }
        }
        if results.figures.is_empty() && results.gaps.is_empty() {
            bail!("the run measured nothing");
        }
        Ok(results)
    }

    fn read_reasons(&mut self, text: &str) {
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((columns, reason)) = line.split_once(": ") else {
                continue;
            };
            if let [system, network, workload] = columns.split(' ').collect::<Vec<_>>().as_slice() {
                let columns = [system, network, workload].map(|word| (*word).to_owned());
                self.reasons.push((columns, reason.to_owned()));
            }
        }
    }

    /// Why a row is behind, if that is known.
    pub fn reason(&self, key: &Key) -> Option<&str> {
        let matches = |pattern: &str, word: &str| pattern == "*" || pattern == word;
        self.reasons
            .iter()
            .find(|(columns, _)| {
                matches(&columns[0], &key.system)
                    && matches(&columns[1], &key.network)
                    && matches(&columns[2], &key.workload)
            })
            .map(|(_, reason)| reason.as_str())
    }

    /// A figure: median and spread.
    pub fn get(
        &self,
        system: &str,
        network: &str,
        workload: &str,
        unit: &str,
    ) -> Option<(f64, f64)> {
        let key = Key {
            system: system.to_owned(),
            network: network.to_owned(),
            workload: workload.to_owned(),
        };
        self.figures.get(&(key, unit.to_owned())).copied()
    }

    /// The peer to be measured against, and its figure: the best one that encrypts for bulk, the
    /// best of all otherwise.
    pub fn best_peer(&self, network: &str, row: &Workload) -> Option<(&'static str, f64)> {
        let unit = row.unit.name();
        PEERS
            .into_iter()
            .filter(|(_, encrypts)| *encrypts || !is_bulk(row.name))
            .filter_map(|(peer, _)| Some((peer, self.get(peer, network, row.name, unit)?.0)))
            .reduce(|best, next| {
                if ratio(next.1, best.1, unit) > 1.0 {
                    next
                } else {
                    best
                }
            })
    }

    /// All figures in their order: key, unit, median, spread.
    pub fn all(&self) -> impl Iterator<Item = (&Key, &str, f64, f64)> {
        self.figures
            .iter()
            .map(|((key, unit), (middle, spread))| (key, unit.as_str(), *middle, *spread))
    }

    fn csv(&self) -> String {
        let mut text = "system,network,workload,value,unit\n".to_owned();
        for (key, unit, value, _) in self.all() {
            let Key {
                system,
                network,
                workload,
            } = key;
            text.push_str(&format!(
                "{system},{network},{workload},{},{unit}\n",
                number(value)
            ));
        }
        text
    }
}

/// A number with five significant digits, without an exponent.
pub fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let digits = 4 - value.abs().log10().floor() as i32;
    let decimals = digits.clamp(0, 9) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// Reads the records of a run and writes everything that is made of them into `folder`.
pub fn make(records: &Path, folder: &Path) -> Result<()> {
    let text = fs::read_to_string(records)
        .with_context(|| format!("cannot read {}", records.display()))?;
    let mut results = Results::parse(&text)?;
    fs::create_dir_all(folder)?;
    if let Ok(reasons) = fs::read_to_string(folder.join(REASONS)) {
        results.read_reasons(&reasons);
    }
    fs::write(folder.join("results.csv"), results.csv())?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "svg") {
            fs::remove_file(path)?;
        }
    }
    let plots = plot::all(&results);
    for plot in &plots {
        fs::write(folder.join(&plot.file), &plot.svg)?;
    }
    fs::write(folder.join("report.md"), markdown::report(&results, &plots))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "noise\n@about\tkernel\t7.2\n\
        @figure\tnfs\tlan\tsmall_read\tus\t10 20 30\n\
        @figure\thmdfs_device\tlan\tsmall_read\tus\t40\n\
        @gap\tsshfs\tlan\tsmall_read\tno server\n";

    #[test]
    fn medians_go_into_the_csv() {
        let results = Results::parse(RUN).expect("valid");
        assert_eq!(
            results.csv(),
            "system,network,workload,value,unit\n\
             hmdfs_device,lan,small_read,40,us\nnfs,lan,small_read,20,us\n"
        );
        assert_eq!(results.gaps.len(), 1);
        assert_eq!(results.about, [("kernel".to_owned(), "7.2".to_owned())]);
    }

    #[test]
    fn reports_name_what_is_behind_and_what_is_missing() {
        let mut results = Results::parse(RUN).expect("valid");
        results.read_reasons("# comment\n* lan small_read: too many round trips\n");
        let text = markdown::report(&results, &[]);
        assert!(text.contains("too many round trips"), "{text}");
        assert!(text.contains("no server"), "{text}");
    }

    #[test]
    fn bulk_is_measured_against_peers_that_encrypt() {
        let run = "@figure\tnfs\tlan\tseq_read\tMB/s\t900\n\
            @figure\tnfs_tls\tlan\tseq_read\tMB/s\t100\n\
            @figure\tnfs\tlan\tmmap_read\tMB/s\t900\n\
            @figure\tnfs_tls\tlan\tmmap_read\tMB/s\t100\n";
        let results = Results::parse(run).expect("valid");
        let best = |name: &str| {
            let row = crate::workload::REMOTE.iter().find(|row| row.name == name);
            results.best_peer("lan", row.expect("a workload"))
        };
        assert_eq!(best("seq_read"), Some(("nfs_tls", 100.0)));
        assert_eq!(best("mmap_read"), Some(("nfs", 900.0)));
    }

    #[test]
    fn numbers() {
        assert_eq!(number(0.0), "0");
        assert_eq!(number(123_456.7), "123457");
        assert_eq!(number(1.5), "1.5");
        assert_eq!(number(0.001_234_567), "0.0012346");
        assert_eq!(number(100.0), "100");
    }

    #[test]
    fn an_empty_run_is_an_error() {
        assert!(Results::parse("nothing\n").is_err());
    }
}
