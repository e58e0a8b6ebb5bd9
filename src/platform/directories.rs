//! Where the files of one user are, on every system: ours, and those of earlier tools.

use std::path::{Path, PathBuf};

use super::home_on_record;
use crate::environment::Environment;

/// The places of our files.
#[derive(Clone, Debug)]
pub struct Directories {
    pub state: Place,
    pub data: Place,
    pub config: Place,
}

/// The places in which earlier tools keep their files.
#[derive(Clone, Debug)]
pub struct EarlierDirectories {
    /// Of Datadog's own plugin.
    pub datadog_cli: PathBuf,
    /// Of pup, which has had several.
    pub pup: Vec<PathBuf>,
}

/// A directory of ours. The home directory that may be above it is looked for when the path is
/// asked for: many callers have none, and need none.
#[derive(Clone, Debug)]
pub struct Place {
    base: Base,
    /// What can be set in place of a home directory.
    instead: Option<&'static str>,
}

/// What a place is built on.
#[derive(Clone, Debug)]
enum Base {
    /// A directory that was named for us alone.
    Ours(PathBuf),
    /// A part of a directory that a variable names for all programs.
    Shared(PathBuf),
    /// A part of the home directory.
    Home(Home, &'static str),
}

/// Where the home directory is.
#[derive(Clone, Debug)]
enum Home {
    At(PathBuf),
    /// Where the user database of the system says.
    OnRecord,
    /// The variable says something that means another directory in each working directory.
    Relative(PathBuf),
}

/// Why there is no home directory for a path that needs one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoHome {
    #[error("there is no home directory: set {HOME}{}", or(.instead.as_ref()))]
    Unknown { instead: Option<&'static str> },
    #[error(
        "{HOME} is {value:?}, which is not an absolute path: set it to one{}", or_set(.instead.as_ref())
    )]
    Relative { value: PathBuf, instead: Option<&'static str> },
    #[error(
        "the home directory {} does not exist: set {HOME}{}", .home.display(), or(.instead.as_ref())
    )]
    Missing { home: PathBuf, instead: Option<&'static str> },
}

fn or(instead: Option<&&str>) -> String {
    instead.map_or_else(String::new, |variable| format!(" or {variable}"))
}

fn or_set(instead: Option<&&str>) -> String {
    instead.map_or_else(String::new, |variable| format!(", or set {variable}"))
}

/// The variable that names the home directory.
const HOME: &str = if cfg!(windows) { "USERPROFILE" } else { "HOME" };

/// Where one kind of our files is, on this system.
struct Layout {
    /// Names a directory for all programs.
    variable: &'static str,
    /// The same without the variable, below the home directory.
    below_home: &'static str,
    /// Ours, in either.
    ours: &'static str,
}

// Known folders of Windows can be elsewhere, but to ask for one loads a library that costs every
// call more than all the rest; the variables are missing only where somebody took them away.
const STATE: Layout = if cfg!(windows) {
    Layout {
        variable: "LOCALAPPDATA",
        below_home: r"AppData\Local\dd-oauth\state",
        ours: r"dd-oauth\state",
    }
} else {
    Layout { variable: "XDG_STATE_HOME", below_home: ".local/state/dd-oauth", ours: "dd-oauth" }
};
const DATA: Layout = if cfg!(windows) {
    Layout {
        variable: "LOCALAPPDATA",
        below_home: r"AppData\Local\dd-oauth\data",
        ours: r"dd-oauth\data",
    }
} else {
    Layout { variable: "XDG_DATA_HOME", below_home: ".local/share/dd-oauth", ours: "dd-oauth" }
};
const CONFIG: Layout = if cfg!(windows) {
    Layout { variable: "APPDATA", below_home: r"AppData\Roaming\dd-oauth", ours: "dd-oauth" }
} else {
    Layout { variable: "XDG_CONFIG_HOME", below_home: ".config/dd-oauth", ours: "dd-oauth" }
};

impl Place {
    /// A directory that was named for us alone.
    #[must_use]
    pub fn ours(path: PathBuf) -> Self {
        Self { base: Base::Ours(path), instead: None }
    }

