//! One conformance test for all clients in `contrib/clients`: each is driven, line by line, by a
//! small program in its own language, at a helper that does what a test wrote down, and at the
//! real one.
#![cfg(unix)]

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::support::deadline::{HANG, eventually};
use crate::support::home::Home;
use crate::support::peers::{Kind, Peer, built, source};
use crate::support::process::{Process, signal};

/// A busy machine takes its time to build a program in Go.
const BUILD: Duration = Duration::from_mins(10);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Language {
    Dash,
    Bash,
    Python,
    Node,
    Go,
    Rust,
}

impl Language {
    /// The program that drives the client, with the arguments that go before the options.
    fn driver(self) -> (PathBuf, Vec<PathBuf>) {
        let interpreted = |interpreter: &str, driver: &str, client: &str| {
            let files = vec![source("tests/clients").join(driver), client_file(client)];
            (PathBuf::from(interpreter), files)
        };
        match self {
            Self::Dash => interpreted("dash", "driver.sh", "dd-credential.sh"),
            Self::Bash => interpreted("bash", "driver.sh", "dd-credential.sh"),
            Self::Python => interpreted("python3", "driver.py", "dd_credential.py"),
            Self::Node => interpreted("node", "driver.mjs", "dd-credential.mjs"),
            Self::Go => (go_driver().clone(), Vec::new()),
            Self::Rust => (built("examples").join("client-driver"), Vec::new()),
        }
    }
}

fn client_file(name: &str) -> PathBuf {
    source("contrib/clients").join(name)
}

/// The driver in Go, once it is checked and built.
fn go_driver() -> &'static PathBuf {
    static DRIVER: OnceLock<PathBuf> = OnceLock::new();
    DRIVER.get_or_init(|| {
        let work = Path::new(env!("CARGO_TARGET_TMPDIR")).join("go");
        let module = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(&work).unwrap();
        std::fs::create_dir(module.path().join("client")).unwrap();
        let copy = |from: PathBuf, to: &str| std::fs::copy(from, module.path().join(to)).unwrap();
        copy(source("tests/clients/driver.go"), "driver.go");
        copy(client_file("dd_credential.go"), "client/dd_credential.go");
        std::fs::write(module.path().join("go.mod"), "module driver\n\ngo 1.19\n").unwrap();
        let run = |program: &str, arguments: &[&str]| {
            let mut command = Command::new(program);
            command
                .args(arguments)
                .current_dir(module.path())
                .envs([("GOPROXY", "off"), ("GOWORK", "off"), ("GOFLAGS", "")])
                .envs([("CGO_ENABLED", "0"), ("GOTOOLCHAIN", "local")])
                .env("GOCACHE", work.join("cache"))
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
            let run = Process::spawn(&mut command).with_limit(BUILD).finish();
            assert!(run.code == Some(0) && run.stdout.is_empty(), "{run:?}");
        };
        run("gofmt", &["-l", "."]);
        run("go", &["vet", "./..."]);
        run("go", &["build", "-o", "built", "."]);
        let driver = work.join("driver");
        let new = work.join(format!("driver.{}", std::process::id()));
        std::fs::copy(module.path().join("built"), &new).unwrap();
        std::fs::rename(new, &driver).unwrap();
        driver
    })
}

/// A client that waits for its next command.
struct Client {
    process: Process,
    commands: Option<ChildStdin>,
    lines: Receiver<String>,
}

/// A credential as a client tells it.
#[derive(Debug, PartialEq)]
struct Credential {
    token: String,
    /// Nothing where nobody knows it.
    expires: Option<u64>,
    site: String,
    api_url: String,
    org: String,
}

