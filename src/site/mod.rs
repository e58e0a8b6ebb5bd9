//! Datadog's sites: what people call them, and where their endpoints are.

mod region;

use std::fmt;

use url::{Host, Url};

use crate::exit::ExitKind;

pub use region::{REGIONS, Region};

/// The region that is meant where nothing says otherwise.
#[must_use]
pub fn us1() -> Site {
    Site::Datadog(&REGIONS[0])
}

/// Where a session belongs: its tokens go to these endpoints and to no others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Site {
    /// One of Datadog's own regions.
    Datadog(&'static Region),
    /// An authorization server on this machine, for tests and the demo.
    Loopback(LoopbackOrigin),
    /// A host that is not Datadog's and that the user has to trust explicitly.
    Foreign(ForeignSite),
}

/// `http://127.0.0.1:PORT` or `https://127.0.0.1:PORT`; made by [`SiteName::parse`] alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoopbackOrigin(String);

/// A domain whose API is at `api.DOMAIN` and whose login page is at `app.DOMAIN`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignSite(String);

/// A web host of one customer, such as `acme.datadoghq.com`. It says where to log in; the region
/// comes back from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VanityHost {
    /// The customer's web host.
    pub host: String,
    /// The region under whose domain it lies: where the client is registered.
    pub region: &'static Region,
}

/// What a person or program named as a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SiteName {
    Site(Site),
    Vanity(VanityHost),
}

/// As it can be named again.
impl fmt::Display for SiteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Site(site) => site.fmt(f),
            Self::Vanity(vanity) => f.write_str(&vanity.host),
        }
    }
}

/// A site that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SiteError {
    #[error("{0:?} is not a site: give a Datadog site such as datadoghq.eu or its short name ({labels})", labels = labels())]
    Unknown(String),
    #[error("{0:?} is not https: plain http is used only for http://127.0.0.1:PORT")]
    NotHttps(String),
    /// Only the host is told: what stands around it may be a password.
    #[error("there is more than the host {0:?}: leave out path, port and user")]
    MoreThanHost(String),
    #[error("{0:?} is a loopback address without a port: write http://127.0.0.1:PORT")]
    LoopbackWithoutPort(String),
    #[error(
        "site {0} is not one of Datadog's: if you trust it with your login, run `dd-oauth login --site {0} --trust-site`, or list it under trusted_sites in config.toml"
    )]
    Untrusted(Site),
}

impl SiteError {
    /// See [`crate::error::Error::kind`].
    #[must_use]
    pub fn kind(&self) -> ExitKind {
        match self {
            Self::Untrusted(_) => ExitKind::Refused,
            _ => ExitKind::Usage,
        }
    }
}

fn labels() -> String {
    REGIONS.each_ref().map(|region| region.label).join(", ")
}

impl SiteName {
    /// Where a client is registered, and a login begins: at the region of a vanity host.
    #[must_use]
    pub fn region(&self) -> Site {
        match self {
            Self::Site(site) => site.clone(),
            Self::Vanity(vanity) => Site::Datadog(vanity.region),
        }
    }

