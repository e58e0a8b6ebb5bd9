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

/// Those of [`DEFAULT`] that change something, though they do not end in `_write`.
const CHANGING: [&str; 2] = ["monitors_downtime", "slos_corrections"];

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

    /// The default set without what can change anything.
    #[must_use]
    pub fn read_only_set() -> Self {
        let changes = |scope: &str| scope.ends_with("_write") || CHANGING.contains(&scope);
        Self::default_set().filtered(|scope| !changes(scope))
    }

    /// Those for which `wanted` holds.
    #[must_use]
    pub fn filtered(&self, wanted: impl Fn(&str) -> bool) -> Self {
        Self(self.0.iter().filter(|scope| wanted(scope)).cloned().collect())
    }

    /// Those that `others` lacks.
    #[must_use]
    pub fn without(&self, others: &Self) -> Self {
        self.filtered(|scope| !others.contains(scope))
    }

    /// These, and those of `others` that are not among them.
    #[must_use]
    pub fn with(&self, others: &Self) -> Self {
        let more = others.without(self);
        Self(self.0.iter().chain(&more.0).cloned().collect())
    }

    /// Those that a sentence of a server names as whole words.
    #[must_use]
    pub fn named_in(&self, sentence: &str) -> Self {
        let part = |c: char| c.is_ascii_alphanumeric() || "_-.:/".contains(c);
        let words: Vec<_> = sentence
            .split(|c: char| !part(c))
            .map(|word| word.trim_matches(['.', ':', '-', '/']))
            .collect();
        self.filtered(|scope| words.contains(&scope))
    }

    /// Whether this scope is among them.
    #[must_use]
    pub fn contains(&self, scope: &str) -> bool {
        self.0.iter().any(|known| known == scope)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
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
    fn the_read_only_set_changes_nothing() {
        let read_only = Scopes::read_only_set();
        assert_eq!(read_only.len(), 25);
        assert!(read_only.contains("timeseries_query") && read_only.contains("logs_read_data"));
        let rest = Scopes::default_set().without(&read_only);
        assert_eq!(read_only.with(&rest).len(), 37);
        for changing in ["dashboards_write", "monitors_downtime", "slos_corrections"] {
            assert!(rest.contains(changing), "{changing}");
        }
    }

    #[test]
    fn a_sentence_names_whole_scopes_only() {
        let asked = Scopes::parse("apm_read apm_read_data x:y logs").unwrap();
        let named = |sentence: &str| asked.named_in(sentence).to_string();
        assert_eq!(
            named("The following scopes are not recognized: apm_read, logs."),
            "apm_read logs"
        );
        assert_eq!(named("unknown scope \"x:y\""), "x:y");
        assert_eq!(named("apm_read_other"), "");
        assert_eq!(named(""), "");
    }

    #[test]
    fn blanks_separate_and_repetitions_vanish() {
        assert_eq!(Scopes::parse(" a  b\ta ").unwrap().to_string(), "a b");
        for bad in ["a\"b", "a\\b", "ä", "a\u{1}"] {
            assert!(Scopes::parse(bad).is_err(), "{bad:?}");
        }
    }
}