impl Client {
    fn start(mut command: Command) -> Self {
        let mut process = Process::spawn(&mut command);
        let (sender, lines) = channel();
        let output = process.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                let _ = sender.send(line.unwrap());
            }
        });
        Self { commands: process.stdin.take(), process, lines }
    }

    fn say(&mut self, command: &str) {
        let commands = self.commands.as_mut().expect("it still runs");
        commands.write_all(format!("{command}\n").as_bytes()).unwrap();
    }

    #[track_caller]
    fn hear(&mut self) -> String {
        self.lines.recv_timeout(HANG).unwrap_or_else(|error| {
            self.process.kill();
            panic!("no answer of the client ({error}): {}", self.process.errors())
        })
    }

    #[track_caller]
    fn ask(&mut self, command: &str) -> String {
        self.say(command);
        self.hear()
    }

    #[track_caller]
    fn get(&mut self) -> Credential {
        credential(&self.ask("get"))
    }

    /// What it wrote on standard error, once it has ended.
    #[track_caller]
    fn end(mut self) -> String {
        self.commands = None;
        let stderr = self.process.errors();
        let status = self.process.wait();
        assert!(status.success(), "{status}: {stderr}");
        stderr
    }
}

#[track_caller]
fn credential(line: &str) -> Credential {
    let fields: Vec<_> = line.split('\t').collect();
    let ["credential", token, expires, site, api_url, org] = fields[..] else {
        panic!("no credential: {line:?}")
    };
    let [token, site, api_url, org] = [token, site, api_url, org].map(str::to_string);
    Credential { token, expires: expires.parse().ok(), site, api_url, org }
}

/// A home with the scripted helper in it.
struct Stage {
    language: Language,
    home: Home,
}

impl Stage {
    fn of(language: Language) -> Self {
        let mut home = Home::new();
        std::fs::create_dir(home.path().join("helper")).unwrap();
        let directory = home.path().join("helper").to_str().unwrap().to_string();
        home.set("FAKE_HELPER", &directory).set("DD_CREDENTIAL_HELPER", "fake-helper");
        Self { language, home }
    }

    /// The client, with both helpers in its path.
    fn client(&self, options: &[&str]) -> Client {
        let mut path: OsString = source("tests/clients").into();
        path.push(":");
        path.push(built("."));
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        Client::start(self.command(options, path))
    }

    fn command(&self, options: &[&str], path: OsString) -> Command {
        let (driver, files) = self.language.driver();
        // By its path of now, whatever the client finds in its own.
        let driver = which(&driver);
        let mut command = self.home.any_program(&driver, &[]);
        command.args(files).args(options).env("PATH", path);
        command
    }

    /// What the helper does at each call that has no step of its own.
    fn helper_does(&self, script: &str) {
        std::fs::write(self.file("step"), script).unwrap();
    }

    /// What it does at one call.
    fn helper_does_at(&self, call: usize, script: &str) {
        std::fs::write(self.file(&format!("step.{call}")), script).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.home.path().join("helper").join(name)
    }

    /// What the helper was asked.
    fn requests(&self) -> Vec<String> {
        (1..)
            .map_while(|call| {
                std::fs::read_to_string(self.file(&format!("call.{call}/request"))).ok()
            })
            .collect()
    }
}

