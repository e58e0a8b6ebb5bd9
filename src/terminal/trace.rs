//! The trace: what was decided and why, for whoever asked to see it with `-v` or `DD_OAUTH_LOG`.
//!
//! It is off by default, and its lines are then not even made. No line is made of a token, a code, a
//! verifier, a `state`, a key or the address of a callback.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::clock::{Clock, Timestamp};
use crate::environment::{Environment, VariableError};
use crate::platform::{self, Privacy};

const VARIABLE: &str = "DD_OAUTH_LOG";

/// Where the trace goes.
pub struct Trace {
    spoken: bool,
    log: RefCell<Log>,
    clock: Clock,
}

/// The file that `DD_OAUTH_LOG` names.
enum Log {
    None,
    /// Opened for the first line: what comes before may close every descriptor.
    Named(PathBuf),
    Open(PathBuf, File),
    /// It could not be written, and nothing more is.
    GivenUp,
}

/// A log that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the trace cannot be written to {}: {why}; going on without it", .path.display())]
pub struct TraceError {
    path: PathBuf,
    why: String,
}

impl Trace {
    /// On standard error where `spoken`, and to the file that `DD_OAUTH_LOG` names.
    ///
    /// # Errors
    /// If that is not an absolute path.
    pub fn of(
        spoken: bool,
        environment: &Environment,
        clock: Clock,
    ) -> Result<Self, VariableError> {
        let log = environment.absolute_path(VARIABLE)?.map_or(Log::None, Log::Named);
        Ok(Self { spoken, log: RefCell::new(log), clock })
    }

    /// Whether standard error has it too.
    #[must_use]
    pub fn is_spoken(&self) -> bool {
        self.spoken
    }

    /// Whether anybody reads it.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.spoken || !matches!(*self.log.borrow(), Log::None | Log::GivenUp)
    }

    /// Appends a line to the log, if there is one.
    ///
    /// # Errors
    /// If it cannot be written, once; nothing is written any more then.
    pub fn write(&self, line: &str) -> Result<(), TraceError> {
        let mut log = self.log.borrow_mut();
        let (file, path) = match std::mem::replace(&mut *log, Log::GivenUp) {
            Log::Named(path) => (open(&path), path),
            Log::Open(path, file) => (Ok(file), path),
            idle @ (Log::None | Log::GivenUp) => {
                *log = idle;
                return Ok(());
            }
        };
        let line = entry(self.clock.now(), std::process::id(), line);
        match file.and_then(|mut file| append(&mut file, &line).map(|()| file)) {
            Ok(file) => {
                *log = Log::Open(path, file);
                Ok(())
            }
            Err(error) => Err(TraceError { path, why: error.to_string() }),
        }
    }
}

/// A line of the log: when, which process, what. Control characters, which a server may have put
/// into it, are shown and not obeyed.
fn entry(now: Timestamp, process: u32, line: &str) -> String {
    format!("{} {process} {}\n", now.in_millis(), without_control_characters(line))
}

/// Opens the log for the user alone. What somebody else has put in its place is not written to.
fn open(path: &Path) -> io::Result<File> {
    let file = platform::private_file_itself().append(true).create(true).open(path)?;
    let metadata = file.metadata()?;
    let why = if !metadata.is_file() || platform::has_other_names(&metadata) {
        Some("it is a link, or no plain file".to_string())
    } else {
        platform::not_private(&metadata, Privacy::Owned).map(|why| format!("it {why}"))
    };
    why.map_or(Ok(file), |why| Err(io::Error::other(why)))
}

/// In one write, so that the lines of several processes do not mix.
fn append(file: &mut File, line: &str) -> io::Result<()> {
    let size = file.metadata()?.len().saturating_add(line.len() as u64);
    // A write beyond the limit would end us, perhaps with an answer in hand.
    platform::allow_file_size(size)?;
    file.write_all(line.as_bytes())
}

/// The text on one line, whatever is in it.
#[must_use]
pub fn without_control_characters(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for character in line.chars() {
        if character.is_control() {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_one_line_whatever_is_in_it() {
        assert_eq!(without_control_characters("a\nä\u{1b}[31m\t"), "a\\nä\\u{1b}[31m\\t");
        let line = entry(Timestamp::from_millis(1_767_225_599_042), 7, "a\nb");
        assert_eq!(line, "2025-12-31T23:59:59.042Z 7 a\\nb\n");
    }

    #[test]
    fn the_log_has_an_absolute_path() {
        let trace =
            |value| Trace::of(false, &Environment::of(&[(VARIABLE, value)]), Clock::system());
        assert!(trace("log").is_err());
        assert!(!trace("").unwrap().is_on());
        let path = std::env::temp_dir().join("log");
        assert!(trace(path.to_str().unwrap()).unwrap().is_on());
    }
}
