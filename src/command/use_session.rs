//! `dd-oauth use`: the session that requests mean where they name none.

use crate::broker::Broker;
use crate::error::Error;

pub fn run(broker: &Broker<'_>) -> Result<(), Error> {
    let name = broker.select()?;
    broker.terminal.say(&format!("requests that name no site now mean {name}"));
    Ok(())
}
