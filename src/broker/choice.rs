//! Which session is meant, and how it stands.

use std::time::Duration;

use super::freshness::life_left;
use super::traced::named_by;
use super::{Broker, BrokerError};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::names::{OrgLabel, SessionName};
use crate::protocol::Target;
use crate::session::{
    Choice, Installation, Journal, Outcome, Refusal, Session, SessionStore, TokenDigest, Verdict,
};
use crate::site::{self, Site, SiteError, SiteName};

/// The session that a request asks for, with flags and environment filled in.
pub struct Wanted {
    pub site: Option<SiteName>,
    pub org: Option<OrgLabel>,
}

impl Wanted {
    /// The site, where nothing else decides.
    pub fn site_or_default(&self) -> SiteName {
        self.site.clone().unwrap_or_else(|| SiteName::Site(site::us1()))
    }

    /// The site of a session that does not exist yet. The choice of `dd-oauth use` outlives its
    /// session.
    pub fn site_of_new_session(&self, installation: &Installation) -> Result<SiteName, Error> {
        let selected = || SessionStore::of(installation).selected();
        let site = match &self.site {
            Some(site) => Some(site.clone()),
            None => selected()?.map(|name| SiteName::Site(name.site)),
        };
        Ok(site.unwrap_or_else(|| SiteName::Site(site::us1())))
    }
}

impl Broker<'_> {
    /// What the request names, else the flag, else the variable.
    pub(super) fn wanted(&self, target: &Target) -> Wanted {
        self.terminal.trace(|| {
            let site = named_by("site", target.site.as_ref(), self.config.site.as_ref());
            let org = named_by("organization", target.org.as_ref(), self.config.org.as_ref());
            format!("{site}, {org}")
        });
        let configured = |setting: &crate::config::Setting<SiteName>| setting.value.clone();
        Wanted {
            site: target.site.clone().or_else(|| self.config.site.as_ref().map(configured)),
            org: target
                .org
                .clone()
                .or_else(|| self.config.org.as_ref().map(|setting| setting.value.clone())),
        }
    }

    /// The stored session that is meant, if there is one.
    pub(super) fn choose(
        &self,
        installation: &Installation,
        wanted: &Wanted,
    ) -> Result<Option<SessionName>, Error> {
        let store = SessionStore::of(installation);
        match store.choose(wanted.site.as_ref(), wanted.org.as_ref())? {
            Choice::Session(name, fit) => {
                self.terminal.trace(|| format!("the session is {name}: {fit}"));
                Ok(Some(name))
            }
            Choice::None => {
                self.terminal.trace(|| "no session fits".into());
                Ok(None)
            }
            Choice::Several(names) => Err(BrokerError::Ambiguous(names).into()),
        }
    }

    /// Whether somebody said that a target is one of ours: Datadog did, or it has a session.
    ///
    /// # Errors
    /// Where several sessions fit, or the store cannot be read.
    pub fn knows(&self, target: &Target) -> Result<bool, Error> {
        if matches!(&target.site, Some(SiteName::Site(site)) if site.is_datadog()) {
            return Ok(true);
        }
        let Some(installation) = Installation::open(&self.config.paths)? else { return Ok(false) };
        Ok(self.choose(&installation, &self.wanted(target))?.is_some())
    }

    /// The stored session that a human command is about.
    ///
    /// # Errors
    /// Where several fit, the login went elsewhere, or the store cannot be read.
    pub fn chosen(&self, installation: &Installation) -> Result<Option<SessionName>, Error> {
        let wanted = self.wanted(&Target::default());
        let chosen = self.choose(installation, &wanted)?;
        if chosen.is_none() {
            Self::ensure_not_elsewhere(installation, &wanted)?;
        }
        Ok(chosen)
    }

    /// Checks that a `get` would find a token in `session`, or could renew it.
    ///
    /// # Errors
    /// Why it could not, as `get` would say it.
    pub fn ensure_obtainable(&self, session: &Session, standing: Standing) -> Result<(), Error> {
        let now = self.clock.now();
        if life_left(&session.access, now).is_some() {
            return Ok(());
        }
        let name = session.name.clone();
        match standing {
            Standing::Live => Ok(()),
            Standing::Waiting { message, retry_in } => {
                Err(BrokerError::NotRenewed { name, message, retry_in }.into())
            }
            over => {
                let site = SiteName::Site(name.site.clone());
                let command = login_command(&site, name.org.as_ref());
                let why = over.explain(&name, now);
                Err(BrokerError::LoginRequired { why, command }.into())
            }
        }
    }

    /// Fails where the site that is named has no session because its login came back from
    /// another: the person is logged in, only elsewhere.
    pub(super) fn ensure_not_elsewhere(
        installation: &Installation,
        wanted: &Wanted,
    ) -> Result<(), Error> {
        let Some(SiteName::Site(asked)) = &wanted.site else { return Ok(()) };
        let names = SessionStore::of(installation).elsewhere(asked, wanted.org.as_ref())?;
        if names.is_empty() {
            return Ok(());
        }
        Err(BrokerError::LoggedInElsewhere { asked: asked.clone(), names }.into())
    }

    /// The error of a command that needs a session and found none.
    #[must_use]
    pub fn not_logged_in(&self) -> Error {
        let wanted = self.wanted(&Target::default());
        let site = wanted.site_or_default();
        let why = format!("not logged in to {}", shown(&site, wanted.org.as_ref()));
        let command = login_command(&site, wanted.org.as_ref());
        BrokerError::LoginRequired { why, command }.into()
    }

    /// Refuses a site that is not Datadog's unless the user trusts it: `given` with this very
    /// command, or in the configuration file. No variable can do that.
    pub(super) fn ensure_trusted(&self, site: &SiteName, given: bool) -> Result<(), Error> {
        let SiteName::Site(site @ (Site::Foreign(_) | Site::Loopback(_))) = site else {
            return Ok(());
        };
        if given || self.config.file()?.trusted_sites.contains(site) {
            return Ok(());
        }
        Err(SiteError::Untrusted(site.clone()).into())
    }
}

