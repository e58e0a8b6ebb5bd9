//! The operating system's keychain, asked with a deadline: a locked one with nobody to unlock it,
//! a stopped daemon or a silent bus would keep its own calls waiting for ever.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use keyring_core::{Entry, Error as StoreError};
use zeroize::Zeroizing;

use crate::platform::keychain as platform_keychain;

/// A wait that is longer than this is told to the person who waits.
const WORTH_TELLING: Duration = Duration::from_secs(1);

/// How long the keychain is waited for, and who hears of it.
#[derive(Clone, Copy, Debug)]
pub struct KeychainTimeout {
    pub limit: Duration,
    /// Hears of a long wait, once; nobody does where nobody can unlock anything.
    pub notice: Option<fn(&str)>,
}

/// For finding the window that asks, and the password.
const UNLOCK_LIMIT: Duration = Duration::from_mins(1);

impl KeychainTimeout {
    /// For a person who can unlock it, and who is told through `notice` that it is waited for.
    #[must_use]
    pub fn attended(notice: fn(&str)) -> Self {
        Self { limit: UNLOCK_LIMIT, notice: Some(notice) }
    }
}

/// The keychain of this user.
#[derive(Clone, Copy, Debug)]
pub struct Keychain {
    timeout: KeychainTimeout,
}

/// One entry: what stands in the keychain under a service and an account.
pub struct KeychainEntry {
    pub service: String,
    pub account: String,
    pub secret: Zeroizing<Vec<u8>>,
}

/// Why the keychain did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum KeychainError {
    #[error(
        "it gave no answer within {} s; it may be locked with nobody there to unlock it", .0.as_secs()
    )]
    Deadline(Duration),
    #[error("it is locked, and was not unlocked")]
    Locked,
    #[error("there is none: {0}")]
    Unavailable(String),
    #[error("it has several entries of this name")]
    Several,
    #[error("it gave back something else than was written")]
    NotKept,
    #[error("{0}")]
    Failed(String),
}

impl KeychainError {
    /// Whether there is no keychain at all, which then holds nothing either.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

impl Keychain {
    /// The one of this user, asked with `timeout`.
    #[must_use]
    pub fn with(timeout: KeychainTimeout) -> Self {
        Self { timeout }
    }

    /// What people call the keychain of this system.
    pub const NAME: &str = platform_keychain::NAME;

    /// Reads an entry, or nothing where there is none.
    ///
    /// # Errors
    /// Where it cannot be asked, or has several of that name.
    pub fn read(
        self,
        service: &str,
        account: &str,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, KeychainError> {
        self.ask(service, account, |entry| match entry.get_secret() {
            Ok(secret) => Ok(Some(Zeroizing::new(secret))),
            Err(StoreError::NoEntry) => Ok(None),
            Err(error) => Err(error),
        })
    }

    /// Writes an entry, and reads it back.
    ///
    /// # Errors
    /// Where it cannot be written, or is not there afterwards.
    pub fn write(
        self,
        service: &str,
        account: &str,
        secret: &Zeroizing<Vec<u8>>,
    ) -> Result<(), KeychainError> {
        let written = secret.clone();
        let kept = self.ask(service, account, move |entry| {
            entry.set_secret(&written)?;
            Ok(*Zeroizing::new(entry.get_secret()?) == *written)
        })?;
        if kept { Ok(()) } else { Err(KeychainError::NotKept) }
    }

    /// Removes an entry; a missing one is fine.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub fn remove(self, service: &str, account: &str) -> Result<(), KeychainError> {
        self.ask(service, account, |entry| match entry.delete_credential() {
            Err(StoreError::NoEntry) => Ok(()),
            removed => removed,
        })
    }

