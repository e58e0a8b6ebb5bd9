//! `dd-oauth import`: shows what earlier tools left behind, and takes over what a person, or a
//! flag, says.

use super::call::may_ask;
use super::stdio::print;
use crate::broker::{self, Context, ImportOptions, Original};
use crate::cli::{ImportFlags, ImportSource};
use crate::config::{Setting, Source};
use crate::error::Error;
use crate::import::{EarlierSession, EarlierSessions, ImportError, Origin, Tool};
use crate::names::SessionName;
use crate::session::Access;
use crate::site::SiteName;

pub fn run(context: &Context<'_>, flags: &ImportFlags) -> Result<(), Error> {
    let EarlierSessions { mut sessions, skipped, keychain } =
        broker::earlier_sessions(context, flags.wants_keychain())?;
    let unseen = keychain.map(Error::KeychainUnseen);
    sessions.retain(|earlier| is_wanted(context, flags, earlier));
    let mut troubles: Vec<_> = skipped.into_iter().map(Error::from).chain(unseen).collect();
    if sessions.is_empty() {
        // Told as what went wrong, where it may be why nothing was found.
        troubles.retain(|trouble| tell_absence(context, trouble));
        let first = (!troubles.is_empty()).then(|| troubles.remove(0));
        warn_of(context, &troubles);
        context.terminal.say("no session of an earlier tool was found");
        return first.map_or(Ok(()), Err);
    }
    warn_of(context, &troubles);
    if !flags.yes {
        print(&shown(context, &sessions)?)?;
    }
    match decide(context, flags, &sessions)? {
        Some(wish) => take_over(context, &sessions, wish),
        None => Ok(()),
    }
}

/// Without a keychain there is nothing in it: no failure, but worth a word. Whether it is more.
fn tell_absence(context: &Context<'_>, trouble: &Error) -> bool {
    match trouble {
        Error::KeychainUnseen(error) if error.is_absence() => {
            context.terminal.say(&trouble.to_string());
            false
        }
        _ => true,
    }
}

fn warn_of(context: &Context<'_>, troubles: &[Error]) {
    for trouble in troubles {
        if tell_absence(context, trouble) {
            context.terminal.warn(&trouble.to_string());
        }
    }
}

/// Whether the flags mean this one. `DD_SITE` and `DD_ORG` say what requests mean, and choose
/// nothing here.
fn is_wanted(context: &Context<'_>, flags: &ImportFlags, earlier: &EarlierSession) -> bool {
    let site = flag(context.config.site.as_ref());
    let org = flag(context.config.org.as_ref());
    site.is_none_or(|site| *site == SiteName::Site(earlier.name.site.clone()))
        && org.is_none_or(|org| Some(org) == earlier.name.org.as_ref())
        && flags.from.iter().all(|source| match source {
            ImportSource::DatadogCli => earlier.tool == Tool::DatadogCli,
            ImportSource::Pup => earlier.tool == Tool::Pup,
            ImportSource::File => matches!(earlier.origin, Origin::File(_)),
            ImportSource::Keychain => matches!(earlier.origin, Origin::Keychain { .. }),
        })
}

fn flag<T>(setting: Option<&Setting<T>>) -> Option<&T> {
    let setting = setting.filter(|setting| matches!(setting.source, Source::Flag(_)));
    setting.map(|setting| &setting.value)
}

/// One line for each session.
fn shown(context: &Context<'_>, sessions: &[EarlierSession]) -> Result<String, Error> {
    let now = context.clock.now();
    let mut lines = Vec::new();
    for earlier in sessions {
        let site = earlier.name.site.to_string();
        let org = earlier.name.org.as_ref().map_or_else(|| "-".into(), ToString::to_string);
        let renewable = if earlier.is_renewable() { "renewable" } else { "not renewable" };
        let expiry = match earlier.access() {
            Access::Held { lifetime, .. } if lifetime.expires > now => {
                format!("expires {}", lifetime.expires)
            }
            Access::Held { lifetime, .. } => format!("expired {}", lifetime.expires),
            Access::Rejected => "expiry not known".into(),
        };
        let here =
            if broker::has_session(context, &earlier.name)? { "session here" } else { "new here" };
        let (tool, origin) = (earlier.tool, &earlier.origin);
        lines.push(format!(
            "{site:<20} {org:<16} {renewable:<13} {expiry:<28} {here:<12} {tool}, {origin}\n"
        ));
    }
    Ok(lines.concat())
}

