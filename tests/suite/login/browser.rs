//! Real browsers, and commands that are none.
#![cfg(unix)]

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::deadline::{eventually, within_deadline};
use crate::support::home::Home;
use crate::support::login::Login;
use crate::support::peers::{Kind, Peer, source};

/// A home whose browser is Chromium.
fn home_with_chromium(peer: &Peer) -> Home {
    let mut home = Home::at(peer);
    let browser = format!("node {} %s", source("tests/peers/chromium.mjs").display());
    home.set("BROWSER", &browser);
    home
}

/// What Chromium saw last.
fn last_page(home: &Home) -> Value {
    let path = home.path().join("browser.log");
    let mut page = Value::Null;
    eventually("Chromium's description of the last page", || {
        let log = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(!log.contains("\nfailed "), "{log}");
        let line = log.lines().rev().find_map(|line| line.strip_prefix("page "));
        page = line.and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
        !page.is_null()
    });
    page
}

/// Where screenshots are kept for whoever wants to look at them: below the target directory.
fn screenshots(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages").join(name);
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

fn mkfifo(home: &Home) -> PathBuf {
    let fifo = home.path().join("fifo");
    home.run_program("mkfifo", &[fifo.to_str().unwrap()]);
    fifo
}

/// Writes a line once somebody reads.
fn tell(fifo: &Path) {
    let fifo = fifo.to_path_buf();
    within_deadline("a reader of the fifo", move || std::fs::write(fifo, "\n").unwrap());
}

/// What holds for every page that ends a login.
#[track_caller]
fn is_harmless(page: &Value) {
    let everything = page.to_string();
    for kept in [page["address"].to_string(), page["history"].to_string()] {
        assert!(!kept.contains("code=") && !kept.contains("/oauth/callback?"), "{kept}");
    }
    assert_eq!(page["referrer"], "", "{everything}");
    assert_eq!((&page["after"], &page["complaints"]), (&json!([]), &json!([])), "{everything}");
    assert_eq!(page["scripts"], 0);
    assert_eq!(page["fits_a_phone"], true);
    assert_eq!(page["styled"], "480px", "its own style is allowed: {everything}");
    let headers = &page["headers"];
    let policy = headers["content-security-policy"].as_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'nonce-"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(headers["cache-control"], "no-store");
}

#[test]
fn chromium_logs_in_and_keeps_no_code() {
    for kind in [Kind::Demo, Kind::Judge] {
        let peer = Peer::start(kind);
        let mut home = home_with_chromium(&peer);
        home.set("CHROMIUM_SHOTS", screenshots(&format!("{kind:?}")).to_str().unwrap());
        peer.set(&json!({"callback": {"dd_org_name": "Acme Inc."}}));
        home.log_in();
        let page = last_page(&home);
        is_harmless(&page);
        let text = page["text"].as_str().unwrap();
        for word in ["Logged in", "Acme Inc.", &peer.origin, "37 scopes", "close this tab"] {
            assert!(text.contains(word), "no {word} in {text}");
        }
        assert!(peer.accepts(&home.get()));
    }
}

#[test]
fn chromium_is_told_what_failed_and_what_to_do() {
    let peer = Peer::start(Kind::Judge);
    let mut home = home_with_chromium(&peer);
    home.set("CHROMIUM_SHOTS", screenshots("failure").to_str().unwrap());
    peer.set(&json!({"callback": {"iss": "https://evil.example.org/<script>alert(1)</script>"}}));
    assert_eq!(home.run(&["login"], "").code, Some(6));
    let page = last_page(&home);
    is_harmless(&page);
    let text = page["text"].as_str().unwrap();
    for word in ["Not logged in", "evil.example.org/<script>", "go back to the terminal"] {
        assert!(text.contains(word), "no {word} in {text}");
    }
}

#[test]
fn chromium_shows_a_script_as_text() {
    let script = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
    let peer = Peer::start(Kind::Judge);
    let home = home_with_chromium(&peer);
    peer.set(&json!({"callback": {"dd_org_name": script, "dd_oid": script, "site": script}}));
    home.log_in();
    let page = last_page(&home);
    is_harmless(&page);
    assert!(page["text"].as_str().unwrap().contains(script), "{page}");
}

#[test]
fn chromium_takes_the_offer_of_read_access() {
    let peer = Peer::start(Kind::Judge);
    let mut home = home_with_chromium(&peer);
    home.set("CHROMIUM_SHOTS", screenshots("less access").to_str().unwrap());
    peer.set(&json!({"refuse_scopes": ["cases_write"], "name_refused_scopes": false}));
    home.log_in();
    let page = last_page(&home);
    is_harmless(&page);
    assert!(page["text"].as_str().unwrap().contains("25 of 37 scopes"), "{page}");
    let log = std::fs::read_to_string(home.path().join("browser.log")).unwrap();
    assert!(log.contains("\noffer\n"), "{log}");
}

#[test]
fn a_noisy_browser_in_the_foreground_neither_blocks_nor_is_heard() {
    let peer = Peer::start(Kind::Demo);
    let mut home = Home::at(&peer);
    let fifo = mkfifo(&home);
    let script = home.path().join("browser.sh");
    let browser = source("tests/peers/browser.mjs");
    // It stays until somebody writes to the fifo.
    let text = format!(
        "echo noise; echo noise >&2; node {} \"$1\"; read line <{}; touch gone",
        browser.display(),
        fifo.display()
    );
    std::fs::write(&script, text).unwrap();
    home.set("BROWSER", &format!("sh {}", script.display()));
    let run = home.log_in();
    assert!(!run.stderr.contains("noise") && run.stdout.is_empty(), "{run:?}");
    assert!(peer.accepts(&home.get()));
    tell(&fifo);
    eventually("the end of the browser", || home.path().join("gone").exists());
}

#[test]
fn a_browser_that_cannot_be_opened_is_noticed_and_the_next_one_tried() {
    let peer = Peer::start(Kind::Demo);
    let mut home = Home::at(&peer);
    let working = format!("node {} %s", source("tests/peers/browser.mjs").display());
    for broken in ["/nonexistent/browser", "false", "sh -c 'exit 3'"] {
        home.set("BROWSER", &format!("{broken}:{working}"));
        let before = home.browsers_opened();
        home.log_in();
        assert_eq!(home.browsers_opened(), before + 1, "{broken}");
    }

    // One that seems to be opened, and fails later.
    let fifo = mkfifo(&home);
    let script = home.path().join("browser.sh");
    std::fs::write(&script, format!("read line <{}; exit 3", fifo.display())).unwrap();
    home.set("BROWSER", &format!("sh {}", script.display()));
    let mut login = Login::start_in_browser(&home);
    tell(&fifo);
    assert!(
        login.next_line().contains("no browser could be opened (sh ended with exit status: 3)")
    );
    login.complete(&home);

    home.set("BROWSER", "/nonexistent/one:/nonexistent/two");
    let login = Login::start_in_browser(&home);
    login.complete(&home);
}

#[test]
fn without_a_display_no_browser_is_started() {
    let peer = Peer::start(Kind::Demo);
    let mut home = Home::at(&peer);
    let bin = home.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let opener = bin.join("xdg-open");
    std::fs::write(&opener, "#!/bin/sh\necho \"$1\" >>opened\n").unwrap();
    std::fs::set_permissions(&opener, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    home.set("BROWSER", "").set("PATH", &format!("{}:{path}", bin.display()));
    let seen = |home: &Home| std::fs::read_to_string(home.path().join("opened"));
    Login::start_in_browser(&home).complete(&home);
    assert!(seen(&home).is_err());
    home.set("DISPLAY", ":99");
    let login = Login::start_in_browser(&home);
    let state = login.state();
    eventually("the system's own way to open the page", || {
        seen(&home).is_ok_and(|text| text.contains(&state))
    });
    login.complete(&home);
}
