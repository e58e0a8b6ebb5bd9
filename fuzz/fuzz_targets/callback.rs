//! A request to the callback listener, and an address that was pasted.
#![no_main]

use std::sync::LazyLock;

use dd_oauth::names::ClientId;
use dd_oauth::oauth::fuzzing::read_callback;
use dd_oauth::oauth::{Ask, Authorization, read_paste, redirect_uri};
use dd_oauth::scope::Scopes;
use dd_oauth::site::{REGIONS, Site};
use libfuzzer_sys::fuzz_target;
use oauth2::RedirectUrl;

const HOST: &str = "127.0.0.1:8000";

/// One login at a region, and one at a loopback site, each with its state.
static LOGINS: LazyLock<[(Authorization, String); 2]> = LazyLock::new(|| {
    ["us1", "http://127.0.0.1:81"].map(|site| {
        let authorization = Authorization::begin(Ask {
            site: Site::parse(site).unwrap(),
            vanity: None,
            client_id: ClientId::parse("client").unwrap(),
            redirect_uri: RedirectUrl::new(redirect_uri(8000)).unwrap(),
            scopes: Scopes::parse("a b").unwrap(),
            org_uuid: None,
        });
        let pair = authorization.url.query_pairs().find(|(name, _)| name == "state");
        let state = pair.unwrap().1.into_owned();
        (authorization, state)
    })
});

fuzz_target!(|data: &[u8]| {
    let Some((choice, bytes)) = data.split_first() else { return };
    let (authorization, state) = &LOGINS[usize::from(choice & 1)];
    let asked = &authorization.ask().site;
    // The state, which no fuzzer finds, is written as STATE.
    let knows_state = bytes.windows(5).any(|window| window == b"STATE");
    let bytes = replace(bytes, b"STATE", state.as_bytes());
    let redirect = if choice & 2 == 0 {
        match read_callback(&bytes, HOST, authorization) {
            Ok(redirect) => redirect,
            Err(page) => {
                let response = page.response();
                assert!(response.starts_with(b"HTTP/1.1 4"));
                return assert!(!contains(&response, state.as_bytes()), "a page shows the state");
            }
        }
    } else {
        let text = String::from_utf8_lossy(&bytes);
        match read_paste(&text, authorization) {
            Ok(redirect) if redirect.state.is_none() => {
                // The bare code: nothing is taken from outside but that.
                let returned = authorization.finish(redirect).unwrap();
                return assert_eq!(&returned.site, asked);
            }
            Ok(redirect) => redirect,
            Err(_) => return,
        }
    };
    assert!(knows_state, "nobody else finishes the login");
    match authorization.finish(redirect) {
        Ok(returned) => {
            let region = REGIONS.iter().any(|region| returned.site == Site::Datadog(region));
            assert!(returned.site == *asked || (region && !asked.is_loopback()));
        }
        Err(error) => assert!(!error.to_string().contains(char::is_control), "{error}"),
    }
});

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::new();
    let mut rest = text;
    while let Some((first, others)) = rest.split_first() {
        if let Some(others) = rest.strip_prefix(from) {
            replaced.extend_from_slice(to);
            rest = others;
        } else {
            replaced.push(*first);
            rest = others;
        }
    }
    replaced
}
