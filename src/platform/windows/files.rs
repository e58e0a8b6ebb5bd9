//! Files of the user, which other programs (search, backup, virus scanners) open for a moment
//! without leave for others: what they refuse meanwhile is tried again.

use std::ffi::OsString;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::mem::MaybeUninit;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::AsRawHandle;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION, ERROR_USER_MAPPED_FILE,
};
use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_REPARSE_POINT,
    GetFileInformationByHandle,
};

use crate::platform::Privacy;

/// Longer than a scanner looks at a small file. A refusal for good is told that much later.
const PATIENCE: Duration = Duration::from_secs(2);
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// Options for a file of the user. The profile's directories, in which all of them lie, are open
/// to their user alone, and files inherit that.
#[must_use]
pub fn private_file() -> OpenOptions {
    OpenOptions::new()
}

/// The same for a file that has to be the one at its path: a symbolic link is opened as itself,
/// which is no plain file.
#[must_use]
pub fn private_file_itself() -> OpenOptions {
    let mut options = private_file();
    options.custom_flags(FILE_FLAG_OPEN_REPARSE_POINT);
    options
}

/// Opens a file, if need be a moment later.
///
/// # Errors
/// As [`OpenOptions::open`].
pub fn open_file(options: &OpenOptions, path: &Path) -> io::Result<File> {
    patiently(|| options.open(path).map_err(told_of_directory(path)))
}

/// Gives the file `new` the name `path`, in place of what has it, if need be a moment later.
///
/// # Errors
/// As [`std::fs::rename`].
pub fn replace_file(new: &Path, path: &Path) -> io::Result<()> {
    patiently(|| std::fs::rename(new, path).map_err(told_of_directory(path)))
}

/// Removes a file, if need be a moment later.
///
/// # Errors
/// As [`std::fs::remove_file`].
pub fn remove_file(path: &Path) -> io::Result<()> {
    patiently(|| std::fs::remove_file(path).map_err(told_of_directory(path)))
}

/// A directory in the place of a file is denied like everything else, and stays.
fn told_of_directory(path: &Path) -> impl FnOnce(io::Error) -> io::Error {
    move |error| {
        if error.kind() == io::ErrorKind::PermissionDenied && path.is_dir() {
            let what = "it is a directory, and not a plain file";
            io::Error::new(io::ErrorKind::IsADirectory, what)
        } else {
            error
        }
    }
}

/// Tries again for a while what somebody who has the file open may be in the way of; a file that is
/// being removed or replaced is denied as well.
fn patiently<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    const IN_THE_WAY: [u32; 3] =
        [ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION, ERROR_USER_MAPPED_FILE];
    let in_the_way = |error: &io::Error| {
        let code = error.raw_os_error().and_then(|code| u32::try_from(code).ok());
        code.is_some_and(|code| IN_THE_WAY.contains(&code))
    };
    let started = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        match attempt() {
            Err(error) if in_the_way(&error) && started.elapsed() < PATIENCE => {
                std::thread::sleep(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            result => return result,
        }
    }
}

/// Whether the system has another use for files of this name, in every directory: devices, whatever
/// follows their name behind a dot.
#[must_use]
pub fn is_reserved_name(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let numbered = ["com", "lpt"].iter().find_map(|device| stem.strip_prefix(device));
    matches!(stem.as_str(), "con" | "prn" | "aux" | "nul")
        || numbered.is_some_and(|number| matches!(number.as_bytes(), [b'0'..=b'9']))
}

/// Only who may write a file can give it another name on Windows.
#[must_use]
pub fn has_other_names(_metadata: &Metadata) -> bool {
    false
}

/// The home directory of this user where no variable names it: the profile of who runs this.
#[must_use]
pub fn home_on_record() -> Option<PathBuf> {
    // The variable, which goes first there, is known to be missing or empty.
    std::env::home_dir()
}

/// Creates a directory and its missing parents.
///
/// # Errors
/// As [`std::fs::create_dir_all`].
pub fn create_private_directory(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
}

/// Access control lists are inherited from the profile, and not looked at again.
#[must_use]
pub fn not_private(_metadata: &Metadata, _privacy: Privacy) -> Option<String> {
    None
}

/// Access control lists are inherited from the profile, and not looked at again.
#[must_use]
pub fn is_own(_metadata: &Metadata) -> bool {
    true
}

/// Lets a file or directory be written to; whose it is, its access control list says.
///
/// # Errors
/// If that cannot be changed.
pub fn make_private(path: &Path, metadata: &Metadata) -> io::Result<()> {
    let mut permissions = metadata.permissions();
    if !metadata.is_file() || !permissions.readonly() {
        return Ok(());
    }
    // The attribute is all that the library sets here; access control lists stay.
    #[allow(clippy::permissions_set_readonly_false)]
    permissions.set_readonly(false);
    std::fs::set_permissions(path, permissions)
}

