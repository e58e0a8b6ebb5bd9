//! `exec --live`: a proxy on 127.0.0.1 in front of the API of one site, which puts a fresh token on
//! every request. The program gets its address and a credential that is good for this run, and
//! never sees a token.
//!
//! It speaks HTTP/1.1 to the program with a strictness of its own, as every request that it lets
//! through is sent with the user's authority, and leaves the other side to an HTTP client.
//!
//! A request goes through `connection` (reads it), `request` (refuses what is not exactly one request
//! with the credential of this run), `token` (has a token that is good), `upstream` (sends it to the
//! API) and back. `launch` starts the proxy, and `server` accepts its connections.
//!
//! Only requests to the API of the one site leave the proxy, and no answer of it is cached.

mod body;
mod connection;
mod launch;
mod request;
mod server;
mod state;
mod token;
mod upstream;

use crate::secret::AccessToken;

pub use launch::{Launched, launch, take_credential, tell_ready};
pub use server::serve;
pub use state::{Proxy, Service};

/// What stands in for the token in the program: random, and good for this run alone.
pub type Credential = AccessToken;
