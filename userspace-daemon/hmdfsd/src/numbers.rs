// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which number belongs to which device, for ever.
//!
//! Names of conflicting files carry the number of their device. Were the number of a removed
//! device given to another, files would change their owner under the eyes of the user.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hmdfs_tls::{write_private, DeviceId};

use crate::config::PeerConfig;

const FILE_NAME: &str = "numbers.json";

/// The numbers that were ever given.
#[derive(Debug, PartialEq, Eq)]
pub struct Numbers {
    directory: PathBuf,
    owners: BTreeMap<u32, DeviceId>,
}

impl Numbers {
    /// Reads the numbers of `directory`; there need not be any.
    ///
    /// # Errors
    /// A text for the user.
    pub fn load(directory: &Path) -> Result<Self, String> {
        let path = directory.join(FILE_NAME);
        let mut numbers = Numbers {
            directory: directory.to_owned(),
            owners: BTreeMap::new(),
        };
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(numbers),
            other => other.map_err(|error| format!("{}: {error}", path.display()))?,
        };
        let damaged = || {
            format!("{}: damaged; restore it from a backup, or remove it when no number was ever given to two devices", path.display())
        };
        let owners: BTreeMap<u32, String> = serde_json::from_str(&text).map_err(|_| damaged())?;
        for (number, id) in owners {
            numbers
                .owners
                .insert(number, id.parse().map_err(|_| damaged())?);
        }
        Ok(numbers)
    }

    /// Checks that every peer has the number that it always had and no other device ever had,
    /// and remembers those that are new.
    ///
    /// # Errors
    /// A text for the user that names the peer and the remedy.
    pub fn claim(&mut self, peers: &[PeerConfig]) -> Result<(), String> {
        let mut owners = self.owners.clone();
        for peer in peers {
            let error = |message: String| Err(format!("peer '{}': number: {message}", peer.name));
            match owners.get(&peer.number) {
                Some(owner) if *owner != peer.id => {
                    return error(format!(
                        "{} belongs to the device {owner} for ever: choose one that was never used",
                        peer.number
                    ));
                }
                Some(_) => {}
                None => {
                    let old = owners.iter().find(|(_, owner)| **owner == peer.id);
                    if let Some((old, _)) = old {
                        return error(format!("this device has the number {old} for ever: use it"));
                    }
                    owners.insert(peer.number, peer.id);
                }
            }
        }
        if owners != self.owners {
            self.owners = owners;
            self.save()?;
        }
        Ok(())
    }

    fn save(&self) -> Result<(), String> {
        let failed = |error: std::io::Error| {
            format!("{}: {error}", self.directory.join(FILE_NAME).display())
        };
        let owners: BTreeMap<u32, String> = self
            .owners
            .iter()
            .map(|(number, id)| (*number, id.to_string()))
            .collect();
        let text = serde_json::to_string_pretty(&owners).map_err(|e| failed(e.into()))?;
        write_private(&self.directory, FILE_NAME, text.as_bytes()).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hmdfs_netlink::Access;

    fn peer(octet: u8, number: u32) -> PeerConfig {
        PeerConfig {
            id: DeviceId([octet; 32]),
            number,
            name: format!("peer{octet}"),
            addresses: Vec::new(),
            access: Access::None,
            level: None,
        }
    }

    #[test]
    fn a_number_stays_with_its_device() {
        let directory = tempfile::tempdir().unwrap();
        let mut numbers = Numbers::load(directory.path()).unwrap();
        numbers.claim(&[peer(1, 1), peer(2, 2)]).unwrap();
        // Device 1 was removed; the daemon restarts.
        let mut numbers = Numbers::load(directory.path()).unwrap();
        numbers.claim(&[peer(2, 2)]).unwrap();
        let error = numbers.claim(&[peer(3, 1)]).unwrap_err();
        assert!(
            error.contains("peer 'peer3': number: 1 belongs to"),
            "{error}"
        );
        let error = numbers.claim(&[peer(2, 5)]).unwrap_err();
        assert!(error.contains("has the number 2 for ever"), "{error}");
        // It may come back, and others may take new numbers.
        numbers.claim(&[peer(1, 1), peer(3, 3)]).unwrap();
        assert_eq!(Numbers::load(directory.path()).unwrap(), numbers);
    }

    #[test]
    fn a_refused_claim_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let mut numbers = Numbers::load(directory.path()).unwrap();
        numbers.claim(&[peer(1, 1)]).unwrap();
        assert!(numbers.claim(&[peer(2, 2), peer(3, 1)]).is_err());
        numbers.claim(&[peer(4, 2)]).unwrap();
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(FILE_NAME), "{\"1\": \"hm1-x\"}").unwrap();
        assert!(Numbers::load(directory.path())
            .unwrap_err()
            .contains("damaged"));
    }
}
