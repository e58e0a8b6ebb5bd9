//! No wait of a test is without end: what takes longer than [`HANG`] fails it, and says what it was.

use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Far beyond every deadline of the program, on a busy machine too.
pub const HANG: Duration = Duration::from_mins(2);

/// Between two looks at something that will change.
const PAUSE: Duration = Duration::from_millis(2);

/// Looks again and again until `seen`; what never comes fails the test.
#[track_caller]
pub fn eventually(what: &str, seen: impl FnMut() -> bool) {
    assert!(seen_in_time(HANG, seen), "{what} did not happen within {HANG:?}");
}

/// Looks again and again until `seen`; whether it was.
pub fn seen_in_time(limit: Duration, mut seen: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while !seen() {
        if started.elapsed() > limit {
            return false;
        }
        std::thread::sleep(PAUSE);
    }
    true
}

/// Does what may block, in a thread of its own, which is left behind if it takes too long.
#[track_caller]
pub fn within_deadline<T: Send + 'static>(
    what: &str,
    job: impl FnOnce() -> T + Send + 'static,
) -> T {
    done_in_time(job).unwrap_or_else(|| panic!("{what} did not happen within {HANG:?}"))
}

/// As [`within_deadline`]; nothing if it takes too long.
pub fn done_in_time<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, done) = mpsc::channel();
    std::thread::spawn(move || {
        let _ = sender.send(job());
    });
    done.recv_timeout(HANG).ok()
}

/// A client for HTTP whose requests end. It keeps no connection: ports are used again, and in other
/// networks.
pub fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().timeout_global(Some(HANG)).build().into()
}

/// The next connection, on which no read and no write lasts for ever.
#[track_caller]
pub fn accept(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).unwrap();
    let mut accepted = Err(ErrorKind::WouldBlock.into());
    eventually("a connection", || {
        accepted = listener.accept();
        !accepted.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    });
    let (stream, _) = accepted.unwrap();
    stream.set_nonblocking(false).unwrap();
    bounded(stream).unwrap()
}

/// A connection on which no read and no write lasts for ever.
#[track_caller]
pub fn connect(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port)).and_then(bounded).unwrap()
}

fn bounded(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_read_timeout(Some(HANG))?;
    stream.set_write_timeout(Some(HANG))?;
    Ok(stream)
}
