//! What a `get` costs whose token is fresh: system calls and instructions, counted and not timed.
//!
//! The ceilings stand a few percent above what is counted today. To see the counts:
//!
//! ```text
//! cargo test --release --test suite guard -- --nocapture
//! ```
//!
//! Whoever makes `get` cheaper lowers them to the new counts and a few percent. They are raised
//! only for work that every caller needs on every call, and the change says which; a compiler or
//! a C library that counts otherwise is a reason too. Instructions are those of the whole program,
//! from the loader on, and depend on what the processor can do.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::home::Home;
use crate::support::process::{Run, finish, start};

/// The most that one `get` may cost.
struct Ceiling {
    system_calls: u64,
    instructions: u64,
}

/// `DD_SITE` names the site.
const SITE_NAMED: Ceiling = Ceiling { system_calls: 98, instructions: 522_000 };
/// Nothing names the session; it is the only one.
const NOTHING_NAMED: Ceiling = Ceiling { system_calls: 98, instructions: 520_000 };

/// No `get` of a fresh token talks to anybody, or starts a thread or a process.
const FORBIDDEN: [&str; 7] =
    ["socket", "socketpair", "connect", "clone", "clone3", "fork", "vfork"];

const TOKEN: &str = "an-access-token-of-a-usual-length-00000000000000000000000000000";

#[test]
fn a_get_for_a_named_site_stays_cheap() {
    let mut home = warm_home();
    home.set("DD_SITE", "datadoghq.eu");
    stays_below(&home, &SITE_NAMED);
}

#[test]
fn a_get_that_names_nothing_stays_cheap() {
    stays_below(&warm_home(), &NOTHING_NAMED);
}

/// A home with one session, whose token is fresh for a year.
fn warm_home() -> Home {
    let home = Home::new();
    let tokens = format!(
        "site=datadoghq.eu\naccess_token={TOKEN}\nexpires_in=31536000\n\
        refresh_token=refresh\nclient_id=client\n"
    );
    home.run(&["store"], tokens).succeeds_quietly();
    home
}

fn stays_below(home: &Home, ceiling: &Ceiling) {
    let calls = system_calls(home);
    for name in FORBIDDEN {
        assert!(!calls.contains_key(name), "{name} was called: {calls:?}");
    }
    assert_eq!(calls.get("execve"), Some(&1), "nothing else is started: {calls:?}");
    let total = calls.values().sum::<u64>();
    let instructions = instructions(home);
    println!("one get: {total} system calls, {instructions} instructions");
    let most = ceiling.system_calls;
    assert!(total <= most, "{total} system calls, and not {most} at most: {calls:?}");
    let most = ceiling.instructions;
    assert!(instructions <= most, "{instructions} instructions, and not {most} at most");
}

/// How often each system call was made.
fn system_calls(home: &Home) -> BTreeMap<String, u64> {
    let summary = home.path().join("strace");
    get_under(home, "strace", &["-f", "-c", "-o", summary.to_str().unwrap()]);
    let summary = std::fs::read_to_string(summary).unwrap();
    // % time, seconds, usecs/call, calls, errors (or nothing), and the name.
    let line = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let calls = fields.get(3)?.parse().ok()?;
        let name = fields.last().filter(|name| **name != "total")?;
        Some(((*name).to_string(), calls))
    };
    summary.lines().filter_map(line).collect()
}

/// How many instructions the program took, from its first to its last.
fn instructions(home: &Home) -> u64 {
    let profile = home.path().join("callgrind");
    let file = format!("--callgrind-out-file={}", profile.to_str().unwrap());
    get_under(home, "valgrind", &["--tool=callgrind", &file]);
    let profile = std::fs::read_to_string(profile).unwrap();
    let total = profile.lines().find_map(|line| line.strip_prefix("totals: "));
    total.expect("callgrind writes a total").parse().expect("it is a number")
}

/// Runs one `get` under a tool that watches it.
fn get_under(home: &Home, tool: &str, flags: &[&str]) {
    let arguments = [flags, &[env!("CARGO_BIN_EXE_dd-oauth")]].concat();
    let run: Run = finish(start(home.any_program(Path::new(tool), &arguments), b"get\n"));
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.value("access_token"), TOKEN);
}