    /// Reads a site as people write it: `US5`, `us5.datadoghq.com`, `app.datadoghq.eu`,
    /// `https://api.datadoghq.com/`, `http://127.0.0.1:4000`.
    ///
    /// # Errors
    /// Where it is no site at all. Whether a foreign site is trusted is not decided here.
    pub fn parse(text: &str) -> Result<Self, SiteError> {
        let name = text.trim().to_ascii_lowercase();
        // The usual spellings, for which no URL has to be taken apart.
        let usual =
            |region: &&Region| region.label.eq_ignore_ascii_case(&name) || region.site == name;
        if let Some(region) = REGIONS.iter().find(usual) {
            return Ok(Self::Site(Site::Datadog(region)));
        }
        let unknown = || SiteError::Unknown(text.to_string());
        let url = match name.split_once("://") {
            Some(("http" | "https", _)) => Url::parse(&name),
            Some(_) => return Err(unknown()),
            None => Url::parse(&format!("https://{name}")),
        }
        .map_err(|_| unknown())?;
        let bare = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.path() == "/";
        let more = || SiteError::MoreThanHost(url.host_str().unwrap_or_default().to_string());
        if !bare {
            return Err(more());
        }
        match url.host() {
            Some(Host::Ipv4(address)) if address.octets() == [127, 0, 0, 1] => {
                // Not asked of the URL, which leaves out the port that its scheme implies.
                let has_port = name.split_once("://").is_some_and(|(_, rest)| rest.contains(':'));
                match url.port_or_known_default() {
                    Some(port) if has_port => {
                        let origin = format!("{}://127.0.0.1:{port}", url.scheme());
                        Ok(Self::Site(Site::Loopback(LoopbackOrigin(origin))))
                    }
                    _ => Err(SiteError::LoopbackWithoutPort(text.to_string())),
                }
            }
            Some(Host::Domain(_)) if url.scheme() == "http" => {
                Err(SiteError::NotHttps(text.to_string()))
            }
            Some(Host::Domain(_)) if url.port().is_some() => Err(more()),
            Some(Host::Domain(host)) => Self::of_host(host).ok_or_else(unknown),
            _ if url.scheme() == "http" => Err(SiteError::NotHttps(text.to_string())),
            _ => Err(unknown()),
        }
    }

    fn of_host(host: &str) -> Option<Self> {
        if let Some(region) = REGIONS.iter().find(|region| region.answers_to(host)) {
            return Some(Self::Site(Site::Datadog(region)));
        }
        // The longest domain wins: acme.us5.datadoghq.com lies under US5, not under US1.
        let under = |region: &&Region| {
            host.strip_suffix(region.site).is_some_and(|name| name.ends_with('.'))
        };
        if let Some(region) = REGIONS.iter().filter(under).max_by_key(|region| region.site.len()) {
            return Some(Self::Vanity(VanityHost { host: host.to_string(), region }));
        }
        let labels = host.split('.');
        let proper = |label: &str| {
            !label.is_empty()
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        (host.contains('.') && host.len() <= 253 && labels.clone().all(proper))
            .then(|| Self::Site(Site::Foreign(ForeignSite(host.to_string()))))
    }
}

impl Site {
    /// Reads what [`Site`]'s `Display` wrote, as it stands in a session file.
    ///
    /// # Errors
    /// As [`SiteName::parse`]; a vanity host is not a site.
    pub fn parse(text: &str) -> Result<Self, SiteError> {
        match SiteName::parse(text)? {
            SiteName::Site(site) => Ok(site),
            SiteName::Vanity(_) => Err(SiteError::Unknown(text.to_string())),
        }
    }

    /// The region of this exact `DD_SITE` value; no other spelling, as it comes from outside.
    #[must_use]
    pub fn exactly(domain: &str) -> Option<Self> {
        REGIONS.iter().find(|region| region.site == domain).map(Self::Datadog)
    }

    /// The site at an address, to the letter but for upper and lower case: `https` to one of the
    /// hosts of Datadog's table, to a loopback site, or to the API host of a site that is not
    /// Datadog's. Nothing is decoded or tidied up, so that nobody means another host by the same
    /// text. `authority` is the host, with its port if it has one (RFC 3986, section 3.2).
    #[must_use]
    pub fn at(scheme: &str, authority: &str) -> Option<Self> {
        let (scheme, authority) = (scheme.to_ascii_lowercase(), authority.to_ascii_lowercase());
        let named = |text: &str| Self::parse(text).ok().filter(|site| site.to_string() == text);
        let loopback = named(&format!("{scheme}://{authority}")).filter(Self::is_loopback);
        if loopback.is_some() || scheme != "https" {
            return loopback;
        }
        let host = authority.strip_suffix(":443").unwrap_or(&authority);
        if let Some(region) = REGIONS.iter().find(|region| region.answers_to(host)) {
            return Some(Self::Datadog(region));
        }
        let foreign = host.strip_prefix("api.").and_then(named);
        foreign.filter(|site| matches!(site, Self::Foreign(_)))
    }

