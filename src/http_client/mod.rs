//! HTTP with limits on everything and no redirects, for OAuth, the proxy and the doctor.
//!
//! - `client`: one request at a time ([`Http`]), and a client that hands on requests of others
//!   ([`streaming_client`]). Both verify servers with the same roots and take the same route. The first
//!   decodes a body that came encoded though nobody asked for that.
//! - `lookup`: the addresses of a name.
//! - `object`: the JSON object of a reply, read leniently.
//! - `roots`: the certificates that servers are verified with: those of the operating system, or of
//!   `SSL_CERT_FILE` and `SSL_CERT_DIR` instead.
//! - `route`: the proxy that a request goes through, if any; loopback never goes through one.
//! - [`HttpError`]: what the server can have seen of a request that failed. A refresh depends on that
//!   difference: what was not sent can be sent again, and what may have arrived may have been acted on.
//!
//! A redirect would carry a token on to another origin, so none is followed. Nothing here knows OAuth:
//! a reply is a status and a body of limited size.

mod client;
mod lookup;
mod object;
mod roots;
mod route;

use crate::exit::ExitKind;

pub use client::{Http, Reply, streaming_client};
pub use object::Object;
pub use roots::Roots;
pub use route::Route;

/// Runs a conversation with a server on this thread, to its end.
///
/// # Errors
/// If the system gives no way to wait for sockets.
pub fn block_on<F: Future>(conversation: F) -> Result<F::Output, HttpError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| HttpError::Setup(error.to_string()))?;
    Ok(runtime.block_on(conversation))
}

/// A request without a whole reply.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("could not reach {host}: {why}")]
    NotSent { host: String, why: String },
    #[error("{host} gave no whole answer: {why}")]
    NoAnswer { host: String, why: String },
    #[error("{host} answered with more than {limit} bytes")]
    TooLong { host: String, limit: usize },
    #[error("{host} answered with status {status} and no usable body")]
    Status { host: String, status: u16 },
    #[error("the certificates of {variable} cannot be used: {why}")]
    BadRoots { variable: &'static str, why: String },
    #[error("could not prepare an HTTP request: {0}")]
    Setup(String),
}

impl HttpError {
    /// How the program exits after it.
    #[must_use]
    pub fn kind(&self) -> ExitKind {
        match self {
            Self::NotSent { .. }
            | Self::NoAnswer { .. }
            | Self::TooLong { .. }
            | Self::Status { .. } => ExitKind::Temporary,
            Self::BadRoots { .. } | Self::Setup(_) => ExitKind::Other,
        }
    }
}

/// What lies beneath an error, innermost last; the outermost line of `reqwest` only repeats the
/// address.
#[must_use]
pub fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if causes.last().is_none_or(|last: &String| !last.contains(&text)) {
            causes.push(text);
        }
        next = cause.source();
    }
    if causes.is_empty() { error.to_string() } else { causes.join(": ") }
}
