//! What `contrib/` offers to builds, containers and shells, run as far as that goes without their
//! platforms.
#![cfg(unix)]

use std::path::Path;

use serde_json::Value;

use crate::support::home::Home;
use crate::support::peers::{built, source};
use crate::support::process::{Run, finish, start};

const TOKENS: &str =
    "site=datadoghq.eu\norg=Tom's $x\naccess_token=canary-token\nexpires_in=31536000\n";

/// A home with a session, and the built program first in the path.
fn home() -> Home {
    let mut home = Home::new();
    let usual = std::env::var_os("PATH").unwrap_or_default();
    let directories = [built("")].into_iter().chain(std::env::split_paths(&usual));
    let path = std::env::join_paths(directories).unwrap();
    home.set("PATH", path.to_str().unwrap());
    home.run(&["store"], TOKENS).succeeds_quietly();
    home
}

fn run_in(home: &Home, program: &str, arguments: &[&str]) -> Run {
    finish(start(home.any_program(Path::new(program), arguments), b""))
}

/// A file of YAML as JSON.
fn yaml(home: &Home, path: &str) -> Value {
    let script = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let python = source("tests/peers/venv/bin/python");
    let run =
        run_in(home, python.to_str().unwrap(), &["-c", script, source(path).to_str().unwrap()]);
    serde_json::from_str(&run.stdout).unwrap_or_else(|_| panic!("{run:?}"))
}

#[test]
fn every_script_passes_shellcheck() {
    let home = Home::new();
    let mut scripts = Vec::new();
    let mut directories =
        ["contrib", "examples", "tests", ".ci"].map(source).into_iter().collect::<Vec<_>>();
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && name != "node_modules" && name != "venv" {
                directories.push(path);
            } else if path.is_file() {
                let text = std::fs::read(&path).unwrap();
                let of_sh = ["#!/bin/sh", "#!/usr/bin/env bash", "# shellcheck shell="];
                if of_sh.iter().any(|start| text.starts_with(start.as_bytes())) {
                    scripts.push(path.to_str().unwrap().to_string());
                }
            }
        }
    }
    assert!(scripts.len() >= 7, "{scripts:?}");
    // The sources that scripts name are found from here.
    let root = format!("--source-path={}", source(".").display());
    let mut arguments = vec!["--external-sources", &root];
    arguments.extend(scripts.iter().map(String::as_str));
    let run = run_in(&home, "shellcheck", &arguments);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{run:?}");
}

