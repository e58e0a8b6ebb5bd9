//! A login that prints its address and waits, for tests that play the person, or somebody else.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::ChildStdin;

use super::deadline::connect;
use super::home::Home;
use super::peers::source;
use super::process::{Process, Run, finish, start};

/// A login that has printed its address and waits for the callback.
pub struct Login {
    process: Process,
    pub address: String,
    pub port: u16,
}

impl Login {
    pub fn start(home: &Home) -> Self {
        Self::of(start(home.program(&["login", "--no-browser"]), b""))
    }

    /// One that opens a browser, or tries to.
    pub fn start_in_browser(home: &Home) -> Self {
        Self::of(start(home.program(&["login"]), b""))
    }

    /// One whose standard input stays open, to paste into.
    pub fn start_for_pasting(home: &Home) -> (Self, ChildStdin) {
        let mut process = Process::spawn(&mut home.program(&["login", "--no-browser"]));
        let input = process.stdin.take().expect("it is piped");
        (Self::of(process), input)
    }

    fn of(mut process: Process) -> Self {
        let line = process.line_of_stderr().unwrap_or_default();
        let before = [", open ", ", or at "].into_iter().find(|words| line.contains(words));
        let before = before.unwrap_or_else(|| panic!("no address in {line}"));
        let address = line.split_once(before).unwrap().1;
        let redirect = parameter(address, "redirect_uri");
        let port = redirect.split_once("127.0.0.1%3A").unwrap().1.split_once("%2F").unwrap().0;
        Self { port: port.parse().unwrap(), address: address.to_string(), process }
    }

    /// The next line that it says.
    pub fn next_line(&mut self) -> String {
        self.process.line_of_stderr().unwrap_or_default()
    }

    pub fn state(&self) -> String {
        parameter(&self.address, "state")
    }

    /// The `Host` that a browser sends.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn connect(&self) -> TcpStream {
        connect(self.port)
    }

    /// Sends bytes, and takes what is answered. A listener that has heard enough may hang up
    /// before all is sent.
    pub fn send(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect();
        let _ = stream.write_all(bytes.as_ref());
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }

    pub fn get(&self, target: &str) -> String {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host()))
    }

    /// As [`Login::get`], and on to where the answer sends the browser.
    pub fn get_page(&self, target: &str) -> String {
        let answer = self.get(target);
        let location = answer.lines().find_map(|line| line.strip_prefix("Location: "));
        self.get(location.unwrap_or_else(|| panic!("{answer}")))
    }

    /// Lets a person log in on another machine, from where the callback cannot be reached; the
    /// address at which the browser ended.
    pub fn redirected(&self, home: &Home) -> String {
        let mut browser = browser(home, &self.address);
        browser.env("BROWSER_CALLBACK_ONLY", "1");
        assert_eq!(finish(start(browser, b"")).code, Some(0));
        let log = std::fs::read_to_string(home.path().join("browser.log")).unwrap();
        log.lines().rev().find_map(|line| line.strip_prefix("redirect ")).unwrap().to_string()
    }

    /// Lets a person finish it in a browser.
    pub fn browse(&self, home: &Home) -> Run {
        finish(start(browser(home, &self.address), b""))
    }

    /// Kills it.
    pub fn kill(mut self) {
        self.process.kill();
    }

    /// Lets a person finish it in a browser, and insists that the login succeeds.
    pub fn complete(self, home: &Home) {
        let browser = self.browse(home);
        assert_eq!(browser.code, Some(0), "{browser:?}");
        let run = self.finish();
        assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{run:?}");
        assert!(run.stderr.starts_with("dd-oauth: logged in to "), "{run:?}");
        assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
    }

    pub fn finish(self) -> Run {
        finish(self.process)
    }
}

/// A browser on this machine that goes to `address`.
fn browser(home: &Home, address: &str) -> std::process::Command {
    let browser = source("tests/peers/browser.mjs");
    home.any_program(Path::new("node"), &[browser.to_str().unwrap(), address])
}

/// A parameter of an address, as it is encoded there.
pub fn parameter(address: &str, name: &str) -> String {
    let (_, query) = address.split_once('?').unwrap();
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).unwrap().1.to_string()
}

pub fn status(answer: &str) -> u16 {
    let line = answer.lines().next().unwrap_or_default();
    line.strip_prefix("HTTP/1.1 ").and_then(|line| line.get(..3)?.parse().ok()).unwrap_or(0)
}