    /// All entries of a service.
    ///
    /// # Errors
    /// Where it cannot be asked.
    pub fn entries(self, service: &str) -> Result<Vec<KeychainEntry>, KeychainError> {
        let service = service.to_string();
        self.within_limit(move || {
            let store = platform_keychain::store()?;
            let mut found = Vec::new();
            for entry in store.search(&platform_keychain::entries_of(&service))? {
                let Some(account) = account_of(&entry, &service) else { continue };
                match entry.get_secret() {
                    Ok(secret) => found.push(KeychainEntry {
                        service: service.clone(),
                        account,
                        secret: Zeroizing::new(secret),
                    }),
                    // Somebody else removed it meanwhile.
                    Err(StoreError::NoEntry) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(found)
        })
    }

    /// Puts `new` into the entry of that name that holds `known`, or removes it; whatever library
    /// wrote it. Whether there was one: it may have been changed meanwhile.
    ///
    /// # Errors
    /// Where it cannot be asked or written.
    pub fn exchange(
        self,
        service: &str,
        account: &str,
        known: &Zeroizing<Vec<u8>>,
        new: Option<Zeroizing<Vec<u8>>>,
    ) -> Result<bool, KeychainError> {
        let (service, account) = (service.to_string(), account.to_string());
        let known = known.clone();
        self.within_limit(move || {
            let store = platform_keychain::store()?;
            let holds = |entry: &Entry| {
                let named = account_of(entry, &service).is_some_and(|found| found == account);
                let held = if named { entry.get_secret().ok() } else { None };
                held.is_some_and(|held| *Zeroizing::new(held) == *known)
            };
            let entries = store.search(&platform_keychain::entries_of(&service))?;
            let Some(entry) = entries.iter().find(|entry| holds(entry)) else { return Ok(false) };
            match &new {
                Some(new) => entry.set_secret(new)?,
                None => entry.delete_credential()?,
            }
            Ok(true)
        })
    }

    fn ask<T: Send + 'static>(
        self,
        service: &str,
        account: &str,
        job: impl FnOnce(&Entry) -> keyring_core::Result<T> + Send + 'static,
    ) -> Result<T, KeychainError> {
        let (service, account) = (service.to_string(), account.to_string());
        self.within_limit(move || {
            let label = format!("{service} {account}");
            let description = platform_keychain::description(&label);
            let store = platform_keychain::store()?;
            job(&store.build(&service, &account, Some(&description))?)
        })
    }

    /// Runs `job` on a thread of its own, which is left behind where it never ends; it ends with
    /// this process then.
    fn within_limit<T: Send + 'static>(
        self,
        job: impl FnOnce() -> keyring_core::Result<T> + Send + 'static,
    ) -> Result<T, KeychainError> {
        let KeychainTimeout { limit, notice } = self.timeout;
        let (sender, answer) = mpsc::channel();
        let ask = move || sender.send(job().map_err(understood));
        thread::Builder::new()
            .name("keychain".into())
            .spawn(ask)
            .map_err(|error| KeychainError::Failed(error.to_string()))?;
        let first = if notice.is_some() { limit.min(WORTH_TELLING) } else { limit };
        let mut outcome = answer.recv_timeout(first);
        if let (Err(RecvTimeoutError::Timeout), Some(notice)) = (&outcome, notice) {
            notice(&format!(
                "waiting for the keychain ({}); unlock it where it asks you to",
                Self::NAME
            ));
            outcome = answer.recv_timeout(limit.saturating_sub(first));
        }
        match outcome {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => Err(KeychainError::Deadline(limit)),
            Err(RecvTimeoutError::Disconnected) => {
                Err(KeychainError::Failed("the call to it ended without an answer".into()))
            }
        }
    }
}

/// The account of an entry that a search for `service` found: libraries give it different names.
fn account_of(entry: &Entry, service: &str) -> Option<String> {
    if let Some((found, account)) = entry.get_specifiers() {
        return (found == service).then_some(account);
    }
    entry.get_attributes().ok()?.remove("account")
}

/// What errors of the platform say where there is no keychain; they have no kind of their own.
const ABSENCES: [&str; 5] = [
    "no secret service provider",
    "Failed to connect",
    "org.freedesktop.DBus.Error.ServiceUnknown",
    "org.freedesktop.DBus.Error.NameHasNoOwner",
    "org.freedesktop.DBus.Error.Spawn",
];

/// Puts an error of the store into our words. What it carries of an entry's content is left out.
fn understood(error: StoreError) -> KeychainError {
    match error {
        StoreError::NoStorageAccess(_) => KeychainError::Locked,
        StoreError::NoDefaultStore => KeychainError::Unavailable("no store is known".into()),
        StoreError::Ambiguous(_) => KeychainError::Several,
        StoreError::PlatformFailure(error) => {
            let why = error.to_string();
            let why = why.strip_prefix("zbus error: ").unwrap_or(&why).to_string();
            if ABSENCES.iter().any(|absence| why.contains(absence)) {
                KeychainError::Unavailable(why)
            } else {
                KeychainError::Failed(why)
            }
        }
        StoreError::BadEncoding(_) | StoreError::BadDataFormat(..) => {
            KeychainError::Failed("the entry cannot be read".into())
        }
        error => KeychainError::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hasty() -> Keychain {
        Keychain::with(KeychainTimeout { limit: Duration::from_millis(5), notice: None })
    }

    #[test]
    fn a_call_that_never_returns_ends_at_the_deadline() {
        let (sender, receiver) = mpsc::channel::<()>();
        let error = hasty()
            .within_limit(move || {
                let _ = receiver.recv();
                Ok(())
            })
            .unwrap_err();
        assert!(matches!(error, KeychainError::Deadline(_)), "{error}");
        drop(sender);
    }

    #[test]
    fn an_error_never_shows_what_an_entry_holds() {
        let shown = |error| understood(error).to_string();
        for error in [
            StoreError::BadEncoding(b"canary".to_vec()),
            StoreError::BadDataFormat(b"canary".to_vec(), "canary".into()),
        ] {
            assert!(!shown(error).contains("canary"));
        }
    }
}
