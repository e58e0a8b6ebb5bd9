//! A demo authorization server with Datadog's paths, for newcomers and for tests.
//!
//! It listens on the loopback address only, keeps everything in memory, and has a second
//! listener, the control, through which tests order faults, change settings and read a log.
//! Standard output gets one line of JSON with both addresses once the server is ready.

mod authority;
mod authorize;
mod connections;
mod control;
mod families;
mod faults;
mod log;
mod pages;
mod random;
mod register;
mod request;
mod response;
mod server;
mod settings;
mod token;

use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{self, ExitCode};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clap::Parser;
use serde_json::json;

use response::Delivery;
use server::Server;

/// A demo authorization server that stands in for Datadog.
#[derive(Parser)]
struct Flags {
    /// Seconds that an access token is good for
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    access_ttl: u64,

    /// Certificate chain (PEM); with it and its key, the server speaks https
    #[arg(long, value_name = "PATH", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// Private key of the certificate (PEM)
    #[arg(long, value_name = "PATH", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Port to listen on; 0 takes any free one
    #[arg(long, value_name = "N", default_value_t = 0)]
    port: u16,

    /// Exit when standard input ends, and so together with the process that holds it open
    #[arg(long)]
    until_stdin_closes: bool,

    /// Print a line on standard error for each request
    #[arg(long)]
    human: bool,
}

fn main() -> ExitCode {
    match run(&Flags::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo-server: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until the process ends; returns only what keeps it from starting.
fn run(flags: &Flags) -> Result<(), Box<dyn Error>> {
    let tls = match (&flags.tls_cert, &flags.tls_key) {
        (Some(certificate), Some(key)) => Some(connections::tls_config(certificate, key)?),
        _ => None,
    };
    let listener = connections::listen(flags.port)?;
    let control = connections::listen(0)?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let origin = format!("{scheme}://{}", listener.local_addr()?);
    let ready = json!({
        "origin": origin,
        "control": format!("http://{}", control.local_addr()?),
    });

    if flags.until_stdin_closes {
        thread::spawn(|| {
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            process::exit(0);
        });
    }
    let server = Arc::new(Server::new(Duration::from_secs(flags.access_ttl), flags.human));
    let controlled = Arc::clone(&server);
    thread::spawn(move || {
        connections::serve(&control, None, move |request| {
            Delivery::Whole(control::answer(&controlled, request))
        });
    });

    let mut stdout = io::stdout();
    writeln!(stdout, "{ready}")?;
    stdout.flush()?;
    if flags.human {
        eprintln!("The demo server listens at {origin}. Ctrl-C ends it.");
    }
    connections::serve(&listener, tls.as_ref(), move |request| server.answer(request));
    Ok(())
}
