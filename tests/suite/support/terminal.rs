//! A terminal for one program, played by `script`.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::Stdio;

use super::home::{Home, Run};

/// Runs a command line on a terminal of its own, and types `keys` once it says "ready".
pub fn on_a_terminal(home: &Home, command: &str, keys: &[u8]) -> Run {
    let arguments = ["-q", "-e", "-c", command, "/dev/null"];
    let mut terminal = home.any_program(Path::new("script"), &arguments);
    let mut child = terminal.stderr(Stdio::null()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("ready") {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "it ended early");
    }
    let mut keyboard = child.stdin.take().unwrap();
    keyboard.write_all(keys).unwrap();
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    drop(keyboard);
    Run { code: child.wait().unwrap().code(), stdout: rest, stderr: String::new() }
}
