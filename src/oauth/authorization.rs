//! The authorization request, and what its callback may say.

use oauth2::basic::BasicClient;
use oauth2::{
    AuthUrl, AuthorizationCode, CsrfToken, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope,
};
use url::Url;

use super::endpoints::Endpoints;
use super::error::{LoginError, described, quotable};
use super::redirect::Redirect;
use crate::names::{ClientId, OrgUuid};
use crate::scope::Scopes;
use crate::site::{Site, VanityHost};

/// Bytes of randomness in `state` (RFC 9700, section 4.7).
const STATE_BYTES: u32 = 32;

/// What a login asks for.
#[derive(Clone, Debug)]
pub struct Ask {
    pub site: Site,
    pub vanity: Option<VanityHost>,
    pub client_id: ClientId,
    pub redirect_uri: RedirectUrl,
    pub scopes: Scopes,
    /// The organization to log in to (`dd_oid`); any, where there is none.
    pub org_uuid: Option<OrgUuid>,
}

/// One authorization request that is under way.
pub struct Authorization {
    /// Where the person logs in.
    pub url: Url,
    ask: Ask,
    state: CsrfToken,
    verifier: PkceCodeVerifier,
}

/// What the person agreed to, ready to be exchanged.
pub struct Returned {
    /// Where the code is exchanged, and the session belongs.
    pub site: Site,
    pub code: AuthorizationCode,
    pub verifier: PkceCodeVerifier,
    pub org_uuid: Option<OrgUuid>,
    pub org_name: Option<String>,
}

impl Authorization {
    /// Prepares a request with a fresh `state` and code verifier.
    #[must_use]
    pub fn begin(ask: Ask) -> Self {
        let address = Endpoints::of(&ask.site, ask.vanity.as_ref()).authorize;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let client = BasicClient::new(oauth2::ClientId::new(ask.client_id.as_str().to_string()))
            .set_auth_uri(AuthUrl::new(address).expect("a site's URLs are URLs"))
            .set_redirect_uri(ask.redirect_uri.clone());
        let mut request = client
            .authorize_url(|| CsrfToken::new_random_len(STATE_BYTES))
            .add_scopes(ask.scopes.iter().map(|scope| Scope::new(scope.to_string())))
            .set_pkce_challenge(challenge);
        if let Some(uuid) = &ask.org_uuid {
            request = request.add_extra_param("dd_oid", uuid.to_string());
        }
        let (url, state) = request.url();
        Self { url, ask, state, verifier }
    }

    /// What was asked for.
    #[must_use]
    pub fn ask(&self) -> &Ask {
        &self.ask
    }

    /// Whether `state` is ours.
    #[must_use]
    pub fn has_state(&self, state: Option<&str>) -> bool {
        // Guessing 256 bits by timing one comparison each is out of reach for a web page.
        state == Some(self.state.secret())
    }

    /// Decides where the code of a callback goes, if anywhere. A code that was refused may be
    /// followed by a better one, so the request stays under way.
    ///
    /// # Errors
    /// If the login was denied, or the callback names a region, an issuer or an organization
    /// that it must not: then no code is sent to anybody.
    pub fn finish(&self, redirect: Redirect) -> Result<Returned, LoginError> {
        if let Some(error) = redirect.error {
            let description = redirect.error_description.unwrap_or_default();
            if error == "invalid_scope" {
                let named = self.ask.scopes.named_in(&description);
                let description = quotable(&description);
                return Err(LoginError::ScopesRefused { named, description });
            }
            let (code, description) = (quotable(&error), quotable(&description));
            return Err(LoginError::Denied { code, description });
        }
        let site = adopted(&self.ask.site, &redirect)?;
        self.check_issuer(&site, redirect.iss.as_deref())?;
        let org_uuid = redirect.dd_oid.as_deref().and_then(OrgUuid::parse);
        if let (Some(asked), Some(came)) = (&self.ask.org_uuid, &org_uuid)
            && asked != came
        {
            let name = redirect.dd_org_name.as_deref().map(quotable).unwrap_or_default();
            let came = format!("{came}{}", described(&name));
            return Err(LoginError::OtherOrganization { asked: asked.clone(), came });
        }
        let Some(code) = redirect.code else {
            let description = "the callback carried neither a code nor an error".to_string();
            return Err(LoginError::Denied { code: "no code".into(), description });
        };
        Ok(Returned {
            site,
            code: AuthorizationCode::new(code),
            verifier: PkceCodeVerifier::new(self.verifier.secret().clone()),
            org_uuid,
            org_name: redirect.dd_org_name,
        })
    }

    fn check_issuer(&self, site: &Site, iss: Option<&str>) -> Result<(), LoginError> {
        let Some(iss) = iss else { return Ok(()) };
        let of_vanity = |vanity: &VanityHost| {
            iss.strip_suffix('/').unwrap_or(iss) == format!("https://{}", vanity.host)
        };
        if site.issues_as(iss) || self.ask.vanity.as_ref().is_some_and(of_vanity) {
            return Ok(());
        }
        Err(LoginError::ForeignIssuer { iss: quotable(iss), site: site.to_string() })
    }
}

