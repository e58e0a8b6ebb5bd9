//! Dialects: pure functions between bytes and [`Request`] / [`Answer`].
//!
//! `protocol.md` is the specification of what these functions accept and write.

pub mod bazel;
pub mod docker;
pub mod format;
pub mod git;
pub mod input;
pub mod native;
mod url;

use std::time::Duration;

use crate::clock::Timestamp;
use crate::names::{ClientId, OrgLabel};
use crate::scope::Scopes;
use crate::secret::{AccessToken, ApiKey, ApplicationKey, RefreshToken};
use crate::site::{Site, SiteName};

/// The wire format of a request and its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Dialect {
    #[default]
    Native,
    Git,
    Docker,
    Bazel,
}

impl Dialect {
    /// By the name under which the program was called, without its directory: git looks for
    /// `git-credential-NAME`, docker for `docker-credential-NAME`.
    #[must_use]
    pub fn of_program(name: &str) -> Option<Self> {
        match name.strip_suffix("-credential-dd-oauth")? {
            "git" => Some(Self::Git),
            "docker" => Some(Self::Docker),
            "bazel" => Some(Self::Bazel),
            _ => None,
        }
    }
}

/// What a caller asks of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Get,
    Store,
    Erase,
}

impl Operation {
    /// By its name on the command line and in a request.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "get" => Some(Self::Get),
            "store" => Some(Self::Store),
            "erase" => Some(Self::Erase),
            _ => None,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Store => "store",
            Self::Erase => "erase",
        }
    }
}

/// The version of the native dialect in which an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V1,
}

/// Which session a request is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    pub site: Option<SiteName>,
    pub org: Option<OrgLabel>,
}

/// A request that was understood.
#[derive(Debug)]
pub enum Request {
    Get(GetRequest),
    Store(StoreRequest),
    Erase(EraseRequest),
    GetApiKeys(GetApiKeysRequest),
    StoreApiKeys(StoreApiKeysRequest),
    EraseApiKeys(Target),
}

/// Asks for a fresh access token.
#[derive(Clone, Debug, Default)]
pub struct GetRequest {
    pub target: Target,
    /// A demand: the token must live at least this long.
    pub min_ttl: Option<Duration>,
    /// The version to say in the answer, where the request named one.
    pub version: Option<Version>,
}

/// Takes over a token set from elsewhere.
#[derive(Clone, Debug)]
pub struct StoreRequest {
    pub target: Target,
    pub access_token: AccessToken,
    pub refresh: Option<(ClientId, RefreshToken)>,
    pub expiry: Expiry,
    pub scopes: Scopes,
}

/// When a stored token expires, as far as the caller knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    At(Timestamp),
    /// Seconds from now.
    In(i64),
    Unknown,
}

/// Forgets a session, or rejects its access token.
#[derive(Debug)]
pub struct EraseRequest {
    pub target: Target,
    pub what: Erasure,
}

/// What is erased.
#[derive(Debug)]
pub enum Erasure {
    /// The whole session; only the native dialect can ask for that.
    Session,
    /// This access token, and only while it is still the stored one.
    AccessToken(AccessToken),
    /// Whatever access token is stored.
    CurrentAccessToken,
}

impl Target {
    /// The sessions of a site.
    #[must_use]
    pub fn at(site: Site) -> Self {
        Self { site: Some(SiteName::Site(site)), org: None }
    }
}

/// Asks for a key pair.
#[derive(Clone, Debug, Default)]
pub struct GetApiKeysRequest {
    pub target: Target,
    /// The version to say in the answer, where the request named one.
    pub version: Option<Version>,
}

/// Takes over a key pair.
#[derive(Clone, Debug)]
pub struct StoreApiKeysRequest {
    pub target: Target,
    pub api_key: ApiKey,
    pub app_key: Option<ApplicationKey>,
}

/// The answer to [`GetApiKeysRequest`].
#[derive(Clone, Debug)]
pub struct ApiKeysAnswer {
    pub api_key: ApiKey,
    pub app_key: Option<ApplicationKey>,
    pub site: Site,
    pub org: Option<OrgLabel>,
}

/// The answer to [`GetRequest`].
#[derive(Clone, Debug)]
pub struct Answer {
    pub access_token: AccessToken,
    /// Not known of a token that came from outside.
    pub expires: Option<Timestamp>,
    pub site: Site,
    pub org: Option<OrgLabel>,
}

/// A request that was not understood. It names the line, so that a caller can find it, and never
/// shows a line or the value of a secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error(
        "no operation: give get, store or erase as an argument or as the first line of standard input"
    )]
    NoOperation,
    #[error("unknown operation{0}: give get, store or erase")]
    UnknownOperation(String),
    #[error("the operation is {argument} on the command line but {input} on standard input")]
    TwoOperations { argument: &'static str, input: &'static str },
    #[error("line {line} of the request is not key=value")]
    NotKeyValue { line: usize },
    #[error("line {line} of the request has {what}: remove it")]
    BadCharacter { line: usize, what: &'static str },
    #[error("line {line} of the request is longer than {limit} bytes")]
    LongLine { line: usize, limit: usize },
    #[error("the request is longer than {limit} bytes")]
    TooLong { limit: usize },
    #[error("line {line} of the request repeats the key {key}")]
    Duplicate { line: usize, key: &'static str },
    #[error("the {operation} request lacks the key {key}{why}")]
    Missing { operation: &'static str, key: &'static str, why: &'static str },
    #[error("{key} in the request {why}")]
    BadValue { key: &'static str, why: String },
    /// The place, and nothing of what stands there: it may be a secret.
    #[error(
        "the request is not the JSON object that it should be: {what} at line {line}, column {column}"
    )]
    Json { what: &'static str, line: usize, column: usize },
    #[error("no more of the request came for {} s; end it with an empty line", .0.as_secs())]
    Stalled(Duration),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_called_as_its_caller_looks_for_it() {
        assert_eq!(Dialect::of_program("git-credential-dd-oauth"), Some(Dialect::Git));
        assert_eq!(Dialect::of_program("docker-credential-dd-oauth"), Some(Dialect::Docker));
        assert_eq!(Dialect::of_program("bazel-credential-dd-oauth"), Some(Dialect::Bazel));
        for other in ["dd-oauth", "native-credential-dd-oauth", "git-credential-dd-oauth2", ""] {
            assert_eq!(Dialect::of_program(other), None, "{other}");
        }
    }

    #[test]
    fn every_operation_is_known_by_its_name() {
        for operation in [Operation::Get, Operation::Store, Operation::Erase] {
            assert_eq!(Operation::named(operation.name()), Some(operation));
        }
        assert_eq!(Operation::named("GET"), None);
    }
}