#[test]
fn the_action_of_github_masks_the_token_and_hands_it_on() {
    let mut home = home();
    let action = yaml(&home, "contrib/github-action/action.yml");
    assert_eq!(action["runs"]["using"], "composite");
    let step = &action["runs"]["steps"][0];
    let script = step["run"].as_str().unwrap();
    assert!(!script.contains("${{"), "an input in the script could add to it: {script}");
    let file = home.path().join("github.env");
    std::fs::write(&file, "").unwrap();
    home.set("GITHUB_ENV", file.to_str().unwrap()).set("CI", "true");
    home.set("SITE", "eu1").set("MIN_TTL", "30m");
    let flags = ["--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script];
    let run = run_in(&home, step["shell"].as_str().unwrap(), &flags);
    run.succeeds_quietly();
    assert_eq!(run.stdout, "::add-mask::canary-token\n");
    assert!(std::fs::read_to_string(&file).unwrap().contains("\ncanary-token\n"));
    home.set("SITE", "us1").set("MIN_TTL", "");
    run_in(&home, "bash", &flags).fails(3, &["dd-oauth login"]);
}

#[test]
fn the_template_of_gitlab_gives_the_token_to_one_job_and_fails_without() {
    let mut home = home();
    let template = yaml(&home, "contrib/gitlab/dd-oauth.gitlab-ci.yml");
    let lines = template[".dd-oauth"]["before_script"].as_array().unwrap();
    let lines: Vec<_> = lines.iter().map(|line| line.as_str().unwrap()).collect();
    let script = format!("set -e\n{}\necho \"$DD_BEARER_TOKEN|$DD_ORG\"", lines.join("\n"));
    home.set("CI", "true");
    let run = run_in(&home, "sh", &["-c", &script]);
    run.succeeds_quietly();
    assert_eq!(run.stdout, "canary-token|Tom's $x\n");
    home.set("DD_SITE", "us1");
    run_in(&home, "sh", &["-c", &script]).fails(3, &["dd-oauth login"]);
}

#[test]
fn the_shell_functions_set_and_unset() {
    let home = home();
    let print = "echo \"[$DD_BEARER_TOKEN|$DD_ORG]\"";
    let commands =
        format!("dd-run sh -c 'echo $DD_SITE'; dd-env --site eu1; {print}; dd-unenv; {print}");
    let expected = "datadoghq.eu\n[canary-token|Tom's $x]\n[|]\n";
    for shell in ["bash", "zsh"] {
        let functions = source("contrib/shell/dd-oauth.sh");
        let run = run_in(&home, shell, &["-c", &format!(". {}; {commands}", functions.display())]);
        run.succeeds_quietly();
        assert_eq!(run.stdout, expected, "{shell}");
        let missing =
            format!(". {}; dd-env --site us1 2>/dev/null || echo $?", functions.display());
        assert_eq!(run_in(&home, shell, &["-c", &missing]).stdout, "3\n");
    }
    let functions = source("contrib/shell/dd-oauth.fish");
    let script = format!("source {}; {commands}", functions.display());
    let run = run_in(&home, "fish", &["--no-config", "-c", &script]);
    run.succeeds_quietly();
    assert_eq!(run.stdout, expected, "fish");
}

#[test]
fn the_devcontainer_feature_installs_what_lies_beside_it() {
    let mut home = home();
    let feature = home.path().join("feature");
    std::fs::create_dir(&feature).unwrap();
    let install = feature.join("install.sh");
    std::fs::copy(source("contrib/devcontainer/dd-oauth/install.sh"), &install).unwrap();
    let root = home.path().join("root");
    home.set("DESTDIR", root.to_str().unwrap()).set("SITE", "datadoghq.eu");
    let user = run_in(&home, "id", &["-un"]).stdout;
    home.set("_REMOTE_USER", user.trim());
    let run = run_in(&home, install.to_str().unwrap(), &[]);
    assert!(run.code == Some(1) && run.stderr.contains("build it first"), "{run:?}");
    std::fs::copy(built("dd-oauth"), feature.join("dd-oauth")).unwrap();
    run_in(&home, install.to_str().unwrap(), &[]).succeeds_quietly();
    let program = root.join("usr/local/bin/dd-oauth");
    run_in(&home, program.to_str().unwrap(), &["--version"]).succeeds_quietly();
    let profile = std::fs::read_to_string(root.join("etc/profile.d/dd-oauth.sh")).unwrap();
    assert_eq!(profile, "export DD_SITE=datadoghq.eu\n");
    home.set("SITE", "x; rm -rf /");
    let run = run_in(&home, install.to_str().unwrap(), &[]);
    assert!(run.code == Some(1) && run.stderr.contains("is no site"), "{run:?}");

    // The key that it creates is one.
    let text =
        std::fs::read_to_string(source("contrib/devcontainer/dd-oauth/devcontainer-feature.json"));
    let feature: Value = serde_json::from_str(&text.unwrap()).unwrap();
    let volume = root.join("var/lib/dd-oauth");
    let of_volume = |text: &Value| {
        text.as_str().unwrap().replace("/var/lib/dd-oauth", volume.to_str().unwrap())
    };
    run_in(&home, "sh", &["-c", &of_volume(&feature["onCreateCommand"])]).succeeds_quietly();
    for variable in ["DD_OAUTH_STATE_DIR", "DD_OAUTH_KEY_FILE"] {
        home.set(variable, &of_volume(&feature["containerEnv"][variable]));
    }
    home.unset("DD_TOKEN_STORAGE");
    home.run(&["store"], TOKENS).succeeds_quietly();
    assert_eq!(home.get(), "canary-token");
}

#[test]
fn the_image_copies_only_what_there_is() {
    let text = std::fs::read_to_string(source("contrib/docker/Dockerfile")).unwrap();
    let copies = text.lines().filter(|line| line.starts_with("COPY ") && !line.contains("--from"));
    let mut sources = 0;
    for copy in copies {
        let words: Vec<_> = copy.split_whitespace().collect();
        for file in &words[1..words.len() - 1] {
            assert!(source(file).exists(), "{copy}");
            sources += 1;
        }
    }
    assert!(sources > 3);
}

#[test]
fn systemd_understands_the_unit() {
    let home = home();
    let unit = home.path().join("dd-oauth@.service");
    let text = std::fs::read_to_string(source("contrib/systemd/dd-oauth@.service")).unwrap();
    // What it starts has to be there.
    let program = built("dd-oauth");
    std::fs::write(&unit, text.replace("/usr/local/bin/dd-oauth", program.to_str().unwrap()))
        .unwrap();
    let run = run_in(
        &home,
        "systemd-analyze",
        &["verify", "--man=no", "--recursive-errors=no", unit.to_str().unwrap()],
    );
    assert_eq!(run.code, Some(0), "{run:?}");
}
