//! Terraform itself, and Datadog's client for Python, under `exec`.
#![cfg(unix)]

use std::path::{Path, PathBuf};

use crate::support::home::Home;
use crate::support::peers::{Kind, Peer, built, source};
use crate::support::process::{Run, finish, start};

/// A home in which the built program is first in the path, and a directory with `configuration`
/// that Terraform has prepared.
fn workspace(peer: &Peer, configuration: &str) -> (Home, PathBuf) {
    let mut home = Home::at(peer);
    let usual = std::env::var_os("PATH").unwrap_or_default();
    let ours = [built(""), source("tests/peers/venv/bin")];
    let directories = ours.into_iter().chain(std::env::split_paths(&usual));
    let path = std::env::join_paths(directories).unwrap();
    home.set("PATH", path.to_str().unwrap());
    // Nothing of the machine's own configuration, and nothing of what it would send.
    home.set("TF_CLI_CONFIG_FILE", "/dev/null").set("CHECKPOINT_DISABLE", "1");
    let directory = home.path().join("workspace");
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("main.tf"), configuration).unwrap();
    home.log_in();
    let run = run_in(&home, &directory, Path::new("terraform"), &["init", "-input=false"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    (home, directory)
}

fn run_in(home: &Home, directory: &Path, program: &Path, arguments: &[&str]) -> Run {
    let mut command = home.any_program(program, arguments);
    command.current_dir(directory);
    finish(start(command, b""))
}

fn example() -> String {
    std::fs::read_to_string(source("contrib/terraform/main.tf")).unwrap()
}

/// Nothing that Terraform wrote or said has a token in it.
fn has_no_token(directory: &Path, run: &Run, token: &str) {
    assert!(!run.stdout.contains(token) && !run.stderr.contains(token), "{run:?}");
    let state = std::fs::read_to_string(directory.join("terraform.tfstate")).unwrap();
    assert!(state.contains("terraform_data") && !state.contains(token), "{state}");
}

#[test]
fn the_example_plans_and_applies_with_one_token() {
    let peer = Peer::start(Kind::Demo);
    let (home, directory) = workspace(&peer, &example());
    let script = source("contrib/terraform/apply");
    let run = run_in(&home, &directory, &script, &["45m", "-var", "calls=3"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.contains("3 added"), "{run:?}");
    has_no_token(&directory, &run, &home.get());
    let run = run_in(&home, &directory, &script, &["3h"]);
    run.fails(125, &["live 3600 s"]);
    let run = run_in(&home, &directory, &script, &["-var", "path=/missing"]);
    assert_eq!(run.code, Some(1), "{run:?}");
}

#[test]
fn the_long_run_of_the_example_outlives_its_tokens() {
    let peer = Peer::start_with(Kind::Demo, &["--access-ttl", "5"]);
    // curl and the client for Python, each for longer than two tokens live.
    let python = "import os, time; from datadog_api_client import ApiClient, Configuration; \
        token = os.environ['DD_BEARER_TOKEN']; \
        client = ApiClient(Configuration(host=os.environ['DD_HOST'], access_token=token)); \
        headers = {'Authorization': 'Bearer ' + client.configuration.access_token}; \
        call = lambda: client.call_api('/api/v2/current_user', 'GET', header_params=headers); \
        [(call(), time.sleep(1)) for _ in range(12)]";
    let configuration = format!(
        r#"
resource "terraform_data" "curl" {{
  provisioner "local-exec" {{
    command = <<-END
      for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
        printf 'Authorization: Bearer %s' "$DD_BEARER_TOKEN" |
          curl -sSf -o /dev/null -H @- "$DD_HOST/api/v2/current_user" || exit 1
        sleep 1
      done
    END
  }}
}}
resource "terraform_data" "python" {{
  provisioner "local-exec" {{
    interpreter = ["python3", "-c"]
    command     = "{python}"
  }}
}}
"#
    );
    let (home, directory) = workspace(&peer, &configuration);
    peer.clear_log();
    let script = source("contrib/terraform/apply-long");
    let run = run_in(&home, &directory, &script, &["-auto-approve"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.contains("2 added"), "{run:?}");
    let refreshes = peer.refreshes();
    assert!((2..=5).contains(&refreshes.len()), "{refreshes:?}");
    has_no_token(&directory, &run, &home.get());
}
