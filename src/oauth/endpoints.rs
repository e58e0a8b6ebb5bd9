//! Where the requests of a site go.

use crate::site::{Site, VanityHost};

/// Where the requests of one site go: the paths that Datadog's own tools use.
pub struct Endpoints {
    /// RFC 7591.
    pub register: String,
    /// RFC 6749, section 3.1; a page for people.
    pub authorize: String,
    /// RFC 6749, section 3.2.
    pub token: String,
    /// RFC 7009.
    pub revoke: String,
}

impl Endpoints {
    /// Those of `site`. The login page is at its vanity host, if there is one.
    #[must_use]
    pub fn of(site: &Site, vanity: Option<&VanityHost>) -> Self {
        let api = site.api_url();
        let web =
            vanity.map_or_else(|| site.web_url(), |vanity| format!("https://{}", vanity.host));
        Self {
            register: format!("{api}/api/v2/oauth2/register"),
            authorize: format!("{web}/oauth2/v1/authorize"),
            token: format!("{api}/oauth2/v1/token"),
            revoke: format!("{api}/oauth2/v1/revoke"),
        }
    }
}
