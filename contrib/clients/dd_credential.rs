//! Datadog access tokens from the program that `DD_CREDENTIAL_HELPER` names.
//!
//! One file with nothing but the standard library, for Rust 1.82 or later. It implements the
//! contract for callers in dd-oauth's protocol.md.
//!
//! ```ignore
//! let client = Client::new(Options::default());
//! let response = client.call(|credential| {
//!     let response = http.get(format!("{}/api/v2/current_user", credential.api_url))
//!         .header("Authorization", format!("Bearer {}", credential.access_token))
//!         .send();
//!     (response.status(), response)
//! })?;
//! ```

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant, SystemTime};

/// Longest answer that is read, in bytes: several times what the longest token takes.
const ANSWER_LIMIT: usize = 64 * 1024;
/// How long before its expiry a token is asked for again, in seconds.
const MARGIN: u64 = 60;
/// Longest access token, in bytes.
const TOKEN_LIMIT: usize = 16_384;

/// Why no token can be had. Each names what was tried; none shows a token.
#[derive(Debug)]
pub enum Error {
    /// There is no helper: not named, not found, or it cannot be started.
    HelperMissing(String),
    /// A person has to log in first. The helper's standard error named the command.
    LoginRequired,
    /// It may be tried again, with growing pauses.
    Temporary(String),
    /// The same call would fail again.
    Failed(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HelperMissing(why) => write!(f, "no credential helper: {why}"),
            Self::LoginRequired => f.write_str("login required"),
            Self::Temporary(why) => write!(f, "temporary failure: {why}"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Error {}

/// An answer of the helper. The token is meant for the origin of `api_url` alone.
#[derive(Clone)]
pub struct Credential {
    pub access_token: String,
    /// Nothing where nobody knows it.
    pub expires_at: Option<SystemTime>,
    pub site: String,
    pub api_url: String,
    pub org: Option<String>,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("site", &self.site).finish_non_exhaustive()
    }
}

/// What a client asks for, and how.
#[derive(Clone, Debug)]
pub struct Options {
    pub site: Option<String>,
    pub org: Option<String>,
    /// Whether somebody is there to log in.
    pub interactive: bool,
    /// How long before its expiry a token is asked for again.
    pub margin: Duration,
    /// May only be longer than the helper's own.
    pub deadline: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        let margin = Duration::from_secs(MARGIN);
        Self { site: None, org: None, interactive: true, margin, deadline: None }
    }
}

/// Gets the tokens of one site and organization, for any number of threads.
pub struct Client {
    options: Options,
    kept: Mutex<Option<Credential>>,
}

impl Client {
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { options, kept: Mutex::new(None) }
    }

    /// Lets `send` make a request, which returns its status and response; after a 401, once more
    /// with another token, where there is one.
    ///
    /// # Errors
    /// Where no token can be had.
    pub fn call<R>(&self, mut send: impl FnMut(&Credential) -> (u16, R)) -> Result<R, Error> {
        let credential = self.get()?;
        let (status, response) = send(&credential);
        let another = if status == 401 { self.renew(&credential)? } else { None };
        Ok(another.map_or(response, |another| send(&another).1))
    }

    /// A credential that is good now.
    ///
    /// # Errors
    /// Where no token can be had.
    pub fn get(&self) -> Result<Credential, Error> {
        // It holds a whole credential or none, whatever became of another thread.
        self.get_into(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Another credential after the API answered 401 to this one; nothing where the helper has no
    /// other, so that the 401 stands.
    ///
    /// # Errors
    /// Where no token can be had.
    pub fn renew(&self, rejected: &Credential) -> Result<Option<Credential>, Error> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have been here with the same token.
        if kept.as_ref().is_none_or(|kept| kept.access_token == rejected.access_token) {
            *kept = None;
            let token = Some(rejected.access_token.as_str());
            self.ask("erase", Some(&rejected.site), rejected.org.as_deref(), token)?;
        }
        let credential = self.get_into(&mut kept)?;
        Ok((credential.access_token != rejected.access_token).then_some(credential))
    }

    /// How long the helper may take.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        let longest = Duration::from_secs(if self.options.interactive { 7 * 60 } else { 90 });
        self.options.deadline.unwrap_or(longest)
    }

    fn get_into(&self, kept: &mut Option<Credential>) -> Result<Credential, Error> {
        let again = SystemTime::now() + self.options.margin;
        if let Some(credential) = kept.as_ref().filter(|kept| Some(again) < kept.expires_at) {
            return Ok(credential.clone());
        }
        *kept = None;
        let Options { site, org, .. } = &self.options;
        let answer = self.ask("get", site.as_deref(), org.as_deref(), None)?;
        // Says nothing of what stands in it: it may be a token.
        let bad = || Error::Failed("the answer of the helper is not one of its protocol".into());
        let credential = parse(&answer).ok_or_else(bad)?;
        Ok(kept.insert(credential).clone())
    }

