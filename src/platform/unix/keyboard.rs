//! What a person types or pastes, line by line, without ever being stopped for it.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

/// Longer than a terminal lets a line be, and than any redirected address.
const LONGEST_LINE: usize = 64 * 1024;

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
    /// Where nothing more can come.
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
