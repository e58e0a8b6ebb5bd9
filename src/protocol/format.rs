//! The forms in which `get` can write its answer for a script.

use serde_json::{Map, Value};

use super::{Answer, Version, native};

/// How an answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Lines of key=value
    #[default]
    Native,
    /// The bare access token
    Token,
    /// A flat object of strings
    Json,
    /// A header line, for `curl -H @-`
    Header,
}

/// Writes an answer; `version` where the request named one.
#[must_use]
pub fn render(answer: &Answer, format: Format, version: Option<Version>) -> String {
    match format {
        Format::Native => native::render(answer, version),
        Format::Token => format!("{}\n", answer.access_token.expose()),
        Format::Header => format!("Authorization: Bearer {}\n", answer.access_token.expose()),
        Format::Json => {
            let fields = native::fields(answer, version);
            let object: Map<_, _> =
                fields.map(|(key, value)| (key.to_string(), Value::from(value))).collect();
            format!("{}\n", Value::Object(object))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::names::OrgLabel;
    use crate::secret::Secret;
    use crate::site::Site;

    #[test]
    fn each_form_is_written_to_the_byte() {
        let answer = Answer {
            access_token: Secret::parse("token".to_string()).unwrap(),
            expires: Some(Timestamp::from_seconds(1_800_000_000)),
            site: Site::parse("datadoghq.eu").unwrap(),
            org: OrgLabel::parse("\"Acme\" \\ Ä"),
        };
        assert_eq!(render(&answer, Format::Token, None), "token\n");
        assert_eq!(render(&answer, Format::Header, None), "Authorization: Bearer token\n");
        assert_eq!(render(&answer, Format::Native, None), native::render(&answer, None));
        let json = r#"{"access_token":"token","api_url":"https://api.datadoghq.eu","#.to_string()
            + r#""expires_at":"1800000000","org":"\"Acme\" \\ Ä","#
            + r#""site":"datadoghq.eu","token_type":"Bearer"}"#
            + "\n";
        assert_eq!(render(&answer, Format::Json, None), json);
        let versioned = render(&answer, Format::Json, Some(Version::V1));
        assert!(versioned.contains(r#""version":"1""#), "{versioned}");
    }
}
