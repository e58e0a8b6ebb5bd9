//! The native dialect: lines of `key=value`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use super::input::content;
use super::input::line_text;
use super::{
    Answer, ApiKeysAnswer, EraseRequest, Erasure, Expiry, GetApiKeysRequest, GetRequest, Operation,
    Request, RequestError, StoreApiKeysRequest, StoreRequest, Target, Version,
};
use crate::clock::Timestamp;
use crate::names::{ClientId, OrgLabel};
use crate::scope::Scopes;
use crate::secret::{MAX_TOKEN_BYTES, Secret};
use crate::site::SiteName;

/// Every key that a request can have; all others are ignored.
const KEYS: [&str; 13] = [
    "version",
    "site",
    "org",
    "min_ttl",
    "access_token",
    "refresh_token",
    "client_id",
    "expires_at",
    "expires_in",
    "scope",
    "kind",
    "api_key",
    "app_key",
];

/// Longest `min_ttl` that can be asked for: no access token lives longer than a year.
const LONGEST_MIN_TTL: u64 = 366 * 24 * 60 * 60;

/// Understands a request, of which `argument` is the operation that the command line gave.
///
/// # Errors
/// For anything that `protocol.md` does not allow.
pub fn parse(bytes: &[u8], argument: Option<Operation>) -> Result<Request, RequestError> {
    let mut lines = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .map(content)
        .enumerate()
        .map(|(position, line)| (position + 1, line))
        .peekable();
    let first_is_operation = lines.peek().is_some_and(|(_, line)| !line.contains(&b'='));
    let input = match lines.next_if(|_| first_is_operation) {
        Some((line, bytes)) => Some(parse_operation(line_text(line, bytes)?)?),
        None => None,
    };
    let operation = match (argument, input) {
        (Some(argument), Some(input)) if argument != input => {
            return Err(RequestError::TwoOperations {
                argument: argument.name(),
                input: input.name(),
            });
        }
        (Some(operation), _) | (None, Some(operation)) => operation,
        (None, None) => return Err(RequestError::NoOperation),
    };
    let mut fields = Fields::default();
    for (line, bytes) in lines {
        fields.add(line, line_text(line, bytes)?)?;
    }
    let version = fields.version()?;
    let target = fields.target()?;
    if fields.asks_for_keys()? {
        return Ok(match operation {
            Operation::Get => Request::GetApiKeys(GetApiKeysRequest { target, version }),
            Operation::Store => Request::StoreApiKeys(fields.store_api_keys(target)?),
            Operation::Erase => Request::EraseApiKeys(target),
        });
    }
    match operation {
        Operation::Get => {
            let min_ttl = fields.min_ttl()?;
            Ok(Request::Get(GetRequest { target, min_ttl, version }))
        }
        Operation::Store => fields.store(target).map(Request::Store),
        Operation::Erase => {
            let token = fields.secret("access_token")?;
            let what = token.map_or(Erasure::Session, Erasure::AccessToken);
            Ok(Request::Erase(EraseRequest { target, what }))
        }
    }
}

/// Writes an answer about a key pair; `version` where the request named one.
#[must_use]
pub fn render_api_keys(answer: &ApiKeysAnswer, version: Option<Version>) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: &str| add_line(&mut text, key, value);
    if let Some(Version::V1) = version {
        line("version", "1");
    }
    line("api_key", answer.api_key.expose());
    if let Some(app_key) = &answer.app_key {
        line("app_key", app_key.expose());
    }
    line("site", &answer.site.to_string());
    line("api_url", &answer.site.api_url());
    if let Some(org) = &answer.org {
        line("org", &org.to_string());
    }
    text
}

fn add_line(text: &mut String, key: &str, value: &str) {
    debug_assert!(!value.contains(['\n', '\r', '\0']), "a value of an answer is one line");
    text.push_str(key);
    text.push('=');
    text.push_str(value);
    text.push('\n');
}

/// Writes an answer; `version` where the request named one.
#[must_use]
pub fn render(answer: &Answer, version: Option<Version>) -> String {
    let mut text = String::new();
    for (key, value) in fields(answer, version) {
        add_line(&mut text, key, &value);
    }
    text
}

