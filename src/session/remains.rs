//! What there is of installations, whatever is wrong with it: made usable, and forgotten. Nothing
//! here needs the sealing key, or the file that names the installation.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::Metadata;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::api_keys::API_KEYS_ENDING;
use super::durable::{self, UNFINISHED};
use super::error::{StorageError, io_error};
use super::installation::{
    Directories, Installation, InstallationPaths, forget_keys, identity_path, remove_ended,
};
use super::key_place::KeyPlace;
use crate::lock::Lock;
use crate::platform::{self, Privacy};

/// The endings of the files of one session or pair of API keys, the longest first. The last two are those
/// of files that an earlier version left unfinished.
const ENDINGS: [&str; 6] =
    ["login.outcome", "session", "journal", API_KEYS_ENDING, "login.new", "new"];
/// The endings of locks, which stay in directories that several installations use: two processes could
/// hold one that was deleted.
const LOCK_ENDINGS: [&str; 5] = ["lock", "lock-holder", "login", "login-holder", "holder"];

/// Nobody resets an installation more often and keeps what was in the way each time.
const MOST_ASIDE: u32 = 1000;

/// The files of installations as they are.
pub struct Remains<'a> {
    paths: &'a InstallationPaths,
}

/// The files of one session or pair of API keys.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remnant {
    directory: PathBuf,
    /// What all their names begin with.
    pub stem: String,
}

impl Remnant {
    /// The lock of the session or pair.
    #[must_use]
    pub fn lock_path(&self) -> PathBuf {
        self.file("lock")
    }

    /// Whether one of the files is a session.
    #[must_use]
    pub fn has_session(&self) -> bool {
        self.file("session").symlink_metadata().is_ok()
    }

    /// Whether it is where this installation keeps its sessions.
    #[must_use]
    pub fn is_where(&self, installation: &Installation) -> bool {
        self.directory == installation.sessions_directory()
    }

    fn file(&self, ending: &str) -> PathBuf {
        self.directory.join(format!("{}.{ending}", self.stem))
    }
}

impl<'a> Remains<'a> {
    /// Of the installations that are, or were, or could be at `paths`.
    #[must_use]
    pub fn of(paths: &'a InstallationPaths) -> Self {
        Self { paths }
    }

    /// Makes directories and locks what a new installation needs: private, and not something else.
    /// What is in the way is moved aside; where to.
    ///
    /// # Errors
    /// If something belongs to another user, or cannot be changed.
    pub fn make_usable(&self) -> Result<Vec<PathBuf>, StorageError> {
        let InstallationPaths { state_directory, state, data, .. } = self.paths;
        let mut aside = Vec::new();
        aside.extend(make_usable(state_directory, Metadata::is_dir)?);
        let inner: Vec<_> = Directories::in_state(state_directory)?.into_iter().flatten().collect();
        for directory in &inner {
            aside.extend(make_usable(directory, Metadata::is_dir)?);
        }
        if let Ok(directory) = data.path() {
            match make_usable(&directory, Metadata::is_dir) {
                // A key may be elsewhere, where no directory of another user is needed.
                Err(StorageError::NotPrivate { .. }) => {}
                made => aside.extend(made?),
            }
        }
        for directory in [state_directory].into_iter().chain(&inner) {
            for name in names_in(directory)? {
                let path = directory.join(&name);
                if has_ending(&path, &LOCK_ENDINGS) {
                    aside.extend(make_usable(&path, Metadata::is_file)?);
                }
            }
        }
        durable::ensure_place(state)?;
        Ok(aside)
    }

    /// Whether there is something to forget, as far as that can be seen.
    #[must_use]
    pub fn are_there(&self) -> bool {
        let installation = identity_path(&self.paths.state_directory);
        installation.symlink_metadata().is_ok() || !self.all().unwrap_or_default().is_empty()
    }

    /// The lock of everything that changes where the sealing key is stored.
    #[must_use]
    pub fn lock_path(&self) -> PathBuf {
        self.paths.state_directory.join("installation.lock")
    }

    /// All sessions and pairs of API keys, of installations that have ended too.
    ///
    /// # Errors
    /// If a directory cannot be read.
    pub fn all(&self) -> Result<BTreeSet<Remnant>, StorageError> {
        let mut all = BTreeSet::new();
        for Directories { sessions, .. } in Directories::in_state(&self.paths.state_directory)? {
            let names = names_in(&sessions)?;
            let stems = names.iter().filter_map(|name| stem_of(name.to_str()?));
            all.extend(stems.map(|stem| Remnant { directory: sessions.clone(), stem }));
        }
        Ok(all)
    }

