//! A JSON object, read as leniently as a reply deserves that may be the only copy of a token: whatever
//! surrounds the member that is asked for costs nothing.

use std::borrow::Cow;

/// The members of a whole object, in order: the name, and the text of the value.
#[derive(Debug)]
pub struct Object<'a>(Vec<(String, &'a [u8])>);

impl<'a> Object<'a> {
    /// Reads an object; nothing if there is none, or if its end is missing. A byte order mark, what
    /// guards JSON against scripts (`)]}'`), a value that is no JSON, a comma too many and whatever
    /// follows the object are passed over.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
        let bytes = bytes.strip_prefix(b")]}'").unwrap_or(bytes);
        let bytes = bytes.trim_ascii_start().strip_prefix(b"{")?;
        let mut reader = Reader(bytes);
        let mut members = Vec::new();
        loop {
            reader.skip(|byte| byte == b',' || byte.is_ascii_whitespace());
            if reader.take(b'}') {
                return Some(Self(members));
            }
            let name = text_of(reader.value()?)?;
            reader.skip(|byte| byte.is_ascii_whitespace());
            if !reader.take(b':') {
                return None;
            }
            reader.skip(|byte| byte.is_ascii_whitespace());
            members.push((name, reader.value()?));
        }
    }

    /// The text of a value; of several of that name the last, as JSON readers do.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&'a [u8]> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// A string; nothing if the value is another kind.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        text_of(self.raw(name)?)
    }
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn skip(&mut self, unwanted: impl Fn(u8) -> bool) {
        let count = self.0.iter().take_while(|byte| unwanted(**byte)).count();
        self.0 = &self.0[count..];
    }

    fn take(&mut self, expected: u8) -> bool {
        let rest = self.0.split_first().filter(|(first, _)| **first == expected);
        rest.map(|(_, rest)| self.0 = rest).is_some()
    }

    /// The text of one value, to its end; nothing if that is missing.
    fn value(&mut self) -> Option<&'a [u8]> {
        let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
        for (position, byte) in self.0.iter().enumerate() {
            if quoted {
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' => escaped = true,
                    b'"' => {
                        quoted = false;
                        if depth == 0 {
                            return Some(self.cut(position + 1));
                        }
                    }
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' if depth == 0 && position > 0 => return Some(self.cut(position)),
                b'"' => quoted = true,
                b'{' | b'[' => depth += 1,
                b',' | b':' | b'}' | b']' if depth == 0 => return Some(self.cut(position)),
                b'}' | b']' => {
                    depth -= 1;
                    if depth == 0 {
                        return Some(self.cut(position + 1));
                    }
                }
                _ => {}
            }
        }
        None
    }

    fn cut(&mut self, length: usize) -> &'a [u8] {
        let (value, rest) = self.0.split_at(length);
        self.0 = rest;
        value
    }
}

/// The text of a JSON string. Bytes that are no UTF-8 become replacement characters, and a raw control
/// character, which JSON forbids, counts as itself.
fn text_of(value: &[u8]) -> Option<String> {
    let value = String::from_utf8_lossy(value.trim_ascii());
    let value = if value.contains(|c: char| c.is_ascii_control()) {
        let escaped = |c: char| match c {
            c if c.is_ascii_control() => format!("\\u{:04x}", u32::from(c)),
            c => c.to_string(),
        };
        Cow::Owned(value.chars().map(escaped).collect::<String>())
    } else {
        value
    };
    serde_json::from_str(&value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_comes_out_whatever_surrounds_it() {
        for whole in [
            r#"{"a":"x"}"#,
            "\u{feff} \r\n{ \"a\" : \"x\" , }",
            ")]}'\n{\"a\":\"x\"}",
            r#"{"n":NaN,"a":"x","m":-Infinity}"#,
            r#"{"o":{"a":"}","b":[1,{"a":"\"]"}]},"a":"x"} trailing"#,
            r#"{"a":"other","\u0061":"x"}"#,
            "{\"b\":\"a\nb\",\"a\":\"x\"}",
        ] {
            let object = Object::read(whole.as_bytes()).unwrap_or_else(|| panic!("{whole}"));
            assert_eq!(object.text("a").as_deref(), Some("x"), "{whole}");
        }
        let latin =
            Object::read(b"{\"s\":\"\xe4\",\"a\":\"x\\ny\"}").map(|object| object.text("a"));
        assert_eq!(latin, Some(Some("x\ny".to_string())));
    }

    #[test]
    fn what_is_no_whole_object_is_none() {
        let whole = br#"{"a":"x","b":{"c":[1,2]},"d":3}"#;
        for length in 0..whole.len() {
            assert!(Object::read(&whole[..length]).is_none(), "{length}");
        }
        for other in ["", "[]", "<html>{}</html>", "null", "{a", "{\"a\"}", "{\"a\" \"b\"}"] {
            assert!(Object::read(other.as_bytes()).is_none(), "{other}");
        }
        assert_eq!(Object::read(b"{\"a\":1}").unwrap().text("a"), None);
    }
}
