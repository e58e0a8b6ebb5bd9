//! `dd-oauth erase`: forgets a session, a token or API keys on this machine. It answers with nothing
//! but its exit code, and says on standard error what is still good elsewhere. The session that is
//! meant is found as for a `get`.

use crate::broker::{self, Context, Erased};
use crate::error::Error;
use crate::protocol::{EraseRequest, Target};

/// Forgets a session, or rejects its access token.
///
/// Only a forgotten session is worth a word: the person may think that it ended everywhere.
pub fn run(context: &Context<'_>, request: &EraseRequest) -> Result<(), Error> {
    match broker::erase(context, request)? {
        Erased::Session(name) => context.terminal.say(&format!(
            "forgot the session for {name} on this machine; nothing was revoked (`dd-oauth logout` revokes)"
        )),
        Erased::Nothing | Erased::AccessToken | Erased::Kept => {}
    }
    Ok(())
}

/// Forgets API keys.
pub fn api_keys(context: &Context<'_>, target: &Target) -> Result<(), Error> {
    if let Some(name) = broker::erase_api_keys(context, target)? {
        context.terminal.say(&format!(
            "forgot the API key for {name} on this machine; it is good at Datadog until it is revoked there"
        ));
    }
    Ok(())
}
