//! Tokens, which are wiped when dropped and never shown by accident.

use std::fmt;
use std::marker::PhantomData;

use zeroize::Zeroizing;

/// Longest token that is accepted, in bytes; a reply with a longer one is not a token response.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Marks a [`Secret`] as an access token (RFC 6749, section 1.4).
#[derive(Clone)]
pub enum Access {}
/// Marks a [`Secret`] as a refresh token (RFC 6749, section 1.5).
#[derive(Clone)]
pub enum Refresh {}

/// Marks a [`Secret`] as an API key of Datadog.
#[derive(Clone)]
pub enum Api {}
/// Marks a [`Secret`] as an application key of Datadog.
#[derive(Clone)]
pub enum Application {}

/// A token that is sent to the API.
pub type AccessToken = Secret<Access>;
/// A token that is sent to the token endpoint of the site that issued it, and nowhere else.
pub type RefreshToken = Secret<Refresh>;

/// A key that says for which organization data is sent.
pub type ApiKey = Secret<Api>;
/// A key that says, beside an API key, who reads or changes data.
pub type ApplicationKey = Secret<Application>;

/// A token without `Display`; [`Secret::expose`] marks each place where it leaves its shell.
#[derive(Clone)]
pub struct Secret<Kind> {
    text: Zeroizing<String>,
    kind: PhantomData<Kind>,
}

impl<Kind> Secret<Kind> {
    /// Accepts 1 to [`MAX_TOKEN_BYTES`] visible ASCII characters (RFC 6749, appendix A.12, without
    /// the blank), so that no token can break a header or a line of an answer.
    #[must_use]
    pub fn parse(text: impl Into<Zeroizing<String>>) -> Option<Self> {
        let text = text.into();
        let fits = !text.is_empty() && text.len() <= MAX_TOKEN_BYTES;
        (fits && text.bytes().all(|byte| byte.is_ascii_graphic()))
            .then_some(Self { text, kind: PhantomData })
    }

    /// The token itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Whether `other` is the same token, in a time that does not depend on where they differ.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        let (a, b) = (self.text.as_bytes(), other.text.as_bytes());
        a.len() == b.len() && a.iter().zip(b).fold(0, |seen, (x, y)| seen | (x ^ y)) == 0
    }
}

impl<Kind> fmt::Debug for Secret<Kind> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("REDACTED")
    }
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_cannot_carry_a_line_end_or_a_blank() {
        for bad in ["", "a b", "a\nb", "a\r", "\0", "ä", "\u{7f}"] {
            assert!(AccessToken::parse(bad.to_string()).is_none(), "{bad:?}");
        }
        assert!(AccessToken::parse("-starts.with~dash=".to_string()).is_some());
        assert!(AccessToken::parse("x".repeat(MAX_TOKEN_BYTES + 1)).is_none());
    }

    #[test]
    fn debug_does_not_show_it() {
        let token = RefreshToken::parse("canary".to_string()).unwrap();
        assert_eq!(format!("{token:?}"), "REDACTED");
    }

    #[test]
    fn matches_compares_the_whole() {
        let token = |text: &str| AccessToken::parse(text.to_string()).unwrap();
        assert!(token("abc").matches(&token("abc")));
        assert!(!token("abc").matches(&token("abd")));
        assert!(!token("abc").matches(&token("abcd")));
    }
}
