//! What `-v` and `DD_OAUTH_LOG` say of a decision is what was decided, and no secret is in it.

use std::path::{Path, PathBuf};

use crate::support::deadline::eventually;
use crate::support::home::Home;
use crate::support::peers::{Kind, Peer};
use crate::support::process::{Run, finish, start};

/// The lines of a trace on standard error.
fn traced(run: &Run) -> Vec<&str> {
    run.stderr.lines().filter_map(|line| line.strip_prefix("dd-oauth: [trace] ")).collect()
}

/// Insists that lines with these words come in this order; each word may be several, separated by
/// `…`.
#[track_caller]
fn in_order(lines: &[&str], wanted: &[&str]) {
    let mut left = lines.iter();
    for words in wanted {
        let fits = |line: &&str| words.split('…').all(|word| line.contains(word));
        assert!(left.any(fits), "no {words:?} at its place in {lines:#?}");
    }
}

/// A home whose programs trace into a file.
fn logging(home: &mut Home) -> PathBuf {
    let log = home.path().join("trace.log");
    home.set("DD_OAUTH_LOG", log.to_str().unwrap());
    log
}

/// What each process wrote: its id and its line.
fn logged(log: &Path) -> Vec<(u32, String)> {
    let text = std::fs::read_to_string(log).unwrap();
    let entry = |line: &str| {
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.len() == 24 && time.ends_with('Z'), "{line}");
        let (process, said) = rest.split_once(' ').unwrap();
        (process.parse().unwrap(), said.to_string())
    };
    text.lines().map(entry).collect()
}

fn home_with_session() -> Home {
    let home = Home::new();
    home.run(&["store"], "site=eu1\naccess_token=kept\nexpires_in=3600\n").succeeds_quietly();
    home
}

#[test]
fn it_is_off_unless_somebody_asks() {
    let home = home_with_session();
    home.run(&["get"], "").succeeds_quietly();
    let run = home.run(&["-v", "token"], "");
    assert_eq!(run.stdout, "kept\n", "the answer is the same");
    assert!(run.stderr.lines().count() > 3, "{run:?}");
    assert_eq!(traced(&run).len(), run.stderr.lines().count(), "{run:?}");
}

#[test]
fn it_names_the_session_that_was_chosen_and_who_named_it() {
    let mut home = home_with_session();
    let said = |home: &Home, arguments: &[&str], input: &str| {
        let run = home.run(arguments, input);
        assert_eq!(run.code, Some(0), "{run:?}");
        run
    };
    let run = said(&home, &["-v", "token"], "");
    in_order(
        &traced(&run),
        &[
            "no site is named, no organization is named",
            "EU1: it is the only one",
            "file ",
            "3600 s left): fresh",
            "done",
        ],
    );
    let other = "site=us5\norg=acme\naccess_token=other\nexpires_in=3600\n";
    home.run(&["store"], other).succeeds_quietly();
    let run = said(&home, &["token", "--site", "us5", "-v"], "");
    in_order(&traced(&run), &["site us5.datadoghq.com (--site)", "US5 (acme): it is the only one"]);
    let run = said(&home, &["-v"], "get\nsite=us5\norg=acme\n");
    in_order(
        &traced(&run),
        &["(the request)…organization acme (the request)", "US5 (acme): it was named"],
    );
    said(&home, &["use", "us5", "acme"], "");
    let run = said(&home, &["-v", "token"], "");
    in_order(&traced(&run), &["US5 (acme): `dd-oauth use` chose it"]);
    home.set("DD_SITE", "eu1");
    let run = said(&home, &["-v", "token"], "");
    in_order(&traced(&run), &["site datadoghq.eu (DD_SITE)", "EU1"]);
}

