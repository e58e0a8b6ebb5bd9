//! git asks for credentials, and clones with them. (`tests/run` sees to it that it is one that knows
//! bearer tokens.)
#![cfg(unix)]

use std::path::Path;

use serde_json::json;

use crate::support::home::Home;
use crate::support::peers::{Kind, Peer};
use crate::support::process::Run;

/// The judge, a home with a session there, and a repository that only its tokens open.
struct Stage {
    peer: Peer,
    home: Home,
    _repositories: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let peer = Peer::start(Kind::Judge);
        let home = Home::at(&peer);
        home.log_in();
        let repositories = tempfile::tempdir().unwrap();
        let bare = repositories.path().join("repo.git");
        git(&home, &["init", "-q", "--bare", "-b", "main", bare.to_str().unwrap()], "");
        commit_to(&home, &bare);
        peer.set(&json!({"git_root": repositories.path()}));
        Self { peer, home, _repositories: repositories }
    }

    /// A request of git for its credential.
    fn request(&self, more: &str) -> String {
        let (protocol, host) = self.peer.origin.split_once("://").unwrap();
        format!("{more}protocol={protocol}\nhost={host}\n")
    }

    fn url(&self) -> String {
        format!("{}/git/repo.git", self.peer.origin)
    }
}

fn commit_to(home: &Home, bare: &Path) {
    let tree = git(home, &["--git-dir", bare.to_str().unwrap(), "mktree"], "").stdout;
    let author = ["-c", "user.name=Test", "-c", "user.email=test@example.org"];
    let commit = ["--git-dir", bare.to_str().unwrap(), "commit-tree", "-m", "First", tree.trim()];
    let commit = git(home, &[&author[..], &commit].concat(), "").stdout;
    let update =
        ["--git-dir", bare.to_str().unwrap(), "update-ref", "refs/heads/main", commit.trim()];
    git(home, &update, "");
}

/// Runs git with our helper and no other, and insists on success.
fn git(home: &Home, arguments: &[&str], input: &str) -> Run {
    let run = try_git(home, arguments, input);
    assert_eq!(run.code, Some(0), "{run:?}");
    run
}

fn try_git(home: &Home, arguments: &[&str], input: &str) -> Run {
    let helper = ["-c", "credential.helper=", "-c", "credential.helper=dd-oauth"];
    home.call("git", &[&helper, arguments].concat(), input)
}

#[test]
fn git_fills_a_credential_in_both_forms() {
    let stage = Stage::new();
    let token = stage.home.get();
    let fill = |more: &str| git(&stage.home, &["credential", "fill"], &stage.request(more));
    let bearer = fill("capability[]=authtype\n");
    assert_eq!(bearer.value("authtype"), "Bearer");
    assert_eq!(bearer.value("credential"), token);
    assert_eq!(bearer.value("ephemeral"), "1");
    assert!(bearer.value("password_expiry_utc").parse::<u64>().is_ok());
    let password = fill("");
    assert_eq!((password.value("username"), password.value("password")), ("oauth2".into(), token));
    assert_eq!(fill("username=somebody\n").value("username"), "somebody");
}

#[test]
fn what_git_approves_is_not_kept() {
    let stage = Stage::new();
    let stored = stage.home.stored();
    for more in ["capability[]=authtype\n", ""] {
        let filled = git(&stage.home, &["credential", "fill"], &stage.request(more));
        git(&stage.home, &["credential", "approve"], &filled.stdout);
    }
    let foreign = stage.request("username=somebody\npassword=another\n");
    git(&stage.home, &["credential", "approve"], &foreign);
    assert_eq!(stage.home.stored(), stored);
}

#[cfg(feature = "test-clock")]
#[test]
fn what_git_rejects_is_renewed_and_costs_no_login() {
    let mut stage = Stage::new();
    let token = stage.home.get();
    // Past the first moments of the token, in which a rejection is not about its age.
    stage.home.set("DD_OAUTH_TEST_CLOCK", "60000");
    let another = stage.request("username=oauth2\npassword=another\n");
    git(&stage.home, &["credential", "reject"], &another);
    assert_eq!(stage.home.get(), token);
    let filled =
        git(&stage.home, &["credential", "fill"], &stage.request("capability[]=authtype\n"));
    git(&stage.home, &["credential", "reject"], &filled.stdout);
    let renewed = stage.home.get();
    assert!(renewed != token && stage.peer.accepts(&renewed));
    assert_eq!(stage.peer.refreshes().len(), 1);
}

#[test]
fn git_clones_with_a_bearer_token_after_a_401() {
    let stage = Stage::new();
    stage.home.make_stale();
    git(&stage.home, &["clone", "-q", &stage.url(), "clone"], "");
    let log = git(&stage.home, &["-C", "clone", "log", "--format=%s"], "");
    assert_eq!(log.stdout, "First\n");
    let statuses = stage.peer.api_statuses();
    assert_eq!(statuses[..2], [401, 200], "{statuses:?}");
    assert!(statuses[2..].iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(stage.peer.refreshes().len(), 1);
}

#[cfg(feature = "test-clock")]
#[test]
fn git_erases_a_token_that_the_server_rejects_and_fetches_with_the_next() {
    let mut stage = Stage::new();
    let revoked = "access_token=revoked\nexpires_in=3600\n";
    stage.home.run(&["store"], revoked).succeeds_quietly();
    stage.home.set("DD_OAUTH_TEST_CLOCK", "60000").set("GIT_TERMINAL_PROMPT", "0");
    let url = stage.url();
    let run = try_git(&stage.home, &["ls-remote", &url], "");
    assert_eq!(run.code, Some(128), "{run:?}");
    let run = git(&stage.home, &["ls-remote", &url], "");
    assert!(run.stdout.contains("refs/heads/main"), "{run:?}");
    // Without a token, with the revoked one; without a token, with the renewed one.
    let statuses = stage.peer.api_statuses();
    assert!(statuses.starts_with(&[401, 401, 401, 200]), "{statuses:?}");
}

#[test]
fn git_quits_where_only_a_login_helps_and_asks_on_where_we_have_no_say() {
    let mut home = Home::new();
    home.set("GIT_TERMINAL_PROMPT", "0");
    let fill = |host: &str| {
        try_git(&home, &["credential", "fill"], &format!("protocol=https\nhost={host}\n"))
    };
    let ours = fill("api.datadoghq.eu");
    assert_eq!(ours.code, Some(128), "{ours:?}");
    assert!(ours.stderr.contains("told us to quit"), "{ours:?}");
    assert!(ours.stderr.contains("dd-oauth login --site datadoghq.eu"), "{ours:?}");
    let foreign = fill("git.example.org");
    assert_eq!(foreign.code, Some(128), "{foreign:?}");
    assert!(foreign.stderr.contains("terminal prompts disabled"), "{foreign:?}");
}
