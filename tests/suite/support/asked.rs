//! The program at a terminal, where it asks a person.
#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::path::Path;

use super::deadline::{eventually, within_deadline};
use super::home::Home;
use super::process::Process;

/// The program at a terminal, with what is typed there.
pub struct AtTerminal {
    script: Process,
    seen: std::sync::mpsc::Receiver<Vec<u8>>,
    pub shown: String,
}

impl AtTerminal {
    pub fn start(home: &Home, command: &str) -> Self {
        let line = format!("{} {command}", env!("CARGO_BIN_EXE_dd-oauth"));
        let arguments = ["-qec", &line, "/dev/null"];
        let mut script = Process::spawn(&mut home.any_program(Path::new("script"), &arguments));
        let mut output = script.stdout.take().unwrap();
        let (sender, seen) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = output.read(&mut buffer) {
                let _ = sender.send(buffer[..read].to_vec());
            }
        });
        Self { script, seen, shown: String::new() }
    }

    /// Waits for a question.
    pub fn asks(&mut self, words: &str) {
        let Self { seen, shown, .. } = self;
        eventually(words, || {
            shown.extend(seen.try_iter().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()));
            shown.contains(words) && shown.trim_end().ends_with("[y/n]")
        });
    }

    pub fn types(&mut self, line: &str) {
        self.shown.clear();
        self.script.stdin.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
    }

    /// Its exit code, and what it showed since the last answer.
    pub fn ends(mut self) -> (Option<i32>, String) {
        let code = self.script.wait().code();
        let seen = self.seen;
        let rest =
            within_deadline("the end of the output", move || seen.iter().collect::<Vec<_>>());
        self.shown += &String::from_utf8_lossy(&rest.concat());
        (code, self.shown)
    }
}
