//! One HTTP request at a time, with limits on everything and no redirects.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Certificate;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::environment::Environment;
use crate::exit::ExitKind;
use crate::site::Site;

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const REQUEST_LIMIT: Duration = Duration::from_secs(15);
/// Shorter than servers keep a connection that is not used.
const POOL_LIMIT: Duration = Duration::from_secs(15);
/// A token response is two tokens and a few words; whatever is longer is not one.
pub const BODY_LIMIT: usize = 32 * 1024;

/// An HTTP client for one site.
pub struct Http {
    client: reqwest::Client,
}

/// A whole reply.
pub struct Reply {
    pub status: u16,
    /// Seconds that the server asks us to wait (`Retry-After`), counted from now.
    pub retry_after: Option<Duration>,
    /// The server's clock (`Date`, RFC 9110, section 6.6.1), in whole seconds.
    pub date: Option<Timestamp>,
    pub body: Zeroizing<Vec<u8>>,
}

impl Reply {
    /// The body as a JSON object. (Serde by itself takes an array for the fields in their order.)
    #[must_use]
    pub fn json<T: DeserializeOwned>(&self) -> Option<T> {
        if self.may_be_object() { serde_json::from_slice(&self.body).ok() } else { None }
    }

    /// Whether the body begins as a JSON object does.
    #[must_use]
    pub fn may_be_object(&self) -> bool {
        self.body.trim_ascii_start().starts_with(b"{")
    }
}

/// A request without a whole reply.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("could not reach {host}: {why}")]
    NotSent { host: String, why: String },
    #[error("{host} gave no whole answer: {why}")]
    NoAnswer { host: String, why: String },
    #[error("{host} answered with more than {limit} bytes")]
    TooLong { host: String, limit: usize },
    #[error("{host} answered with status {status} and no usable body")]
    Status { host: String, status: u16 },
    #[error("the certificates of {variable} cannot be used: {why}")]
    BadRoots { variable: &'static str, why: String },
    #[error("could not prepare an HTTP request: {0}")]
    Setup(String),
}

impl HttpError {
    /// See [`crate::error::Error::kind`].
    #[must_use]
    pub fn kind(&self) -> ExitKind {
        match self {
            Self::NotSent { .. }
            | Self::NoAnswer { .. }
            | Self::TooLong { .. }
            | Self::Status { .. } => ExitKind::Temporary,
            Self::BadRoots { .. } | Self::Setup(_) => ExitKind::Other,
        }
    }
}

impl Http {
    /// A client for the endpoints of `site`. Roots are those of the operating system, or of
    /// `SSL_CERT_FILE` / `SSL_CERT_DIR` instead, as in OpenSSL; proxies are those of the
    /// environment, but never for loopback.
    ///
    /// # Errors
    /// Where the roots that the environment names cannot be read.
    pub fn for_site(site: &Site, environment: &Environment) -> Result<Self, HttpError> {
        let builder = builder_for(site, environment)?
            .user_agent(concat!("dd-oauth/", env!("CARGO_PKG_VERSION")))
            .timeout(REQUEST_LIMIT)
            .pool_max_idle_per_host(0);
        let client = builder.build().map_err(|error| HttpError::Setup(causes(&error)))?;
        Ok(Self { client })
    }

    /// Sends one request and reads the whole reply, whatever its status.
    ///
    /// # Errors
    /// [`HttpError::NotSent`] where the server can have seen nothing of it, and
    /// [`HttpError::NoAnswer`] or [`HttpError::TooLong`] where it may have acted on it.
    pub async fn send(&self, request: ::http::Request<Vec<u8>>) -> Result<Reply, HttpError> {
        let host = request.uri().authority().map_or_else(String::new, ToString::to_string);
        let request = request.try_into().map_err(|error| HttpError::Setup(causes(&error)))?;
        let failed = |error: reqwest::Error| {
            let why = causes(&error);
            // What fails while connecting (DNS, TCP, TLS, a proxy) fails before the request.
            if error.is_connect() || error.is_builder() {
                HttpError::NotSent { host: host.clone(), why }
            } else {
                HttpError::NoAnswer { host: host.clone(), why }
            }
        };
        let mut response = self.client.execute(request).await.map_err(failed)?;
        let mut body = Zeroizing::new(Vec::with_capacity(BODY_LIMIT));
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > BODY_LIMIT {
                return Err(HttpError::TooLong { host, limit: BODY_LIMIT });
            }
            body.extend_from_slice(&chunk);
        }
        let retry_after = response.headers().get("retry-after").and_then(retry_after);
        let date = response.headers().get("date").and_then(date);
        Ok(Reply { status: response.status().as_u16(), retry_after, date, body })
    }
}

/// A client that hands on requests of others to the API of `site`: it keeps connections, and ends
/// no request, for how long those may take is the business of whoever made them.
///
/// # Errors
/// As [`Http::for_site`].
pub fn streaming_client(
    site: &Site,
    environment: &Environment,
) -> Result<reqwest::Client, HttpError> {
    let builder = builder_for(site, environment)?.pool_idle_timeout(POOL_LIMIT);
    builder.build().map_err(|error| HttpError::Setup(causes(&error)))
}

