//! Every dependency is accounted for. (`cargo deny` looks at their licences.)

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::support::peers::source;
use crate::support::process::run;

/// The document whose table says why each dependency is there.
const DOCUMENT: &str = "README.md";

#[test]
fn a_table_says_why_each_dependency_is_there() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let own = packages.iter().find(|package| package["name"] == "dd-oauth").unwrap();
    let dependencies = own["dependencies"].as_array().unwrap().iter();
    let known: BTreeSet<_> = dependencies.map(|it| it["name"].as_str().unwrap()).collect();
    let document = std::fs::read_to_string(source(DOCUMENT)).unwrap();
    let table = document.split("\n## ").find(|part| part.starts_with("Dependencies\n")).unwrap();
    let row = |line| Some(str::strip_prefix(line, "| `")?.split_once('`')?.0);
    let told: BTreeSet<_> = table.lines().filter_map(row).collect();
    assert_eq!(told, known);
}

/// What cargo knows about this package and all that it depends on, on every platform.
fn metadata() -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut cargo = Command::new(cargo);
    cargo.args(["metadata", "--format-version", "1", "--locked", "--offline"]);
    let run = run(cargo.current_dir(source("")));
    assert_eq!(run.code, Some(0), "`cargo fetch --locked` comes first: {}", run.stderr);
    serde_json::from_str(&run.stdout).unwrap()
}
