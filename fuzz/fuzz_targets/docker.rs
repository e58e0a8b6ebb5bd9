//! A request of docker, and the answer to it.
#![no_main]

use dd_oauth::clock::Timestamp;
use dd_oauth::protocol::{Answer, Erasure, docker};
use dd_oauth::secret::AccessToken;
use dd_oauth_fuzz::{check_address, check_message, string_of};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((choice, bytes)) = data.split_first() else { return };
    if *choice == b's' {
        match docker::check_store(bytes) {
            Ok(()) => {
                for key in ["ServerURL", "Username"] {
                    assert!(string_of(bytes, key).is_some_and(|value| !value.is_empty()));
                }
            }
            Err(error) => check_message(bytes, &error),
        }
        return;
    }
    let server = match docker::parse_server(bytes) {
        Ok(server) => server,
        Err(error) => return check_message(b"", &error),
    };
    let Some(site) = &server.site else {
        return assert!(server.get().is_none() && server.erase().is_none());
    };
    let scheme = match (server.url.contains("://"), site.is_loopback()) {
        (true, _) => "",
        (false, true) => "http://",
        (false, false) => "https://",
    };
    check_address(&format!("{scheme}{}", server.url), site);
    let what = server.erase().unwrap().what;
    assert!(matches!(what, Erasure::CurrentAccessToken), "{what:?}");

    let answer = Answer {
        access_token: AccessToken::parse("token-of-an-answer".to_string()).unwrap(),
        expires: Some(Timestamp::from_seconds(4_000_000_000)),
        site: site.clone(),
        org: None,
    };
    let rendered = docker::render(&answer, &server);
    assert_eq!(rendered.lines().count(), 1, "{rendered:?}");
    let value = |key| string_of(rendered.as_bytes(), key).unwrap();
    assert_eq!(value("ServerURL"), server.url);
    assert_eq!(
        (value("Username").as_str(), value("Secret").as_str()),
        ("<token>", "token-of-an-answer")
    );
});
