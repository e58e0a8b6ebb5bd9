//! The Debian package: installed, used, and removed again. The package's own files are the only ones
//! that the package manager touches here, below a directory that a test sees as its `/usr`.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::home::Home;
use crate::support::network::leave_the_mounts;
use crate::support::peers::{Kind, Peer, built, source};
use crate::support::process::succeed;

/// The machine that it is installed on, as far as the package manager is concerned.
struct Root(tempfile::TempDir);

impl Root {
    fn new() -> Self {
        let root = Self(tempfile::tempdir().unwrap());
        for directory in ["var/lib/dpkg/info", "var/lib/dpkg/updates"] {
            std::fs::create_dir_all(root.path(directory)).unwrap();
        }
        std::fs::write(root.path("var/lib/dpkg/status"), "").unwrap();
        root
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    fn dpkg(&self, action: &str, what: &str) {
        let root = format!("--root={}", self.0.path().display());
        // What it depends on is on the machine, of which this database knows nothing.
        run(Command::new("dpkg").args([&root, "--force-depends", action, what]));
    }

    /// Everything that is not the package manager's own.
    fn files(&self) -> BTreeSet<String> {
        let found = run(Command::new("find").arg(self.0.path()).args(["-printf", "%P\n"]));
        let files = found.lines().filter(|path| !path.starts_with("var/lib/dpkg"));
        files.map(String::from).collect()
    }
}

/// Runs a command, and insists that it succeeds; what it says on standard output.
#[track_caller]
fn run(command: &mut Command) -> String {
    succeed(command).stdout
}

/// Makes the package of the program under test; its path.
fn package(directory: &Path) -> PathBuf {
    let target = format!(
        "{}-unknown-linux-{}",
        std::env::consts::ARCH,
        if cfg!(target_env = "musl") { "musl" } else { "gnu" }
    );
    let architecture = run(Command::new("dpkg").arg("--print-architecture"));
    let stage = directory.join("stage");
    run(Command::new(source("contrib/release/stage"))
        .arg(target)
        .arg(built("dd-oauth"))
        .arg(&stage));
    let mut deb = Command::new(source("contrib/release/deb"));
    deb.arg(stage).arg(architecture.trim()).arg(directory).env("SOURCE_DATE_EPOCH", "1700000000");
    run(&mut deb).trim().into()
}

#[test]
fn the_package_is_installed_used_for_a_login_and_removed_without_a_trace() {
    let directory = tempfile::tempdir().unwrap();
    let package = package(directory.path());
    let root = Root::new();
    let before = root.files();

    root.dpkg("--install", package.to_str().unwrap());
    for (link, target) in [
        ("usr/bin/git-credential-dd-oauth", "dd-oauth"),
        ("usr/bin/docker-credential-dd-oauth", "dd-oauth"),
        ("usr/bin/bazel-credential-dd-oauth", "dd-oauth"),
        ("usr/share/man/man1/git-credential-dd-oauth.1.gz", "dd-oauth.1.gz"),
    ] {
        assert_eq!(std::fs::read_link(root.path(link)).unwrap(), Path::new(target), "{link}");
    }
    let judge = Peer::start(Kind::Judge);
    std::thread::scope(|scope| scope.spawn(|| used_by_a_person(&root, &judge)).join().unwrap());

    root.dpkg("--purge", "dd-oauth");
    assert_eq!(root.files(), before);
    assert_eq!(std::fs::read_to_string(root.path("var/lib/dpkg/status")).unwrap().trim(), "");
}

/// On a machine on which the package is installed. Its sessions are in the home.
fn used_by_a_person(root: &Root, judge: &Peer) {
    leave_the_mounts();
    let layers = format!("lowerdir={}:/usr", root.path("usr").display());
    run(Command::new("mount").args(["-t", "overlay", "-o", &layers, "overlay", "/usr"]));
    let home = Home::at(judge);
    let run = |program: &str, arguments: &[&str], input: &str| {
        let run = home.run_program_freely(program, arguments, input);
        assert_eq!(run.code, Some(0), "{program}: {run:?}");
        run
    };
    run("/usr/bin/dd-oauth", &["login"], "");
    let token = run("dd-oauth", &[], "get\n").value("access_token");
    assert!(judge.accepts(&token));

    let query = format!("url={}\ncapability[]=authtype\n\n", judge.origin);
    let git = ["-c", "credential.helper=dd-oauth", "credential", "fill"];
    assert_eq!(run("git", &git, &query).value("credential"), token);
    let docker = run("/usr/bin/docker-credential-dd-oauth", &["get"], &judge.origin);
    assert!(docker.stdout.contains(&token), "{docker:?}");
    let bazel = format!("{{\"uri\": \"{}/api/v2/x\"}}", judge.origin);
    assert!(run("/usr/bin/bazel-credential-dd-oauth", &["get"], &bazel).stdout.contains(&token));

    let manual = run("man", &["--warnings", "git-credential-dd-oauth"], "");
    assert!(manual.stdout.contains("The credential helper for Datadog"), "{manual:?}");
    assert_eq!(manual.stderr, "");
    for (shell, script, completes) in [
        (
            "bash",
            "source /usr/share/bash-completion/completions/dd-oauth; complete -p dd-oauth",
            "-F _dd__oauth",
        ),
        ("fish", "complete --do-complete 'dd-oauth log'", "logout"),
        ("zsh", "autoload -Uz compinit; compinit -D; echo $_comps[dd-oauth]", "_dd-oauth"),
    ] {
        let run = run(shell, &["-c", script], "");
        assert!(run.stdout.contains(completes), "{shell}: {run:?}");
    }
}

#[test]
fn the_same_program_makes_the_same_package_and_lintian_accepts_it() {
    let [one, other] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [package, again] = [package(one.path()), package(other.path())];
    assert!(std::fs::read(&package).unwrap() == std::fs::read(again).unwrap());
    let lintian = ["--fail-on", "error,warning", "--allow-root", "--tag-display-limit", "0"];
    run(Command::new("lintian").args(lintian).arg(package));
}
