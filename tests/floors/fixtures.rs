//! Tests of the check itself, with small trees of files.

use crate::files::Sources;
use crate::table::Floors;

const TABLE: &str = "\
# Architecture

## Floors

| floor | what lives there |
| --- | --- |
| `main.rs` | the program; see `oauth/` |
| `broker/` | decides |
| `session/`, `oauth/` | side by side |
| `clock.rs` | the ground |

## Walks

| `no.rs` | no floor |
";

/// A tree with something in every room, in which nothing is wrong.
const HOUSE: [(&str, &str); 9] = [
    ("lib.rs", "//! All.\npub mod broker;\npub mod clock;\npub mod oauth;\npub mod session;\n"),
    ("main.rs", "use dd_oauth::broker;\nfn main() { broker::get(); }\n"),
    ("broker/mod.rs", "mod get;\npub use get::get;\n"),
    ("broker/get.rs", "use crate::session::{Journal, Store};\npub fn get() {}\n"),
    ("oauth/mod.rs", "use crate::clock::Clock;\npub struct Token(Clock);\n"),
    ("session/mod.rs", "mod journal;\nmod store;\npub use journal::*;\npub use store::Store;\n"),
    ("session/journal.rs", "use super::Store;\npub struct Journal(Store);\n"),
    ("session/store.rs", "use crate::clock;\npub struct Store(clock::Clock);\n"),
    ("clock.rs", "pub struct Clock;\n#[cfg(test)]\nmod tests { use super::*; }\n"),
];

/// What the check says after `changes` to the house.
fn failures(changes: &[(&str, &str)]) -> Vec<String> {
    let files = HOUSE.iter().chain(changes);
    let sources: Sources = files.map(|(file, text)| ((*file).into(), (*text).into())).collect();
    crate::failures(&sources, &Floors::parse(TABLE).unwrap())
}

/// Asserts that the house has this one failure if `file` contains `text`.
#[track_caller]
fn assert_fails(file: &str, text: &str, failure: &str) {
    assert_eq!(failures(&[(file, text)]), [failure]);
}

#[test]
fn a_good_house_has_no_failures() {
    assert_eq!(failures(&[]), [""; 0]);
}

#[test]
fn an_upward_import_fails() {
    assert_fails(
        "session/store.rs",
        "use std::fs;\nuse crate::broker::Answer;\npub struct Store;\n",
        "src/session/store.rs:2: session/ (floor 3) imports broker/ (floor 2): crate::broker::Answer",
    );
}

#[test]
fn an_upward_import_of_a_whole_module_fails() {
    assert_fails(
        "clock.rs",
        "use crate::session::{self};\npub struct Clock;\n",
        "src/clock.rs:1: clock.rs (floor 4) imports session/ (floor 3): crate::session",
    );
}

#[test]
fn a_sideways_import_fails() {
    assert_fails(
        "oauth/mod.rs",
        "pub use crate::session::Journal;\n",
        "src/oauth/mod.rs:1: oauth/ (floor 3) imports session/ (floor 3) on the same floor: \
         crate::session::Journal",
    );
}

#[test]
fn a_circle_inside_a_folder_fails() {
    assert_fails(
        "session/store.rs",
        "\nuse super::journal::Journal;\npub struct Store;\n",
        "2 files import each other in a circle:\n  \
         src/session/journal.rs:1 -> src/session/store.rs: super::Store\n  \
         src/session/store.rs:2 -> src/session/journal.rs: super::journal::Journal",
    );
}

#[test]
fn circles_that_share_a_file_are_one() {
    let journal = "use super::{Store, Both};\npub struct Journal;\n";
    let store = "fn a() -> super::Both {}\npub struct Store;\n";
    let module = "mod journal;\nmod store;\npub use journal::*;\npub use store::Store;\n\
                  pub struct Both(Journal, Store);\n";
    let changes =
        [("session/journal.rs", journal), ("session/store.rs", store), ("session/mod.rs", module)];
    let expected = "3 files import each other in a circle:\n  \
        src/session/journal.rs:1 -> src/session/mod.rs: super::Both\n  \
        src/session/mod.rs:5 -> src/session/journal.rs: Journal\n  \
        src/session/store.rs:1 -> src/session/mod.rs: super::Both";
    assert_eq!(failures(&changes), [expected]);
}

#[test]
fn a_circle_through_rooms_is_listed_besides_its_upward_import() {
    let found = failures(&[("clock.rs", "use crate::oauth::Token;\npub struct Clock;\n")]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("src/clock.rs:1: clock.rs (floor 4) imports oauth/ (floor 3)"));
    assert!(found[1].contains("src/oauth/mod.rs:1 -> src/clock.rs: crate::clock::Clock"));
}

