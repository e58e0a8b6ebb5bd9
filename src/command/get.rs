//! `dd-oauth get`: an access token, with what the caller has to know about it.

use super::print;
use crate::broker::Broker;
use crate::cli::GetFlags;
use crate::error::Error;
use crate::platform;
use crate::protocol::{GetKeysRequest, GetRequest, native};

pub fn run(broker: &Broker<'_>, request: GetRequest, flags: &GetFlags) -> Result<(), Error> {
    let request = GetRequest { min_ttl: request.min_ttl.or(flags.min_ttl), ..request };
    let found = broker.get(&request)?;
    print(&native::render(&found.answer, request.version))?;
    if let Some(due) = found.renewal {
        platform::close_stdout();
        broker.renew_in_background(&due);
    }
    Ok(())
}

pub fn keys(broker: &Broker<'_>, request: &GetKeysRequest) -> Result<(), Error> {
    let answer = broker.get_keys(&request.target)?;
    print(&native::render_keys(&answer, request.version))
}
