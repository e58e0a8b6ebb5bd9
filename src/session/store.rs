//! The sessions of one installation: finding, loading, saving and forgetting them.

use std::path::PathBuf;

use super::api_keys::API_KEYS_ENDING;
use super::durable;
use super::error::{StorageError, io_error};
use super::file::{self, SessionHead};
use super::installation::Installation;
use super::journal::Journal;
use super::login_outcome::LoginOutcome;
use super::model::Session;
use super::selection::{Choice, Fit, choose_among};
use crate::lock::Lock;
use crate::names::{OrgLabel, SessionName};
use crate::platform::{self, Privacy};
use crate::site::{Site, SiteName};

/// A session file is a few hundred bytes and two tokens.
const SESSION_LIMIT: u64 = 64 * 1024;
/// The endings of the files that hold something of a session; the others are locks. The last is what
/// earlier versions called a new file.
const SECRET_FILES: [&str; 4] = ["session", "session~new", "journal", "new"];
/// What a file ends in that says how a login ended.
const LOGIN_OUTCOME: &str = "login.outcome";
const LOGIN_OUTCOME_LIMIT: u64 = 16 * 1024;

/// The sessions of one installation.
pub struct SessionStore<'a> {
    installation: &'a Installation,
}

impl<'a> SessionStore<'a> {
    /// Of this installation.
    #[must_use]
    pub fn of(installation: &'a Installation) -> Self {
        Self { installation }
    }