#[test]
fn a_name_of_a_sibling_through_the_folder_is_no_import_of_the_folder() {
    // `session/mod.rs` defines something of its own, for which it needs `journal.rs`.
    let module = "mod journal;\nmod store;\npub use self::{journal::Journal, store::Store};\n\
                  pub fn open() -> Journal {}\n";
    assert_eq!(failures(&[("session/mod.rs", module)]), [""; 0]);
    let journal = "use crate::session;\npub struct Journal(session::Store);\n";
    assert_eq!(failures(&[("session/mod.rs", module), ("session/journal.rs", journal)]), [""; 0]);
}

#[test]
fn paths_inside_code_are_imports() {
    for code in [
        "fn a() { crate::broker::get() }",
        "fn a() { use crate::broker; broker::get() }",
        "fn a() { let _: Vec<crate::broker::get> = b; }",
        "fn a() { if let crate::broker::get = b {} }",
        "fn a() { <crate::broker::get as Copy>::b() }",
        "impl crate::broker::get for Clock {}",
        "fn a<T: crate::broker::get>() {}",
        "#[crate::broker::get] fn a() {}",
        "#[serde(with = \"crate::broker::get\")] struct B;",
        "#[cfg(test)] mod tests { use super::super::broker::get; }",
        "#[cfg(windows)] fn a() { self::super::broker::get() }",
        "fn a() { dd_oauth::broker::get() }",
        "use crate as all; fn a() { all::broker::get() }",
    ] {
        let found = failures(&[("clock.rs", &format!("pub struct Clock; {code}"))]);
        let first = found.first().map_or("", String::as_str);
        assert!(first.starts_with("src/clock.rs:1: clock.rs (floor 4) imports broker/"), "{code}");
    }
}

#[test]
fn paths_inside_macros_are_imports() {
    for code in [
        "fn a() { println!(\"{}\", [crate::broker::get::<u8>()]) }",
        "fn a() { matches!(b, super::broker::get { .. }) }",
        "macro_rules! a { () => { $crate::broker::get() } }",
        "fn a() { assert!(c..crate::broker::get) }",
        "use crate::*; fn a() { assert!(broker::get()) }",
    ] {
        let found = failures(&[("clock.rs", &format!("pub struct Clock; {code}"))]);
        let first = found.first().map_or("", String::as_str);
        assert!(first.starts_with("src/clock.rs:1: clock.rs (floor 4) imports broker/"), "{code}");
    }
}

#[test]
fn what_only_looks_like_an_import_is_none() {
    for code in [
        "fn a() { ::broker::get() }",
        "fn a() { std::broker::get() }",
        "/// See [`crate::broker::get`].\nfn a() {}",
        "#[expect(b, reason = \"crate::broker: see there\")] fn a() {}",
        "fn a() { println!(\"crate::broker::get {}\", b.get()) }",
        "fn a() { let broker = 1; broker.get(); }",
    ] {
        let text = format!("pub struct Clock; {code}");
        assert_eq!(failures(&[("clock.rs", &text)]), [""; 0], "{code}");
    }
}

#[test]
fn super_of_super_leads_out_of_the_room() {
    assert_fails(
        "session/journal.rs",
        "pub struct Journal;\nmod inside {\n    use super::super::super::broker;\n}\n",
        "src/session/journal.rs:3: session/ (floor 3) imports broker/ (floor 2): \
         super::super::super::broker",
    );
}

#[test]
fn a_rename_is_followed() {
    let module = "mod journal;\nmod store;\npub use journal::Journal as Log;\n\
                  pub(crate) use store::{Store as Shelf};\npub use journal::Journal;\n\
                  pub use store::Store;\n";
    let store = "use super::Log as Book;\npub struct Store(Book);\n";
    let journal = "pub struct Journal(super::Shelf);\n";
    let changes =
        [("session/mod.rs", module), ("session/store.rs", store), ("session/journal.rs", journal)];
    let expected = "2 files import each other in a circle:\n  \
        src/session/journal.rs:1 -> src/session/store.rs: super::Shelf\n  \
        src/session/store.rs:1 -> src/session/journal.rs: super::Log";
    assert_eq!(failures(&changes), [expected]);
}

#[test]
fn a_glob_is_followed() {
    // Journal reaches `session/` by `pub use journal::*`, and this file by another glob.
    assert_fails(
        "session/store.rs",
        "use crate::session::*;\npub struct Store;\nfn a(journal: Journal) {}\n",
        "2 files import each other in a circle:\n  \
         src/session/journal.rs:1 -> src/session/store.rs: super::Store\n  \
         src/session/store.rs:3 -> src/session/journal.rs: Journal",
    );
    assert_fails(
        "clock.rs",
        "pub struct Clock;\nuse crate::session::*;\n",
        "src/clock.rs:2: clock.rs (floor 4) imports session/ (floor 3): crate::session",
    );
}

