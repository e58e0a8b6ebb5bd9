//! The client for one site, the client that hands on requests of others, and replies.

use std::io::{self, Read};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, GetAll, HeaderMap, HeaderValue};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::lookup::SystemLookup;
use super::object::Object;
use super::roots::named_roots;
use super::{HttpError, causes};
use crate::clock::Timestamp;
use crate::environment::Environment;
use crate::site::Site;

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const REQUEST_LIMIT: Duration = Duration::from_secs(15);
/// Shorter than servers keep a connection that is not used.
const POOL_LIMIT: Duration = Duration::from_secs(15);
/// A token response is two tokens, a few words, and perhaps an ID token of many claims; whatever is
/// longer is not one. Counted after decoding.
const BODY_LIMIT: usize = 256 * 1024;
/// Where a body begins, so that few copies of it are left behind.
const USUAL_BODY: usize = 32 * 1024;
/// curl takes as many, and each of them is a line.
const MOST_HEADERS: usize = 1024;

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
        let body = self.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.body).trim_ascii_start();
        if body.starts_with(b"{") { serde_json::from_slice(body).ok() } else { None }
    }

    /// The body as an object that is read leniently.
    #[must_use]
    pub fn object(&self) -> Option<Object<'_>> {
        Object::read(&self.body)
    }
}

impl Http {
    /// A client for the endpoints of `site`. Roots are those of the operating system, or of
    /// `SSL_CERT_FILE` / `SSL_CERT_DIR` instead, as in OpenSSL; proxies are those of the
    /// environment, but never for loopback.
    ///
    /// # Errors
    /// If the roots that the environment names cannot be read.
    pub fn for_site(site: &Site, environment: &Environment) -> Result<Self, HttpError> {
        Self::within(REQUEST_LIMIT, site, environment)
    }

    /// The same, with `limit` for each request and its whole reply.
    ///
    /// # Errors
    /// As [`Http::for_site`].
    pub fn within(
        limit: Duration,
        site: &Site,
        environment: &Environment,
    ) -> Result<Self, HttpError> {
        let identity =
            HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]);
        let builder = builder_for(site, environment)?
            .user_agent(concat!("dd-oauth/", env!("CARGO_PKG_VERSION")))
            .timeout(limit)
            .default_headers(identity)
            // What curl takes: a reply that was sent must not be lost over a line of its head.
            .http1_allow_spaces_after_header_name_in_responses(true)
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_ignore_invalid_headers_in_responses(true)
            .http1_max_headers(MOST_HEADERS)
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
        let mut body = Zeroizing::new(Vec::with_capacity(USUAL_BODY));
        let mut cut_short = None;
        loop {
            match response.chunk().await {
                Ok(None) => break,
                Ok(Some(chunk)) if body.len() + chunk.len() > BODY_LIMIT => {
                    return Err(HttpError::TooLong { host, limit: BODY_LIMIT });
                }
                Ok(Some(chunk)) => extend(&mut body, &chunk),
                Err(error) => {
                    cut_short = Some(error);
                    break;
                }
            }
        }
        let encodings = response.headers().get_all(CONTENT_ENCODING);
        let Ok(body) = decoded(body, &encodings, BODY_LIMIT) else {
            return Err(HttpError::TooLong { host, limit: BODY_LIMIT });
        };
        // The end of the body may be missing: a last chunk, a byte of its length, TLS's farewell. An
        // object that is whole all the same was the whole answer.
        if let Some(error) = cut_short
            && Object::read(&body).is_none()
        {
            return Err(failed(error));
        }
        let retry_after = response.headers().get("retry-after").and_then(retry_after);
        let date = response.headers().get("date").and_then(date);
        Ok(Reply { status: response.status().as_u16(), retry_after, date, body })
    }
}