/// What all clients for `site` have in common.
fn builder_for(
    site: &Site,
    environment: &Environment,
) -> Result<reqwest::ClientBuilder, HttpError> {
    // Fails where it was installed before, which is just as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        // A redirect would carry a token on to another origin.
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT_LIMIT);
    if site.is_loopback() {
        builder = builder.no_proxy();
    } else {
        builder = builder.https_only(true);
    }
    if site.is_plain_http() {
        // Nothing is verified there, and reading all roots takes longer than the request.
        builder = builder.tls_certs_only([]);
    } else if let Some(roots) = named_roots(environment)? {
        builder = builder.tls_certs_only(roots.certificates);
    }
    Ok(builder)
}

/// Runs a conversation with a server on this thread, to its end.
///
/// # Errors
/// Where the system gives no way to wait for sockets.
pub fn block_on<F: Future>(conversation: F) -> Result<F::Output, HttpError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| HttpError::Setup(error.to_string()))?;
    let result = runtime.block_on(conversation);
    // Dropped, it would wait for a look-up of a name, which no deadline ends.
    runtime.shutdown_background();
    Ok(result)
}

/// `Retry-After` in either form (RFC 9110, section 10.2.3).
fn retry_after(value: &reqwest::header::HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        Some(Duration::from_secs(seconds))
    } else {
        let moment = httpdate::parse_http_date(text).ok()?;
        Some(moment.duration_since(SystemTime::now()).unwrap_or_default())
    }
}

/// `Date`; one before 1970 is none.
fn date(value: &reqwest::header::HeaderValue) -> Option<Timestamp> {
    let moment = httpdate::parse_http_date(value.to_str().ok()?).ok()?;
    let seconds = moment.duration_since(UNIX_EPOCH).ok()?.as_secs();
    i64::try_from(seconds).ok().map(Timestamp::from_seconds)
}

/// The certificates that servers are verified with.
pub struct Roots {
    /// The variable that names them; without one they are the operating system's.
    pub variable: Option<&'static str>,
    pub count: usize,
    /// What could not be read, beside those that could.
    pub unreadable: Option<String>,
}

impl Roots {
    /// Those that [`Http::for_site`] uses.
    ///
    /// # Errors
    /// Where the roots that the environment names cannot be read.
    pub fn of(environment: &Environment) -> Result<Self, HttpError> {
        if let Some(named) = named_roots(environment)? {
            let (variable, count) = (Some(named.variable), named.certificates.len());
            return Ok(Self { variable, count, unreadable: named.unreadable });
        }
        let found = rustls_native_certs::load_native_certs();
        let unreadable = found.errors.first().map(|error| causes(error));
        Ok(Self { variable: None, count: found.certs.len(), unreadable })
    }
}

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
    /// The one that [`Http`] takes to the API of `site`.
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

/// The roots that the environment names.
struct NamedRoots {
    variable: &'static str,
    certificates: Vec<Certificate>,
    unreadable: Option<String>,
}

fn named_roots(environment: &Environment) -> Result<Option<NamedRoots>, HttpError> {
    let file = environment.path("SSL_CERT_FILE");
    // A list, as in OpenSSL.
    let directories = environment.path("SSL_CERT_DIR").unwrap_or_default();
    let directories: Vec<_> = std::env::split_paths(&directories)
        .filter(|directory| !directory.as_os_str().is_empty())
        .collect();
    let variable = match (&file, directories.as_slice()) {
        (None, []) => return Ok(None),
        (Some(_), _) => "SSL_CERT_FILE",
        (None, _) => "SSL_CERT_DIR",
    };
    let bad = |why: String| HttpError::BadRoots { variable, why };
    let mut found = rustls_native_certs::load_certs_from_paths(file.as_deref(), None);
    for directory in &directories {
        let more = rustls_native_certs::load_certs_from_paths(None, Some(directory));
        found.certs.extend(more.certs);
        found.errors.extend(more.errors);
    }
    if found.certs.is_empty() {
        let why =
            found.errors.first().map_or_else(|| "there are none".into(), |error| causes(error));
        return Err(bad(why));
    }
    let certificates = found.certs.iter().map(|der| Certificate::from_der(der));
    let certificates =
        certificates.collect::<Result<_, _>>().map_err(|error| bad(causes(&error)))?;
    let unreadable = found.errors.first().map(|error| causes(error));
    Ok(Some(NamedRoots { variable, certificates, unreadable }))
}

/// What lies beneath an error, innermost last; the outermost line of `reqwest` only repeats the
/// address.
#[must_use]
pub fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if causes.last().is_none_or(|last: &String| !last.contains(&text)) {
            causes.push(text);
        }
        next = cause.source();
    }
    if causes.is_empty() { error.to_string() } else { causes.join(": ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let wait = |text: &str| retry_after(&text.parse().unwrap());
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("Thu, 01 Jan 1970 00:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("-1"), None);
    }
}
