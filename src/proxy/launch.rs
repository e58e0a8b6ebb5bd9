//! Starting a proxy for the program that this process is about to become, and being started as one.

use std::ffi::OsStr;
use std::io::{self, Read, Write};

use super::Credential;
use super::server::{listen, serve};
use super::state::Service;
use crate::config::Config;
use crate::environment::Environment;
use crate::error::{Error, ExecError};
use crate::platform::{self, Sidecar};
use crate::protocol::{Answer, Target};
use crate::secret::{MAX_TOKEN_BYTES, Secret, hex};
use crate::site::SiteName;

/// What tells the process that launched a proxy that it serves.
const READY: &[u8] = b"ready\n";

/// A proxy that is running.
pub struct Launched {
    /// Of its API, without a slash at the end.
    pub url: String,
    pub credential: Credential,
}

/// Starts a proxy for the session of `answer`. It lives as long as this process, whatever program
/// that becomes.
///
/// # Errors
/// If it cannot be started.
pub fn launch(answer: &Answer, config: &Config) -> Result<Launched, Error> {
    let failed = |error: io::Error| Error::from(ExecError::NoProxy(error));
    let credential = random_credential()?;
    let listener = listen().map_err(failed)?;
    let url = format!("http://{}", listener.local_addr().map_err(failed)?);
    let site = answer.site.to_string();
    let mut arguments = vec![OsStr::new("--site"), OsStr::new(&site)];
    let org = answer.org.as_ref().map(ToString::to_string);
    if let Some(org) = &org {
        arguments.extend([OsStr::new("--org"), OsStr::new(org)]);
    }
    arguments.push(OsStr::new("proxy"));
    let secret = credential.expose().as_bytes();
    match platform::start_sidecar(&arguments, listener, secret, READY).map_err(failed)? {
        Sidecar::Started => {}
        Sidecar::Impossible(listener) => {
            let service = Service {
                site: answer.site.clone(),
                target: Target {
                    site: Some(SiteName::Site(answer.site.clone())),
                    org: answer.org.clone(),
                },
                credential: credential.clone(),
            };
            serve_on_thread(listener, service, config.clone()).map_err(failed)?;
        }
    }
    Ok(Launched { url, credential })
}

/// Serves beside the program, in the process that waits for its end.
fn serve_on_thread(
    listener: std::net::TcpListener,
    service: Service,
    config: Config,
) -> io::Result<()> {
    let (sender, ready) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let environment = Environment::process();
        let told = sender.clone();
        let ready =
            || told.send(Ok(())).map_err(|_| Error::Output(io::ErrorKind::BrokenPipe.into()));
        let end = std::future::pending();
        if let Err(error) = serve(listener, service, config, &environment, ready, end) {
            let _ = sender.send(Err(io::Error::other(error)));
        }
    });
    ready.recv().unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))
}

/// 256 random bits.
fn random_credential() -> Result<Credential, Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(crate::session::StorageError::NoRandomness)?;
    Ok(Secret::parse(hex(&bytes)).expect("digits are visible ASCII"))
}

/// Reads the credential of the run in the process that is to serve it.
///
/// # Errors
/// If standard input has none.
pub fn take_credential() -> Result<Credential, Error> {
    let mut text = zeroize::Zeroizing::new(String::new());
    let read = io::stdin().take(MAX_TOKEN_BYTES as u64).read_to_string(&mut text);
    read.map_err(Error::Input)?;
    Secret::parse(text).ok_or_else(|| Error::Input(io::ErrorKind::InvalidData.into()))
}

/// Tells who launched this proxy that it serves.
///
/// # Errors
/// If nobody hears it: then nobody needs it either.
pub fn tell_ready() -> Result<(), Error> {
    let mut output = io::stdout();
    output.write_all(READY).and_then(|()| output.flush()).map_err(Error::Output)?;
    platform::close_stdout();
    Ok(())
}
