//! Which session a request means: the one that `dd-oauth use` selected, or the one that fits.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::durable;
use super::error::StorageError;
use super::installation::Installation;
use crate::lock::Lock;
use crate::names::{OrgLabel, SessionName};
use crate::platform::Privacy;
use crate::site::{Site, SiteName};

const LIMIT: u64 = 4096;

/// Which session a request means, as far as the stored ones decide it.
#[derive(Debug)]
pub enum Choice {
    /// This one, which exists.
    Session(SessionName, Fit),
    /// None of them.
    None,
    /// The request fits several and has to be more specific.
    Several(Vec<SessionName>),
}

/// Why a session is the one that is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Site and organization were named.
    Named,
    /// No other fits.
    Only,
    /// `dd-oauth use` chose it.
    Selected,
    /// It is the one of its site that is stored without an organization.
    WithoutOrg,
}

impl fmt::Display for Fit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Named => "it was named",
            Self::Only => "it is the only one that fits",
            Self::Selected => "`dd-oauth use` chose it",
            Self::WithoutOrg => "no organization is named, and it has none",
        })
    }
}

/// Chooses among the names that fit the site. If several fit, it is the one that `dd-oauth use`
/// selected, then the one without an organization if the request names a site.
pub(super) fn choose_among(
    installation: &Installation,
    mut fitting: Vec<SessionName>,
    site: Option<&SiteName>,
    org: Option<&OrgLabel>,
) -> Result<Choice, StorageError> {
    if let Some(org) = org {
        fitting.retain(|name| name.org.as_ref() == Some(org));
    }
    if fitting.len() > 1
        && let Some(selected) = selected(installation)?
        && let Some(position) = fitting.iter().position(|name| *name == selected)
    {
        return Ok(Choice::Session(fitting.swap_remove(position), Fit::Selected));
    }
    if fitting.len() > 1
        && let (Some(SiteName::Site(site)), None) = (site, org)
    {
        // The session without an organization has no other name than its site.
        let name = SessionName { site: site.clone(), org: None };
        if fitting.contains(&name) {
            return Ok(Choice::Session(name, Fit::WithoutOrg));
        }
    }
    Ok(match fitting.len() {
        0 => Choice::None,
        1 => Choice::Session(fitting.swap_remove(0), Fit::Only),
        _ => Choice::Several(fitting),
    })
}

#[derive(Serialize, Deserialize)]
struct Selected {
    site: String,
    org: Option<OrgLabel>,
}

/// What `dd-oauth use` selected.
///
/// # Errors
/// If the file cannot be read. A file that cannot be understood selects nothing.
pub fn selected(installation: &Installation) -> Result<Option<SessionName>, StorageError> {
    let bytes = durable::read(&installation.selection_path(), Privacy::Owned, LIMIT)?;
    let selected = bytes.and_then(|bytes| serde_json::from_slice::<Selected>(&bytes).ok());
    Ok(selected.and_then(|selected| {
        Some(SessionName { site: Site::parse(&selected.site).ok()?, org: selected.org })
    }))
}

/// Selects the session for requests that name none. `_lock` is that of [`lock_path`].
///
/// # Errors
/// If the file cannot be written, or the installation was forgotten meanwhile.
pub fn select(
    installation: &Installation,
    _lock: &Lock,
    name: &SessionName,
) -> Result<(), StorageError> {
    let selected = Selected { site: name.site.to_string(), org: name.org.clone() };
    let json = serde_json::to_vec(&selected).expect("a selection is plain data");
    let written = durable::replace(&installation.selection_path(), &json);
    if installation.is_there()? { written } else { Err(StorageError::Forgotten) }
}

/// The lock of [`select`].
#[must_use]
pub fn lock_path(installation: &Installation) -> PathBuf {
    installation.selection_path().with_extension("lock")
}
