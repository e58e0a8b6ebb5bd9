//! The files of `src/`: their rooms, length and names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::table::Floors;

/// Text by path. A path is relative to `src/` and has slashes on every system.
pub type Sources = BTreeMap<String, String>;

/// A longer file is hard to keep in mind.
const MOST_LINES: usize = 450;

/// Names that say nothing about the content, so everything ends up there.
const EMPTY_NAMES: [&str; 7] = ["util", "utils", "common", "helper", "helpers", "manager", "misc"];

/// Holds the dialects of credential helpers, so its name says what is inside.
const HELPER_DIALECTS: &str = "command/helper/";

/// Reads all files below `directory`.
pub fn read(directory: &Path) -> Sources {
    let mut sources = Sources::new();
    read_below(directory, "", &mut sources);
    sources
}

fn read_below(directory: &Path, prefix: &str, sources: &mut Sources) {
    let entries = std::fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("cannot list {}: {error}", directory.display()));
    for entry in entries.map(|entry| entry.expect("the directory can be read to its end")) {
        let path = entry.path();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if path.is_dir() {
            read_below(&path, &format!("{name}/"), sources);
        } else {
            let content = std::fs::read(&path)
                .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
            sources.insert(name, String::from_utf8_lossy(&content).into_owned());
        }
    }
}

/// What is wrong with the files apart from their imports.
pub fn failures(sources: &Sources, floors: &Floors) -> Vec<String> {
    let mut failures = wrong_rooms(sources, floors);
    for (file, text) in sources {
        let lines = text.lines().count();
        if lines > MOST_LINES {
            failures.push(format!("src/{file} has {lines} lines; at most {MOST_LINES}"));
        }
    }
    failures.extend(empty_names(sources));
    failures
}

fn wrong_rooms(sources: &Sources, floors: &Floors) -> Vec<String> {
    let mut failures = Vec::new();
    for room in floors.rooms() {
        if !sources.keys().any(|file| room.holds(file)) {
            failures.push(format!("ARCHITECTURE.md names {room}, which src/ does not have"));
        }
    }
    // lib.rs is on no floor, because it declares the modules of all.
    for file in sources.keys().filter(|file| *file != "lib.rs") {
        let rooms: Vec<_> = floors.rooms_of(file).map(ToString::to_string).collect();
        match rooms.len() {
            0 => failures.push(format!("src/{file} is on no floor of ARCHITECTURE.md")),
            1 => {}
            _ => failures.push(format!("src/{file} is in several rooms: {}", rooms.join(", "))),
        }
    }
    failures
}

fn empty_names(sources: &Sources) -> BTreeSet<String> {
    let mut failures = BTreeSet::new();
    for file in sources.keys() {
        for (end, _) in file.match_indices('/').chain([(file.len(), "")]) {
            let path = &file[..file.len().min(end + 1)];
            let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            let stem = name.split('.').next().unwrap_or_default();
            if EMPTY_NAMES.contains(&stem) && path != HELPER_DIALECTS {
                failures.insert(format!("src/{path}: the name does not say what is inside"));
            }
        }
    }
    failures
}
