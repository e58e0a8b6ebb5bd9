//! A session file: as it lies there, and with a head and a body that are sealed together.
#![no_main]

use std::path::Path;

use dd_oauth::session::fuzzing::{SealingKey, read, read_head, write};
use dd_oauth::session::{Access, Renewal, Session};
use dd_oauth_fuzz::{CANARY, check_message, check_site, has_canary};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static KEY: SealingKey = SealingKey::new([7; 32].into());
}

fuzz_target!(|data: &[u8]| KEY.with(|key| check(data, key)));

fn check(data: &[u8], key: &SealingKey) {
    let path = Path::new("session");
    let Some((kind, bytes)) = data.split_first() else { return };
    let file = if *kind == b's' {
        // A line for the head; the rest is what the body says.
        let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
        let (head, body) = bytes.split_at(end);
        // The fingerprint of the key, which no fuzzer finds, is written as KEY.
        let head = String::from_utf8_lossy(head).replace("KEY", key.fingerprint());
        let public = format!("dd-oauth session 1\n{head}\n").into_bytes();
        let sealed = key.seal(body, &public).unwrap();
        [public, sealed].concat()
    } else {
        bytes.to_vec()
    };
    let head = match read_head(&file, path) {
        Ok(head) => head,
        Err(error) => return check_message(bytes, &error),
    };
    check_site(&head.name.site);
    match read(&file, path, &head.name, key) {
        Err(error) => check_message(bytes, &error),
        Ok(session) => {
            assert_eq!(*kind, b's', "nobody else has the key");
            let shown = format!("{session:?}");
            assert!(!shown.contains(CANARY) || has_canary(&file));
            let written = write(&session, key).unwrap();
            let again = read(&written, path, &head.name, key).unwrap();
            assert_eq!(format!("{again:?}"), format!("{session:?}"));
            assert_eq!(tokens(&again), tokens(&session));
        }
    }
}

fn tokens(session: &Session) -> (Option<&str>, Option<&str>) {
    let access = match &session.access {
        Access::Held { token, .. } => Some(token.expose()),
        Access::Rejected => None,
    };
    let refresh = match &session.renewal {
        Renewal::Possible { refresh_token, .. } => Some(refresh_token.expose()),
        Renewal::Impossible => None,
    };
    (access, refresh)
}
