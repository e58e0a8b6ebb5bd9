//! The side of the API: requests as they are sent there, and answers as they are handed back.

use http::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, LOCATION, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::{HeaderMap, HeaderValue};
use reqwest::{Body, Client, Request, Response};
use url::Url;

use super::request::{Head, connection_options};
use super::token::Held;
use crate::environment::Environment;
use crate::http_client::{HttpError, streaming_client};
use crate::site::Site;

/// Headers that are for one connection, and not for the message (RFC 9110, section 7.6.1).
const OF_THE_CONNECTION: [HeaderName; 6] =
    [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, HOST];
/// The same, by names that the standard has no constant for.
const OF_THE_CONNECTION_BY_NAME: [&str; 4] =
    ["keep-alive", "proxy-connection", "proxy-authorization", "proxy-authenticate"];
/// Another way to the API, which would not lead through us.
const ALTERNATIVE_SERVICES: &str = "alt-svc";

/// Sends requests to the API of one site.
pub struct Upstream {
    client: Client,
    api: Url,
    /// The address of the proxy, for the program.
    proxy_url: String,
}

impl Upstream {
    /// To the API of `site`, for a proxy at `authority`.
    ///
    /// # Errors
    /// If the roots that the environment names cannot be read.
    pub fn of(site: &Site, authority: &str, environment: &Environment) -> Result<Self, HttpError> {
        let api = Url::parse(&site.api_url()).expect("the API of a site is at a URL");
        let client = streaming_client(site, environment)?;
        Ok(Self { client, api, proxy_url: format!("http://{authority}") })
    }

    /// Sends a request with this token, and returns with the head of the answer.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn send(
        &self,
        head: &Head,
        token: &Held,
        body: Option<Body>,
    ) -> Result<Response, reqwest::Error> {
        let mut request = Request::new(head.method.clone(), self.url(&head.target));
        let mut headers = head.headers.clone();
        remove_of_connection(&mut headers);
        headers.remove(EXPECT);
        headers.insert(AUTHORIZATION, token.header());
        headers.append(VIA, HeaderValue::from_static("1.1 dd-oauth"));
        *request.headers_mut() = headers;
        *request.body_mut() = body;
        self.client.execute(request).await
    }

    /// The target below the API, whatever it looks like.
    fn url(&self, target: &str) -> Url {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let mut url = self.api.clone();
        url.set_path(path);
        url.set_query(query);
        url
    }

    /// The headers of an answer, for the program.
    pub fn headers_for_program(&self, response: &Response) -> HeaderMap {
        let mut headers = response.headers().clone();
        remove_of_connection(&mut headers);
        headers.remove(ALTERNATIVE_SERVICES);
        if let Some(location) = headers.get(LOCATION).and_then(|value| self.through_us(value)) {
            headers.insert(LOCATION, location);
        }
        headers
    }

    /// A redirect to the API leads through us again; others are no business of ours.
    fn through_us(&self, location: &HeaderValue) -> Option<HeaderValue> {
        let location = Url::parse(location.to_str().ok()?).ok()?;
        if location.origin() != self.api.origin() {
            return None;
        }
        let rest = &location[url::Position::BeforePath..];
        HeaderValue::try_from(format!("{}{rest}", self.proxy_url)).ok()
    }
}

fn remove_of_connection(headers: &mut HeaderMap) {
    let options = connection_options(headers).filter_map(|name| name.parse::<HeaderName>().ok());
    // What the message is about cannot be declared to be of the connection.
    let kept = [CONTENT_LENGTH, AUTHORIZATION, ACCEPT];
    let named: Vec<_> = options.filter(|name| !kept.contains(name)).collect();
    for name in named.iter().chain(&OF_THE_CONNECTION) {
        headers.remove(name);
    }
    for name in OF_THE_CONNECTION_BY_NAME {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream() -> Upstream {
        let environment = Environment::of(&[]);
        let site = Site::parse("http://127.0.0.1:81").unwrap();
        let mut upstream = Upstream::of(&site, "127.0.0.1:9", &environment).unwrap();
        upstream.api = Url::parse("https://api.datadoghq.eu").unwrap();
        upstream
    }

    #[test]
    fn every_target_stays_at_the_api() {
        for target in
            ["/a?b=c", "//evil.example.org/x", "/@evil.example.org", "/a:443/", "/%2e%2e/x?y?z"]
        {
            let url = upstream().url(target);
            assert_eq!(url.origin(), upstream().api.origin(), "{target}: {url}");
        }
        assert_eq!(
            upstream().url("/a//b?c=%2F&d").as_str(),
            "https://api.datadoghq.eu/a//b?c=%2F&d"
        );
        assert_eq!(upstream().url("//x/y").path(), "//x/y");
    }

    #[test]
    fn a_redirect_to_the_api_leads_through_us() {
        let rewritten = |text: &str| {
            let rewritten = upstream().through_us(&HeaderValue::try_from(text).unwrap());
            rewritten.map(|value| value.to_str().unwrap().to_string())
        };
        let ours = Some("http://127.0.0.1:9/a?b#c".to_string());
        assert_eq!(rewritten("https://api.datadoghq.eu/a?b#c"), ours);
        assert_eq!(rewritten("https://API.datadoghq.eu:443/a?b#c"), ours);
        for other in ["/a", "https://app.datadoghq.eu/a", "http://api.datadoghq.eu/a", "x:"] {
            assert_eq!(rewritten(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_of_the_connection_goes_no_further() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Mine , content-length"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("x-mine", "1"),
            ("content-length", "5"),
            ("x-other", "2"),
        ] {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        remove_of_connection(&mut headers);
        let left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left.len(), 2, "{left:?}");
        assert!(headers.contains_key("content-length") && headers.contains_key("x-other"));
    }
}
