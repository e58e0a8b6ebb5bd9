//! Work that must not be cut off. A lock belongs to the process that took it here, so no worker can
//! take it along. This process does the work itself, and holds back what would end it meanwhile:
//! Ctrl-C, Ctrl-Break, the closing of the console, the end of the Windows session. Nothing holds back
//! `TerminateProcess`.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::windows::process::CommandExt;
use std::process::{Child, Command};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use windows_sys::Win32::Foundation::{
    FALSE, HANDLE_FLAG_INHERIT, STATUS_CONTROL_C_EXIT, SetHandleInformation, TRUE,
};
use windows_sys::Win32::System::Console::{
    CTRL_BREAK_EVENT, CTRL_C_EVENT, GetStdHandle, STD_ERROR_HANDLE, STD_INPUT_HANDLE,
    STD_OUTPUT_HANDLE, SetConsoleCtrlHandler,
};
use windows_sys::Win32::System::Threading::{CREATE_NEW_PROCESS_GROUP, CREATE_NO_WINDOW};
use windows_sys::core::BOOL;

/// Between two looks whether the bad moment is over.
const NEXT_LOOK: Duration = Duration::from_millis(5);

// The system calls the handler with nothing but the event, so what it has to know is global.
static HELD: AtomicUsize = AtomicUsize::new(0);
static ASKED_TO_END: AtomicBool = AtomicBool::new(false);

/// What became of an attempt to let another process go on with an open file.
#[derive(Debug)]
pub enum HandedOn {
    /// It runs, has the file, and outlives us.
    Started(Option<Child>),
    /// It cannot be done here; the caller has the file still.
    Impossible(File),
}

/// A lock belongs to the process that took it here.
///
/// # Errors
/// Never.
pub fn start_worker(
    _arguments: &[&OsStr],
    file: File,
    _input: &[u8; 32],
    _parent: Parent,
) -> io::Result<HandedOn> {
    Ok(HandedOn::Impossible(file))
}

/// Whose child a worker is. A process that has ended leaves nothing behind here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parent {
    /// Ours.
    Us,
    /// Nobody's.
    Nobody,
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

/// Lets a command run in a process group of its own, out of reach of our console's Ctrl-C, with no
/// window of its own, and without our standard streams: it would keep them open when we have ended.
pub fn set_apart(command: &mut Command) {
    command.creation_flags(CREATE_NEW_PROCESS_GROUP | CREATE_NO_WINDOW);
    for stream in [STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE] {
        // SAFETY: the handle is that of a standard stream or none at all, which is refused. A child
        // that is to have the stream gets a copy of it, whatever this says.
        unsafe { SetHandleInformation(GetStdHandle(stream), HANDLE_FLAG_INHERIT, 0) };
    }
}

/// What may end this process, and with it whatever it leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Never said here.
    Container,
    /// Never said here.
    Service,
}

/// Nothing tells a job that ends its processes from one that does not.
#[must_use]
pub fn bound() -> Option<Bound> {
    None
}

/// Holds back the end of this process until it is dropped. If it was asked to end meanwhile, it then
/// does, as it would have without.
#[derive(Debug)]
pub struct Held(());

/// See [`Held`]. The system waits about five seconds for it when the console is closed.
#[must_use]
pub fn hold_back_termination() -> Held {
    static HANDLES: Once = Once::new();
    HELD.fetch_add(1, Ordering::SeqCst);
    HANDLES.call_once(|| {
        // SAFETY: the handler stays valid, and does nothing that a thread of its own may not do.
        // Where it is refused, there is no console that could send anything.
        unsafe { SetConsoleCtrlHandler(Some(handle), TRUE) };
    });
    Held(())
}

impl Drop for Held {
    fn drop(&mut self) {
        if HELD.fetch_sub(1, Ordering::SeqCst) == 1 && ASKED_TO_END.load(Ordering::SeqCst) {
            std::process::exit(STATUS_CONTROL_C_EXIT);
        }
    }
}

/// Called by the system on a thread of its own; `FALSE` lets the process end at once.
unsafe extern "system" fn handle(event: u32) -> BOOL {
    ASKED_TO_END.store(true, Ordering::SeqCst);
    if HELD.load(Ordering::SeqCst) == 0 {
        return FALSE;
    }
    if matches!(event, CTRL_C_EVENT | CTRL_BREAK_EVENT) {
        return TRUE;
    }
    // After the others the process ends as soon as this returns.
    while HELD.load(Ordering::SeqCst) > 0 {
        std::thread::sleep(NEXT_LOOK);
    }
    FALSE
}
