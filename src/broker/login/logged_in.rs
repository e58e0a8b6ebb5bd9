//! A login that succeeded, and what is said about it.

use crate::scope::Scopes;
use crate::session::Session;

/// A login that succeeded.
#[derive(Debug)]
pub struct LoggedIn {
    pub session: Session,
    /// What was wanted, granted or not.
    pub wanted: Scopes,
}

impl LoggedIn {
    /// What the person is told about it.
    #[must_use]
    pub fn described(&self) -> String {
        let Session { name, org_name, .. } = &self.session;
        let own_name = match org_name {
            Some(own) if name.org.as_ref() != Some(own) => format!(", organization {own}"),
            _ => String::new(),
        };
        let not_granted = self.not_granted();
        let scopes = if not_granted.is_empty() {
            String::new()
        } else {
            format!(", {}; not granted: {not_granted}", self.scope_count())
        };
        format!("{name}{own_name}{scopes}")
    }

    /// How many scopes were granted.
    #[must_use]
    pub fn scope_count(&self) -> String {
        let (granted, wanted) = (self.session.scopes.len(), self.wanted.len());
        if self.not_granted().is_empty() {
            format!("{granted} scopes")
        } else {
            format!("{} of {wanted} scopes", wanted - self.not_granted().len())
        }
    }

    /// What was wanted and not granted.
    #[must_use]
    pub fn not_granted(&self) -> Scopes {
        self.wanted.without(&self.session.scopes)
    }
}
