//! The command line to a command, and its error to an exit code.

use std::process::ExitCode;

use clap::Parser;

use dd_oauth::cli::CommandLine;
use dd_oauth::clock::Clock;
use dd_oauth::command;
use dd_oauth::config::Environment;
use dd_oauth::platform;

fn main() -> ExitCode {
    platform::forbid_memory_dumps();
    let line = CommandLine::parse();
    match command::run(line, &Environment::process(), Clock::system()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write;
            // Nobody may be listening; the exit code says it all the same.
            let _ = writeln!(std::io::stderr(), "dd-oauth: {error}");
            ExitCode::from(error.kind().code())
        }
    }
}
