//! A request of git, and the answer that git would hand back.
#![no_main]

use dd_oauth::clock::Timestamp;
use dd_oauth::protocol::git::{self, Credential, Form, Operation};
use dd_oauth::protocol::{Answer, Erasure};
use dd_oauth::secret::AccessToken;
use dd_oauth_fuzz::{check_address, check_message, has_canary};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((choice, bytes)) = data.split_first() else { return };
    let operation = match choice {
        b's' => Operation::Store,
        b'e' => Operation::Erase,
        _ => Operation::Get,
    };
    let request = match git::parse(bytes, operation) {
        Err(error) => return check_message(secrets(bytes), &error),
        Ok(None) => return,
        Ok(Some(request)) => request,
    };
    let text = std::str::from_utf8(bytes).unwrap();
    let value = |key| text.split('\n').find_map(|line| line.strip_prefix(key)).unwrap();
    let (protocol, host) = (value("protocol="), value("host="));
    check_address(&format!("{protocol}://{host}"), &request.site);

    let answer = Answer {
        access_token: AccessToken::parse("token-of-an-answer".to_string()).unwrap(),
        expires: Some(Timestamp::from_seconds(4_000_000_000)),
        site: request.site.clone(),
        org: None,
    };
    let rendered = git::render(&answer, &request.form);
    assert_eq!(rendered.lines().count(), if request.form == Form::Bearer { 5 } else { 3 });
    assert!(!rendered.replace(['\n', '\t'], "").contains(char::is_control), "{rendered:?}");
    let back = format!("protocol={protocol}\nhost={host}\n{rendered}");
    let back = git::parse(back.as_bytes(), Operation::Erase).unwrap().unwrap();
    match back.erase().map(|erase| erase.what) {
        Some(Erasure::AccessToken(token)) => assert!(token.matches(&answer.access_token)),
        other => panic!("{other:?} is erased"),
    }
    // Whatever it brings, no session ends here.
    match (&request.credential, request.erase().map(|erase| erase.what)) {
        (Credential::None, Some(Erasure::CurrentAccessToken))
        | (Credential::Token(_), Some(Erasure::AccessToken(_)))
        | (Credential::Foreign, None) => {}
        other => panic!("{other:?}"),
    }
});

/// The request, where all tokens in it stand where a token belongs.
fn secrets(request: &[u8]) -> &[u8] {
    let misplaced = |line: &[u8]| {
        let token = line.starts_with(b"password=") || line.starts_with(b"credential=");
        has_canary(line) && !token
    };
    if request.split(|byte| *byte == b'\n').any(misplaced) { &[] } else { request }
}
