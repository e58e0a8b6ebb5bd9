//! The authorization request, and what its callback may say.

use oauth2::basic::BasicClient;
use oauth2::{
    AuthUrl, AuthorizationCode, CsrfToken, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope,
};
use url::Url;

use super::{Endpoints, LoginError, quotable};
use crate::scope::Scopes;
use crate::session::ClientId;
use crate::site::{Site, VanityHost};

/// Bytes of randomness in `state` (RFC 9700, section 4.7).
const STATE_BYTES: u32 = 32;

/// One authorization request that is under way.
pub struct Authorization {
    /// Where the person logs in.
    pub url: Url,
    site: Site,
    vanity: Option<VanityHost>,
    state: CsrfToken,
    verifier: PkceCodeVerifier,
}

/// The parameters of a callback that carried the right `state`. All of them are hints from
/// outside.
#[derive(Debug, Default)]
pub struct Redirect {
    pub code: Option<String>,
    pub error: Option<String>,
    pub error_description: Option<String>,
    /// RFC 9207.
    pub iss: Option<String>,
    /// Datadog's own: the bare host of the region.
    pub domain: Option<String>,
    /// Datadog's own: the URL of the region.
    pub site: Option<String>,
    pub dd_oid: Option<String>,
    pub dd_org_name: Option<String>,
}

/// What the person agreed to, ready to be exchanged.
pub struct Returned {
    /// Where the code is exchanged, and the session belongs.
    pub site: Site,
    pub code: AuthorizationCode,
    pub verifier: PkceCodeVerifier,
    pub org_uuid: Option<String>,
    pub org_name: Option<String>,
}

impl Authorization {
    /// Prepares a request with a fresh `state` and code verifier.
    #[must_use]
    pub fn begin(
        site: &Site,
        vanity: Option<&VanityHost>,
        client_id: &ClientId,
        redirect_uri: &RedirectUrl,
        scopes: &Scopes,
    ) -> Self {
        let address = Endpoints::of(site, vanity).authorize;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let client_id = oauth2::ClientId::new(client_id.as_str().to_string());
        let (url, state) = BasicClient::new(client_id)
            .set_auth_uri(AuthUrl::new(address).expect("a site's URLs are URLs"))
            .set_redirect_uri(redirect_uri.clone())
            .authorize_url(|| CsrfToken::new_random_len(STATE_BYTES))
            .add_scopes(scopes.iter().map(|scope| Scope::new(scope.to_string())))
            .set_pkce_challenge(challenge)
            .url();
        Self { url, site: site.clone(), vanity: vanity.cloned(), state, verifier }
    }

    /// Whether `state` is ours.
    #[must_use]
    pub fn has_state(&self, state: &str) -> bool {
        // Guessing 256 bits by timing one comparison each is out of reach for a web page.
        self.state.secret() == state
    }

    /// Decides where the code of a callback goes, if anywhere.
    ///
    /// # Errors
    /// Where the login was denied, or the callback names a region or an issuer that is not
    /// Datadog's: then no code is sent to anybody.
    pub fn finish(self, redirect: Redirect) -> Result<Returned, LoginError> {
        if let Some(code) = redirect.error {
            let description = quotable(&redirect.error_description.unwrap_or_default());
            return Err(LoginError::Denied { code: quotable(&code), description });
        }
        let site = adopted(&self.site, &redirect)?;
        if let Some(iss) = &redirect.iss {
            let vanity = |host: &VanityHost| {
                iss.strip_suffix('/').unwrap_or(iss) == format!("https://{}", host.host)
            };
            if !site.issues_as(iss) && !self.vanity.as_ref().is_some_and(vanity) {
                return Err(LoginError::ForeignIssuer {
                    iss: quotable(iss),
                    site: site.to_string(),
                });
            }
        }
        let Some(code) = redirect.code else {
            let description = "the callback carried neither a code nor an error".to_string();
            return Err(LoginError::Denied { code: "no code".into(), description });
        };
        Ok(Returned {
            site,
            code: AuthorizationCode::new(code),
            verifier: self.verifier,
            org_uuid: redirect.dd_oid,
            org_name: redirect.dd_org_name,
        })
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
        Authorization::begin(
            &Site::parse(site).unwrap(),
            None,
            &ClientId::parse("client").unwrap(),
            &RedirectUrl::new("http://127.0.0.1:8000/oauth/callback".into()).unwrap(),
            &Scopes::parse("a b").unwrap(),
        )
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
        assert!(authorization.has_state(&value("state")));
        assert!(!begin("eu1").has_state(&value("state")));
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
}
