//! The broker decides: answer, refresh, log in, or fail. It is the one layer that knows sessions,
//! OAuth and locks.

mod choice;
mod conversation;
mod forgetting;
mod freshness;
mod import;
mod keeping;
mod keys;
mod login;
mod outside;
mod refresh;
mod renewal;
mod traced;

use std::time::Duration;

use crate::clock::{Clock, Deadline};
use crate::config::Config;
use crate::environment::Environment;
use crate::error::Error;
use crate::exit::ExitKind;
use crate::names::SessionName;
use crate::protocol::{Answer, GetRequest};
use crate::session::{
    Access, Installation, Lifetime, LoginFailure, Opened, Renewal, Session, SessionStore,
};
use crate::site::{Site, SiteError, SiteName};
use crate::terminal::Terminal;

use choice::Wanted;
use freshness::{Need, life_left};
use renewal::{Reason, Renewed};

pub use choice::Standing;
pub use forgetting::{AllLoggedOut, KeyMoved};
pub use freshness::{Horizon, Need as TokenNeed};
pub use import::{ImportOptions, Original};
pub use keeping::{Erased, LoggedOut, NotRevoked};
pub use login::{LoggedIn, LoginOptions, ScopeOptions};
pub use outside::{INSIDE_EXEC, OutsideSource, OutsideToken};
pub use renewal::standing_of;

/// Everything that a decision depends on, handed in.
pub struct Broker<'a> {
    pub config: &'a Config,
    pub environment: &'a Environment,
    pub clock: Clock,
    pub terminal: &'a Terminal,
    /// When the caller gives up on its answer; then so does the wait for a refresh.
    pub limit: Option<Deadline>,
}

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
    /// The surroundings: nobody told how long it lives, and nobody here can renew it.
    Outside(OutsideSource),
}

/// A renewal that is due, of a token that is still good.
pub struct DueRenewal {
    pub installation: Installation,
    pub session: Session,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error("{why}: run `{command}`")]
    LoginRequired { why: String, command: String },
    #[error("{}", told_elsewhere(.asked, .names))]
    LoggedInElsewhere { asked: Site, names: Vec<SessionName> },
    #[error("the login for which this one waited came to nothing: {}", .0.message)]
    LoginFailed(LoginFailure),
    #[error("there are several sessions ({}): name one with site= and org=, --site and --org, or `dd-oauth use`", names(.0))]
    Ambiguous(Vec<SessionName>),
    #[error("could not renew the token for {name}: {message}{}", retry(.retry_in))]
    NotRenewed { name: SessionName, message: String, retry_in: Duration },
    #[error("the refresh of {name} ended without an outcome; try again")]
    NoOutcome { name: SessionName },
    #[error("the new token for {name} had expired before it could be answered; try again")]
    ExpiredOnArrival { name: SessionName },
    #[error("no session came through {host}: store tokens under the site that issued them")]
    NoSessionThrough { host: String },
    #[error(
        "no token with {} s of life can be promised: nothing says how long the one of {source_name} lives; demand nothing", .demand.as_secs()
    )]
    UnknownLife { source_name: OutsideSource, demand: Duration },
    #[error("no API key is stored for {name}: give one to `dd-oauth store`, with kind=api-key")]
    NoApiKeys { name: String },
    #[error("could not start the refresh: {0}")]
    NoWorker(std::io::Error),
    #[error(
        "no token with {} s of life can be had yet: wait {} s", .demand.as_secs(), whole_seconds(.wait)
    )]
    TooSoon { demand: Duration, wait: Duration },
    #[error(
        "no token with {} s of life can be had: tokens of {name} live {} s", .demand.as_secs(), .lifetime.as_secs()
    )]
    NeverThatLong { name: SessionName, demand: Duration, lifetime: Duration },
}

impl BrokerError {
    /// See [`crate::error::Error::kind`].
    #[must_use]
    pub fn kind(&self) -> ExitKind {
        match self {
            Self::LoginRequired { .. }
            | Self::LoggedInElsewhere { .. }
            | Self::NoApiKeys { .. } => ExitKind::LoginRequired,
            Self::LoginFailed(failure) => failure.kind,
            Self::Ambiguous(_)
            | Self::NeverThatLong { .. }
            | Self::UnknownLife { .. }
            | Self::NoSessionThrough { .. } => ExitKind::Usage,
            Self::NotRenewed { .. }
            | Self::NoOutcome { .. }
            | Self::ExpiredOnArrival { .. }
            | Self::TooSoon { .. } => ExitKind::Temporary,
            Self::NoWorker(_) => ExitKind::Other,
        }
    }
}

