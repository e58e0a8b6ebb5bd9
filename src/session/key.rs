//! Where the sealing key rests: a file of mode 0600 with 64 hexadecimal digits.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::seal::SealingKey;
use super::{StorageError, durable};
use crate::platform::Privacy;

const LIMIT: u64 = 256;

/// The place of the sealing key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyHome {
    /// A key file of our own, named after the installation id.
    File(PathBuf),
    /// The file that `DD_OAUTH_KEY_FILE` names; never created, never replaced by another place.
    NamedFile(PathBuf),
}

impl KeyHome {
    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::NamedFile(path) => path,
        }
    }
}

/// Makes a new key where that is ours to do; checks a named one.
pub fn create(home: &KeyHome) -> Result<(), StorageError> {
    match home {
        KeyHome::NamedFile(_) => read(home, home.path()).map(|_| ()),
        KeyHome::File(path) => {
            durable::ensure_directory(path.parent().unwrap_or(path))?;
            let digits = Zeroizing::new(super::seal::hex(SealingKey::generate()?.expose()));
            durable::create_once(path, digits.as_bytes()).map(|_| ())
        }
    }
}

/// Removes a key that [`create`] made and that came to no use.
pub fn discard(home: &KeyHome) -> Result<(), StorageError> {
    match home {
        KeyHome::NamedFile(_) => Ok(()),
        KeyHome::File(path) => durable::remove(path),
    }
}

/// Reads the key of the `installation`.
pub fn read(home: &KeyHome, installation: &Path) -> Result<SealingKey, StorageError> {
    let path = home.path();
    let Some(digits) = durable::read(path, Privacy::Secret, LIMIT)?.map(Zeroizing::new) else {
        return Err(match home {
            KeyHome::NamedFile(path) => StorageError::NamedKeyMissing { path: path.clone() },
            KeyHome::File(path) => StorageError::KeyMissing {
                key: path.clone(),
                installation: installation.to_path_buf(),
            },
        });
    };
    let bytes = parse(digits.trim_ascii_end()).ok_or_else(|| StorageError::BadKey {
        path: path.to_path_buf(),
        why: "is not a key: it must hold 64 hexadecimal digits",
    })?;
    Ok(SealingKey::new(bytes))
}

fn parse(digits: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
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
        assert_eq!(parse("0f".repeat(32).as_bytes()).unwrap()[31], 15);
        for bad in
            ["", "0f", &"0f".repeat(31), &"0f".repeat(33), &"0g".repeat(32), &"+f".repeat(32)]
        {
            assert!(parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_named_key_is_used_as_it_is_and_never_made() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let home = KeyHome::NamedFile(path.clone());
        assert!(matches!(create(&home), Err(StorageError::NamedKeyMissing { .. })));
        durable::create_once(&path, format!("{}\n", "ab".repeat(32)).as_bytes()).unwrap();
        create(&home).unwrap();
        discard(&home).unwrap();
        assert_eq!(read(&home, &path).unwrap().expose(), &[0xab; 32]);
    }
}
