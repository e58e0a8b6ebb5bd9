//! The file lock that serializes refresh and writes of one session.
//!
//! A kernel lock on a sidecar file: it goes with its holder however that dies, and no stale lock is
//! ever broken. The file goes only with the directory of an installation that has ended. A process that
//! gets the lock looks whether the file still has its name, because another process may hold a lock on
//! a new file of that name. Who holds it stands in an advisory file beside it, for messages alone.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs2::FileExt;
use serde::{Deserialize, Serialize};

use crate::clock::{Clock, Deadline, Timestamp};
use crate::exit::ExitKind;
use crate::platform;

/// The first pause between two looks at a taken lock; doubled up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// Short against a refresh (a round trip), long enough that 1,000 waiters leave the machine free.
const LONGEST_PAUSE: Duration = Duration::from_millis(25);
/// A wait that is longer than this is told to the person who waits.
const WORTH_TELLING: Duration = Duration::from_secs(2);

/// A lock that this process holds until the value is dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

/// Who holds a lock, and since when; advisory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub pid: u32,
    pub since: Timestamp,
    /// What it holds the lock for: `refresh`, `store`, `login` and so on.
    pub purpose: String,
}

/// A lock that could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("waited {} s for the lock {}{}; try again", .waited.as_secs(), .path.display(), held_by(.holder.as_ref()))]
    Deadline { path: PathBuf, waited: Duration, holder: Option<Holder> },
    #[error(
        "the file system of {} cannot lock files ({source}), so no session can be renewed safely there: set DD_OAUTH_STATE_DIR to a directory on a local disk",
        .directory.display()
    )]
    Unsupported { directory: PathBuf, source: io::Error },
    /// The installation has ended. The next look finds none, or another one.
    #[error("everything was logged out of meanwhile, with the lock {}; try again", .path.display())]
    Gone { path: PathBuf },
    #[error("could not open the lock {}: {source}", .path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("the lock {} was not handed on", .path.display())]
    NotHandedOn { path: PathBuf },
}

impl LockError {
    /// See [`crate::error::Error::kind`].
    #[must_use]
    pub fn kind(&self) -> ExitKind {
        match self {
            Self::Deadline { .. } | Self::Gone { .. } => ExitKind::Temporary,
            Self::Unsupported { .. } | Self::Open { .. } => ExitKind::Storage,
            Self::NotHandedOn { .. } => ExitKind::Other,
        }
    }
}

fn held_by(holder: Option<&Holder>) -> String {
    holder.map_or_else(String::new, |holder| format!(", held by {holder}"))
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} ({}) since {}", self.pid, self.purpose, self.since)
    }
}

impl Lock {
    /// Who holds the lock at `path`, or held it last, as far as they said so.
    #[must_use]
    pub fn holder(path: &Path) -> Option<Holder> {
        read_holder(path)
    }

    /// Takes the lock if it is free.
    ///
    /// # Errors
    /// Where it cannot be opened, or the file system has no locks.
    pub fn try_hold(path: &Path, purpose: &str, clock: Clock) -> Result<Option<Self>, LockError> {
        let file = open(path)?;
        if !taken_now(path, FileExt::try_lock_exclusive(&file))? {
            return Ok(None);
        }
        if !platform::is_same_file(&file, path).unwrap_or(false) {
            return Err(LockError::Gone { path: path.to_path_buf() });
        }
        let lock = Self { file, path: path.to_path_buf() };
        lock.tell_holder(purpose, clock);
        Ok(Some(lock))
    }

    /// Takes the lock, waiting for it until `deadline`; `notice` hears of a long wait, once.
    ///
    /// # Errors
    /// As [`Lock::try_hold`], and [`LockError::Deadline`].
    pub fn hold(
        path: &Path,
        purpose: &str,
        clock: Clock,
        deadline: Deadline,
        notice: &mut dyn FnMut(Option<&Holder>),
    ) -> Result<Self, LockError> {
        let mut wait = Wait::new(path, deadline, notice);
        loop {
            if let Some(lock) = Self::try_hold(path, purpose, clock)? {
                return Ok(lock);
            }
            wait.pause()?;
        }
    }

