//! Failures that tests order: answers that are wrong, late, cut short or never sent.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::log::{Endpoint, Grant};
use crate::response::{Delivery, Response};

/// The ordered faults. The first that fits a request and has uses left applies to it.
#[derive(Default)]
pub struct Faults(Vec<Fault>);

pub struct Fault {
    target: Target,
    kind: Kind,
}

/// Which requests a fault is for.
#[derive(Deserialize)]
struct Target {
    endpoint: Endpoint,
    grant: Option<Grant>,
    /// The uses left; without a number, for ever.
    times: Option<u32>,
}

#[derive(Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Kind {
    /// Answers without acting.
    Status {
        #[serde(deserialize_with = "final_status")]
        status: u16,
        #[serde(default)]
        headers: BTreeMap<String, String>,
        #[serde(default)]
        body: String,
        content_type: Option<String>,
    },
    /// Waits, then acts and answers as usual.
    Delay { ms: u64 },
    /// Waits until the faults are removed, then acts and answers as usual.
    Hold {},
    /// Acts at once, then waits before it answers.
    Late { ms: u64 },
    /// Closes the connection without acting.
    Refuse {},
    /// Acts, then sends half of the answer's body.
    Cut {},
    /// Acts, then closes the connection without an answer.
    Lost {},
    /// Acts, then answers with an empty body and this status.
    AfterStatus {
        #[serde(deserialize_with = "final_status")]
        status: u16,
    },
    /// Sends the client elsewhere without acting.
    Redirect { location: String },
    /// Answers with a body that does not end, without acting.
    Endless {},
    /// Acts, then answers with another body.
    Body {
        body: String,
        content_type: Option<String>,
        #[serde(default = "ok", deserialize_with = "final_status")]
        status: u16,
    },
    /// Acts, then changes members of the JSON answer; null takes one away.
    Patch { patch: Map<String, Value> },
}

impl Faults {
    pub fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    /// Uses the fault for a request up by one.
    pub fn take(&mut self, endpoint: Endpoint, grant: Option<Grant>) -> Option<Kind> {
        let fault = self.0.iter_mut().find(|Fault { target, .. }| {
            target.endpoint == endpoint
                && (target.grant.is_none() || target.grant == grant)
                && target.times != Some(0)
        })?;
        if let Some(times) = &mut fault.target.times {
            *times -= 1;
        }
        Some(fault.kind.clone())
    }
}

impl Fault {
    /// Reads a fault from what the control was sent. A member that its kind does not have is
    /// an error: a misspelt fault would otherwise make a test pass for nothing.
    pub fn from_json(bytes: &[u8]) -> serde_json::Result<Self> {
        let members: Map<String, Value> = serde_json::from_slice(bytes)?;
        let (target, kind): (Map<_, _>, Map<_, _>) = members
            .into_iter()
            .partition(|(name, _)| ["endpoint", "grant", "times"].contains(&name.as_str()));
        Ok(Self {
            target: serde_json::from_value(Value::Object(target))?,
            kind: serde_json::from_value(Value::Object(kind))?,
        })
    }
}

