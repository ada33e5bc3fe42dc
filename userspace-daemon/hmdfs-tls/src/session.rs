// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a finished handshake leaves behind: who the peer is, and the keys for the kernel.

use rustls::{ConnectionTrafficSecrets, ExtractedSecrets};
use zeroize::Zeroizing;

use crate::device_id::DeviceId;

/// The ciphers that both rustls and the kernel know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cipher {
    /// AES-128 in GCM.
    Aes128Gcm,
    /// AES-256 in GCM.
    Aes256Gcm,
    /// ChaCha20 with Poly1305.
    ChaCha20Poly1305,
}

/// Keys of one direction.
#[derive(Clone, PartialEq, Eq)]
pub struct TrafficKeys {
    /// The cipher.
    pub cipher: Cipher,
    /// Its key.
    pub key: Zeroizing<Vec<u8>>,
    /// The write IV of TLS 1.3, twelve octets.
    pub iv: Zeroizing<Vec<u8>>,
    /// Number of the next record: HELLO and HELLO-ACK have used some.
    pub sequence: u64,
}

impl std::fmt::Debug for TrafficKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrafficKeys")
            .field("cipher", &self.cipher)
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}

impl TrafficKeys {
    fn of(sequence: u64, secrets: &ConnectionTrafficSecrets) -> Option<Self> {
        use ConnectionTrafficSecrets as S;
        let (cipher, key, iv) = match secrets {
            S::Aes128Gcm { key, iv } => (Cipher::Aes128Gcm, key, iv),
            S::Aes256Gcm { key, iv } => (Cipher::Aes256Gcm, key, iv),
            S::Chacha20Poly1305 { key, iv } => (Cipher::ChaCha20Poly1305, key, iv),
            _ => return None,
        };
        Some(TrafficKeys {
            cipher,
            key: Zeroizing::new(key.as_ref().to_vec()),
            iv: Zeroizing::new(iv.as_ref().to_vec()),
            sequence,
        })
    }
}

/// An authenticated connection, ready to be handed to the kernel.
#[derive(Clone, Debug)]
pub struct Session {
    /// The device at the other end, proven by its key.
    pub peer: DeviceId,
    /// Keys of what we send.
    pub tx: TrafficKeys,
    /// Keys of what we receive.
    pub rx: TrafficKeys,
}

impl Session {
    pub(crate) fn of(peer: DeviceId, secrets: &ExtractedSecrets) -> Option<Self> {
        Some(Session {
            peer,
            tx: TrafficKeys::of(secrets.tx.0, &secrets.tx.1)?,
            rx: TrafficKeys::of(secrets.rx.0, &secrets.rx.1)?,
        })
    }
}
