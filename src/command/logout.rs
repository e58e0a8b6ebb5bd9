//! `dd-oauth logout`: revokes what the server can be told to, and forgets the session in any case.

use crate::broker::{Broker, LoggedOut};
use crate::cli::LogoutFlags;
use crate::error::Error;
use crate::oauth::TokenHint;

pub fn run(broker: &Broker<'_>, flags: &LogoutFlags) -> Result<(), Error> {
    if flags.all { of_everything(broker) } else { of_one(broker, flags.forget_client) }
}

fn of_one(broker: &Broker<'_>, forget_client: bool) -> Result<(), Error> {
    let done = broker.log_out()?;
    tell(broker, &done);
    if forget_client {
        broker.forget_client(&done.name.site)?;
        broker.terminal.say("the OAuth client is forgotten; the next login registers another");
    }
    Ok(())
}

fn of_everything(broker: &Broker<'_>) -> Result<(), Error> {
    let done = broker.log_out_of_everything()?;
    for session in &done.sessions {
        tell(broker, session);
    }
    for (name, why) in &done.unopened {
        broker.terminal.warn(&format!("{name} was forgotten without being revoked: {why}"));
    }
    for left in &done.left {
        broker.terminal.warn(&format!("a copy of the sealing key was left behind: {left}"));
    }
    broker.terminal.say("all sessions and the sealing key are forgotten");
    Ok(())
}

fn tell(broker: &Broker<'_>, done: &LoggedOut) {
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
}
