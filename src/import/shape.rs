//! The JSON of earlier tools. datadog-cli writes `accessToken` and pup writes `access_token`; both
//! mean the same.
//!
//! Messages never show the content. A parser's own message would, so it is not used.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::clock::Timestamp;
use crate::names::ClientId;
use crate::scope::Scopes;
use crate::secret::{AccessToken, RefreshToken, Secret};
use crate::session::{Access, Lifetime, Registration};
use crate::site::Site;

/// Under what name pup keeps a session without an organization.
const NO_ORGANIZATION: &str = "__default__";
/// A client has a handful of redirect URIs.
const MOST_REDIRECT_URIS: usize = 32;
/// A later moment in seconds is beyond the year 5000: it is in milliseconds.
const SURELY_MILLISECONDS: i64 = 100_000_000_000;

/// How a file or entry holds sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One session, as its whole content.
    One,
    /// An object with a session for each site.
    BySite,
    /// An object with a session for each organization; before pup knew those, [`Shape::One`].
    ByOrg,
    /// An object whose `tokens` are [`Shape::ByOrg`], beside the client.
    State,
}

/// Which part of a file or entry a session is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Whole,
    /// The member of this name.
    Member(String),
    /// The member of this name in `tokens`.
    Token(String),
}

impl Part {
    /// The name of the site or organization, if the part has one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Member(name) | Self::Token(name) if name != NO_ORGANIZATION => Some(name),
            _ => None,
        }
    }
}

type Members<'a> = BTreeMap<String, &'a RawValue>;

fn members(text: &str) -> Result<Members<'_>, &'static str> {
    serde_json::from_str(text).map_err(|_| "is not the JSON object that it should be")
}

fn tokens_in<'a>(state: &Members<'a>) -> Result<Members<'a>, &'static str> {
    state.get("tokens").map_or(Ok(Members::new()), |tokens| members(tokens.get()))
}

/// The parts of a content that should be sessions, as they are written.
pub fn parts(shape: Shape, text: &str) -> Result<Vec<(Part, &str)>, &'static str> {
    let named = |members: Members<'_>, part: fn(String) -> Part| {
        members.into_keys().map(part).collect::<Vec<_>>()
    };
    let parts = match shape {
        Shape::One => vec![Part::Whole],
        Shape::ByOrg if members(text)?.contains_key("access_token") => vec![Part::Whole],
        Shape::BySite | Shape::ByOrg => named(members(text)?, Part::Member),
        Shape::State => named(tokens_in(&members(text)?)?, Part::Token),
    };
    let found = parts.into_iter().filter_map(|part| {
        let written = part_of(text, &part)?;
        Some((part, written))
    });
    Ok(found.collect())
}

/// One part of a content, as it is written.
pub fn part_of<'a>(text: &'a str, part: &Part) -> Option<&'a str> {
    let raw = match part {
        Part::Whole => return Some(text),
        Part::Member(name) => members(text).ok()?.remove(name)?,
        Part::Token(name) => tokens_in(&members(text).ok()?).ok()?.remove(name)?,
    };
    Some(raw.get())
}

/// The content without one part, everything else as it was written; nothing where nothing is left.
pub fn without(text: &str, part: &Part) -> Option<Zeroizing<Vec<u8>>> {
    match part {
        Part::Whole => None,
        Part::Member(name) => {
            let mut members = members(text).ok()?;
            members.remove(name);
            (!members.is_empty()).then(|| written(&members, text))
        }
        Part::Token(name) => {
            let mut state = members(text).ok()?;
            let mut tokens = tokens_in(&state).ok()?;
            tokens.remove(name);
            let others = state.iter().any(|(key, raw)| key != "tokens" && raw.get() != "null");
            if tokens.is_empty() && !others {
                return None;
            }
            let tokens = written(&tokens, text);
            let tokens: &RawValue = serde_json::from_slice(&tokens).ok()?;
            state.insert("tokens".into(), tokens);
            Some(written(&state, text))
        }
    }
}

fn written<'a>(members: &BTreeMap<String, &'a RawValue>, before: &'a str) -> Zeroizing<Vec<u8>> {
    // Room for all of it from the start: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * before.len() + 64));
    members
        .serialize(&mut serde_json::Serializer::pretty(&mut *bytes))
        .expect("text under names is plain data");
    bytes
}