impl Kind {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::Delay { .. } => "delay",
            Self::Hold {} => "hold",
            Self::Late { .. } => "late",
            Self::Refuse {} => "refuse",
            Self::Cut {} => "cut",
            Self::Lost {} => "lost",
            Self::AfterStatus { .. } => "after-status",
            Self::Redirect { .. } => "redirect",
            Self::Endless {} => "endless",
            Self::Body { .. } => "body",
            Self::Patch { .. } => "patch",
        }
    }

    /// What happens in place of acting, if this fault strikes before that.
    pub fn instead(&self) -> Option<Delivery> {
        Some(match self {
            Self::Status { status, headers, body, content_type } => {
                let content_type = content_type.as_deref().unwrap_or("application/json");
                let response = Response::new(*status, content_type, body.as_str());
                Delivery::Whole(
                    headers.iter().fold(response, |response, (name, value)| {
                        response.with_header(name, value)
                    }),
                )
            }
            Self::Refuse {} => Delivery::Nothing,
            Self::Redirect { location } => Delivery::Whole(Response::redirect(307, location)),
            Self::Endless {} => Delivery::Endless,
            Self::Delay { .. }
            | Self::Hold {}
            | Self::Late { .. }
            | Self::Cut {}
            | Self::Lost {}
            | Self::AfterStatus { .. }
            | Self::Body { .. }
            | Self::Patch { .. } => return None,
        })
    }

    /// What becomes of the answer after the server has acted.
    pub fn spoil(&self, response: Response) -> Delivery {
        match self {
            Self::Cut {} => Delivery::Cut(response),
            Self::Lost {} => Delivery::Nothing,
            Self::AfterStatus { status } => Delivery::Whole(Response::empty(*status)),
            Self::Body { body, content_type, status } => {
                let content_type = content_type.as_ref().unwrap_or(&response.content_type);
                Delivery::Whole(Response::new(*status, content_type, body.as_str()))
            }
            Self::Patch { patch } => Delivery::Whole(patched(response, patch)),
            Self::Status { .. }
            | Self::Delay { .. }
            | Self::Hold {}
            | Self::Late { .. }
            | Self::Refuse {}
            | Self::Redirect { .. }
            | Self::Endless {} => Delivery::Whole(response),
        }
    }
}

/// Leaves an answer that is no JSON object as it is.
fn patched(mut response: Response, patch: &Map<String, Value>) -> Response {
    if let Ok(mut members) = serde_json::from_slice::<Map<_, _>>(&response.body) {
        members.extend(patch.clone());
        members.retain(|_, value: &mut Value| !value.is_null());
        response.body = Value::Object(members).to_string().into_bytes();
    }
    response
}

fn ok() -> u16 {
    200
}

/// A status that can end a request, which those below 200 cannot.
fn final_status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let status = u16::deserialize(deserializer)?;
    if (200..=599).contains(&status) {
        Ok(status)
    } else {
        Err(serde::de::Error::custom("status must be 200 to 599"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(json: &str) -> Fault {
        Fault::from_json(json.as_bytes()).expect("a fault")
    }

    fn names(faults: &mut Faults, requests: &[(Endpoint, Option<Grant>)]) -> Vec<&'static str> {
        requests
            .iter()
            .map(|(endpoint, grant)| {
                faults.take(*endpoint, *grant).map_or("none", |kind| kind.name())
            })
            .collect()
    }

    #[test]
    fn the_first_that_fits_applies_until_used_up() {
        let mut faults = Faults::default();
        faults
            .add(fault(r#"{"endpoint":"token","grant":"refresh_token","times":1,"kind":"lost"}"#));
        faults.add(fault(r#"{"endpoint":"token","times":1,"kind":"cut"}"#));
        faults.add(fault(r#"{"endpoint":"revoke","kind":"refuse"}"#));
        let exchange = (Endpoint::Token, Some(Grant::AuthorizationCode));
        let refresh = (Endpoint::Token, Some(Grant::RefreshToken));
        let revoke = (Endpoint::Revoke, None);
        assert_eq!(
            names(&mut faults, &[exchange, exchange, refresh, refresh]),
            ["cut", "none", "lost", "none"]
        );
        assert_eq!(names(&mut faults, &[revoke, revoke]), ["refuse", "refuse"]);
    }

    #[test]
    fn misspelt_faults_are_refused() {
        for json in [
            r#"{"endpoint":"token","kind":"loss"}"#,
            r#"{"endpoint":"token","kind":"lost","time":1}"#,
            r#"{"endpoint":"tokens","kind":"lost"}"#,
            r#"{"endpoint":"token","kind":"status"}"#,
            r#"{"endpoint":"token","kind":"status","status":100}"#,
            r#"["token"]"#,
        ] {
            assert!(Fault::from_json(json.as_bytes()).is_err(), "{json}");
        }
    }

    #[test]
    fn a_patch_sets_and_deletes() {
        let patch = r#"{"endpoint":"token","kind":"patch","patch":{"a":2,"b":null}}"#;
        let response = Response::new(200, "application/json", r#"{"a":1,"b":1,"c":1}"#);
        let Delivery::Whole(response) = fault(patch).kind.spoil(response) else {
            panic!("not whole");
        };
        assert_eq!(response.body, br#"{"a":2,"c":1}"#);
    }
}
