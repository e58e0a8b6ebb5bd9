//! One file a verb. Each takes what it needs, and returns once its answer is certain.

mod env;
mod exec;
mod get;
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
use crate::cli::{CommandLine, GetFlags, Verb};
use crate::clock::Clock;
use crate::config::{Config, Environment, Flags};
use crate::error::{Error, ExecError};
use crate::protocol::{Operation, Request};
use crate::terminal::Terminal;

/// Runs what the command line says.
///
/// # Errors
/// Whatever kept it from its answer; nothing was written to standard output then.
pub fn run(line: CommandLine, environment: &Environment, clock: Clock) -> Result<(), Error> {
    let is_exec = matches!(line.verb, Some(Verb::Exec(_)));
    let done = run_verb(line, environment, clock);
    if is_exec { done.map_err(ExecError::of) } else { done }
}

fn run_verb(line: CommandLine, environment: &Environment, clock: Clock) -> Result<(), Error> {
    let terminal = Terminal::of_process(environment);
    let CommandLine { target, verb } = line;
    let flags = match &verb {
        Some(Verb::Use { site, org }) => Flags { site: Some(site.clone()), org: org.clone() },
        _ => target.into_flags(),
    };
    let mut config = Config::read(flags, environment)?;
    let key = &mut config.paths.key;
    key.patience = terminal.patience_with_keychain(key.patience);
    let broker = Broker { config: &config, environment, clock, terminal: &terminal };
    match verb {
        None if io::stdin().is_terminal() => Err(Error::CommandLine(CommandLine::usage())),
        None => operate(&broker, None, &GetFlags::default()),
        Some(Verb::Get(flags)) => operate(&broker, Some(Operation::Get), &flags),
        Some(Verb::Store) => operate(&broker, Some(Operation::Store), &GetFlags::default()),
        Some(Verb::Erase) => operate(&broker, Some(Operation::Erase), &GetFlags::default()),
        Some(Verb::Token(flags)) => token::run(&broker, &flags),
        Some(Verb::Login(flags)) => login::run(&broker, flags),
        Some(Verb::Logout(flags)) => logout::run(&broker, flags.all),
        Some(Verb::Key { action }) => key::run(&broker, &action),
        Some(Verb::Status(flag)) => status::run(&broker, flag.json),
        Some(Verb::List(flag)) => list::run(&broker, flag.json),
        Some(Verb::Use { .. }) => use_session::run(&broker),
        Some(Verb::Exec(flags)) => exec::run(&broker, &flags),
        Some(Verb::Env(flags)) => env::run(&broker, &flags),
        Some(Verb::Refresh) => refresh::run(&broker),
        Some(Verb::Proxy { process, descriptors }) => proxy::run(&broker, &descriptors, process),
        Some(Verb::Worker { session, descriptor }) => worker::run(&broker, &session, descriptor),
    }
}

/// The helper protocol: one request on standard input, one answer on standard output.
fn operate(
    broker: &Broker<'_>,
    operation: Option<Operation>,
    flags: &GetFlags,
) -> Result<(), Error> {
    match input::request(operation)? {
        Request::Get(request) => get::run(broker, request, flags),
        Request::Store(request) => store_and_erase::store(broker, request),
        Request::Erase(request) => store_and_erase::erase(broker, &request),
        Request::GetKeys(request) => get::keys(broker, &request),
        Request::StoreKeys(request) => broker.store_keys(request),
        Request::EraseKeys(target) => store_and_erase::erase_keys(broker, &target),
    }
}

/// Writes a whole answer.
fn print(answer: &str) -> Result<(), Error> {
    let mut output = io::stdout().lock();
    let written = output.write_all(answer.as_bytes()).and_then(|()| output.flush());
    written.map_err(Error::Output)
}
