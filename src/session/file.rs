//! The session file: a public head, and a body that is sealed together with it.
//!
//! ```text
//! dd-oauth session 1\n
//! {"site":"datadoghq.eu", ...}\n      the head, one line of JSON
//! <nonce><ciphertext>                 the body, to the end of the file
//! ```
//!
//! Everything before the nonce is associated data of the encryption, so neither part can be
//! exchanged for that of another session.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::Path;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::error::StorageError;
use super::model::{Access, Generation, Lifetime, Renewal, Session, TokenDigest};
use super::sealing_key::SealingKey;
use crate::clock::Timestamp;
use crate::names::{ClientId, OrgLabel, OrgUuid, SessionName};
use crate::scope::Scopes;
use crate::secret::Secret;
use crate::site::Site;

const KIND: Kind = Kind { magic: "dd-oauth session ", format: 1, no_such: "is not a session file" };

/// How the files of one kind begin.
pub struct Kind {
    pub magic: &'static str,
    pub format: u32,
    /// What is said of a file that is none.
    pub no_such: &'static str,
}

/// What a session file says to anybody who can read it.
#[derive(Clone, Debug)]
pub struct SessionHead {
    pub name: SessionName,
    pub vanity_host: Option<String>,
    /// The site that the login was asked for, where it came back from another one.
    pub asked_site: Option<Site>,
    /// When the access token expires; nothing where none is held.
    pub expires: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    site: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    org: Option<OrgLabel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    org_uuid: Option<OrgUuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    org_name: Option<OrgLabel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    asked_site: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vanity_host: Option<String>,
    generation: Generation,
    /// Milliseconds of Unix time.
    #[serde(skip_serializing_if = "Option::is_none")]
    issued: Option<Timestamp>,
    /// Milliseconds of Unix time.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
    scopes: String,
    /// Fingerprint of the sealing key.
    key: String,
}

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct Body {
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    /// Older programs leave it out when they write the session again.
    #[zeroize(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    imported: Option<TokenDigest>,
}

/// The bytes of a session's file.
pub fn write(session: &Session, key: &SealingKey) -> Result<Vec<u8>, StorageError> {
    let (token, lifetime) = match &session.access {
        Access::Held { token, lifetime } => (Some(token), Some(lifetime)),
        Access::Rejected => (None, None),
    };
    let head = Head {
        site: session.name.site.to_string(),
        org: session.name.org.clone(),
        org_uuid: session.org_uuid.clone(),
        org_name: session.org_name.clone(),
        asked_site: session.asked_site.as_ref().map(ToString::to_string),
        vanity_host: session.vanity_host.clone(),
        generation: session.generation,
        issued: lifetime.map(|lifetime| lifetime.issued),
        expires: lifetime.map(|lifetime| lifetime.expires),
        scopes: session.scopes.to_string(),
        key: key.fingerprint().into(),
    };
    let (client_id, refresh_token) = match &session.renewal {
        Renewal::Possible { client_id, refresh_token } => {
            (Some(client_id.as_str().to_string()), Some(refresh_token.expose().to_string()))
        }
        Renewal::Impossible => (None, None),
    };
    let body = Body {
        access_token: token.map(|token| token.expose().to_string()),
        refresh_token,
        client_id,
        imported: session.imported.clone(),
    };
    let head = serde_json::to_string(&head).expect("a head is plain data");
    let body = zeroize::Zeroizing::new(serde_json::to_vec(&body).expect("a body is plain data"));
    let public = format!("{}{}\n{head}\n", KIND.magic, KIND.format).into_bytes();
    let sealed = key.seal(&body, &public)?;
    Ok([public, sealed].concat())
}

/// Reads the public part of the file at `path`.
pub fn read_head(bytes: &[u8], path: &Path) -> Result<SessionHead, StorageError> {
    let (_, head, _) = split::<Head>(bytes, path, &KIND)?;
    let (name, _) = understand(&head, path)?;
    let asked_site = asked_site(&head, path)?;
    Ok(SessionHead { name, vanity_host: head.vanity_host, asked_site, expires: head.expires })
}

/// Opens the file at `path`, which has to be the one of the session `expected`.
pub fn read(
    bytes: &[u8],
    path: &Path,
    expected: &SessionName,
    key: &SealingKey,
) -> Result<Session, StorageError> {
    let (public, head, sealed) = split::<Head>(bytes, path, &KIND)?;
    if head.key != key.fingerprint() {
        return Err(StorageError::OtherKey { path: path.to_path_buf() });
    }
    let damaged = |why| StorageError::Corrupt { path: path.to_path_buf(), why };
    let body = key.open(sealed, public).ok_or_else(|| damaged("was cut short or changed"))?;
    let body: Body =
        serde_json::from_slice(&body).map_err(|_| damaged("does not hold a session"))?;
    let (name, scopes) = understand(&head, path)?;
    if name != *expected {
        return Err(damaged("holds another session"));
    }
    let access = match (&body.access_token, head.issued, head.expires) {
        (Some(token), Some(issued), Some(expires)) => Access::Held {
            token: Secret::parse(token.clone()).ok_or_else(|| damaged("holds no proper token"))?,
            lifetime: Lifetime { issued, expires },
        },
        _ => Access::Rejected,
    };
    let renewal = match (&body.refresh_token, &body.client_id) {
        (Some(token), Some(client_id)) => Renewal::Possible {
            client_id: ClientId::parse(client_id)
                .ok_or_else(|| damaged("holds no proper client id"))?,
            refresh_token: Secret::parse(token.clone())
                .ok_or_else(|| damaged("holds no proper token"))?,
        },
        _ => Renewal::Impossible,
    };
    Ok(Session {
        name,
        asked_site: asked_site(&head, path)?,
        org_name: head.org_name,
        org_uuid: head.org_uuid,
        vanity_host: head.vanity_host,
        generation: head.generation,
        scopes,
        access,
        renewal,
        imported: body.imported.clone(),
    })
}

