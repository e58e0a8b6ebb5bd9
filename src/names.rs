//! What sessions, organizations and clients are called, and the names of their files.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::platform;
use crate::secret::hex;
use crate::site::Site;

/// Longest organization label, in bytes.
const MAX_LABEL_BYTES: usize = 128;
/// Longest encoded part of a file name; file systems stop at 255 bytes for the whole.
const MAX_PART_BYTES: usize = 100;

/// The name under which a session of an organization is kept; a label, not the UUID.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrgLabel(String);

impl OrgLabel {
    /// Accepts 1 to 128 bytes without control characters; blanks around it are dropped.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let fits = !text.is_empty() && text.len() <= MAX_LABEL_BYTES;
        (fits && !text.chars().any(char::is_control)).then(|| Self(text.to_string()))
    }
}

impl fmt::Display for OrgLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The UUID of an organization (`dd_oid`), in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrgUuid(String);

impl OrgUuid {
    /// Accepts the form of RFC 9562, section 4.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let groups: Vec<_> = text.split('-').map(str::len).collect();
        let digits = text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
        (groups == [8, 4, 4, 4, 12] && digits).then(|| Self(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for OrgUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The `client_id` of the registration that issued a session's refresh token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientId(String);

impl ClientId {
    /// Accepts what RFC 6749, appendix A.1, allows, up to 256 characters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let visible = text.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
        (!text.is_empty() && text.len() <= 256 && visible).then(|| Self(text.to_string()))
    }

    /// As it stands in requests.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Names one session of an installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionName {
    pub site: Site,
    pub org: Option<OrgLabel>,
}

impl SessionName {
    /// The stem of its files: readable where the name is plain, unique in every case, and the
    /// same on file systems that do not tell upper from lower case.
    #[must_use]
    pub fn file_stem(&self) -> String {
        let org = self.org.as_ref().map_or_else(String::new, |org| encode(&org.0));
        format!("{}@{org}", encode_site(&self.site))
    }

    /// Reads what [`SessionName::file_stem`] wrote; nothing where a part was cut short there.
    #[must_use]
    pub fn from_file_stem(stem: &str) -> Option<Self> {
        let (site, org) = stem.split_once('@')?;
        let site = Site::parse(&decode(site)?).ok()?;
        let org = match decode(org)? {
            org if org.is_empty() => None,
            org => Some(OrgLabel::parse(&org)?),
        };
        Some(Self { site, org })
    }
}

/// `EU1`, or `EU1 (acme)`.
impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.site.label())?;
        match &self.org {
            Some(org) => write!(f, " ({org})"),
            None => Ok(()),
        }
    }
}

/// A site as the beginning of a file name. One that the system has another use for, such as `con.corp`
/// on Windows, is written with one more encoded byte.
#[must_use]
pub fn encode_site(site: &Site) -> String {
    let encoded = encode(&site.to_string());
    match encoded.split_at_checked(1) {
        Some((first, rest)) if platform::is_reserved_name(&encoded) => {
            format!("%{}{rest}", hex(first.as_bytes()))
        }
        _ => encoded,
    }
}

/// Percent-encodes everything but lower-case letters, digits, `-`, `_` and inner dots.
fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for (position, byte) in text.bytes().enumerate() {
        let plain = byte.is_ascii_lowercase()
            || byte.is_ascii_digit()
            || matches!(byte, b'-' | b'_')
            || (byte == b'.' && position > 0);
        if plain {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push_str(&hex(&[byte]));
        }
    }
    if encoded.len() > MAX_PART_BYTES {
        let digest = hex(&Sha256::digest(text)[..16]);
        // Cut short and told apart by a digest; `~` is never the result of encoding.
        encoded.truncate(MAX_PART_BYTES - digest.len() - 1);
        encoded = format!("{encoded}~{digest}");
    }
    encoded
}

fn decode(encoded: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = encoded.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        (bytes, rest) = match byte {
            b'~' => return None,
            b'%' => {
                let (digits, after) = after.split_at_checked(2)?;
                let digits = std::str::from_utf8(digits).ok()?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                (bytes, after)
            }
            plain => {
                bytes.push(*plain);
                (bytes, after)
            }
        };
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stem(site: &str, org: Option<&str>) -> String {
        let name = SessionName {
            site: Site::parse(site).unwrap(),
            org: org.map(|org| OrgLabel::parse(org).unwrap()),
        };
        name.file_stem()
    }

    #[test]
    fn names_stay_apart_in_every_file_system() {
        assert_eq!(stem("us1", None), "datadoghq.com@");
        assert_eq!(stem("eu1", Some("acme")), "datadoghq.eu@acme");
        assert_eq!(stem("eu1", Some("Acme")), "datadoghq.eu@%41cme");
        assert_eq!(stem("http://127.0.0.1:81", None), "http%3a%2f%2f127.0.0.1%3a81@");
        assert_eq!(stem("us1", Some("../x")), "datadoghq.com@%2e.%2fx");
        let long = "ü".repeat(64);
        let longer = format!("{}x", "ü".repeat(63));
        assert_ne!(stem("us1", Some(&long)), stem("us1", Some(&longer)));
        assert!(stem("us1", Some(&long)).len() < 200);
    }

    #[test]
    fn a_name_is_read_back_from_its_files() {
        for org in [None, Some("acme"), Some("Acme Inc."), Some("a@b/c%"), Some("日本")] {
            let stem = stem("http://127.0.0.1:81", org);
            let name = SessionName::from_file_stem(&stem).unwrap();
            assert_eq!(name.file_stem(), stem);
            assert_eq!(name.org.map(|org| org.to_string()).as_deref(), org);
        }
        for bad in ["", "x", "datadoghq.com", "datadoghq.com@%", "datadoghq.com@%f", "@", "us9@"] {
            assert!(SessionName::from_file_stem(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_uuid_is_one_to_the_letter() {
        let uuid = |text: &str| OrgUuid::parse(text).map(|uuid| uuid.to_string());
        let proper = "00000000-0000-4000-8000-00000000000a";
        assert_eq!(uuid(&proper.to_uppercase()).as_deref(), Some(proper));
        for bad in ["", "0", "00000000-0000-4000-8000-00000000000g", "----"] {
            assert_eq!(uuid(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_label_has_no_control_characters_and_an_end() {
        for bad in ["", "  ", "a\nb", "a\0", &"x".repeat(129)] {
            assert!(OrgLabel::parse(bad).is_none(), "{bad:?}");
        }
        assert_eq!(OrgLabel::parse(" Acme Inc. ").unwrap().to_string(), "Acme Inc.");
    }
}
