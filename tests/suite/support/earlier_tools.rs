//! What earlier tools leave behind: files and entries in their shapes, and logins as they make them.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::deadline::agent;
use super::home::Home;
use super::peers::{Peer, source};
use super::process::{finish, start};

/// Long ago, so that an access token of that time is stale.
const LONG_AGO: i64 = 1_700_000_000;
/// Later than any test runs, less the lifetime.
const EXPIRES_IN: i64 = 3600;

/// One session, as a tool had it.
#[derive(Clone, Debug)]
pub struct Tokens {
    pub access: String,
    pub refresh: String,
    pub client_id: String,
    redirect_uris: Vec<String>,
}

impl Tokens {
    /// Made-up ones, recognisable by `name`.
    pub fn named(name: &str) -> Self {
        Self {
            access: format!("canary-access-{name}"),
            refresh: format!("canary-refresh-{name}"),
            client_id: format!("client-of-{name}"),
            redirect_uris: vec!["http://127.0.0.1:8000/oauth/callback".into()],
        }
    }

    /// Those of a login at `peer`, made as an earlier tool makes it.
    pub fn of_login(home: &Home, peer: &Peer, port: u16) -> Self {
        let ports = [8000, 8080, 8888, 9000, port];
        let uris: Vec<_> =
            ports.map(|port| format!("http://127.0.0.1:{port}/oauth/callback")).into();
        let mut registered = agent()
            .post(format!("{}/api/v2/oauth2/register", peer.origin))
            .send_json(json!({
                "client_name": "an earlier tool",
                "redirect_uris": uris,
                "grant_types": ["authorization_code", "refresh_token"],
                "response_types": ["code"],
                "token_endpoint_auth_method": "none",
            }))
            .unwrap();
        let registered: Value = registered.body_mut().read_json().unwrap();
        let client_id = registered["client_id"].as_str().unwrap().to_string();
        let verifier = "v".repeat(64);
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
        let mut url = url::Url::parse(&format!("{}/oauth2/v1/authorize", peer.origin)).unwrap();
        url.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", &client_id),
            ("redirect_uri", &uris[0]),
            ("scope", "metrics_read"),
            ("state", "state"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        let token_url = format!("{}/oauth2/v1/token", peer.origin);
        let mut answer = agent()
            .post(token_url)
            .send_form([
                ("grant_type", "authorization_code"),
                ("client_id", &client_id),
                ("code", &code_from(home, &url)),
                ("redirect_uri", &uris[0]),
                ("code_verifier", &verifier),
            ])
            .unwrap();
        let answer: Value = answer.body_mut().read_json().unwrap();
        let text = |name: &str| answer[name].as_str().unwrap().to_string();
        let (access, refresh) = (text("access_token"), text("refresh_token"));
        Self { access, refresh, client_id, redirect_uris: uris }
    }

    /// As the seed writes them.
    pub fn of_seed(&self) -> Value {
        json!({
            "accessToken": self.access,
            "refreshToken": self.refresh,
            "tokenType": "Bearer",
            "expiresIn": EXPIRES_IN,
            "issuedAt": LONG_AGO,
            "scope": "metrics_read",
            "clientId": self.client_id,
        })
    }

    /// As pup writes them.
    pub fn of_pup(&self) -> Value {
        json!({
            "access_token": self.access,
            "refresh_token": self.refresh,
            "token_type": "Bearer",
            "expires_in": EXPIRES_IN,
            "issued_at": LONG_AGO,
            "scope": "metrics_read",
            "client_id": self.client_id,
        })
    }

    /// Its client, as pup writes it.
    pub fn client_of_pup(&self, site: &str) -> Value {
        json!({
            "client_id": self.client_id,
            "client_name": "an earlier tool",
            "redirect_uris": self.redirect_uris,
            "registered_at": LONG_AGO,
            "site": site,
        })
    }

    /// Its client, as the seed writes it.
    pub fn client_of_seed(&self, site: &str) -> Value {
        json!({
            "clientId": self.client_id,
            "clientName": "an earlier tool",
            "redirectUris": self.redirect_uris,
            "registeredAt": LONG_AGO,
            "site": site,
        })
    }
}

/// The code that comes back once somebody agreed at `url`.
fn code_from(home: &Home, url: &url::Url) -> String {
    let script = source("tests/peers/browser.mjs");
    let log = home.path().join("earlier-browser.log");
    let mut browser =
        home.any_program(Path::new("node"), &[script.to_str().unwrap(), url.as_str()]);
    browser.env("BROWSER_LOG", &log).env("BROWSER_CALLBACK_ONLY", "1");
    let run = finish(start(browser, b""));
    assert_eq!(run.code, Some(0), "{run:?}");
    let log = std::fs::read_to_string(log).unwrap();
    let redirect = log.lines().rev().find_map(|line| line.strip_prefix("redirect ")).unwrap();
    let redirect = url::Url::parse(redirect).unwrap();
    let code = redirect.query_pairs().find(|(name, _)| name == "code");
    code.unwrap().1.into_owned()
}

pub fn seed_tokens(home: &Home) -> PathBuf {
    home.path().join(".datadog/oauth_tokens.json")
}

pub fn pup_tokens(home: &Home, site: &str) -> PathBuf {
    pup(home).join(format!("tokens_{}.json", pup_name(site)))
}

fn pup(home: &Home) -> PathBuf {
    home.path().join(".config/pup")
}

fn pup_name(site: &str) -> String {
    site.replace(|char: char| !char.is_ascii_alphanumeric(), "_")
}

/// Leaves sessions of the seed behind, by site.
pub fn leave_seed(home: &Home, sessions: &[(&str, &Tokens)]) {
    let object = |value: fn(&Tokens, &str) -> Value| {
        let members = sessions.iter().map(|(site, tokens)| ((*site).into(), value(tokens, site)));
        Value::Object(members.collect())
    };
    leave(&seed_tokens(home), &object(|tokens, _| tokens.of_seed()).to_string());
    let clients = object(Tokens::client_of_seed);
    leave(&home.path().join(".datadog/oauth_clients.json"), &clients.to_string());
}

/// Leaves sessions of pup at one site behind, by organization.
pub fn leave_pup(home: &Home, site: &str, sessions: &[(&str, &Tokens)]) {
    let members = sessions.iter().map(|(org, tokens)| ((*org).into(), tokens.of_pup()));
    leave(&pup_tokens(home, site), &Value::Object(members.collect()).to_string());
    let client = sessions[0].1.client_of_pup(site).to_string();
    leave(&pup(home).join(format!("client_{}.json", pup_name(site))), &client);
}

/// Leaves a file behind as tools do, for its user alone.
pub fn leave(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(path, mode).unwrap();
}
