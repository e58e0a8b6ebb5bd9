//! The older credentials of Datadog: an API key, and mostly an application key with it. They are
//! for endpoints that take no bearer token. They are stored beside the sessions and sealed with the
//! same sealing key, each pair in a file of its own:
//!
//! ```text
//! dd-oauth keys 1\n
//! {"site":"datadoghq.eu", ...}\n      the head, one line of JSON
//! <nonce><ciphertext>                 the body, to the end of the file
//! ```

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::error::{StorageError, io_error};
use super::file::Kind;
use super::installation::Installation;
use super::sealing_key::SealingKey;
use super::selection::{Choice, choose_among};
use super::{durable, file};
use crate::lock::Lock;
use crate::names::{OrgLabel, SessionName};
use crate::platform::Privacy;
use crate::secret::{ApiKey, ApplicationKey, Secret};
use crate::site::{Site, SiteName};

const KIND: Kind = Kind { magic: "dd-oauth keys ", format: 1, no_such: "is not a file of keys" };
const LIMIT: u64 = 64 * 1024;
/// The file of a pair ends in this.
pub(super) const API_KEYS_ENDING: &str = "keys";

/// An API key, and the application key that goes with it.
#[derive(Clone, Debug)]
pub struct ApiKeys {
    pub name: SessionName,
    pub api_key: ApiKey,
    /// Sending metrics, logs and events needs none.
    pub app_key: Option<ApplicationKey>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    site: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    org: Option<OrgLabel>,
    /// Fingerprint of the sealing key.
    key: String,
}

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct Body {
    api_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_key: Option<String>,
}

/// The API keys of one installation.
pub struct ApiKeyStore<'a> {
    installation: &'a Installation,
}

impl<'a> ApiKeyStore<'a> {
    /// Of this installation.
    #[must_use]
    pub fn of(installation: &'a Installation) -> Self {
        Self { installation }
    }

    /// Chooses the pair for a request, by the rules of [`super::SessionStore::choose`].
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn choose(
        &self,
        site: Option<&SiteName>,
        org: Option<&OrgLabel>,
    ) -> Result<Choice, StorageError> {
        let mut fitting = self.names()?;
        match site {
            Some(SiteName::Site(site)) => fitting.retain(|name| name.site == *site),
            // A pair is kept under the site that takes it, and not under where people log in.
            Some(SiteName::Vanity(_)) => fitting.clear(),
            None => {}
        }
        choose_among(self.installation, fitting, site, org)
    }

