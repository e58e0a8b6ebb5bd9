//! Windows.

mod files;
mod interrupts;
mod keyboard;
mod programs;
mod sidecar;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use windows_sys::Win32::Foundation::CloseHandle;
use windows_sys::Win32::System::Console::{
    ENABLE_VIRTUAL_TERMINAL_PROCESSING, GetConsoleMode, GetStdHandle, STD_ERROR_HANDLE,
    STD_OUTPUT_HANDLE, SetConsoleMode, SetStdHandle,
};
use windows_sys::Win32::System::ErrorReporting::{WER_FAULT_REPORTING_FLAG_NOHEAP, WerSetFlags};

pub use files::*;
pub use interrupts::{Held, hold_back_termination};
pub use keyboard::Keyboard;
pub use programs::*;
pub use sidecar::*;

use crate::environment::Environment;
use crate::platform::{Directories, EarlierDirectories, NoHome};

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

/// The places of the user's profile.
///
/// # Errors
/// Where the profile is not known.
pub fn directories(environment: &Environment) -> Result<Directories, NoHome> {
    let place = |variable| {
        let place = environment.path(variable).filter(|path| path.is_absolute());
        place.ok_or(NoHome(variable))
    };
    let (local, roaming) = (place("LOCALAPPDATA")?, place("APPDATA")?);
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
) -> Result<EarlierDirectories, NoHome> {
    let profile = environment.path("USERPROFILE").ok_or(NoHome("USERPROFILE"))?;
    let mut pup: Vec<_> =
        environment.path("PUP_CONFIG_DIR").filter(|path| path.is_absolute()).into_iter().collect();
    pup.push(directories(environment)?.config.with_file_name("pup"));
    pup.dedup();
    Ok(EarlierDirectories { datadog_cli: profile.join(".datadog"), pup })
}

/// The names in a directory.
///
/// # Errors
/// Where it is not there, is no directory, or cannot be read.
pub fn names_in(directory: &Path) -> io::Result<Vec<OsString>> {
    std::fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name())).collect()
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

/// Makes standard error, which is a terminal, obey escape sequences; whether it does.
#[must_use]
pub fn stderr_obeys_escapes() -> bool {
    let mut mode = 0;
    // SAFETY: the handle is that of standard error, and `mode` outlives the calls.
    unsafe {
        let console = GetStdHandle(STD_ERROR_HANDLE);
        // A terminal that is no console is one of Cygwin, and its own.
        GetConsoleMode(console, &raw mut mode) == 0
            || SetConsoleMode(console, mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING) != 0
    }
}

/// Whether a browser that is opened here is seen by the person who asked for it, who sits elsewhere
/// if they came over ssh.
#[must_use]
pub fn has_screen(environment: &Environment) -> bool {
    environment.path("SSH_CONNECTION").is_none() && environment.path("SSH_TTY").is_none()
}

/// Ends standard output, so that who reads it to its end need not wait for us.
pub fn close_stdout() {
    // SAFETY: nothing here owns the handle but the library's standard output, which asks for it at
    // each use and takes none as a place for everything.
    unsafe {
        let output = GetStdHandle(STD_OUTPUT_HANDLE);
        SetStdHandle(STD_OUTPUT_HANDLE, std::ptr::null_mut());
        CloseHandle(output);
    }
}

/// Keeps tokens out of the reports of crashes. Only the same user may look into a process here.
pub fn forbid_memory_dumps() {
    // SAFETY: it takes plain data. Where it fails we stand where every other program does.
    unsafe { WerSetFlags(WER_FAULT_REPORTING_FLAG_NOHEAP) };
}

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
