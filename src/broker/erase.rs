//! Rejecting an access token, and forgetting a session without telling the server.

use crate::names::SessionName;
use crate::protocol::{EraseRequest, Erasure};
use crate::secret::AccessToken;
use crate::session::{Access, Session, SessionStore};

use super::freshness::in_first_moments;
use super::locking::{hold_session, until_it_stays};
use super::refresh::committed_or_secured;
use super::target::Wanted;
use super::{BrokerError, Context};

/// What an `erase` did.
#[derive(Debug, PartialEq, Eq)]
pub enum Erased {
    /// There was no such session.
    Nothing,
    /// The session is forgotten here, and still good at the server.
    Session(SessionName),
    /// The access token will not be answered again.
    AccessToken,
    /// The access token named is not the stored one, or too new for its expiry to be the trouble.
    Kept,
}

/// Forgets a session here, or rejects the access token that the request names.
///
/// # Errors
/// If several sessions fit, or the store cannot be written.
pub fn erase(context: &Context<'_>, request: &EraseRequest) -> Result<Erased, BrokerError> {
    until_it_stays(|| erase_once(context, request))
}

fn erase_once(context: &Context<'_>, request: &EraseRequest) -> Result<Erased, BrokerError> {
    let Some(installation) = context.installation()? else { return Ok(Erased::Nothing) };
    let wanted = Wanted::of(context, &request.target);
    let Some(name) = wanted.choose(context, &installation)? else { return Ok(Erased::Nothing) };
    let store = SessionStore::of(&installation);
    let lock = hold_session(context, &store, &name, "erase")?;
    let rejected = match &request.what {
        Erasure::Session => {
            store.forget(&lock, &name)?;
            return Ok(Erased::Session(name));
        }
        Erasure::AccessToken(rejected) => Some(rejected),
        Erasure::CurrentAccessToken => None,
    };
    let Some(session) = store.load(&name)? else { return Ok(Erased::Nothing) };
    // A reply that nobody has committed yet may have been answered already.
    let session = committed_or_secured(&store, session)?;
    if !is_rejected(context, &session, rejected) {
        return Ok(Erased::Kept);
    }
    let generation = session.generation.next();
    store.save(&lock, &Session { access: Access::Rejected, generation, ..session })?;
    Ok(Erased::AccessToken)
}

/// Whether the stored access token is the rejected one, or any is, and old enough for its expiry to
/// be the reason.
fn is_rejected(context: &Context<'_>, session: &Session, rejected: Option<&AccessToken>) -> bool {
    let Access::Held { token, lifetime } = &session.access else { return false };
    rejected.is_none_or(|rejected| token.matches(rejected))
        && !in_first_moments(*lifetime, context.clock.now())
}
