//! What a person types or pastes, line by line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

/// Longer than any redirected address.
const LONGEST_LINE: u64 = 64 * 1024;

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
    /// Where nothing more can come.
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
