//! Windows.

mod keyboard;

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, IsTerminal};
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

pub use keyboard::Keyboard;

use super::Privacy;
use crate::config::{ConfigError, Directories, Environment};
use crate::session::EarlierDirectories;

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
    const FILE_FLAG_OPEN_REPARSE_POINT: u32 = 0x0020_0000;
    let mut options = private_file();
    options.custom_flags(FILE_FLAG_OPEN_REPARSE_POINT);
    options
}

/// Only who may write a file can give it another name on Windows.
#[must_use]
pub fn has_other_names(_metadata: &Metadata) -> bool {
    false
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

/// Windows sets no limit to the size of a file.
///
/// # Errors
/// Never.
pub fn allow_file_size(_size: u64) -> io::Result<()> {
    Ok(())
}

/// Windows sets no limit to the size of a file.
pub struct FileSizeLimit;

impl FileSizeLimit {
    /// There is none.
    #[must_use]
    pub fn now() -> Self {
        Self
    }

    /// Nothing was raised.
    pub fn restore(self) {}
}

/// Runs a program as a child, as none can take our place here, and ends with its exit code. The
/// Ctrl-C that the console sends to both of us ends us by the same code as the program. Returns
/// only why it could not be started.
#[must_use]
pub fn become_program(mut command: Command) -> io::Error {
    match command.status() {
        // A program ended from outside has a code too, here.
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(error) => error,
    }
}

/// Makes a file durable, content and size.
///
/// # Errors
/// Where it cannot be synced.
pub fn sync_file(file: &File) -> io::Result<()> {
    file.sync_all()
}

/// Makes the content of a file durable whose size stays the same.
///
/// # Errors
/// Where it cannot be synced.
pub fn sync_content(file: &File) -> io::Result<()> {
    file.sync_data()
}

/// Windows has no way to sync a directory; a rename is in the file system's own journal.
///
/// # Errors
/// Never.
pub fn sync_directory(_directory: &Path) -> io::Result<()> {
    Ok(())
}

/// Whether the open `file` is the one that `path` names now; it cannot be removed while it is
/// open, so its name leads to it.
///
/// # Errors
/// Where `path` cannot be looked at.
pub fn is_same_file(_file: &File, path: &Path) -> io::Result<bool> {
    std::fs::metadata(path).map(|_| true)
}

/// The places of the user's profile.
///
/// # Errors
/// Where the profile is not known.
pub fn directories(environment: &Environment) -> Result<Directories, ConfigError> {
    let local = environment.path("LOCALAPPDATA").ok_or(ConfigError::NoHome("LOCALAPPDATA"))?;
    let roaming = environment.path("APPDATA").ok_or(ConfigError::NoHome("APPDATA"))?;
    Ok(Directories {
        state: local.join("dd-oauth").join("state"),
        data: local.join("dd-oauth").join("data"),
        config: roaming.join("dd-oauth"),
    })
}

/// The places in which earlier tools kept their files.
///
/// # Errors
/// Where the profile is not known.
pub fn directories_of_earlier_tools(
    environment: &Environment,
) -> Result<EarlierDirectories, ConfigError> {
    let profile = environment.path("USERPROFILE").ok_or(ConfigError::NoHome("USERPROFILE"))?;
    let mut pup: Vec<_> = environment.path("PUP_CONFIG_DIR").into_iter().collect();
    pup.push(directories(environment)?.config.with_file_name("pup"));
    pup.dedup();
    Ok(EarlierDirectories { seed: profile.join(".datadog"), pup })
}

/// Waits until standard input has something to read or has ended, by trying it on a thread: a
/// pipe cannot be polled here.
///
/// # Errors
/// [`io::ErrorKind::TimedOut`] once `limit` has passed.
pub fn wait_for_input(_input: &io::Stdin, limit: Duration) -> io::Result<()> {
    let (sender, ready) = std::sync::mpsc::channel();
    let input = io::stdin();
    std::thread::spawn(move || {
        // Fills the buffer that `Stdin` shares with every other handle to it.
        let _ = sender.send(io::BufRead::fill_buf(&mut input.lock()).map(|_| ()));
    });
    ready.recv_timeout(limit).unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Whether a person can see what we write to standard error.
#[must_use]
pub fn stderr_is_in_foreground() -> bool {
    io::stderr().is_terminal()
}

/// `explorer.exe` ends with 1 even where it opened the page.
pub const LAUNCHERS_TELL_FAILURE: bool = false;

/// Whether a browser that is opened here is seen by the person who asked for it, who sits elsewhere
/// if they came over ssh.
#[must_use]
pub fn has_screen(environment: &Environment) -> bool {
    environment.path("SSH_CONNECTION").is_none() && environment.path("SSH_TTY").is_none()
}

/// Whether this is a program; its name may stand without the ending.
#[must_use]
pub fn is_program(path: &Path) -> bool {
    path.is_file() || path.with_extension("exe").is_file()
}

/// Lets a command run in a process group of its own, out of reach of our console's Ctrl-C.
pub fn set_apart(command: &mut Command) {
    const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
    command.creation_flags(CREATE_NEW_PROCESS_GROUP);
}

/// Nothing is done after the answer here for which a reader would have to wait.
pub fn close_stdout() {}

/// Windows writes no core files, and lets only the same user look into a process.
pub fn forbid_memory_dumps() {}

/// Whether a process that we leave behind would be ended as soon as we are.
#[must_use]
pub fn dies_with_its_container() -> bool {
    false
}

/// What became of an attempt to let another process go on with an open file.
#[derive(Debug)]
pub enum HandedOn {
    /// It runs, has the file, and outlives us.
    Started(Child),
    /// This platform cannot do it; the caller has the file still.
    Impossible(File),
}

/// A lock belongs to the process that took it here.
///
/// # Errors
/// Never.
pub fn start_worker(
    _arguments: &[&std::ffi::OsStr],
    file: File,
    _input: &[u8; 32],
) -> io::Result<HandedOn> {
    Ok(HandedOn::Impossible(file))
}

/// No worker is ever started here, so nothing is handed to one.
///
/// # Errors
/// Always.
pub fn take_stdin() -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

/// No worker is ever started here.
///
/// # Errors
/// Always.
pub fn detach(_kept: i32) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}
