//! `dd-oauth get`, `token` and `refresh`: an access token, with what the caller has to know about it, bare,
//! or renewed.

use std::time::Duration;

use super::stdio::print;
use crate::broker::{self, Context, Found};
use crate::cli::GetFlags;
use crate::error::Error;
use crate::platform;
use crate::protocol::format::{self, Format};
use crate::protocol::{GetApiKeysRequest, GetRequest, native};
use crate::session::Access;

pub fn run(
    context: &Context<'_>,
    request: GetRequest,
    flags: &GetFlags,
    format: Format,
) -> Result<(), Error> {
    let request = GetRequest { min_ttl: request.min_ttl.or(flags.min_ttl), ..request };
    let found = broker::get(context, &request)?;
    let answer = format::render(&found.answer, format, request.version);
    print_and_renew(context, found, &answer)
}

/// Finds the answer to a request that named a host and not a site. Nothing where nobody said that
/// this host is a site: it is neither Datadog's nor has it a session.
pub fn at_known_host(
    context: &Context<'_>,
    request: GetRequest,
    min_ttl: Option<Duration>,
) -> Result<Option<Found>, Error> {
    let request = GetRequest { min_ttl, ..request };
    match broker::get(context, &request) {
        Err(_) if !broker::knows(context, &request.target)? => Ok(None),
        found => Ok(Some(found?)),
    }
}

/// `dd-oauth token`: the bare access token, for scripts. Never reads standard input, so that it is safe
/// inside a loop that does.
pub fn bare(context: &Context<'_>, flags: &GetFlags) -> Result<(), Error> {
    let request = GetRequest { min_ttl: flags.min_ttl, ..GetRequest::default() };
    let found = broker::get(context, &request)?;
    let token = format!("{}\n", found.answer.access_token.expose());
    print_and_renew(context, found, &token)
}

/// Answers, and does what is left to be done once the caller has its answer.
pub fn print_and_renew(context: &Context<'_>, found: Found, answer: &str) -> Result<(), Error> {
    print(answer)?;
    if let Some(due) = found.renewal {
        platform::close_stdout();
        broker::renew_in_background(context, &due);
    }
    Ok(())
}

/// Answers with API keys.
pub fn api_keys(context: &Context<'_>, request: &GetApiKeysRequest) -> Result<(), Error> {
    let answer = broker::get_api_keys(context, &request.target)?;
    print(&native::render_api_keys(&answer, request.version))
}

/// `dd-oauth refresh`: renews the access token now.
pub fn refresh(context: &Context<'_>) -> Result<(), Error> {
    let session = broker::refresh_by_hand(context)?;
    if let Access::Held { lifetime, .. } = &session.access {
        let (name, expires) = (&session.name, lifetime.expires);
        context.terminal.say(&format!("renewed the token for {name}; it expires at {expires}"));
    }
    Ok(())
}
