//! Where a URL leads, as the dialects that are asked with one read it.

use crate::site::Site;

/// Splits a URL into its scheme, if it has one, and its authority (RFC 3986, section 3). Nothing is
/// decoded: what does not stand there to the letter is no address of ours.
fn split(url: &str) -> (Option<&str>, &str) {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, url),
    };
    (scheme, rest.split(['/', '?', '#']).next().unwrap_or_default())
}

/// The site to which an absolute URL leads.
pub(super) fn site(url: &str) -> Option<Site> {
    let (scheme, authority) = split(url);
    Site::at(scheme?, authority)
}

/// The site to which a URL leads whose scheme may be missing: it is `https` then, but `http` on
/// this machine.
pub(super) fn site_of_registry(url: &str) -> Option<Site> {
    let (scheme, authority) = split(url);
    let implied = if authority.starts_with("127.0.0.1:") { "http" } else { "https" };
    Site::at(scheme.unwrap_or(implied), authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_authority_says_where_a_url_leads() {
        let leads = |url: &str| site(url).map(|site| site.to_string());
        assert_eq!(leads("https://api.datadoghq.eu").as_deref(), Some("datadoghq.eu"));
        assert_eq!(leads("https://api.datadoghq.eu/v2/?q#f").as_deref(), Some("datadoghq.eu"));
        for elsewhere in [
            "api.datadoghq.eu",
            "https:api.datadoghq.eu",
            "https:/api.datadoghq.eu",
            "https:///api.datadoghq.eu",
            "https://evil.test/https://api.datadoghq.eu",
            "https://evil.test?https://api.datadoghq.eu/",
            "https://api.datadoghq.eu@evil.test/",
            "https://evil.test@api.datadoghq.eu/",
            "https://api.datadoghq.eu\\@evil.test/",
            "https://evil.test#://api.datadoghq.eu",
            "https://api.datadoghq.eu%2f.evil.test/",
            "grpcs://api.datadoghq.eu/",
            "://api.datadoghq.eu",
            "",
        ] {
            assert_eq!(leads(elsewhere), None, "{elsewhere}");
        }
    }

    #[test]
    fn a_registry_needs_no_scheme() {
        let leads = |url: &str| site_of_registry(url).map(|site| site.to_string());
        assert_eq!(leads("api.datadoghq.eu").as_deref(), Some("datadoghq.eu"));
        assert_eq!(leads("https://api.datadoghq.eu/v2/").as_deref(), Some("datadoghq.eu"));
        assert_eq!(leads("127.0.0.1:5000").as_deref(), Some("http://127.0.0.1:5000"));
        assert_eq!(leads("https://127.0.0.1:5000").as_deref(), Some("https://127.0.0.1:5000"));
        assert_eq!(leads("http://api.datadoghq.eu"), None);
        assert_eq!(leads("https://index.docker.io/v1/"), None);
    }
}
