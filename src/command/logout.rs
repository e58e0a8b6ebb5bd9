//! `dd-oauth logout`: revokes what the server can be told to, and forgets the session in any case.

use crate::broker::{self, Context, LoggedOut};
use crate::cli::LogoutFlags;
use crate::error::Error;
use crate::oauth::TokenHint;

pub fn run(context: &Context<'_>, flags: &LogoutFlags) -> Result<(), Error> {
    if flags.all { of_everything(context) } else { of_one(context, flags.forget_client) }
}

fn of_one(context: &Context<'_>, forget_client: bool) -> Result<(), Error> {
    let done = broker::log_out(context)?;
    tell(context, &done);
    if forget_client {
        broker::forget_client(context, &done.name.site)?;
        context.terminal.say("the OAuth client is forgotten; the next login registers another");
    }
    Ok(())
}

fn of_everything(context: &Context<'_>) -> Result<(), Error> {
    let done = broker::log_out_of_everything(context)?;
    for session in &done.sessions {
        tell(context, session);
    }
    for (name, why) in &done.unopened {
        context.terminal.warn(&format!("{name} was forgotten without being revoked: {why}"));
    }
    for left in &done.left {
        context.terminal.warn(&format!("a copy of the sealing key was left behind: {left}"));
    }
    context.terminal.say("all sessions and the sealing key are forgotten");
    Ok(())
}

fn tell(context: &Context<'_>, done: &LoggedOut) {
    for (hint, error) in &done.not_revoked {
        let token = match hint {
            TokenHint::RefreshToken => "refresh token",
            TokenHint::AccessToken => "access token",
        };
        context
            .terminal
            .warn(&format!("the {token} was not revoked and stays good until it expires: {error}"));
    }
    context.terminal.say(&format!("logged out of {}", done.name));
}
