//! The environment of a program that gets a token: the variables in which programs look for one, and
//! how a shell writes them.

mod shell;

use zeroize::Zeroizing;

use crate::broker::{INSIDE_EXEC, Origin};
use crate::environment::Environment;
use crate::protocol::{Answer, ApiKeysAnswer};

pub use shell::{NotExpressible, Shell, assignments, github_mask};

/// Where Datadog's Terraform provider (the first two), its API clients (the first) and its command
/// line look for a bearer token.
const TOKEN_VARIABLES: [&str; 3] = ["DD_BEARER_TOKEN", "DATADOG_BEARER_TOKEN", "DD_ACCESS_TOKEN"];
/// Where programs look for the older pair of keys, which some of them prefer to a bearer token.
const KEY_VARIABLES: [&str; 4] = ["DD_API_KEY", "DATADOG_API_KEY", "DD_APP_KEY", "DATADOG_APP_KEY"];

/// The name of an environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariableName(String);

impl VariableName {
    /// Accepts what every shell does: letters of ASCII, digits and `_`, with no digit in front;
    /// and no name that has a meaning to `dd-oauth` itself.
    ///
    /// # Errors
    /// Where it is no such name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let starts = text.starts_with(|first: char| !first.is_ascii_digit());
        if !starts || !text.bytes().all(plain) {
            return Err("a name has letters, digits and _, and no digit in front".into());
        }
        let taken = ["DD_SITE", "DD_HOST", "DD_ORG"].contains(&text);
        if taken || text.starts_with("DD_OAUTH_") || KEY_VARIABLES.contains(&text) {
            return Err("it has another meaning".into());
        }
        Ok(Self(text.to_string()))
    }
}

/// What becomes of keys that the program would find beside the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InheritedKeys {
    Left,
    Removed,
}

/// The variables of a program, as far as they are not those of everybody.
#[derive(Default)]
pub struct Variables {
    set: Vec<(String, Zeroizing<String>)>,
    removed: Vec<&'static str>,
}

impl Variables {
    /// Those that say whose token it is, where it goes, and what it is; under `names`, or where
    /// Datadog's own tools look for one. `secret` stands for the token, and `url` for the API.
    #[must_use]
    pub fn of(answer: &Answer, names: &[VariableName], url: &str, secret: &str) -> Self {
        let mut variables = Self::default();
        if names.is_empty() {
            for name in TOKEN_VARIABLES {
                variables.set(name, secret);
            }
        } else {
            for VariableName(name) in names {
                variables.set(name, secret);
            }
        }
        variables.set("DD_SITE", &answer.site.to_string());
        variables.set("DD_HOST", url);
        if let Some(org) = &answer.org {
            variables.set("DD_ORG", &org.to_string());
        }
        variables
    }

    /// Says that what these variables hold came from `dd-oauth`, so that it does not take them for
    /// a token from outside. One that did come from outside stays what it was.
    #[must_use]
    pub fn marked(mut self, origin: Origin) -> Self {
        if let Origin::Session(_) = origin {
            self.set(INSIDE_EXEC, "1");
        }
        self
    }

    /// Sees to it that requests to this machine go through no proxy that `environment` names.
    pub fn reach_loopback(&mut self, environment: &Environment) {
        const PROXIES: [&str; 4] = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
        if !PROXIES.iter().any(|name| environment.path(name).is_some()) {
            return;
        }
        for name in ["NO_PROXY", "no_proxy"] {
            let known = environment.path(name).unwrap_or_default();
            let known = known.to_string_lossy();
            let comma = if known.is_empty() { "" } else { "," };
            self.set(name, &format!("{known}{comma}127.0.0.1"));
        }
    }

    /// Adds a key pair.
    pub fn add_keys(&mut self, keys: &ApiKeysAnswer) {
        self.set("DD_API_KEY", keys.api_key.expose());
        if let Some(app_key) = &keys.app_key {
            self.set("DD_APP_KEY", app_key.expose());
        }
    }

    /// Adds one.
    pub fn set(&mut self, name: &str, value: &str) {
        self.set.push((name.to_string(), value.to_string().into()));
    }

    /// Removes the keys that `environment` has, where that is asked for; what to say about them.
    #[must_use]
    pub fn mind_keys(
        &mut self,
        environment: &Environment,
        inherited: InheritedKeys,
    ) -> Option<String> {
        let is_inherited = |name: &&str| {
            environment.path(name).is_some() && !self.set.iter().any(|(set, _)| set == name)
        };
        let found: Vec<_> = KEY_VARIABLES.into_iter().filter(is_inherited).collect();
        if found.is_empty() {
            return None;
        }
        let names = found.join(", ");
        Some(match inherited {
            InheritedKeys::Left => format!(
                "{names}: set beside the token, and some programs prefer keys; --without-keys removes them"
            ),
            InheritedKeys::Removed => {
                self.removed = found;
                format!("{names}: not handed on")
            }
        })
    }

    /// Name and value of each, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.set.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Puts them into the environment of a program.
    pub fn apply(&self, command: &mut std::process::Command) {
        for name in &self.removed {
            command.env_remove(name);
        }
        command.envs(self.iter());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_in_every_shell() {
        for good in ["DD_BEARER_TOKEN", "_x", "TOKEN2"] {
            assert!(VariableName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "2X", "A B", "A=B", "Ä", "A-B", "DD_SITE", "DD_OAUTH_EXEC", "DD_API_KEY"] {
            assert!(VariableName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_proxy_of_the_environment_is_not_asked_for_this_machine() {
        let set = |variables: &[(&str, &str)]| {
            let mut ours = Variables::default();
            ours.reach_loopback(&Environment::of(variables));
            ours.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
        };
        assert!(set(&[("NO_PROXY", "a")]).is_empty());
        let expected = ["NO_PROXY=a.org,127.0.0.1", "no_proxy=127.0.0.1"];
        assert_eq!(set(&[("http_proxy", "http://p"), ("NO_PROXY", "a.org")]), expected);
    }

    #[test]
    fn keys_are_mentioned_and_removed_only_when_asked() {
        let environment = Environment::of(&[("DD_API_KEY", "k"), ("DATADOG_APP_KEY", "a")]);
        let mut variables = Variables::default();
        let left = variables.mind_keys(&environment, InheritedKeys::Left).unwrap();
        assert!(left.starts_with("DD_API_KEY, DATADOG_APP_KEY:"), "{left}");
        assert!(variables.removed.is_empty());
        variables.set("DD_API_KEY", "of the store");
        let removed = variables.mind_keys(&environment, InheritedKeys::Removed).unwrap();
        assert!(removed.starts_with("DATADOG_APP_KEY:"), "{removed}");
        assert_eq!(variables.removed, ["DATADOG_APP_KEY"]);
        assert!(
            Variables::default().mind_keys(&Environment::of(&[]), InheritedKeys::Left).is_none()
        );
    }
}
