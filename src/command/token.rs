//! `dd-oauth token`: the bare access token, for scripts. Never reads standard input, so that it is
//! safe inside a loop that does.

use super::print;
use crate::broker::Broker;
use crate::cli::GetFlags;
use crate::error::Error;
use crate::platform;
use crate::protocol::GetRequest;

pub fn run(broker: &Broker<'_>, flags: &GetFlags) -> Result<(), Error> {
    let request = GetRequest { min_ttl: flags.min_ttl, ..GetRequest::default() };
    let found = broker.get(&request)?;
    print(&format!("{}\n", found.answer.access_token.expose()))?;
    if let Some(due) = found.renewal {
        platform::close_stdout();
        broker.renew_in_background(&due);
    }
    Ok(())
}