/// What an administrator creates inherits the access of its directory, whose owner can use it.
#[must_use]
pub fn locked_out_of(_directory: &Metadata) -> Option<u32> {
    None
}

/// The names in a directory.
///
/// # Errors
/// If it is not there, is no directory, or cannot be read.
pub fn names_in(directory: &Path) -> io::Result<Vec<OsString>> {
    std::fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name())).collect()
}

/// Makes a file durable, content and size.
///
/// # Errors
/// If it cannot be synced.
pub fn sync_file(file: &File) -> io::Result<()> {
    file.sync_all()
}

/// Makes the content of a file durable whose size stays the same.
///
/// # Errors
/// If it cannot be synced.
pub fn sync_content(file: &File) -> io::Result<()> {
    file.sync_data()
}

/// Makes a rename or a new name in `directory` durable, where the file system takes a flush of a
/// directory, as NTFS does; elsewhere its own journal has to do.
///
/// # Errors
/// Never.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let opened = options.write(true).custom_flags(FILE_FLAG_BACKUP_SEMANTICS).open(directory);
    if let Ok(directory) = opened {
        let _ = directory.sync_all();
    }
    Ok(())
}

/// Whether the open `file` is the one that `path` names now.
///
/// # Errors
/// If one of them cannot be looked at.
pub fn is_same_file(file: &File, path: &Path) -> io::Result<bool> {
    let mut options = OpenOptions::new();
    let named = open_file(options.access_mode(0).custom_flags(FILE_FLAG_BACKUP_SEMANTICS), path)?;
    Ok(identity(file)? == identity(&named)?)
}

/// The volume of a file, and its number there.
fn identity(file: &File) -> io::Result<(u32, u32, u32)> {
    let mut information = MaybeUninit::<BY_HANDLE_FILE_INFORMATION>::uninit();
    // SAFETY: the handle is open for as long as `file` is, and the system fills the whole structure
    // where it says that it did.
    let information = unsafe {
        if GetFileInformationByHandle(file.as_raw_handle(), information.as_mut_ptr()) == 0 {
            return Err(io::Error::last_os_error());
        }
        information.assume_init()
    };
    Ok((information.dwVolumeSerialNumber, information.nFileIndexHigh, information.nFileIndexLow))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a virus scanner opens it: nobody else may touch it.
    fn scanned(path: &Path) -> File {
        OpenOptions::new().read(true).share_mode(0).open(path).unwrap()
    }

    #[test]
    fn what_somebody_is_in_the_way_of_is_tried_until_they_are_gone() {
        let directory = tempfile::tempdir().unwrap();
        let (path, new) = (directory.path().join("file"), directory.path().join("new"));
        std::fs::write(&path, "old").unwrap();
        std::fs::write(&new, "new").unwrap();
        let attempts: [&dyn Fn() -> io::Result<()>; 3] = [
            &|| OpenOptions::new().read(true).open(&path).map(drop),
            &|| std::fs::rename(&new, &path),
            &|| std::fs::remove_file(&path),
        ];
        for attempt in attempts {
            let mut scanner = Some(scanned(&path));
            let mut count = 0;
            let tried = patiently(|| {
                count += 1;
                let done = attempt();
                scanner = None;
                done
            });
            tried.unwrap();
            assert_eq!(count, 2, "the first was refused");
        }
        assert!(!path.exists() && !new.exists());
    }

    #[test]
    fn what_is_refused_for_good_is_told_and_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        assert_eq!(remove_file(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::write(&path, "kept").unwrap();
        let scanner = scanned(&path);
        let refused = [
            open_file(OpenOptions::new().read(true), &path).map(drop),
            replace_file(&path, &directory.path().join("other")),
            remove_file(&path),
        ];
        assert!(refused.iter().all(Result::is_err), "{refused:?}");
        drop(scanner);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "kept");
    }

    #[test]
    fn a_device_is_reserved_with_every_ending_and_nothing_else_is() {
        for name in ["con", "NUL", "aux.corp", "com1.corp.json", "lpt9"] {
            assert!(is_reserved_name(name), "{name}");
        }
        for name in ["con@acme", "console.corp", "com", "com10", "corp.con"] {
            assert!(!is_reserved_name(name), "{name}");
        }
    }

    #[test]
    fn a_file_is_told_from_another_of_the_same_content() {
        let directory = tempfile::tempdir().unwrap();
        let (one, other) = (directory.path().join("one"), directory.path().join("other"));
        std::fs::write(&one, "").unwrap();
        std::fs::write(&other, "").unwrap();
        let file = File::open(&one).unwrap();
        assert!(is_same_file(&file, &one).unwrap());
        assert!(!is_same_file(&file, &other).unwrap());
    }
}
