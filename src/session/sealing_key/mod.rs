//! The sealing key: it encrypts and authenticates what is stored on the disk. API keys are something
//! else; they are stored like sessions, sealed with this key.
//!
//! The cipher is XChaCha20-Poly1305, because its nonces are long enough to be random for the whole
//! life of a key.

mod cache;
pub mod storage;

use std::cell::OnceCell;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::secret::hex;
use crate::session::error::StorageError;

pub use cache::KeyMemory;

const NONCE_BYTES: usize = 24;

/// 32 bytes that seal the files of an installation.
pub struct SealingKey {
    bytes: Zeroizing<[u8; 32]>,
    fingerprint: OnceCell<String>,
}

impl SealingKey {
    /// Takes over existing bytes.
    pub fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self { bytes, fingerprint: OnceCell::new() }
    }

    /// A new one, from the operating system's random numbers.
    pub fn generate() -> Result<Self, StorageError> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut_slice()).map_err(StorageError::NoRandomness)?;
        Ok(Self::new(bytes))
    }

    /// The bytes, for the place where the key rests.
    pub fn expose(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// Tells keys apart without telling anything about them.
    pub fn fingerprint(&self) -> &str {
        self.fingerprint.get_or_init(|| {
            let digest = Sha256::new_with_prefix(b"dd-oauth key\0").chain_update(*self.bytes);
            hex(&digest.finalize()[..8])
        })
    }

    /// Seals `secret`; `public` is not in the result, but opening demands the very same.
    pub fn seal(&self, secret: &[u8], public: &[u8]) -> Result<Vec<u8>, StorageError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(StorageError::NoRandomness)?;
        let payload = Payload { msg: secret, aad: public };
        let sealed = self
            .cipher()
            .encrypt(XNonce::from_slice(&nonce), payload)
            .expect("the cipher takes any message that fits into memory");
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens what [`SealingKey::seal`] made; nothing where key, `public` or a bit differs.
    pub fn open(&self, sealed: &[u8], public: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_BYTES)?;
        let payload = Payload { msg: sealed, aad: public };
        let secret = self.cipher().decrypt(XNonce::from_slice(nonce), payload).ok()?;
        Some(Zeroizing::new(secret))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.bytes).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_and_head_open_it_and_no_bit_may_differ() {
        let key = SealingKey::generate().unwrap();
        let sealed = key.seal(b"secret", b"head").unwrap();
        assert_eq!(key.open(&sealed, b"head").unwrap().as_slice(), b"secret");
        assert!(key.open(&sealed, b"Head").is_none());
        assert!(SealingKey::generate().unwrap().open(&sealed, b"head").is_none());
        for length in 0..sealed.len() {
            assert!(key.open(&sealed[..length], b"head").is_none());
        }
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert!(key.open(&changed, b"head").is_none());
        }
    }
}
