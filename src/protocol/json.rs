//! JSON in a request, of which no message shows a word.

use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::RequestError;

/// Reads one object. What stands under unknown keys may be anything; a known key that stands twice
/// is an error.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RequestError> {
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
