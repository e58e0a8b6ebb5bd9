//! The way to a server: directly, or through a proxy.

use hyper_util::client::proxy::matcher::Matcher;

use crate::environment::Environment;
use crate::site::Site;

/// The way to a server.
#[derive(Debug, PartialEq, Eq)]
pub enum Route {
    /// Without a proxy.
    Direct,
    /// Through a proxy. `address` has no user and no password; without a variable it is the system
    /// that names it.
    Proxy { address: String, variable: Option<&'static str> },
    /// Without the proxy that this variable names, for which `NO_PROXY` makes an exception.
    Exempt { variable: &'static str },
    /// Without a proxy, as what this variable says is none.
    Unusable { variable: &'static str },
}

impl Route {
    /// The one that [`Http`](super::Http) takes to the API of `site`.
    #[must_use]
    pub fn to(site: &Site, environment: &Environment) -> Self {
        const VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
        let uri = site.api_url().parse::<::http::Uri>();
        let (Ok(uri), false) = (uri, site.is_loopback()) else { return Self::Direct };
        let is_proxy = |variable: &str| {
            let value = environment.path(variable)?.to_str()?.to_string();
            Matcher::builder().all(value).build().intercept(&uri).map(drop)
        };
        let set = VARIABLES.into_iter().find(|variable| environment.path(variable).is_some());
        let named = VARIABLES.into_iter().find(|variable| is_proxy(variable).is_some());
        match (Matcher::from_system().intercept(&uri), named, set) {
            (Some(proxy), variable, _) => {
                let (scheme, host) = (proxy.uri().scheme_str(), proxy.uri().host());
                let port = proxy.uri().port().map(|port| format!(":{port}")).unwrap_or_default();
                let (scheme, host) = (scheme.unwrap_or("http"), host.unwrap_or_default());
                Self::Proxy { address: format!("{scheme}://{host}{port}"), variable }
            }
            (None, Some(variable), _) => Self::Exempt { variable },
            (None, None, Some(variable)) => Self::Unusable { variable },
            (None, None, None) => Self::Direct,
        }
    }
}
