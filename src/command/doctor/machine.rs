//! The way to the server and back: roots, proxy, server, clock, callback ports, browser.

use std::time::Duration;

use super::finding::{Finding, Verdict};
use crate::broker::Context;
use crate::clock::Timestamp;
use crate::config::Config;
use crate::environment::Environment;
use crate::error::Error;
use crate::exit::ExitKind;
use crate::http_client::{Http, HttpError, Reply, Roots, Route, block_on};
use crate::oauth::{Browser, CallbackListener, LoginError, REGISTERED_PORTS};
use crate::platform;
use crate::site::Site;

/// A server that takes longer is not there, for a person who waits for the report.
const SERVER_LIMIT: Duration = Duration::from_secs(8);
/// A clock that is off by less than this is that of a machine that sets it.
const USUAL_SKEW: Duration = Duration::from_secs(30);
/// What a clock that is off by this takes for fresh has expired at the server.
const WRONG_SKEW: Duration = Duration::from_mins(5);

pub fn look(context: &Context<'_>, site: &Site) -> Vec<Finding> {
    let environment = context.environment;
    let mut findings = vec![roots(environment), proxy(site, environment)];
    findings.extend(server_and_clock(context, site));
    findings.push(callback_ports(environment));
    findings.push(browser(environment));
    findings
}

fn roots(environment: &Environment) -> Finding {
    let check = "roots";
    match Roots::of(environment) {
        Err(error) => Finding::problem(check, error)
            .remedy("name a readable file of certificates (PEM), or unset the variable"),
        Ok(Roots { variable, count, unreadable }) => {
            let source = variable.unwrap_or("the operating system");
            let text = format!("{count} certificates of {source}");
            match unreadable {
                Some(why) => Finding::note(check, format!("{text}; not all can be read: {why}")),
                None if count == 0 => Finding::note(check, text)
                    .remedy("install your system's certificates (ca-certificates), or name some with SSL_CERT_FILE"),
                None => Finding::ok(check, text),
            }
        }
    }
}

fn proxy(site: &Site, environment: &Environment) -> Finding {
    let check = "proxy";
    match Route::to(site, environment) {
        Route::Direct if site.is_loopback() => {
            Finding::ok(check, "none, as always on this machine")
        }
        Route::Direct => Finding::ok(check, "none"),
        Route::Proxy { address, variable } => {
            let source = variable.unwrap_or("the system's settings");
            Finding::ok(check, format!("{address}, from {source}"))
        }
        Route::Exempt { variable } => {
            Finding::ok(check, format!("none: {variable} names one, but not for this site"))
        }
        Route::Unusable { variable } => {
            Finding::note(check, format!("none: {variable} is set, but not to a proxy"))
                .remedy("write it as http://HOST:PORT")
        }
    }
}

fn server_and_clock(context: &Context<'_>, site: &Site) -> [Finding; 2] {
    let asked = context.clock.now();
    match ask(site, context.environment) {
        Ok(reply) => {
            let answered = context.clock.now();
            let text = format!("{} answers, with status {}", site.api_url(), reply.status);
            let server = match reply.status {
                500.. => Finding::note("server", text).remedy("try again in a while"),
                _ => Finding::ok("server", text),
            };
            [server, clock(reply.date, asked, answered)]
        }
        Err(error) => [
            Finding::problem("server", error)
                .remedy("look at the network, and at roots and proxy above"),
            Finding::note("clock", "not compared, as no server answered"),
        ],
    }
}

/// Asks for nothing, so that the answer is cheap; no token goes along.
fn ask(site: &Site, environment: &Environment) -> Result<Reply, Error> {
    let host = site.api_url();
    let request = ::http::Request::head(format!("{host}/")).body(Vec::new());
    let request = request.map_err(|error| HttpError::Setup(error.to_string()))?;
    let http = Http::for_site(site, environment)?;
    let answer = block_on(async { tokio::time::timeout(SERVER_LIMIT, http.send(request)).await })?;
    let late = |_| {
        let why = format!("nothing came within {} s", SERVER_LIMIT.as_secs());
        HttpError::NoAnswer { host, why }
    };
    Ok(answer.map_err(late)??)
}

