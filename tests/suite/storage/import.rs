//! Taking over what earlier tools left in files: shown before anything is changed, to the last
//! byte or not at all, and never in two tools unasked.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::asked::AtTerminal;
use crate::support::earlier_tools::{
    Tokens, leave, leave_pup, leave_seed, pup_tokens, seed_tokens,
};
use crate::support::home::{Home, free_port};
use crate::support::peers::{Kind, Peer};
use crate::support::process::{Run, finish, start};

/// Not all tests have a keychain, and it has tests of its own.
const TAKE: [&str; 5] = ["import", "--from", "file", "--yes", "--remove-original"];

/// Every file of a home but our locks, with its mode.
fn files(home: &Home) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut files = BTreeMap::new();
    let mut directories = vec![home.path().to_path_buf()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            if metadata.is_dir() {
                directories.push(path);
            } else if metadata.is_file() {
                let bytes = std::fs::read(&path).unwrap();
                files.insert(path, (metadata.permissions().mode(), bytes));
            }
        }
    }
    files.retain(|path, _| {
        let name = path.file_name().unwrap().to_str().unwrap();
        !name.contains(".lock")
    });
    files
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[track_caller]
fn succeeds(run: &Run, words: &[&str]) {
    assert_eq!(run.code, Some(0), "{run:?}");
    says(run, words);
}

/// Insists on words, and that no token is among them.
#[track_caller]
fn says(run: &Run, words: &[&str]) {
    let all = format!("{}{}", run.stdout, run.stderr);
    for word in words {
        assert!(all.contains(word), "no {word:?} in {run:?}");
    }
    assert!(!all.contains("canary") && !all.contains("panicked"), "{run:?}");
}

fn answered(home: &Home, request: &str) -> String {
    let run = home.run(&["get"], request);
    assert_eq!(run.code, Some(0), "{run:?}");
    run.value("access_token")
}