fn names(names: &[SessionName]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Where the logins went that were asked for at another site.
fn told_elsewhere(asked: &Site, names: &[SessionName]) -> String {
    let asked = asked.label();
    let sites: Vec<_> = names.iter().map(|name| name.site.to_string()).collect();
    let set = match sites.as_slice() {
        [site] => format!("set DD_SITE={site}"),
        sites => format!("set DD_SITE to one of {}", sites.join(", ")),
    };
    let names = self::names(names);
    format!(
        "you are logged in to {names}, from where the login to {asked} came back; {set}, or name that site, or run `dd-oauth login` for {asked} again"
    )
}

fn retry(retry_in: &Duration) -> String {
    format!("; the next attempt is made in {} s at the earliest", whole_seconds(retry_in))
}

/// Rounded up, so that who waits that long has waited long enough.
fn whole_seconds(span: &Duration) -> u64 {
    u64::try_from(span.as_millis().div_ceil(1000)).unwrap_or(u64::MAX)
}

impl Broker<'_> {
    /// The installation, made if there is none; says so where its key did not go into the keychain
    /// though nobody chose that.
    fn installation_to_write(&self) -> Result<Installation, Error> {
        let Opened { installation, fell_back } = Installation::open_or_create(&self.config.paths)?;
        self.trace_key(&installation);
        if let Some(why) = fell_back {
            self.terminal.trace(|| format!("the sealing key went into a file: {why}"));
            self.terminal.warn(&format!(
                "the keychain cannot be used: {why}; the sealing key rests in a file instead (DD_TOKEN_STORAGE=file chooses that without this warning)"
            ));
        }
        Ok(installation)
    }

    /// Answers with an access token that is good for what the request demands.
    ///
    /// # Errors
    /// Where none can be had.
    pub fn get(&self, request: &GetRequest) -> Result<Found, Error> {
        let wanted = self.wanted(&request.target);
        let Some(installation) = Installation::open(&self.config.paths)? else {
            let site = wanted.site_or_default();
            return self.get_without_session(&wanted, site, request, None);
        };
        if let Some(name) = self.choose(&installation, &wanted)? {
            return self.get_from(installation, &name, &wanted, request);
        }
        let site = wanted.site_of_new_session(&installation)?;
        self.get_without_session(&wanted, site, request, Some(&installation))
    }

    /// Answers with a token from outside, or logs in.
    fn get_without_session(
        &self,
        wanted: &Wanted,
        site: SiteName,
        request: &GetRequest,
        installation: Option<&Installation>,
    ) -> Result<Found, Error> {
        if let Some(found) = self.answer_from_outside(&site, wanted, request)? {
            return Ok(found);
        }
        if let Some(installation) = installation {
            Self::ensure_not_elsewhere(installation, wanted)?;
        }
        self.log_in_for(wanted, site, request, None)
    }

    /// As [`Broker::get`], for who keeps the token for as long as it lives, as a program does that
    /// finds it in its environment: one inside the renewal window is renewed first, if that takes
    /// only a moment.
    ///
    /// # Errors
    /// Where none can be had.
    pub fn get_to_keep(&self, request: &GetRequest) -> Result<Found, Error> {
        let found = self.get(request)?;
        let Some(due) = &found.renewal else { return Ok(found) };
        self.renew_for_a_moment(due);
        self.get(request)
    }

    fn get_from(
        &self,
        installation: Installation,
        name: &SessionName,
        wanted: &Wanted,
        request: &GetRequest,
    ) -> Result<Found, Error> {
        let Some(session) = SessionStore::of(&installation).load(name)? else {
            return self.log_in_for(wanted, wanted.site_or_default(), request, None);
        };
        self.trace_key(&installation);
        let demand = request.min_ttl;
        let need = Need::of(&session.access, demand, self.clock.now());
        self.trace_need(&session, need);
        match need {
            Need::Nothing => return self.found(session, demand),
            Need::RenewalSoon => {
                let due = DueRenewal { installation, session: session.clone() };
                let found = self.found(session, demand)?;
                return Ok(Found { renewal: Some(due), ..found });
            }
            Need::Patience(wait) if matches!(session.renewal, Renewal::Possible { .. }) => {
                return Err(too_soon(demand, wait).into());
            }
            Need::Despair(lifetime) => return Err(never(name, demand, lifetime).into()),
            // Where nothing can be renewed, patience does not help.
            Need::Renewal | Need::Patience(_) => {}
        }
        let now = || self.clock.now();
        let (why, standing) = match self.renew(&installation, &session, Reason::Stale(demand)) {
            Ok(Renewed::Yes(renewed)) => return self.found(*renewed, demand),
            Ok(Renewed::No(standing)) => (standing.explain(name, now()), Ok(standing)),
            Err(error) => (error.to_string(), Err(error)),
        };
        if let (Some(left), None) = (life_left(&session.access, now()), demand) {
            let seconds = left.as_secs();
            self.terminal.warn(&format!("{why}; this token lives {seconds} s more"));
            return self.found(session, None);
        }
        match standing? {
            Standing::Ended { .. } | Standing::NotRenewable => {
                let site = SiteName::Site(name.site.clone());
                self.log_in_for(wanted, site, request, Some((name, why)))
            }
            Standing::Waiting { message, retry_in } => {
                Err(BrokerError::NotRenewed { name: name.clone(), message, retry_in }.into())
            }
            Standing::Live => Err(BrokerError::NoOutcome { name: name.clone() }.into()),
        }
    }

    /// Makes the answer of a session; one that was just renewed may still not live as long as
    /// demanded.
    fn found(&self, session: Session, demand: Option<Duration>) -> Result<Found, Error> {
        let need = Need::of(&session.access, demand, self.clock.now());
        let alive = life_left(&session.access, self.clock.now()).is_some();
        let Access::Held { token, lifetime } = session.access else {
            return Err(BrokerError::NoOutcome { name: session.name }.into());
        };
        if !alive {
            return Err(BrokerError::ExpiredOnArrival { name: session.name }.into());
        }
        match (need, demand) {
            (Need::Patience(wait), Some(_)) => return Err(too_soon(demand, wait).into()),
            (Need::Despair(_) | Need::Renewal, Some(_)) => {
                return Err(never(&session.name, demand, lifetime.total()).into());
            }
            _ => {}
        }
        let answer = Answer {
            access_token: token,
            expires: Some(lifetime.expires),
            site: session.name.site.to_string(),
            api_url: session.name.site.api_url(),
            org: session.name.org,
        };
        Ok(Found { answer, origin: Origin::Session(lifetime), renewal: None })
    }

    /// Logs in where that is allowed without having been asked for, and says what to run where it
    /// is not. `ended` is the session that the login replaces, and why.
    fn log_in_for(
        &self,
        wanted: &Wanted,
        site: SiteName,
        request: &GetRequest,
        ended: Option<(&SessionName, String)>,
    ) -> Result<Found, Error> {
        let (org, why) = if let Some((name, why)) = ended {
            (name.org.clone(), why)
        } else {
            let why = format!("not logged in to {}", choice::shown(&site, wanted.org.as_ref()));
            (wanted.org.clone(), why)
        };
        let loopback = matches!(&site, SiteName::Site(site) if site.is_loopback());
        // An untrusted loopback site may be logged in to, but only by a person who types it.
        let trusted = match self.ensure_trusted(&site, false) {
            Err(Error::Site(SiteError::Untrusted(_))) if loopback => false,
            other => other.map(|()| true)?,
        };
        let interactive = self.config.interactive(self.environment)?;
        self.terminal.trace(|| {
            let may = self.terminal.may_interact(interactive.value) && trusted;
            let verdict = if may { "begins a login" } else { "begins no login" };
            let trust = if trusted { "trusted" } else { "not trusted" };
            let (mode, by) = (interactive.value.name(), &interactive.source);
            format!("{why}; {verdict}: the site is {trust}, interactive is {mode} ({by})")
        });
        let interactive = interactive.value;
        if !trusted || !self.terminal.may_interact(interactive) {
            let command = choice::login_command(&site, org.as_ref());
            return Err(BrokerError::LoginRequired { why, command }.into());
        }
        self.terminal.say(&why);
        let wish = LoginOptions {
            demand: request.min_ttl,
            ..LoginOptions::unasked(site, org, self.environment)?
        };
        let session = self.log_in(&wish)?.session;
        // A token goes only to a request about its own site, however it was come by.
        match &wanted.site {
            Some(SiteName::Site(asked)) if *asked != session.name.site => {
                let (asked, names) = (asked.clone(), vec![session.name]);
                Err(BrokerError::LoggedInElsewhere { asked, names }.into())
            }
            _ => self.found(session, request.min_ttl),
        }
    }
}

fn too_soon(demand: Option<Duration>, wait: Duration) -> BrokerError {
    BrokerError::TooSoon { demand: demand.unwrap_or_default(), wait }
}

fn never(name: &SessionName, demand: Option<Duration>, lifetime: Duration) -> BrokerError {
    BrokerError::NeverThatLong { name: name.clone(), demand: demand.unwrap_or_default(), lifetime }
}
