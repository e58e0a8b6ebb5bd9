//! What reached the server, for tests to look at afterwards. Of tokens it keeps only hashes.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The endpoints that are logged and that faults can be put on.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Endpoint {
    Register,
    Authorize,
    Token,
    Revoke,
}

impl Endpoint {
    pub fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Authorize => "authorize",
            Self::Token => "token",
            Self::Revoke => "revoke",
        }
    }
}

/// The grants that the token endpoint takes.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    AuthorizationCode,
    RefreshToken,
}

impl Grant {
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::AuthorizationCode, Self::RefreshToken].into_iter().find(|grant| grant.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::RefreshToken => "refresh_token",
        }
    }
}

#[derive(Serialize)]
pub struct Entry {
    pub n: usize,
    pub at_ms: u128,
    pub endpoint: Endpoint,
    pub grant: Option<Grant>,
    pub client_id: Option<String>,
    /// 0 where the client got none.
    pub status: u16,
    pub result: &'static str,
    /// Of the token that was presented.
    pub token_sha256: Option<String>,
    pub family: Option<String>,
    /// Of the refresh token that was issued.
    pub new_token_sha256: Option<String>,
    pub fault: Option<&'static str>,
}

impl Entry {
    /// One line for people.
    pub fn to_line(&self) -> String {
        let mut line = self.endpoint.name().to_owned();
        if let Some(grant) = self.grant {
            line.extend([" (", grant.name(), ")"]);
        }
        line.extend([": ", self.result]);
        if let Some(fault) = self.fault {
            line.extend([", fault ", fault]);
        }
        line
    }
}

/// The time of day in Unix milliseconds.
pub fn now_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis())
}

/// How the log names a token.
pub fn sha256(token: &str) -> String {
    format!("{:x}", Sha256::digest(token))
}
