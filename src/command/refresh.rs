//! `dd-oauth refresh`: renews the access token now.

use crate::broker::Broker;
use crate::error::Error;
use crate::session::Access;

pub fn run(broker: &Broker<'_>) -> Result<(), Error> {
    let session = broker.refresh_by_hand()?;
    if let Access::Held { lifetime, .. } = &session.access {
        let (name, expires) = (&session.name, lifetime.expires);
        broker.terminal.say(&format!("renewed the token for {name}; it expires at {expires}"));
    }
    Ok(())
}
