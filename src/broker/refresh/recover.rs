//! Answers that an earlier worker secured in the journal and did not live to commit.

use crate::broker::freshness::life_left;
use crate::broker::standing::last_outcome;
use crate::clock::Timestamp;
use crate::http_client::Reply;
use crate::oauth::{self, Grant, TokenError};
use crate::secret::RefreshToken;
use crate::session::{
    Access, Announcement, Attempt, Lifetime, Renewal, SecuredReply, Session, SessionStore,
    StorageError, TokenDigest,
};

/// Understands an answer that was secured before a crash.
pub fn read_secured(session: &Session, secured: SecuredReply) -> Result<Grant, TokenError> {
    let Renewal::Possible { client_id, refresh_token } = &session.renewal else {
        return Err(TokenError::NotSecured);
    };
    let reply = Reply { status: secured.status, retry_after: None, date: None, body: secured.body };
    oauth::read_refresh_reply(&session.name.site, client_id, refresh_token, reply)
}

/// Whether a secured reply to `announced` still says something about `session`. If the session was
/// written since, either the reply was committed, and its access token may have been rejected, or
/// somebody stored or rejected a token. A refresh token that only the reply has counts all the same,
/// because the server takes no other.
pub fn still_counts(
    session: &Session,
    announced: &Announcement,
    result: &Result<Grant, TokenError>,
) -> bool {
    session.generation == announced.generation
        || match result {
            Ok(grant) => grant.refresh_token.as_ref(),
            Err(TokenError::NoAccess { refresh_token, .. }) => Some(refresh_token),
            Err(_) => None,
        }
        .is_some_and(|token| is_newer(token, session))
}

fn is_newer(token: &RefreshToken, session: &Session) -> bool {
    matches!(&session.renewal, Renewal::Possible { refresh_token, .. } if !refresh_token.matches(token))
}

/// The session with the tokens of `grant`, which was asked for at `sent`.
pub fn renewed(session: &Session, grant: Grant, sent: Timestamp) -> Session {
    let renewal = match (grant.refresh_token, session.renewal.clone()) {
        (Some(refresh_token), Renewal::Possible { client_id, .. }) => {
            Renewal::Possible { client_id, refresh_token }
        }
        // No new refresh token: the old one stays in use.
        (_, renewal) => renewal,
    };
    let lifetime = Lifetime::starting(sent, grant.expires_in);
    Session {
        generation: session.generation.next(),
        scopes: grant.scopes.unwrap_or_else(|| session.scopes.clone()),
        access: Access::Held { token: grant.access_token, lifetime },
        renewal,
        ..session.clone()
    }
}

/// The session with a refresh token that came without a usable access token.
pub fn with_refresh_token(session: &Session, refresh_token: RefreshToken) -> Session {
    let renewal = match session.renewal.clone() {
        Renewal::Possible { client_id, .. } => Renewal::Possible { client_id, refresh_token },
        Renewal::Impossible => Renewal::Impossible,
    };
    Session { generation: session.generation.next(), renewal, ..session.clone() }
}

/// The session of an answer that was secured and not committed, as its worker died or the disk
/// takes no more: it can be answered from all the same, and the next refresh commits it.
pub fn secured_session(
    store: &SessionStore<'_>,
    session: &Session,
    known: Attempt,
    now: Timestamp,
) -> Result<Option<Session>, StorageError> {
    let secured = uncommitted(store, session, known)?;
    Ok(secured.filter(|session| life_left(&session.access, now).is_some()))
}

/// The session of an answer to an attempt after `known` that was secured and not committed.
fn uncommitted(
    store: &SessionStore<'_>,
    session: &Session,
    known: Attempt,
) -> Result<Option<Session>, StorageError> {
    let Some(mut journal) = store.journal(&session.name)? else { return Ok(None) };
    let Some(digest) = TokenDigest::of(&session.renewal) else { return Ok(None) };
    let ours = |record: &Announcement| record.attempt > known && record.token == digest;
    let Some(announced) = journal.announcement()?.filter(ours) else { return Ok(None) };
    let Some(reply) = journal.reply(announced.attempt)? else { return Ok(None) };
    let sent = reply.sent;
    let result = read_secured(session, reply);
    if !still_counts(session, &announced, &result) {
        return Ok(None);
    }
    Ok(match result {
        Ok(grant) => Some(renewed(session, grant, sent)),
        Err(TokenError::NoAccess { refresh_token, .. }) => {
            Some(with_refresh_token(session, refresh_token))
        }
        Err(_) => None,
    })
}

/// The session with the tokens that are in force: those of an answer that was secured and not
/// committed, if there is one.
pub fn committed_or_secured(
    store: &SessionStore<'_>,
    session: Session,
) -> Result<Session, StorageError> {
    let known = last_attempt(store, &session)?;
    Ok(uncommitted(store, &session, known)?.unwrap_or(session))
}

/// The last attempt that left an outcome.
pub fn last_attempt(store: &SessionStore<'_>, session: &Session) -> Result<Attempt, StorageError> {
    Ok(last_outcome(store, session)?.map(|outcome| outcome.attempt).unwrap_or_default())
}
