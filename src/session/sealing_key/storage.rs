//! Writes, reads and removes the sealing key in its place.
//!
//! In the keychain and in a file it is a line of 64 hexadecimal digits, followed by a line with the
//! state directory whose sessions it seals. The second line tells which keys nobody uses any more.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::SealingKey;
use crate::platform::Privacy;
use crate::secret::hex;
use crate::session::durable;
use crate::session::error::StorageError;
use crate::session::key_place::{KeyHome, SERVICE};
use crate::session::keychain::KeychainError;

const LIMIT: u64 = 8 * 1024;

/// A sealing key as it is written, and whose it is.
pub struct WrittenKey {
    pub key: SealingKey,
    pub state_directory: Option<PathBuf>,
}

impl WrittenKey {
    /// Reads what [`WrittenKey::to_bytes`] wrote; a key made by hand has no second line.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut lines = bytes.trim_ascii_end().split(|byte| *byte == b'\n');
        let key = SealingKey::new(parse_digits(lines.next()?.trim_ascii_end())?);
        let directory = lines.next().and_then(|line| str::from_utf8(line).ok()).map(PathBuf::from);
        Some(Self { key, state_directory: directory })
    }

    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let digits = Zeroizing::new(hex(self.key.expose()));
        // A path that is no text, or too long for a credential of Windows, is left out.
        let directory = self.state_directory.as_ref().and_then(|path| path.to_str());
        let directory = directory.filter(|path| path.len() <= 1024 && !path.contains('\n'));
        Zeroizing::new([digits.as_bytes(), b"\n", directory.unwrap_or("").as_bytes()].concat())
    }
}

/// Writes a key, unless `DD_OAUTH_KEY_FILE` names its file. An existing key file stays as it is; the
/// directory of a new one exists.
pub fn write(home: &KeyHome, written: &WrittenKey) -> Result<(), StorageError> {
    match home {
        KeyHome::Keychain { id, keychain } => keychain
            .write(SERVICE, id, &written.to_bytes())
            .map_err(|source| keychain_error("write", id, source)),
        KeyHome::File(path) => durable::create_alone(path, &written.to_bytes()).map(|_| ()),
        KeyHome::NamedFile(_) => Ok(()),
    }
}

/// Removes a key that [`write()`] wrote. A missing key is fine; a named one stays.
pub fn remove(home: &KeyHome) -> Result<(), StorageError> {
    match home {
        KeyHome::Keychain { id, keychain } => {
            keychain.remove(SERVICE, id).map_err(|source| keychain_error("remove", id, source))
        }
        KeyHome::File(path) => {
            durable::remove(path)?;
            durable::remove(&durable::unfinished(path))?;
            if path.parent().is_some_and(Path::exists) {
                durable::sync_parent(path)
            } else {
                Ok(())
            }
        }
        KeyHome::NamedFile(_) => Ok(()),
    }
}

/// Reads the key of the `installation`.
pub fn read(home: &KeyHome, installation: &Path) -> Result<SealingKey, StorageError> {
    let bytes = match home {
        KeyHome::Keychain { id, keychain } => {
            keychain.read(SERVICE, id).map_err(|source| keychain_error("read", id, source))?
        }
        KeyHome::File(path) | KeyHome::NamedFile(path) => {
            durable::read(path, Privacy::Secret, LIMIT)?.map(Zeroizing::new)
        }
    };
    let Some(bytes) = bytes else {
        return Err(match home {
            KeyHome::NamedFile(path) => StorageError::NamedKeyMissing { path: path.clone() },
            KeyHome::Keychain { .. } | KeyHome::File(_) => StorageError::KeyMissing {
                key: home.to_string(),
                installation: installation.to_path_buf(),
            },
        });
    };
    let written = WrittenKey::parse(&bytes).ok_or_else(|| StorageError::BadKey {
        key: home.to_string(),
        why: "is not a key: it must hold 64 hexadecimal digits",
    })?;
    Ok(written.key)
}

pub fn keychain_error(tried: &'static str, id: &str, source: KeychainError) -> StorageError {
    StorageError::Keychain { tried, entry: format!("{SERVICE} {id}"), source }
}

fn parse_digits(digits: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0; 32]);
    if digits.len() != 2 * key.len() {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |position: usize| char::from(pair[position]).to_digit(16);
        *byte = u8::try_from(digit(0)? << 4 | digit(1)?).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_64_hexadecimal_digits() {
        let parse = |text: &str| WrittenKey::parse(text.as_bytes()).map(|written| written.key);
        assert_eq!(parse(&"0f".repeat(32)).unwrap().expose()[31], 15);
        assert!(parse(&format!("{}\r\n", "0f".repeat(32))).is_some());
        for bad in
            ["", "0f", &"0f".repeat(31), &"0f".repeat(33), &"0g".repeat(32), &"+f".repeat(32)]
        {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_written_key_says_whose_it_is() {
        let written = WrittenKey {
            key: SealingKey::generate().unwrap(),
            state_directory: Some("/home/u/.local/state/dd-oauth".into()),
        };
        let again = WrittenKey::parse(&written.to_bytes()).unwrap();
        assert_eq!(again.key.expose(), written.key.expose());
        assert_eq!(again.state_directory, written.state_directory);
        let nameless = WrittenKey { state_directory: Some("/a\nb".into()), ..written };
        assert_eq!(WrittenKey::parse(&nameless.to_bytes()).unwrap().state_directory, None);
    }

    #[test]
    fn a_named_key_is_used_as_it_is_and_never_made() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let home = KeyHome::NamedFile(path.clone());
        let written = WrittenKey { key: SealingKey::generate().unwrap(), state_directory: None };
        write(&home, &written).unwrap();
        assert!(matches!(read(&home, &path), Err(StorageError::NamedKeyMissing { .. })));
        durable::create_once(&path, format!("{}\n", "ab".repeat(32)).as_bytes()).unwrap();
        remove(&home).unwrap();
        assert_eq!(read(&home, &path).unwrap().expose(), &[0xab; 32]);
    }
}