#[test]
fn a_stale_get_says_what_it_and_its_worker_did() {
    let peer = Peer::start(Kind::Demo);
    let mut home = Home::at(&peer);
    home.log_in();
    home.make_stale();
    let log = logging(&mut home);
    let get = start(home.program(&["-v", "get"]), b"");
    let caller = get.id();
    let run = finish(get);
    assert!(peer.accepts(&run.value("access_token")), "{run:?}");
    in_order(
        &traced(&run),
        &[
            "0 s of…stale",
            "took the lock…for refresh",
            "started a worker",
            "took over the token",
            "done",
        ],
    );
    // It ends after its caller.
    eventually("the worker to end", || {
        logged(&log).iter().any(|(process, line)| *process != caller && line == "done")
    });
    let lines = logged(&log);
    let of = |ours: bool| -> Vec<&str> {
        let of = lines.iter().filter(|(process, _)| (*process == caller) == ours);
        of.map(|(_, line)| line.as_str()).collect()
    };
    assert_eq!(of(true), traced(&run), "both have the same lines");
    in_order(
        &of(false),
        &[
            "has the lock and the key",
            "attempt 1…asks http…for a new token",
            "status 200 after…a new token",
            "stored the new token",
            "renewed",
            "done",
        ],
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        assert_eq!(std::fs::metadata(&log).unwrap().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_refresh_that_fails_says_how_and_what_it_leads_to() {
    let peer = Peer::start(Kind::Demo);
    let mut home = Home::at(&peer);
    home.log_in();
    home.make_stale();
    let log = logging(&mut home);
    peer.decline_refreshes(503);
    let run = home.run(&["-v", "get"], "");
    assert_eq!(run.code, Some(4), "{run:?}");
    let before = peer.refreshes().len();
    in_order(&traced(&run), &["took over the outcome…failed, 1 in a row…503", "exit code 4"]);
    let again = home.run(&["-v", "get"], "");
    in_order(&traced(&again), &["took the lock", "asks nobody…503", "exit code 4"]);
    assert_eq!(peer.refreshes().len(), before, "it asked nobody, as it says");
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.contains("status 503 after"), "{text}");
}

#[test]
fn what_comes_from_outside_begins_no_line_and_moves_no_cursor() {
    let mut home = Home::new();
    let log = logging(&mut home);
    let directory = home.path().join("a\nb\u{1b}[31m");
    home.set("DD_OAUTH_STATE_DIR", directory.to_str().unwrap());
    let run = home.run(&["-v", "store"], "site=eu1\naccess_token=kept\n");
    assert_eq!(run.code, Some(0), "{run:?}");
    in_order(&traced(&run), &["took the lock /…a\\nb\\u{1b}[31m", "done"]);
    assert_eq!(traced(&run).len(), run.stderr.lines().count(), "{run:?}");
    let lines = logged(&log);
    assert_eq!(lines.iter().map(|(_, line)| line.as_str()).collect::<Vec<_>>(), traced(&run));
    assert!(lines.iter().all(|(_, line)| !line.contains(char::is_control)), "{lines:?}");
}

#[test]
fn a_login_tells_its_way_and_nothing_that_could_be_used() {
    let peer = Peer::start(Kind::Demo);
    let mut home = Home::at(&peer);
    let log = logging(&mut home);
    home.log_in();
    let lines = logged(&log);
    let lines: Vec<_> = lines.iter().map(|(_, line)| line.as_str()).collect();
    in_order(
        &lines,
        &[
            "took the lock…for login",
            "a login to…listens on port",
            "registers this installation",
            "started the browser command node",
            "waiting for the callback on port",
            "the person came back by the callback",
            "exchanged the code",
            "the login is done",
        ],
    );
    let text = lines.join("\n");
    let opened = std::fs::read_to_string(home.path().join("browser.log")).unwrap();
    let url = opened.lines().find(|line| line.starts_with("http")).unwrap();
    for pair in url.split_once('?').unwrap().1.split('&') {
        let (name, value) = pair.split_once('=').unwrap();
        if ["state", "code_challenge"].contains(&name) {
            assert!(!text.contains(value), "{name} is in {text}");
        }
    }
    for secret in ["demo-at-", "demo-rt-", "code=", "state=", "http://127.0.0.1:", "?"] {
        let said = lines.iter().find(|line| line.contains(secret));
        // The site itself has an address of this machine here.
        let said = said.map(|line| line.replace(&peer.origin, ""));
        assert!(said.is_none_or(|line| !line.contains(secret)), "{secret} is in {text}");
    }
}

#[test]
fn processes_share_the_file_line_by_line() {
    let mut home = home_with_session();
    let log = logging(&mut home);
    let gets: Vec<_> = (0..8).map(|_| start(home.program(&["token"]), b"")).collect();
    for get in gets {
        finish(get).succeeds_quietly();
    }
    let done = logged(&log).into_iter().filter(|(_, line)| line == "done").count();
    assert_eq!(done, 8);
}

#[test]
fn a_log_that_cannot_be_written_is_told_once_and_costs_no_answer() {
    let home = home_with_session();
    let path = |name: &str| home.path().join(name);
    std::fs::write(path("kept"), "as it was\n").unwrap();
    std::fs::create_dir(path("directory")).unwrap();
    #[cfg_attr(not(unix), allow(unused_mut, reason = "the others are Unix's"))]
    let mut bad = vec![path("directory"), path("missing/log"), path("kept/log")];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(path("aim"), path("symbolic")).unwrap();
        std::fs::hard_link(path("kept"), path("hard")).unwrap();
        home.run_program("mkfifo", &["pipe"]);
        let open = path("open");
        std::fs::write(&open, "").unwrap();
        std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o622))
            .unwrap();
        bad.extend([path("symbolic"), path("hard"), path("pipe"), open]);
    }
    for log in bad {
        let run = home.run_with(("DD_OAUTH_LOG", log.to_str().unwrap()), &["token"], "");
        assert_eq!((run.code, run.stdout.as_str()), (Some(0), "kept\n"), "{run:?}");
        assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
        assert!(run.stderr.contains("the trace cannot be written to"), "{run:?}");
        assert!(run.stderr.contains(log.to_str().unwrap()), "{run:?}");
    }
    assert_eq!(std::fs::read_to_string(path("kept")).unwrap(), "as it was\n");
    assert!(!path("aim").exists(), "nothing is made where a link leads");
    home.run_with(("DD_OAUTH_LOG", "log"), &["token"], "").fails(2, &["not an absolute path"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_log_of_somebody_else_is_left_alone() {
    let home = Home::new().of_ordinary_user("nobody");
    home.run(&["store"], "site=eu1\naccess_token=kept\nexpires_in=3600\n").succeeds_quietly();
    let log = home.path().join("trace.log");
    std::fs::write(&log, "").unwrap();
    std::fs::set_permissions(&log, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let run = home.run_with(("DD_OAUTH_LOG", log.to_str().unwrap()), &["token"], "");
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "kept\n"), "{run:?}");
    assert!(run.stderr.contains("the trace cannot be written"), "{run:?}");
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "");
}

#[cfg(unix)]
#[test]
fn a_limit_on_the_size_of_files_ends_the_trace_and_not_the_program() {
    let home = home_with_session();
    let log = home.path().join("trace.log");
    std::fs::write(&log, "x".repeat(2048)).unwrap();
    std::fs::set_permissions(&log, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    // In blocks of 512 bytes; the hard limit too.
    let script = "ulimit -f 4; exec \"$0\" token";
    let mut limited = home.any_program("sh".as_ref(), &["-c", script]);
    limited.arg(env!("CARGO_BIN_EXE_dd-oauth")).env("DD_OAUTH_LOG", &log);
    let run = finish(start(limited, b""));
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "kept\n"), "{run:?}");
    assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
    assert!(run.stderr.contains("going on without it"), "{run:?}");
}
