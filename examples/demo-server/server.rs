//! The server's state, and how a request to the origin passes through it.

use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use crate::authority::Authority;
use crate::authorize;
use crate::faults::{Faults, Kind};
use crate::log::{self, Endpoint, Entry, Grant};
use crate::register;
use crate::request::{Parameters, Request};
use crate::response::{Delivery, Response};
use crate::settings::Settings;
use crate::token;

pub struct Server {
    state: Mutex<State>,
    /// The faults were removed.
    mended: Condvar,
    /// Whether each request gets a line on standard error.
    human: bool,
}

pub struct State {
    pub authority: Authority,
    pub settings: Settings,
    pub faults: Faults,
    /// How often they were removed.
    mends: u64,
    /// How many requests wait for that.
    pub held: usize,
    pub log: Vec<Entry>,
    pub moments: Moments,
}

/// What the authority knew at the beginning and after each entry of the log, for tests that go back
/// to such a moment.
#[derive(Default)]
pub struct Moments {
    pub all: Vec<Authority>,
    /// Whether the next entry adds one.
    pub kept: bool,
}

/// What came of a request at a logged endpoint.
pub struct Outcome {
    pub response: Response,
    pub result: &'static str,
    /// The client, where the request itself could not name it.
    pub client_id: Option<String>,
    pub family: Option<String>,
    /// The refresh token that was issued.
    pub issued: Option<String>,
}

impl Outcome {
    pub fn new(response: Response, result: &'static str) -> Self {
        Self { response, result, client_id: None, family: None, issued: None }
    }
}

impl Server {
    pub fn new(access_ttl: Duration, human: bool) -> Self {
        Self {
            state: Mutex::new(State {
                authority: Authority::default(),
                settings: Settings::new(access_ttl),
                faults: Faults::default(),
                mends: 0,
                held: 0,
                log: Vec::new(),
                moments: Moments::default(),
            }),
            mended: Condvar::new(),
            human,
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no request panics")
    }

    /// Removes all faults, and lets go the requests that one of them holds.
    pub fn mend(&self, state: &mut State) {
        state.faults = Faults::default();
        state.mends += 1;
        self.mended.notify_all();
    }

    fn hold<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let before = state.mends;
        state.held += 1;
        let held = self.mended.wait_while(state, |state| state.mends == before);
        state = held.expect("no request panics");
        state.held -= 1;
        state
    }

    /// Answers a request to the origin.
    pub fn answer(&self, request: &Request) -> Delivery {
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/api/v2/oauth2/register") => self.act(Endpoint::Register, request),
            ("GET", "/oauth2/v1/authorize") => self.act(Endpoint::Authorize, request),
            ("POST", "/oauth2/v1/token") => self.act(Endpoint::Token, request),
            ("POST", "/oauth2/v1/revoke") => self.act(Endpoint::Revoke, request),
            ("POST", "/oauth2/v1/authorize/decision") => {
                let (response, result) = authorize::decide(&mut self.lock(), request);
                self.tell(&format!("consent: {result}"));
                Delivery::Whole(response)
            }
            ("GET", "/api/v2/current_user") => {
                let response = self.current_user(request);
                self.tell(&format!("current_user: {}", response.status));
                Delivery::Whole(response)
            }
            _ => {
                self.tell("something else: 404");
                Delivery::Whole(Response::empty(404))
            }
        }
    }

    /// A request to a logged endpoint: decided under one lock, so that the log is in the order
    /// of the decisions.
    fn act(&self, endpoint: Endpoint, request: &Request) -> Delivery {
        let parameters = parameters(endpoint, request);
        let get = |name| parameters.as_ref().ok().and_then(|known| known.get(name));
        let grant = match endpoint {
            Endpoint::Token => get("grant_type").and_then(Grant::from_name),
            _ => None,
        };
        let presented = match (endpoint, grant) {
            (Endpoint::Token, Some(Grant::RefreshToken)) => get("refresh_token"),
            (Endpoint::Revoke, _) => get("token"),
            _ => None,
        };

        let mut state = self.lock();
        let fault = state.faults.take(endpoint, grant);
        if let Some(Kind::Delay { ms }) = fault {
            drop(state);
            thread::sleep(Duration::from_millis(ms));
            state = self.lock();
        } else if let Some(Kind::Hold {}) = fault {
            state = self.hold(state);
        }
        let mut entry = Entry {
            n: state.log.len() + 1,
            at_ms: log::now_ms(),
            endpoint,
            grant,
            client_id: get("client_id").map(str::to_owned),
            status: 0,
            result: "faulted",
            token_sha256: presented.map(log::sha256),
            family: None,
            new_token_sha256: None,
            fault: fault.as_ref().map(Kind::name),
        };
        let delivery = fault.as_ref().and_then(Kind::instead).unwrap_or_else(|| {
            let outcome = match (endpoint, &parameters) {
                (Endpoint::Register, _) => register::register(&mut state, request),
                (Endpoint::Authorize, Ok(known)) => authorize::ask(&mut state, known),
                (Endpoint::Authorize, Err(why)) => authorize::refuse(why),
                (Endpoint::Token, Ok(known)) => token::token(&mut state, grant, known),
                (Endpoint::Token, Err(why)) => token::invalid_request("invalid_request", why),
                (Endpoint::Revoke, Ok(known)) => token::revoke(&mut state, known),
                (Endpoint::Revoke, Err(why)) => token::invalid_request("refused", why),
            };
            entry.result = outcome.result;
            entry.client_id = entry.client_id.take().or(outcome.client_id);
            entry.family = outcome.family;
            entry.new_token_sha256 = outcome.issued.as_deref().map(log::sha256);
            match &fault {
                Some(fault) => fault.spoil(outcome.response),
                None => Delivery::Whole(outcome.response),
            }
        });
        entry.status = delivery.status();
        self.tell(&entry.to_line());
        state.log.push(entry);
        if state.moments.kept {
            let moment = state.authority.clone();
            state.moments.all.push(moment);
        }
        drop(state);
        if let Some(Kind::Late { ms }) = fault {
            thread::sleep(Duration::from_millis(ms));
        }
        delivery
    }

    /// The resource that an access token opens.
    fn current_user(&self, request: &Request) -> Response {
        let active = request
            .header("authorization")
            .and_then(|value| value.split_once(' '))
            .is_some_and(|(scheme, token)| {
                scheme.eq_ignore_ascii_case("bearer")
                    && self.lock().authority.is_active(token, Instant::now())
            });
        if active {
            Response::json(200, &serde_json::json!({"data": {"type": "users"}}))
        } else {
            Response::json(401, &serde_json::json!({"errors": ["Unauthorized"]}))
                .with_header("WWW-Authenticate", "Bearer")
        }
    }

    /// Tells people who watch. That nobody can be told is no reason to stop.
    fn tell(&self, line: &str) {
        if self.human {
            let _ = writeln!(io::stderr(), "{line}");
        }
    }
}

/// The parameters of a request, or what is wrong with them.
fn parameters(endpoint: Endpoint, request: &Request) -> Result<Parameters, &'static str> {
    let encoded = match endpoint {
        Endpoint::Register => return Ok(Parameters::default()),
        Endpoint::Authorize => request.query.as_bytes(),
        Endpoint::Token | Endpoint::Revoke => {
            if !request.has_type("application/x-www-form-urlencoded") {
                return Err("the request is no form");
            }
            &request.body
        }
    };
    Parameters::parse(encoded).ok_or("a parameter is repeated")
}
