//! Files that are private, whole and durable, or not there at all.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::error::{StorageError, io_error};
use crate::platform::{self, Place, Privacy};

/// Creates a directory of ours if it is missing, and checks that it is the user's own. The home
/// directory that it may be in is not made.
pub fn ensure_place(place: &Place) -> Result<(), StorageError> {
    check_place(place)?;
    let path = place.path()?;
    if path.is_dir() {
        return Ok(());
    }
    match make_directory(&path) {
        Err(StorageError::Io { source, .. }) => {
            let instead = place.instead();
            Err(StorageError::NoPlace { path, source, instead })
        }
        made => made,
    }
}

/// Checks that a directory of ours is the user's own, or may be created.
pub fn check_place(place: &Place) -> Result<(), StorageError> {
    let path = place.path()?;
    if path.is_dir() {
        return check_directory(&path);
    }
    place.ensure_home()?;
    if place.is_shared() { refuse_to_lock_out(&path, place.instead()) } else { Ok(()) }
}

/// Refuses to create `path` as root in a directory of somebody else, as after `sudo`: its owner could
/// not write beside it any more.
fn refuse_to_lock_out(path: &Path, instead: Option<&'static str>) -> Result<(), StorageError> {
    let nearest = path.ancestors().find_map(|above| Some((above, std::fs::metadata(above).ok()?)));
    let Some((directory, metadata)) = nearest else { return Ok(()) };
    let Some(owner) = platform::locked_out_of(&metadata) else { return Ok(()) };
    Err(StorageError::LocksOut { directory: directory.to_path_buf(), owner, instead })
}

/// Creates `path` for the user alone if it is missing, and checks that it is the user's own.
pub fn ensure_directory(path: &Path) -> Result<(), StorageError> {
    if path.is_dir() { check_directory(path) } else { make_directory(path) }
}

/// Creates `path` with all its parents that are missing. Each of them is durable too: a directory that is
/// synced can still lose its name.
fn make_directory(path: &Path) -> Result<(), StorageError> {
    let missing: Vec<_> = path.ancestors().take_while(|directory| !directory.is_dir()).collect();
    platform::create_private_directory(path).map_err(io_error("create the directory", path))?;
    for directory in missing.into_iter().rev() {
        sync_parent(directory)?;
    }
    check_directory(path)
}

/// Refuses a directory in which somebody else could put files. A missing one is fine.
pub fn check_directory(path: &Path) -> Result<(), StorageError> {
    match std::fs::metadata(path) {
        Ok(metadata) => refuse_foreign(path, platform::not_private(&metadata, Privacy::Owned)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io_error("look at", path)(error)),
    }
}

fn refuse_foreign(path: &Path, why: Option<String>) -> Result<(), StorageError> {
    match why {
        None => Ok(()),
        Some(why) => Err(StorageError::NotPrivate { path: path.to_path_buf(), why }),
    }
}

/// Reads a whole file of at most `limit` bytes, or nothing where there is none. What is checked
/// is the file that was opened, so that nobody can exchange it in between.
pub fn read(path: &Path, privacy: Privacy, limit: u64) -> Result<Option<Vec<u8>>, StorageError> {
    let mut file = match platform::open_file(platform::private_file().read(true), path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error("open", path)(error)),
    };
    let length = check_open(&file, path, privacy)?;
    if length > limit {
        return Err(io_error("read", path)(ErrorKind::FileTooLarge.into()));
    }
    // Files are replaced and never changed, so the length that was seen is the length there is.
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    file.read_exact(&mut bytes).map_err(io_error("read", path))?;
    Ok(Some(bytes))
}

/// Checks that an open file is a plain file of the user's own; its length.
pub fn check_open(file: &File, path: &Path, privacy: Privacy) -> Result<u64, StorageError> {
    let metadata = file.metadata().map_err(io_error("look at", path))?;
    if metadata.is_dir() {
        return Err(io_error("read", path)(ErrorKind::IsADirectory.into()));
    }
    if !metadata.is_file() {
        return Err(io_error("read", path)(std::io::Error::other("it is not a plain file")));
    }
    refuse_foreign(path, platform::not_private(&metadata, privacy))?;
    Ok(metadata.len())
}

