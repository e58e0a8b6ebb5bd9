//! A session of an earlier tool, and where the tool keeps it.

use std::fmt;
use std::path::PathBuf;

use super::shape::{self, Part, Tokens};
use crate::names::SessionName;
use crate::session::{Access, Generation, Registration, Renewal, Session, TokenDigest};

/// A session is a few kilobytes; an earlier tool may have one for each of many organizations.
pub const LIMIT: u64 = 1024 * 1024;

/// The services of the keychain under which the tools kept sessions and clients.
pub const DATADOG_CLI_TOKENS: &str = "datadog-cli";
pub const DATADOG_CLI_CLIENTS: &str = "datadog-cli-dcr";
pub const PUP: &str = "pup";

/// A tool that kept sessions of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    DatadogCli,
    Pup,
}

/// By the name that people see in their keychain.
impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DatadogCli => DATADOG_CLI_TOKENS,
            Self::Pup => PUP,
        })
    }
}

/// A file or an entry of the keychain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    File(PathBuf),
    Keychain { service: String, account: String },
}

impl Origin {
    /// `file` or `keychain`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Keychain { .. } => "keychain",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Keychain { service, account } => write!(f, "keychain entry {service} {account}"),
        }
    }
}

/// A session of an earlier tool.
#[derive(Debug)]
pub struct EarlierSession {
    pub tool: Tool,
    pub origin: Origin,
    pub name: SessionName,
    pub(super) tokens: Tokens,
    /// The client that it belongs to, if the tool kept more of it than its id.
    pub registration: Option<Registration>,
    pub(super) part: Part,
}

impl EarlierSession {
    /// The session as we keep it.
    #[must_use]
    pub fn to_session(&self, generation: Generation) -> Session {
        let renewal = self.renewal();
        Session {
            name: self.name.clone(),
            org_uuid: None,
            org_name: None,
            asked_site: None,
            vanity_host: None,
            generation,
            scopes: self.tokens.scopes.clone(),
            access: self.tokens.access.clone(),
            imported: TokenDigest::of(&renewal),
            renewal,
        }
    }

    fn renewal(&self) -> Renewal {
        match (&self.tokens.client_id, &self.tokens.refresh) {
            (Some(client_id), Some(refresh_token)) => Renewal::Possible {
                client_id: client_id.clone(),
                refresh_token: refresh_token.clone(),
            },
            _ => Renewal::Impossible,
        }
    }

    /// Whether it has a refresh token.
    #[must_use]
    pub fn is_renewable(&self) -> bool {
        self.tokens.refresh.is_some()
    }

    /// Its access token, as far as it is known how long that is good for.
    #[must_use]
    pub fn access(&self) -> &Access {
        &self.tokens.access
    }

    /// Whether `session` is this one, taken over earlier. It may have been renewed since: then the
    /// refresh token of the tool is spent, and must never be presented again.
    #[must_use]
    pub fn is_kept_as(&self, session: &Session) -> bool {
        let ours = TokenDigest::of(&self.renewal());
        if ours.is_some() && ours == session.imported {
            return true;
        }
        match (&self.tokens.refresh, &session.renewal) {
            (Some(ours), Renewal::Possible { refresh_token, .. }) => ours.matches(refresh_token),
            (None, _) => shape::same_access(&self.tokens.access, &session.access),
            (Some(_), Renewal::Impossible) => false,
        }
    }
}
