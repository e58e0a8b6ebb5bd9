//! The control listener: how tests set the server up and look inside. It is never faulted.

use std::fmt::Display;
use std::time::Instant;

use serde_json::json;

use crate::authority::Authority;
use crate::faults::Fault;
use crate::request::{Parameters, Request};
use crate::response::Response;
use crate::server::{Moments, Server};

pub fn answer(server: &Server, request: &Request) -> Response {
    let mut state = server.lock();
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/log") => return Response::json(200, &state.log),
        ("GET", "/active") => {
            let parameters = Parameters::parse(request.query.as_bytes()).unwrap_or_default();
            let token = parameters.get("token").unwrap_or_default();
            let active = state.authority.is_active(token, Instant::now());
            let family = state.authority.family_of(token);
            return Response::json(200, &json!({"active": active, "family": family}));
        }
        ("GET", "/held") => return Response::json(200, &json!({"held": state.held})),
        ("DELETE", "/log") => state.log.clear(),
        ("POST", "/faults") => match Fault::from_json(&request.body) {
            Ok(fault) => state.faults.add(fault),
            Err(error) => return refuse(error),
        },
        ("DELETE", "/faults") => server.mend(&mut state),
        ("POST", "/settings") => match serde_json::from_slice(&request.body) {
            Ok(change) => state.settings.apply(change),
            Err(error) => return refuse(error),
        },
        ("POST", "/moments") => {
            state.moments = Moments { all: vec![state.authority.clone()], kept: true };
            state.log.clear();
        }
        ("POST", "/rewind") => {
            let number = serde_json::from_slice::<usize>(&request.body).ok();
            let moment = number.and_then(|number| state.moments.all.get(number)).cloned();
            let Some(moment) = moment else { return refuse("there is no such moment") };
            state.authority = moment;
            state.moments.kept = false;
            state.log.clear();
        }
        ("POST", "/restart") => state.authority = Authority::default(),
        _ => return Response::empty(404),
    }
    Response::json(200, &json!({}))
}

fn refuse(error: impl Display) -> Response {
    Response::json(400, &json!({"error": error.to_string()}))
}
