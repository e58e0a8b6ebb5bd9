//! What one call is handed: its terminal, its configuration, and a trace of its end.

use std::io::{self, IsTerminal};

use crate::broker::Context;
use crate::cli::TraceFlag;
use crate::clock::Clock;
use crate::config::{Config, Flags};
use crate::environment::Environment;
use crate::error::Error;
use crate::session::KeychainTimeout;
use crate::terminal::{self, Terminal, Trace};

/// The terminal of this process, with the trace that the call asked for.
pub fn terminal(
    flag: &TraceFlag,
    environment: &Environment,
    clock: Clock,
) -> Result<Terminal, Error> {
    let trace = Trace::of(flag.verbose, environment, clock)?;
    Ok(Terminal::of_process(environment, trace))
}

/// The configuration, with more time for a keychain that a person can unlock.
pub fn configuration(
    flags: Flags,
    environment: &Environment,
    terminal: &Terminal,
) -> Result<Config, Error> {
    let mut config = Config::read(flags, environment)?;
    // The person has to find the window that asks, and to type the password.
    if let (true, Ok(paths)) = (terminal.has_person(), &mut config.paths) {
        paths.key.timeout = KeychainTimeout::attended(terminal::tell);
    }
    Ok(config)
}

/// Whether a person is there who can answer a question.
pub fn may_ask(context: &Context<'_>) -> Result<bool, Error> {
    let interactive = context.config.interactive(context.environment)?.value;
    Ok(context.terminal.may_interact(interactive) && io::stdin().is_terminal())
}

/// Traces the end of a call.
pub fn traced(terminal: &Terminal, done: Result<(), Error>) -> Result<(), Error> {
    terminal.trace(|| match &done {
        Ok(()) => "done".into(),
        Err(error) => format!("failed with exit code {}: {error}", error.kind().code()),
    });
    done
}