#[test]
fn every_platform_is_read() {
    let module = "#[cfg(unix)]\n#[path = \"one.rs\"]\nmod journal;\n#[cfg(windows)]\n\
                  #[path = \"other/one.rs\"]\nmod journal;\nmod store;\n\
                  pub use {journal::Journal, store::Store};\n";
    let one = "mod part;\npub struct Journal;\n";
    let other = "mod part;\npub struct Journal(crate::broker::Answer);\n";
    let changes = [
        ("session/mod.rs", module),
        ("session/one.rs", one),
        ("session/part.rs", ""),
        ("session/other/one.rs", other),
        ("session/other/part.rs", "use crate::main;"),
        ("session/journal.rs", "pub struct Old;\n"),
    ];
    let expected = [
        "src/session/journal.rs is not declared by any `mod`",
        "src/session/other/one.rs:2: session/ (floor 3) imports broker/ (floor 2): \
         crate::broker::Answer",
    ];
    assert_eq!(failures(&changes), expected);
}

#[test]
fn code_of_one_platform_means_its_own() {
    // `super::super::open` is in `unix.rs` for one and in `windows.rs` for the other.
    let module = "mod unix;\npub use unix::*;\nmod windows;\npub use windows::*;\n\
                  pub struct Journal;\npub struct Store;\n";
    let unix = "mod part;\npub fn open() {}\n";
    let windows = "mod part;\npub fn open() { super::unix::part::close() }\n";
    let part = "pub fn close() { crate::session::open() }\n";
    let changes = [
        ("session/mod.rs", module),
        ("session/unix.rs", unix),
        ("session/unix/part.rs", part),
        ("session/windows.rs", windows),
        ("session/windows/part.rs", part),
        ("session/journal.rs", ""),
        ("session/store.rs", ""),
    ];
    let expected = [
        "src/session/journal.rs is not declared by any `mod`",
        "src/session/store.rs is not declared by any `mod`",
    ];
    assert_eq!(failures(&changes), expected);
}

#[test]
fn lib_only_declares_modules() {
    let text = format!("{}pub use clock::Clock;\n", HOUSE[0].1);
    assert_fails("lib.rs", &text, "src/lib.rs:6: lib.rs may only declare modules");
}

#[test]
fn a_file_on_no_floor_fails() {
    let text = format!("{}mod page;\n", HOUSE[0].1);
    let found = failures(&[("lib.rs", &text), ("page.rs", "")]);
    assert_eq!(found, ["src/page.rs is on no floor of ARCHITECTURE.md"]);
}

#[test]
fn what_cannot_be_read_fails() {
    let found = failures(&[("clock.rs", "pub struct Clock;\nfn (\n")]);
    assert!(found[0].starts_with("src/clock.rs:2: cannot parse: "), "{found:?}");
    let text = format!("{}mod page;\n", HOUSE[0].1);
    assert_fails("lib.rs", &text, "src/lib.rs:6: no file for `mod page`");
}

#[test]
fn long_files_fail() {
    let lines = "pub struct Clock;\n".to_owned() + &"\n".repeat(450);
    assert_fails("clock.rs", &lines, "src/clock.rs has 451 lines; at most 450");
}

#[test]
fn empty_names_fail() {
    for path in ["oauth/utils.txt", "oauth/helper/x.txt", "oauth/misc/", "oauth/command/helper/"] {
        let file = if path.ends_with('/') { format!("{path}x.txt") } else { path.into() };
        let found = failures(&[(&file, "")]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].ends_with("the name does not say what is inside"), "{found:?}");
    }
    let found = failures(&[("command/helper/git.txt", "")]);
    assert_eq!(found, ["src/command/helper/git.txt is on no floor of ARCHITECTURE.md"]);
}

#[test]
fn rooms_have_to_be_there_and_apart() {
    let table = "## Floors\n| floor |\n| --- |\n| `a/`, `b.rs` |\n| `a/b/` |\n";
    let floors = Floors::parse(table).unwrap();
    let sources = Sources::from([("a/b/c.txt".into(), String::new())]);
    let expected = [
        "ARCHITECTURE.md names b.rs (floor 1), which src/ does not have",
        "src/a/b/c.txt is in several rooms: a/ (floor 1), a/b/ (floor 2)",
    ];
    assert_eq!(crate::failures(&sources, &floors), expected);
}

#[test]
fn a_table_that_cannot_be_meant_fails() {
    let error = |text: &str| Floors::parse(text).err().unwrap_or_default();
    assert!(error("## Floor\n| a |\n|---|\n| `b` |\n").contains("no table"));
    assert!(error("## Floors\n| a |\n|---|\n| b |\n").contains("floor 1 names no room"));
    assert!(error("## Floors\n| a |\n|---|\n| `b/` |\n| `b/` |\n").contains("name b/"));
}