/// The keys of an answer and their values, in order.
pub(super) fn fields(
    answer: &Answer,
    version: Option<Version>,
) -> impl Iterator<Item = (&'static str, Cow<'_, str>)> {
    [
        version.map(|Version::V1| ("version", "1".into())),
        Some(("access_token", answer.access_token.expose().into())),
        Some(("token_type", "Bearer".into())),
        answer.expires.map(|expires| ("expires_at", expires.seconds().to_string().into())),
        Some(("site", answer.site.to_string().into())),
        Some(("api_url", answer.site.api_url().into())),
        answer.org.as_ref().map(|org| ("org", org.to_string().into())),
    ]
    .into_iter()
    .flatten()
}

fn parse_operation(line: &str) -> Result<Operation, RequestError> {
    let name = line.trim_matches([' ', '\t']);
    // Only what can be a misspelt operation is shown: anything else may be a token.
    let is_word = name.len() <= 12 && name.bytes().all(|byte| byte.is_ascii_lowercase());
    let shown = || if is_word { format!(" {name:?}") } else { " on line 1".into() };
    Operation::named(name).ok_or_else(|| RequestError::UnknownOperation(shown()))
}

/// The known keys of one request.
#[derive(Default)]
struct Fields<'a>(BTreeMap<&'static str, &'a str>);

impl<'a> Fields<'a> {
    fn add(&mut self, line: usize, text: &'a str) -> Result<(), RequestError> {
        let (name, value) = text.split_once('=').ok_or(RequestError::NotKeyValue { line })?;
        let Some(key) = KEYS.into_iter().find(|key| *key == name) else {
            return Ok(());
        };
        match self.0.insert(key, value) {
            None => Ok(()),
            Some(_) => Err(RequestError::Duplicate { line, key }),
        }
    }

