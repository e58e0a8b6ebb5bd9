//! git's credential helper: `git-credential-dd-oauth get|store|erase|capability`.

use std::time::Duration;

use crate::broker::{self, Context};
use crate::cli::HelperLine;
use crate::command::get;
use crate::command::stdio::{self, print};
use crate::error::Error;
use crate::exit::ExitKind;
use crate::protocol::RequestError;
use crate::protocol::git::{self, Operation, Request};

pub fn run(context: &Context<'_>, line: &HelperLine) -> Result<(), Error> {
    let Some(name) = &line.operation else { return Err(RequestError::NoOperation.into()) };
    // git may learn more operations, which are none of our business.
    let Some(operation) = Operation::named(name) else { return Ok(()) };
    if operation == Operation::Capability {
        return print(git::CAPABILITIES);
    }
    let bytes = stdio::lines()?;
    let Some(request) = git::parse(&bytes, operation)? else { return Ok(()) };
    match operation {
        Operation::Get => answer(context, &request, line.min_ttl),
        Operation::Erase => match request.erase() {
            Some(erase) => Ok(broker::erase(context, &erase).map(drop)?),
            None => Ok(()),
        },
        // It is our own token that comes back, or somebody else's secret.
        Operation::Store | Operation::Capability => Ok(()),
    }
}

fn answer(
    context: &Context<'_>,
    request: &Request,
    min_ttl: Option<Duration>,
) -> Result<(), Error> {
    match get::at_known_host(context, request.get(), min_ttl) {
        Ok(Some(found)) => {
            let answer = git::render(&found.answer, &request.form);
            get::print_and_renew(context, found, &answer)
        }
        Ok(None) => Ok(()),
        Err(error) if error.kind() == ExitKind::LoginRequired => {
            context.terminal.say(&error.to_string());
            print(git::QUIT)
        }
        Err(error) => Err(error),
    }
}
