//! `dd-oauth get`: an access token, with what the caller has to know about it.

use std::time::Duration;

use super::print;
use crate::broker::{Broker, Found};
use crate::cli::GetFlags;
use crate::error::Error;
use crate::platform;
use crate::protocol::format::{self, Format};
use crate::protocol::{GetApiKeysRequest, GetRequest, native};

pub fn run(
    broker: &Broker<'_>,
    request: GetRequest,
    flags: &GetFlags,
    format: Format,
) -> Result<(), Error> {
    let request = GetRequest { min_ttl: request.min_ttl.or(flags.min_ttl), ..request };
    let found = broker.get(&request)?;
    let answer = format::render(&found.answer, format, request.version);
    print_and_renew(broker, found, &answer)
}

/// Finds the answer to a request that named a host and not a site. Nothing where nobody said that
/// this host is a site: it is neither Datadog's nor has it a session.
pub fn at_known_host(
    broker: &Broker<'_>,
    request: GetRequest,
    min_ttl: Option<Duration>,
) -> Result<Option<Found>, Error> {
    let request = GetRequest { min_ttl, ..request };
    match broker.get(&request) {
        Err(_) if !broker.knows(&request.target)? => Ok(None),
        found => found.map(Some),
    }
}

/// Answers, and does what is left to be done once the caller has its answer.
pub fn print_and_renew(broker: &Broker<'_>, found: Found, answer: &str) -> Result<(), Error> {
    print(answer)?;
    if let Some(due) = found.renewal {
        platform::close_stdout();
        broker.renew_in_background(&due);
    }
    Ok(())
}

pub fn keys(broker: &Broker<'_>, request: &GetApiKeysRequest) -> Result<(), Error> {
    let answer = broker.get_api_keys(&request.target)?;
    print(&native::render_api_keys(&answer, request.version))
}
