//! OAuth scopes (RFC 6749, section 3.3).

use std::fmt;

/// What a login asks for where nothing else is named: what the tools that log in to Datadog use.
const DEFAULT: &str = "dashboards_read dashboards_write monitors_read monitors_write \
    monitors_downtime apm_read slos_read slos_write slos_corrections incident_read incident_write \
    synthetics_read synthetics_write synthetics_global_variable_read \
    synthetics_global_variable_write synthetics_private_location_read \
    synthetics_private_location_write security_monitoring_signals_read \
    security_monitoring_rules_read security_monitoring_findings_read \
    security_monitoring_suppressions_read security_monitoring_filters_read rum_apps_read \
    rum_apps_write rum_retention_filters_read rum_retention_filters_write hosts_read \
    user_access_read user_self_profile_read cases_read cases_write events_read logs_read_data \
    logs_read_index_data metrics_read timeseries_query usage_read";

/// An ordered set of scope names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(Vec<String>);

/// A text that is not a list of scopes.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is not a scope: scopes are separated by blanks and have no quotes, backslashes or control characters"
)]
pub struct ScopeError(String);

impl Scopes {
    /// Reads scopes that are separated by blanks; the first of two equal ones stays.
    ///
    /// # Errors
    /// For a character that RFC 6749, appendix A.4, does not allow.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        let mut scopes = Vec::new();
        for scope in text.split_ascii_whitespace() {
            let allowed = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
            if !scope.bytes().all(allowed) {
                return Err(ScopeError(scope.to_string()));
            }
            if !scopes.iter().any(|seen| seen == scope) {
                scopes.push(scope.to_string());
            }
        }
        Ok(Self(scopes))
    }

    /// The default set of a login.
    #[must_use]
    pub fn default_set() -> Self {
        Self(DEFAULT.split_ascii_whitespace().map(String::from).collect())
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_set_is_well_formed() {
        assert_eq!(Scopes::parse(DEFAULT).unwrap(), Scopes::default_set());
        assert_eq!(Scopes::default_set().iter().count(), 37);
    }

    #[test]
    fn blanks_separate_and_repetitions_vanish() {
        assert_eq!(Scopes::parse(" a  b\ta ").unwrap().to_string(), "a b");
        for bad in ["a\"b", "a\\b", "ä", "a\u{1}"] {
            assert!(Scopes::parse(bad).is_err(), "{bad:?}");
        }
    }
}