    /// What people call it: `EU1`, or the site itself where it has no short name.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::Datadog(region) => region.label.to_string(),
            other => other.to_string(),
        }
    }

    /// The base of API requests, without a slash at the end.
    #[must_use]
    pub fn api_url(&self) -> String {
        match self {
            Self::Datadog(region) => format!("https://{}", region.api_host),
            Self::Loopback(LoopbackOrigin(origin)) => origin.clone(),
            Self::Foreign(ForeignSite(domain)) => format!("https://api.{domain}"),
        }
    }

    /// The base of the login page. Datadog answers at `app.{site}` for every region.
    #[must_use]
    pub fn web_url(&self) -> String {
        match self {
            Self::Loopback(LoopbackOrigin(origin)) => origin.clone(),
            site => format!("https://app.{site}"),
        }
    }

    /// Whether an `iss` of RFC 9207 names this site: one of its origins, to the letter.
    #[must_use]
    pub fn issues_as(&self, iss: &str) -> bool {
        let iss = iss.strip_suffix('/').unwrap_or(iss);
        let listed = match self {
            Self::Datadog(region) => iss == format!("https://{}", region.web_host),
            _ => false,
        };
        listed || iss == self.web_url() || iss == self.api_url()
    }

    /// Whether its requests go unencrypted, which only loopback may.
    #[must_use]
    pub fn is_plain_http(&self) -> bool {
        matches!(self, Self::Loopback(LoopbackOrigin(origin)) if origin.starts_with("http:"))
    }

    /// Whether it is in Datadog's own table.
    #[must_use]
    pub fn is_datadog(&self) -> bool {
        matches!(self, Self::Datadog(_))
    }

    /// Whether it is on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        matches!(self, Self::Loopback(_))
    }
}

