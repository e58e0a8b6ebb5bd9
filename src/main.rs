//! The command line to a command, and its error to an exit code.

use std::process::ExitCode;

use dd_oauth::cli::Invocation;
use dd_oauth::clock::Clock;
use dd_oauth::environment::Environment;
use dd_oauth::{command, platform};

fn main() -> ExitCode {
    platform::forbid_memory_dumps();
    let done = match Invocation::read() {
        Ok(Some(asked)) => command::run(asked, &Environment::process(), Clock::system()),
        other => other.map(|_| ()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            command::tell(&error);
            ExitCode::from(error.kind().code())
        }
    }
}
