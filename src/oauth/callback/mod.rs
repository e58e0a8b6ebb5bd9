//! The way back from the browser: the listener on 127.0.0.1 to which it is redirected, or the address
//! that a person pastes.
//!
//! Everything that comes this way is from outside: a web page, a scanner or another program can send it
//! as well as the browser. Only the exact path with the right `state` ends the wait.

mod listener;
mod page;
mod paste;
mod request;

pub use listener::{Callback, CallbackListener, WaitingBrowser};
pub use page::Page;
pub use paste::{PasteError, read_paste};

#[cfg(feature = "fuzzing")]
pub(super) use listener::callback;
#[cfg(feature = "fuzzing")]
pub(super) use request::Target;

/// The ports that existing tools register, in the order in which they are tried.
pub const REGISTERED_PORTS: [u16; 4] = [8000, 8080, 8888, 9000];
/// The path of the callback, to the letter.
const PATH: &str = "/oauth/callback";

/// The redirect URI for a port, as it is registered.
#[must_use]
pub fn redirect_uri(port: u16) -> String {
    format!("http://127.0.0.1:{port}{PATH}")
}