    /// Chooses the session for a request that names `site` and `org`, or leaves them out. If several
    /// fit, it is the one that `dd-oauth use` selected, then the one without an organization if the
    /// request names a site.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn choose(
        &self,
        site: Option<&SiteName>,
        org: Option<&OrgLabel>,
    ) -> Result<Choice, StorageError> {
        if let (Some(SiteName::Site(site)), Some(org)) = (site, org) {
            let name = SessionName { site: site.clone(), org: Some(org.clone()) };
            let exists = self.path(&name, "session").exists();
            return Ok(if exists { Choice::Session(name, Fit::Named) } else { Choice::None });
        }
        let mut fitting = self.names()?;
        match site {
            Some(SiteName::Site(site)) => fitting.retain(|name| name.site == *site),
            Some(SiteName::Vanity(vanity)) => {
                let of_host = |name: &SessionName| {
                    let head = self.head(name)?;
                    Ok(head.is_some_and(|head| head.vanity_host.as_ref() == Some(&vanity.host)))
                };
                fitting = keep_if(fitting, of_host)?;
            }
            None => {}
        }
        choose_among(self.installation, fitting, site, org)
    }

    /// The sessions of logins that were asked for at `site`, and came back from another one.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn elsewhere(
        &self,
        site: &Site,
        org: Option<&OrgLabel>,
    ) -> Result<Vec<SessionName>, StorageError> {
        let mut named = self.names()?;
        named.retain(|name| org.is_none() || name.org.as_ref() == org);
        keep_if(named, |name| {
            Ok(self.head(name)?.is_some_and(|head| head.asked_site.as_ref() == Some(site)))
        })
    }

    /// All sessions, in the order of their names.
    ///
    /// # Errors
    /// Where the directory cannot be read.
    pub fn names(&self) -> Result<Vec<SessionName>, StorageError> {
        let directory = self.installation.sessions_directory();
        let files = match platform::names_in(&directory) {
            Ok(files) => files,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io_error("list", &directory)(error)),
        };
        let mut names = Vec::new();
        for file in files {
            let Some(stem) = file.to_str().and_then(|file| file.strip_suffix(".session")) else {
                continue;
            };
            match self.name_of_file(stem) {
                Ok(name) => names.extend(name),
                // Nobody knows whose it is, and the others can still answer.
                Err(StorageError::Corrupt { .. } | StorageError::Newer { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        names.sort_by_key(SessionName::file_stem);
        Ok(names)
    }

    /// The public part of a session's file, for which no key is needed.
    ///
    /// # Errors
    /// Where the file is damaged or cannot be read.
    pub fn head(&self, name: &SessionName) -> Result<Option<SessionHead>, StorageError> {
        let path = self.path(name, "session");
        let bytes = durable::read(&path, Privacy::Owned, SESSION_LIMIT)?;
        bytes.map(|bytes| file::read_head(&bytes, &path)).transpose()
    }

    /// The session whose files have this stem. A label that is too long for a file name is only in
    /// the head.
    ///
    /// # Errors
    /// Where the file is damaged or cannot be read.
    pub fn name_of_file(&self, stem: &str) -> Result<Option<SessionName>, StorageError> {
        if let Some(name) = SessionName::from_file_stem(stem) {
            return Ok(Some(name));
        }
        let path = self.installation.sessions_directory().join(format!("{stem}.session"));
        let bytes = durable::read(&path, Privacy::Owned, SESSION_LIMIT)?;
        bytes.map(|bytes| file::read_head(&bytes, &path).map(|head| head.name)).transpose()
    }

    /// Opens a session, if there is one of this name.
    ///
    /// # Errors
    /// Where the file or the key is damaged, missing, or not the user's own.
    pub fn load(&self, name: &SessionName) -> Result<Option<Session>, StorageError> {
        let path = self.path(name, "session");
        let Some(bytes) = durable::read(&path, Privacy::Owned, SESSION_LIMIT)? else {
            return Ok(None);
        };
        let key = self.installation.sealing_key()?;
        file::read(&bytes, &path, name, key).map(Some)
    }

    /// Checks that the sealing key is there.
    ///
    /// # Errors
    /// Where it is missing, damaged, or open to others.
    pub fn ensure_key(&self) -> Result<(), StorageError> {
        self.installation.sealing_key().map(|_| ())
    }

    /// Writes a session, for good or not at all. `_lock` is its [`SessionStore::lock_path`].
    ///
    /// # Errors
    /// Where it cannot be written; the earlier file is untouched then. Where the installation was
    /// forgotten meanwhile: nothing is left then.
    pub fn save(&self, lock: &Lock, session: &Session) -> Result<(), StorageError> {
        let bytes = file::write(session, self.installation.sealing_key()?)?;
        // In directories that are not its own, another installation may be by now, with a session of this
        // name.
        if !self.installation.is_there()? {
            return Err(StorageError::Forgotten);
        }
        let written = durable::replace(&self.path(&session.name, "session"), &bytes);
        if self.installation.is_there()? {
            return written;
        }
        // The directory may be gone too.
        if written.is_ok() {
            let _ = self.forget(lock, &session.name);
        }
        Err(StorageError::Forgotten)
    }

    /// Forgets a session with all that was written about it. Its lock files stay, because two
    /// processes could hold a lock that was deleted.
    ///
    /// # Errors
    /// Where something cannot be removed.
    pub fn forget(&self, _lock: &Lock, name: &SessionName) -> Result<(), StorageError> {
        for ending in SECRET_FILES {
            durable::remove(&self.path(name, ending))?;
        }
        durable::sync_parent(&self.path(name, "session"))
    }

    /// Removes what belongs to no session that has a name: damaged files, those that a killed process
    /// left, API keys, and the results of logins. A session that a login stores meanwhile stays.
    ///
    /// # Errors
    /// Where something cannot be removed.
    pub fn sweep(&self) -> Result<(), StorageError> {
        let names: Vec<_> = self.names()?.iter().map(SessionName::file_stem).collect();
        durable::remove_all(&self.installation.sessions_directory(), |file| {
            let whole = file.strip_suffix(durable::UNFINISHED).unwrap_or(file);
            let ends_in = |ending| whole.strip_suffix(ending)?.strip_suffix('.');
            let of_session = SECRET_FILES.into_iter().find_map(ends_in);
            of_session.is_some_and(|stem| !names.iter().any(|name| name == stem))
                || ends_in(API_KEYS_ENDING).is_some()
                || ends_in(LOGIN_OUTCOME).is_some()
        })
    }

    /// The journal of a session to read, if there is one.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn journal(&self, name: &SessionName) -> Result<Option<Journal<'a>>, StorageError> {
        Journal::open(&self.path(name, "journal"), self.installation.sealing_key()?)
    }

    /// The journal of a session to write, with its room reserved.
    ///
    /// # Errors
    /// Where the room cannot be had.
    pub fn reserve_journal(
        &self,
        lock: &Lock,
        name: &SessionName,
    ) -> Result<Journal<'a>, StorageError> {
        Journal::reserve(lock, &self.path(name, "journal"), self.installation.sealing_key()?)
    }

    /// The lock that serializes refresh and writes of a session.
    #[must_use]
    pub fn lock_path(&self, name: &SessionName) -> PathBuf {
        self.path(name, "lock")
    }

    /// The lock that a login holds for the minutes that it takes.
    #[must_use]
    pub fn login_lock_path(&self, name: &SessionName) -> PathBuf {
        self.path(name, "login")
    }

    /// How the last login to a session of this name ended, as far as it is known.
    ///
    /// # Errors
    /// Where the file cannot be read; one that cannot be understood counts as none.
    pub fn login_outcome(&self, name: &SessionName) -> Result<Option<LoginOutcome>, StorageError> {
        let path = self.path(name, LOGIN_OUTCOME);
        let bytes = durable::read(&path, Privacy::Owned, LOGIN_OUTCOME_LIMIT)?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Tells those who waited for a login how it ended. `_lock` is
    /// [`SessionStore::login_lock_path`].
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn tell_login_outcome(
        &self,
        _lock: &Lock,
        name: &SessionName,
        outcome: &LoginOutcome,
    ) -> Result<(), StorageError> {
        let json = serde_json::to_vec(outcome).expect("an outcome is plain data");
        durable::replace(&self.path(name, LOGIN_OUTCOME), &json)
    }

    fn path(&self, name: &SessionName, ending: &str) -> PathBuf {
        self.installation.sessions_directory().join(format!("{}.{ending}", name.file_stem()))
    }
}

fn keep_if<T>(
    items: Vec<T>,
    mut wanted: impl FnMut(&T) -> Result<bool, StorageError>,
) -> Result<Vec<T>, StorageError> {
    let mut kept = Vec::new();
    for item in items {
        if wanted(&item)? {
            kept.push(item);
        }
    }
    Ok(kept)
}
