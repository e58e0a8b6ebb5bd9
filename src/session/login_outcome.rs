//! How a login ended, left to those who waited for it: one browser opens, however many ask.

use serde::{Deserialize, Serialize};

use crate::exit::ExitKind;
use crate::names::{OrgLabel, SessionName};
use crate::site::Site;

/// What the last login to a session ended with, good or bad.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginOutcome {
    /// Counts the logins that ended; raised by every one.
    pub number: u64,
    /// What was asked for beyond the session's name. Who asks for something else logs in itself.
    pub wish: String,
    pub verdict: LoginVerdict,
}

/// See [`LoginOutcome`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginVerdict {
    /// The session that it stored.
    Done {
        site: String,
        org: Option<OrgLabel>,
    },
    Failed(LoginFailure),
}

/// A login that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginFailure {
    pub kind: ExitKind,
    pub message: String,
}

impl LoginVerdict {
    /// Of a login that stored this session.
    #[must_use]
    pub fn done(name: &SessionName) -> Self {
        Self::Done { site: name.site.to_string(), org: name.org.clone() }
    }

    /// The session that was stored, if one was.
    #[must_use]
    pub fn session(&self) -> Option<SessionName> {
        let Self::Done { site, org } = self else { return None };
        Some(SessionName { site: Site::parse(site).ok()?, org: org.clone() })
    }
}