/// Appends to a body that may hold tokens: where it has to move, what it leaves behind is wiped.
fn extend(body: &mut Zeroizing<Vec<u8>>, chunk: &[u8]) {
    if body.capacity() - body.len() < chunk.len() {
        let mut larger = Zeroizing::new(Vec::with_capacity(2 * (body.len() + chunk.len())));
        larger.extend_from_slice(body);
        *body = larger;
    }
    body.extend_from_slice(chunk);
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
        .dns_resolver(SystemLookup)
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

/// A body that is longer than its limit once it is decoded.
#[derive(Debug)]
struct TooLong;

/// Decodes a body, the last coding first, to at most `limit` bytes. A coding that is not known, or that
/// the body does not have, leaves the body as it is: the header may be wrong, and the body is not.
fn decoded(
    mut body: Zeroizing<Vec<u8>>,
    encodings: &GetAll<'_, HeaderValue>,
    limit: usize,
) -> Result<Zeroizing<Vec<u8>>, TooLong> {
    let names: Vec<_> = encodings
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    for name in names.iter().rev() {
        // By chance, raw deflate makes something of a plain body too.
        if Object::read(&body).is_some() {
            break;
        }
        let decoded = match name.as_str() {
            "gzip" | "x-gzip" => read(MultiGzDecoder::new(body.as_slice()), limit)?,
            // Some send it with the frame of zlib that its name promises, some without.
            "deflate" => match read(ZlibDecoder::new(body.as_slice()), limit)? {
                None => read(DeflateDecoder::new(body.as_slice()), limit)?,
                decoded => decoded,
            },
            _ => None,
        };
        body = decoded.unwrap_or(body);
    }
    Ok(body)
}

/// Reads what a decoder makes of its input; nothing if that does not have this coding.
fn read(decoder: impl Read, limit: usize) -> Result<Option<Zeroizing<Vec<u8>>>, TooLong> {
    // Never grows, so that no copy is left behind.
    let mut body = Zeroizing::new(Vec::with_capacity(limit + 1));
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    match decoder.take(most).read_to_end(&mut body) {
        _ if body.len() > limit => Err(TooLong),
        Ok(_) => Ok(Some(body)),
        // What was decoded before the end went missing may be the whole answer.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && !body.is_empty() => {
            Ok(Some(body))
        }
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let wait = |text: &str| retry_after(&text.parse().unwrap());
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("Thu, 01 Jan 1970 00:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("-1"), None);
    }

    const BODY: &[u8] = b"{\"access_token\":\"a\"}";

    fn decode(encoding: &str, body: Vec<u8>, limit: usize) -> Result<Vec<u8>, TooLong> {
        let headers = HeaderMap::from_iter([(CONTENT_ENCODING, encoding.parse().unwrap())]);
        let encodings = headers.get_all(CONTENT_ENCODING);
        decoded(Zeroizing::new(body), &encodings, limit).map(|body| body.to_vec())
    }

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_nobody_asked_for_is_decoded() {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(BODY).unwrap();
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::default());
        raw.write_all(BODY).unwrap();
        let cut = gzip(BODY)[..gzip(BODY).len() - 4].to_vec();
        for (encoding, body) in [
            ("gzip", gzip(BODY)),
            ("X-GZIP", gzip(BODY)),
            ("gzip, gzip", gzip(&gzip(BODY))),
            ("deflate", zlib.finish().unwrap()),
            ("deflate", raw.finish().unwrap()),
            ("identity", BODY.to_vec()),
            ("br", BODY.to_vec()),
            // The header is wrong, or the end is missing.
            ("gzip", BODY.to_vec()),
            ("deflate", BODY.to_vec()),
            ("gzip", cut),
        ] {
            assert_eq!(decode(encoding, body, 100).unwrap(), BODY, "{encoding}");
        }
    }

    #[test]
    fn the_limit_counts_what_was_decoded() {
        let bomb = gzip(&vec![b' '; 1_000_000]);
        assert!(bomb.len() < 2_000);
        assert!(decode("gzip", bomb, 2_000).is_err());
    }
}
