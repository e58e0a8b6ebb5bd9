//! The command line to a command, and its error to an exit code.

use std::process::ExitCode;

use dd_oauth::cli::CommandLine;
use dd_oauth::clock::Clock;
use dd_oauth::command;
use dd_oauth::config::Environment;
use dd_oauth::platform;
use dd_oauth::terminal;

fn main() -> ExitCode {
    platform::forbid_memory_dumps();
    let done = match CommandLine::read() {
        Ok(Some(line)) => command::run(line, &Environment::process(), Clock::system()),
        other => other.map(|_| ()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::tell(&error.to_string());
            ExitCode::from(error.kind().code())
        }
    }
}
