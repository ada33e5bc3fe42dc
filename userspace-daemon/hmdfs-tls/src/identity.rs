// SPDX-License-Identifier: MIT OR Apache-2.0

//! The device's own key.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::signature::Ed25519KeyPair;
use rustls::crypto::aws_lc_rs::sign::any_eddsa_type;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use crate::device_id::DeviceId;

/// Name of the key's file in the state directory.
pub const FILE_NAME: &str = "identity.pk8";
/// No PKCS#8 of an Ed25519 key is larger.
const FILE_MAX: u64 = 4096;

/// Why there is no identity.
#[derive(Debug)]
pub enum IdentityError {
    /// The file could not be read or written.
    File(PathBuf, io::Error),
    /// The file can be read by others than its owner.
    Exposed(PathBuf),
    /// The file holds no Ed25519 key.
    NotAKey(PathBuf),
    /// No key could be made.
    Generate,
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IdentityError::File(path, error) => write!(f, "{}: {error}", path.display()),
            IdentityError::Exposed(path) => write!(
                f,
                "{0}: others than the owner can access the device's key; if nobody has copied it, run 'chmod 600 {0}'",
                path.display()
            ),
            IdentityError::NotAKey(path) => write!(
                f,
                "{0}: not an Ed25519 key in PKCS#8; restore it from a backup, or remove it to become a new device",
                path.display()
            ),
            IdentityError::Generate => f.write_str("the system gave no randomness for a key"),
        }
    }
}

impl std::error::Error for IdentityError {}

/// The device's key pair, in the form that TLS uses.
#[derive(Clone)]
pub struct Identity {
    pub(crate) key: Arc<CertifiedKey>,
    id: DeviceId,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Identity {
    /// A new identity that is kept nowhere.
    ///
    /// # Errors
    /// [`IdentityError::Generate`].
    pub fn generate() -> Result<Self, IdentityError> {
        Self::from_pkcs8(&new_pkcs8()?).ok_or(IdentityError::Generate)
    }

    /// Reads the identity of `directory`, or makes one there if it has none.
    ///
    /// # Errors
    /// [`IdentityError`], which names the file and the remedy. A damaged file is never replaced:
    /// other devices know this one by its key.
    pub fn load_or_create(directory: &Path) -> Result<Self, IdentityError> {
        let path = directory.join(FILE_NAME);
        match Self::load(&path) {
            Err(IdentityError::File(_, error)) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        let pkcs8 = new_pkcs8()?;
        write_private(directory, FILE_NAME, &pkcs8)
            .map_err(|error| IdentityError::File(path.clone(), error))?;
        Self::load(&path)
    }

    fn load(path: &Path) -> Result<Self, IdentityError> {
        let failed = |error| IdentityError::File(path.to_owned(), error);
        let file = File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(IdentityError::Exposed(path.to_owned()));
        }
        let mut pkcs8 = Zeroizing::new(Vec::new());
        file.take(FILE_MAX)
            .read_to_end(&mut pkcs8)
            .map_err(failed)?;
        Self::from_pkcs8(&pkcs8).ok_or_else(|| IdentityError::NotAKey(path.to_owned()))
    }

    fn from_pkcs8(pkcs8: &[u8]) -> Option<Self> {
        let key = any_eddsa_type(&PrivatePkcs8KeyDer::from(pkcs8)).ok()?;
        let spki = key.public_key()?.to_vec();
        let id = DeviceId::of_public_key(&spki);
        // TLS with raw public keys carries the bare public key where a certificate would be.
        let key = CertifiedKey::new(vec![CertificateDer::from(spki)], key);
        Some(Identity {
            key: Arc::new(key),
            id,
        })
    }

    /// The device's ID.
    pub fn id(&self) -> DeviceId {
        self.id
    }
}

fn new_pkcs8() -> Result<Zeroizing<Vec<u8>>, IdentityError> {
    let pair = Ed25519KeyPair::generate().map_err(|_| IdentityError::Generate)?;
    let pkcs8 = pair.to_pkcs8v1().map_err(|_| IdentityError::Generate)?;
    Ok(Zeroizing::new(pkcs8.as_ref().to_vec()))
}

/// Writes a file that only its owner can read, so that after a crash it is there whole or not at
/// all.
///
/// # Errors
/// Those of the file system.
pub fn write_private(directory: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let temporary = directory.join(format!(".{name}.new"));
    let _ = std::fs::remove_file(&temporary);
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    drop(file);
    std::fs::rename(&temporary, directory.join(name))?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_kept_private() {
        let directory = tempfile::tempdir().unwrap();
        let first = Identity::load_or_create(directory.path()).unwrap();
        let again = Identity::load_or_create(directory.path()).unwrap();
        assert_eq!(first.id(), again.id());
        let path = directory.path().join(FILE_NAME);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_exposed_key_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        Identity::load_or_create(directory.path()).unwrap();
        let path = directory.path().join(FILE_NAME);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = Identity::load_or_create(directory.path()).unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_damaged_key_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        write_private(directory.path(), FILE_NAME, b"not a key").unwrap();
        let error = Identity::load_or_create(directory.path()).unwrap_err();
        assert!(matches!(error, IdentityError::NotAKey(_)));
        let content = std::fs::read(directory.path().join(FILE_NAME)).unwrap();
        assert_eq!(content, b"not a key");
    }

    #[test]
    fn a_missing_directory_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let error = Identity::load_or_create(&directory.path().join("absent")).unwrap_err();
        assert!(error.to_string().contains("absent"), "{error}");
    }

    #[test]
    fn two_devices_differ() {
        let ids = [
            Identity::generate().unwrap().id(),
            Identity::generate().unwrap().id(),
        ];
        assert_ne!(ids[0], ids[1]);
    }
}