/// Compares the clock with that of the server, whose second passed between `asked` and `answered`.
fn clock(date: Option<Timestamp>, asked: Timestamp, answered: Timestamp) -> Finding {
    let check = "clock";
    let Some(date) = date else {
        return Finding::note(check, "not compared, as the server names no time");
    };
    let ahead = asked.since(date.plus(Duration::from_secs(1)));
    let (skew, way) =
        if ahead.is_zero() { (date.since(answered), "behind") } else { (ahead, "ahead of") };
    let text = if skew.as_secs() == 0 {
        "as the server's".to_string()
    } else {
        let span = humantime::format_duration(Duration::from_secs(skew.as_secs()));
        format!("{span} {way} the server's")
    };
    let remedy = "let the system set its clock (NTP)";
    if skew < USUAL_SKEW {
        Finding::ok(check, text)
    } else if skew < WRONG_SKEW {
        Finding::note(check, text).remedy(remedy)
    } else {
        Finding::new(check, Verdict::Problem(ExitKind::Other), text).remedy(remedy)
    }
}

fn callback_ports(environment: &Environment) -> Finding {
    let check = "callback_ports";
    let ports = match Config::callback_port(None, environment) {
        Ok(Some(pinned)) => vec![pinned.value],
        Ok(None) => REGISTERED_PORTS.to_vec(),
        Err(error) => return Finding::problem(check, error),
    };
    match try_ports(&ports) {
        Err(error) => Finding::problem(check, error),
        Ok(tried) if tried.iter().all(|(_, free)| *free) => {
            Finding::ok(check, format!("free: {}", listed(&tried, true)))
        }
        Ok(tried) if tried.iter().any(|(_, free)| *free) => {
            let (busy, free) = (listed(&tried, false), listed(&tried, true));
            Finding::note(check, format!("taken: {busy}; free, and enough: {free}"))
        }
        Ok(_) => Finding::problem(check, LoginError::PortsBusy { ports }),
    }
}

/// Whether a login could listen on each of them; none is kept.
fn try_ports(ports: &[u16]) -> Result<Vec<(u16, bool)>, LoginError> {
    block_on(async {
        let mut tried = Vec::new();
        for port in ports.iter().copied() {
            match CallbackListener::bind(&[port]).await {
                Ok(_) => tried.push((port, true)),
                Err(LoginError::PortsBusy { .. }) => tried.push((port, false)),
                Err(error) => return Err(error),
            }
        }
        Ok(tried)
    })?
}

fn listed(tried: &[(u16, bool)], wanted: bool) -> String {
    let ports = tried.iter().filter(|(_, free)| *free == wanted);
    ports.map(|(port, _)| port.to_string()).collect::<Vec<_>>().join(", ")
}

fn browser(environment: &Environment) -> Finding {
    let check = "browser";
    let browser = Browser::of(environment);
    let source = match browser {
        Browser::Named(_) => "BROWSER",
        Browser::System => "the system",
        Browser::None => {
            return Finding::ok(check, "none, as there is no screen: a login prints the address");
        }
    };
    let programs = browser.programs();
    if let Some(found) =
        programs.iter().find_map(|program| platform::find_program(program, environment))
    {
        return Finding::ok(check, format!("{}, from {source}", found.display()));
    }
    let names: Vec<_> = programs.iter().map(|program| program.display().to_string()).collect();
    let text =
        format!("none of {source} is there ({}): a login prints the address", names.join(", "));
    Finding::note(check, text).remedy("install one (xdg-utils), or name it in BROWSER")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_as_wrong_as_it_must_be() {
        let at = Timestamp::from_millis;
        let verdict = |date, asked, answered| {
            let found = clock(Some(at(date)), at(asked), at(answered));
            (found.verdict, found.text)
        };
        let (ok, wrong) = (Verdict::Ok, Verdict::Problem(ExitKind::Other));
        assert_eq!(verdict(7000, 7999, 8001), (ok, "as the server's".into()));
        assert_eq!(verdict(7000, 100, 9000), (ok, "as the server's".into()), "it took long");
        let ahead = "30s ahead of the server's".to_string();
        assert_eq!(verdict(7000, 38_000, 38_001), (Verdict::Note, ahead));
        let behind = "5m behind the server's".to_string();
        assert_eq!(verdict(400_000, 1, 100_000), (wrong, behind));
    }
}