/// Whether the session is here, and renewable.
fn is_here(home: &Home, site: &str) -> bool {
    let run = home.run(&["--site", site, "status", "--json"], "");
    run.code == Some(0) && run.stdout.contains(r#""renewable":true"#)
}

#[test]
fn without_flags_it_shows_what_there_is_and_changes_nothing() {
    let home = Home::new();
    home.run(&["store"], "site=us5\naccess_token=ours\n").succeeds_quietly();
    let (eu, us, acme) = (Tokens::named("eu"), Tokens::named("us"), Tokens::named("acme"));
    leave_seed(&home, &[("datadoghq.eu", &eu)]);
    leave_pup(&home, "us5.datadoghq.com", &[("__default__", &us), ("acme", &acme)]);
    let before = files(&home);
    let run = home.run(&["import"], "");
    succeeds(&run, &["nothing was changed", "--yes --remove-original", "there is none"]);
    let lines: Vec<_> = run.stdout.lines().collect();
    let words = |line: &str| line.split_whitespace().map(String::from).collect::<Vec<_>>();
    assert_eq!(lines.len(), 3, "{run:?}");
    assert_eq!(words(lines[0])[..3], ["datadoghq.eu", "-", "renewable"]);
    for part in ["expired 2023-11-14T23:13:20Z", "new here", "datadog-cli, file ", "oauth_tokens"] {
        assert!(lines[0].contains(part), "{run:?}");
    }
    assert_eq!(words(lines[1])[..2], ["us5.datadoghq.com", "-"]);
    assert!(lines[1].contains("session here") && lines[1].contains("pup, file "), "{run:?}");
    assert_eq!(words(lines[2])[..2], ["us5.datadoghq.com", "acme"]);
    assert!(lines[2].contains("new here"), "{run:?}");
    assert_eq!(files(&home), before);
    let narrowed = home.run(&["import", "--site", "us5", "--org", "acme", "--from", "pup"], "");
    assert_eq!(narrowed.stdout.lines().collect::<Vec<_>>(), [lines[2]]);
}

#[test]
fn where_nothing_was_left_behind_nothing_is_made() {
    let home = Home::new();
    succeeds(&home.run(&TAKE, ""), &["no session of an earlier tool was found"]);
    assert_eq!(files(&home), BTreeMap::new());
}

#[test]
fn a_session_goes_on_here_with_its_registration() {
    for (kind, tool) in [(Kind::Judge, "pup"), (Kind::Demo, "datadog-cli")] {
        let peer = Peer::start(kind);
        let mut home = Home::at(&peer);
        let port = free_port();
        home.set("DD_OAUTH_CALLBACK_PORT", &port.to_string());
        let tokens = Tokens::of_login(&home, &peer, port);
        let original = if tool == "pup" {
            leave_pup(&home, &peer.origin, &[("__default__", &tokens)]);
            pup_tokens(&home, &peer.origin)
        } else {
            leave_seed(&home, &[(&peer.origin, &tokens)]);
            seed_tokens(&home)
        };
        let run = home.run(&TAKE, "");
        succeeds(&run, &["took over", tool, "removed it"]);
        assert!(!run.stderr.contains(&tokens.refresh), "{run:?}");
        assert!(!original.exists(), "it was the only session there");
        peer.clear_log();
        let token = home.get();
        assert!(
            token != tokens.access && peer.accepts(&token),
            "it is renewed with its own client"
        );
        assert_eq!(peer.refreshes().len(), 1);
        assert_eq!(home.status()["scopes"], serde_json::json!(["metrics_read"]));
        home.log_in();
        let registered = |event: &crate::support::peers::Event| event.endpoint == "register";
        assert!(!peer.log().iter().any(registered), "{kind:?}: the client is known");
    }
}

#[test]
fn a_refresh_token_is_not_put_into_two_tools_unasked() {
    let home = Home::new();
    leave_pup(&home, "datadoghq.eu", &[("acme", &Tokens::named("acme"))]);
    let before = files(&home);
    let undecided = home.run(&["import", "--from", "file", "--yes"], "");
    undecided.fails(2, &["ends the session of both", "--remove-original", "--keep-original"]);
    assert_eq!(files(&home), before);
    let both = home.run(&["import", "--yes", "--remove-original", "--keep-original"], "");
    both.fails(2, &["cannot be used with"]);
    let kept = home.run(&["import", "--from", "file", "--yes", "--keep-original"], "");
    succeeds(&kept, &["took over EU1 (acme) from pup", "warning", "the session of both ends"]);
    let original = pup_tokens(&home, "datadoghq.eu");
    assert_eq!(files(&home)[&original], before[&original]);
    assert!(is_here(&home, "eu1"));
    // Who changes their mind removes the original later.
    succeeds(&home.run(&TAKE, ""), &["removed it"]);
    assert!(!original.exists() && is_here(&home, "eu1"));
}

#[test]
fn an_access_token_alone_may_be_in_two_tools() {
    let home = Home::new();
    let mut session = Tokens::named("plain").of_seed();
    session["refreshToken"] = Value::Null;
    session["issuedAt"] = 4_000_000_000_u32.into();
    leave(&seed_tokens(&home), &serde_json::json!({"datadoghq.eu": session}).to_string());
    let shown = home.run(&["import", "--from", "file"], "");
    says(&shown, &["not renewable"]);
    succeeds(&home.run(&["import", "--from", "file", "--yes"], ""), &["took over EU1"]);
    assert!(seed_tokens(&home).exists());
}

#[test]
fn a_session_that_is_here_is_not_written_over() {
    let home = Home::new();
    home.run(&["store"], "site=eu1\naccess_token=ours\nexpires_in=3600\n").succeeds_quietly();
    leave_seed(
        &home,
        &[("datadoghq.eu", &Tokens::named("eu")), ("ap1.datadoghq.com", &Tokens::named("ap"))],
    );
    let run = home.run(&TAKE, "");
    assert_eq!(run.code, Some(2), "{run:?}");
    says(&run, &["a session for EU1 already", "--replace", "took over AP1"]);
    assert_eq!(answered(&home, "site=eu1\n"), "ours");
    let left = read_json(&seed_tokens(&home));
    assert_eq!(left.as_object().unwrap().keys().collect::<Vec<_>>(), ["datadoghq.eu"]);
    let replaced = home.run(&[&TAKE[..], &["--replace"]].concat(), "");
    succeeds(&replaced, &["took over EU1"]);
    assert!(is_here(&home, "eu1") && !seed_tokens(&home).exists());
}

#[test]
fn others_in_the_file_stay_to_the_letter_and_so_do_its_mode_and_the_link_to_it() {
    let home = Home::new();
    let kept = r#"{"accessToken": "x",   "surprise": [1, 2.50, 1e400]}"#;
    let text = format!(
        r#"{{"datadoghq.eu": {}, "datadoghq.com": {kept}}}"#,
        Tokens::named("eu").of_seed()
    );
    let target = home.path().join("elsewhere.json");
    leave(&target, &text);
    std::fs::set_permissions(&target, PermissionsExt::from_mode(0o640)).unwrap();
    let link = seed_tokens(&home);
    std::fs::create_dir(link.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let run = home.run(&[&TAKE[..], &["--site", "eu1"]].concat(), "");
    succeeds(&run, &["took over EU1", "datadoghq.com does not say when its token expires"]);
    assert!(link.symlink_metadata().unwrap().is_symlink());
    let left = std::fs::read_to_string(&target).unwrap();
    assert!(left.contains(kept) && !left.contains("canary"), "{left}");
    assert_eq!(target.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    let beside: Vec<_> = std::fs::read_dir(home.path()).unwrap().flatten().collect();
    assert!(!beside.iter().any(|entry| entry.file_name().to_str().unwrap().contains("new")));
}

#[test]
fn what_others_could_have_written_is_refused() {
    let home = Home::new();
    leave_seed(&home, &[("datadoghq.eu", &Tokens::named("eu"))]);
    let path = seed_tokens(&home);
    let directory = path.parent().unwrap();
    for (path, usual, open) in [(path.as_path(), 0o600, 0o666), (directory, 0o700, 0o777)] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(open)).unwrap();
        let run = home.run(&TAKE, "");
        assert_eq!((run.code, run.stdout.as_str()), (Some(6), ""), "{run:?}");
        says(&run, &[path.to_str().unwrap(), "can be written by others", "chmod go-w"]);
        std::fs::set_permissions(path, PermissionsExt::from_mode(usual)).unwrap();
    }
    // Who may not give files away is root in a namespace, where the system's are somebody else's.
    if std::os::unix::fs::chown(&path, Some(65534), None).is_err() {
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
    }
    let run = home.run(&TAKE, "");
    assert_eq!(run.code, Some(6), "{run:?}");
    says(&run, &[path.to_str().unwrap(), "belongs to user 65534"]);
    assert!(path.exists() && !home.state().join("installation").exists());
}

#[test]
fn garbage_is_told_and_keeps_nothing_else_from_being_taken_over() {
    let huge = vec![b' '; 2 << 20];
    let deep = [&b"{\"datadoghq.eu\":"[..], &vec![b'['; 100_000]].concat();
    let canary = r#"{"datadoghq.eu": {"accessToken": "canary", "expiresIn": "canary"}}"#;
    let garbage: &[&[u8]] = &[
        b"",
        b"{",
        b"[]",
        b"null",
        b"\"canary\"",
        b"\xff\xfe\x00\xd8",
        b"{\"datadoghq.eu\": null}",
        b"{\"datadoghq.eu\": {\"accessToken\": \"can\\nary\"}}",
        canary.as_bytes(),
        &huge,
        &deep,
    ];
    for bytes in garbage {
        let home = Home::new();
        let path = seed_tokens(&home);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        let alone = home.run(&TAKE, "");
        assert_eq!(alone.code, Some(5), "{alone:?}");
        says(&alone, &["oauth_tokens.json"]);
        leave_pup(&home, "us5.datadoghq.com", &[("__default__", &Tokens::named("us"))]);
        let run = home.run(&TAKE, "");
        succeeds(&run, &["warning", "oauth_tokens.json", "took over US5 from pup"]);
        assert_eq!(std::fs::read(&path).unwrap(), *bytes, "it is left alone");
        assert!(is_here(&home, "us5"));
    }
}

#[test]
fn what_is_no_file_is_told_and_not_waited_for() {
    let home = Home::new();
    let path = seed_tokens(&home);
    std::fs::create_dir_all(&path).unwrap();
    let run = home.run(&TAKE, "");
    assert_eq!(run.code, Some(5), "{run:?}");
    says(&run, &["oauth_tokens.json", "directory"]);
    std::fs::remove_dir(&path).unwrap();
    home.run_program("mkfifo", &[path.to_str().unwrap()]);
    let run = home.run(&TAKE, "");
    assert_eq!(run.code, Some(5), "{run:?}");
    says(&run, &["oauth_tokens.json", "not a plain file"]);
}

#[test]
fn a_site_comes_from_the_exact_table_or_is_trusted_by_the_user() {
    let home = Home::new();
    leave_seed(
        &home,
        &[
            ("EU1", &Tokens::named("a")),
            ("app.datadoghq.eu", &Tokens::named("b")),
            ("acme.datadoghq.com", &Tokens::named("c")),
            ("dd.example.org", &Tokens::named("d")),
        ],
    );
    let run = home.run(&TAKE, "");
    assert_eq!(run.code, Some(6), "{run:?}");
    says(&run, &["dd.example.org is not one of Datadog's"]);
    for site in ["EU1", "app.datadoghq.eu", "acme.datadoghq.com"] {
        says(&run, &[&format!("for {site} is of a site that is not known")]);
    }
    assert_eq!(read_json(&seed_tokens(&home)).as_object().unwrap().len(), 4);
    let config = home.configuration().join("config.toml");
    leave(&config, "trusted_sites = ['dd.example.org']");
    succeeds(&home.run(&TAKE, ""), &["took over dd.example.org"]);
    assert_eq!(read_json(&seed_tokens(&home)).as_object().unwrap().len(), 3);
}

#[test]
fn of_two_sessions_of_one_name_somebody_has_to_choose() {
    let home = Home::new();
    leave_seed(&home, &[("datadoghq.eu", &Tokens::named("seed"))]);
    leave_pup(&home, "datadoghq.eu", &[("__default__", &Tokens::named("pup"))]);
    let before = files(&home);
    home.run(&TAKE, "").fails(2, &["several sessions for EU1", "--from"]);
    assert_eq!(files(&home), before);
    succeeds(&home.run(&[&TAKE[..], &["--from", "pup"]].concat(), ""), &["EU1 from pup"]);
    assert!(seed_tokens(&home).exists() && !pup_tokens(&home, "datadoghq.eu").exists());
}

#[test]
fn the_variables_of_requests_choose_nothing() {
    let mut home = Home::new();
    leave_seed(&home, &[("datadoghq.eu", &Tokens::named("eu"))]);
    home.set("DD_SITE", "us5").set("DD_ORG", "acme");
    succeeds(&home.run(&TAKE, ""), &["took over EU1"]);
}

#[test]
fn several_that_take_over_at_once_get_in_nobodys_way() {
    let home = Home::new();
    let orgs: Vec<_> = (0..8).map(|number| format!("org{number}")).collect();
    let tokens: Vec<_> = orgs.iter().map(|org| Tokens::named(org)).collect();
    let sessions: Vec<_> = orgs.iter().map(String::as_str).zip(&tokens).collect();
    leave_pup(&home, "datadoghq.eu", &sessions);
    let takers: Vec<_> = orgs
        .iter()
        .chain(&orgs)
        .map(|org| start(home.program(&[&TAKE[..], &["--org", org]].concat()), b""))
        .collect();
    for taker in takers {
        succeeds(&finish(taker), &[]);
    }
    assert!(!pup_tokens(&home, "datadoghq.eu").exists());
    assert_eq!(home.run(&["list"], "").stdout.lines().count(), orgs.len());
}

/// Whoever kills it wherever: the session is here or where it was, and doing it again ends well.
#[test]
fn killed_at_any_step_it_loses_nothing_and_goes_on_later() {
    let mut survived = 0;
    for step in 1.. {
        let home = Home::new();
        // Made before, so that every step is one of the taking over.
        home.run(&["store"], "site=us1\naccess_token=other\n").succeeds_quietly();
        leave_pup(
            &home,
            "datadoghq.eu",
            &[("__default__", &Tokens::named("eu")), ("acme", &Tokens::named("acme"))],
        );
        let original = pup_tokens(&home, "datadoghq.eu");
        let calls = "fsync,rename,unlink,linkat,link,fchmod";
        let injection = format!("inject={calls}:signal=KILL:when={step}");
        let flags = ["-f", "-o", "strace.log", "-e", &format!("trace={calls}"), "-e", &injection];
        let mut traced = home.any_program(Path::new("strace"), &flags);
        traced.arg(env!("CARGO_BIN_EXE_dd-oauth")).args(TAKE);
        let run = finish(start(traced, b""));
        let there = std::fs::read(&original).ok().map(|bytes| {
            let json: Value = serde_json::from_slice(&bytes).expect("it is never half written");
            json.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
        });
        for org in ["__default__", "acme"] {
            let flags: &[&str] = if org == "acme" { &["--org", org] } else { &[] };
            let status = home.run(&[&["--site", "eu1", "status"], flags].concat(), "");
            let original = there.iter().flatten().any(|known| known == org);
            assert!(original || status.code == Some(0), "step {step}: {org} is lost: {status:?}");
        }
        if run.code == Some(0) {
            break;
        }
        survived += 1;
        succeeds(&home.run(&TAKE, ""), &[]);
        assert!(!original.exists(), "step {step}");
        assert_eq!(home.run(&["list"], "").stdout.lines().count(), 3, "step {step}");
        let left: Vec<_> = std::fs::read_dir(original.parent().unwrap())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(left, ["client_datadoghq_eu.json"], "step {step}: nothing lies about");
    }
    assert!(survived >= 8, "only {survived} steps were seen");
}

#[test]
fn a_person_is_asked_about_both() {
    let home = Home::new();
    leave_seed(&home, &[("datadoghq.eu", &Tokens::named("eu"))]);
    let before = files(&home);
    for answers in [&["n\n"][..], &["\n"], &["y\n", "\n"], &["y\n", "perhaps\n"]] {
        let mut terminal = AtTerminal::start(&home, "import --from file");
        terminal.asks("take over this session?");
        assert!(terminal.shown.contains("oauth_tokens.json"), "{}", terminal.shown);
        terminal.types(answers[0]);
        if let Some(second) = answers.get(1) {
            terminal.asks("ends the session of both");
            terminal.types(second);
        }
        let (code, shown) = terminal.ends();
        assert_eq!(code, Some(0), "{shown}");
        assert!(shown.contains("nothing was changed"), "{shown}");
        assert_eq!(files(&home), before, "{answers:?}");
    }
    let mut terminal = AtTerminal::start(&home, "import --from file");
    terminal.asks("take over this session?");
    terminal.types("y\n");
    terminal.asks("remove them where they are?");
    terminal.types("y\n");
    let (code, shown) = terminal.ends();
    assert_eq!(code, Some(0), "{shown}");
    assert!(is_here(&home, "eu1") && !seed_tokens(&home).exists());
}

#[test]
fn a_session_that_its_tool_renews_meanwhile_is_left_to_it() {
    let home = Home::new();
    leave_seed(&home, &[("datadoghq.eu", &Tokens::named("eu"))]);
    let mut terminal = AtTerminal::start(&home, "import --from file --remove-original");
    terminal.asks("take over this session?");
    leave_seed(&home, &[("datadoghq.eu", &Tokens::named("renewed"))]);
    terminal.types("y\n");
    let (code, shown) = terminal.ends();
    assert_eq!(code, Some(4), "{shown}");
    assert!(shown.contains("has changed since it was looked at"), "{shown}");
    assert!(!is_here(&home, "eu1") && seed_tokens(&home).exists());
}

#[test]
fn a_disk_that_is_full_keeps_the_original_where_it_is() {
    let home = Home::new();
    home.run(&["store"], "site=us1\naccess_token=other\n").succeeds_quietly();
    leave_seed(&home, &[("datadoghq.eu", &Tokens::named("eu"))]);
    let before = files(&home);
    let flags = ["-f", "-o", "strace.log", "-e", "trace=fsync", "-e", "inject=fsync:error=ENOSPC"];
    let mut traced = home.any_program(Path::new("strace"), &flags);
    traced.arg(env!("CARGO_BIN_EXE_dd-oauth")).args(TAKE);
    let run = finish(start(traced, b""));
    assert_eq!(run.code, Some(5), "{run:?}");
    says(&run, &["No space left"]);
    let path = seed_tokens(&home);
    assert_eq!(files(&home)[&path], before[&path]);
    succeeds(&home.run(&TAKE, ""), &["took over EU1"]);
}
