//! Taking over what earlier tools left in the keychain, as two kinds of libraries write it.
#![cfg(target_os = "linux")]

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::earlier_tools::{Tokens, leave_pup, leave_seed, pup_tokens, seed_tokens};
use crate::support::home::Home;
use crate::support::keyring::{Bus, Keyring, put};
use crate::support::process::Run;

const TAKE: [&str; 3] = ["import", "--yes", "--remove-original"];
/// Far above the deadline of one call to the keychain, far below that of many.
const SOON: Duration = Duration::from_secs(20);

/// A home with a keyring of its own, whose sealing key is in a file, so that only earlier tools
/// have entries.
fn home_with_keyring() -> (Home, Keyring) {
    let mut home = Home::new();
    let keyring = Keyring::start(&mut home);
    home.set("DD_TOKEN_STORAGE", "file");
    (home, keyring)
}

fn found(home: &Home, attributes: &[&str]) -> Option<String> {
    let arguments = [&["lookup"], attributes].concat();
    let found = home.run_program_freely("secret-tool", &arguments, "");
    (found.code == Some(0)).then_some(found.stdout)
}

#[track_caller]
fn says(run: &Run, code: i32, words: &[&str]) {
    assert_eq!(run.code, Some(code), "{run:?}");
    let all = format!("{}{}", run.stdout, run.stderr);
    for word in words {
        assert!(all.contains(word), "no {word:?} in {run:?}");
    }
    assert!(!all.contains("canary") && !all.contains("panicked"), "{run:?}");
}

fn is_here(home: &Home, site: &str) -> bool {
    home.run(&["--site", site, "status"], "").stdout.contains("yes, with a refresh token")
}

