//! The OAuth clients that dynamic registration gave this installation, one a site, and the scopes
//! that each site refused.
//!
//! A public client's id is no secret, so these files are plain JSON.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::durable;
use super::error::StorageError;
use super::installation::Installation;
use crate::clock::Timestamp;
use crate::lock::Lock;
use crate::names::{ClientId, encode_site};
use crate::platform::Privacy;
use crate::scope::Scopes;
use crate::site::Site;

const LIMIT: u64 = 64 * 1024;

/// A client of one site's authorization server (RFC 7591).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    pub client_id: ClientId,
    /// All of them, as an authorization server compares them to the letter.
    pub redirect_uris: Vec<String>,
    /// Milliseconds of Unix time.
    pub registered: Timestamp,
}

/// The registrations of one installation.
pub struct Registrations<'a> {
    installation: &'a Installation,
}

impl<'a> Registrations<'a> {
    /// Of this installation.
    #[must_use]
    pub fn of(installation: &'a Installation) -> Self {
        Self { installation }
    }

    /// The registration at `site`, if there is a usable one. A file that cannot be understood
    /// counts as none: registering again is always possible and costs nothing.
    ///
    /// # Errors
    /// Where the file cannot be read, or is not the user's own.
    pub fn load(&self, site: &Site) -> Result<Option<Registration>, StorageError> {
        let bytes = durable::read(&self.path(site), Privacy::Owned, LIMIT)?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Keeps a registration; `_lock` is that of [`Registrations::lock_path`].
    ///
    /// # Errors
    /// Where it cannot be written, or the installation was forgotten meanwhile.
    pub fn save(
        &self,
        _lock: &Lock,
        site: &Site,
        registration: &Registration,
    ) -> Result<(), StorageError> {
        let json = serde_json::to_vec(registration).expect("a registration is plain data");
        let written = durable::replace(&self.path(site), &json);
        if self.installation.is_there()? { written } else { Err(StorageError::Forgotten) }
    }

    /// Forgets the registration at `site` if it is still that of `client_id`, which its server no
    /// longer knows; the next login registers anew.
    ///
    /// # Errors
    /// Where it cannot be read or removed.
    pub fn drop_client(&self, site: &Site, client_id: &ClientId) -> Result<(), StorageError> {
        match self.load(site)? {
            Some(registration) if registration.client_id == *client_id => {
                durable::remove(&self.path(site))
            }
            _ => Ok(()),
        }
    }

    /// Forgets the registration at `site`, and what the site refused. `_lock` is that of
    /// [`Registrations::lock_path`].
    ///
    /// # Errors
    /// Where something cannot be removed.
    pub fn forget(&self, _lock: &Lock, site: &Site) -> Result<(), StorageError> {
        durable::remove(&self.path(site))?;
        durable::remove(&self.refused_path(site))
    }

    /// The scopes that `site` refused.
    ///
    /// # Errors
    /// Where the file cannot be read; one that cannot be understood refuses nothing.
    pub fn refused_scopes(&self, site: &Site) -> Result<RefusedScopes, StorageError> {
        let bytes = durable::read(&self.refused_path(site), Privacy::Owned, LIMIT)?;
        let refused = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(refused.unwrap_or_default())
    }

    /// Keeps what `site` refused; `_lock` is that of [`Registrations::lock_path`].
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn save_refused_scopes(
        &self,
        _lock: &Lock,
        site: &Site,
        refused: &RefusedScopes,
    ) -> Result<(), StorageError> {
        let json = serde_json::to_vec(refused).expect("names and times are plain data");
        durable::replace(&self.refused_path(site), &json)
    }

    /// The lock that lets one process at a time register at `site`.
    #[must_use]
    pub fn lock_path(&self, site: &Site) -> PathBuf {
        self.path(site).with_extension("lock")
    }

    fn path(&self, site: &Site) -> PathBuf {
        let mut stem = encode_site(site);
        // The file with this name says what the site `stem` refused.
        if let Some(stem_of_other) = stem.strip_suffix(".refused") {
            stem = format!("{stem_of_other}%2erefused");
        }
        self.installation.registrations_directory().join(format!("{stem}.json"))
    }

    fn refused_path(&self, site: &Site) -> PathBuf {
        self.path(site).with_extension("refused.json")
    }
}

/// Afterwards a login asks again, because an organization that buys a product gets its scopes.
const BELIEVED_FOR: Duration = Duration::from_hours(30 * 24);

/// The scopes that a site refused, with the moment of each refusal. The next login leaves them out so
/// that it does not fail again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RefusedScopes(BTreeMap<String, Timestamp>);

impl RefusedScopes {
    /// Takes note of a refusal.
    pub fn remember(&mut self, scopes: &Scopes, now: Timestamp) {
        self.0.extend(scopes.iter().map(|scope| (scope.to_string(), now)));
    }

    /// Drops what was granted since.
    pub fn forget(&mut self, granted: &Scopes) {
        self.0.retain(|scope, _| !granted.contains(scope));
    }

    /// Those of `asked` that the site would refuse again. A refusal from the future does not count:
    /// the clock has been set back since.
    #[must_use]
    pub fn among(&self, asked: &Scopes, now: Timestamp) -> Scopes {
        let refused = |scope: &str| {
            self.0.get(scope).is_some_and(|at| *at <= now && now.since(*at) < BELIEVED_FOR)
        };
        asked.filtered(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_believed_until_it_is_old_or_disproved() {
        let scopes = |text: &str| Scopes::parse(text).unwrap();
        let now = Timestamp::from_seconds(1_800_000_000);
        let mut refused = RefusedScopes::default();
        refused.remember(&scopes("b c"), now);
        let among = |refused: &RefusedScopes, later: Duration| {
            refused.among(&scopes("a b c"), now.plus(later)).to_string()
        };
        assert_eq!(among(&refused, Duration::ZERO), "b c");
        assert_eq!(among(&refused, BELIEVED_FOR), "");
        assert_eq!(refused.among(&scopes("b"), Timestamp::from_seconds(0)), Scopes::default());
        refused.forget(&scopes("b"));
        assert_eq!(among(&refused, Duration::ZERO), "c");
    }
}
