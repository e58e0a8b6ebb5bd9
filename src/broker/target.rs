//! Which session a request means.

use std::fmt::Display;

use crate::config::Setting;
use crate::names::{OrgLabel, SessionName};
use crate::protocol::Target;
use crate::session::{Choice, Installation, SessionStore, StorageError, selection};
use crate::site::{self, Site, SiteError, SiteName};

use super::locking::{hold_to_write, until_it_stays};
use super::{BrokerError, Context};

/// What a request asks for, with flags and environment filled in.
pub struct Wanted {
    pub site: Option<SiteName>,
    pub org: Option<OrgLabel>,
}

impl Wanted {
    /// What the request names, else the flag, else the variable.
    pub fn of(context: &Context<'_>, target: &Target) -> Self {
        let (site, org) = (context.config.site.as_ref(), context.config.org.as_ref());
        context.terminal.trace(|| {
            let site = named_by("site", target.site.as_ref(), site);
            let org = named_by("organization", target.org.as_ref(), org);
            format!("{site}, {org}")
        });
        Self {
            site: target.site.clone().or_else(|| site.map(|setting| setting.value.clone())),
            org: target.org.clone().or_else(|| org.map(|setting| setting.value.clone())),
        }
    }

    /// The site, if nothing else decides.
    pub fn site_or_default(&self) -> SiteName {
        self.site.clone().unwrap_or_else(|| SiteName::Site(site::us1()))
    }

    /// The site of a session that does not exist yet. The choice of `dd-oauth use` outlives its
    /// session.
    pub fn site_of_new_session(
        &self,
        installation: &Installation,
    ) -> Result<SiteName, StorageError> {
        let selected = || selection::selected(installation);
        let site = match &self.site {
            Some(site) => Some(site.clone()),
            None => selected()?.map(|name| SiteName::Site(name.site)),
        };
        Ok(site.unwrap_or_else(|| SiteName::Site(site::us1())))
    }

    /// The stored session that is meant, if there is one.
    pub fn choose(
        &self,
        context: &Context<'_>,
        installation: &Installation,
    ) -> Result<Option<SessionName>, BrokerError> {
        let store = SessionStore::of(installation);
        match store.choose(self.site.as_ref(), self.org.as_ref())? {
            Choice::Session(name, fit) => {
                context.terminal.trace(|| format!("the session is {name}: {fit}"));
                Ok(Some(name))
            }
            Choice::None => {
                context.terminal.trace(|| "no session fits".into());
                Ok(None)
            }
            Choice::Several(names) => Err(BrokerError::Ambiguous(names)),
        }
    }

    /// Fails if the site that is named has no session because its login came back from another:
    /// the person is logged in, only elsewhere.
    pub fn ensure_not_elsewhere(&self, installation: &Installation) -> Result<(), BrokerError> {
        let Some(SiteName::Site(asked)) = &self.site else { return Ok(()) };
        let names = SessionStore::of(installation).elsewhere(asked, self.org.as_ref())?;
        if names.is_empty() {
            return Ok(());
        }
        Err(BrokerError::LoggedInElsewhere { asked: asked.clone(), names })
    }
}

/// Whether somebody said that a target is one of ours: Datadog did, or it has a session.
///
/// # Errors
/// If several sessions fit, or the store cannot be read.
pub fn knows(context: &Context<'_>, target: &Target) -> Result<bool, BrokerError> {
    if matches!(&target.site, Some(SiteName::Site(site)) if site.is_datadog()) {
        return Ok(true);
    }
    let Some(installation) = context.installation_if_any()? else { return Ok(false) };
    Ok(Wanted::of(context, target).choose(context, &installation)?.is_some())
}

/// The stored session that a human command is about.
///
/// # Errors
/// If several fit, the login went elsewhere, or the store cannot be read.
pub fn chosen(
    context: &Context<'_>,
    installation: &Installation,
) -> Result<Option<SessionName>, BrokerError> {
    let wanted = Wanted::of(context, &Target::default());
    let chosen = wanted.choose(context, installation)?;
    if chosen.is_none() {
        wanted.ensure_not_elsewhere(installation)?;
    }
    Ok(chosen)
}

/// Makes the session that this command is about the one for requests that name none.
///
/// # Errors
/// If there is no such session, or the choice cannot be written.
pub fn select(context: &Context<'_>) -> Result<SessionName, BrokerError> {
    until_it_stays(|| select_once(context))
}

fn select_once(context: &Context<'_>) -> Result<SessionName, BrokerError> {
    let installation = context.installation()?.ok_or_else(|| not_logged_in(context))?;
    let name = chosen(context, &installation)?.ok_or_else(|| not_logged_in(context))?;
    let lock = hold_to_write(context, &selection::lock_path(&installation), "use")?;
    selection::select(&installation, &lock, &name)?;
    Ok(name)
}

/// The error of a command that needs a session and found none.
#[must_use]
pub fn not_logged_in(context: &Context<'_>) -> BrokerError {
    let wanted = Wanted::of(context, &Target::default());
    let site = wanted.site_or_default();
    let why = format!("not logged in to {}", shown(&site, wanted.org.as_ref()));
    let command = login_command(&site, wanted.org.as_ref());
    BrokerError::LoginRequired { why, command }
}

/// Refuses a site that is not Datadog's unless the user trusts it: `given` with this very command,
/// or in the configuration file. No variable can do that.
pub(super) fn ensure_trusted(
    context: &Context<'_>,
    site: &SiteName,
    given: bool,
) -> Result<(), BrokerError> {
    let SiteName::Site(site @ (Site::Foreign(_) | Site::Loopback(_))) = site else {
        return Ok(());
    };
    if given || context.config.file()?.trusted_sites.contains(site) {
        return Ok(());
    }
    Err(SiteError::Untrusted(site.clone()).into())
}

/// A token that comes from the caller may go back to this machine; to a foreign host only if the
/// user trusts it.
pub(super) fn ensure_storable(context: &Context<'_>, site: &SiteName) -> Result<(), BrokerError> {
    let loopback = matches!(site, SiteName::Site(site) if site.is_loopback());
    ensure_trusted(context, site, loopback)
}

/// A session that does not exist, for a message.
pub(super) fn shown(site: &SiteName, org: Option<&OrgLabel>) -> String {
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
pub(super) fn login_command(site: &SiteName, org: Option<&OrgLabel>) -> String {
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

/// What a request means by one of its words, and who said so.
fn named_by<T: Display>(
    what: &str,
    requested: Option<&T>,
    configured: Option<&Setting<T>>,
) -> String {
    match (requested, configured) {
        (Some(value), _) => format!("{what} {value} (the request)"),
        (None, Some(Setting { value, source })) => format!("{what} {value} ({source})"),
        (None, None) => format!("no {what} is named"),
    }
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