    /// Runs the helper with a request, and returns what it wrote.
    fn ask(
        &self,
        operation: &str,
        site: Option<&str>,
        org: Option<&str>,
        token: Option<&str>,
    ) -> Result<Vec<u8>, Error> {
        let mut request = format!("{operation}\n");
        for (key, value) in [("site", site), ("org", org), ("access_token", token)] {
            let Some(value) = value else { continue };
            if value.contains(char::is_control) {
                return Err(Error::Failed(format!("{key} must have no control characters")));
            }
            request.extend([key, "=", value, "\n"]);
        }
        let mut command = command()?;
        let program = command.get_program().to_string_lossy().into_owned();
        if !self.options.interactive {
            command.env("DD_OAUTH_INTERACTIVE", "never");
        }
        // It stays in our process group: only in the foreground it asks for a login.
        let mut helper =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(|error| {
                Error::HelperMissing(format!("cannot start {program}: {error}"))
            })?;
        let outcome = exchange(&mut helper, request, self.deadline());
        // Only where it has not ended by itself.
        let _ = helper.kill();
        let _ = helper.wait();
        let late =
            || Error::Temporary(format!("{program} did not end within {:?}", self.deadline()));
        let (answer, status) = outcome.ok_or_else(late)?;
        if answer.len() > ANSWER_LIMIT {
            return Err(Error::Failed(format!("the answer of {program} is too long")));
        }
        match status.code() {
            Some(0) => Ok(answer),
            Some(3) => Err(Error::LoginRequired),
            Some(4) => Err(Error::Temporary(format!("of {program}"))),
            _ => Err(Error::Failed(format!("{program} failed: {status}"))),
        }
    }
}

/// Gives the helper its request, and takes its answer and its end; nothing where that takes too
/// long.
fn exchange(
    helper: &mut Child,
    request: String,
    deadline: Duration,
) -> Option<(Vec<u8>, ExitStatus)> {
    let end = Instant::now() + deadline;
    let (mut stdin, stdout) = (helper.stdin.take()?, helper.stdout.take()?);
    let (sender, answer) = mpsc::channel();
    // In a thread that is left behind: another process may hold the pipe for longer than the helper
    // lives.
    std::thread::spawn(move || {
        // A helper that fails at once reads nothing.
        let _ = stdin.write_all(request.as_bytes());
        drop(stdin);
        let mut answer = Vec::new();
        let _ = stdout.take(ANSWER_LIMIT as u64 + 1).read_to_end(&mut answer);
        let _ = sender.send(answer);
    });
    let answer = answer.recv_timeout(deadline).ok()?;
    if answer.len() > ANSWER_LIMIT {
        let _ = helper.kill();
    }
    loop {
        if let Some(status) = helper.try_wait().ok()? {
            return Some((answer, status));
        }
        if Instant::now() >= end {
            return None;
        }
        // It closed its standard output and is about to end.
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The helper and its arguments: words between blanks, with no shell and no quoting.
fn command() -> Result<Command, Error> {
    let value = std::env::var("DD_CREDENTIAL_HELPER").unwrap_or_default();
    let mut words = value.split([' ', '\t']).filter(|word| !word.is_empty());
    let missing = |why: String| Err(Error::HelperMissing(why));
    let Some(name) = words.next() else {
        return missing("DD_CREDENTIAL_HELPER is not set".into());
    };
    let Some(program) = find(Path::new(name)) else {
        return missing(format!("{name} is neither an absolute path nor in PATH"));
    };
    let mut command = Command::new(program);
    command.args(words);
    Ok(command)
}

fn find(name: &Path) -> Option<PathBuf> {
    if name.is_absolute() {
        return Some(name.to_path_buf());
    }
    if name.file_name() != Some(name.as_os_str()) {
        return None;
    }
    let path = std::env::var_os("PATH")?;
    // Nothing is run from the working directory, which may be anybody's.
    let directories = std::env::split_paths(&path).filter(|directory| directory.is_absolute());
    let mut programs = directories.map(|directory| {
        let mut program = directory.join(name);
        if cfg!(windows) && program.extension() != Some(OsStr::new("exe")) {
            program.as_mut_os_string().push(".exe");
        }
        program
    });
    programs.find(|program| is_executable(program))
}

#[cfg(unix)]
fn is_executable(program: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    program.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(program: &Path) -> bool {
    program.is_file()
}

fn parse(answer: &[u8]) -> Option<Credential> {
    let mut values = BTreeMap::new();
    for line in std::str::from_utf8(answer).ok()?.split_inclusive('\n') {
        let (key, value) = line.strip_suffix('\n')?.split_once('=')?;
        let name = |c: char| c.is_ascii_lowercase() || c == '_';
        if key.is_empty() || !key.chars().all(name) {
            return None;
        }
        if value.contains(|c: char| c.is_control() && c != '\t') {
            return None;
        }
        if values.insert(key, value).is_some() {
            return None;
        }
    }
    let value = |key: &str| values.get(key).filter(|value| !value.is_empty());
    let token = value("access_token")?;
    let api_url = value("api_url")?;
    let visible = token.len() <= TOKEN_LIMIT && token.bytes().all(|byte| byte.is_ascii_graphic());
    // The token is sent there: in the clear to this machine alone.
    let own = ["https://", "http://127.0.0.1:"]
        .iter()
        .any(|start| api_url.strip_prefix(start).is_some_and(|rest| !rest.is_empty()));
    if !visible || !own || *value("token_type")? != "Bearer" {
        return None;
    }
    let expires_at = match values.get("expires_at") {
        None => None,
        Some(text) => Some(time(text)?),
    };
    Some(Credential {
        access_token: (*token).to_string(),
        expires_at,
        site: (*value("site")?).to_string(),
        api_url: (*api_url).to_string(),
        org: values.get("org").map(|org| (*org).to_string()),
    })
}

/// A time in seconds since 1970.
fn time(text: &str) -> Option<SystemTime> {
    let number = text.len() <= 15 && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = text.parse().ok().filter(|_| number)?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}
