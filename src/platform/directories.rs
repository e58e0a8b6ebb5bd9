//! Where the files of one user are, on every system: ours, and those of earlier tools.

use std::path::PathBuf;

use crate::environment::Environment;

/// The platform's places for the files of one user.
#[derive(Clone, Debug)]
pub struct Directories {
    pub state: PathBuf,
    pub data: PathBuf,
    pub config: PathBuf,
}

/// The places in which earlier tools keep their files.
#[derive(Clone, Debug)]
pub struct EarlierDirectories {
    /// Of Datadog's own plugin.
    pub datadog_cli: PathBuf,
    /// Of pup, which has had several.
    pub pup: Vec<PathBuf>,
}

/// The variable that should name the home directory, and is not set.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no home directory: set {0}")]
pub struct NoHome(pub &'static str);

/// The places of the XDG base directory specification. They are the same on macOS, as command-line
/// tools have it there. A variable that is not an absolute path is ignored, as the specification
/// says.
///
/// # Errors
/// If a place depends on the home directory and there is none.
#[cfg(unix)]
pub fn directories(environment: &Environment) -> Result<Directories, NoHome> {
    let home = environment.path("HOME").filter(|home| home.is_absolute());
    let place = |variable: &str, below_home: &str| {
        let named = environment.path(variable).filter(|path| path.is_absolute());
        let usual = home.as_ref().map(|home| home.join(below_home));
        let base = named.or(usual).ok_or(NoHome("HOME"))?;
        Ok(base.join("dd-oauth"))
    };
    Ok(Directories {
        state: place("XDG_STATE_HOME", ".local/state")?,
        data: place("XDG_DATA_HOME", ".local/share")?,
        config: place("XDG_CONFIG_HOME", ".config")?,
    })
}

/// The places of the user's profile.
///
/// # Errors
/// If the profile is not known.
#[cfg(windows)]
pub fn directories(environment: &Environment) -> Result<Directories, NoHome> {
    let place = |variable| {
        let place = environment.path(variable).filter(|path| path.is_absolute());
        place.ok_or(NoHome(variable))
    };
    let (local, roaming) = (place("LOCALAPPDATA")?, place("APPDATA")?);
    Ok(Directories {
        state: local.join("dd-oauth").join("state"),
        data: local.join("dd-oauth").join("data"),
        config: roaming.join("dd-oauth"),
    })
}

/// The places in which earlier tools kept their files.
///
/// # Errors
/// If there is no home directory.
#[cfg(unix)]
pub fn directories_of_earlier_tools(
    environment: &Environment,
) -> Result<EarlierDirectories, NoHome> {
    let home = environment.path("HOME").filter(|home| home.is_absolute());
    let home = home.ok_or(NoHome("HOME"))?;
    let mut pup: Vec<_> =
        environment.path("PUP_CONFIG_DIR").filter(|path| path.is_absolute()).into_iter().collect();
    pup.push(directories(environment)?.config.with_file_name("pup"));
    if cfg!(target_os = "macos") {
        pup.push(home.join("Library/Application Support/pup"));
    }
    pup.dedup();
    Ok(EarlierDirectories { datadog_cli: home.join(".datadog"), pup })
}

/// The places in which earlier tools kept their files.
///
/// # Errors
/// If the profile is not known.
#[cfg(windows)]
pub fn directories_of_earlier_tools(
    environment: &Environment,
) -> Result<EarlierDirectories, NoHome> {
    let profile = environment.path("USERPROFILE").ok_or(NoHome("USERPROFILE"))?;
    let mut pup: Vec<_> =
        environment.path("PUP_CONFIG_DIR").filter(|path| path.is_absolute()).into_iter().collect();
    pup.push(directories(environment)?.config.with_file_name("pup"));
    pup.dedup();
    Ok(EarlierDirectories { datadog_cli: profile.join(".datadog"), pup })
}
