//! Measures what a call costs, each time beside its floor or a peer in turn, and prints a table.
//!
//! ```text
//! cargo bench
//! ```
//!
//! `BUILT` names another directory of cargo's in which `dd-oauth` and the example `floor` were built.
//! What is measured is a copy, as an installed program is: the pages of a file just linked are
//! slower.
//!
//! Needs curl, dbus-daemon, gdbus, gnome-keyring-daemon, secret-tool and
//! docker-credential-secretservice (Debian: golang-docker-credential-helpers). It measures and
//! judges nothing: figures belong to the machine, and ratios are what can be compared.

#[path = "../../suite/support/mod.rs"]
#[allow(dead_code, reason = "the suite uses the rest of it")]
mod support;

mod crowd;
mod memory;
mod pairs;
mod refresh;
mod warm;

use std::path::PathBuf;
use std::process::Command;

use pairs::Row;
use support::home::Home;
use support::peers::built;

/// What is measured, as it would be installed.
struct Programs {
    directory: tempfile::TempDir,
}

fn main() {
    raise_file_limit();
    build();
    let programs = Programs::installed();
    println!("| what | `dd-oauth` | beside it | ratio | aim |");
    println!("| --- | --- | --- | --- | --- |");
    let mut rows = warm::rows(&programs);
    rows.extend(refresh::rows(&programs));
    rows.push(crowd::row(&programs));
    let peak = memory::peak_of_a_warm_get(&programs);
    rows.push(Row::bound("peak memory of a warm `get`", peak, 4 << 20));
    rows.push(Row::bound("the program, stripped", programs.stripped_size(), 8 << 20));
    for row in rows {
        println!("{row}");
    }
}

/// Builds what is run beside the program, with the same profile.
fn build() {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--release", "--example", "floor", "--example", "demo-server"]);
    let built = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap();
    assert!(built.success(), "{cargo:?} failed");
}

impl Programs {
    fn installed() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let source = std::env::var_os("BUILT").map_or_else(|| built("."), PathBuf::from);
        for (program, name) in [("dd-oauth", "dd-oauth"), ("examples/floor", "floor")] {
            let copied = std::fs::copy(source.join(program), directory.path().join(name));
            copied.unwrap_or_else(|error| panic!("{program} of {}: {error}", source.display()));
        }
        Self { directory }
    }

    /// The least that a program can be.
    fn floor(&self) -> PathBuf {
        self.directory.path().join("floor")
    }

    /// A home in which the program is run.
    fn home(&self) -> Home {
        Home::new().of_program(&self.directory.path().join("dd-oauth"))
    }

    /// The program's size without symbols, in bytes.
    fn stripped_size(&self) -> u64 {
        let stripped = self.directory.path().join("stripped");
        let program = self.directory.path().join("dd-oauth");
        let status = Command::new("strip").arg("-o").args([&stripped, &program]).status().unwrap();
        assert!(status.success());
        std::fs::metadata(stripped).unwrap().len()
    }
}

fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