/// A program in the path, as the shell finds it.
fn which(program: &Path) -> PathBuf {
    if program.is_absolute() {
        return program.to_path_buf();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| panic!("there is no {}", program.display()))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A script that answers with a token.
fn answers(token: &str, expires: u64) -> String {
    answers_with(&format!(
        "access_token={token}\ntoken_type=Bearer\nexpires_at={expires}\nsite=datadoghq.eu\n\
         api_url=https://api.datadoghq.eu\norg=Example = Inc.\nlater_key=\n"
    ))
}

fn answers_with(answer: &str) -> String {
    format!("cat <<'END'\n{answer}END\n")
}

const ERASE_FIRST: &str = "erase\nsite=datadoghq.eu\norg=Example = Inc.\naccess_token=first\n";

/// Each of these holds for every client.
macro_rules! of_every_client {
    ($($(#[$attribute:meta])* $test:ident),+ $(,)?) => {
        of_every_client!(@ dash Dash [$($(#[$attribute])* $test)+]);
        of_every_client!(@ bash Bash [$($(#[$attribute])* $test)+]);
        of_every_client!(@ python Python [$($(#[$attribute])* $test)+]);
        of_every_client!(@ node Node [$($(#[$attribute])* $test)+]);
        of_every_client!(@ go Go [$($(#[$attribute])* $test)+]);
        of_every_client!(@ rust Rust [$($(#[$attribute])* $test)+]);
    };
    (@ $module:ident $language:ident [$($(#[$attribute:meta])* $test:ident)+]) => {
        mod $module {
            $($(#[$attribute])* #[test] fn $test() { super::$test(super::Language::$language); })+
        }
    };
}

of_every_client!(
    the_first_token_is_asked_for_in_the_words_of_the_protocol,
    the_helper_may_be_an_absolute_path_with_arguments,
    a_token_is_kept,
    a_token_is_kept_until_shortly_before_it_expires,
    a_token_that_expires_soon_is_used_and_not_kept,
    a_token_whose_life_nobody_knows_is_used_and_not_kept,
    a_401_rejects_the_token_and_is_tried_once_more,
    a_401_stands_where_the_helper_has_no_other_token,
    login_required,
    a_temporary_failure_passes,
    every_other_end_is_a_failure,
    no_helper,
    nothing_is_run_from_the_working_directory,
    a_helper_that_hangs_is_ended,
    rubbish_is_no_answer,
    a_name_adds_no_key_to_the_request,
    the_helper_has_the_time_that_it_needs,
    the_real_helper,
    #[cfg(feature = "test-clock")]
    the_real_helper_after_a_401,
);

fn the_first_token_is_asked_for_in_the_words_of_the_protocol(language: Language) {
    let stage = Stage::of(language);
    let expires = now() + 3600;
    stage.helper_does(&answers("first", expires));
    let mut client = stage.client(&["site=eu1", "org=Example = Inc."]);
    let expected = Credential {
        token: "first".into(),
        expires: Some(expires),
        site: "datadoghq.eu".into(),
        api_url: "https://api.datadoghq.eu".into(),
        org: "Example = Inc.".into(),
    };
    assert_eq!(client.get(), expected);
    assert_eq!(stage.requests(), ["get\nsite=eu1\norg=Example = Inc.\n"]);
    assert_eq!(client.end(), "");

    let mut client = stage.client(&[]);
    client.get();
    assert_eq!(stage.requests()[1], "get\n");
}

fn the_helper_may_be_an_absolute_path_with_arguments(language: Language) {
    let mut stage = Stage::of(language);
    let helper = stage.home.path().join("a-helper");
    std::os::unix::fs::symlink(source("tests/clients/fake-helper"), &helper).unwrap();
    // No shell reads them: they arrive as they are.
    let value = format!(" {} \t--flag  $HOME * 'a \"b; ", helper.display());
    stage.home.set("DD_CREDENTIAL_HELPER", &value);
    stage.helper_does(&answers("first", now() + 3600));
    assert_eq!(stage.client(&[]).get().token, "first");
    let arguments = std::fs::read_to_string(stage.file("call.1/arguments")).unwrap();
    assert_eq!(arguments.lines().collect::<Vec<_>>(), ["--flag", "$HOME", "*", "'a", "\"b;"]);
}

fn a_token_is_kept(language: Language) {
    let stage = Stage::of(language);
    stage.helper_does(&answers("first", now() + 3600));
    let mut client = stage.client(&[]);
    client.say("together 8");
    for _ in 0..8 {
        assert_eq!(credential(&client.hear()).token, "first");
    }
    assert_eq!(client.get().token, "first");
    assert_eq!(stage.requests(), ["get\n"], "one asked, and all others waited for it");
}

fn a_token_is_kept_until_shortly_before_it_expires(language: Language) {
    let stage = Stage::of(language);
    let margin = 2;
    let expires = now() + margin + 3;
    stage.helper_does_at(1, &answers("first", expires));
    stage.helper_does(&answers("second", expires + 3600));
    let mut client = stage.client(&[&format!("margin={margin}")]);
    client.get();
    loop {
        let asked = now();
        let token = client.get().token;
        if token == "second" {
            break;
        }
        assert!(asked < expires - margin, "it was given out too late");
    }
    assert!(now() >= expires - margin, "it was asked for again too early");
    assert_eq!(stage.requests(), ["get\n", "get\n"]);
}

fn a_token_that_expires_soon_is_used_and_not_kept(language: Language) {
    let stage = Stage::of(language);
    stage.helper_does(&answers("first", now() + 30));
    let mut client = stage.client(&[]);
    for calls in 1..=2 {
        assert_eq!(client.get().token, "first");
        assert_eq!(stage.requests().len(), calls);
    }
}

fn a_token_whose_life_nobody_knows_is_used_and_not_kept(language: Language) {
    let stage = Stage::of(language);
    stage.helper_does(&answers_with(
        "access_token=first\ntoken_type=Bearer\nsite=datadoghq.eu\n\
         api_url=https://api.datadoghq.eu\n",
    ));
    let mut client = stage.client(&[]);
    for calls in 1..=2 {
        let answer = client.get();
        assert_eq!((answer.token.as_str(), answer.expires), ("first", None));
        assert_eq!(stage.requests().len(), calls);
    }
    assert_eq!(client.ask("call"), "send\tfirst");
    assert_eq!(client.ask("401"), "status\t401");
}

fn a_401_rejects_the_token_and_is_tried_once_more(language: Language) {
    let stage = Stage::of(language);
    stage.helper_does_at(1, &answers("first", now() + 3600));
    stage.helper_does_at(2, "");
    stage.helper_does_at(3, &answers("second", now() + 3600));
    let mut client = stage.client(&["site=eu1"]);
    assert_eq!(client.ask("call"), "send\tfirst");
    assert_eq!(client.ask("401"), "send\tsecond");
    assert_eq!(client.ask("200"), "status\t200");
    let requests = ["get\nsite=eu1\n", ERASE_FIRST, "get\nsite=eu1\n"];
    assert_eq!(stage.requests(), requests);

    assert_eq!(client.ask("call"), "send\tsecond", "the new token is kept");
    assert_eq!(client.ask("403"), "status\t403");
    assert_eq!(stage.requests(), requests, "permissions are not the token's affair");
}

fn a_401_stands_where_the_helper_has_no_other_token(language: Language) {
    let stage = Stage::of(language);
    stage.helper_does(&answers("first", now() + 3600));
    let mut client = stage.client(&[]);
    assert_eq!(client.ask("call"), "send\tfirst");
    assert_eq!(client.ask("401"), "status\t401", "the same token is not sent again");
    assert_eq!(stage.requests(), ["get\n", ERASE_FIRST, "get\n"]);

    stage.helper_does(&answers("second", now() + 3600));
    assert_eq!(client.ask("call"), "send\tfirst");
    assert_eq!(client.ask("401"), "send\tsecond");
    assert_eq!(client.ask("401"), "status\t401", "it is tried once more, and not again");
    assert_eq!(stage.requests().len(), 5);

    stage.helper_does("exit 3");
    assert_eq!(client.ask("call"), "send\tsecond");
    assert_eq!(client.ask("401"), "error\tlogin");
    assert!(stage.requests().iter().all(|request| request != "erase\n"), "a bare erase");
}

fn login_required(language: Language) {
    let stage = Stage::of(language);
    stage.helper_does("echo 'run this to log in' >&2; exit 3");
    let mut client = stage.client(&[]);
    assert_eq!(client.ask("get"), "error\tlogin");
    assert_eq!(client.ask("call"), "error\tlogin");
    stage.helper_does(&answers("first", now() + 3600));
    assert_eq!(client.get().token, "first", "once a person has logged in");
    assert!(client.end().contains("run this to log in"), "the person must be told");
}

fn a_temporary_failure_passes(language: Language) {
    let stage = Stage::of(language);
    stage.helper_does("exit 4");
    let mut client = stage.client(&[]);
    assert_eq!(client.ask("get"), "error\ttemporary");
    assert_eq!(stage.requests().len(), 1, "the pauses are the caller's");
    stage.helper_does(&answers("first", now() + 3600));
    assert_eq!(client.get().token, "first");
}

fn every_other_end_is_a_failure(language: Language) {
    let stage = Stage::of(language);
    let mut client = stage.client(&[]);
    for end in ["exit 1", "exit 2", "exit 5", "exit 6", "exit 77", "exit 130", "kill -KILL $$"] {
        // What stands on standard output is no answer then.
        stage.helper_does(&format!("{}{end}", answers("first", now() + 3600)));
        assert_eq!(client.ask("get"), "error\tfailed", "{end}");
    }
    // One that reads nothing of its request.
    std::fs::write(stage.file("step"), "exec <&-; exit 3").unwrap();
    assert_eq!(client.ask("get"), "error\tlogin");
}

fn no_helper(language: Language) {
    let mut stage = Stage::of(language);
    stage.helper_does(&answers("first", now() + 3600));
    let plain = stage.home.path().join("plain");
    std::fs::write(&plain, "no program").unwrap();
    let directory = stage.home.path().to_str().unwrap().to_string();
    for value in
        ["", " \t", "no-such-helper", "/no/such/helper", &directory, plain.to_str().unwrap()]
    {
        stage.home.set("DD_CREDENTIAL_HELPER", value);
        assert_eq!(stage.client(&[]).ask("get"), "error\tmissing", "{value:?}");
    }
    assert!(stage.requests().is_empty());
}

fn nothing_is_run_from_the_working_directory(language: Language) {
    let mut stage = Stage::of(language);
    stage.helper_does(&answers("first", now() + 3600));
    let here = stage.home.path().join("here");
    std::fs::copy(source("tests/clients/fake-helper"), &here).unwrap();
    for value in ["here", "./here", "helper/../here"] {
        stage.home.set("DD_CREDENTIAL_HELPER", value);
        let usual = std::env::var_os("PATH").unwrap_or_default();
        let path: OsString = [":.:".into(), usual].into_iter().collect();
        let mut client = Client::start(stage.command(&[], path));
        assert_eq!(client.ask("get"), "error\tmissing", "{value:?}");
    }
    assert!(stage.requests().is_empty());
}

fn a_helper_that_hangs_is_ended(language: Language) {
    let stage = Stage::of(language);
    let answer = answers("first", now() + 3600);
    let mut client = stage.client(&["deadline=2"]);
    // Another process has its standard output and goes on for longer, as below a wrapper.
    let sleep = "sleep 100 & echo $! >sleeper; wait";
    let scripts = [
        sleep.to_string(),
        format!("{answer}{sleep}"),
        format!("{answer}exec >&-; {sleep}"),
        format!("trap '' TERM HUP INT; {sleep}"),
    ];
    for (script, call) in scripts.iter().zip(1..) {
        stage.helper_does(script);
        assert_eq!(client.ask("get"), "error\ttemporary", "{script}");
        let number = |file: &str| {
            let text = std::fs::read_to_string(stage.file(&format!("call.{call}/{file}"))).unwrap();
            text.trim().to_string()
        };
        let process = Path::new("/proc").join(number("pid"));
        eventually("the end of the helper", || !process.exists());
        assert!(signal("TERM", number("sleeper").parse().unwrap()));
    }
    stage.helper_does(&answer);
    assert_eq!(client.get().token, "first");
}

fn rubbish_is_no_answer(language: Language) {
    let stage = Stage::of(language);
    let mut client = stage.client(&[]);
    let good = "access_token=secret\ntoken_type=Bearer\nexpires_at=4000000000\nsite=datadoghq.eu\n\
                api_url=https://api.datadoghq.eu\norg=Example\n";
    let with = |from: &str, to: &str| {
        assert!(good.contains(from));
        good.replacen(from, to, 1).into_bytes()
    };
    let long = format!("access_token={}", "x".repeat(16_385));
    let mut rubbish = vec![
        Vec::new(),
        b"\n".to_vec(),
        b"secret\n".to_vec(),
        with("\norg=Example\n", "\norg=Example"),
        with("\ntoken_type", "\n\ntoken_type"),
        with("\ntoken_type", "\nsecret\ntoken_type"),
        with("\ntoken_type", "\r\ntoken_type"),
        with("\ntoken_type", "\n=secret\ntoken_type"),
        with("\ntoken_type", "\nToken=secret\ntoken_type"),
        with("\ntoken_type", "\naccess_token=another\ntoken_type"),
        with("\ntoken_type", "\naccess_token=secret\ntoken_type"),
        with("access_token=secret", "access_token="),
        with("access_token=secret", "access_token=two words"),
        with("access_token=secret", "access_token=s\u{e9}cret"),
        with("access_token=secret", "access_token=se\0cret"),
        with("access_token=secret", "access_token=se\x1b[0mcret"),
        with("access_token=secret", &long),
        with("Bearer", "mac"),
        with("4000000000", ""),
        with("4000000000", "-1"),
        with("4000000000", "4e9"),
        with("4000000000", "40000000000000000000"),
        with("site=datadoghq.eu", "site="),
        with("datadoghq.eu", "datadog\x7fhq.eu"),
        with("Example", "Exam\rple"),
        with("https://api", "http://api"),
        with("https://api.datadoghq.eu", "https://"),
        with("Example\n", &format!("Example\nmore={}\n", "x".repeat(100_000))),
        with("secret", "secret#").iter().copied().chain(*b"#exit 0\n").collect(),
    ];
    for key in ["access_token", "token_type", "site", "api_url"] {
        let lines = good.split_inclusive('\n').filter(|line| !line.starts_with(key));
        rubbish.push(lines.collect::<String>().into_bytes());
    }
    // Bytes that are not UTF-8.
    rubbish.push(
        with("secret", "se?cret").into_iter().map(|b| if b == b'?' { 0xff } else { b }).collect(),
    );
    stage.helper_does("cat ../answer");
    for answer in rubbish {
        std::fs::write(stage.file("answer"), &answer).unwrap();
        let said = client.ask("get");
        assert_eq!(said, "error\tfailed", "{:?}", String::from_utf8_lossy(&answer));
    }
    for endless in ["cat /dev/zero", "yes more=rubbish", "yes rubbish | tr -d '\\n'"] {
        stage.helper_does(endless);
        assert_eq!(client.ask("get"), "error\tfailed", "{endless}");
    }
    stage.helper_does("cat ../answer");
    let longest = format!("access_token={}", "~".repeat(16_384));
    let good = with("access_token=secret", &format!("more=\tand = more\n{longest}"));
    std::fs::write(stage.file("answer"), good).unwrap();
    assert_eq!(client.get().token.len(), 16_384, "none of it was too much to ask");
    assert!(!client.end().contains("cret"), "a message shows the token");
}

fn a_name_adds_no_key_to_the_request(language: Language) {
    let stage = Stage::of(language);
    stage.helper_does(&answers("first", now() + 3600));
    for option in ["site=eu1\norg=another", "org=one\rtwo", "org=one\x1btwo"] {
        assert_eq!(stage.client(&[option]).ask("get"), "error\tfailed", "{option:?}");
    }
    assert!(stage.requests().is_empty());
}

fn the_helper_has_the_time_that_it_needs(language: Language) {
    let mut stage = Stage::of(language);
    stage.helper_does(&answers("first", now() + 3600));
    let mut call = 0;
    let mut interactive = |stage: &Stage, options: &[&str]| {
        call += 1;
        let mut client = stage.client(options);
        client.get();
        let seen = std::fs::read_to_string(stage.file(&format!("call.{call}/interactive")));
        (client.ask("deadline"), seen.unwrap().trim().to_string())
    };
    let (person, nobody) = ("deadline\t420".to_string(), "deadline\t90".to_string());
    assert_eq!(interactive(&stage, &[]), (person.clone(), "unset".into()));
    assert_eq!(interactive(&stage, &["interactive=no"]), (nobody.clone(), "never".into()));
    stage.home.set("DD_OAUTH_INTERACTIVE", "always");
    assert_eq!(interactive(&stage, &[]), (person, "always".into()));
    assert_eq!(interactive(&stage, &["interactive=no"]), (nobody, "never".into()));
}

/// The status with which an API answers to a token.
fn status(peer: &Peer, token: &str) -> u16 {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(HANG))
        .build()
        .into();
    let request = agent.get(format!("{}/api/v2/current_user", peer.origin));
    let answer = request.header("Authorization", format!("Bearer {token}")).call();
    answer.unwrap().status().as_u16()
}

/// Lets a client make a request to the API of a server, and gives its status and the tokens that
/// were sent.
fn call(client: &mut Client, peer: &Peer) -> (String, Vec<String>) {
    let mut tokens = Vec::new();
    let mut said = client.ask("call");
    while let Some(token) = said.strip_prefix("send\t") {
        tokens.push(token.to_string());
        said = client.ask(&status(peer, token).to_string());
    }
    (said, tokens)
}

fn at_real_helper(language: Language, peer: &Peer) -> Stage {
    let mut home = Home::at(peer);
    home.set("DD_CREDENTIAL_HELPER", "dd-oauth");
    Stage { language, home }
}

fn the_real_helper(language: Language) {
    let peer = Peer::start(Kind::Judge);
    let stage = at_real_helper(language, &peer);
    let options = ["interactive=no", &format!("site={}", peer.origin)];
    let mut client = stage.client(&options);
    assert_eq!(client.ask("get"), "error\tlogin");
    stage.home.log_in();
    let (said, tokens) = call(&mut client, &peer);
    assert_eq!((said.as_str(), tokens.len()), ("status\t200", 1));
    let first = client.get();
    assert_eq!(
        (&first.token, &first.site, &first.api_url),
        (&tokens[0], &peer.origin, &peer.origin)
    );
    assert!(client.end().contains("dd-oauth login --site"));

    stage.home.make_stale();
    peer.fault(&json!({"endpoint": "token", "kind": "status", "status": 503}));
    let mut client = stage.client(&options);
    assert_eq!(client.ask("get"), "error\ttemporary");
    peer.mend();
    eventually("a refresh, after the pause that the failure prescribes", || {
        client.ask("get") != "error\ttemporary"
    });
    let (said, tokens) = call(&mut client, &peer);
    assert_eq!(said, "status\t200");
    assert_ne!(tokens, [first.token]);
}

#[cfg(feature = "test-clock")]
fn the_real_helper_after_a_401(language: Language) {
    let peer = Peer::start(Kind::Demo);
    let mut stage = at_real_helper(language, &peer);
    stage.home.log_in();
    let store = "access_token=of-another-server\nexpires_in=3600\n";
    stage.home.run(&["store"], store).succeeds_quietly();
    // So new a token was not rejected for its age, and another would fare no better.
    let (said, tokens) = call(&mut stage.client(&[]), &peer);
    assert_eq!((said.as_str(), tokens.len()), ("status\t401", 1));
    assert_eq!(peer.refreshes().len(), 0);

    stage.home.set("DD_OAUTH_TEST_CLOCK", "60000");
    let (said, tokens) = call(&mut stage.client(&[]), &peer);
    assert_eq!((said.as_str(), tokens.len()), ("status\t200", 2));
    assert_eq!(tokens[0], "of-another-server");
    assert_eq!(peer.refreshes().len(), 1);
}

/// What many do at once with a token that was rejected.
fn refused_together(language: Language) {
    let stage = Stage::of(language);
    stage.helper_does_at(1, &answers("first", now() + 3600));
    stage.helper_does(&answers("second", now() + 3600));
    let mut client = stage.client(&[]);
    client.say("renew 8");
    for _ in 0..8 {
        assert_eq!(credential(&client.hear()).token, "second");
    }
    assert_eq!(stage.requests(), ["get\n", ERASE_FIRST, "get\n"]);
}

/// The shell does one thing at a time.
mod many_that_are_refused_together_reject_the_token_once {
    use super::{Language, refused_together};

    #[test]
    fn python() {
        refused_together(Language::Python);
    }

    #[test]
    fn node() {
        refused_together(Language::Node);
    }

    #[test]
    fn go() {
        refused_together(Language::Go);
    }

    #[test]
    fn rust() {
        refused_together(Language::Rust);
    }
}
