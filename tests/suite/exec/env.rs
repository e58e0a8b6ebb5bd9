//! `env`: the token as variables, read by the shells themselves.
#![cfg(unix)]

use std::path::Path;

use crate::support::home::Home;
use crate::support::process::{Run, finish, start};

/// What an organization can be called; its variable has to survive every reader.
const ORG: &str = r#"Tom's "x" \n $HOME `id` $(id) !! %s ä 日本 ’‘ #;&|<>(){}[]*?~^"#;

fn home_with_token(org: &str) -> Home {
    let home = Home::new();
    let tokens =
        format!("site=datadoghq.eu\norg={org}\naccess_token=canary-token\nexpires_in=31536000\n");
    home.run(&["store"], tokens).succeeds_quietly();
    home
}

fn run_in(home: &Home, program: &str, arguments: &[&str]) -> Run {
    finish(start(home.any_program(Path::new(program), arguments), b""))
}

#[test]
fn shells_read_what_is_written_for_them() {
    let home = home_with_token(ORG);
    let dd_oauth = env!("CARGO_BIN_EXE_dd-oauth");
    let print = "printf '%s\\n' \"$DD_BEARER_TOKEN\" \"$DD_SITE\" \"$DD_HOST\" \"$DD_ORG\"";
    let expected = format!("canary-token\ndatadoghq.eu\nhttps://api.datadoghq.eu\n{ORG}\n");
    let posix = format!("eval \"$({dd_oauth} env)\"; {print}");
    for shell in ["dash", "bash", "zsh"] {
        let run = run_in(&home, shell, &["-c", &posix]);
        run.succeeds_quietly();
        assert_eq!(run.stdout, expected, "{shell}");
    }
    let script = format!("{dd_oauth} env --shell fish | source; {print}");
    let run = run_in(&home, "fish", &["--no-config", "-c", &script]);
    run.succeeds_quietly();
    assert_eq!(run.stdout, expected, "fish");
}

#[test]
fn a_dotenv_file_is_read_by_node_and_by_a_shell() {
    let home = home_with_token("Acme Inc. & $HOME");
    let run = home.run(&["env", "--shell", "dotenv"], "");
    run.succeeds_quietly();
    let file = home.path().join("dd.env");
    std::fs::write(&file, &run.stdout).unwrap();
    let print = "console.log(process.env.DD_BEARER_TOKEN + '|' + process.env.DD_ORG)";
    let flag = format!("--env-file={}", file.display());
    let node = run_in(&home, "node", &[&flag, "-e", print]);
    assert_eq!(node.stdout, "canary-token|Acme Inc. & $HOME\n", "{node:?}");
    let script = format!(". {}; echo \"$DD_BEARER_TOKEN|$DD_ORG\"", file.display());
    assert_eq!(run_in(&home, "sh", &["-c", &script]).stdout, node.stdout);
    home_with_token(ORG)
        .run(&["env", "--shell", "dotenv"], "")
        .fails(2, &["DD_ORG", "cannot carry"]);
}

#[test]
fn a_runner_of_github_hides_the_token_before_anything_else() {
    let mut home = home_with_token(ORG);
    home.run(&["env", "--shell", "github"], "").fails(2, &["GITHUB_ENV"]);
    let file = home.path().join("github.env");
    std::fs::write(&file, "EARLIER=1\n").unwrap();
    home.set("GITHUB_ENV", file.to_str().unwrap());
    let run = home.run(&["env", "--shell", "github", "--variable", "MINE"], "");
    run.succeeds_quietly();
    assert_eq!(run.stdout, "::add-mask::canary-token\n");
    let written = std::fs::read_to_string(&file).unwrap();
    let entry = |name: &str, value: &str| format!("{name}<<DD_OAUTH_END\n{value}\nDD_OAUTH_END\n");
    let expected = [
        "EARLIER=1\n".to_string(),
        entry("MINE", "canary-token"),
        entry("DD_SITE", "datadoghq.eu"),
        entry("DD_HOST", "https://api.datadoghq.eu"),
        entry("DD_ORG", ORG),
    ];
    assert_eq!(written, expected.concat());
    home.set("GITHUB_ENV", "/nonexistent/github.env");
    let run = home.run(&["env", "--shell", "github"], "");
    assert_eq!(run.code, Some(1), "{run:?}");
}

#[test]
fn gitlab_gets_lines_and_no_refresh_token_goes_anywhere() {
    let home = Home::new();
    let tokens = "access_token=canary\nrefresh_token=refresh\nclient_id=client\nexpires_in=3600\n";
    home.run(&["store"], tokens).succeeds_quietly();
    let run = home.run(&["env", "--shell", "gitlab"], "");
    run.succeeds_quietly();
    let expected = "DD_BEARER_TOKEN=canary\nDATADOG_BEARER_TOKEN=canary\nDD_ACCESS_TOKEN=canary\n\
        DD_SITE=datadoghq.com\nDD_HOST=https://api.datadoghq.com\n";
    assert_eq!(run.stdout, expected);
    for shell in ["sh", "fish", "powershell", "dotenv"] {
        let run = home.run(&["env", "--shell", shell], "");
        run.succeeds_quietly();
        assert!(run.stdout.contains("canary") && !run.stdout.contains("refresh"), "{run:?}");
    }
}