/// What a new file is called until it is whole: the whole name, and an ending that no name has, so
/// that no two files have one temporary name. `~` stands in names that were cut short, and never at
/// this place.
pub const UNFINISHED: &str = "~new";

/// The temporary name of `path`.
pub fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(UNFINISHED);
    path.with_file_name(name)
}

/// Replaces `path` by a file with `bytes`, for good or not at all. The temporary name is fixed, so
/// that what a kill leaves behind is overwritten by the next writer; writers exclude each other
/// with a lock.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), StorageError> {
    let temporary = unfinished(path);
    // Not opened through a link: a name that others can foretell must not lead elsewhere.
    remove(&temporary)?;
    if let Err(error) = write_durably(&temporary, bytes) {
        // A disk that takes no more may still let go of this.
        let _ = remove(&temporary);
        return Err(error);
    }
    platform::replace_file(&temporary, path).map_err(io_error("replace", path))?;
    sync_parent(path)
}

fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), StorageError> {
    let mut file = create_new(path)?;
    fill(&mut file, bytes).map_err(io_error("write", path))?;
    platform::sync_file(&file).map_err(io_error("sync", path))
}

/// Writes `bytes` to a file that is empty, up to the limit on the size of files that somebody set.
fn fill(file: &mut impl Write, bytes: &[u8]) -> std::io::Result<()> {
    platform::allow_file_size(u64::try_from(bytes.len()).unwrap_or(u64::MAX))?;
    file.write_all(bytes)
}

fn create_new(path: &Path) -> Result<File, StorageError> {
    let created = platform::open_file(platform::private_file().write(true).create_new(true), path);
    created.map_err(io_error("create", path))
}

/// Replaces a file that other programs write, as long as it holds `known`, with one of the same
/// mode that holds `new`, or removes it. Whether it did: they know no lock of ours, so it is looked
/// at again at the last moment.
pub fn exchange(path: &Path, known: &[u8], new: Option<&[u8]>) -> Result<bool, StorageError> {
    // What a link leads to is the file.
    let path = &std::fs::canonicalize(path).map_err(io_error("look at", path))?;
    check_directory(path.parent().unwrap_or(path))?;
    let limit = u64::try_from(known.len()).unwrap_or(u64::MAX);
    let is_known = || match read(path, Privacy::Owned, limit) {
        Ok(bytes) => Ok(bytes.map(Zeroizing::new).is_some_and(|bytes| *bytes == known)),
        Err(StorageError::Io { source, .. }) if source.kind() == ErrorKind::FileTooLarge => {
            Ok(false)
        }
        Err(error) => Err(error),
    };
    let Some(new) = new else {
        if !is_known()? {
            return Ok(false);
        }
        remove(path)?;
        return sync_parent(path).map(|()| true);
    };
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".dd-oauth-new");
    let temporary = path.with_file_name(name);
    remove(&temporary)?;
    let mode = std::fs::metadata(path).map_err(io_error("look at", path))?.permissions();
    let written = || -> Result<bool, StorageError> {
        let mut file = create_new(&temporary)?;
        fill(&mut file, new).map_err(io_error("write", &temporary))?;
        file.set_permissions(mode).map_err(io_error("set the mode of", &temporary))?;
        platform::sync_file(&file).map_err(io_error("sync", &temporary))?;
        if !is_known()? {
            return Ok(false);
        }
        platform::replace_file(&temporary, path).map_err(io_error("replace", path))?;
        Ok(true)
    };
    let written = written();
    if !matches!(written, Ok(true)) {
        // It holds tokens.
        remove(&temporary)?;
        return written;
    }
    sync_parent(path).map(|()| true)
}

/// Creates `path` with `bytes` if nothing is there yet; of several that try at once one succeeds,
/// and nobody ever sees a part of it. Whether it was ours.
pub fn create_once(path: &Path, bytes: &[u8]) -> Result<bool, StorageError> {
    create_from(tempfile::Builder::new().prefix(".new-"), path, bytes)
}