fn registration(home: &Home, site: &str) -> Value {
    let path = home.registrations().join(format!("{site}.json"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn entries_of_the_seed_are_found_under_either_name_of_the_account() {
    for name in ["username", "account"] {
        let (home, _keyring) = home_with_keyring();
        let tokens = Tokens::named("eu");
        let entry = ["service", "datadog-cli", name, "oauth:datadoghq.eu"];
        put(&home, &entry, &tokens.of_seed().to_string());
        let client = ["service", "datadog-cli-dcr", name, "client:datadoghq.eu"];
        put(&home, &client, &tokens.client_of_seed("datadoghq.eu").to_string());
        let shown = home.run(&["import"], "");
        let words = [
            "datadoghq.eu",
            "keychain entry datadog-cli oauth:datadoghq.eu",
            "nothing was changed",
        ];
        says(&shown, 0, &words);
        assert!(found(&home, &entry).is_some(), "{name}");
        says(&home.run(&TAKE, ""), 0, &["took over EU1 from datadog-cli"]);
        assert!(is_here(&home, "eu1"), "{name}");
        assert_eq!(found(&home, &entry), None, "{name}");
        assert!(found(&home, &client).is_some(), "a client is no secret, and stays");
        let kept = registration(&home, "datadoghq.eu");
        assert_eq!(kept["client_id"], "client-of-eu");
        assert_eq!(kept["redirect_uris"], json!(["http://127.0.0.1:8000/oauth/callback"]));
    }
}

#[test]
fn an_entry_of_pup_loses_one_organization_and_keeps_the_rest() {
    let (home, _keyring) = home_with_keyring();
    let (plain, acme) = (Tokens::named("plain"), Tokens::named("acme"));
    let state = json!({
        "tokens": {"__default__": plain.of_pup(), "acme": acme.of_pup()},
        "client": plain.client_of_pup("us3.datadoghq.com"),
    });
    let entry = ["service", "pup", "username", "state_us3_datadoghq_com"];
    put(&home, &entry, &state.to_string());
    says(&home.run(&[&TAKE[..], &["--org", "acme"]].concat(), ""), 0, &["US3 (acme) from pup"]);
    let left: Value = serde_json::from_str(&found(&home, &entry).unwrap()).unwrap();
    assert_eq!(left["tokens"], json!({"__default__": plain.of_pup()}));
    assert_eq!(left["client"], state["client"]);
    says(&home.run(&TAKE, ""), 0, &["took over US3 from pup"]);
    let left: Value = serde_json::from_str(&found(&home, &entry).unwrap()).unwrap();
    assert_eq!(left["tokens"], json!({}));
    let list = home.run(&["list"], "");
    assert_eq!(list.stdout.lines().count(), 2, "{list:?}");
}

#[test]
fn garbage_in_the_keychain_is_told_and_left_alone() {
    let (home, _keyring) = home_with_keyring();
    let bad = ["service", "datadog-cli", "username", "oauth:datadoghq.eu"];
    put(&home, &bad, "{\"accessToken\": \"canary\"");
    put(&home, &["service", "datadog-cli", "username", "oauth:evil"], "{}");
    put(&home, &["service", "pup", "username", "other"], "canary");
    let words = ["oauth:datadoghq.eu: what it holds is not a session", "oauth:evil"];
    says(&home.run(&TAKE, ""), 5, &words[..1]);
    let good = ["service", "datadog-cli", "username", "oauth:us5.datadoghq.com"];
    put(&home, &good, &Tokens::named("us").of_seed().to_string());
    says(&home.run(&TAKE, ""), 0, &[&words[..], &["took over US5"]].concat());
    assert!(found(&home, &bad).is_some());
}

#[test]
fn two_entries_of_one_name_are_not_chosen_between() {
    let (home, _keyring) = home_with_keyring();
    for name in ["username", "account"] {
        let entry = ["service", "datadog-cli", name, "oauth:datadoghq.eu"];
        put(&home, &entry, &Tokens::named(name).of_seed().to_string());
    }
    home.run(&TAKE, "").fails(2, &["several sessions for EU1"]);
    home.run_program(
        "secret-tool",
        &["clear", "service", "datadog-cli", "account", "oauth:datadoghq.eu"],
    );
    says(&home.run(&TAKE, ""), 0, &["took over EU1"]);
}

#[test]
fn a_keychain_that_is_locked_or_frozen_is_told_and_files_are_taken_over() {
    let (home, mut keyring) = home_with_keyring();
    let entry = ["service", "datadog-cli", "username", "oauth:datadoghq.eu"];
    put(&home, &entry, &Tokens::named("eu").of_seed().to_string());
    leave_pup(&home, "us5.datadoghq.com", &[("__default__", &Tokens::named("us"))]);
    keyring.lock(&home);
    let words = ["warning: could not look into the keychain", "locked", "took over US5 from pup"];
    says(&home.run(&TAKE, ""), 0, &words);
    assert!(is_here(&home, "us5") && !pup_tokens(&home, "us5.datadoghq.com").exists());
    says(&home.run(&["import"], ""), 5, &["could not look into the keychain"]);
    keyring.unlock(&home);

    leave_seed(&home, &[("ap1.datadoghq.com", &Tokens::named("ap"))]);
    keyring.freeze();
    let words = ["could not look into the keychain", "no answer within 3 s", "took over AP1"];
    let started = Instant::now();
    says(&home.run(&TAKE, ""), 0, &words);
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    assert!(!seed_tokens(&home).exists());
    keyring.thaw();
    says(&home.run(&TAKE, ""), 0, &["took over EU1"]);
    assert_eq!(found(&home, &entry), None);
}

#[test]
fn without_a_keychain_files_are_taken_over_all_the_same() {
    let mut home = Home::new();
    let _bus = Bus::start(&mut home);
    home.set("DD_TOKEN_STORAGE", "file");
    leave_seed(&home, &[("ap1.datadoghq.com", &Tokens::named("ap"))]);
    says(&home.run(&TAKE, ""), 0, &["there is none", "took over AP1"]);
}

#[test]
fn a_keychain_that_is_not_asked_for_is_not_asked() {
    let (home, keyring) = home_with_keyring();
    keyring.freeze();
    leave_seed(&home, &[("ap1.datadoghq.com", &Tokens::named("ap"))]);
    let run = home.run(&[&TAKE[..], &["--from", "file"]].concat(), "");
    says(&run, 0, &["took over AP1"]);
    assert!(!run.stderr.contains("keychain"), "{run:?}");
    keyring.thaw();
}
