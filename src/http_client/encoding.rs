//! Content codings (RFC 9110, section 8.4.1). We ask for none, and some servers and proxies encode all the
//! same: the token in such a reply must not be lost.

use std::io::{self, Read};

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use reqwest::header::{GetAll, HeaderValue};
use zeroize::Zeroizing;

use super::object::Object;

/// A body that is longer than its limit once it is decoded.
#[derive(Debug)]
pub struct TooLong;

/// Decodes a body, the last coding first, to at most `limit` bytes. A coding that is not known, or that
/// the body does not have, leaves the body as it is: the header may be wrong, and the body is not.
pub fn decoded(
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
    use reqwest::header::{CONTENT_ENCODING, HeaderMap};

    use super::*;

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
