//! A refresh, beside `curl` that makes the same request to the same server.

use std::path::Path;
use std::process::Command;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::Programs;
use crate::pairs::{Row, in_turn, time};
use crate::support::home::Home;
use crate::support::peers::{Kind, Peer};

const ROUNDS: usize = 60;
const REDIRECT_URI: &str = "http://127.0.0.1:8000/oauth/callback";
const VERIFIER: &str = "a-verifier-of-43-to-128-characters-0123456789";

/// The client and the refresh token that a login ended with.
pub struct Granted {
    client_id: String,
    refresh_token: String,
}

pub fn rows(programs: &Programs) -> Vec<Row> {
    let directory = tempfile::tempdir().unwrap();
    let plain = Peer::start(Kind::Demo);
    let tls = Peer::start_tls(Kind::Demo, directory.path());
    vec![row(programs, "a refresh, http", &plain), row(programs, "a refresh, https", &tls)]
}

fn row(programs: &Programs, what: &str, peer: &Peer) -> Row {
    // So that both can go on presenting the same refresh token.
    peer.set(&json!({"rotate": false}));
    let (home, Granted { client_id, refresh_token }) = logged_in(programs, peer);
    let mut ours = home.program(&["refresh"]);
    let mut curl = home.any_program(Path::new("curl"), &["--silent", "--fail"]);
    let body = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &refresh_token),
        ("client_id", &client_id),
    ];
    for (name, value) in body {
        curl.args(["--data-urlencode", &format!("{name}={value}")]);
    }
    curl.arg(format!("{}/oauth2/v1/token", peer.origin));
    let empty = Path::new("/dev/null");
    let [ours, curl] =
        in_turn(ROUNDS, [&mut || time(&mut ours, empty), &mut || time(&mut curl, empty)]);
    Row::of_difference(what, &ours, "`curl`", &curl, "≤ 5 ms more")
}

/// A home with a session at `peer`, and what that was made of.
pub fn logged_in(programs: &Programs, peer: &Peer) -> (Home, Granted) {
    let mut home = programs.home();
    home.set("DD_SITE", &peer.origin);
    if let Some(authority) = &peer.authority {
        home.set("SSL_CERT_FILE", bundle_with(authority, home.path()).to_str().unwrap());
    }
    let granted = log_in(&home, &peer.origin);
    let Granted { client_id, refresh_token } = &granted;
    let session = format!(
        "access_token=first\nexpires_in=3600\nrefresh_token={refresh_token}\nclient_id={client_id}\n"
    );
    home.run(&["store"], session).succeeds_quietly();
    (home, granted)
}

/// The roots of this system and one more, as an installation at Datadog would have to read them.
fn bundle_with(authority: &Path, directory: &Path) -> std::path::PathBuf {
    let mut bundle = std::fs::read("/etc/ssl/certs/ca-certificates.crt").unwrap();
    bundle.extend(std::fs::read(authority).unwrap());
    let path = directory.join("roots.pem");
    std::fs::write(&path, bundle).unwrap();
    path
}

/// A login by hand: what happens in a browser, with `curl`.
fn log_in(home: &Home, origin: &str) -> Granted {
    let curl = |arguments: &[&str]| {
        let mut command = home.any_program(Path::new("curl"), &["--silent", "--show-error"]);
        text_of(command.args(arguments))
    };
    let registration = json!({
        "client_name": "bench",
        "redirect_uris": [REDIRECT_URI],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    });
    let url = |path: &str| format!("{origin}{path}");
    let client = curl(&["--json", &registration.to_string(), &url("/api/v2/oauth2/register")]);
    let client_id = text(&client, "client_id");

    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    let authorize = format!(
        "/oauth2/v1/authorize?response_type=code&client_id={client_id}&redirect_uri={REDIRECT_URI}\
        &scope=monitors_read&state=state&code_challenge={challenge}&code_challenge_method=S256"
    );
    let page = curl(&[&url(&authorize)]);
    let ticket =
        page.split("name=\"ticket\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let ticket = ticket.unwrap_or_else(|| panic!("no ticket in {page}"));
    let decided = curl(&[
        "--write-out",
        "%{redirect_url}",
        "--data-urlencode",
        &format!("ticket={ticket}"),
        "--data-urlencode",
        "decision=allow",
        &url("/oauth2/v1/authorize/decision"),
    ]);
    let code = decided.split("code=").nth(1).and_then(|rest| rest.split('&').next());
    let code = code.unwrap_or_else(|| panic!("no code in {decided}"));
    let tokens = curl(&[
        "--data-urlencode",
        "grant_type=authorization_code",
        "--data-urlencode",
        &format!("code={code}"),
        "--data-urlencode",
        &format!("redirect_uri={REDIRECT_URI}"),
        "--data-urlencode",
        &format!("client_id={client_id}"),
        "--data-urlencode",
        &format!("code_verifier={VERIFIER}"),
        &url("/oauth2/v1/token"),
    ]);
    let refresh_token = text(&tokens, "refresh_token");
    Granted { client_id, refresh_token }
}

/// A member of a JSON object.
fn text(json: &str, name: &str) -> String {
    let value: Value = serde_json::from_str(json).unwrap_or_else(|_| panic!("{json}"));
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {json}")).to_string()
}

fn text_of(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}
