//! Standard input and output: the request of a helper protocol, and its answer.

use std::io::{self, BufReader, IsTerminal, Read, Write};
use std::time::Duration;

use crate::clock::Deadline;
use crate::error::Error;
use crate::platform;
use crate::protocol::input::{InputError, read_document, read_request};
use crate::protocol::{Operation, Request, RequestError, native};

/// A caller that sends nothing for this long has forgotten to end its request.
const PROGRESS_LIMIT: Duration = Duration::from_secs(5);

/// Reads a request of the native dialect. With the operation as an argument, a terminal is an empty
/// request.
pub fn request(operation: Option<Operation>) -> Result<Request, Error> {
    Ok(native::parse(&lines()?, operation)?)
}

/// Reads lines up to the first empty one; none from a terminal.
pub fn lines() -> Result<Vec<u8>, Error> {
    read(None, read_request)
}

/// Reads to the end of the stream, for as long as `limit`; nothing from a terminal.
pub fn document(limit: Option<Deadline>) -> Result<Vec<u8>, Error> {
    read(limit, read_document)
}

fn read(
    limit: Option<Deadline>,
    whole: impl FnOnce(&mut BufReader<Impatient>) -> Result<Vec<u8>, InputError>,
) -> Result<Vec<u8>, Error> {
    let input = io::stdin();
    if input.is_terminal() {
        return Ok(Vec::new());
    }
    whole(&mut BufReader::new(Impatient { input, limit })).map_err(|error| match error {
        InputError::Request(error) => error.into(),
        InputError::Io(error) if error.kind() == io::ErrorKind::TimedOut => {
            let waited = limit.map_or(PROGRESS_LIMIT, |limit| limit.limit().min(PROGRESS_LIMIT));
            RequestError::Stalled(waited).into()
        }
        InputError::Io(error) => Error::Input(error),
    })
}

/// Standard input that fails where it makes no progress, or takes too long in all.
struct Impatient {
    input: io::Stdin,
    limit: Option<Deadline>,
}

impl Read for Impatient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.limit.map_or(PROGRESS_LIMIT, Deadline::remaining);
        platform::wait_for_input(&self.input, left.min(PROGRESS_LIMIT))?;
        self.input.read(buffer)
    }
}

/// Writes a whole answer.
pub fn print(answer: &str) -> Result<(), Error> {
    let mut output = io::stdout().lock();
    let written = output.write_all(answer.as_bytes()).and_then(|()| output.flush());
    written.map_err(Error::Output)
}
