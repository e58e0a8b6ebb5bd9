//! The terminal and the standard streams: whether a person sees what we write, and what they type or
//! paste, line by line, without this process ever being stopped for it.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

use crate::environment::Environment;

/// Longer than a terminal lets a line be, and than any redirected address.
const LONGEST_LINE: usize = 64 * 1024;

/// Whether a person can see what we write to standard error, and answer: it is a terminal, and
/// we are in its foreground process group.
#[must_use]
pub fn stderr_is_in_foreground() -> bool {
    rustix::termios::tcgetpgrp(io::stderr().as_fd())
        .is_ok_and(|group| group == rustix::process::getpgrp())
}

/// Makes standard error, which is a terminal, obey escape sequences; whether it does.
#[must_use]
pub fn stderr_obeys_escapes() -> bool {
    true
}

/// Whether a browser that is opened here is seen by the person who asked for it: there is a display,
/// or Windows around us. Someone who came over ssh sits elsewhere, unless the display came along.
#[must_use]
pub fn has_screen(environment: &Environment) -> bool {
    let set = |name: &str| environment.path(name).is_some();
    if cfg!(target_os = "macos") {
        return !set("SSH_CONNECTION") && !set("SSH_TTY");
    }
    set("DISPLAY") || set("WAYLAND_DISPLAY") || set("WSL_DISTRO_NAME") || set("WSL_INTEROP")
}

/// Waits until standard input has something to read or has ended.
///
/// # Errors
/// [`io::ErrorKind::TimedOut`] once `limit` has passed.
pub fn wait_for_input(input: &io::Stdin, limit: Duration) -> io::Result<()> {
    let timeout = Timespec {
        tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: limit.subsec_nanos().into(),
    };
    loop {
        let mut descriptors = [PollFd::new(input, PollFlags::IN)];
        match poll(&mut descriptors, Some(&timeout)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Ends standard output, so that who reads it to its end need not wait for us. The descriptor
/// itself is kept, as the next file to be opened would take its number.
pub fn close_stdout() {
    if let Ok(null) = File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(null);
    }
}

/// A source of lines.
#[derive(Debug)]
pub struct Keyboard {
    input: File,
    /// Whether reading would stop a job in the background.
    is_terminal: bool,
    line: Vec<u8>,
}

impl Keyboard {
    /// The terminal from which this process was started; nothing where there is none.
    #[must_use]
    pub fn of_terminal() -> Option<Self> {
        let input = if io::stdin().is_terminal() {
            File::from(io::stdin().as_fd().try_clone_to_owned().ok()?)
        } else {
            let flags = i32::try_from(OFlags::NOCTTY.bits()).unwrap_or(0);
            let mut options = File::options();
            std::os::unix::fs::OpenOptionsExt::custom_flags(options.read(true), flags);
            options.open(Path::new("/dev/tty")).ok()?
        };
        Some(Self { input, is_terminal: true, line: Vec::new() })
    }

    /// Standard input, whatever it is.
    #[must_use]
    pub fn of_stdin() -> Option<Self> {
        let is_terminal = io::stdin().is_terminal();
        let input = File::from(io::stdin().as_fd().try_clone_to_owned().ok()?);
        Some(Self { input, is_terminal, line: Vec::new() })
    }

    /// The next line, if it is whole within `limit`. A process in the background of its terminal
    /// reads nothing: it would be stopped, with its locks in its hand.
    ///
    /// # Errors
    /// If nothing more can come.
    pub fn line(&mut self, limit: Duration) -> io::Result<Option<String>> {
        if let Some(line) = self.take_line() {
            return Ok(Some(line));
        }
        if !self.has_something(limit)? {
            return Ok(None);
        }
        if self.is_terminal && !self.is_in_foreground() {
            // What is there is meant for somebody else.
            std::thread::sleep(limit);
            return Ok(None);
        }
        let mut block = [0; 4096];
        match self.input.read(&mut block) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => self.line.extend_from_slice(&block[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if self.line.len() > LONGEST_LINE {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(self.take_line())
    }

    fn take_line(&mut self) -> Option<String> {
        let end = self.line.iter().position(|byte| matches!(byte, b'\n' | b'\r'))?;
        let rest = self.line.split_off(end + 1);
        let line = std::mem::replace(&mut self.line, rest);
        Some(String::from_utf8_lossy(&line[..end]).into_owned())
    }

    fn has_something(&self, limit: Duration) -> io::Result<bool> {
        let timeout = Timespec {
            tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: limit.subsec_nanos().into(),
        };
        let mut descriptors = [PollFd::new(&self.input, PollFlags::IN)];
        match poll(&mut descriptors, Some(&timeout)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => Ok(false),
            // Some systems cannot poll a terminal: better no lines than a wait without an end.
            Ok(_) if descriptors[0].revents().contains(PollFlags::NVAL) => {
                Err(io::ErrorKind::Unsupported.into())
            }
            Ok(_) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    fn is_in_foreground(&self) -> bool {
        rustix::termios::tcgetpgrp(&self.input)
            .is_ok_and(|group| group == rustix::process::getpgrp())
    }
}
