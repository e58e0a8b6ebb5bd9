//! The dialect of git's credential helpers (git-credential(1), gitcredentials(7)).
//!
//! Stricter than git itself, which reads a line as it comes: no carriage return anywhere, no key
//! twice that says whom the credential is for, and no `url`.

use std::collections::BTreeMap;

use super::input::line_text;
use super::{Answer, EraseRequest, Erasure, GetRequest, RequestError, Target};
use crate::secret::AccessToken;
use crate::site::Site;

/// What git asks of a helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Get,
    Store,
    Erase,
    Capability,
}

impl Operation {
    /// By its name on the command line. git may add more, which a helper ignores.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "get" => Some(Self::Get),
            "store" => Some(Self::Store),
            "erase" => Some(Self::Erase),
            "capability" => Some(Self::Capability),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Store => "store",
            Self::Erase => "erase",
            Self::Capability => "capability",
        }
    }
}

/// A request about a site.
#[derive(Debug)]
pub struct Request {
    pub site: Site,
    /// How the credential is to be written.
    pub form: Form,
    /// The access token that stands in the request: with `erase`, the one that was rejected.
    pub credential: Credential,
}

/// How a credential is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// As a bearer token, for callers that announce the capability `authtype`.
    Bearer,
    /// As the password of this user, for all others.
    Password { username: Option<String> },
}

/// The credential in a request.
#[derive(Clone, Debug)]
pub enum Credential {
    None,
    Token(AccessToken),
    /// Something that is no access token of anybody's.
    Foreign,
}

/// Keys that may stand once: who reads the first of two and who reads the last would disagree on
/// whom the credential is for.
const SINGLE_KEYS: [&str; 7] =
    ["protocol", "host", "path", "username", "password", "authtype", "credential"];

/// The user of a bearer token that has to pass for a password.
const USERNAME: &str = "oauth2";

/// Understands a request; nothing where it is about a host that is no site's, which is left to the
/// next helper.
///
/// # Errors
/// If it does not say whom the credential is for, or could be read in two ways.
pub fn parse(bytes: &[u8], operation: Operation) -> Result<Option<Request>, RequestError> {
    let mut fields: BTreeMap<&str, &str> = BTreeMap::new();
    let mut bearer = false;
    for (position, bytes) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let line = position + 1;
        let text = line_text(line, bytes.strip_suffix(b"\n").unwrap_or(bytes))?;
        let (key, value) = text.split_once('=').ok_or(RequestError::NotKeyValue { line })?;
        if key == "capability[]" {
            // An empty value clears the list.
            bearer = (bearer || value == "authtype") && !value.is_empty();
        } else if key == "url" {
            let why = "stands beside what it is made of: give protocol and host".into();
            return Err(RequestError::BadValue { key: "url", why });
        } else if let Some(key) = SINGLE_KEYS.into_iter().find(|known| *known == key)
            && fields.insert(key, value).is_some()
        {
            return Err(RequestError::Duplicate { line, key });
        }
    }
    let required = |key| {
        let why = ": a credential is given only for a protocol and a host that are named";
        let missing = RequestError::Missing { operation: operation.name(), key, why };
        fields.get(key).copied().filter(|value| !value.is_empty()).ok_or(missing)
    };
    let (protocol, host) = (required("protocol")?, required("host")?);
    let Some(site) = Site::at(protocol, host) else { return Ok(None) };
    let form = if bearer {
        Form::Bearer
    } else {
        let username = fields.get("username").filter(|name| !name.is_empty());
        Form::Password { username: username.map(ToString::to_string) }
    };
    let credential = match fields.get("credential").or_else(|| fields.get("password")) {
        None => Credential::None,
        Some(text) => {
            AccessToken::parse((*text).to_string()).map_or(Credential::Foreign, Credential::Token)
        }
    };
    Ok(Some(Request { site, form, credential }))
}

impl Request {
    /// As a `get`.
    #[must_use]
    pub fn get(&self) -> GetRequest {
        GetRequest { target: Target::at(self.site.clone()), ..GetRequest::default() }
    }

    /// As an `erase`, which rejects an access token and never forgets a session; nothing where the
    /// credential that was rejected is none of ours.
    #[must_use]
    pub fn erase(&self) -> Option<EraseRequest> {
        let what = match &self.credential {
            Credential::None => Erasure::CurrentAccessToken,
            Credential::Token(token) => Erasure::AccessToken(token.clone()),
            Credential::Foreign => return None,
        };
        Some(EraseRequest { target: Target::at(self.site.clone()), what })
    }
}

/// Writes the answer to a `get`.
#[must_use]
pub fn render(answer: &Answer, form: &Form) -> String {
    let token = answer.access_token.expose();
    // Of a token from outside nobody knows it.
    let expiry = answer
        .expires
        .map_or_else(String::new, |expires| format!("password_expiry_utc={}\n", expires.seconds()));
    match form {
        // git reads the capability before what it allows.
        Form::Bearer => format!(
            "capability[]=authtype\nauthtype=Bearer\ncredential={token}\nephemeral=1\n{expiry}"
        ),
        Form::Password { username } => {
            let username = username.as_deref().unwrap_or(USERNAME);
            format!("username={username}\npassword={token}\n{expiry}")
        }
    }
}

