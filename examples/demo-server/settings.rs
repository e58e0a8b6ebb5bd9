//! What tests may change while the server runs.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::families::Policy;

pub struct Settings {
    pub policy: Policy,
    /// Query parameters that a successful callback carries besides, or instead of, `code` and
    /// `state`. A null takes the parameter away.
    pub callback: Map<String, Value>,
    pub refuse_scopes: Vec<String>,
    /// Whether a refusal says which scopes it is about.
    pub name_refused_scopes: bool,
    /// Whether clients can register at all.
    pub registration: bool,
}

/// A change: what is absent stays as it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    access_ttl: Option<u64>,
    rotate: Option<bool>,
    grant_repetition: Option<bool>,
    callback: Option<Map<String, Value>>,
    refuse_scopes: Option<Vec<String>>,
    name_refused_scopes: Option<bool>,
    registration: Option<bool>,
}

impl Settings {
    pub fn new(access_ttl: Duration) -> Self {
        let callback = [
            ("dd_oid", json!("d3a0de00-0000-4000-8000-000000000001")),
            ("dd_org_name", json!("Demo")),
        ];
        Self {
            policy: Policy { access_ttl, rotate: true, grant_repetition: false },
            callback: callback.map(|(name, value)| (name.to_owned(), value)).into_iter().collect(),
            refuse_scopes: Vec::new(),
            name_refused_scopes: true,
            registration: true,
        }
    }

    pub fn apply(&mut self, change: Change) {
        let policy = &mut self.policy;
        set(&mut policy.access_ttl, change.access_ttl.map(Duration::from_secs));
        set(&mut policy.rotate, change.rotate);
        set(&mut policy.grant_repetition, change.grant_repetition);
        set(&mut self.callback, change.callback);
        set(&mut self.refuse_scopes, change.refuse_scopes);
        set(&mut self.name_refused_scopes, change.name_refused_scopes);
        set(&mut self.registration, change.registration);
    }
}

fn set<T>(setting: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *setting = value;
    }
}
