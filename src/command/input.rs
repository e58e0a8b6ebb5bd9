//! Standard input, as the request of the helper protocol.

use std::io::{self, IsTerminal, Read};
use std::time::Duration;

use crate::error::Error;
use crate::platform;
use crate::protocol::input::{InputError, read_request};
use crate::protocol::{Operation, Request, RequestError, native};

/// A caller that sends nothing for this long has forgotten to end its request.
const PROGRESS_LIMIT: Duration = Duration::from_secs(5);

/// Reads the request. With the operation as an argument, a terminal is an empty request.
pub fn request(operation: Option<Operation>) -> Result<Request, Error> {
    let input = io::stdin();
    let bytes = if input.is_terminal() { Vec::new() } else { read(input)? };
    Ok(native::parse(&bytes, operation)?)
}

fn read(input: io::Stdin) -> Result<Vec<u8>, Error> {
    let mut reader = io::BufReader::new(Impatient(input));
    read_request(&mut reader).map_err(|error| match error {
        InputError::Request(error) => error.into(),
        InputError::Io(error) if error.kind() == io::ErrorKind::TimedOut => {
            RequestError::Stalled(PROGRESS_LIMIT).into()
        }
        InputError::Io(error) => Error::Input(error),
    })
}

/// Standard input that fails where it makes no progress.
struct Impatient(io::Stdin);

impl Read for Impatient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        platform::wait_for_input(&self.0, PROGRESS_LIMIT)?;
        self.0.read(buffer)
    }
}
