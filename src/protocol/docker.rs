//! The dialect of docker's credential helpers (github.com/docker/docker-credential-helpers).
//!
//! Its callers compare the messages to the letter.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Answer, EraseRequest, Erasure, GetRequest, RequestError, Target, input, url};
use crate::site::Site;

/// What docker asks of a helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Get,
    Store,
    Erase,
    List,
    Version,
}

impl Operation {
    /// By its name on the command line.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "get" => Some(Self::Get),
            "store" => Some(Self::Store),
            "erase" => Some(Self::Erase),
            "list" => Some(Self::List),
            "version" => Some(Self::Version),
            _ => None,
        }
    }
}

/// Says to docker that `Secret` is an identity token: it goes into a token request of the registry
/// and not into a password.
const USERNAME: &str = "<token>";

/// Why there is no answer, in the words that docker knows.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DockerError {
    #[error("credentials not found in native keychain")]
    NotFound,
    #[error("no credentials server URL")]
    NoServerUrl,
    #[error("no credentials username")]
    NoUsername,
    #[error("usage: docker-credential-dd-oauth <store|get|erase|list|version>")]
    NoOperation,
    #[error("unknown credential action: give store, get, erase, list or version")]
    UnknownOperation,
    /// Anything that docker has no words for.
    #[error("{0}")]
    Other(String),
}

impl From<RequestError> for DockerError {
    fn from(error: RequestError) -> Self {
        Self::Other(error.to_string())
    }
}

/// The server that a `get` or `erase` is about.
#[derive(Debug)]
pub struct Server {
    /// As the request wrote it.
    pub url: String,
    /// Nothing where the server is no site's.
    pub site: Option<Site>,
}

/// Understands the request of a `get` or `erase`: the URL or the host of a server.
///
/// # Errors
/// If there is none, or it has control characters.
pub fn parse_server(bytes: &[u8]) -> Result<Server, DockerError> {
    let not_text = |_| RequestError::BadCharacter { line: 1, what: "bytes that are not UTF-8" };
    let url = std::str::from_utf8(bytes).map_err(not_text)?.trim_ascii();
    if url.is_empty() {
        return Err(DockerError::NoServerUrl);
    }
    if url.chars().any(char::is_control) {
        let error = RequestError::BadCharacter { line: 1, what: "a control character" };
        return Err(error.into());
    }
    Ok(Server { url: url.to_string(), site: url::site_of_registry(url) })
}

impl Server {
    /// As a `get`; nothing where the server is no site's.
    #[must_use]
    pub fn get(&self) -> Option<GetRequest> {
        let target = Target::at(self.site.clone()?);
        Some(GetRequest { target, ..GetRequest::default() })
    }

    /// As an `erase`, which rejects the current access token and never forgets a session; nothing
    /// where the server is no site's.
    #[must_use]
    pub fn erase(&self) -> Option<EraseRequest> {
        let target = Target::at(self.site.clone()?);
        Some(EraseRequest { target, what: Erasure::CurrentAccessToken })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Credentials {
    #[serde(default, rename = "ServerURL")]
    server_url: String,
    #[serde(default)]
    username: String,
}

/// Checks the request of a `store`. What it brings is not kept.
///
/// # Errors
/// If docker's own helpers refuse it.
pub fn check_store(bytes: &[u8]) -> Result<(), DockerError> {
    let Credentials { server_url, username } = input::object(bytes)?;
    match (server_url.is_empty(), username.is_empty()) {
        (true, _) => Err(DockerError::NoServerUrl),
        (false, true) => Err(DockerError::NoUsername),
        (false, false) => Ok(()),
    }
}

/// Writes the answer to a `get` about `server`.
#[must_use]
pub fn render(answer: &Answer, server: &Server) -> String {
    let secret = answer.access_token.expose();
    format!("{}\n", json!({"ServerURL": server.url, "Username": USERNAME, "Secret": secret}))
}

/// Writes the answer to a `list`: each server once, and its user.
#[must_use]
pub fn render_list<'a>(sites: impl Iterator<Item = &'a Site>) -> String {
    let servers: Map<_, _> =
        sites.map(|site| (site.api_url(), Value::String(USERNAME.into()))).collect();
    format!("{}\n", Value::Object(servers))
}

/// The answer to `version`.
pub const VERSION: &str =
    concat!("docker-credential-dd-oauth (dd-oauth) v", env!("CARGO_PKG_VERSION"), "\n");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::secret::Secret;

    #[test]
    fn a_server_is_a_host_or_a_url() {
        let site =
            |text: &str| parse_server(text.as_bytes()).unwrap().site.map(|site| site.to_string());
        for text in ["api.datadoghq.eu", " https://api.datadoghq.eu/v2/\r\n", "datadoghq.eu\n"] {
            assert_eq!(site(text).as_deref(), Some("datadoghq.eu"), "{text}");
        }
        for text in ["https://index.docker.io/v1/", "http://api.datadoghq.eu", "{}", "eu1"] {
            assert_eq!(site(text), None, "{text}");
        }
        for nothing in ["", "\n", " \r\n"] {
            assert_eq!(parse_server(nothing.as_bytes()).unwrap_err(), DockerError::NoServerUrl);
        }
        for bad in [&b"evil.test\napi.datadoghq.eu"[..], b"api.datadoghq.eu\0", b"\xff"] {
            assert!(matches!(parse_server(bad), Err(DockerError::Other(_))), "{bad:?}");
        }
    }

    #[test]
    fn a_store_is_checked_as_docker_checks_it() {
        let store = |text: &str| check_store(text.as_bytes());
        let good = r#"{"ServerURL":"https://api.datadoghq.eu","Username":"<token>","Secret":"s"}"#;
        assert_eq!(store(good), Ok(()));
        assert_eq!(store(r#"{"Username":"u","Secret":"s"}"#), Err(DockerError::NoServerUrl));
        assert_eq!(store(r#"{"ServerURL":"s"}"#), Err(DockerError::NoUsername));
        for bad in ["", "[]", "{", r#"{"ServerURL":1}"#, r#"{"Username":"a","Username":"b"}"#] {
            assert!(matches!(store(bad), Err(DockerError::Other(_))), "{bad}");
        }
        let error = store("{\"ServerURL\": canary").unwrap_err().to_string();
        assert!(!error.contains("canary"), "{error}");
    }

    #[test]
    fn answers_are_written_to_the_byte() {
        let answer = Answer {
            access_token: Secret::parse("to\"ken".to_string()).unwrap(),
            expires: Some(Timestamp::from_seconds(0)),
            site: Site::parse("datadoghq.eu").unwrap(),
            org: None,
        };
        let server = parse_server(b"api.datadoghq.eu\n").unwrap();
        assert_eq!(
            render(&answer, &server),
            "{\"Secret\":\"to\\\"ken\",\"ServerURL\":\"api.datadoghq.eu\",\"Username\":\"<token>\"}\n"
        );
        let site = Site::parse("datadoghq.eu").unwrap();
        let twice = [&site, &site];
        assert_eq!(render_list(twice.into_iter()), "{\"https://api.datadoghq.eu\":\"<token>\"}\n");
        assert_eq!(render_list([].into_iter()), "{}\n");
    }
}
