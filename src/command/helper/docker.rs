//! docker's credential helper: `docker-credential-dd-oauth get|store|erase|list|version`.

use std::time::Duration;

use crate::broker::{self, Context};
use crate::cli::HelperLine;
use crate::command::get;
use crate::command::stdio::{self, print};
use crate::error::Error;
use crate::exit::ExitKind;
use crate::protocol::docker::{self, DockerError, Operation};
use crate::session::SessionStore;

pub fn run(context: &Context<'_>, line: &HelperLine) -> Result<(), Error> {
    let name = line.operation.as_deref().ok_or(DockerError::NoOperation)?;
    let document = || stdio::document(None);
    match Operation::named(name).ok_or(DockerError::UnknownOperation)? {
        Operation::Get => answer(context, &docker::parse_server(&document()?)?, line.min_ttl),
        // docker hands back our own token at best.
        Operation::Store => Ok(docker::check_store(&document()?)?),
        Operation::Erase => match docker::parse_server(&document()?)?.erase() {
            Some(erase) => Ok(broker::erase(context, &erase).map(drop)?),
            None => Ok(()),
        },
        Operation::List => list(context),
        Operation::Version => print(docker::VERSION),
    }
}

fn answer(
    context: &Context<'_>,
    server: &docker::Server,
    min_ttl: Option<Duration>,
) -> Result<(), Error> {
    let request = server.get().ok_or(DockerError::NotFound)?;
    match get::at_known_host(context, request, min_ttl) {
        Ok(Some(found)) => {
            let answer = docker::render(&found.answer, server);
            get::print_and_renew(context, found, &answer)
        }
        Ok(None) => Err(DockerError::NotFound.into()),
        Err(error) if error.kind() == ExitKind::LoginRequired => {
            // docker has one word for it, which does not say what to do.
            context.terminal.say(&error.to_string());
            Err(DockerError::NotFound.into())
        }
        Err(error) => Err(error),
    }
}

fn list(context: &Context<'_>) -> Result<(), Error> {
    let names = match context.installation_if_any()? {
        Some(installation) => SessionStore::of(&installation).names()?,
        None => Vec::new(),
    };
    print(&docker::render_list(names.iter().map(|name| &name.site)))
}
