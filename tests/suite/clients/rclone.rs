//! rclone's `bearer_token_command` against a `WebDAV` server that rejects a token once it has expired.
#![cfg(unix)]

use serde_json::json;

use crate::support::home::Home;
use crate::support::peers::{Kind, Peer};

#[test]
fn rclone_asks_again_for_a_token_that_expired_in_the_middle_of_a_copy() {
    let peer = Peer::start(Kind::Judge);
    peer.set(&json!({"access_ttl": 4}));
    let mut home = Home::at(&peer);
    home.log_in();
    home.set("RCLONE_CONFIG", "/dev/null")
        .set("RCLONE_WEBDAV_URL", &format!("{}/dav/", peer.origin))
        .set("RCLONE_WEBDAV_BEARER_TOKEN_COMMAND", "dd-oauth token");
    // The first request lists the directory; the one after it comes when the token has expired.
    peer.set(&json!({"hold_request": 2}));
    let copy = ["copy", "--transfers=1", "--checkers=1", ":webdav:", "copied"];
    let run = home.call("rclone", &copy, "");
    assert_eq!(run.code, Some(0), "{run:?}");
    for (name, text) in [("one.txt", "the first file\n"), ("two.txt", "the second file\n")] {
        let copied = std::fs::read_to_string(home.path().join("copied").join(name)).unwrap();
        assert_eq!(copied, text);
    }
    let statuses = peer.api_statuses();
    assert!(statuses.starts_with(&[207, 401]), "{statuses:?}");
    assert!(statuses.ends_with(&[200, 200]), "{statuses:?}");
    assert!(!peer.refreshes().is_empty());
}
