//! `contrib/release/warm-get.ld` names functions by their mangled paths. A path that is not there any
//! more puts nothing together, and only makes the static program slower: no build fails for it.

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::peers::source;

const SCRIPT: &str = "contrib/release/warm-get.ld";

#[test]
fn the_script_names_modules_that_the_program_has() {
    let script = std::fs::read_to_string(source(SCRIPT)).unwrap();
    let paths: BTreeSet<_> = script.split("8dd_oauth").skip(1).map(segments).collect();
    let named = paths.iter().filter(|path| !path.is_empty()).count();
    assert!(named > 20, "{SCRIPT} names {named} paths of this crate: make it again");
    let gone: Vec<_> =
        paths.iter().filter(|path| !exists(path)).map(|path| path.join("::")).collect();
    assert!(gone.is_empty(), "{SCRIPT} is out of date: make it again. Not there: {gone:?}");
}

/// The identifiers at the beginning of a mangled path (the Rust reference, symbol mangling v0): each is
/// its length and its text.
fn segments(mut mangled: &str) -> Vec<&str> {
    let mut segments = Vec::new();
    loop {
        let digits = mangled.bytes().take_while(u8::is_ascii_digit).count();
        let Ok(length) = mangled[..digits].parse::<usize>() else { return segments };
        let Some(segment) = mangled.get(digits..digits + length) else { return segments };
        segments.push(segment);
        mangled = &mangled[digits + length..];
    }
}

/// Whether the modules of a path are there. Its last segment is an item, as far as can be seen from
/// here, and so is all that follows a type or a file.
fn exists(path: &[&str]) -> bool {
    let mut directory = source("src");
    let Some((_, modules)) = path.split_last() else { return true };
    for module in modules {
        if module.starts_with(|first: char| first.is_uppercase()) {
            return true;
        }
        if Path::new(&directory).join(format!("{module}.rs")).is_file() {
            return true;
        }
        directory = directory.join(module);
        if !directory.is_dir() {
            return false;
        }
    }
    true
}

#[test]
fn a_path_of_a_module_that_is_gone_is_noticed() {
    let good = |mangled| exists(&segments(mangled));
    assert!(good("6broker3get11get_renewedE") && good("5clock9TimestampE") && good("4main"));
    assert!(good("8terminal8Terminal5traceE"));
    assert!(!good("6broker6choice6WantedE") && !good("3cli4gone4item"));
    assert_eq!(segments("3keys_1__NtB"), ["key"]);
}
