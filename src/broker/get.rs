//! What `get` does, from top to bottom: find the session, judge its token, and answer, refresh, log
//! in, or fail.

use std::time::Duration;

use crate::names::SessionName;
use crate::protocol::{Answer, GetRequest};
use crate::session::{Access, Installation, Lifetime, Renewal, Session, SessionStore};
use crate::site::{SiteError, SiteName};

use super::ambient::{AmbientSource, answer_from_ambient};
use super::freshness::{Freshness, life_left};
use super::locking::until_it_stays;
use super::login::{LoginOptions, log_in};
use super::refresh::{DueRenewal, Reason, Renewed, renew, renew_for_a_moment};
use super::standing::Standing;
use super::target::{Wanted, ensure_trusted, login_command, shown};
use super::{BrokerError, Context};

/// An answer, and what is to be done once the caller has it.
pub struct Found {
    pub answer: Answer,
    pub origin: Origin,
    /// What is to be done behind the caller's back.
    pub renewal: Option<DueRenewal>,
}

/// Where the token of an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A session of this installation.
    Session(Lifetime),
    /// A variable: nobody said how long the token lives, and nobody here can renew it.
    Ambient(AmbientSource),
}

/// Answers with an access token that is good for what the request demands.
///
/// # Errors
/// If none can be had.
pub fn get(context: &Context<'_>, request: &GetRequest) -> Result<Found, BrokerError> {
    until_it_stays(|| get_once(context, request))
}

fn get_once(context: &Context<'_>, request: &GetRequest) -> Result<Found, BrokerError> {
    let wanted = Wanted::of(context, &request.target);
    let Some(installation) = context.installation_if_any()? else {
        return get_without_session(context, &wanted, request, None);
    };
    let Some(name) = wanted.choose(context, &installation)? else {
        return get_without_session(context, &wanted, request, Some(&installation));
    };
    let Some(session) = SessionStore::of(&installation).load(&name)? else {
        return log_in_for(context, &wanted, wanted.site_or_default(), request, None);
    };
    context.trace_key(&installation);
    let demand = request.min_ttl;
    let freshness = Freshness::of(&session.access, demand, context.clock.now());
    trace_freshness(context, &session, freshness);
    match freshness {
        Freshness::Fresh => answer(context, session, demand),
        Freshness::Expiring => {
            let due = DueRenewal { installation, session: session.clone() };
            let found = answer(context, session, demand)?;
            Ok(Found { renewal: Some(due), ..found })
        }
        Freshness::NotYet(wait) if matches!(session.renewal, Renewal::Possible { .. }) => {
            Err(too_soon(demand, wait))
        }
        Freshness::Never(lifetime) => Err(never(&name, demand, lifetime)),
        // If nothing can be renewed, waiting does not help.
        Freshness::Stale | Freshness::NotYet(_) => {
            get_renewed(context, &installation, session, &wanted, request)
        }
    }
}

/// As [`get`], for a caller that keeps the token for its whole life, such as `exec`: a token inside
/// its renewal window is renewed first, if that takes only a moment.
///
/// # Errors
/// If none can be had.
pub fn get_to_keep(context: &Context<'_>, request: &GetRequest) -> Result<Found, BrokerError> {
    let found = get(context, request)?;
    let Some(due) = &found.renewal else { return Ok(found) };
    renew_for_a_moment(context, due);
    get(context, request)
}

/// Renews a stale token, or waits for the process that does. If that fails, a token with some life
/// left is answered with a warning, and a session that ended leads to a login.
fn get_renewed(
    context: &Context<'_>,
    installation: &Installation,
    session: Session,
    wanted: &Wanted,
    request: &GetRequest,
) -> Result<Found, BrokerError> {
    let (name, demand) = (session.name.clone(), request.min_ttl);
    let now = || context.clock.now();
    let (why, standing) = match renew(context, installation, &session, Reason::Stale(demand)) {
        Ok(Renewed::Yes(renewed)) => return answer(context, *renewed, demand),
        Ok(Renewed::No(standing)) => (standing.explain(&name, now()), Ok(standing)),
        Err(error) => (error.to_string(), Err(error)),
    };
    if let (Some(left), None) = (life_left(&session.access, now()), demand) {
        let seconds = left.as_secs();
        context.terminal.warn(&format!("{why}; this token lives {seconds} s more"));
        return answer(context, session, None);
    }
    match standing? {
        Standing::Ended { .. } | Standing::NotRenewable => {
            let site = SiteName::Site(name.site.clone());
            log_in_for(context, wanted, site, request, Some((&name, why)))
        }
        Standing::Waiting { message, retry_in } => {
            Err(BrokerError::NotRenewed { name, message, retry_in })
        }
        Standing::Live => Err(BrokerError::NoOutcome { name }),
    }
}