/// The same for a file that nobody else creates at the same time: what a kill leaves behind has a name
/// that is known, and [`unfinished`] says it.
pub fn create_alone(path: &Path, bytes: &[u8]) -> Result<bool, StorageError> {
    let temporary = unfinished(path);
    remove(&temporary)?;
    let name = temporary.file_name().unwrap_or_default();
    create_from(tempfile::Builder::new().prefix(name).rand_bytes(0), path, bytes)
}

fn create_from(
    temporary: &tempfile::Builder<'_, '_>,
    path: &Path,
    bytes: &[u8],
) -> Result<bool, StorageError> {
    let directory = path.parent().unwrap_or(path);
    let mut file =
        temporary.tempfile_in(directory).map_err(io_error("create a file in", directory))?;
    fill(&mut file, bytes).map_err(io_error("write", path))?;
    platform::sync_file(file.as_file()).map_err(io_error("sync", path))?;
    let ours = match file.persist_noclobber(path) {
        Ok(_) => true,
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => false,
        Err(error) => return Err(io_error("create", path)(error.error)),
    };
    sync_parent(path)?;
    Ok(ours)
}

/// Removes a file; a missing one is fine.
pub fn remove(path: &Path) -> Result<(), StorageError> {
    match platform::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io_error("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Removes the files of a directory whose names fit, if it is there.
pub fn remove_all(directory: &Path, fits: impl Fn(&str) -> bool) -> Result<(), StorageError> {
    let names = match platform::names_in(directory) {
        Ok(names) => names,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_error("list", directory)(error)),
    };
    let fitting = names.iter().filter(|name| name.to_str().is_some_and(&fits));
    for path in fitting.map(|name| directory.join(name)).filter(|path| !path.is_dir()) {
        remove(&path)?;
    }
    Ok(())
}

/// Removes a directory with the files in it, unless it has directories, which are not ours. A process
/// that still puts its last file there is waited for, but not for long: it notices, and leaves nothing
/// but an empty lock.
pub fn remove_directory(directory: &Path) -> Result<(), StorageError> {
    const ATTEMPTS: usize = 8;
    for _ in 0..ATTEMPTS {
        remove_all(directory, |_| true)?;
        match std::fs::remove_dir(directory) {
            Ok(()) => return sync_parent(directory),
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {}
            // It is gone, or somebody has it open. Empty, it says nothing, and the next removal takes it.
            Err(_) => break,
        }
    }
    Ok(())
}

/// Makes a name that was added to or removed from the directory of `path` durable.
pub fn sync_parent(path: &Path) -> Result<(), StorageError> {
    let directory = path.parent().unwrap_or(path);
    platform::sync_directory(directory).map_err(io_error("sync", directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replacement_overwrites_what_a_kill_left_behind() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.session");
        std::fs::write(unfinished(&path), "half").unwrap();
        replace(&path, b"whole").unwrap();
        assert_eq!(read(&path, Privacy::Secret, 100).unwrap().unwrap(), b"whole");
        assert!(!unfinished(&path).exists());
    }

    #[test]
    fn of_many_creators_one_wins_and_all_read_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let wins: usize = std::thread::scope(|scope| {
            let creators: Vec<_> = (0..16u8)
                .map(|number| {
                    let path = &path;
                    scope.spawn(move || {
                        let ours = create_once(path, &[number; 32]).unwrap();
                        let read = read(path, Privacy::Secret, 100).unwrap().unwrap();
                        assert!(read.len() == 32 && read.iter().all(|byte| *byte == read[0]));
                        assert!(!ours || read[0] == number);
                        usize::from(ours)
                    })
                })
                .collect();
            creators.into_iter().map(|creator| creator.join().unwrap()).sum()
        });
        assert_eq!(wins, 1);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_plain_file_is_an_error_and_not_a_wait() {
        let directory = tempfile::tempdir().unwrap();
        let error = read(directory.path(), Privacy::Owned, 100).unwrap_err();
        assert!(error.is_io(), "{error}");
        assert!(read(&directory.path().join("missing"), Privacy::Owned, 1).unwrap().is_none());
        std::fs::write(directory.path().join("long"), "12345").unwrap();
        assert!(read(&directory.path().join("long"), Privacy::Owned, 4).is_err());
    }
}
