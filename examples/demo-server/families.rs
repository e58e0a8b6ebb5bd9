//! Families of tokens: everything that comes out of one consent.
//!
//! A family's refresh token is replaced at each use. Whoever presents one that was already
//! replaced ends the whole family, because either the presenter or the holder of the newer
//! token must be a thief (RFC 9700, section 4.14.2).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::authority::Refusal;
use crate::random;

#[derive(Clone, Default)]
pub struct Families {
    by_id: HashMap<String, Family>,
    /// The family of each refresh token ever issued, spent ones included.
    refresh_tokens: HashMap<String, String>,
    access_tokens: HashMap<String, AccessToken>,
}

#[derive(Clone)]
struct Family {
    client_id: String,
    scope: String,
    newest: String,
    /// Without rotation, the newest refresh token stays the newest when it is used.
    newest_used: bool,
    /// The token that the newest one replaced.
    previous: Option<String>,
    revoked: bool,
}

#[derive(Clone)]
struct AccessToken {
    family: String,
    issued: Instant,
    ttl: Duration,
    revoked: bool,
}

/// The choices that settings leave open.
#[derive(Clone, Copy)]
pub struct Policy {
    pub access_ttl: Duration,
    /// Whether a refresh replaces the refresh token.
    pub rotate: bool,
    /// Whether the token just replaced is answered again while its successor is unused.
    pub grant_repetition: bool,
}

#[derive(Debug)]
pub struct Issued {
    pub access_token: String,
    pub expires_in: Duration,
    /// Absent where the presented refresh token stays in use.
    pub refresh_token: Option<String>,
    pub scope: String,
    pub family: String,
    /// Whether this answers a spent token a second time.
    pub repeated: bool,
}

impl Families {
    /// Starts a family with its first tokens.
    pub fn start(
        &mut self,
        client_id: String,
        scope: String,
        policy: Policy,
        now: Instant,
    ) -> Issued {
        let id = random::uuid();
        let refresh_token = self.new_refresh_token(&id);
        let family = Family {
            client_id,
            scope: scope.clone(),
            newest: refresh_token.clone(),
            newest_used: false,
            previous: None,
            revoked: false,
        };
        self.by_id.insert(id.clone(), family);
        Issued {
            access_token: self.new_access_token(&id, policy.access_ttl, now),
            expires_in: policy.access_ttl,
            refresh_token: Some(refresh_token),
            scope,
            family: id,
            repeated: false,
        }
    }

    pub fn refresh(
        &mut self,
        client_id: &str,
        presented: &str,
        policy: Policy,
        now: Instant,
    ) -> Result<Issued, Refusal> {
        let unknown = || Refusal::invalid("the refresh token is unknown");
        let id = self.refresh_tokens.get(presented).ok_or_else(unknown)?;
        let id = id.clone();
        let family = self.by_id.get_mut(&id).ok_or_else(unknown)?;
        let refuse = |why, reused| Refusal::Invalid { why, family: Some(id.clone()), reused };
        if family.client_id != client_id {
            return Err(refuse("the refresh token was issued to another client", false));
        }
        if family.revoked {
            return Err(refuse("the refresh token was revoked", false));
        }

        let scope = family.scope.clone();
        let repeatable = policy.grant_repetition
            && !family.newest_used
            && family.previous.as_deref() == Some(presented);
        let refresh_token = if presented == family.newest && policy.rotate {
            Some(self.rotate(&id, presented))
        } else if presented == family.newest {
            family.newest_used = true;
            None
        } else if repeatable {
            Some(family.newest.clone())
        } else {
            family.revoked = true;
            return Err(refuse(
                "the refresh token was used before; its whole family is now revoked",
                true,
            ));
        };
        Ok(Issued {
            access_token: self.new_access_token(&id, policy.access_ttl, now),
            expires_in: policy.access_ttl,
            refresh_token,
            scope,
            family: id,
            repeated: repeatable,
        })
    }

    pub fn revoke(&mut self, client_id: &str, token: &str) -> Result<Option<String>, Refusal> {
        let access_token = self.access_tokens.get_mut(token);
        let id = match &access_token {
            Some(access_token) => Some(&access_token.family),
            None => self.refresh_tokens.get(token),
        };
        let Some((id, family)) = id.and_then(|id| Some((id.clone(), self.by_id.get_mut(id)?)))
        else {
            return Ok(None);
        };
        if family.client_id != client_id {
            return Err(Refusal::Invalid {
                why: "the token was issued to another client",
                family: Some(id),
                reused: false,
            });
        }
        match access_token {
            Some(access_token) => access_token.revoked = true,
            None => family.revoked = true,
        }
        Ok(Some(id))
    }

    pub fn is_active(&self, access_token: &str, now: Instant) -> bool {
        self.access_tokens.get(access_token).is_some_and(|token| {
            !token.revoked
                && now.duration_since(token.issued) < token.ttl
                && self.by_id.get(&token.family).is_some_and(|family| !family.revoked)
        })
    }

    /// The family of an access token, however it stands.
    pub fn family_of(&self, access_token: &str) -> Option<&str> {
        self.access_tokens.get(access_token).map(|token| token.family.as_str())
    }

    /// Makes `spent` the predecessor of a new refresh token, which is returned.
    fn rotate(&mut self, id: &str, spent: &str) -> String {
        let newest = self.new_refresh_token(id);
        if let Some(family) = self.by_id.get_mut(id) {
            family.previous = Some(spent.to_owned());
            family.newest.clone_from(&newest);
            family.newest_used = false;
        }
        newest
    }

    fn new_refresh_token(&mut self, family: &str) -> String {
        let token = random::token("demo-rt-");
        self.refresh_tokens.insert(token.clone(), family.to_owned());
        token
    }

    fn new_access_token(&mut self, family: &str, ttl: Duration, now: Instant) -> String {
        let token = random::token("demo-at-");
        let access_token =
            AccessToken { family: family.to_owned(), issued: now, ttl, revoked: false };
        self.access_tokens.insert(token.clone(), access_token);
        token
    }
}
