//! No two things that are stored share a file, whatever organizations and sites are called.
#![cfg(target_os = "linux")]

use std::path::Path;

use crate::support::deadline::eventually;
use crate::support::home::Home;
use crate::support::peers::{Kind, Peer};
use crate::support::process::{finish, start};

#[test]
fn a_login_beside_a_write_for_an_organization_of_a_similar_name_costs_nothing() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    home.log_in();
    // It has written the new file, and takes its time to give it its name.
    let flags =
        ["-o", "/dev/null", "-e", "trace=rename", "-e", "inject=rename:delay_enter=5000000"];
    let mut late = home.any_program(Path::new("strace"), &flags);
    late.args([env!("CARGO_BIN_EXE_dd-oauth"), "store"]);
    let tokens = "org=acme.login\naccess_token=kept\nexpires_in=3600\n";
    let late = start(late, tokens.as_bytes());
    let begins = |name: &str| {
        let mut names = std::fs::read_dir(home.sessions()).unwrap().flatten();
        names.any(|entry| {
            let text = entry.file_name().into_string().unwrap();
            text.contains("@acme.login") && text.ends_with(name)
        })
    };
    eventually("the new file", || begins("new"));
    let login = home.run(&["login", "--org", "acme"], "");
    assert_eq!(login.code, Some(0), "{login:?}");
    assert!(!begins(".session"), "the write is still under way");
    let late = finish(late);
    assert_eq!(late.code, Some(0), "{late:?}");
    assert_eq!(home.run(&["get"], "org=acme.login\n").value("access_token"), "kept");
    assert!(peer.accepts(&home.run(&["get"], "org=acme\n").value("access_token")));
}

/// The files of an installation by site and organization, each of which has a session, API keys, a login
/// and a registration.
#[test]
fn every_name_has_files_of_its_own_where_upper_and_lower_case_are_one_too() {
    let home = Home::new();
    let long = "x".repeat(127);
    let orgs = [
        "acme",
        "Acme",
        "ACME",
        "acme.login",
        "acme.session",
        "acme.lock",
        "acme.keys",
        "acme.new",
        "acme.session~new",
        "acme.",
        "acme..",
        ".acme",
        "acme .",
        "acme/",
        "con",
        "nul.txt",
        "a@b",
        "%41cme",
        "~",
        "\u{e9}",
        "e\u{301}",
        &format!("{long}y"),
        &format!("{long}z"),
    ];
    for (number, org) in orgs.iter().enumerate() {
        let tokens = format!("site=eu1\norg={org}\naccess_token=of-{number}\nexpires_in=3600\n");
        home.run(&["store"], tokens).succeeds_quietly();
        let keys = format!("site=eu1\norg={org}\nkind=api-key\napi_key=key-{number}\n");
        home.run(&["store"], keys).succeeds_quietly();
    }
    for (number, org) in orgs.iter().enumerate() {
        let run = home.run(&["get"], format!("site=eu1\norg={org}\n"));
        assert_eq!(run.value("access_token"), format!("of-{number}"), "{org}");
    }
    let names = std::fs::read_dir(home.sessions()).unwrap();
    let names: Vec<_> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let folded: std::collections::BTreeSet<_> =
        names.iter().map(|name| name.to_lowercase()).collect();
    assert_eq!(folded.len(), names.len());
    for name in &names {
        assert!(name.len() < 255 && name.is_ascii() && !name.ends_with(['.', ' ']), "{name}");
        assert!(!name.ends_with("new"), "{name} is left behind");
    }
    let sessions = names.iter().filter(|name| name.ends_with(".session"));
    assert_eq!(sessions.count(), orgs.len());
}
