//! `dd-oauth use`: the session that requests mean where they name none.

use crate::broker::{self, Context};
use crate::error::Error;

pub fn run(context: &Context<'_>) -> Result<(), Error> {
    let name = broker::select(context)?;
    context.terminal.say(&format!("requests that name no site now mean {name}"));
    Ok(())
}