/// The answer to a `get` that only a login can answer: git asks neither another helper nor a
/// person, who could only type something wrong.
pub const QUIT: &str = "quit=1\n";

/// The answer to `capability`.
pub const CAPABILITIES: &str = "version 0\ncapability authtype\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::secret::Secret;

    fn get(text: &str) -> Result<Option<Request>, RequestError> {
        parse(text.as_bytes(), Operation::Get)
    }

    fn form(more: &str) -> Form {
        get(&format!("protocol=https\nhost=api.datadoghq.eu\n{more}")).unwrap().unwrap().form
    }

    #[test]
    fn the_caller_says_how_the_credential_is_written() {
        let password = |name: Option<&str>| Form::Password { username: name.map(Into::into) };
        assert_eq!(form(""), password(None));
        assert_eq!(form("capability[]=state\nusername=somebody\n"), password(Some("somebody")));
        assert_eq!(form("capability[]=authtype\ncapability[]=state\n"), Form::Bearer);
        assert_eq!(form("capability[]=authtype\ncapability[]=\n"), password(None));
        assert_eq!(form("wwwauth[]=Bearer\nwwwauth[]=Basic\nsurprise=1\nsurprise=2\n"), form(""));
    }

    #[test]
    fn a_host_of_nobody_known_is_left_to_the_next_helper() {
        for (protocol, host) in [
            ("https", "github.com"),
            ("https", "datadoghq.eu.evil.test"),
            ("https", "api.datadoghq.eu:8443"),
            ("http", "api.datadoghq.eu"),
            ("smtp", "api.datadoghq.eu"),
            ("https", "%1b[31mapi.datadoghq.eu"),
        ] {
            let request = get(&format!("protocol={protocol}\nhost={host}\n"));
            assert!(matches!(request, Ok(None)), "{protocol} {host}: {request:?}");
        }
    }

    #[test]
    fn a_request_that_does_not_say_whom_it_is_for_is_refused() {
        for bad in [
            "",
            "protocol=https\n",
            "host=api.datadoghq.eu\n",
            "protocol=\nhost=api.datadoghq.eu\n",
            "protocol=https\nhost=\npath=api.datadoghq.eu\n",
            "protocol=https\npath=host=api.datadoghq.eu\n",
        ] {
            assert!(matches!(get(bad), Err(RequestError::Missing { .. })), "{bad}");
        }
        let doubled = get("protocol=https\nhost=evil.test\nhost=api.datadoghq.eu\n").unwrap_err();
        assert_eq!(doubled, RequestError::Duplicate { line: 3, key: "host" });
        let url = get("protocol=https\nhost=api.datadoghq.eu\nurl=https://evil.test\n");
        assert!(matches!(url, Err(RequestError::BadValue { key: "url", .. })));
        let line = get("protocol=https\nhost\n").unwrap_err();
        assert_eq!(line, RequestError::NotKeyValue { line: 2 });
    }

    #[test]
    fn an_erase_rejects_what_it_names_and_never_the_session() {
        let erase = |more: &str| {
            let request = format!("protocol=https\nhost=api.datadoghq.eu\n{more}");
            parse(request.as_bytes(), Operation::Erase).unwrap().unwrap().erase()
        };
        let named = |more| match erase(more) {
            Some(EraseRequest { what: Erasure::AccessToken(token), .. }) => {
                token.expose().to_string()
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(named("authtype=Bearer\ncredential=token\n"), "token");
        assert_eq!(named("username=oauth2\npassword=token\n"), "token");
        let current = erase("").unwrap().what;
        assert!(matches!(current, Erasure::CurrentAccessToken), "{current:?}");
        assert!(erase("password=two words\n").is_none());
        assert!(erase("password=\n").is_none());
    }

    #[test]
    fn an_answer_is_written_to_the_byte() {
        let answer = Answer {
            access_token: Secret::parse("-token=".to_string()).unwrap(),
            expires: Some(Timestamp::from_millis(1_800_000_000_999)),
            site: Site::parse("datadoghq.eu").unwrap(),
            org: None,
        };
        assert_eq!(
            render(&answer, &Form::Bearer),
            "capability[]=authtype\nauthtype=Bearer\ncredential=-token=\nephemeral=1\n\
            password_expiry_utc=1800000000\n"
        );
        assert_eq!(
            render(&answer, &Form::Password { username: None }),
            "username=oauth2\npassword=-token=\npassword_expiry_utc=1800000000\n"
        );
        let form = Form::Password { username: Some("somebody".into()) };
        assert!(render(&answer, &form).starts_with("username=somebody\npassword="));
    }
}
