//! What more than one fuzz target demands of what it tries.

use std::collections::BTreeMap;

use dd_oauth::http_client::Reply;
use dd_oauth::site::Site;
use serde_json::value::RawValue;
use url::Url;

/// What a value begins with that no message may show.
pub const CANARY: &str = "canary-";

/// Insists on a message in one line that shows nothing of `secret` which begins as [`CANARY`] does.
pub fn check_message(secret: &[u8], error: &(impl std::fmt::Display + std::fmt::Debug)) {
    let message = error.to_string();
    assert!(!message.is_empty() && !message.contains(char::is_control), "{message:?}");
    let shown = format!("{message} {error:?}");
    assert!(!has_canary(secret) || !shown.contains(CANARY), "{shown:?}");
}

/// Whether there is a token in it that no message may show.
#[must_use]
pub fn has_canary(bytes: &[u8]) -> bool {
    bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes())
}

/// Insists on a site whose token goes to exactly the host that its name says.
pub fn check_site(site: &Site) {
    let written = site.to_string();
    assert_eq!(Site::parse(&written).as_ref(), Ok(site), "it is read as it was written");
    let api = site.api_url();
    if site.is_loopback() {
        assert_eq!(api, written);
        let authority = api.split_once("://").expect("it is a URL").1;
        let port = authority.strip_prefix("127.0.0.1:").expect("it is this machine");
        assert!(port.parse::<u16>().is_ok_and(|port| port.to_string() == authority[10..]));
    } else {
        assert_eq!(api, format!("https://api.{written}"));
        let host = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        assert!(written.chars().all(host) && !written.contains(".."), "{written}");
    }
}

/// A reply of a server: one byte for its status, the rest for its body.
pub fn reply(data: &[u8]) -> Option<Reply> {
    const STATUSES: [u16; 12] = [200, 201, 204, 302, 307, 400, 401, 404, 429, 500, 502, 503];
    let (status, body) = data.split_first()?;
    let status = *STATUSES.get(usize::from(status.checked_sub(b'a')?))?;
    Some(Reply { status, retry_after: None, date: None, body: body.to_vec().into() })
}

/// What stands under a key of a JSON object, if it is a string. Read by other means than ours: no
/// other value has to make sense, nor what follows the object.
#[must_use]
pub fn string_of(object: &[u8], key: &str) -> Option<String> {
    let object = String::from_utf8_lossy(object);
    let mut values = serde_json::Deserializer::from_str(&object).into_iter();
    let values: BTreeMap<String, Box<RawValue>> = values.next()?.ok()?;
    serde_json::from_str(values.get(key)?.get()).ok()
}

/// Insists that an address, as browsers read it, leads to `site` and to nobody else.
pub fn check_address(address: &str, site: &Site) {
    check_site(site);
    let url = Url::parse(address).unwrap_or_else(|error| panic!("{error}: {address:?}"));
    if site.is_loopback() {
        assert_eq!(url.origin(), Url::parse(&site.to_string()).unwrap().origin(), "{address:?}");
    } else {
        let host = url.host_str().unwrap_or_default();
        let hosts = ["", "app.", "api."].map(|label| format!("{label}{site}"));
        assert!(hosts.iter().any(|known| known == host), "{address:?} is not at {site}");
        assert_eq!((url.scheme(), url.port_or_known_default()), ("https", Some(443)));
    }
    assert!(url.username().is_empty() && url.password().is_none(), "{address:?}");
}
