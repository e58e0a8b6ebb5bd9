//! Files of the user: opened without ever blocking, private from their first moment, and durable.

use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

use crate::platform::Privacy;

/// Options for a file that is private from its first moment. Opening never blocks, so that a pipe
/// put in the place of a file cannot hold us.
#[must_use]
pub fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    options.mode(0o600).custom_flags(flags);
    options
}

/// The same for a file that has to be the one at its path: a symbolic link there is an error.
#[must_use]
pub fn private_file_itself() -> OpenOptions {
    let mut options = private_file();
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    options.custom_flags(i32::try_from(flags.bits()).unwrap_or(0));
    options
}

/// Opens a file.
///
/// # Errors
/// As [`OpenOptions::open`].
pub fn open_file(options: &OpenOptions, path: &Path) -> io::Result<File> {
    options.open(path)
}

/// Gives the file `new` the name `path`, in place of what has it.
///
/// # Errors
/// As [`std::fs::rename`].
pub fn replace_file(new: &Path, path: &Path) -> io::Result<()> {
    std::fs::rename(new, path)
}

/// Removes a file.
///
/// # Errors
/// As [`std::fs::remove_file`].
pub fn remove_file(path: &Path) -> io::Result<()> {
    std::fs::remove_file(path)
}

/// Whether the system has another use for files of this name, in every directory. No Unix has.
#[must_use]
pub fn is_reserved_name(_name: &str) -> bool {
    false
}

/// Whether a file has other names, one of which may be somebody's trap.
#[must_use]
pub fn has_other_names(metadata: &Metadata) -> bool {
    metadata.nlink() > 1
}

/// The home directory of this user where no variable names it: what the user database says.
#[must_use]
pub fn home_on_record() -> Option<PathBuf> {
    // The variable, which goes first there, is known to be missing or empty.
    std::env::home_dir()
}

/// Creates a directory and its missing parents, for the user alone.
///
/// # Errors
/// As [`std::fs::create_dir_all`].
pub fn create_private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Why a file or directory is not the user's own; nothing where it is.
#[must_use]
pub fn not_private(metadata: &Metadata, privacy: Privacy) -> Option<String> {
    let owner = metadata.uid();
    let user = rustix::process::geteuid().as_raw();
    let mode = metadata.mode() & 0o777;
    if owner != user {
        return Some(format!("belongs to user {owner}, not to user {user}"));
    }
    match privacy {
        Privacy::Owned if mode & 0o022 != 0 => {
            Some(format!("can be written by others (mode {mode:03o}; chmod go-w mends it)"))
        }
        Privacy::Secret if mode & 0o077 != 0 => {
            Some(format!("is open to others (mode {mode:03o}; chmod 600 mends it)"))
        }
        _ => None,
    }
}

/// Whether a file or directory belongs to this user.
#[must_use]
pub fn is_own(metadata: &Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw()
}

/// Gives the user all rights to a file or directory of theirs, and takes from others that of writing.
///
/// # Errors
/// If it is not the user's own.
pub fn make_private(path: &Path, metadata: &Metadata) -> io::Result<()> {
    let own = if metadata.is_dir() { 0o700 } else { 0o600 };
    let mode = metadata.mode() & 0o7777;
    if mode & own == own && mode & 0o022 == 0 {
        return Ok(());
    }
    std::fs::set_permissions(path, PermissionsExt::from_mode(own))
}

/// The user whom files of this process would lock out of `directory`, if it is another's. Only root
/// can do that: everybody else was let in by the owner.
#[must_use]
pub fn locked_out_of(directory: &Metadata) -> Option<u32> {
    let owner = directory.uid();
    (rustix::process::geteuid().is_root() && owner != 0).then_some(owner)
}

/// Whether the open `file` is the one that `path` names now.
///
/// # Errors
/// If one of them cannot be looked at.
pub fn is_same_file(file: &File, path: &Path) -> io::Result<bool> {
    let (open, named) = (file.metadata()?, std::fs::metadata(path)?);
    Ok((open.dev(), open.ino()) == (named.dev(), named.ino()))
}

/// The names in a directory. The C library would map memory for that and give it back.
///
/// # Errors
/// If it is not there, is no directory, or cannot be read.
pub fn names_in(directory: &Path) -> io::Result<Vec<OsString>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let listing = retry_on_intr(|| rustix::fs::open(directory, flags, Mode::empty()))?;
    let mut names = Vec::new();
    for entry in Dir::new(listing)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// Makes a file durable, content and size.
///
/// # Errors
/// If it cannot be synced.
pub fn sync_file(file: &File) -> io::Result<()> {
    or_else_by_the_system(file, file.sync_all())
}

/// Makes the content of a file durable whose size stays the same.
///
/// # Errors
/// If it cannot be synced.
pub fn sync_content(file: &File) -> io::Result<()> {
    or_else_by_the_system(file, file.sync_data())
}

/// Makes a rename or a new name in `directory` durable.
///
/// # Errors
/// If it cannot be opened or synced.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    sync_file(&File::open(directory)?)
}

/// On macOS the library lets the drive itself write what it holds back (`F_FULLFSYNC`), for which
/// network file systems have no answer: there fsync(2) is all that there is. A drive that failed
/// is not asked twice, as it may forget what it could not write.
fn or_else_by_the_system(file: &File, synced: io::Result<()>) -> io::Result<()> {
    let Err(error) = synced else { return Ok(()) };
    let has_none =
        matches!(Errno::from_io_error(&error), Some(Errno::NOTSUP | Errno::INVAL | Errno::NOTTY));
    if cfg!(target_os = "macos") && has_none { Ok(rustix::fs::fsync(file)?) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_ones_own_is_private_until_others_may_write_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        private_file().write(true).create(true).open(&path).unwrap();
        let verdict = |mode: u32, privacy| {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            not_private(&std::fs::metadata(&path).unwrap(), privacy)
        };
        assert_eq!(verdict(0o600, Privacy::Secret), None);
        assert_eq!(verdict(0o644, Privacy::Owned), None);
        assert!(verdict(0o640, Privacy::Secret).unwrap().contains("chmod 600"));
        assert!(verdict(0o620, Privacy::Owned).unwrap().contains("chmod go-w"));
    }
}
