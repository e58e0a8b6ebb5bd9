//! The console and the standard streams: whether a person sees what we write, and what they type or
//! paste, line by line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use windows_sys::Win32::Foundation::CloseHandle;
use windows_sys::Win32::System::Console::{
    ENABLE_VIRTUAL_TERMINAL_PROCESSING, GetConsoleMode, GetStdHandle, STD_ERROR_HANDLE,
    STD_OUTPUT_HANDLE, SetConsoleMode, SetStdHandle,
};

use crate::environment::Environment;

/// Longer than any redirected address.
const LONGEST_LINE: u64 = 64 * 1024;

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

/// A source of lines, read by a thread of its own: neither a console nor a pipe can be polled.
#[derive(Debug)]
pub struct Keyboard(Receiver<io::Result<String>>);

impl Keyboard {
    /// The console of this process; nothing where there is none.
    #[must_use]
    pub fn of_terminal() -> Option<Self> {
        File::options().read(true).write(true).open("CONIN$").ok().map(Self::reading)
    }

    /// Standard input, whatever it is.
    #[must_use]
    pub fn of_stdin() -> Option<Self> {
        Some(Self::reading(io::stdin()))
    }

    /// The next line, if it is whole within `limit`.
    ///
    /// # Errors
    /// If nothing more can come.
    pub fn line(&mut self, limit: Duration) -> io::Result<Option<String>> {
        match self.0.recv_timeout(limit) {
            Ok(line) => line.map(Some),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn reading(input: impl Read + Send + 'static) -> Self {
        let (sender, lines) = sync_channel(1);
        std::thread::spawn(move || {
            let mut input = BufReader::new(input);
            loop {
                let mut line = String::new();
                let read = input.by_ref().take(LONGEST_LINE).read_line(&mut line);
                let line = match read {
                    Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(_) => Ok(line.trim_end_matches(['\r', '\n']).to_string()),
                    Err(error) => Err(error),
                };
                let last = line.is_err();
                if sender.send(line).is_err() || last {
                    return;
                }
            }
        });
        Self(lines)
    }
}
