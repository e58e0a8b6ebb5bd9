//! `dd-oauth refresh`: renews the access token now.

use crate::broker::{self, Context};
use crate::error::Error;
use crate::session::Access;

pub fn run(context: &Context<'_>) -> Result<(), Error> {
    let session = broker::refresh_by_hand(context)?;
    if let Access::Held { lifetime, .. } = &session.access {
        let (name, expires) = (&session.name, lifetime.expires);
        context.terminal.say(&format!("renewed the token for {name}; it expires at {expires}"));
    }
    Ok(())
}