/// The site that the person ended up at. A region is taken from the callback only if it is exactly
/// one of Datadog's, and only where the login began at one of them.
fn adopted(asked: &Site, redirect: &Redirect) -> Result<Site, LoginError> {
    let Site::Datadog(_) = asked else { return Ok(asked.clone()) };
    let named = match (&redirect.domain, &redirect.site) {
        (Some(domain), _) => domain.clone(),
        (None, Some(url)) => match Url::parse(url).ok().as_ref().and_then(Url::host_str) {
            // The full URL has the web host in it.
            Some(host) => host.strip_prefix("app.").unwrap_or(host).to_string(),
            None => url.clone(),
        },
        (None, None) => return Ok(asked.clone()),
    };
    Site::exactly(&named).ok_or_else(|| LoginError::ForeignRegion { named: quotable(&named) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(site: &str) -> Authorization {
        begin_for(site, None)
    }

    fn begin_for(site: &str, org_uuid: Option<&str>) -> Authorization {
        let redirect_uri = "http://127.0.0.1:8000/oauth/callback".to_string();
        Authorization::begin(Ask {
            site: Site::parse(site).unwrap(),
            vanity: None,
            client_id: ClientId::parse("client").unwrap(),
            redirect_uri: RedirectUrl::new(redirect_uri).unwrap(),
            scopes: Scopes::parse("a b").unwrap(),
            org_uuid: org_uuid.and_then(OrgUuid::parse),
        })
    }

    fn redirect() -> Redirect {
        Redirect { code: Some("code".into()), ..Redirect::default() }
    }

    fn region(site: &str, redirect: Redirect) -> Result<String, LoginError> {
        begin(site).finish(redirect).map(|returned| returned.site.to_string())
    }

    #[test]
    fn the_request_carries_pkce_state_and_scopes() {
        let authorization = begin("eu1");
        let url = &authorization.url;
        assert!(url.as_str().starts_with("https://app.datadoghq.eu/oauth2/v1/authorize?"));
        let value = |key: &str| {
            let pair = url.query_pairs().find(|(name, _)| name == key);
            pair.map(|(_, value)| value.into_owned()).unwrap_or_default()
        };
        assert_eq!(value("code_challenge_method"), "S256");
        assert_eq!(value("scope"), "a b");
        assert_eq!(value("state").len(), 43, "256 bits in base64url");
        assert!(authorization.has_state(Some(&value("state"))));
        assert!(!begin("eu1").has_state(Some(&value("state"))));
        assert!(!authorization.has_state(None));
        assert_eq!(value("dd_oid"), "");
    }

    #[test]
    fn a_region_is_adopted_only_if_it_is_exactly_one_of_datadogs() {
        let domain = |domain: &str| Redirect { domain: Some(domain.into()), ..redirect() };
        assert_eq!(region("us1", domain("datadoghq.eu")).unwrap(), "datadoghq.eu");
        let site = Redirect { site: Some("https://app.datadoghq.eu".into()), ..redirect() };
        assert_eq!(region("us1", site).unwrap(), "datadoghq.eu");
        for foreign in ["evil.test", "EU1", "datadoghq.eu.evil.test", "", "acme.datadoghq.com"] {
            let error = region("us1", domain(foreign)).unwrap_err();
            assert!(matches!(error, LoginError::ForeignRegion { .. }), "{foreign}");
        }
        let loopback = "http://127.0.0.1:81";
        assert_eq!(region(loopback, domain("datadoghq.eu")).unwrap(), loopback);
    }

    #[test]
    fn an_issuer_must_be_the_site_that_gets_the_code() {
        let issued = |domain: Option<&str>, iss: &str| {
            let domain = domain.map(String::from);
            region("us1", Redirect { domain, iss: Some(iss.into()), ..redirect() })
        };
        assert!(issued(None, "https://app.datadoghq.com").is_ok());
        assert!(issued(Some("datadoghq.eu"), "https://app.datadoghq.eu").is_ok());
        for (domain, iss) in [
            (Some("datadoghq.eu"), "https://app.datadoghq.com"),
            (None, "https://evil.test"),
            (None, ""),
        ] {
            let error = issued(domain, iss).unwrap_err();
            assert!(matches!(error, LoginError::ForeignIssuer { .. }), "{iss}");
        }
    }

    #[test]
    fn a_denial_is_told_in_one_clean_line() {
        let denied = Redirect {
            error: Some("access_denied".into()),
            error_description: Some("no\r\nway\u{1b}[31m".into()),
            ..Redirect::default()
        };
        let error = region("us1", denied).unwrap_err().to_string();
        assert!(error.contains("access_denied") && !error.contains(char::is_control), "{error}");
        assert!(matches!(region("us1", Redirect::default()), Err(LoginError::Denied { .. })));
    }

    #[test]
    fn the_organization_that_was_asked_for_is_the_one_that_may_come_back() {
        let (asked, other) =
            ("00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b");
        let authorization = begin_for("us1", Some(asked));
        assert!(authorization.url.query().unwrap().contains(&format!("dd_oid={asked}")));
        let came = |oid: Option<&str>| {
            authorization.finish(Redirect { dd_oid: oid.map(String::from), ..redirect() })
        };
        assert!(came(Some(&asked.to_uppercase())).is_ok());
        assert!(came(None).is_ok_and(|returned| returned.org_uuid.is_none()));
        assert!(matches!(came(Some(other)), Err(LoginError::OtherOrganization { .. })));
    }

    #[test]
    fn refused_scopes_are_those_that_were_asked_for() {
        let refused = |description: &str| {
            let error = Some("invalid_scope".into());
            let error_description = Some(description.into());
            match begin("us1").finish(Redirect { error, error_description, ..Redirect::default() })
            {
                Err(LoginError::ScopesRefused { named, .. }) => named.to_string(),
                _ => panic!("{description} was taken for something else"),
            }
        };
        assert_eq!(refused("The following scopes are not recognized: b, c"), "b");
        assert_eq!(refused(""), "");
    }
}