    fn names(&self) -> Result<Vec<SessionName>, StorageError> {
        let directory = self.installation.sessions_directory();
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io_error("list", &directory)(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let path = entry.map_err(io_error("list", &directory))?.path();
            if path.extension().is_some_and(|ending| ending == API_KEYS_ENDING) {
                match Self::name_of(&path) {
                    Ok(name) => names.extend(name),
                    // Nobody knows whose it is, and the others can still be found.
                    Err(StorageError::Corrupt { .. } | StorageError::Newer { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        names.sort_by_key(SessionName::file_stem);
        Ok(names)
    }

    fn name_of(path: &Path) -> Result<Option<SessionName>, StorageError> {
        let Some(bytes) = durable::read(path, Privacy::Owned, LIMIT)? else { return Ok(None) };
        let (_, head, _) = file::split::<Head>(&bytes, path, &KIND)?;
        name_in(head, path).map(Some)
    }

    /// Opens a pair, if there is one of this name.
    ///
    /// # Errors
    /// Where the file or the sealing key is damaged, missing, or not the user's own.
    pub fn load(&self, name: &SessionName) -> Result<Option<ApiKeys>, StorageError> {
        let path = self.path(name);
        let Some(bytes) = durable::read(&path, Privacy::Owned, LIMIT)? else { return Ok(None) };
        read(&bytes, &path, name, self.installation.sealing_key()?).map(Some)
    }

    /// Writes a pair completely or not at all. `lock` is [`super::SessionStore::lock_path`]: a pair has
    /// no lock of its own.
    ///
    /// # Errors
    /// If it cannot be written, or the installation was forgotten meanwhile. Nothing is left then.
    pub fn save(&self, lock: &Lock, pair: &ApiKeys) -> Result<(), StorageError> {
        let bytes = write(pair, self.installation.sealing_key()?)?;
        let written = durable::replace(&self.path(&pair.name), &bytes);
        if self.installation.is_there()? {
            return written;
        }
        // The directory may be gone too.
        if written.is_ok() {
            let _ = self.forget(lock, &pair.name);
        }
        Err(StorageError::Forgotten)
    }

    /// Forgets a pair; a missing one is fine.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub fn forget(&self, _lock: &Lock, name: &SessionName) -> Result<(), StorageError> {
        durable::remove(&self.path(name))?;
        durable::remove(&durable::unfinished(&self.path(name)))?;
        durable::sync_parent(&self.path(name))
    }

    fn path(&self, name: &SessionName) -> PathBuf {
        let directory = self.installation.sessions_directory();
        directory.join(format!("{}.{API_KEYS_ENDING}", name.file_stem()))
    }
}

fn write(pair: &ApiKeys, key: &SealingKey) -> Result<Vec<u8>, StorageError> {
    let head = Head {
        site: pair.name.site.to_string(),
        org: pair.name.org.clone(),
        key: key.fingerprint().into(),
    };
    let body = Body {
        api_key: pair.api_key.expose().to_string(),
        app_key: pair.app_key.as_ref().map(|key| key.expose().to_string()),
    };
    let head = serde_json::to_string(&head).expect("a head is plain data");
    let body = zeroize::Zeroizing::new(serde_json::to_vec(&body).expect("a body is plain data"));
    let public = format!("{}{}\n{head}\n", KIND.magic, KIND.format).into_bytes();
    let sealed = key.seal(&body, &public)?;
    Ok([public, sealed].concat())
}

fn read(
    bytes: &[u8],
    path: &Path,
    expected: &SessionName,
    key: &SealingKey,
) -> Result<ApiKeys, StorageError> {
    let damaged = |why| StorageError::Corrupt { path: path.to_path_buf(), why };
    let (public, head, sealed) = file::split::<Head>(bytes, path, &KIND)?;
    if head.key != key.fingerprint() {
        return Err(StorageError::OtherKey { path: path.to_path_buf() });
    }
    let body = key.open(sealed, public).ok_or_else(|| damaged("was cut short or changed"))?;
    let body: Body =
        serde_json::from_slice(&body).map_err(|_| damaged("does not hold a key pair"))?;
    let name = name_in(head, path)?;
    if name != *expected {
        return Err(damaged("holds the keys of another organization"));
    }
    let improper = || damaged("holds no proper key");
    let app_key = body.app_key.clone().map(|key| Secret::parse(key).ok_or_else(improper));
    Ok(ApiKeys {
        name,
        api_key: Secret::parse(body.api_key.clone()).ok_or_else(improper)?,
        app_key: app_key.transpose()?,
    })
}

fn name_in(head: Head, path: &Path) -> Result<SessionName, StorageError> {
    let why = "names no site";
    let site = Site::parse(&head.site)
        .map_err(|_| StorageError::Corrupt { path: path.to_path_buf(), why })?;
    Ok(SessionName { site, org: head.org })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(site: &str) -> ApiKeys {
        ApiKeys {
            name: SessionName { site: Site::parse(site).unwrap(), org: OrgLabel::parse("Acme") },
            api_key: Secret::parse("api-canary".to_string()).unwrap(),
            app_key: Secret::parse("app-canary".to_string()),
        }
    }

    #[test]
    fn a_pair_is_read_back_and_nothing_of_it_can_be_changed() {
        let key = SealingKey::generate().unwrap();
        let (path, written) = (Path::new("x.keys"), pair("eu1"));
        let bytes = write(&written, &key).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("canary"));
        let open = |bytes: &[u8], name: &SessionName| read(bytes, path, name, &key);
        let opened = open(&bytes, &written.name).unwrap();
        assert!(opened.api_key.matches(&written.api_key) && opened.app_key.is_some());
        assert!(open(&bytes, &pair("us1").name).is_err());
        for position in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[position] ^= 1;
            assert!(open(&changed, &written.name).is_err(), "{position}");
            assert!(open(&bytes[..position], &written.name).is_err(), "{position}");
        }
        let other = SealingKey::generate().unwrap();
        let error = read(&bytes, path, &written.name, &other).unwrap_err();
        assert!(matches!(error, StorageError::OtherKey { .. }));
    }
}