    fn get(&self, key: &'static str) -> Option<&'a str> {
        self.0.get(key).copied()
    }

    fn version(&self) -> Result<Option<Version>, RequestError> {
        match self.get("version").map(digits) {
            None => Ok(None),
            // Whoever knows a later version knows this one too.
            Some(Some(1..=0xffff_ffff)) => Ok(Some(Version::V1)),
            Some(_) => Err(bad("version", "is not a version that this program knows: it knows 1")),
        }
    }

    fn target(&self) -> Result<Target, RequestError> {
        let site = self.get("site").map(SiteName::parse).transpose();
        let org = match self.get("org") {
            None => None,
            Some(org) => Some(OrgLabel::parse(org).ok_or_else(|| {
                bad(
                    "org",
                    "is not an organization: it has 1 to 128 bytes and no control characters",
                )
            })?),
        };
        Ok(Target { site: site.map_err(|error| bad("site", error))?, org })
    }

    fn min_ttl(&self) -> Result<Option<Duration>, RequestError> {
        match self.get("min_ttl").map(digits) {
            None => Ok(None),
            Some(Some(seconds)) if seconds <= LONGEST_MIN_TTL => {
                Ok(Some(Duration::from_secs(seconds)))
            }
            Some(_) => Err(bad("min_ttl", "is not a number of seconds within a year")),
        }
    }

    fn store(&self, target: Target) -> Result<StoreRequest, RequestError> {
        let missing = |key, why| RequestError::Missing { operation: "store", key, why };
        let access_token =
            self.secret("access_token")?.ok_or_else(|| missing("access_token", ""))?;
        let client_id = match self.get("client_id") {
            None => None,
            Some(text) => {
                Some(ClientId::parse(text).ok_or_else(|| bad("client_id", "is not a client id"))?)
            }
        };
        let refresh = match (client_id, self.secret("refresh_token")?) {
            (Some(client_id), Some(token)) => Some((client_id, token)),
            (None, Some(_)) => {
                return Err(missing("client_id", ": a refresh token is good only for its client"));
            }
            (_, None) => None,
        };
        let scopes = Scopes::parse(self.get("scope").unwrap_or_default())
            .map_err(|error| bad("scope", error))?;
        let expiry = self.expiry()?;
        Ok(StoreRequest { target, access_token, refresh, expiry, scopes })
    }

    /// Whether the request is about a key pair, and not about the tokens of a session.
    fn asks_for_keys(&self) -> Result<bool, RequestError> {
        match self.get("kind") {
            None => Ok(false),
            Some("api-key") => Ok(true),
            Some(_) => Err(bad("kind", "is none that this program knows: it knows api-key")),
        }
    }

    fn store_api_keys(&self, target: Target) -> Result<StoreApiKeysRequest, RequestError> {
        let missing = RequestError::Missing { operation: "store", key: "api_key", why: "" };
        let api_key = self.secret("api_key")?.ok_or(missing)?;
        Ok(StoreApiKeysRequest { target, api_key, app_key: self.secret("app_key")? })
    }

    fn expiry(&self) -> Result<Expiry, RequestError> {
        let seconds = |key| match self.get(key) {
            None => Ok(None),
            Some(text) if text.starts_with('+') => Err(bad(key, "is not a number of seconds")),
            Some(text) => match text.parse() {
                Ok(seconds) => Ok(Some(seconds)),
                Err(_) => Err(bad(key, "is not a number of seconds")),
            },
        };
        match (seconds("expires_at")?, seconds("expires_in")?) {
            (Some(_), Some(_)) => Err(bad("expires_in", "stands beside expires_at: give one")),
            (Some(at), None) => Ok(Expiry::At(Timestamp::from_seconds(at))),
            (None, Some(span)) => Ok(Expiry::In(span)),
            (None, None) => Ok(Expiry::Unknown),
        }
    }

    fn secret<Kind>(&self, key: &'static str) -> Result<Option<Secret<Kind>>, RequestError> {
        let Some(text) = self.get(key) else { return Ok(None) };
        let secret = Secret::parse(text.to_string()).ok_or_else(|| {
            bad(key, format!("is not 1 to {MAX_TOKEN_BYTES} visible ASCII characters"))
        })?;
        Ok(Some(secret))
    }
}

/// A number without a sign.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn bad(key: &'static str, why: impl std::fmt::Display) -> RequestError {
    RequestError::BadValue { key, why: format!("{why}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::Site;

    fn get(text: &str) -> GetRequest {
        match parse(text.as_bytes(), None) {
            Ok(Request::Get(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    fn error(text: &str) -> RequestError {
        parse(text.as_bytes(), None).unwrap_err()
    }

    #[test]
    fn the_operation_is_an_argument_or_the_first_line() {
        assert!(matches!(parse(b"get", None), Ok(Request::Get(_))));
        assert!(matches!(parse(b" get \t\r\n", None), Ok(Request::Get(_))));
        assert!(matches!(parse(b"", Some(Operation::Get)), Ok(Request::Get(_))));
        assert!(matches!(parse(b"site=us1", Some(Operation::Erase)), Ok(Request::Erase(_))));
        assert!(matches!(parse(b"get\nsite=us1", Some(Operation::Get)), Ok(Request::Get(_))));
        assert_eq!(error("site=us1"), RequestError::NoOperation);
        assert_eq!(error(""), RequestError::NoOperation);
        assert_eq!(error("fetch"), RequestError::UnknownOperation(" \"fetch\"".into()));
        assert_eq!(error("eyJhbGciOi"), RequestError::UnknownOperation(" on line 1".into()));
        let two = parse(b"get", Some(Operation::Store)).unwrap_err();
        assert_eq!(two, RequestError::TwoOperations { argument: "store", input: "get" });
    }

    #[test]
    fn a_get_names_site_organization_and_demand() {
        let request =
            get("get\nsite=EU1\norg=Acme\nmin_ttl=1800\nversion=7\nsurprise=1\nsurprise=2\n");
        assert_eq!(request.target.site, Some(SiteName::parse("datadoghq.eu").unwrap()));
        assert_eq!(request.target.org, OrgLabel::parse("Acme"));
        assert_eq!(request.min_ttl, Some(Duration::from_mins(30)));
        assert_eq!(request.version, Some(Version::V1));
    }

    #[test]
    fn a_store_needs_an_access_token_and_a_client_for_a_refresh_token() {
        let stored = |text: &str| match parse(text.as_bytes(), Some(Operation::Store)) {
            Ok(Request::Store(request)) => Ok(request),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        };
        let request =
            stored("access_token=-a=b\nrefresh_token=r\nclient_id=c\nexpires_at=5").unwrap();
        assert_eq!(request.access_token.expose(), "-a=b");
        assert_eq!(request.expiry, Expiry::At(Timestamp::from_seconds(5)));
        assert!(stored("").unwrap_err().contains("access_token"));
        assert!(stored("access_token=a\nrefresh_token=r").unwrap_err().contains("client_id"));
        assert!(stored("access_token=a b").unwrap_err().contains("visible ASCII"));
        assert!(stored("access_token=a\nexpires_at=1\nexpires_in=1").is_err());
        assert!(stored("access_token=a\nexpires_at=soon").is_err());
    }

    #[test]
    fn what_is_malformed_is_named_by_its_line() {
        assert_eq!(error("get\nsite"), RequestError::NotKeyValue { line: 2 });
        assert_eq!(error("get\norg=a\norg=b"), RequestError::Duplicate { line: 3, key: "org" });
        for (bad, what) in [
            ("get\norg=a\rb", "a carriage return inside"),
            ("get\norg=a\0b", "a NUL byte"),
            ("get\norg=a\u{1b}b", "a control character"),
        ] {
            assert_eq!(error(bad), RequestError::BadCharacter { line: 2, what });
        }
        let not_utf8 = parse(b"get\norg=\xff", None).unwrap_err();
        assert!(matches!(not_utf8, RequestError::BadCharacter { line: 2, .. }));
        for bad in [
            "version=0",
            "version=x",
            "version=+1",
            "min_ttl=-1",
            "min_ttl=+1",
            "min_ttl=1h",
            "site=us9",
            "org=",
        ] {
            let error = error(&format!("get\n{bad}"));
            assert!(matches!(error, RequestError::BadValue { .. }), "{bad}: {error}");
        }
    }

    #[test]
    fn keys_are_asked_for_by_their_kind() {
        let parsed = |text: &str| parse(text.as_bytes(), None);
        assert!(matches!(parsed("get\nkind=api-key\nsite=us1"), Ok(Request::GetApiKeys(_))));
        assert!(matches!(parsed("erase\nkind=api-key"), Ok(Request::EraseApiKeys(_))));
        let Ok(Request::StoreApiKeys(stored)) = parsed("store\nkind=api-key\napi_key=k") else {
            panic!("a key without an application key is stored");
        };
        assert!(stored.api_key.expose() == "k" && stored.app_key.is_none());
        assert!(matches!(error("store\nkind=api-key\napp_key=k"), RequestError::Missing { .. }));
        for bad in ["get\nkind=", "get\nkind=token", "store\nkind=api-key\napi_key=a b"] {
            assert!(matches!(error(bad), RequestError::BadValue { .. }), "{bad}");
        }
    }

    #[test]
    fn an_answer_is_written_to_the_byte() {
        let answer = Answer {
            access_token: Secret::parse("-token".to_string()).unwrap(),
            expires: Some(Timestamp::from_millis(1_800_000_000_999)),
            site: Site::parse("datadoghq.eu").unwrap(),
            org: OrgLabel::parse("Acme Inc."),
        };
        let text = "access_token=-token\ntoken_type=Bearer\nexpires_at=1800000000\n\
            site=datadoghq.eu\napi_url=https://api.datadoghq.eu\norg=Acme Inc.\n";
        assert_eq!(render(&answer, None), text);
        assert_eq!(render(&answer, Some(Version::V1)), format!("version=1\n{text}"));
        let from_outside = Answer { expires: None, ..answer };
        assert_eq!(render(&from_outside, None), text.replace("expires_at=1800000000\n", ""));
    }
}
