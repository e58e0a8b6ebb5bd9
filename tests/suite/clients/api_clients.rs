//! Datadog's own API clients, with tokens of ours, at a stand-in of the API that takes what the
//! judge's introspection calls active. The token expires in the middle of the run.
#![cfg(unix)]

use serde_json::json;

use crate::support::home::Home;
use crate::support::peers::{Kind, Peer, source};

/// Runs a client that makes three requests, of which the second comes with an expired token.
fn outlives_its_token(program: &str, script: Option<&str>) {
    let peer = Peer::start(Kind::Judge);
    peer.set(&json!({"access_ttl": 5}));
    let mut home = Home::at(&peer);
    home.set("DD_OAUTH_INTERACTIVE", "never");
    home.log_in();
    // As good as new when the client has started, however long that takes.
    home.make_stale();
    peer.set(&json!({"hold_request": 2}));
    let script = script.map(|script| source(script).into_os_string().into_string().unwrap());
    let arguments: Vec<_> = script.iter().map(String::as_str).chain(["3"]).collect();
    let run = home.call(program, &arguments, "");
    assert_eq!(run.code, Some(0), "{run:?}");
    let requests = peer.log().into_iter().filter_map(|event| event.request);
    assert!(requests.into_iter().all(|request| request == "GET /api/v1/monitor"));
    assert_eq!(peer.api_statuses(), [200, 401, 200, 200]);
    let refreshes: Vec<_> = peer.refreshes().into_iter().map(|event| event.result).collect();
    assert_eq!(refreshes, ["issued", "issued"]);
}

#[test]
fn datadogs_client_for_python_outlives_its_token() {
    let python = source("tests/peers/venv/bin/python");
    outlives_its_token(python.to_str().unwrap(), Some("tests/peers/api-clients/python.py"));
}

#[test]
fn datadogs_client_for_typescript_outlives_its_token() {
    outlives_its_token("node", Some("tests/peers/api-clients/typescript.mjs"));
}

#[test]
fn datadogs_client_for_rust_outlives_its_token() {
    let client = source("tests/peers/api-clients/rust/target/debug/api-client");
    outlives_its_token(client.to_str().unwrap(), None);
}
