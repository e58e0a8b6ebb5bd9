//! A home of its own for each test, and the program run in it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::peers::{Peer, source};

/// Far beyond every deadline of the program; a run that is ended here has hung.
const HANG: Duration = Duration::from_mins(2);

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

/// What one run left behind.
#[derive(Debug)]
pub struct Run {
    /// The exit code; nothing where a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
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
            let asked = Command::new("id").args(["-u", name]).output().unwrap();
            let user = String::from_utf8(asked.stdout).unwrap().trim().parse().unwrap();
            std::os::unix::fs::chown(self.path(), Some(user), Some(user)).unwrap();
            self.user = Some(user);
            // The way to the one that was built may not be open to others.
            let copy = self.path().join("dd-oauth");
            std::fs::copy(&self.binary, &copy).unwrap();
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

    /// The directory in which sessions rest.
    pub fn sessions(&self) -> PathBuf {
        self.state().join("sessions")
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

impl Run {
    /// The value of a key in the answer.
    pub fn value(&self, key: &str) -> String {
        let line = self.stdout.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("no {key} in {self:?}")).to_string()
    }

    /// The lines on standard error but those that say for whom it waits: whether a wait is long
    /// enough to be told is up to how busy the machine is.
    pub fn complaints(&self) -> Vec<&str> {
        let waits = |line: &&str| {
            line.strip_prefix("dd-oauth: waiting for ")
                .is_some_and(|who| who.starts_with("process ") || who == "another dd-oauth process")
        };
        self.stderr.lines().filter(|line| !waits(line)).collect()
    }

    /// Insists on a failure: this exit code, nothing on standard output, and one complaint that has
    /// `words` in it.
    #[track_caller]
    pub fn fails(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        let [complaint] = self.complaints()[..] else { panic!("not one complaint: {self:?}") };
        assert!(complaint.starts_with("dd-oauth: "), "{self:?}");
        for word in words {
            assert!(complaint.contains(word), "no {word:?} in {self:?}");
        }
        assert!(!complaint.contains("panicked"), "{self:?}");
    }

    /// As [`Run::fails`], for a login that had already said where to log in.
    #[track_caller]
    pub fn fails_after_prompt(&self, code: i32, words: &[&str]) {
        let (prompt, stderr) = self.stderr.split_once('\n').unwrap_or_default();
        assert!(prompt.starts_with("dd-oauth: ") && prompt.contains("log in to"), "{self:?}");
        let (stdout, stderr) = (self.stdout.clone(), stderr.to_string());
        Self { code: self.code, stdout, stderr }.fails(code, words);
    }

    /// Insists on success without a complaint.
    #[track_caller]
    pub fn succeeds_quietly(&self) {
        assert_eq!((self.code, self.complaints().len()), (Some(0), 0), "{self:?}");
    }
}

/// Starts a program and gives it its input.
pub fn start(mut command: Command, input: &[u8]) -> Child {
    let mut child = command.spawn().unwrap();
    // A program that fails early reads nothing, which is its own affair.
    let _ = child.stdin.take().expect("it is piped").write_all(input);
    child
}

/// Waits for the end of a program and takes its output.
pub fn finish(mut child: Child) -> Run {
    let drain = |stream: Option<Box<dyn Read + Send>>| {
        let (sender, output) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut text = Vec::new();
            stream.expect("it is piped").read_to_end(&mut text).unwrap();
            let _ = sender.send(String::from_utf8_lossy(&text).into_owned());
        });
        output
    };
    let stdout = drain(child.stdout.take().map(|stream| Box::new(stream) as _));
    let stderr = drain(child.stderr.take().map(|stream| Box::new(stream) as _));
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if started.elapsed() > HANG {
            child.kill().unwrap();
            panic!("it did not end within {HANG:?}");
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    // Somebody else may have the other end of a pipe, and keep it.
    let all = |output: std::sync::mpsc::Receiver<String>| {
        output.recv_timeout(HANG).expect("its output ends when it does")
    };
    Run { code: status.code(), stdout: all(stdout), stderr: all(stderr) }
}

/// A port that the kernel says is free.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Looks again and again until `seen`; what never comes fails the test.
#[track_caller]
pub fn eventually(what: &str, mut seen: impl FnMut() -> bool) {
    let started = Instant::now();
    while !seen() {
        assert!(started.elapsed() < HANG, "{what} did not happen within {HANG:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
