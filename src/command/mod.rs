//! One file a verb. Each takes what it needs, and returns once its answer is certain.

mod bazel;
mod docker;
mod doctor;
mod documents;
mod env;
mod exec;
mod get;
mod git;
mod import;
mod input;
mod key;
mod list;
mod login;
mod logout;
mod proxy;
mod refresh;
mod status;
mod store_and_erase;
mod token;
mod use_session;
mod worker;

use std::io::{self, IsTerminal, Write};

use crate::broker::Broker;
use crate::cli::{CommandLine, GetFlags, HelperLine, Invocation, TraceFlag, Verb};
use crate::clock::{Clock, Deadline};
use crate::config::{Config, Flags};
use crate::environment::Environment;
use crate::error::{Error, ExecError};
use crate::protocol::format::Format;
use crate::protocol::{Operation, Request};
use crate::session::KeychainTimeout;
use crate::terminal::{self, Terminal, Trace};

/// Runs what the command line says.
///
/// # Errors
/// Whatever kept it from its answer; nothing was written to standard output then.
pub fn run(asked: Invocation, environment: &Environment, clock: Clock) -> Result<(), Error> {
    match asked {
        Invocation::Command(line) => {
            let terminal = terminal_of(&line.trace, environment, clock)?;
            let is_exec = matches!(line.verb, Some(Verb::Exec(_)));
            let done = traced(&terminal, command(line, environment, clock, &terminal));
            if is_exec { done.map_err(ExecError::of) } else { done }
        }
        Invocation::Git(line) => {
            let terminal = terminal_of(&line.trace, environment, clock)?;
            traced(&terminal, help(&line, environment, clock, &terminal, None, git::run))
        }
        Invocation::Docker(line) => {
            let terminal =
                terminal_of(&line.trace, environment, clock).map_err(Error::for_docker)?;
            let done = help(&line, environment, clock, &terminal, None, docker::run);
            traced(&terminal, done).map_err(Error::for_docker)
        }
        Invocation::Bazel(line) => {
            let limit = Some(Deadline::after(bazel::LIMIT));
            let trace = Trace::of(line.trace.verbose, environment, clock)?;
            let terminal = Terminal::unattended(trace);
            traced(&terminal, help(&line, environment, clock, &terminal, limit, bazel::run))
        }
    }
}

fn terminal_of(
    flag: &TraceFlag,
    environment: &Environment,
    clock: Clock,
) -> Result<Terminal, Error> {
    let trace = Trace::of(flag.verbose, environment, clock)?;
    Ok(Terminal::of_process(environment, trace))
}

/// Traces the end of a command.
fn traced(terminal: &Terminal, done: Result<(), Error>) -> Result<(), Error> {
    terminal.trace(|| match &done {
        Ok(()) => "done".into(),
        Err(error) => format!("failed with exit code {}: {error}", error.kind().code()),
    });
    done
}

/// Tells the caller of a failure: docker on standard output, all others on standard error.
pub fn tell(error: &Error) {
    match error {
        // Where that fails too, the exit code says it.
        Error::Docker(error) => drop(print(&format!("{error}\n"))),
        error => terminal::tell(&error.to_string()),
    }
}

/// An operation of another program's helper protocol.
fn help(
    line: &HelperLine,
    environment: &Environment,
    clock: Clock,
    terminal: &Terminal,
    limit: Option<Deadline>,
    run: impl FnOnce(&Broker<'_>, &HelperLine) -> Result<(), Error>,
) -> Result<(), Error> {
    let config = configuration(line.flags(), environment, terminal)?;
    run(&Broker { config: &config, environment, clock, terminal, limit }, line)
}

fn configuration(
    flags: Flags,
    environment: &Environment,
    terminal: &Terminal,
) -> Result<Config, Error> {
    let mut config = Config::read(flags, environment)?;
    let key = &mut config.paths.key;
    // A person needs time to find the window that asks, and to type the password.
    if terminal.has_person() {
        key.timeout = KeychainTimeout::attended(terminal::tell);
    }
    Ok(config)
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
    let broker = Broker { config: &config, environment, clock, terminal, limit: None };
    let plain = |operation| operate(&broker, operation, &GetFlags::default(), Format::Native);
    match verb {
        None if io::stdin().is_terminal() => Err(Error::CommandLine(CommandLine::usage())),
        None => plain(None),
        Some(Verb::Get { flags, format, .. }) => {
            operate(&broker, Some(Operation::Get), &flags, format)
        }
        Some(Verb::Store(_)) => plain(Some(Operation::Store)),
        Some(Verb::Erase(_)) => plain(Some(Operation::Erase)),
        Some(Verb::Token(flags)) => token::run(&broker, &flags),
        Some(Verb::Login(flags)) => login::run(&broker, flags),
        Some(Verb::Logout(flags)) => logout::run(&broker, &flags),
        Some(Verb::Import(flags)) => import::run(&broker, &flags),
        Some(Verb::Key { action }) => key::run(&broker, &action),
        Some(Verb::Status(flags)) => status::run(&broker, &flags),
        Some(Verb::List(flag)) => list::run(&broker, flag.json),
        Some(Verb::Use { .. }) => use_session::run(&broker),
        Some(Verb::Exec(flags)) => exec::run(&broker, &flags),
        Some(Verb::Env(flags)) => env::run(&broker, &flags),
        Some(Verb::Refresh) => refresh::run(&broker),
        Some(Verb::Proxy { process, descriptors }) => proxy::run(&broker, &descriptors, process),
        Some(Verb::Doctor(flag)) => doctor::run(&broker, flag.json),
        Some(Verb::Completions { shell }) => documents::completions(shell),
        Some(Verb::Man) => documents::manual(),
        Some(Verb::Worker { session, descriptor }) => worker::run(&broker, &session, descriptor),
    }
}

/// The helper protocol: one request on standard input, one answer on standard output.
fn operate(
    broker: &Broker<'_>,
    operation: Option<Operation>,
    flags: &GetFlags,
    format: Format,
) -> Result<(), Error> {
    match input::request(operation)? {
        Request::Get(request) => get::run(broker, request, flags, format),
        Request::Store(request) => store_and_erase::store(broker, request),
        Request::Erase(request) => store_and_erase::erase(broker, &request),
        Request::GetApiKeys(request) => get::keys(broker, &request),
        Request::StoreApiKeys(request) => broker.store_api_keys(request),
        Request::EraseApiKeys(target) => store_and_erase::erase_api_keys(broker, &target),
    }
}

/// Writes a whole answer.
fn print(answer: &str) -> Result<(), Error> {
    let mut output = io::stdout().lock();
    let written = output.write_all(answer.as_bytes()).and_then(|()| output.flush());
    written.map_err(Error::Output)
}
