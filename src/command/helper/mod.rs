//! The helper protocols of git, docker and bazel: one operation, with its request on standard input
//! and its answer on standard output.

mod bazel;
mod docker;
mod git;

use crate::broker::Context;
use crate::cli::{Helper, HelperLine};
use crate::clock::{Clock, Deadline};
use crate::environment::Environment;
use crate::error::Error;
use crate::terminal::{Terminal, Trace};

use super::call::{configuration, terminal, traced};

/// Runs one operation of `helper`.
///
/// # Errors
/// Whatever kept it from its answer, in the form that the caller understands.
pub fn run(
    helper: Helper,
    line: &HelperLine,
    environment: &Environment,
    clock: Clock,
) -> Result<(), Error> {
    let attended = |run| {
        let terminal = terminal(&line.trace, environment, clock)?;
        traced(&terminal, operate(line, environment, clock, &terminal, None, run))
    };
    match helper {
        Helper::Git => attended(git::run),
        Helper::Docker => attended(docker::run).map_err(Error::for_docker),
        Helper::Bazel => {
            let limit = Some(Deadline::after(bazel::LIMIT));
            let trace = Trace::of(line.trace.verbose, environment, clock)?;
            let terminal = Terminal::unattended(trace);
            traced(&terminal, operate(line, environment, clock, &terminal, limit, bazel::run))
        }
    }
}

/// An operation of one of them, for a caller that gives up at `limit`.
type Operation = fn(&Context<'_>, &HelperLine) -> Result<(), Error>;

fn operate(
    line: &HelperLine,
    environment: &Environment,
    clock: Clock,
    terminal: &Terminal,
    limit: Option<Deadline>,
    run: Operation,
) -> Result<(), Error> {
    let config = configuration(line.flags(), environment, terminal)?;
    run(&Context { config: &config, environment, clock, terminal, limit }, line)
}
