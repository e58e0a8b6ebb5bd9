//! docker and skopeo ask for credentials, each for a registry that takes none but the judge's.
//!
//! The registry sends them to its token endpoint, to which they bring our token as an identity
//! token.
#![cfg(unix)]

use std::path::PathBuf;

use serde_json::json;

use crate::support::home::Home;
use crate::support::peers::{Kind, Peer};
use crate::support::process::Run;

/// The judge with its registry, and a home with a session there and a configuration that names
/// our helper for it.
struct Stage {
    peer: Peer,
    home: Home,
    registry: String,
}

impl Stage {
    fn new() -> Self {
        let peer = Peer::start(Kind::Judge);
        let home = Home::at(&peer);
        home.log_in();
        let registry = peer.origin.strip_prefix("http://").unwrap().to_string();
        let stage = Self { peer, home, registry };
        std::fs::create_dir(stage.configuration().parent().unwrap()).unwrap();
        let helpers = json!({"credHelpers": {&stage.registry: "dd-oauth"}});
        std::fs::write(stage.configuration(), helpers.to_string()).unwrap();
        stage
    }

    fn configuration(&self) -> PathBuf {
        self.home.path().join(".docker/config.json")
    }

    fn docker(&self, arguments: &[&str], input: &str) -> Run {
        self.home.call("docker", arguments, input)
    }

    fn skopeo(&self, arguments: &[&str], input: &str) -> Run {
        self.home.call("skopeo", arguments, input)
    }

    fn image(&self) -> String {
        format!("{}/app:latest", self.registry)
    }

    fn inspect_with_docker(&self) -> Run {
        self.docker(&["manifest", "inspect", "--insecure", &self.image()], "")
    }

    fn inspect_with_skopeo(&self) -> Run {
        let configuration = self.configuration();
        let authfile = ["--authfile", configuration.to_str().unwrap()];
        let image = format!("docker://{}", self.image());
        let inspect = ["inspect", "--raw", "--tls-verify=false", &image];
        self.skopeo(&[&inspect[..], &authfile].concat(), "")
    }
}

#[track_caller]
fn shows_the_manifest(run: &Run) {
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.contains("vnd.docker.container.image.v1+json"), "{run:?}");
}

#[test]
fn docker_and_skopeo_read_a_manifest_with_a_renewed_token() {
    let stage = Stage::new();
    stage.home.make_stale();
    shows_the_manifest(&stage.inspect_with_docker());
    stage.home.make_stale();
    shows_the_manifest(&stage.inspect_with_skopeo());
    assert_eq!(stage.peer.refreshes().len(), 2);
    let statuses = stage.peer.api_statuses();
    assert!(statuses.contains(&401) && statuses.last() == Some(&200), "{statuses:?}");
}

#[test]
fn docker_and_skopeo_are_told_that_there_is_no_credential() {
    let stage = Stage::new();
    assert_eq!(stage.home.run(&["logout"], "").code, Some(0));
    for run in [stage.inspect_with_docker(), stage.inspect_with_skopeo()] {
        assert_ne!(run.code, Some(0), "{run:?}");
        // They took it as an answer and went on without one, as for any registry without a login.
        assert!(!run.stderr.contains("error getting credentials"), "{run:?}");
    }
    assert!(!stage.peer.api_statuses().contains(&200));
}

#[test]
fn a_login_by_docker_or_skopeo_is_not_kept() {
    let stage = Stage::new();
    // skopeo refuses to log in where there is an identity token, so the password is another home's.
    let other = Home::at(&stage.peer);
    other.log_in();
    let token = other.get();
    assert_eq!(stage.home.run(&["logout"], "").code, Some(0));
    let stored = stage.home.stored();
    let login = ["login", "--username", "somebody", "--password-stdin"];
    let run = stage.docker(&[&login[..], &[&stage.registry]].concat(), &token);
    assert_eq!(run.code, Some(0), "{run:?}");
    let configuration = stage.configuration();
    let authfile = ["--authfile", configuration.to_str().unwrap(), "--tls-verify=false"];
    let run = stage.skopeo(&[&login[..], &authfile, &[&stage.registry]].concat(), &token);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(stage.home.stored(), stored);
    let configuration = std::fs::read_to_string(configuration).unwrap();
    assert!(!configuration.contains(&token), "{configuration}");
}

#[cfg(feature = "test-clock")]
#[test]
fn a_logout_by_docker_or_skopeo_rejects_the_token_and_keeps_the_session() {
    let mut stage = Stage::new();
    // Past the first moments of the token, in which a rejection is not about its age.
    stage.home.set("DD_OAUTH_TEST_CLOCK", "60000");
    let configuration = stage.configuration();
    let with_skopeo = ["logout", "--authfile", configuration.to_str().unwrap(), &stage.registry]
        .map(String::from);
    for (program, arguments) in [
        ("docker", vec!["logout".to_string(), stage.registry.clone()]),
        ("skopeo", with_skopeo.to_vec()),
    ] {
        let token = stage.home.get();
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let run = stage.home.call(program, &arguments, "");
        assert_eq!(run.code, Some(0), "{program}: {run:?}");
        assert!(stage.home.status()["expires_at"].is_null(), "{program}");
        let renewed = stage.home.get();
        assert!(renewed != token && stage.peer.accepts(&renewed), "{program}");
        // A minute later than it was issued.
        let clock = if program == "docker" { "120000" } else { "60000" };
        stage.home.set("DD_OAUTH_TEST_CLOCK", clock);
    }
    assert_eq!(stage.peer.refreshes().len(), 2);
}
