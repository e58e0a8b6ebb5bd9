//! Why an HTTP request has no whole reply.

use crate::exit::ExitKind;

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
