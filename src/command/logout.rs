//! `dd-oauth logout`: revokes what the server can be told to, and forgets the session in any case.

use crate::broker::Broker;
use crate::error::Error;
use crate::oauth::TokenHint;

pub fn run(broker: &Broker<'_>) -> Result<(), Error> {
    let done = broker.log_out()?;
    for (hint, error) in &done.not_revoked {
        let token = match hint {
            TokenHint::RefreshToken => "refresh token",
            TokenHint::AccessToken => "access token",
        };
        broker
            .terminal
            .warn(&format!("the {token} was not revoked and stays good until it expires: {error}"));
    }
    broker.terminal.say(&format!("logged out of {}", done.name));
    Ok(())
}