/// How a session stands, by the outcome of its last refresh.
#[derive(Clone, Debug)]
pub enum Standing {
    /// Nothing is known against a refresh.
    Live,
    /// The last refresh failed, and the next is not due yet.
    Waiting { message: String, retry_in: Duration },
    /// The server ended it.
    Ended { refusal: Refusal, message: String, at: Timestamp },
    /// It was stored without a refresh token.
    NotRenewable,
}

impl Standing {
    /// By the last outcome, as far as it is about this refresh token and still forbids anything. A
    /// `store` or `erase` of an access token in between changes nothing about that.
    #[must_use]
    pub fn of(session: &Session, outcome: Option<&Outcome>, now: Timestamp) -> Self {
        let Some(digest) = TokenDigest::of(&session.renewal) else { return Self::NotRenewable };
        match outcome.filter(|outcome| outcome.token == digest) {
            Some(outcome) if outcome.holds(now) => Self::after(outcome, now),
            _ => Self::Live,
        }
    }

    /// By the outcome for which somebody waited, however long ago that was.
    #[must_use]
    pub fn after(outcome: &Outcome, now: Timestamp) -> Self {
        match &outcome.verdict {
            Verdict::Renewed => Self::Live,
            Verdict::Ended { refusal, message } => {
                Self::Ended { refusal: *refusal, message: message.clone(), at: outcome.at }
            }
            Verdict::Failed { message, not_before, .. } => {
                Self::Waiting { message: message.clone(), retry_in: not_before.since(now) }
            }
        }
    }

    /// Why there is no newer token, for a message.
    #[must_use]
    pub fn explain(&self, name: &SessionName, now: Timestamp) -> String {
        match self {
            Self::Live => format!("the refresh of {name} ended without an outcome"),
            Self::Waiting { message, .. } => {
                format!("could not renew the token for {name}: {message}")
            }
            Self::NotRenewable => format!("the session for {name} has no refresh token"),
            Self::Ended { refusal: Refusal::Interrupted { at }, .. } => format!(
                "the session for {name} is over: a refresh was interrupted at {at}, and its answer was lost"
            ),
            Self::Ended { refusal: Refusal::UnknownClient, .. } => format!(
                "the session for {name} is over: the server no longer knows this installation, which the next login registers anew"
            ),
            Self::Ended { refusal: Refusal::InvalidGrant, message, at } => {
                let ago = whole_minutes(now.since(*at));
                format!("the session for {name} is over: {message} ({ago})")
            }
        }
    }
}

fn whole_minutes(span: Duration) -> String {
    match span.as_secs() / 60 {
        0 => "just now".into(),
        1 => "a minute ago".into(),
        minutes => format!("{minutes} minutes ago"),
    }
}

/// The last outcome that a journal holds.
pub fn outcome_of(store: &SessionStore<'_>, session: &Session) -> Result<Option<Outcome>, Error> {
    let journal: Option<Journal<'_>> = store.journal(&session.name)?;
    match journal {
        Some(mut journal) => Ok(journal.outcome()?),
        None => Ok(None),
    }
}

/// A session that does not exist, for a message.
pub fn shown(site: &SiteName, org: Option<&OrgLabel>) -> String {
    let site = match site {
        SiteName::Site(site) => site.label(),
        SiteName::Vanity(vanity) => vanity.host.clone(),
    };
    match org {
        Some(org) => format!("{site} ({org})"),
        None => site,
    }
}

/// The command that logs in to it.
pub fn login_command(site: &SiteName, org: Option<&OrgLabel>) -> String {
    let site = match site {
        SiteName::Site(site) => site.to_string(),
        SiteName::Vanity(vanity) => vanity.host.clone(),
    };
    let org = org.map_or_else(String::new, |org| format!(" --org {}", quoted(&org.to_string())));
    format!("dd-oauth login --site {site}{org}")
}

/// As an argument that can be pasted into a shell.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if text.bytes().all(plain) { text.into() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_can_be_pasted() {
        let site = SiteName::parse("eu1").unwrap();
        let command = |org: &str| login_command(&site, OrgLabel::parse(org).as_ref());
        assert_eq!(command("acme"), "dd-oauth login --site datadoghq.eu --org acme");
        assert_eq!(
            command("Tom's $(x)"),
            r"dd-oauth login --site datadoghq.eu --org 'Tom'\''s $(x)'"
        );
    }
}
