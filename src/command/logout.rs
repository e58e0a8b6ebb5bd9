//! `dd-oauth logout`: revokes what the server can be told to, and forgets the session in any case.

use crate::broker::{self, Context, ForgottenClient, LoggedOut};
use crate::cli::LogoutFlags;
use crate::error::Error;
use crate::oauth::TokenHint;

pub fn run(context: &Context<'_>, flags: &LogoutFlags) -> Result<(), Error> {
    match flags {
        LogoutFlags { all: true, .. } => of_everything(context),
        LogoutFlags { forget_client: true, .. } => with_client(context),
        LogoutFlags { .. } => of_one(context),
    }
}

fn of_one(context: &Context<'_>) -> Result<(), Error> {
    tell(context, &broker::log_out(context)?);
    Ok(())
}

fn with_client(context: &Context<'_>) -> Result<(), Error> {
    let done = broker::log_out_and_forget_client(context)?;
    if let Some(session) = &done.logged_out {
        tell(context, session);
    }
    let site = done.site.label();
    context.terminal.say(&match done.client {
        ForgottenClient::Registered => {
            format!("the OAuth client at {site} is forgotten; the next login registers another")
        }
        ForgottenClient::None => format!("no OAuth client was registered at {site}"),
    });
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

/// Tells of a session that was forgotten, and of what its server was not told.
pub fn tell(context: &Context<'_>, done: &LoggedOut) {
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
