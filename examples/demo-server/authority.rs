//! Who may do what: clients, what people allow them, and the codes that carry it.
//!
//! Nothing here or in [`crate::families`] knows of HTTP, and time comes in as an argument.
//! Everything is kept until [`Authority::default`] replaces it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::families::{Families, Issued, Policy};
use crate::random;

const CODE_LIFETIME: Duration = Duration::from_mins(10);

#[derive(Clone, Default)]
pub struct Authority {
    clients: HashMap<String, Client>,
    /// Requests whose consent page a person may still be looking at, by ticket.
    waiting: HashMap<String, Authorization>,
    codes: HashMap<String, Code>,
    families: Families,
}

#[derive(Clone)]
pub struct Client {
    pub name: String,
    pub redirect_uris: Vec<String>,
}

/// What a client asks a person for.
#[derive(Clone)]
pub struct Authorization {
    pub client_id: String,
    pub redirect_uri: String,
    pub scope: String,
    pub state: Option<String>,
    /// Base64url of the SHA-256 of the verifier that the exchange will bring (PKCE, `S256`).
    pub challenge: String,
}

#[derive(Clone)]
struct Code {
    granted: Authorization,
    at: Instant,
}

/// The parameters of an `authorization_code` grant.
pub struct Exchange<'a> {
    pub client_id: &'a str,
    pub code: &'a str,
    pub redirect_uri: &'a str,
    pub verifier: &'a str,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    UnknownClient,
    /// The code or token is unknown, expired, spent, revoked or of another client.
    Invalid {
        why: &'static str,
        family: Option<String>,
        /// Whether this was a spent refresh token, which has ended its family.
        reused: bool,
    },
}

impl Refusal {
    pub fn invalid(why: &'static str) -> Self {
        Self::Invalid { why, family: None, reused: false }
    }
}

impl Authority {
    /// Takes a client in and returns its new id.
    pub fn register(&mut self, client: Client) -> String {
        let id = random::uuid();
        self.clients.insert(id.clone(), client);
        id
    }

    pub fn client(&self, id: &str) -> Option<&Client> {
        self.clients.get(id)
    }

    /// Remembers a request until a person decides, and returns the ticket for the decision.
    pub fn await_consent(&mut self, authorization: Authorization) -> String {
        let ticket = random::token("");
        self.waiting.insert(ticket.clone(), authorization);
        ticket
    }

    /// The request behind a ticket, which is used up by this.
    pub fn take_waiting(&mut self, ticket: &str) -> Option<Authorization> {
        self.waiting.remove(ticket)
    }

    /// A code for what a person has allowed.
    pub fn grant(&mut self, granted: Authorization, now: Instant) -> String {
        let code = random::token("");
        self.codes.insert(code.clone(), Code { granted, at: now });
        code
    }

    /// The `authorization_code` grant. The first attempt uses the code up even where it fails,
    /// so that nobody can try verifiers on a stolen code.
    pub fn exchange(
        &mut self,
        request: &Exchange,
        policy: Policy,
        now: Instant,
    ) -> Result<Issued, Refusal> {
        self.check_client(request.client_id)?;
        let invalid = |why| Err(Refusal::invalid(why));
        let Some(code) = self.codes.remove(request.code) else {
            return invalid("the code is unknown or was used before");
        };
        let granted = code.granted;
        if now.duration_since(code.at) >= CODE_LIFETIME {
            return invalid("the code has expired");
        }
        if granted.client_id != request.client_id {
            return invalid("the code was issued to another client");
        }
        if granted.redirect_uri != request.redirect_uri {
            return invalid("redirect_uri differs from the authorization's");
        }
        if granted.challenge != URL_SAFE_NO_PAD.encode(Sha256::digest(request.verifier)) {
            return invalid("code_verifier does not fit the code_challenge");
        }
        Ok(self.families.start(granted.client_id, granted.scope, policy, now))
    }

    /// The `refresh_token` grant.
    pub fn refresh(
        &mut self,
        client_id: &str,
        token: &str,
        policy: Policy,
        now: Instant,
    ) -> Result<Issued, Refusal> {
        self.check_client(client_id)?;
        self.families.refresh(client_id, token, policy, now)
    }

    /// Ends an access token, or the whole family of a refresh token. Returns the family, or
    /// `None` for a token that was never issued, which is no error (RFC 7009, section 2.2).
    pub fn revoke(&mut self, client_id: &str, token: &str) -> Result<Option<String>, Refusal> {
        self.check_client(client_id)?;
        self.families.revoke(client_id, token)
    }

    /// Whether an access token is good now.
    pub fn is_active(&self, access_token: &str, now: Instant) -> bool {
        self.families.is_active(access_token, now)
    }

    /// The family of an access token, however it stands.
    pub fn family_of(&self, access_token: &str) -> Option<&str> {
        self.families.family_of(access_token)
    }

    fn check_client(&self, id: &str) -> Result<(), Refusal> {
        self.client(id).map(drop).ok_or(Refusal::UnknownClient)
    }
}

#[cfg(test)]
#[path = "authority_tests.rs"]
mod tests;
