//! A home of its own for each test, and the program run in it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
#[cfg(feature = "test-clock")]
use std::time::Duration;

use serde_json::Value;

use super::peers::{Peer, source};
use super::process::{Run, finish, start};

/// What a program needs of the system; the last is for our `node.exe`, see `tests/wine`.
const SYSTEM_VARIABLES: &[&str] =
    if cfg!(windows) { &["PATH", "SystemRoot", "TEMP", "NODE_OUTSIDE"] } else { &["PATH"] };

/// An empty home, and the environment of the programs that run in it.
pub struct Home {
    directory: tempfile::TempDir,
    variables: Vec<(OsString, OsString)>,
    /// The user that programs run as, where it is another than ours.
    user: Option<u32>,
    binary: PathBuf,
}

impl Home {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut home = Self {
            directory,
            variables: Vec::new(),
            user: None,
            binary: env!("CARGO_BIN_EXE_dd-oauth").into(),
        };
        home.set("DD_TOKEN_STORAGE", "file");
        home
    }

    /// A home in which requests mean `peer`, and a browser that logs in there by itself.
    pub fn at(peer: &Peer) -> Self {
        let browser = format!("node {} %s", source("tests/peers/browser.mjs").display());
        let mut home = Self::new();
        home.set("DD_SITE", &peer.origin).set("BROWSER", &browser);
        home.set("BROWSER_LOG", home.path().join("browser.log").to_str().unwrap());
        home.set("DD_OAUTH_CALLBACK_PORT", &free_port().to_string());
        if let Some(authority) = &peer.authority {
            let authority = authority.to_str().unwrap();
            home.set("SSL_CERT_FILE", authority).set("NODE_EXTRA_CA_CERTS", authority);
        }
        home
    }

    /// Runs another program than the one that was built beside the tests.
    pub fn of_program(mut self, path: &Path) -> Self {
        self.binary = path.into();
        self
    }

    /// Sets a variable for every run from now on.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Takes a variable away again.
    pub fn unset(&mut self, name: &str) -> &mut Self {
        self.variables.retain(|(known, _)| known != name);
        self
    }

    /// Lets programs run as an ordinary user of the system, whose home this then is. Where we are
    /// nobody else ourselves (in a user namespace), they do already.
    #[cfg(target_os = "linux")]
    pub fn of_ordinary_user(mut self, name: &str) -> Self {
        let map = std::fs::read_to_string("/proc/self/uid_map").unwrap();
        if map.split_ascii_whitespace().last() == Some("4294967295") {
            let user = super::process::succeed(Command::new("id").args(["-u", name])).stdout;
            let user = user.trim().parse().unwrap();
            std::os::unix::fs::chown(self.path(), Some(user), Some(user)).unwrap();
            self.user = Some(user);
            // The way to the one that was built may not be open to others. We do not copy it ourselves:
            // what another test starts meanwhile would inherit it open for writing, and a program that
            // somebody writes cannot be started.
            let copy = self.path().join("dd-oauth");
            super::process::succeed(Command::new("cp").args([&self.binary, &copy]));
            return self.of_program(&copy);
        }
        self
    }

    /// Whether its programs run as another user than we do.
    pub fn is_of_another_user(&self) -> bool {
        self.user.is_some()
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The directory of the installation.
    pub fn state(&self) -> PathBuf {
        self.place(".local/state/dd-oauth", r"local\dd-oauth\state")
    }

    /// The directory of key files.
    pub fn data(&self) -> PathBuf {
        self.place(".local/share/dd-oauth", r"local\dd-oauth\data")
    }

    /// The directory of the configuration.
    pub fn configuration(&self) -> PathBuf {
        self.place(".config/dd-oauth", r"roaming\dd-oauth")
    }

    fn place(&self, on_unix: &str, on_windows: &str) -> PathBuf {
        self.path().join(if cfg!(windows) { on_windows } else { on_unix })
    }

    /// What the file of the installation says.
    pub fn installation(&self) -> Value {
        let bytes = std::fs::read(self.state().join("installation")).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    /// The directory of the installation's own, or the state directory of one in the old layout.
    fn directory_of_installation(&self) -> PathBuf {
        let installation = self.installation();
        match installation["format"].as_u64() {
            Some(1) => self.state(),
            _ => self.state().join(installation["id"].as_str().unwrap()),
        }
    }

    /// The directory in which sessions rest.
    pub fn sessions(&self) -> PathBuf {
        match self.directory_of_installation() {
            shared if shared == self.state() => shared.join("sessions"),
            own => own,
        }
    }

    /// The directory of the registrations.
    pub fn registrations(&self) -> PathBuf {
        self.directory_of_installation().join("registrations")
    }

    /// Lays out the files of the installation as the versions did that knew no directory of its own.
    pub fn use_old_layout(&self) {
        let (state, mut record) = (self.state(), self.installation());
        let own = self.directory_of_installation();
        std::fs::rename(own.join("registrations"), state.join("registrations")).unwrap();
        for file in ["selected", "import.lock"] {
            if own.join(file).exists() {
                std::fs::rename(own.join(file), state.join(file)).unwrap();
            }
        }
        std::fs::rename(own, state.join("sessions")).unwrap();
        record["format"] = 1.into();
        record.as_object_mut().unwrap().remove("copies");
        std::fs::write(state.join("installation"), record.to_string()).unwrap();
    }

    /// The one file of all sessions that ends in `ending`.
    pub fn session_file(&self, ending: &str) -> PathBuf {
        let entries = std::fs::read_dir(self.sessions()).unwrap();
        let mut files = entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|known| known == ending));
        let file = files.next().unwrap_or_else(|| panic!("no .{ending}"));
        assert!(files.next().is_none(), "there is more than one .{ending}");
        file
    }

    /// Everything that must outlive bad input: each file of the installation and its key, but
    /// not the locks and journals, which a failed attempt may write.
    pub fn stored(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut directories = vec![self.place(".local", "local")];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).into_iter().flatten() {
                let path = entry.unwrap().path();
                let ending = path.extension().unwrap_or_default().to_str().unwrap();
                if path.is_dir() {
                    directories.push(path);
                } else if !ending.ends_with("-holder")
                    && !["lock", "login", "journal"].contains(&ending)
                    && !path.to_str().unwrap().ends_with(".login.outcome")
                {
                    files.insert(path.clone(), std::fs::read(path).unwrap());
                }
            }
        }
        files
    }

    /// How often a browser was opened.
    pub fn browsers_opened(&self) -> usize {
        let log = std::fs::read_to_string(self.path().join("browser.log")).unwrap_or_default();
        log.lines().filter(|line| line.starts_with("http")).count()
    }

    /// The program, in this home and with nothing else of the environment.
    pub fn program(&self, arguments: &[&str]) -> Command {
        self.any_program(&self.binary, arguments)
    }

    /// Another program in the same surroundings.
    pub fn any_program(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(SYSTEM_VARIABLES.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .envs(self.places())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        #[cfg(unix)]
        if let Some(user) = self.user {
            std::os::unix::process::CommandExt::uid(&mut command, user);
            std::os::unix::process::CommandExt::gid(&mut command, user);
        }
        command
    }

    /// The variables that say where a user is at home.
    fn places(&self) -> Vec<(&'static str, PathBuf)> {
        if cfg!(windows) {
            let at = |name| self.path().join(name);
            vec![
                ("USERPROFILE", self.path().to_path_buf()),
                ("LOCALAPPDATA", at("local")),
                ("APPDATA", at("roaming")),
            ]
        } else {
            vec![("HOME", self.path().to_path_buf())]
        }
    }

    /// Runs another program in the same surroundings, to its end.
    pub fn run_program_freely(&self, program: &str, arguments: &[&str], input: &str) -> Run {
        finish(start(self.any_program(Path::new(program), arguments), input.as_ref()))
    }

    /// As [`Home::run_program_freely`], and insists that it succeeds.
    #[track_caller]
    pub fn run_program(&self, program: &str, arguments: &[&str]) -> Run {
        let run = self.run_program_freely(program, arguments, "");
        assert_eq!(run.code, Some(0), "{program} {arguments:?}: {run:?}");
        run
    }

    /// A program that finds ours in its path: as `dd-oauth`, and under the names by which git and
    /// docker look for a helper.
    #[cfg(unix)]
    pub fn caller(&self, program: &Path, arguments: &[&str]) -> Command {
        let directory = self.path().join("bin");
        if std::fs::create_dir(&directory).is_ok() {
            for name in ["dd-oauth", "git-credential-dd-oauth", "docker-credential-dd-oauth"] {
                let path = directory.join(name);
                std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_dd-oauth"), path).unwrap();
            }
        }
        let usual = std::env::var_os("PATH").unwrap_or_default();
        let path =
            std::env::join_paths([directory].into_iter().chain(std::env::split_paths(&usual)));
        let mut command = self.any_program(program, arguments);
        command.env("PATH", path.unwrap());
        command
    }

    /// Runs such a program to its end.
    #[cfg(unix)]
    pub fn call(&self, program: &str, arguments: &[&str], input: &str) -> Run {
        finish(start(self.caller(Path::new(program), arguments), input.as_ref()))
    }

    /// Runs the program with `input` on standard input, to its end.
    pub fn run(&self, arguments: &[&str], input: impl AsRef<[u8]>) -> Run {
        finish(start(self.program(arguments), input.as_ref()))
    }

    /// Runs it with one more variable.
    pub fn run_with(&self, variable: (&str, &str), arguments: &[&str], input: &str) -> Run {
        let mut command = self.program(arguments);
        command.env(variable.0, variable.1);
        finish(start(command, input.as_ref()))
    }

    /// Runs it at another time: `offset` is added to the clock.
    #[cfg(feature = "test-clock")]
    pub fn run_later(&self, offset: Duration, arguments: &[&str], input: &str) -> Run {
        let offset = offset.as_millis().to_string();
        self.run_with(("DD_OAUTH_TEST_CLOCK", &offset), arguments, input)
    }

    /// Logs in, and insists that it succeeds.
    pub fn log_in(&self) -> Run {
        let run = self.run(&["login"], "");
        assert_eq!(run.code, Some(0), "{run:?}");
        run
    }

    /// Makes the access token stale, by storing another one that has expired in its place; the
    /// refresh token stays.
    pub fn make_stale(&self) {
        let run = self.run(&["store"], "access_token=stale\nexpires_at=1000000000\n");
        assert_eq!(run.code, Some(0), "{run:?}");
    }

    /// As [`Home::make_stale`], where a kill may have left something that keeps it from that.
    pub fn make_stale_quietly(&self) {
        self.run(&["store"], "access_token=stale\nexpires_at=1000000000\n");
    }

    /// Asks for a token, and insists on one.
    pub fn get(&self) -> String {
        let run = self.run(&[], "get\n");
        assert_eq!(run.code, Some(0), "{run:?}");
        run.value("access_token")
    }

    /// What `status --json` says.
    pub fn status(&self) -> Value {
        let run = self.run(&["status", "--json"], "");
        assert_eq!(run.code, Some(0), "{run:?}");
        serde_json::from_str(&run.stdout).unwrap()
    }
}

/// A port that the kernel says is free.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
