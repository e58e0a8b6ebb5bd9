//! What kind of login is wanted.

use std::time::Duration;

use crate::config::{Config, ConfigError};
use crate::environment::Environment;
use crate::names::{OrgLabel, OrgUuid};
use crate::oauth::{Browser, REGISTERED_PORTS, redirect_uri};
use crate::scope::Scopes;
use crate::site::{Site, SiteName, VanityHost};

/// The options of one login.
pub struct LoginOptions {
    pub site: SiteName,
    pub org: Option<OrgLabel>,
    /// The organization to log in to; where none is named, the one of the session that is
    /// replaced, if it is known, else whichever the person chooses.
    pub org_uuid: Option<OrgUuid>,
    pub scopes: ScopeOptions,
    pub browser: Browser,
    /// The one port to listen on, instead of the first free one of those usually registered.
    pub callback_port: Option<u16>,
    /// The life that the caller insists on; a session that falls short of it is no reason not to
    /// log in.
    pub demand: Option<Duration>,
    /// Whether a person typed `login`, or a `get` came to it by itself.
    pub typed: bool,
    /// Whether the address at which the browser ended may come on standard input.
    pub pastes_to_stdin: bool,
    /// `--trust-site`.
    pub trust_site: bool,
}

/// Which scopes are wanted.
#[derive(Clone, Debug)]
pub struct ScopeOptions {
    /// All of them.
    pub scopes: Scopes,
    /// Those that are asked for even where the site refused them before.
    pub insisted: Scopes,
}

impl LoginOptions {
    /// The login that a `get` falls back to.
    ///
    /// # Errors
    /// Where the callback port in the environment is not a port.
    pub fn unasked(
        site: SiteName,
        org: Option<OrgLabel>,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let scopes = ScopeOptions { scopes: Scopes::default_set(), insisted: Scopes::default() };
        Ok(Self {
            site,
            org,
            org_uuid: None,
            scopes,
            browser: Browser::of(environment),
            callback_port: Config::callback_port(None, environment)?.map(|port| port.value),
            demand: None,
            typed: false,
            pastes_to_stdin: false,
            trust_site: false,
        })
    }

    /// Where the login begins: at the region of a vanity host.
    pub(super) fn begins_at(&self) -> (Site, Option<&VanityHost>) {
        let vanity = match &self.site {
            SiteName::Site(_) => None,
            SiteName::Vanity(vanity) => Some(vanity),
        };
        (self.site.region(), vanity)
    }

    /// Ports to try, in order.
    pub(super) fn ports(&self) -> Vec<u16> {
        self.callback_port.map_or_else(|| REGISTERED_PORTS.to_vec(), |port| vec![port])
    }

    /// All redirect URIs that the registration has to list.
    pub(super) fn redirect_uris(&self) -> Vec<String> {
        let mut ports = REGISTERED_PORTS.to_vec();
        ports.extend(self.callback_port.filter(|port| !REGISTERED_PORTS.contains(port)));
        ports.into_iter().map(redirect_uri).collect()
    }

    /// Tells logins to the same session apart that ask for different things.
    pub(super) fn fingerprint(&self) -> String {
        let vanity = self.begins_at().1.map(|vanity| vanity.host.as_str());
        let org_uuid = self.org_uuid.as_ref().map(ToString::to_string);
        let ScopeOptions { scopes, insisted } = &self.scopes;
        format!("{vanity:?} {org_uuid:?} {scopes} / {insisted}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(port: Option<u16>) -> LoginOptions {
        let site = SiteName::parse("us1").unwrap();
        let unasked = LoginOptions::unasked(site, None, &Environment::of(&[])).unwrap();
        LoginOptions { callback_port: port, ..unasked }
    }

    #[test]
    fn a_pinned_port_is_registered_beside_the_usual_ones() {
        assert_eq!(options(None).redirect_uris().len(), 4);
        assert_eq!(options(Some(8888)).redirect_uris().len(), 4);
        assert_eq!(options(Some(4321)).redirect_uris().len(), 5);
        assert_eq!(options(Some(4321)).ports(), [4321]);
    }

    #[test]
    fn options_that_ask_for_the_same_are_told_from_others() {
        let read_only =
            ScopeOptions { scopes: Scopes::read_only_set(), insisted: Scopes::default() };
        let org_uuid = OrgUuid::parse("00000000-0000-4000-8000-00000000000a");
        assert_eq!(options(None).fingerprint(), options(Some(8000)).fingerprint());
        for other in [
            LoginOptions { scopes: read_only, ..options(None) },
            LoginOptions { org_uuid, ..options(None) },
            LoginOptions { site: SiteName::parse("acme.datadoghq.com").unwrap(), ..options(None) },
        ] {
            assert_ne!(options(None).fingerprint(), other.fingerprint());
        }
    }
}
