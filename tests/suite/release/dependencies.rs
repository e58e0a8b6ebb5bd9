//! What the dependencies are: free to be used under Apache-2.0, and each accounted for.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::support::peers::source;

/// Licences under which code may become part of an Apache-2.0 program.
const ALLOWED: [&str; 9] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
];

#[test]
fn every_dependency_may_be_used() {
    for package in metadata()["packages"].as_array().unwrap() {
        let licence = package["license"].as_str().unwrap_or("none");
        let name = &package["name"];
        assert!(allows(licence), "{name} comes under {licence}");
    }
}

#[test]
fn the_readme_says_why_each_dependency_is_there() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let own = packages.iter().find(|package| package["name"] == "dd-oauth").unwrap();
    let dependencies = own["dependencies"].as_array().unwrap().iter();
    let known: BTreeSet<_> = dependencies.map(|it| it["name"].as_str().unwrap()).collect();
    let readme = std::fs::read_to_string(source("README.md")).unwrap();
    let table = readme.split("\n## ").find(|part| part.starts_with("Dependencies\n")).unwrap();
    let row = |line| Some(str::strip_prefix(line, "| `")?.split_once('`')?.0);
    let told: BTreeSet<_> = table.lines().filter_map(row).collect();
    assert_eq!(told, known);
}

#[test]
fn an_expression_is_understood() {
    for good in [
        "MIT",
        "LGPL-2.1-or-later OR MIT",
        "Unlicense/MIT",
        "(MIT OR GPL-3.0-only) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception OR GPL-2.0-only",
    ] {
        assert!(allows(good), "{good}");
    }
    for bad in [
        "none",
        "GPL-3.0-only",
        "MIT AND GPL-3.0-only",
        "(MIT OR ISC) AND GPL-3.0-only",
        "MIT AND (GPL-3.0-only OR AGPL-3.0-only)",
    ] {
        assert!(!allows(bad), "{bad}");
    }
}

/// What cargo knows about this package and all that it depends on, on every platform.
fn metadata() -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .current_dir(source(""))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`cargo fetch --locked` comes first: {errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Whether an SPDX expression can be satisfied with the licences that are allowed. An exception
/// (`WITH`) only ever permits more.
fn allows(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let allowed = alternatives(&mut words);
    assert_eq!(words.next(), None, "{expression:?} ends too late");
    allowed
}

type Words<'a, 'b> = &'a mut std::iter::Peekable<std::str::SplitWhitespace<'b>>;

fn alternatives(words: Words<'_, '_>) -> bool {
    let mut allowed = conjunction(words);
    while words.next_if_eq(&"OR").is_some() {
        allowed |= conjunction(words);
    }
    allowed
}

fn conjunction(words: Words<'_, '_>) -> bool {
    let mut allowed = licence(words);
    while words.next_if_eq(&"AND").is_some() {
        allowed &= licence(words);
    }
    allowed
}

fn licence(words: Words<'_, '_>) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let allowed = alternatives(words);
        assert_eq!(words.next(), Some(")"), "a parenthesis is open");
        return allowed;
    }
    let name = words.next().expect("a licence has a name");
    if words.next_if_eq(&"WITH").is_some() {
        words.next();
    }
    ALLOWED.contains(&name)
}
