//! Proxies, authorities, and servers that are not there.

use std::io::Read;
use std::net::TcpListener;

use serde_json::json;

use crate::support::deadline::accept;
use crate::support::home::Home;
use crate::support::peers::{Kind, Peer};

/// A stale session with a refresh token at `site`.
fn stale_session(home: &Home, site: &str) {
    let request = format!(
        "site={site}\naccess_token=old\nexpires_at=1000000000\nrefresh_token=canary\nclient_id=c\n"
    );
    home.run(&["store"], request).succeeds_quietly();
}

#[test]
fn loopback_never_goes_through_a_proxy() {
    let peer = Peer::start(Kind::Demo);
    let mut home = Home::at(&peer);
    for variable in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        home.set(variable, "http://127.0.0.1:9");
    }
    home.log_in();
    home.make_stale();
    assert!(peer.accepts(&home.get()));
}

#[test]
fn everything_else_goes_through_the_proxy_of_the_environment() {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut home = Home::new();
    home.set("HTTPS_PROXY", &format!("http://{}", proxy.local_addr().unwrap()));
    stale_session(&home, "eu1");
    let seen = std::thread::spawn(move || {
        let mut head = [0; 256];
        let read = accept(&proxy).read(&mut head).unwrap();
        String::from_utf8_lossy(&head[..read]).into_owned()
    });
    home.run(&[], "get\n").fails(4, &["could not reach api.datadoghq.eu"]);
    let head = seen.join().unwrap();
    assert!(head.starts_with("CONNECT api.datadoghq.eu:443 "), "{head}");
    assert!(!head.contains("canary"));
}

#[test]
fn a_certificate_of_an_unknown_authority_is_refused_before_anything_is_sent() {
    let certificates = tempfile::tempdir().unwrap();
    let peer = Peer::start_tls(Kind::Demo, certificates.path());
    let mut home = Home::at(&peer);
    home.log_in();
    home.make_stale();
    let other = tempfile::tempdir().unwrap();
    let stranger = Peer::start_tls(Kind::Demo, other.path());
    home.set("SSL_CERT_FILE", stranger.authority.as_ref().unwrap().to_str().unwrap());
    home.run(&[], "get\n").fails(4, &["could not reach 127.0.0.1", "certificate"]);
    assert_eq!(peer.refreshes().len(), 0);
}

#[test]
fn directories_of_roots_are_a_list_and_may_be_relative() {
    let certificates = tempfile::tempdir().unwrap();
    let peer = Peer::start_tls(Kind::Demo, certificates.path());
    let mut home = Home::at(&peer);
    home.log_in();
    home.make_stale();
    let roots = home.path().join("roots");
    std::fs::create_dir(&roots).unwrap();
    // Directories of roots have names made of a hash, of which any will do.
    std::fs::copy(peer.authority.as_ref().unwrap(), roots.join("00000000.0")).unwrap();
    home.set("SSL_CERT_FILE", "").set("SSL_CERT_DIR", "/nonexistent:roots");
    assert!(peer.accepts(&home.get()));
}

#[test]
fn named_roots_that_are_not_there_are_an_error_and_not_ignored() {
    let mut home = Home::new();
    home.set("SSL_CERT_FILE", "/nonexistent/roots.pem");
    stale_session(&home, "eu1");
    home.run(&[], "get\n").fails(4, &["SSL_CERT_FILE"]);
}

#[test]
fn a_logout_without_usable_roots_forgets_the_session_all_the_same() {
    let mut home = Home::new();
    home.set("SSL_CERT_FILE", "/nonexistent/roots.pem");
    stale_session(&home, "eu1");
    let run = home.run(&["logout"], "");
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stderr.contains("was not revoked") && run.stderr.contains("SSL_CERT_FILE"));
    home.run(&[], "get\n").fails(3, &["not logged in"]);
}

#[test]
fn a_site_that_begins_with_a_hyphen_is_refreshed_like_any_other() {
    let mut home = Home::new();
    let config = home.configuration().join("config.toml");
    std::fs::create_dir_all(config.parent().unwrap()).unwrap();
    std::fs::write(config, "trusted_sites = ['-x.example.org']").unwrap();
    home.set("HTTPS_PROXY", "http://127.0.0.1:9");
    stale_session(&home, "-x.example.org");
    home.run(&[], "get\n").fails(4, &["could not reach api.-x.example.org"]);
}

#[test]
fn a_server_that_is_down_costs_no_session() {
    let mut peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    home.log_in();
    home.make_stale();
    peer.stop();
    home.run(&[], "get\n").fails(4, &["could not reach 127.0.0.1", "refused"]);
    assert_eq!(home.status()["renewable"], true);
}

#[test]
fn a_server_that_asks_for_patience_is_left_alone_and_the_status_says_so() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    home.log_in();
    home.make_stale();
    let fault = json!({"endpoint": "token", "kind": "status", "status": 503, "headers": {"Retry-After": "600"}});
    peer.fault(&fault);
    home.run(&[], "get\n").fails(4, &["503"]);
    peer.mend();
    home.run(&[], "get\n").fails(4, &["503", "the next attempt"]);
    let status = home.status();
    assert_eq!(status["renewable"], true);
    assert!(status["trouble"].as_str().unwrap().contains("503"), "{status}");
}
