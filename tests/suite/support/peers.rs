//! Authorization servers, started for one test and ended with it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::{Value, json};

use super::certificate::Certificate;
use super::deadline::{agent, eventually};
use super::process::Process;

/// Which server stands in for Datadog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Ours, in `examples/demo-server`.
    Demo,
    /// `oidc-provider`, which nobody here wrote.
    Judge,
}

/// A running server. It ends with its standard input, however the test ends.
pub struct Peer {
    process: Process,
    pub origin: String,
    control: String,
    /// Where the certificate of its authority is, if it speaks https.
    pub authority: Option<PathBuf>,
}

/// What a server did about one request.
#[derive(Clone, Debug, Deserialize)]
pub struct Event {
    pub endpoint: String,
    /// The host that was asked; the judge alone tells it.
    pub host: Option<String>,
    /// Method and path, of what the resource server was asked.
    pub request: Option<String>,
    pub grant: Option<String>,
    pub status: u16,
    pub result: String,
    pub fault: Option<String>,
    /// Of the refresh token that was presented, or the token that was revoked.
    pub token_sha256: Option<String>,
    /// Of the refresh token that was issued.
    pub new_token_sha256: Option<String>,
}

/// What a server says of an access token.
#[derive(Clone, Debug, Deserialize)]
pub struct Whose {
    pub active: bool,
    /// Everything that came out of one consent; nothing where the token was never issued.
    pub family: Option<String>,
}

#[derive(Deserialize)]
struct Addresses {
    origin: String,
    control: String,
}

impl Peer {
    /// Starts a server that speaks http.
    pub fn start(kind: Kind) -> Self {
        Self::start_with(kind, &[])
    }

    /// Starts a server with more flags.
    pub fn start_with(kind: Kind, flags: &[&str]) -> Self {
        let mut command = match kind {
            Kind::Demo => Command::new(built("examples").join("demo-server")),
            Kind::Judge => {
                let mut node = Command::new("node");
                node.arg(source("tests/peers/judge.mjs"));
                node
            }
        };
        command.arg("--until-stdin-closes").args(flags);
        let mut process = Process::serve(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let line = process.line().unwrap_or_default();
        let Addresses { origin, control } = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{kind:?} did not start: {error}"));
        Self { process, origin, control, authority: None }
    }

    /// Starts a server that speaks https under an authority of its own, whose files go into
    /// `directory`.
    pub fn start_tls(kind: Kind, directory: &Path) -> Self {
        Self::start_tls_as(kind, &["127.0.0.1"], &[], directory)
    }

    /// Starts the judge under Datadog's own names, which have to lead to this machine.
    pub fn start_as(names: &[&str], directory: &Path) -> Self {
        Self::start_tls_as(Kind::Judge, names, &["--port", "443"], directory)
    }

    fn start_tls_as(kind: Kind, names: &[&str], flags: &[&str], directory: &Path) -> Self {
        let issued = Certificate::of(names);
        let write = |name: &str, text: String| {
            let path = directory.join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let root = write("root.pem", issued.authority);
        let certificate = write("server.pem", issued.certificate);
        let key = write("server.key", issued.key);
        let tls = ["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
        let mut peer = Self::start_with(kind, &[&tls, flags].concat());
        peer.authority = Some(root);
        peer
    }

    /// What reached it, in order.
    pub fn log(&self) -> Vec<Event> {
        let mut answer = agent().get(format!("{}/log", self.control)).call().unwrap();
        answer.body_mut().read_json().unwrap()
    }

    /// Empties the log.
    pub fn clear_log(&self) {
        agent().delete(format!("{}/log", self.control)).call().unwrap();
    }

    /// The requests for a refresh that reached it.
    pub fn refreshes(&self) -> Vec<Event> {
        let refresh = |event: &Event| event.grant.as_deref() == Some("refresh_token");
        self.log().into_iter().filter(refresh).collect()
    }

    /// What became of the requests that reached the judge's resource server, in order.
    pub fn api_statuses(&self) -> Vec<u16> {
        let log = self.log().into_iter();
        log.filter(|event| event.endpoint == "api").map(|event| event.status).collect()
    }

    /// Adds a fault.
    pub fn fault(&self, fault: &Value) {
        self.post("faults", fault);
    }

    /// Answers every refresh with `status` before acting on it, and asks for so much patience that no
    /// process of the test comes late enough to try again.
    pub fn decline_refreshes(&self, status: u16) {
        self.fault(&json!({
            "endpoint": "token", "grant": "refresh_token", "kind": "status", "status": status,
            "headers": {"Retry-After": "600"},
        }));
    }

    /// Holds every refresh before acting on it, until [`Peer::mend`]; only the demo does.
    pub fn hold_refreshes(&self) {
        self.fault(&json!({"endpoint": "token", "grant": "refresh_token", "kind": "hold"}));
    }

    /// Waits until it holds a request.
    #[track_caller]
    pub fn holds_one(&self) {
        eventually("a request that the server holds", || {
            let mut answer = agent().get(format!("{}/held", self.control)).call().unwrap();
            let answer: Value = answer.body_mut().read_json().unwrap();
            answer["held"] != 0
        });
    }

    /// Removes all faults, and lets go what is held.
    pub fn mend(&self) {
        agent().delete(format!("{}/faults", self.control)).call().unwrap();
    }

    /// Changes settings.
    pub fn set(&self, settings: &Value) {
        self.post("settings", settings);
    }

    /// Makes it forget everything, as a restart with an empty memory does.
    pub fn forget_all(&self) {
        self.post("restart", &json!({}));
    }

    /// Whether it takes an access token.
    pub fn accepts(&self, token: &str) -> bool {
        let request = agent().get(format!("{}/active", self.control)).query("token", token);
        let answer: Value = request.call().unwrap().body_mut().read_json().unwrap();
        answer["active"].as_bool().unwrap()
    }

    /// Whether it takes an access token, and of which consent that is; the demo alone tells it.
    pub fn whose(&self, token: &str) -> Whose {
        let request = agent().get(format!("{}/active", self.control)).query("token", token);
        request.call().unwrap().body_mut().read_json().unwrap()
    }

    /// Empties the log, and keeps what the server knows now and after each entry from now on; only
    /// the demo does.
    pub fn keep_moments(&self) {
        self.post("moments", &json!({}));
    }

    /// Lets the server know what it knew at such a moment; 0 is the first.
    pub fn rewind(&self, moment: usize) {
        self.post("rewind", &json!(moment));
    }

    fn post(&self, path: &str, body: &Value) {
        agent().post(format!("{}/{path}", self.control)).send_json(body).unwrap();
    }

    /// Ends it, as a server that is down.
    pub fn stop(&mut self) {
        self.process.kill();
    }
}

/// A directory of what cargo built beside the binary under test.
pub fn built(directory: &str) -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_dd-oauth"));
    binary.parent().expect("it lies in a directory").join(directory)
}

/// A file of this repository.
pub fn source(path: &str) -> PathBuf {
    // What cargo says is a path of the machine that builds, with no drive.
    std::path::absolute(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}