    /// Waits until nobody holds the lock exclusively, without queueing for it: a thousand waiters
    /// then go on together. The lock is not held afterwards.
    ///
    /// # Errors
    /// As [`Lock::hold`].
    pub fn wait_until_free(
        path: &Path,
        deadline: Deadline,
        notice: &mut dyn FnMut(Option<&Holder>),
    ) -> Result<(), LockError> {
        let file = open(path)?;
        let mut wait = Wait::new(path, deadline, notice);
        while !taken_now(path, FileExt::try_lock_shared(&file))? {
            wait.pause()?;
        }
        Ok(())
    }

    /// The open file that carries the lock, to be inherited by another process. Whoever has it
    /// must let it go by closing it: an explicit unlock would free every copy.
    #[must_use]
    pub fn into_file(self) -> File {
        self.file
    }

    /// Takes the file of [`Lock::into_file`] back, where it could not be handed on.
    #[must_use]
    pub fn taken_back(file: File, path: &Path) -> Self {
        Self { file, path: path.to_path_buf() }
    }

    /// Takes over a lock that was inherited as `file`, and proves that it is held: the file is
    /// the one at `path`, and this descriptor may have the exclusive lock.
    ///
    /// # Errors
    /// [`LockError::NotHandedOn`] where somebody else holds it, or it is another file.
    pub fn adopt(file: File, path: &Path, purpose: &str, clock: Clock) -> Result<Self, LockError> {
        let same = platform::is_same_file(&file, path).unwrap_or(false);
        if !same || !taken_now(path, FileExt::try_lock_exclusive(&file))? {
            return Err(LockError::NotHandedOn { path: path.to_path_buf() });
        }
        let lock = Self { file, path: path.to_path_buf() };
        lock.tell_holder(purpose, clock);
        Ok(lock)
    }

    /// Checks that the file system of `directory` gives a lock, and gives it once; on a file of
    /// our own, which is gone afterwards.
    ///
    /// # Errors
    /// As [`Lock::try_hold`].
    pub fn probe(directory: &Path) -> Result<(), LockError> {
        let made = tempfile::Builder::new().prefix(".doctor-").tempfile_in(directory);
        let made =
            made.map_err(|source| LockError::Open { path: directory.to_path_buf(), source })?;
        let (path, again) = (made.path(), open(made.path())?);
        let first = taken_now(path, FileExt::try_lock_exclusive(made.as_file()))?;
        if first && !taken_now(path, FileExt::try_lock_exclusive(&again))? {
            return Ok(());
        }
        let source = io::Error::other("a lock that is held is not kept from others");
        Err(LockError::Unsupported { directory: directory.to_path_buf(), source })
    }

    fn tell_holder(&self, purpose: &str, clock: Clock) {
        let holder =
            Holder { pid: std::process::id(), since: clock.now(), purpose: purpose.to_string() };
        // Advisory: on a full or read-only disk the lock is just as good without it.
        let _ = self.write_holder(&holder);
    }

    fn write_holder(&self, holder: &Holder) -> io::Result<()> {
        let json = serde_json::to_vec(holder)?;
        let mut options = platform::private_file();
        options.write(true).create(true).truncate(true);
        let mut file = options.open(beside(&self.path))?;
        platform::allow_file_size(json.len() as u64)?;
        io::Write::write_all(&mut file, &json)
    }
}

fn beside(lock: &Path) -> PathBuf {
    let mut name = lock.as_os_str().to_owned();
    name.push("-holder");
    name.into()
}

fn read_holder(lock: &Path) -> Option<Holder> {
    serde_json::from_slice(&std::fs::read(beside(lock)).ok()?).ok()
}

fn open(path: &Path) -> Result<File, LockError> {
    // For writing too: some network file systems give exclusive locks only to writers.
    let mut options = platform::private_file();
    options.read(true).write(true).create(true).truncate(false);
    platform::open_file(&options, path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => LockError::Gone { path: path.to_path_buf() },
        _ => LockError::Open { path: path.to_path_buf(), source },
    })
}

/// Whether the attempt took the lock; a lock that is held elsewhere is no error.
fn taken_now(path: &Path, attempt: io::Result<()>) -> Result<bool, LockError> {
    match attempt {
        Ok(()) => Ok(true),
        Err(error)
            if error.raw_os_error() == fs2::lock_contended_error().raw_os_error()
                || error.kind() == io::ErrorKind::Interrupted =>
        {
            Ok(false)
        }
        Err(source) => Err(LockError::Unsupported {
            directory: path.parent().unwrap_or(path).to_path_buf(),
            source,
        }),
    }
}

