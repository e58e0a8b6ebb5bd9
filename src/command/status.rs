//! `dd-oauth status`: one session, and where the configuration came from.

use std::path::PathBuf;

use serde_json::json;

use super::stdio::print;
use crate::broker::{self, AmbientToken, Context, Freshness, Standing};
use crate::cli::StatusFlags;
use crate::config::Source;
use crate::error::Error;
use crate::session::{
    Access, Installation, KeyHome, KeyPlace, Renewal, Session, SessionStore, selection,
};

/// Everything that is shown.
struct Status {
    session: Session,
    standing: Standing,
    freshness: &'static str,
    key_home: KeyHome,
    state_directory: PathBuf,
    chosen_by: String,
}

pub fn run(context: &Context<'_>, flags: &StatusFlags) -> Result<(), Error> {
    let Some(installation) = context.installation_if_any()? else {
        return without_session(context, None, flags);
    };
    let Some(name) = broker::chosen(context, &installation)? else {
        return without_session(context, Some(&installation), flags);
    };
    let Some(session) = SessionStore::of(&installation).load(&name)? else {
        return Err(broker::not_logged_in(context).into());
    };
    let standing = broker::standing_of(context, &installation, &session)?;
    if flags.check {
        return Ok(broker::ensure_obtainable(context, &session, standing)?);
    }
    let freshness = match Freshness::of(&session.access, None, context.clock.now()) {
        Freshness::Expiring => "expiring",
        Freshness::Stale => "stale",
        Freshness::Fresh | Freshness::NotYet(_) | Freshness::Never(_) => "fresh",
    };
    let chosen_by = match &context.config.site {
        Some(setting) => setting.source.to_string(),
        None if selection::selected(&installation)?.as_ref() == Some(&name) => {
            "dd-oauth use".into()
        }
        None => Source::Default.to_string(),
    };
    let key_home = installation.key_home()?;
    let state_directory = installation.state_directory().to_path_buf();
    let status = Status { session, standing, freshness, key_home, state_directory, chosen_by };
    if flags.json { print(&status.json(context)) } else { print(&status.text(context)) }
}

/// Where no session is meant, a token from outside may stand in for it.
fn without_session(
    context: &Context<'_>,
    installation: Option<&Installation>,
    flags: &StatusFlags,
) -> Result<(), Error> {
    let Some(outside) = broker::ambient_token(context, installation)? else {
        context.config.paths()?;
        return Err(broker::not_logged_in(context).into());
    };
    if flags.check {
        return Ok(());
    }
    let AmbientToken { source, site, org, .. } = outside;
    let org = org.map(|org| org.to_string());
    if flags.json {
        let value = json!({
            "site": site.to_string(),
            "org": org,
            "state": "outside",
            "token_source": source.to_string(),
            "expires_at": null,
            "renewable": false,
        });
        return print(&format!("{value}\n"));
    }
    let lines = [
        ("site", site.to_string()),
        ("org", org.unwrap_or_else(|| "-".into())),
        ("token", format!("from outside, by {source}; there is no session")),
        ("token expires", "not known".into()),
        ("renewable", "no".into()),
    ];
    print(&lines_of(lines))
}

/// Keys and values, one below the other.
fn lines_of(lines: impl IntoIterator<Item = (&'static str, String)>) -> String {
    lines.into_iter().map(|(key, value)| format!("{key:<14} {value}\n")).collect()
}

impl Status {
    fn json(&self, context: &Context<'_>) -> String {
        let Session { name, org_uuid, org_name, scopes, access, renewal, .. } = &self.session;
        let expires = match access {
            Access::Held { lifetime, .. } => Some(lifetime.expires.seconds()),
            Access::Rejected => None,
        };
        let state = match &self.standing {
            Standing::Ended { .. } => "ended",
            _ => self.freshness,
        };
        let value = json!({
            "site": name.site.to_string(),
            "site_source": self.chosen_by,
            "org": name.org.as_ref().map(ToString::to_string),
            "org_uuid": org_uuid,
            "org_name": org_name,
            "state": state,
            "expires_at": expires,
            "renewable": matches!(renewal, Renewal::Possible { .. }),
            "trouble": self.trouble(context),
            "scopes": scopes.iter().collect::<Vec<_>>(),
            "key": self.key_home.to_string(),
            "state_directory": self.state_directory.to_string_lossy(),
        });
        format!("{value}\n")
    }

    fn text(&self, context: &Context<'_>) -> String {
        let Session { name, org_uuid, org_name, scopes, access, renewal, .. } = &self.session;
        let expires = match access {
            Access::Held { lifetime, .. } => format!("{}, {}", lifetime.expires, self.freshness),
            Access::Rejected => "none held; the next request gets a new one".into(),
        };
        let renewable = match renewal {
            Renewal::Possible { .. } => "yes, with a refresh token",
            Renewal::Impossible => "no, it was stored without a refresh token",
        };
        let label = match name.site.label() {
            // It has no other name.
            label if label == name.site.to_string() => String::new(),
            label => format!("{label}; "),
        };
        let mut lines = vec![
            ("site", format!("{} ({}from {})", name.site, label, self.chosen_by)),
            ("org", name.org.as_ref().map_or_else(|| "-".into(), ToString::to_string)),
        ];
        lines.extend(org_name.as_ref().map(|own| ("org's own name", own.to_string())));
        lines.extend(org_uuid.as_ref().map(|uuid| ("org uuid", uuid.to_string())));
        lines.extend([("token expires", expires), ("renewable", renewable.into())]);
        lines.extend(self.trouble(context).map(|trouble| ("trouble", trouble)));
        lines.extend([
            ("scopes", if scopes.is_empty() { "-".into() } else { scopes.to_string() }),
            ("sealing key", self.key_home.to_string()),
            ("it protects", protection(self.key_home.place()).into()),
            ("state", self.state_directory.display().to_string()),
        ]);
        lines_of(lines)
    }

    fn trouble(&self, context: &Context<'_>) -> Option<String> {
        match &self.standing {
            Standing::Live | Standing::NotRenewable => None,
            standing => Some(standing.explain(&self.session.name, context.clock.now())),
        }
    }
}

/// What the place of the key keeps others from.
fn protection(place: KeyPlace) -> &'static str {
    match place {
        KeyPlace::Keychain => "the sessions against a copy of all your files, and other users",
        KeyPlace::File | KeyPlace::Named => {
            "the sessions against a copy of the state directory alone, and other users"
        }
    }
}
