//! What a person pastes where the browser cannot come back by itself: the address at which it
//! ended, or the code out of it.

use url::{Host, Url};

use super::PATH;
use crate::oauth::authorization::Authorization;
use crate::oauth::redirect::Redirect;

/// Longer codes than Datadog's, with room to spare.
const LONGEST_CODE: usize = 4096;

/// A text that does not finish the login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasteError {
    #[error("that is the address to open: paste the one at which the browser ends after the login")]
    AddressToOpen,
    #[error(
        "that is neither the address at which the browser ended, which has {PATH} in it, nor a code"
    )]
    NotUnderstood,
    #[error("that address has a parameter twice: paste it once, and whole")]
    Repeated,
    #[error("that address belongs to another login: open the one above, and paste where it ends")]
    AnotherLogin,
    #[error("that address is cut short: it has no state, or no code; paste it whole")]
    CutShort,
}

/// Understands what was pasted as the callback of `authorization`: the redirected URL, its query,
/// or the bare code. A bare code names no region; it is exchanged at the site that was asked.
///
/// # Errors
/// See [`PasteError`].
pub fn read_paste(text: &str, authorization: &Authorization) -> Result<Redirect, PasteError> {
    let text = text.trim().trim_matches(['"', '\'', '<', '>']);
    let bare = text.strip_prefix(PATH).unwrap_or(text);
    if let Some(query) = bare.strip_prefix('?') {
        return of_query(query, authorization);
    }
    if bare.starts_with("code=") || bare.starts_with("state=") {
        return of_query(bare, authorization);
    }
    // Some browsers show an address, and copy it, without its scheme.
    let scheme = if text.starts_with("127.0.0.1:") { "http://" } else { "" };
    let whole = format!("{scheme}{text}");
    if whole.contains("://") {
        return of_address(&whole, authorization);
    }
    let proper = |byte: u8| byte.is_ascii_graphic();
    if text.is_empty() || text.len() > LONGEST_CODE || !text.bytes().all(proper) {
        return Err(PasteError::NotUnderstood);
    }
    Ok(Redirect { code: Some(text.to_string()), ..Redirect::default() })
}

fn of_address(text: &str, authorization: &Authorization) -> Result<Redirect, PasteError> {
    let url = Url::parse(text).map_err(|_| PasteError::NotUnderstood)?;
    let opened = &authorization.url;
    if (url.host(), url.path()) == (opened.host(), opened.path()) {
        return Err(PasteError::AddressToOpen);
    }
    let here = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        _ => false,
    };
    if !here || url.path() != PATH {
        return Err(PasteError::NotUnderstood);
    }
    of_query(url.query().unwrap_or_default(), authorization)
}

fn of_query(query: &str, authorization: &Authorization) -> Result<Redirect, PasteError> {
    let redirect = Redirect::parse(query).map_err(|_| PasteError::Repeated)?;
    if redirect.state.is_none() || (redirect.code.is_none() && redirect.error.is_none()) {
        return Err(PasteError::CutShort);
    }
    if !authorization.has_state(redirect.state.as_deref()) {
        return Err(PasteError::AnotherLogin);
    }
    Ok(redirect)
}

#[cfg(test)]
mod tests {
    use oauth2::RedirectUrl;

    use super::*;
    use crate::names::ClientId;
    use crate::oauth::authorization::Ask;
    use crate::scope::Scopes;
    use crate::site::Site;

    fn begin() -> (Authorization, String) {
        let authorization = Authorization::begin(Ask {
            site: Site::parse("eu1").unwrap(),
            vanity: None,
            client_id: ClientId::parse("client").unwrap(),
            redirect_uri: RedirectUrl::new(format!("http://127.0.0.1:8000{PATH}")).unwrap(),
            scopes: Scopes::parse("a").unwrap(),
            org_uuid: None,
        });
        let pair = authorization.url.query_pairs().find(|(name, _)| name == "state");
        let state = pair.unwrap().1.into_owned();
        (authorization, state)
    }

    #[test]
    fn the_address_its_query_and_the_code_are_understood() {
        let (authorization, state) = begin();
        let query = format!("code=a%2Fb&state={state}&domain=datadoghq.eu");
        for text in [
            format!("http://127.0.0.1:8000{PATH}?{query}"),
            format!("  \"http://127.0.0.1:8000{PATH}?{query}\"\r"),
            format!("127.0.0.1:8000{PATH}?{query}"),
            format!("http://localhost:8000{PATH}?{query}#fragment"),
            format!("{PATH}?{query}"),
            format!("?{query}"),
            query.clone(),
        ] {
            let redirect = read_paste(&text, &authorization).unwrap();
            assert_eq!(redirect.code.as_deref(), Some("a/b"), "{text}");
            assert_eq!(redirect.domain.as_deref(), Some("datadoghq.eu"), "{text}");
        }
        let code = read_paste(" a/b \n", &authorization).unwrap();
        assert_eq!((code.code.as_deref(), code.domain), (Some("a/b"), None));
        let denied = read_paste(&format!("?error=access_denied&state={state}"), &authorization);
        assert_eq!(denied.unwrap().error.as_deref(), Some("access_denied"));
    }

    #[test]
    fn whatever_else_is_told_apart() {
        use PasteError::{AddressToOpen, AnotherLogin, CutShort, NotUnderstood, Repeated};
        let (authorization, state) = begin();
        let base = format!("http://127.0.0.1:8000{PATH}");
        for (text, expected) in [
            (String::new(), NotUnderstood),
            ("what is this".into(), NotUnderstood),
            ("ünïcödé".into(), NotUnderstood),
            ("x".repeat(LONGEST_CODE + 1), NotUnderstood),
            (authorization.url.to_string(), AddressToOpen),
            (format!("https://evil.test{PATH}?code=a&state={state}"), NotUnderstood),
            (format!("http://127.0.0.1:8000/other?code=a&state={state}"), NotUnderstood),
            ("http://".into(), NotUnderstood),
            (base.clone(), CutShort),
            (format!("{base}?code=a"), CutShort),
            (format!("{base}?state={state}"), CutShort),
            (format!("{base}?code=a&state={}", &state[1..]), AnotherLogin),
            (format!("{base}?code=a&code=b&state={state}"), Repeated),
        ] {
            assert_eq!(read_paste(&text, &authorization).unwrap_err(), expected, "{text}");
        }
    }
}