/// The value that `DD_SITE` has for this site.
impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Datadog(region) => region.site,
            Self::Loopback(LoopbackOrigin(origin)) => origin,
            Self::Foreign(ForeignSite(domain)) => domain,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(text: &str) -> String {
        match SiteName::parse(text) {
            Ok(SiteName::Site(site)) => site.to_string(),
            Ok(SiteName::Vanity(vanity)) => {
                format!("{} under {}", vanity.host, vanity.region.label)
            }
            Err(error) => format!("{error:?}"),
        }
    }

    #[test]
    fn every_spelling_of_every_region_means_it() {
        for region in &REGIONS {
            let spellings = [
                region.label.to_string(),
                region.label.to_uppercase(),
                region.site.to_string(),
                format!(" {} ", region.site.to_uppercase()),
                region.web_host.to_string(),
                format!("app.{}", region.site),
                format!("https://{}", region.web_host),
                format!("https://{}/", region.api_host),
            ];
            for spelling in spellings {
                assert_eq!(site(&spelling), region.site, "{spelling}");
            }
        }
    }

    #[test]
    fn a_vanity_host_ends_in_a_datadog_domain_at_a_label_boundary() {
        assert_eq!(site("acme.datadoghq.com"), "acme.datadoghq.com under US1");
        assert_eq!(site("https://acme.us5.datadoghq.com/"), "acme.us5.datadoghq.com under US5");
        assert_eq!(site("acme.datadoghq.eu"), "acme.datadoghq.eu under EU1");
        for foreign in ["notdatadoghq.com", "datadoghq.com.evil.test", "app-datadoghq.com"] {
            let SiteName::Site(Site::Foreign(_)) = SiteName::parse(foreign).unwrap() else {
                panic!("{foreign} was taken for Datadog's");
            };
        }
    }

    #[test]
    fn what_hides_another_host_is_refused() {
        for text in [
            "https://app.datadoghq.com@evil.test",
            "https://evil.test/datadoghq.com",
            "https://datadoghq.com?x=.evil.test",
            "datadoghq.com:8443",
        ] {
            let error = SiteName::parse(text).unwrap_err();
            assert!(matches!(error, SiteError::MoreThanHost(_)), "{text}");
        }
        let error = SiteName::parse("https://user:canary@datadoghq.com").unwrap_err();
        assert!(!error.to_string().contains("canary"), "{error}");
        for text in
            ["", "us9", "ftp://datadoghq.com", "data dog.com", "a..b", "\0", "[::1]", "10.0.0.1"]
        {
            assert_eq!(SiteName::parse(text), Err(SiteError::Unknown(text.into())), "{text:?}");
        }
        for text in ["http://datadoghq.com", "http://10.0.0.1:80", "http://localhost:4000"] {
            assert_eq!(SiteName::parse(text), Err(SiteError::NotHttps(text.into())), "{text}");
        }
    }

    #[test]
    fn loopback_needs_scheme_and_port_and_uses_one_origin() {
        assert_eq!(site("http://127.0.0.1:4000/"), "http://127.0.0.1:4000");
        let loopback = Site::parse("https://127.0.0.1:4000").unwrap();
        assert_eq!(loopback.api_url(), "https://127.0.0.1:4000");
        assert_eq!(loopback.web_url(), "https://127.0.0.1:4000");
        for text in ["http://127.0.0.1:80", "https://127.0.0.1:443"] {
            assert_eq!(site(&site(text)), text, "the port stands even where it is implied");
        }
        for text in ["127.0.0.1:4000", "http://127.0.0.1"] {
            assert_eq!(SiteName::parse(text), Err(SiteError::LoopbackWithoutPort(text.into())));
        }
    }

    #[test]
    fn an_address_is_a_host_of_the_site_to_the_letter() {
        let at = |scheme: &str, authority: &str| {
            Site::at(scheme, authority).map(|site| site.to_string())
        };
        for region in &REGIONS {
            for host in [region.site, region.web_host, region.api_host] {
                assert_eq!(at("https", host).as_deref(), Some(region.site), "{host}");
                assert_eq!(at("http", host), None, "{host} without encryption");
            }
        }
        assert_eq!(at("HTTPS", "API.datadoghq.EU:443").as_deref(), Some("datadoghq.eu"));
        let loopback = "http://127.0.0.1:4000";
        assert_eq!(at("http", "127.0.0.1:4000").as_deref(), Some(loopback));
        assert_eq!(at("https", "api.dd.example.org").as_deref(), Some("dd.example.org"));
        for (scheme, authority) in [
            ("https", ""),
            ("", "api.datadoghq.eu"),
            ("https", "acme.datadoghq.eu"),
            ("https", "api.datadoghq.eu:8443"),
            ("https", "api.datadoghq.eu."),
            ("https", "user@api.datadoghq.eu"),
            ("https", "%61pi.datadoghq.eu"),
            ("https", "api.datadog\thq.eu"),
            ("https", "EU1"),
            ("https", "dd.example.org"),
            ("https", "api.dd.example.org:8443"),
            ("https", "api.%64d.example.org"),
            ("https", "api.acme.datadoghq.eu"),
            ("http", "127.0.0.1"),
            ("http", "127.0.0.1:04000"),
            ("http", "127.1:4000"),
            ("http", "localhost:4000"),
            ("ftp", "127.0.0.1:4000"),
            ("https://127.0.0.1:1/#", "127.0.0.1:4000"),
        ] {
            assert_eq!(at(scheme, authority), None, "{scheme} {authority}");
        }
    }

    #[test]
    fn an_issuer_is_an_origin_of_the_site_to_the_letter() {
        let us3 = Site::exactly("us3.datadoghq.com").unwrap();
        for iss in [
            "https://us3.datadoghq.com",
            "https://app.us3.datadoghq.com/",
            "https://api.us3.datadoghq.com",
        ] {
            assert!(us3.issues_as(iss), "{iss}");
        }
        for iss in
            ["https://app.datadoghq.com", "http://us3.datadoghq.com", "us3.datadoghq.com", ""]
        {
            assert!(!us3.issues_as(iss), "{iss}");
        }
    }

    #[test]
    fn only_the_exact_domain_counts_from_outside() {
        assert!(Site::exactly("datadoghq.eu").is_some());
        for text in ["EU1", "app.datadoghq.eu", "DATADOGHQ.EU", "datadoghq.eu.", "evil.test"] {
            assert!(Site::exactly(text).is_none(), "{text}");
        }
    }
}
