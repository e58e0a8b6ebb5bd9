//! One line of a request, as the dialects that are made of lines read it.

use super::RequestError;

/// The text of a line, of which no character ends it or does something to a terminal.
pub(super) fn text(line: usize, bytes: &[u8]) -> Result<&str, RequestError> {
    let bad = |what| Err(RequestError::BadCharacter { line, what });
    if bytes.contains(&0) {
        return bad("a NUL byte");
    }
    if bytes.contains(&b'\r') {
        return bad("a carriage return inside");
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if text.chars().any(|c| c.is_control() && c != '\t') => bad("a control character"),
        Ok(text) => Ok(text),
        Err(_) => bad("bytes that are not UTF-8"),
    }
}
