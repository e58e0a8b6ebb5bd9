//! HTTP with limits on everything and no redirects, for OAuth, the proxy and the doctor.
//!
//! - `client`: one request at a time ([`Http`]), and a client that hands on requests of others
//!   ([`streaming_client`]). Both verify servers with the same roots and take the same route.
//! - `roots`: the certificates that servers are verified with: those of the operating system, or of
//!   `SSL_CERT_FILE` and `SSL_CERT_DIR` instead.
//! - `route`: the proxy that a request goes through, if any; loopback never goes through one.
//! - `error`: what the server can have seen of a request that failed. A refresh depends on that
//!   difference: what was not sent can be sent again, and what may have arrived may have been acted on.
//!
//! A redirect would carry a token on to another origin, so none is followed. Nothing here knows OAuth:
//! a reply is a status and a body of limited size.

mod client;
mod error;
mod roots;
mod route;

pub use client::{BODY_LIMIT, Http, Reply, streaming_client};
pub use error::{HttpError, causes};
pub use roots::Roots;
pub use route::Route;

/// Runs a conversation with a server on this thread, to its end.
///
/// # Errors
/// If the system gives no way to wait for sockets.
pub fn block_on<F: Future>(conversation: F) -> Result<F::Output, HttpError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| HttpError::Setup(error.to_string()))?;
    let result = runtime.block_on(conversation);
    // Dropped, it would wait for a look-up of a name, which no deadline ends.
    runtime.shutdown_background();
    Ok(result)
}