/// The pauses of one wait.
struct Wait<'a> {
    path: &'a Path,
    deadline: Deadline,
    pause: Duration,
    told: bool,
    notice: &'a mut dyn FnMut(Option<&Holder>),
}

impl<'a> Wait<'a> {
    fn new(path: &'a Path, deadline: Deadline, notice: &'a mut dyn FnMut(Option<&Holder>)) -> Self {
        Self { path, deadline, pause: FIRST_PAUSE, told: false, notice }
    }

    fn pause(&mut self) -> Result<(), LockError> {
        if self.deadline.passed() {
            return Err(LockError::Deadline {
                path: self.path.to_path_buf(),
                waited: self.deadline.limit(),
                holder: read_holder(self.path),
            });
        }
        if !self.told && self.deadline.waited() >= WORTH_TELLING {
            self.told = true;
            (self.notice)(read_holder(self.path).as_ref());
        }
        std::thread::sleep(self.pause.min(self.deadline.remaining()));
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.lock");
        (directory, path)
    }

    #[test]
    fn a_held_lock_is_not_given_twice_and_names_its_holder() {
        let (_directory, path) = path();
        let clock = Clock::system();
        let held = Lock::try_hold(&path, "store", clock).unwrap().unwrap();
        assert!(Lock::try_hold(&path, "refresh", clock).unwrap().is_none());
        let holder = read_holder(&path).unwrap();
        assert_eq!((holder.pid, holder.purpose.as_str()), (std::process::id(), "store"));
        drop(held);
        assert!(Lock::try_hold(&path, "refresh", clock).unwrap().is_some());
    }

    #[test]
    fn a_wait_ends_at_its_deadline_and_says_who_holds_the_lock() {
        let (_directory, path) = path();
        let _held = Lock::try_hold(&path, "login", Clock::system()).unwrap().unwrap();
        let deadline = Deadline::after(Duration::from_millis(5));
        let error = Lock::wait_until_free(&path, deadline, &mut |_| ()).unwrap_err();
        assert!(matches!(error, LockError::Deadline { .. }));
        assert!(error.to_string().contains("(login)"), "{error}");
    }

    #[test]
    fn waiters_do_not_exclude_each_other() {
        let (_directory, path) = path();
        let deadline = Deadline::after(Duration::from_mins(1));
        Lock::wait_until_free(&path, deadline, &mut |_| ()).unwrap();
        Lock::wait_until_free(&path, deadline, &mut |_| ()).unwrap();
        assert!(Lock::try_hold(&path, "refresh", Clock::system()).unwrap().is_some());
    }

    #[test]
    fn a_lock_whose_directory_goes_is_not_given_and_not_made_again() {
        let (directory, path) = path();
        let gone = directory.path().join("gone");
        std::fs::create_dir(&gone).unwrap();
        let path = gone.join(path.file_name().unwrap());
        let held = Lock::try_hold(&path, "logout", Clock::system()).unwrap();
        assert!(held.is_some());
        drop(held);
        std::fs::remove_dir_all(&gone).unwrap();
        let error = Lock::try_hold(&path, "store", Clock::system()).unwrap_err();
        assert!(matches!(error, LockError::Gone { .. }), "{error}");
        assert!(!gone.exists());
    }

    // Elsewhere a lock belongs to the process that took it.
    #[cfg(unix)]
    #[test]
    fn only_the_descriptor_that_holds_the_lock_can_be_adopted() {
        let (_directory, path) = path();
        let clock = Clock::system();
        let held = Lock::try_hold(&path, "get", clock).unwrap().unwrap();
        let stranger = open(&path).unwrap();
        let refused = Lock::adopt(stranger, &path, "refresh", clock).unwrap_err();
        assert!(matches!(refused, LockError::NotHandedOn { .. }));
        let other = path.with_file_name("other.lock");
        let wrong = Lock::adopt(open(&other).unwrap(), &path, "refresh", clock).unwrap_err();
        assert!(matches!(wrong, LockError::NotHandedOn { .. }));
        assert!(Lock::adopt(held.into_file(), &path, "refresh", clock).is_ok());
    }
}
