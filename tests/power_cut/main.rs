//! Tries to lose sessions to a disk that forgets: a power cut after each step of each command that
//! writes.
//!
//! A command runs once under strace. Its trace becomes the steps of a model of the disk
//! ([`recording`]), and the model gives every state in which a cut may leave the disk ([`cuts`], which
//! says what file systems are taken to promise). Each of these states is put in the place of the home,
//! the server goes back to what it knew at that moment, and the program starts again ([`check`]).
//!
//! From every state the program answers, refreshes or says that a login is needed, and never anything
//! else. What a command reported as a success is there. Another session stays as it is. A login
//! succeeds. Only an answer of the server that was not yet on the disk may cost a session, and then it
//! is named as the reason; at a server that repeats its answer nothing is lost.
//!
//! Arguments choose the commands whose names contain one of them.
#![cfg(target_os = "linux")]

#[path = "../suite/support/mod.rs"]
#[allow(dead_code, reason = "the suite uses the rest of it")]
mod support;

mod check;
mod commands;
mod cuts;
mod disk;
mod person;
mod recording;
mod trace;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use commands::COMMANDS;

/// How many of a command's failures are shown.
const SHOWN: usize = 5;

fn main() -> ExitCode {
    cuts::try_the_model();
    // What is synced there takes no time, and thousands of homes are made.
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::env::override_temp_dir(memory).expect("nobody else chose");
    }
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|part| name.contains(part));
    let waiting: Vec<_> = COMMANDS.iter().filter(|command| is_wanted(command.name)).rev().collect();
    let waiting = Mutex::new(waiting);
    let failed = AtomicBool::new(false);
    let lanes = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..lanes {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().expect("nobody panics with it").pop();
                    let Some(command) = next else { break };
                    let verdict = check::all_cuts_of(command);
                    println!("power cut: {}: {verdict}", command.name);
                    for complaint in verdict.complaints.iter().take(SHOWN) {
                        println!("power cut: {}: FAILED: {complaint}", command.name);
                    }
                    if !verdict.complaints.is_empty() {
                        failed.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    if failed.into_inner() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
