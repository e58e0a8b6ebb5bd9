//! What was written is on the disk, and not on its way there.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::io::Errno;

/// Makes a file durable, content and size.
///
/// # Errors
/// Where it cannot be synced.
pub fn sync_file(file: &File) -> io::Result<()> {
    or_else_by_the_system(file, file.sync_all())
}

/// Makes the content of a file durable whose size stays the same.
///
/// # Errors
/// Where it cannot be synced.
pub fn sync_content(file: &File) -> io::Result<()> {
    or_else_by_the_system(file, file.sync_data())
}

/// Makes a rename or a new name in `directory` durable.
///
/// # Errors
/// Where it cannot be opened or synced.
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
