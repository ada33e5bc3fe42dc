// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a run says about each figure, one line each, from the guest to the report.

use std::fmt;

use anyhow::{bail, Context, Result};

/// What a figure belongs to: the first three columns of the results.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// `hmdfs_device`, `nfs_tls`, `native:ext4`, ...
    pub system: String,
    /// `local`, `unlimited`, `lan`, `wifi` or `wan`.
    pub network: String,
    /// `small_read`, ...
    pub workload: String,
}

/// A measured figure, or why there is none.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// One value for each run.
    Figure {
        /// What was measured.
        key: Key,
        /// `us`, `MB/s`, ...
        unit: String,
        /// The runs, in their order; never empty.
        samples: Vec<f64>,
    },
    /// It could not be measured.
    Gap {
        /// What was to be measured.
        key: Key,
        /// Why it was not.
        reason: String,
    },
}

impl Record {
    /// The columns that all records have.
    pub fn key(&self) -> &Key {
        match self {
            Self::Figure { key, .. } | Self::Gap { key, .. } => key,
        }
    }

    /// The record of a line that [`fmt::Display`] made; `None` for other lines.
    pub fn parse(line: &str) -> Result<Option<Self>> {
        let fields: Vec<&str> = line.trim_end().split('\t').collect();
        let (kind, system, network, workload, rest) = match fields.as_slice() {
            [kind @ ("@figure" | "@gap"), system, network, workload, rest @ ..] => {
                (*kind, *system, *network, *workload, rest)
            }
            _ => return Ok(None),
        };
        let key = Key {
            system: system.to_owned(),
            network: network.to_owned(),
            workload: workload.to_owned(),
        };
        match (kind, rest) {
            ("@gap", [reason]) => Ok(Some(Self::Gap {
                key,
                reason: (*reason).to_owned(),
            })),
            ("@figure", [unit, samples]) => {
                let samples = samples
                    .split(' ')
                    .map(str::parse)
                    .collect::<Result<Vec<f64>, _>>()
                    .with_context(|| format!("not numbers: {line}"))?;
                Ok(Some(Self::Figure {
                    key,
                    unit: (*unit).to_owned(),
                    samples,
                }))
            }
            _ => bail!("a record that is cut off: {line}"),
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key();
        let columns = format!("{}\t{}\t{}", key.system, key.network, key.workload);
        match self {
            Self::Figure { unit, samples, .. } => {
                let samples: Vec<String> = samples.iter().map(f64::to_string).collect();
                write!(f, "@figure\t{columns}\t{unit}\t{}", samples.join(" "))
            }
            Self::Gap { reason, .. } => {
                let reason = reason.replace(['\t', '\n'], " ");
                write!(f, "@gap\t{columns}\t{reason}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key {
            system: "native:ext4".to_owned(),
            network: "local".to_owned(),
            workload: "stat_warm".to_owned(),
        }
    }

    #[test]
    fn lines_are_read_back() {
        let figure = Record::Figure {
            key: key(),
            unit: "us".to_owned(),
            samples: vec![1.25, 1e-7, 3.0],
        };
        let gap = Record::Gap {
            key: key(),
            reason: "two\nlines".to_owned(),
        };
        let found = Record::parse(&figure.to_string()).expect("valid");
        assert_eq!(found, Some(figure));
        let found = Record::parse(&gap.to_string()).expect("valid");
        assert_eq!(
            found,
            Some(Record::Gap {
                key: key(),
                reason: "two lines".to_owned()
            })
        );
    }

    #[test]
    fn other_lines_are_no_records() {
        assert_eq!(Record::parse("measuring").expect("valid"), None);
        assert!(Record::parse("@figure\ta\tb\tc\tus").is_err());
        assert!(Record::parse("@figure\ta\tb\tc\tus\t1 x").is_err());
    }
}
