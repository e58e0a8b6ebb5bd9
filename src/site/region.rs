//! Datadog's regions, and the only table in which their hosts are written.

/// One of Datadog's regions.
#[derive(Debug, PartialEq, Eq)]
pub struct Region {
    /// Datadog's short name, such as `EU1`.
    pub label: &'static str,
    /// The value of `DD_SITE`.
    pub site: &'static str,
    /// Where people log in.
    pub web_host: &'static str,
    /// Where programs go.
    pub api_host: &'static str,
}

/// Datadog's own table of sites; the only place in which their hosts are written.
pub static REGIONS: [Region; 10] = [
    region("US1", "datadoghq.com", "app.datadoghq.com", "api.datadoghq.com"),
    region("US3", "us3.datadoghq.com", "us3.datadoghq.com", "api.us3.datadoghq.com"),
    region("US5", "us5.datadoghq.com", "us5.datadoghq.com", "api.us5.datadoghq.com"),
    region("EU1", "datadoghq.eu", "app.datadoghq.eu", "api.datadoghq.eu"),
    region("AP1", "ap1.datadoghq.com", "ap1.datadoghq.com", "api.ap1.datadoghq.com"),
    region("AP2", "ap2.datadoghq.com", "ap2.datadoghq.com", "api.ap2.datadoghq.com"),
    region("UK1", "uk1.datadoghq.com", "uk1.datadoghq.com", "api.uk1.datadoghq.com"),
    region("US1-FED", "ddog-gov.com", "app.ddog-gov.com", "api.ddog-gov.com"),
    region("US2-FED", "us2.ddog-gov.com", "us2.ddog-gov.com", "api.us2.ddog-gov.com"),
    region("staging", "datad0g.com", "app.datad0g.com", "api.datad0g.com"),
];

const fn region(
    label: &'static str,
    site: &'static str,
    web_host: &'static str,
    api_host: &'static str,
) -> Region {
    Region { label, site, web_host, api_host }
}

impl Region {
    /// Whether `host` is one of its own.
    pub(super) fn answers_to(&self, host: &str) -> bool {
        host == self.site
            || host == self.web_host
            || host == self.api_host
            || host.strip_prefix("app.") == Some(self.site)
    }
}
