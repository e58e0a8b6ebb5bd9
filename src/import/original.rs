//! Removes a session where the earlier tool keeps it, unless the tool has changed it meanwhile.

use zeroize::Zeroizing;

use super::ImportError;
use super::earlier::{EarlierSession, LIMIT, Origin};
use super::shape::{self, Tokens};
use crate::platform::Privacy;
use crate::session::{Keychain, KeychainError, durable};

/// What a file or entry holds right now.
struct Content {
    bytes: Zeroizing<Vec<u8>>,
    text: Zeroizing<String>,
    utf16: bool,
}

impl Content {
    fn of(bytes: Zeroizing<Vec<u8>>) -> Option<Self> {
        let (text, utf16) = shape::text_of(&bytes)?;
        Some(Self { bytes, text, utf16 })
    }
}

impl EarlierSession {
    /// Makes sure that the tool still has the session as it was found: it may have renewed it.
    ///
    /// # Errors
    /// Where it has not, or it cannot be seen.
    pub fn ensure_unchanged(&self, keychain: Keychain) -> Result<(), ImportError> {
        let holds = |content: &Content| self.is_in(content) == Some(true);
        if self.contents(keychain)?.iter().any(holds) { Ok(()) } else { Err(self.changed()) }
    }

    /// Removes the session from the file or entry that it was found in, and with its last session
    /// the file or entry itself. One that is gone already is fine.
    ///
    /// # Errors
    /// Where it has changed or cannot be written: it is left as it is then.
    pub fn remove_original(&self, keychain: Keychain) -> Result<(), ImportError> {
        for content in self.contents(keychain)? {
            match self.is_in(&content) {
                Some(true) => self.remove_from(&content, keychain)?,
                Some(false) => return Err(self.changed()),
                None => {}
            }
        }
        Ok(())
    }

    fn remove_from(&self, content: &Content, keychain: Keychain) -> Result<(), ImportError> {
        let left = shape::without(&content.text, &self.part);
        let left = left.map(|left| shape::encoded(left, content.utf16));
        let removed = match &self.origin {
            Origin::File(path) => {
                durable::exchange(path, &content.bytes, left.as_ref().map(|left| left.as_slice()))?
            }
            Origin::Keychain { service, account } => keychain
                .exchange(service, account, &content.bytes, left)
                .map_err(|source| self.unseen(source))?,
        };
        if removed { Ok(()) } else { Err(self.changed()) }
    }

    /// Whether the session is in `content` as it was found; nothing where there is none at all.
    fn is_in(&self, content: &Content) -> Option<bool> {
        let written = shape::part_of(&content.text, &self.part)?;
        Some(Tokens::parse(written).is_ok_and(|tokens| tokens.same_as(&self.tokens)))
    }

    /// Two libraries may have written an entry of the same name each.
    fn contents(&self, keychain: Keychain) -> Result<Vec<Content>, ImportError> {
        let found = match &self.origin {
            Origin::File(path) => durable::read(path, Privacy::Owned, LIMIT)?
                .map(Zeroizing::new)
                .into_iter()
                .collect(),
            Origin::Keychain { service, account } => {
                let entries = keychain.entries(service).map_err(|source| self.unseen(source))?;
                let named = entries.into_iter().filter(|entry| entry.account == *account);
                named.map(|entry| entry.secret).collect::<Vec<_>>()
            }
        };
        Ok(found.into_iter().filter_map(Content::of).collect())
    }

    fn changed(&self) -> ImportError {
        ImportError::Changed { origin: self.origin.clone() }
    }

    fn unseen(&self, source: KeychainError) -> ImportError {
        ImportError::Keychain { origin: self.origin.clone(), source }
    }
}