    /// Forgets all files of one session or pair. `_lock` is [`Remnant::lock_path`]. What is no file is
    /// moved aside; where to.
    ///
    /// # Errors
    /// If something cannot be removed.
    pub fn forget(&self, _lock: &Lock, remnant: &Remnant) -> Result<Vec<PathBuf>, StorageError> {
        let whole = ENDINGS.iter().map(|ending| remnant.file(ending));
        clear_all(&remnant.directory, whole.flat_map(|path| [durable::unfinished(&path), path]))
    }

    /// Forgets the installation and its registrations. `_lock` is [`Remains::lock_path`]. What is no
    /// file is moved aside; where to.
    ///
    /// # Errors
    /// If something cannot be removed.
    pub fn forget_installation(&self, _lock: &Lock) -> Result<Vec<PathBuf>, StorageError> {
        let directory = &self.paths.state_directory;
        let mut aside = Vec::new();
        for name in ["installation", "selected"] {
            let path = directory.join(name);
            let files = [durable::unfinished(&path), path.with_extension("new"), path];
            aside.extend(clear_all(directory, files)?);
        }
        for Directories { registrations, .. } in Directories::in_state(directory)? {
            let names = names_in(&registrations)?.into_iter().map(|name| registrations.join(name));
            let files = names.filter(|path| !has_ending(path, &LOCK_ENDINGS));
            aside.extend(clear_all(&registrations, files.collect::<Vec<_>>())?);
        }
        Ok(aside)
    }

    /// Removes the directories of installations that have ended. What nobody knows in them stays.
    /// `_lock` is [`Remains::lock_path`].
    ///
    /// # Errors
    /// If a file cannot be removed.
    pub fn clear_ended(&self, _lock: &Lock) -> Result<(), StorageError> {
        remove_ended(&self.paths.state_directory)
    }

    /// Removes the copies of the sealing key, once the installation is forgotten. `known` is its id and
    /// where its key was, if that could be read; otherwise the copies say whose they are. Returns why one
    /// is still there.
    #[must_use]
    pub fn forget_keys(&self, known: Option<(&str, KeyPlace)>) -> Vec<StorageError> {
        forget_keys(self.paths, known)
    }
}

fn stem_of(name: &str) -> Option<String> {
    let name = name.strip_suffix(UNFINISHED).unwrap_or(name);
    let stems = |ending: &&'static str| name.strip_suffix(*ending)?.strip_suffix('.');
    ENDINGS.iter().find_map(stems).map(str::to_string)
}

/// The names in a directory; a missing one has none.
fn names_in(directory: &Path) -> Result<Vec<OsString>, StorageError> {
    match platform::names_in(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        names => names.map_err(io_error("list", directory)),
    }
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| endings.contains(&ending))
}

/// Makes what is at `path`, if something is, the user's own to use, or moves it aside if it is not
/// of the right kind.
fn make_usable(
    path: &Path,
    is_right: fn(&Metadata) -> bool,
) -> Result<Option<PathBuf>, StorageError> {
    match std::fs::metadata(path) {
        Ok(metadata) if is_right(&metadata) => {
            if let Some(why) = platform::not_private(&metadata, Privacy::Owned)
                && !platform::is_own(&metadata)
            {
                return Err(StorageError::NotPrivate { path: path.to_path_buf(), why });
            }
            let made = platform::make_private(path, &metadata);
            made.map(|()| None).map_err(io_error("set the mode of", path))
        }
        // A link that leads nowhere is in the way too.
        Err(error) if error.kind() == ErrorKind::NotFound && !path.is_symlink() => Ok(None),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io_error("look at", path)(error)),
        _ => move_aside(path),
    }
}

fn clear_all(
    directory: &Path,
    paths: impl IntoIterator<Item = PathBuf>,
) -> Result<Vec<PathBuf>, StorageError> {
    let mut aside = Vec::new();
    for path in paths {
        let is_directory = path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
        if is_directory {
            aside.extend(move_aside(&path)?);
        } else {
            durable::remove(&path)?;
        }
    }
    if directory.is_dir() {
        platform::sync_directory(directory).map_err(io_error("sync", directory))?;
    }
    Ok(aside)
}

/// Gives what is in the way another name, as nobody knows what is in it. An empty directory is
/// removed: a container that is given a missing file has one instead.
fn move_aside(path: &Path) -> Result<Option<PathBuf>, StorageError> {
    if std::fs::remove_dir(path).is_ok() {
        return Ok(None);
    }
    let name = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".aside-{number}"));
        PathBuf::from(name)
    };
    let free = (1..=MOST_ASIDE).map(name).find(|path| path.symlink_metadata().is_err());
    let full = || io_error("move away", path)(ErrorKind::AlreadyExists.into());
    let free = free.ok_or_else(full)?;
    platform::replace_file(path, &free).map_err(io_error("move away", path))?;
    Ok(Some(free))
}