/// Public part, head, and sealed body of a file of this kind.
pub fn split<'a, Head: DeserializeOwned>(
    bytes: &'a [u8],
    path: &Path,
    kind: &Kind,
) -> Result<(&'a [u8], Head, &'a [u8]), StorageError> {
    let damaged = |why| StorageError::Corrupt { path: path.to_path_buf(), why };
    let cut = || damaged("was cut short");
    let rest = bytes.strip_prefix(kind.magic.as_bytes()).ok_or_else(|| damaged(kind.no_such))?;
    let format_end = rest.iter().position(|byte| *byte == b'\n').ok_or_else(cut)?;
    let format = std::str::from_utf8(&rest[..format_end]).ok();
    let format = format.and_then(|text| text.parse::<u32>().ok());
    match format {
        Some(format) if format == kind.format => {}
        Some(newer) if newer > kind.format => {
            return Err(StorageError::Newer { path: path.to_path_buf() });
        }
        _ => return Err(damaged(kind.no_such)),
    }
    let rest = &rest[format_end + 1..];
    let head_end = rest.iter().position(|byte| *byte == b'\n').ok_or_else(cut)?;
    let head = serde_json::from_slice(&rest[..head_end])
        .map_err(|_| damaged("has a head that cannot be read"))?;
    let sealed = &rest[head_end + 1..];
    Ok((&bytes[..bytes.len() - sealed.len()], head, sealed))
}

fn understand(head: &Head, path: &Path) -> Result<(SessionName, Scopes), StorageError> {
    let damaged = |why| StorageError::Corrupt { path: path.to_path_buf(), why };
    let site = Site::parse(&head.site).map_err(|_| damaged("names no site"))?;
    let scopes = Scopes::parse(&head.scopes).map_err(|_| damaged("names no scopes"))?;
    Ok((SessionName { site, org: head.org.clone() }, scopes))
}

fn asked_site(head: &Head, path: &Path) -> Result<Option<Site>, StorageError> {
    let damaged = |_| StorageError::Corrupt { path: path.to_path_buf(), why: "names no site" };
    head.asked_site.as_deref().map(Site::parse).transpose().map_err(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(site: &str) -> Session {
        let issued = Timestamp::from_seconds(1_800_000_000);
        let renewal = Renewal::Possible {
            client_id: ClientId::parse("client").unwrap(),
            refresh_token: Secret::parse("refresh-canary".to_string()).unwrap(),
        };
        Session {
            name: SessionName { site: Site::parse(site).unwrap(), org: OrgLabel::parse("Acme") },
            org_uuid: OrgUuid::parse("00000000-0000-0000-0000-000000000001"),
            org_name: OrgLabel::parse("Acme Inc."),
            asked_site: Some(Site::parse("us3").unwrap()),
            vanity_host: None,
            generation: Generation::FIRST.next(),
            scopes: Scopes::parse("a b").unwrap(),
            access: Access::Held {
                token: Secret::parse("access-canary".to_string()).unwrap(),
                lifetime: Lifetime::starting(issued, Some(3600)),
            },
            imported: TokenDigest::of(&renewal),
            renewal,
        }
    }

    fn open(bytes: &[u8], session: &Session, key: &SealingKey) -> Result<Session, StorageError> {
        read(bytes, Path::new("x.session"), &session.name, key)
    }

    #[test]
    fn what_is_written_is_read_back() {
        let key = SealingKey::generate().unwrap();
        let written = session("eu1");
        let bytes = write(&written, &key).unwrap();
        let read = open(&bytes, &written, &key).unwrap();
        assert_eq!(format!("{read:?}"), format!("{written:?}"));
        let Renewal::Possible { refresh_token, .. } = read.renewal else {
            panic!("a refresh token")
        };
        assert_eq!(refresh_token.expose(), "refresh-canary");
        let plain = Session { imported: None, ..written.clone() };
        let again = open(&write(&plain, &key).unwrap(), &plain, &key).unwrap();
        assert_eq!(again.imported, None, "as in a file of an older program");
        let head = read_head(&bytes, Path::new("x.session")).unwrap();
        assert_eq!(head.asked_site, written.asked_site);
        assert_eq!(head.expires, Some(Timestamp::from_seconds(1_800_003_600)));
        assert!(!String::from_utf8_lossy(&bytes).contains("canary"));
    }

    #[test]
    fn truncated_at_any_byte_or_changed_in_any_it_is_refused() {
        let key = SealingKey::generate().unwrap();
        let session = session("eu1");
        let bytes = write(&session, &key).unwrap();
        for length in 0..bytes.len() {
            let error = open(&bytes[..length], &session, &key).unwrap_err();
            assert!(matches!(error, StorageError::Corrupt { .. }), "{length}: {error}");
        }
        for position in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[position] ^= 1;
            assert!(open(&changed, &session, &key).is_err(), "{position}");
        }
    }

    #[test]
    fn another_session_key_or_format_is_told_apart() {
        let key = SealingKey::generate().unwrap();
        let (eu, us) = (session("eu1"), session("us1"));
        let bytes = write(&eu, &key).unwrap();
        assert!(matches!(open(&bytes, &us, &key), Err(StorageError::Corrupt { .. })));
        let other = SealingKey::generate().unwrap();
        assert!(matches!(open(&bytes, &eu, &other), Err(StorageError::OtherKey { .. })));
        let newer = String::from_utf8_lossy(&bytes).replacen("session 1", "session 2", 1);
        assert!(matches!(open(newer.as_bytes(), &eu, &key), Err(StorageError::Newer { .. })));
    }
}
