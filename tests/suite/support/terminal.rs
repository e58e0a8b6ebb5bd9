//! A terminal for one program, played by `script`.
#![cfg(unix)]

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use super::home::Home;
use super::process::{Process, Run};

/// Runs a command line on a terminal of its own, and types `keys` once it says "ready".
#[track_caller]
pub fn on_a_terminal(home: &Home, command: &str, keys: &[u8]) -> Run {
    let arguments = ["-q", "-e", "-c", command, "/dev/null"];
    let mut script = home.any_program(Path::new("script"), &arguments);
    let mut script = Process::spawn(script.stderr(Stdio::null()));
    while !script.line().expect("it ended early").contains("ready") {}
    // It stays open, as a keyboard does.
    script.stdin.as_mut().expect("it is piped").write_all(keys).unwrap();
    let stdout = script.output();
    Run { code: script.wait().code(), stdout, stderr: String::new() }
}