    fn of(layout: &Layout, instead: &'static str, home: &Home, environment: &Environment) -> Self {
        let named = environment.path(layout.variable).filter(|path| path.is_absolute());
        let base = match named {
            Some(named) => Base::Shared(named.join(layout.ours)),
            None => Base::Home(home.clone(), layout.below_home),
        };
        Self { base, instead: Some(instead) }
    }

    /// Its path. It may not exist.
    ///
    /// # Errors
    /// If it is in the home directory, and nobody knows where that is.
    pub fn path(&self) -> Result<PathBuf, NoHome> {
        match &self.base {
            Base::Ours(path) | Base::Shared(path) => Ok(path.clone()),
            Base::Home(home, below) => Ok(home.path(self.instead)?.join(below)),
        }
    }

    /// Whether other programs of the user have files beside it, or above it.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        !matches!(self.base, Base::Ours(_))
    }

    /// What can be set to have it elsewhere.
    #[must_use]
    pub fn instead(&self) -> Option<&'static str> {
        self.instead
    }

    /// Makes sure that the home directory above it exists, which is not for us to make.
    ///
    /// # Errors
    /// If it does not, or nobody knows where it is.
    pub fn ensure_home(&self) -> Result<(), NoHome> {
        let Base::Home(home, _) = &self.base else { return Ok(()) };
        let home = home.path(self.instead)?;
        if home.is_dir() {
            return Ok(());
        }
        Err(NoHome::Missing { home, instead: self.instead })
    }
}

impl Home {
    fn of(environment: &Environment) -> Self {
        match environment.path(HOME) {
            Some(home) if home.is_absolute() => Self::At(home),
            Some(home) => Self::Relative(home),
            None => Self::OnRecord,
        }
    }

    fn path(&self, instead: Option<&'static str>) -> Result<PathBuf, NoHome> {
        match self {
            Self::At(home) => Ok(home.clone()),
            Self::Relative(value) => Err(NoHome::Relative { value: value.clone(), instead }),
            Self::OnRecord => {
                let recorded = home_on_record().filter(|home| Path::is_absolute(home));
                recorded.ok_or(NoHome::Unknown { instead })
            }
        }
    }
}

/// The places of the XDG base directory specification; on Windows, of the user's profile. They are
/// the same on macOS, as command-line tools have it there. A variable that is not an absolute path
/// is ignored, as the specification says.
#[must_use]
pub fn directories(environment: &Environment) -> Directories {
    let home = Home::of(environment);
    Directories {
        state: Place::of(&STATE, "DD_OAUTH_STATE_DIR", &home, environment),
        data: Place::of(&DATA, DATA.variable, &home, environment),
        config: Place::of(&CONFIG, CONFIG.variable, &home, environment),
    }
}

/// The places in which earlier tools kept their files.
///
/// # Errors
/// If there is no home directory.
pub fn directories_of_earlier_tools(
    environment: &Environment,
) -> Result<EarlierDirectories, NoHome> {
    let home = Home::of(environment).path(None)?;
    let mut pup: Vec<_> =
        environment.path("PUP_CONFIG_DIR").filter(|path| path.is_absolute()).into_iter().collect();
    pup.push(directories(environment).config.path()?.with_file_name("pup"));
    if cfg!(target_os = "macos") {
        pup.push(home.join("Library/Application Support/pup"));
    }
    pup.dedup();
    Ok(EarlierDirectories { datadog_cli: home.join(".datadog"), pup })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_goes_before_the_home_and_a_relative_one_is_none() {
        let (home, other) = if cfg!(windows) { (r"C:\u", r"D:\x") } else { ("/home/u", "/x") };
        let state = |variables: &[(&str, &str)]| {
            directories(&Environment::of(variables)).state.path().map_err(|error| error.to_string())
        };
        let usual = Path::new(home).join(STATE.below_home);
        assert_eq!(state(&[(HOME, home)]).as_ref(), Ok(&usual));
        assert_eq!(state(&[(HOME, home), (STATE.variable, "x")]), Ok(usual));
        let named = Path::new(other).join(STATE.ours);
        assert_eq!(state(&[(STATE.variable, other)]).as_ref(), Ok(&named));
        let relative = state(&[(HOME, "x")]).unwrap_err();
        assert!(relative.ends_with("set it to one, or set DD_OAUTH_STATE_DIR"), "{relative}");
    }
}