/// What an earlier tool kept of a session.
#[derive(Clone, Debug)]
pub struct Tokens {
    pub access: Access,
    pub refresh: Option<RefreshToken>,
    pub scopes: Scopes,
    pub client_id: Option<ClientId>,
}

#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
struct WrittenTokens {
    #[serde(alias = "accessToken")]
    access_token: String,
    #[serde(alias = "refreshToken")]
    refresh_token: Option<String>,
    #[serde(alias = "tokenType")]
    token_type: Option<String>,
    #[serde(alias = "expiresIn")]
    expires_in: Option<i64>,
    /// Seconds of Unix time.
    #[serde(alias = "issuedAt")]
    issued_at: Option<i64>,
    scope: Option<String>,
    #[serde(alias = "clientId")]
    client_id: Option<String>,
}

impl Tokens {
    /// Reads one part.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let mut written: WrittenTokens =
            serde_json::from_str(text).map_err(|_| "is not a session with its tokens")?;
        let bearer = |kind: &String| kind.is_empty() || kind.eq_ignore_ascii_case("bearer");
        if !written.token_type.as_ref().is_none_or(bearer) {
            return Err("does not hold a bearer token");
        }
        let taken = |text: &mut String| Zeroizing::new(std::mem::take(text));
        let access: AccessToken = Secret::parse(taken(&mut written.access_token))
            .ok_or("holds no proper access token")?;
        let refresh = match written.refresh_token.as_mut().filter(|text| !text.is_empty()) {
            Some(text) => Some(Secret::parse(taken(text)).ok_or("holds no proper refresh token")?),
            None => None,
        };
        let access = match (written.issued_at, written.expires_in) {
            (Some(issued), Some(seconds)) => {
                let issued = Timestamp::from_seconds(issued);
                Access::Held { token: access, lifetime: Lifetime::starting(issued, Some(seconds)) }
            }
            // Nobody knows how old it is; the refresh token brings another.
            _ if refresh.is_some() => Access::Rejected,
            _ => return Err("does not say when its token expires"),
        };
        let scopes = Scopes::parse(written.scope.as_deref().unwrap_or_default())
            .map_err(|_| "names scopes that are none")?;
        let client_id = match written.client_id.as_deref().filter(|text| !text.is_empty()) {
            Some(text) => Some(ClientId::parse(text).ok_or("holds no proper client id")?),
            None => None,
        };
        Ok(Self { access, refresh, scopes, client_id })
    }

    /// Whether `other` is the same grant: it has the same refresh token, or, where neither has
    /// one, the same access token.
    pub fn same_as(&self, other: &Self) -> bool {
        match (&self.refresh, &other.refresh) {
            (Some(one), Some(other)) => one.matches(other),
            (None, None) => same_access(&self.access, &other.access),
            _ => false,
        }
    }
}

/// Whether both hold the same access token.
pub fn same_access(one: &Access, other: &Access) -> bool {
    match (one, other) {
        (Access::Held { token: one, .. }, Access::Held { token: other, .. }) => one.matches(other),
        _ => false,
    }
}

/// The client that an earlier tool registered at a site.
#[derive(Debug)]
pub struct Client {
    pub registration: Registration,
    /// The site that it says it is for.
    pub site: Option<String>,
}

#[derive(Deserialize)]
struct WrittenClient {
    #[serde(alias = "clientId")]
    client_id: String,
    #[serde(alias = "redirectUris", default)]
    redirect_uris: Vec<String>,
    #[serde(alias = "registeredAt")]
    registered_at: Option<i64>,
    site: Option<String>,
}

impl Client {
    /// Reads a client. Redirect URIs that are none of a helper on this machine are left out.
    pub fn parse(text: &str) -> Option<Self> {
        let written: WrittenClient = serde_json::from_str(text).ok()?;
        let client_id = ClientId::parse(&written.client_id)?;
        let mut redirect_uris = written.redirect_uris;
        redirect_uris.retain(|uri| is_local_redirect(uri));
        redirect_uris.truncate(MOST_REDIRECT_URIS);
        let registered = written.registered_at.unwrap_or_default();
        let registered = if registered > SURELY_MILLISECONDS {
            Timestamp::from_millis(registered)
        } else {
            Timestamp::from_seconds(registered)
        };
        let registration = Registration { client_id, redirect_uris, registered };
        Some(Self { registration, site: written.site })
    }

