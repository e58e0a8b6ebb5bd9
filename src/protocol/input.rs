//! Reads the bytes of one request from a stream that may stay open, stall, or never end.

use std::io::{self, BufRead};

use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::RequestError;

/// Longest line of a request, in bytes, without its line end.
pub const LINE_LIMIT: usize = 64 * 1024;
/// Longest request, in bytes.
pub const REQUEST_LIMIT: usize = 256 * 1024;

/// A request that could not be read.
#[derive(Debug)]
pub enum InputError {
    Request(RequestError),
    Io(io::Error),
}

/// Reads up to and without the first empty line, or to the end of the stream, and does not wait for
/// more: a caller may keep its pipe open. What stands after the empty line is ignored, though the
/// buffer of `input` may have taken some of it.
///
/// # Errors
/// If a limit is passed, or the stream fails.
pub fn read_request(input: &mut impl BufRead) -> Result<Vec<u8>, InputError> {
    let mut request = Vec::new();
    for line in 1.. {
        let start = request.len();
        // One byte more than a line may have, and its line end, so that a longer one is noticed.
        let mut limited = io::Read::take(&mut *input, LINE_LIMIT as u64 + 3);
        limited.read_until(b'\n', &mut request).map_err(InputError::Io)?;
        let content = content(&request[start..]);
        if content.len() > LINE_LIMIT {
            return Err(InputError::Request(RequestError::LongLine { line, limit: LINE_LIMIT }));
        }
        if request.len() > REQUEST_LIMIT {
            return Err(InputError::Request(RequestError::TooLong { limit: REQUEST_LIMIT }));
        }
        if content.is_empty() {
            request.truncate(start);
            break;
        }
        if request.last() != Some(&b'\n') {
            break;
        }
    }
    Ok(request)
}

/// Reads to the end of the stream, for the dialects whose request is one value and not lines.
///
/// # Errors
/// If it is longer than [`REQUEST_LIMIT`], or the stream fails.
pub fn read_document(input: &mut impl BufRead) -> Result<Vec<u8>, InputError> {
    let mut document = Vec::new();
    // One byte more, so that a longer one is noticed.
    let mut limited = io::Read::take(input, REQUEST_LIMIT as u64 + 1);
    io::Read::read_to_end(&mut limited, &mut document).map_err(InputError::Io)?;
    if document.len() > REQUEST_LIMIT {
        return Err(InputError::Request(RequestError::TooLong { limit: REQUEST_LIMIT }));
    }
    Ok(document)
}

/// A line without its end: LF, or CR LF.
pub(super) fn content(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The text of a line, of which no character ends it or does something to a terminal.
pub(super) fn line_text(line: usize, bytes: &[u8]) -> Result<&str, RequestError> {
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

/// Reads one object. What stands under unknown keys may be anything; a known key that stands twice
/// is an error.
pub(super) fn object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RequestError> {
    // serde takes an array of the values for the object too.
    if bytes.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
        return Err(RequestError::Json { what: "no object", line: 1, column: 1 });
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let what = match error.classify() {
            Category::Syntax => "a character that does not belong there",
            Category::Data => "a key that is missing, doubled, or has a value of another kind",
            Category::Eof | Category::Io => "its end is missing",
        };
        RequestError::Json { what, line: error.line(), column: error.column() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<String, String> {
        match read_request(&mut io::BufReader::with_capacity(7, bytes)) {
            Ok(request) => Ok(String::from_utf8(request).unwrap()),
            Err(InputError::Request(error)) => Err(error.to_string()),
            Err(InputError::Io(error)) => panic!("{error}"),
        }
    }

    #[test]
    fn a_request_ends_at_an_empty_line_or_with_the_stream() {
        assert_eq!(read(b"get\nsite=us1\n\nmore").unwrap(), "get\nsite=us1\n");
        assert_eq!(read(b"get \r\n\r\nmore").unwrap(), "get \r\n");
        assert_eq!(read(b"get").unwrap(), "get");
        assert_eq!(read(b"").unwrap(), "");
        assert_eq!(read(b"\nget").unwrap(), "");
    }

    #[test]
    fn a_document_ends_with_the_stream_alone() {
        assert_eq!(read_document(&mut &b"{\n\n}\n"[..]).unwrap(), b"{\n\n}\n");
        let longest = vec![b' '; REQUEST_LIMIT];
        assert_eq!(read_document(&mut &longest[..]).unwrap().len(), REQUEST_LIMIT);
        let longer = vec![b' '; REQUEST_LIMIT + 1];
        let error = read_document(&mut &longer[..]).unwrap_err();
        assert!(matches!(error, InputError::Request(RequestError::TooLong { .. })), "{error:?}");
    }

    #[test]
    fn limits_hold_to_the_byte() {
        let longest = "x".repeat(LINE_LIMIT);
        assert_eq!(read(format!("{longest}\r\n").as_bytes()).unwrap().len(), LINE_LIMIT + 2);
        assert!(read(format!("get\n{longest}x\n").as_bytes()).unwrap_err().contains("line 2"));
        assert!(read(format!("{longest}x").as_bytes()).is_err());
        let many = "x\n".repeat(REQUEST_LIMIT / 2);
        assert_eq!(read(many.as_bytes()).unwrap().len(), REQUEST_LIMIT);
        assert!(read(format!("{many}x").as_bytes()).is_err());
    }
}
