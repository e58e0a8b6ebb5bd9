//! Checks that the imports of `src/` only look down the floors of ARCHITECTURE.md, and that no files
//! import each other in a circle.
//!
//! `cargo test --test floors` prints every failure at once. The table in ARCHITECTURE.md is the only
//! place that knows the order of the floors.

mod files;
mod fixtures;
mod graph;
mod imports;
mod modules;
mod reader;
mod table;
mod tokens;

use std::path::Path;

use files::Sources;
use table::Floors;

/// All failures of `sources`, one line each. A circle has one more line for each of its files.
fn failures(sources: &Sources, floors: &Floors) -> Vec<String> {
    let mut failures = files::failures(sources, floors);
    let tree = reader::read(sources);
    let arrows = imports::arrows(&tree);
    failures.extend(tree.failures);
    failures.extend(graph::wrong_floors(&arrows, floors));
    failures.extend(graph::circles(&arrows, floors));
    failures
}

#[test]
fn imports_of_src_look_down_the_floors() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = std::fs::read_to_string(root.join("ARCHITECTURE.md"))
        .unwrap_or_else(|error| panic!("cannot read ARCHITECTURE.md: {error}"));
    let floors = Floors::parse(&document).unwrap_or_else(|error| panic!("{error}"));
    let sources = files::read(&root.join("src"));
    let failures = failures(&sources, &floors);
    assert!(failures.is_empty(), "{} failures\n{}\n", failures.len(), failures.join("\n"));
}
