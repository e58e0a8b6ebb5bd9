//! The dialect of bazel's credential helpers (github.com/EngFlow/credential-helper-spec).

use serde::Deserialize;
use serde_json::json;

use super::{Answer, GetRequest, RequestError, Target, input, url};

#[derive(Deserialize)]
struct Wire {
    uri: String,
}

/// Understands the request of a `get`. Unknown keys are ignored.
///
/// # Errors
/// If it has no `uri`, or one of a host that is no site's: the specification wants an error for
/// it, and not an empty answer.
pub fn parse(bytes: &[u8]) -> Result<GetRequest, RequestError> {
    let Wire { uri } = input::object(bytes)?;
    let bad = |why: &str| RequestError::BadValue { key: "uri", why: why.into() };
    if uri.chars().any(char::is_control) {
        return Err(bad("has a control character"));
    }
    let site = url::site(&uri).ok_or_else(|| bad(NOT_OURS))?;
    Ok(GetRequest { target: Target::at(site), ..GetRequest::default() })
}

/// What is wrong with the `uri` of a request that is about no site.
pub const NOT_OURS: &str = "is not https to a host of a Datadog site";

/// Writes the answer.
#[must_use]
pub fn render(answer: &Answer) -> String {
    let authorization = format!("Bearer {}", answer.access_token.expose());
    let headers = json!({"Authorization": [authorization]});
    let mut object = json!({"headers": headers});
    // Of a token from outside nobody knows it.
    if let Some(expires) = answer.expires {
        object["expires"] = json!(expires.to_string());
    }
    format!("{object}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::secret::Secret;
    use crate::site::Site;

    #[test]
    fn the_uri_says_which_site() {
        let request = parse(br#"{"more":[{"uri":0}],"uri":"https://api.datadoghq.eu/x?y"}"#);
        assert_eq!(request.unwrap().target, Target::at(Site::parse("datadoghq.eu").unwrap()));
        for bad in [
            "",
            "{}",
            "[]",
            r#"["https://api.datadoghq.eu"]"#,
            "null",
            r#"{"uri":null}"#,
            r#"{"uri":1e400}"#,
            r#"{"uri":""}"#,
            r#"{"uri":"http://api.datadoghq.eu"}"#,
            r#"{"uri":"https://bazel.build"}"#,
            r#"{"uri":"https://api.datadoghq.eu\u0000"}"#,
            r#"{"uri":"https://api.datadoghq.eu\n"}"#,
            r#"{"uri":"https://api.datadoghq.eu/\ud800"}"#,
            r#"{"uri":"https://evil.test","uri":"https://api.datadoghq.eu"}"#,
            r#"{"uri":"https://api.datadoghq.eu"} {}"#,
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_answer_is_written_to_the_byte() {
        let answer = Answer {
            access_token: Secret::parse("token".to_string()).unwrap(),
            expires: Some(Timestamp::from_millis(1_800_000_000_999)),
            site: Site::parse("datadoghq.eu").unwrap(),
            org: None,
        };
        assert_eq!(
            render(&answer),
            "{\"expires\":\"2027-01-15T08:00:00Z\",\"headers\":{\"Authorization\":[\"Bearer token\"]}}\n"
        );
    }
}
