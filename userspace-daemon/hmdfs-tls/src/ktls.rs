// SPDX-License-Identifier: MIT OR Apache-2.0

//! Installs the keys of a session in its socket, from where the kernel takes over.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use zeroize::Zeroizing;

use crate::session::{Cipher, Session, TrafficKeys};

const SOL_TLS: libc::c_int = 282;
const TLS_TX: libc::c_int = 1;
const TLS_RX: libc::c_int = 2;
const TLS_1_3: u16 = 0x0304;
const TLS_CIPHER_AES_GCM_128: u16 = 51;
const TLS_CIPHER_AES_GCM_256: u16 = 52;
const TLS_CIPHER_CHACHA20_POLY1305: u16 = 54;
/// Octets of the IV that kTLS calls the salt, for AES-GCM.
const GCM_SALT: usize = 4;

/// Why the kernel did not take the keys.
#[derive(Debug)]
pub enum KtlsError {
    /// The kernel has no TLS for sockets.
    Unavailable(io::Error),
    /// The kernel refused the keys; the text says of which direction.
    Keys(&'static str, io::Error),
}

impl fmt::Display for KtlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KtlsError::Unavailable(error) => write!(
                f,
                "the kernel offers no TLS for sockets ({error}): load it with 'modprobe tls'"
            ),
            KtlsError::Keys(direction, error) => {
                write!(f, "the kernel refused the keys for {direction}: {error}")
            }
        }
    }
}

impl std::error::Error for KtlsError {}

/// The kernel's `struct tls12_crypto_info_*`, which the header defines for each cipher as version,
/// cipher, IV, key, salt and record number.
fn crypto_info(keys: &TrafficKeys) -> Zeroizing<Vec<u8>> {
    let (cipher, salt) = match keys.cipher {
        Cipher::Aes128Gcm => (TLS_CIPHER_AES_GCM_128, GCM_SALT),
        Cipher::Aes256Gcm => (TLS_CIPHER_AES_GCM_256, GCM_SALT),
        Cipher::ChaCha20Poly1305 => (TLS_CIPHER_CHACHA20_POLY1305, 0),
    };
    let (salt, iv) = keys.iv.split_at_checked(salt).unwrap_or_default();
    // Sized beforehand: growing would leave copies of the key in freed memory.
    let mut info = Zeroizing::new(Vec::with_capacity(64));
    info.extend_from_slice(&TLS_1_3.to_ne_bytes());
    info.extend_from_slice(&cipher.to_ne_bytes());
    info.extend_from_slice(iv);
    info.extend_from_slice(&keys.key);
    info.extend_from_slice(salt);
    info.extend_from_slice(&keys.sequence.to_be_bytes());
    info
}

fn set(socket: BorrowedFd<'_>, level: i32, option: i32, value: &[u8]) -> io::Result<()> {
    // SAFETY: the pointer and the length describe `value`, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            value.as_ptr().cast(),
            value.len() as libc::socklen_t,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Makes the kernel encrypt and decrypt what passes through `socket` from here on.
///
/// # Errors
/// [`KtlsError`]. The connection is of no use afterwards and must be closed.
pub fn install(socket: BorrowedFd<'_>, session: &Session) -> Result<(), KtlsError> {
    set(socket, libc::IPPROTO_TCP, libc::TCP_ULP, b"tls").map_err(KtlsError::Unavailable)?;
    set(socket, SOL_TLS, TLS_TX, &crypto_info(&session.tx))
        .map_err(|error| KtlsError::Keys("sending", error))?;
    set(socket, SOL_TLS, TLS_RX, &crypto_info(&session.rx))
        .map_err(|error| KtlsError::Keys("receiving", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(cipher: Cipher, key: usize) -> TrafficKeys {
        TrafficKeys {
            cipher,
            key: Zeroizing::new(vec![0x4b; key]),
            iv: Zeroizing::new((1..=12).collect()),
            sequence: 0x0102,
        }
    }

    #[test]
    fn layouts_are_those_of_the_kernels_header() {
        let info = crypto_info(&keys(Cipher::Aes128Gcm, 16));
        assert_eq!(info.len(), 40);
        assert_eq!(info[..4], [4, 3, 51, 0].map(|o: u8| o));
        assert_eq!(info[4..12], [5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(info[12..28], [0x4b; 16]);
        assert_eq!(info[28..32], [1, 2, 3, 4]);
        assert_eq!(info[32..], [0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(crypto_info(&keys(Cipher::Aes256Gcm, 32)).len(), 56);
        let info = crypto_info(&keys(Cipher::ChaCha20Poly1305, 32));
        assert_eq!(info.len(), 56);
        assert_eq!(info[4..16], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    }
}
