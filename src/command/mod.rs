//! One file a verb. Each takes what it needs, and returns once its answer is certain.

mod call;
mod doctor;
mod env;
mod erase;
mod exec;
mod generate;
mod get;
mod helper;
mod import;
mod list;
mod login;
mod logout;
mod proxy;
mod reset;
mod sealing_key;
mod status;
mod stdio;
mod worker;

use std::io::{self, IsTerminal};

use crate::broker::{self, Context};
use crate::cli::{CommandLine, GetFlags, Invocation, Verb};
use crate::clock::Clock;
use crate::config::Flags;
use crate::environment::Environment;
use crate::error::{Error, ExecError};
use crate::protocol::format::Format;
use crate::protocol::{Operation, Request};
use crate::terminal::Terminal;

use call::{configuration, terminal, traced};
use stdio::print;

/// Runs what the command line says.
///
/// # Errors
/// Whatever kept it from its answer; nothing was written to standard output then.
pub fn run(asked: Invocation, environment: &Environment, clock: Clock) -> Result<(), Error> {
    match asked {
        Invocation::Command(line) => {
            let terminal = terminal(&line.trace, environment, clock)?;
            let is_exec = matches!(line.verb, Some(Verb::Exec(_)));
            let done = traced(&terminal, command(line, environment, clock, &terminal));
            if is_exec { done.map_err(ExecError::of) } else { done }
        }
        Invocation::Helper(helper, line) => helper::run(helper, &line, environment, clock),
    }
}

/// Tells the caller of a failure: docker on standard output, all others on standard error.
pub fn tell(error: &Error) {
    match error {
        // Where that fails too, the exit code says it.
        Error::Docker(error) => drop(print(&format!("{error}\n"))),
        error => crate::terminal::tell(&error.to_string()),
    }
}

fn command(
    line: CommandLine,
    environment: &Environment,
    clock: Clock,
    terminal: &Terminal,
) -> Result<(), Error> {
    let CommandLine { target, verb, .. } = line;
    let flags = match &verb {
        Some(Verb::Use { site, org }) => Flags { site: Some(site.clone()), org: org.clone() },
        _ => target.into_flags(),
    };
    let config = match (configuration(flags, environment, terminal), &verb) {
        (Err(error), Some(Verb::Doctor(flag))) => return doctor::unconfigured(&error, flag.json),
        (config, _) => config?,
    };
    let context = Context { config: &config, environment, clock, terminal, limit: None };
    let plain = |operation| operate(&context, operation, &GetFlags::default(), Format::Native);
    match verb {
        None if io::stdin().is_terminal() => Err(Error::CommandLine(CommandLine::usage())),
        None => plain(None),
        Some(Verb::Get { flags, format, .. }) => {
            operate(&context, Some(Operation::Get), &flags, format)
        }
        Some(Verb::Store(_)) => plain(Some(Operation::Store)),
        Some(Verb::Erase(_)) => plain(Some(Operation::Erase)),
        Some(Verb::Token(flags)) => get::bare(&context, &flags),
        Some(Verb::Login(flags)) => login::run(&context, flags),
        Some(Verb::Logout(flags)) => logout::run(&context, &flags),
        Some(Verb::Reset(flags)) => reset::run(&context, &flags),
        Some(Verb::Import(flags)) => import::run(&context, &flags),
        Some(Verb::Key { action }) => sealing_key::run(&context, &action),
        Some(Verb::Status(flags)) => status::run(&context, &flags),
        Some(Verb::List(flag)) => list::run(&context, flag.json),
        Some(Verb::Use { .. }) => list::select(&context),
        Some(Verb::Exec(flags)) => exec::run(&context, &flags),
        Some(Verb::Env(flags)) => env::run(&context, &flags),
        Some(Verb::Refresh) => get::refresh(&context),
        Some(Verb::Proxy { process, descriptors }) => proxy::run(&context, &descriptors, process),
        Some(Verb::Doctor(flag)) => doctor::run(&context, flag.json),
        Some(Verb::Completions { shell }) => generate::completions(shell),
        Some(Verb::Man) => generate::manual(),
        Some(Verb::Worker { session, descriptor }) => worker::run(&context, &session, descriptor),
    }
}

/// The helper protocol: one request on standard input, one answer on standard output.
fn operate(
    context: &Context<'_>,
    operation: Option<Operation>,
    flags: &GetFlags,
    format: Format,
) -> Result<(), Error> {
    match stdio::request(operation)? {
        Request::Get(request) => get::run(context, request, flags, format),
        Request::Store(request) => Ok(broker::store(context, &request).map(drop)?),
        Request::Erase(request) => erase::run(context, &request),
        Request::GetApiKeys(request) => get::api_keys(context, &request),
        Request::StoreApiKeys(request) => Ok(broker::store_api_keys(context, &request)?),
        Request::EraseApiKeys(target) => erase::api_keys(context, &target),
    }
}
