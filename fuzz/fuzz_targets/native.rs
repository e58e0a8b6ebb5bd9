//! A request in the native dialect, read from a stream, and written again from what was understood.
#![no_main]

use std::fmt::Write;
use std::io::BufReader;

use dd_oauth::clock::Timestamp;
use dd_oauth::protocol::input::read_request;
use dd_oauth::protocol::{
    Answer, ApiKeysAnswer, Erasure, Expiry, Operation, Request, Target, native,
};
use dd_oauth::site::{SiteName, us1};
use dd_oauth_fuzz::{check_message, check_site, has_canary};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((choice, bytes)) = data.split_first() else { return };
    let argument = match choice {
        b'g' => Some(Operation::Get),
        b's' => Some(Operation::Store),
        b'e' => Some(Operation::Erase),
        _ => None,
    };
    // From a pipe that gives a few bytes at a time.
    let Ok(request) = read_request(&mut BufReader::with_capacity(7, bytes)) else { return };
    assert!(bytes.starts_with(&request));
    match native::parse(&request, argument) {
        Err(error) => check_message(secrets(&request), &error),
        Ok(request) => {
            let (text, target) = written(&request);
            if let Some(SiteName::Site(site)) = &target.site {
                check_site(site);
            }
            let again = native::parse(text.as_bytes(), None);
            let again = again.unwrap_or_else(|error| panic!("{error}: {text:?}"));
            assert_eq!(written(&again).0, text);
            match request {
                Request::Store(store) => check_answer(&Answer {
                    access_token: store.access_token,
                    expires: Some(Timestamp::from_seconds(0)),
                    site: us1(),
                    org: store.target.org,
                }),
                Request::StoreApiKeys(store) => check_key_answer(&ApiKeysAnswer {
                    api_key: store.api_key,
                    app_key: store.app_key,
                    site: us1(),
                    org: store.target.org,
                }),
                _ => {}
            }
        }
    }
});

/// The request, where all tokens in it stand where a token belongs; what it says of a site or an
/// organization may be shown.
fn secrets(request: &[u8]) -> &[u8] {
    let misplaced = |line: &[u8]| {
        let keys: [&[u8]; 4] = [b"access_token=", b"refresh_token=", b"api_key=", b"app_key="];
        has_canary(line) && !keys.iter().any(|key| line.starts_with(key))
    };
    if request.split(|byte| *byte == b'\n').any(misplaced) { &[] } else { request }
}

/// The request that means the same.
fn written(request: &Request) -> (String, &Target) {
    let mut text = String::new();
    let target = match request {
        Request::Get(get) => {
            text.push_str("get\n");
            if let Some(min_ttl) = get.min_ttl {
                writeln!(text, "min_ttl={}", min_ttl.as_secs()).unwrap();
            }
            if get.version.is_some() {
                text.push_str("version=1\n");
            }
            &get.target
        }
        Request::Store(store) => {
            writeln!(text, "store\naccess_token={}", store.access_token.expose()).unwrap();
            if let Some((client, token)) = &store.refresh {
                let client = client.as_str();
                writeln!(text, "client_id={client}\nrefresh_token={}", token.expose()).unwrap();
            }
            match store.expiry {
                Expiry::At(time) => writeln!(text, "expires_at={}", time.seconds()).unwrap(),
                Expiry::In(seconds) => writeln!(text, "expires_in={seconds}").unwrap(),
                Expiry::Unknown => {}
            }
            writeln!(text, "scope={}", store.scopes).unwrap();
            &store.target
        }
        Request::Erase(erase) => {
            text.push_str("erase\n");
            match &erase.what {
                Erasure::Session => {}
                Erasure::AccessToken(token) => {
                    writeln!(text, "access_token={}", token.expose()).unwrap();
                }
                Erasure::CurrentAccessToken => panic!("this dialect names the token"),
            }
            &erase.target
        }
        Request::GetApiKeys(get) => {
            text.push_str("get\nkind=api-key\n");
            if get.version.is_some() {
                text.push_str("version=1\n");
            }
            &get.target
        }
        Request::StoreApiKeys(store) => {
            writeln!(text, "store\nkind=api-key\napi_key={}", store.api_key.expose()).unwrap();
            if let Some(key) = &store.app_key {
                writeln!(text, "app_key={}", key.expose()).unwrap();
            }
            &store.target
        }
        Request::EraseApiKeys(target) => {
            text.push_str("erase\nkind=api-key\n");
            target
        }
    };
    match &target.site {
        Some(SiteName::Site(site)) => writeln!(text, "site={site}").unwrap(),
        Some(SiteName::Vanity(vanity)) => writeln!(text, "site={}", vanity.host).unwrap(),
        None => {}
    }
    if let Some(org) = &target.org {
        writeln!(text, "org={org}").unwrap();
    }
    (text, target)
}

/// An answer is one line for each key, whatever its values are.
fn check_answer(answer: &Answer) {
    let text = native::render(answer, None);
    let lines: Vec<_> = text.split_terminator('\n').collect();
    assert_eq!(lines.len(), if answer.org.is_some() { 6 } else { 5 });
    assert_eq!(lines[0].strip_prefix("access_token="), Some(answer.access_token.expose()));
    check_lines(&text);
    if let Some(org) = &answer.org {
        assert_eq!(lines[5].strip_prefix("org="), Some(org.to_string().as_str()));
    }
}

fn check_key_answer(answer: &ApiKeysAnswer) {
    let text = native::render_api_keys(answer, None);
    let optional = usize::from(answer.app_key.is_some()) + usize::from(answer.org.is_some());
    assert_eq!(text.lines().count(), 3 + optional);
    assert!(text.starts_with(&format!("api_key={}\n", answer.api_key.expose())));
    check_lines(&text);
}

fn check_lines(text: &str) {
    assert!(text.ends_with('\n'));
    assert!(!text.replace(['\n', '\t'], "").contains(char::is_control), "{text:?}");
}