/// Makes the answer of a session; a token that was just renewed may still not live as long as
/// demanded.
fn answer(
    context: &Context<'_>,
    session: Session,
    demand: Option<Duration>,
) -> Result<Found, BrokerError> {
    let freshness = Freshness::of(&session.access, demand, context.clock.now());
    let alive = life_left(&session.access, context.clock.now()).is_some();
    let Access::Held { token, lifetime } = session.access else {
        return Err(BrokerError::NoOutcome { name: session.name });
    };
    if !alive {
        return Err(BrokerError::ExpiredOnArrival { name: session.name });
    }
    match (freshness, demand) {
        (Freshness::NotYet(wait), Some(_)) => return Err(too_soon(demand, wait)),
        (Freshness::Never(_) | Freshness::Stale, Some(_)) => {
            return Err(never(&session.name, demand, lifetime.total()));
        }
        _ => {}
    }
    let answer = Answer {
        access_token: token,
        expires: Some(lifetime.expires),
        site: session.name.site,
        org: session.name.org,
    };
    Ok(Found { answer, origin: Origin::Session(lifetime), renewal: None })
}

/// Answers with a token from a variable, or logs in.
fn get_without_session(
    context: &Context<'_>,
    wanted: &Wanted,
    request: &GetRequest,
    installation: Option<&Installation>,
) -> Result<Found, BrokerError> {
    let site = match installation {
        Some(installation) => wanted.site_of_new_session(installation)?,
        None => wanted.site_or_default(),
    };
    if let Some((answer, source)) = answer_from_ambient(context, &site, wanted, request)? {
        return Ok(Found { answer, origin: Origin::Ambient(source), renewal: None });
    }
    // A login would have no place for its session.
    context.config.paths()?;
    if let Some(installation) = installation {
        wanted.ensure_not_elsewhere(installation)?;
    }
    log_in_for(context, wanted, site, request, None)
}

/// Logs in if that is allowed without a person having typed it, and says what to run if it is not.
/// `ended` is the session that the login replaces, and why.
fn log_in_for(
    context: &Context<'_>,
    wanted: &Wanted,
    site: SiteName,
    request: &GetRequest,
    ended: Option<(&SessionName, String)>,
) -> Result<Found, BrokerError> {
    let terminal = context.terminal;
    let (org, why) = if let Some((name, why)) = ended {
        (name.org.clone(), why)
    } else {
        let why = format!("not logged in to {}", shown(&site, wanted.org.as_ref()));
        (wanted.org.clone(), why)
    };
    let loopback = matches!(&site, SiteName::Site(site) if site.is_loopback());
    // An untrusted loopback site may be logged in to, but only by a person who types it.
    let trusted = match ensure_trusted(context, &site, false) {
        Err(BrokerError::Site(SiteError::Untrusted(_))) if loopback => false,
        other => other.map(|()| true)?,
    };
    let interactive = context.config.interactive(context.environment)?;
    let may_log_in = trusted && terminal.may_interact(interactive.value);
    terminal.trace(|| {
        let verdict = if may_log_in { "begins a login" } else { "begins no login" };
        let trust = if trusted { "trusted" } else { "not trusted" };
        let (mode, by) = (interactive.value.name(), &interactive.source);
        format!("{why}; {verdict}: the site is {trust}, interactive is {mode} ({by})")
    });
    if !may_log_in {
        let command = login_command(&site, org.as_ref());
        return Err(BrokerError::LoginRequired { why, command });
    }
    terminal.say(&why);
    let options = LoginOptions {
        demand: request.min_ttl,
        ..LoginOptions::unasked(site, org, context.environment)?
    };
    let session = log_in(context, &options)?.session;
    // A token goes only to a request about its own site, however it was come by.
    match &wanted.site {
        Some(SiteName::Site(asked)) if *asked != session.name.site => {
            let (asked, names) = (asked.clone(), vec![session.name]);
            Err(BrokerError::LoggedInElsewhere { asked, names })
        }
        _ => answer(context, session, request.min_ttl),
    }
}

fn too_soon(demand: Option<Duration>, wait: Duration) -> BrokerError {
    BrokerError::TooSoon { demand: demand.unwrap_or_default(), wait }
}

fn never(name: &SessionName, demand: Option<Duration>, lifetime: Duration) -> BrokerError {
    BrokerError::NeverThatLong { name: name.clone(), demand: demand.unwrap_or_default(), lifetime }
}

/// Traces how fresh a token is, in numbers.
fn trace_freshness(context: &Context<'_>, session: &Session, freshness: Freshness) {
    context.terminal.trace(|| {
        let left = life_left(&session.access, context.clock.now()).unwrap_or_default().as_secs();
        let life = match &session.access {
            Access::Held { lifetime, .. } => {
                format!("{left} s of {} s left", lifetime.total().as_secs())
            }
            Access::Rejected => "was rejected".into(),
        };
        format!("the access token of {} ({life}): {freshness}", session.name)
    });
}