    /// The client in a content with a client for each site.
    pub fn of_site(text: &str, site: &str) -> Option<Self> {
        Self::parse(part_of(text, &Part::Member(site.to_string()))?)
    }

    /// The client beside the tokens of a [`Shape::State`].
    pub fn of_state(text: &str) -> Option<Self> {
        Self::parse(part_of(text, &Part::Member("client".to_string()))?)
    }
}

fn is_local_redirect(uri: &str) -> bool {
    let port = uri
        .strip_prefix("http://127.0.0.1:")
        .and_then(|rest| rest.split_once('/'))
        .map(|(port, _)| port);
    uri.len() <= 200
        && uri.bytes().all(|byte| byte.is_ascii_graphic())
        && port.is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// The site of exactly this name: it comes from outside, so no other spelling counts.
pub fn exact_site(text: &str) -> Option<Site> {
    let other = || {
        let site = Site::parse(text).ok()?;
        (!matches!(site, Site::Datadog(_)) && site.to_string() == text).then_some(site)
    };
    Site::exactly(text).or_else(other)
}

/// What pup makes of a site in names of files and entries.
pub fn pup_name(site: &str) -> String {
    site.chars().map(|char| if char.is_alphanumeric() { char } else { '_' }).collect()
}

/// The site that pup means by `name`: one of the table, or the one that its client names.
pub fn site_of_pup(name: &str, client: Option<&Client>) -> Option<Site> {
    let means = |site: &str| name == site || name == pup_name(site);
    let listed = crate::site::REGIONS.iter().find(|region| means(region.site));
    let named = || client?.site.as_deref().filter(|site| means(site)).and_then(exact_site);
    listed.map(Site::Datadog).or_else(named)
}

/// An entry's content as text, and whether it was UTF-16, as libraries write it on Windows.
pub fn text_of(bytes: &[u8]) -> Option<(Zeroizing<String>, bool)> {
    if bytes.len().is_multiple_of(2) && bytes.get(1) == Some(&0) {
        let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        let mut text = Zeroizing::new(String::with_capacity(bytes.len() * 2));
        for unit in char::decode_utf16(units) {
            text.push(unit.ok()?);
        }
        return Some((text, true));
    }
    Some((Zeroizing::new(str::from_utf8(bytes).ok()?.to_string()), false))
}

/// Puts a text back into the encoding that [`text_of`] found.
pub fn encoded(text: Zeroizing<Vec<u8>>, utf16: bool) -> Zeroizing<Vec<u8>> {
    if !utf16 {
        return text;
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() * 2));
    for unit in str::from_utf8(&text).unwrap_or_default().encode_utf16() {
        bytes.extend(unit.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATADOG_CLI: &str = r#"{"accessToken":"a","refreshToken":"r","tokenType":"Bearer",
        "expiresIn":3600,"issuedAt":1800000000,"scope":"x y","clientId":"c"}"#;

    #[test]
    fn both_ways_to_write_it_mean_the_same() {
        let pup = r#"{"access_token":"a","refresh_token":"r","token_type":"bearer",
            "expires_in":3600,"issued_at":1800000000,"scope":"x y","client_id":"c"}"#;
        for text in [DATADOG_CLI, pup] {
            let tokens = Tokens::parse(text).unwrap();
            let Access::Held { token, lifetime } = tokens.access else { panic!("a token") };
            assert_eq!(token.expose(), "a");
            assert_eq!(lifetime.expires, Timestamp::from_seconds(1_800_003_600));
            assert_eq!(tokens.refresh.unwrap().expose(), "r");
            assert_eq!(tokens.scopes.to_string(), "x y");
            assert_eq!(tokens.client_id.unwrap().as_str(), "c");
        }
    }

    #[test]
    fn what_is_no_session_is_told_without_repeating_it() {
        for (text, why) in [
            ("", "is not a session"),
            ("null", "is not a session"),
            (r#"{"accessToken":5}"#, "is not a session"),
            (r#"{"accessToken":"canary","expiresIn":"canary"}"#, "is not a session"),
            (r#"{"accessToken":"can ary"}"#, "access token"),
            (r#"{"accessToken":""}"#, "access token"),
            (r#"{"accessToken":"a"}"#, "expires"),
            (r#"{"accessToken":"a","refreshToken":"b\n"}"#, "refresh token"),
            (r#"{"accessToken":"a","tokenType":"DPoP"}"#, "bearer"),
            (r#"{"accessToken":"a","refreshToken":"r","scope":"\""}"#, "scopes"),
            (r#"{"accessToken":"a","refreshToken":"r","clientId":"\u0007"}"#, "client id"),
        ] {
            let told = Tokens::parse(text).unwrap_err();
            assert!(told.contains(why), "{text}: {told}");
        }
    }

    #[test]
    fn an_age_that_nobody_knows_is_no_life() {
        let tokens = Tokens::parse(r#"{"accessToken":"a","refreshToken":"r"}"#).unwrap();
        assert!(matches!(tokens.access, Access::Rejected));
    }

    #[test]
    fn one_part_goes_and_the_others_stay_to_the_letter() {
        let text = format!(r#"{{"b":  {DATADOG_CLI}, "a": [1,  2.50, 99999999999999999999]}}"#);
        let left = without(&text, &Part::Member("b".into())).unwrap();
        let left = str::from_utf8(&left).unwrap();
        assert!(left.contains("[1,  2.50, 99999999999999999999]"), "{left}");
        assert!(!left.contains("accessToken"));
        assert!(without(left, &Part::Member("a".into())).is_none());

        let state = format!(r#"{{"client": null, "tokens": {text}}}"#);
        let names: Vec<_> =
            parts(Shape::State, &state).unwrap().into_iter().map(|(part, _)| part).collect();
        assert_eq!(names, [Part::Token("a".into()), Part::Token("b".into())]);
        let left = without(&state, &Part::Token("a".into())).unwrap();
        let left = str::from_utf8(&left).unwrap();
        assert_eq!(part_of(left, &Part::Token("b".into())), Some(DATADOG_CLI));
        assert!(without(left, &Part::Token("b".into())).is_none(), "no client is nothing left");
        let with_client = left.replace("null", r#"{"client_id":"c"}"#);
        let left = without(&with_client, &Part::Token("b".into())).unwrap();
        let client = Client::of_state(str::from_utf8(&left).unwrap()).unwrap();
        assert_eq!(client.registration.client_id.as_str(), "c");
    }

    #[test]
    fn a_client_keeps_the_redirects_to_this_machine() {
        let client = Client::parse(
            r#"{"clientId":"c","redirectUris":["http://127.0.0.1:8000/oauth/callback",
            "http://127.0.0.1:0/x","http://127.0.0.1.evil.test:80/","https://evil.test/",
            "http://127.0.0.1:8080"],"registeredAt":1800000000000}"#,
        )
        .unwrap();
        let uris = client.registration.redirect_uris;
        assert_eq!(uris, ["http://127.0.0.1:8000/oauth/callback"]);
        assert_eq!(client.registration.registered, Timestamp::from_seconds(1_800_000_000));
    }

    #[test]
    fn only_the_exact_name_of_a_site_counts() {
        assert_eq!(exact_site("datadoghq.eu").unwrap().label(), "EU1");
        assert!(exact_site("http://127.0.0.1:81").unwrap().is_loopback());
        assert!(matches!(exact_site("dd.example.org"), Some(Site::Foreign(_))));
        for text in ["EU1", "app.datadoghq.eu", "acme.datadoghq.com", "HTTP://127.0.0.1:81", ""] {
            assert!(exact_site(text).is_none(), "{text}");
        }
        assert_eq!(site_of_pup("us3_datadoghq_com", None).unwrap().label(), "US3");
        assert_eq!(site_of_pup("datadoghq.eu", None).unwrap().label(), "EU1");
        assert!(site_of_pup("datadoghq\ncom", None).is_none());
        let client = Client::parse(r#"{"client_id":"c","site":"http://127.0.0.1:81"}"#).unwrap();
        assert!(site_of_pup("http___127_0_0_1_81", Some(&client)).is_some());
        assert!(site_of_pup("http___127_0_0_1_82", Some(&client)).is_none());
    }

    #[test]
    fn an_entry_keeps_its_encoding() {
        let wide: Vec<_> = DATADOG_CLI.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for (bytes, is_wide) in [(wide, true), (DATADOG_CLI.as_bytes().to_vec(), false)] {
            let (text, utf16) = text_of(&bytes).unwrap();
            assert_eq!((text.as_str(), utf16), (DATADOG_CLI, is_wide));
            let text = Zeroizing::new(text.as_bytes().to_vec());
            assert_eq!(*encoded(text, utf16), bytes);
        }
        assert!(text_of(&[0xff, 0xfe]).is_none());
    }
}