/// What is to be done; nothing where nobody said so. What cannot be done as it was said fails
/// before anything is changed.
fn decide(
    context: &Context<'_>,
    flags: &ImportFlags,
    sessions: &[EarlierSession],
) -> Result<Option<ImportOptions>, Error> {
    let mut original = flags.original();
    if !flags.yes {
        if !may_ask(context)? {
            context.terminal.say(
                "nothing was changed: `dd-oauth import --yes --remove-original` takes over these sessions and removes them where they are; --site, --org and --from narrow it down",
            );
            return Ok(None);
        }
        ensure_unambiguous(sessions)?;
        let question = format!("take over {}?", count(sessions.len()));
        if context.terminal.ask(&question) != Some(true) {
            context.terminal.say("nothing was changed");
            return Ok(None);
        }
        if original.is_none() && sessions.iter().any(EarlierSession::is_renewable) {
            let question = "remove them where they are? If another tool keeps the same refresh token, the second of both to use it ends the session of both;";
            original = match context.terminal.ask(question) {
                Some(true) => Some(Original::Removed),
                Some(false) => Some(Original::Kept),
                None => {
                    context.terminal.say("nothing was changed");
                    return Ok(None);
                }
            };
        }
    }
    ensure_unambiguous(sessions)?;
    let original = match original {
        Some(original) => original,
        // An access token does no harm in two places.
        None if !sessions.iter().any(EarlierSession::is_renewable) => Original::Kept,
        None => return Err(ImportError::Undecided.into()),
    };
    Ok(Some(ImportOptions { original, replace: flags.replace }))
}

fn count(sessions: usize) -> String {
    if sessions == 1 { "this session".into() } else { format!("these {sessions} sessions") }
}

fn ensure_unambiguous(sessions: &[EarlierSession]) -> Result<(), Error> {
    for (position, one) in sessions.iter().enumerate() {
        if sessions[..position].iter().any(|other| other.name == one.name) {
            let (name, tool, kind) = (one.name.clone(), one.tool, one.origin.kind());
            return Err(ImportError::Several { name, tool, kind }.into());
        }
    }
    Ok(())
}

/// Takes over one after the other. What keeps one from it keeps none of the others; the first
/// failure is the end's, once all were tried.
fn take_over(
    context: &Context<'_>,
    sessions: &[EarlierSession],
    wish: ImportOptions,
) -> Result<(), Error> {
    let mut failed = Vec::new();
    for earlier in sessions {
        match broker::import(context, earlier, wish) {
            Ok(kept) => tell_taken(context, earlier, wish.original, &kept),
            Err(error) => failed.push(error),
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    let first = failed.remove(0);
    for error in &failed {
        context.terminal.say(&error.to_string());
    }
    Err(first.into())
}

fn tell_taken(
    context: &Context<'_>,
    earlier: &EarlierSession,
    original: Original,
    kept: &SessionName,
) {
    let EarlierSession { name, tool, origin, .. } = earlier;
    let terminal = context.terminal;
    let taken = if kept == name {
        format!("took over {name} from {tool}")
    } else {
        format!("{name} of {tool} is the same session as {kept}, which is here already")
    };
    match original {
        Original::Removed => terminal.say(&format!("{taken}, and removed it from {origin}")),
        Original::Kept => terminal.say(&taken),
    }
    if original == Original::Kept && earlier.is_renewable() {
        terminal.warn(&format!(
            "{tool} still has the same refresh token ({origin}): if both use it, the session of both ends"
        ));
    }
}
