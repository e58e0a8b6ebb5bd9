//! Configuration: flag, then environment, then `config.toml`, then default.
//!
//! No configuration is read from the working directory.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::environment::{Environment, VariableError};
use crate::exit::ExitKind;
use crate::names::OrgLabel;
use crate::platform::{self, NoHome, Place, Privacy};
use crate::session::{InstallationPaths, KeyPlace, KeySettings, KeychainTimeout};
use crate::site::{Site, SiteError, SiteName};
use crate::terminal::Interactive;

const STORAGE: &str = "DD_TOKEN_STORAGE";
const KERNEL_KEYRING: &str = "DD_OAUTH_KERNEL_KEYRING";

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Request,
    Flag(&'static str),
    Variable(&'static str),
    File(PathBuf),
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request => f.write_str("the request"),
            Self::Flag(name) | Self::Variable(name) => f.write_str(name),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<T> {
    pub value: T,
    pub source: Source,
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error(transparent)]
    NoHome(#[from] NoHome),
    #[error(transparent)]
    Variable(#[from] VariableError),
    #[error("{variable} cannot be used: {why}")]
    BadVariable { variable: &'static str, why: String },
    #[error("{} cannot be used: {why}", .path.display())]
    BadFile { path: PathBuf, why: String },
    /// It can establish trust, so nobody else may have written it.
    #[error("{} {why}; it is refused, as it can make a site trusted", .path.display())]
    NotPrivate { path: PathBuf, why: String },
}

impl ConfigError {
    /// See [`crate::error::Error::kind`].
    #[must_use]
    pub fn kind(&self) -> ExitKind {
        match self {
            Self::NotPrivate { .. } => ExitKind::Refused,
            _ => ExitKind::Usage,
        }
    }
}

/// What flags can set.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    pub site: Option<SiteName>,
    pub org: Option<OrgLabel>,
}

/// The configuration of one run, as far as every command needs it.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the installation is. A caller without a home directory may need none.
    pub paths: Result<InstallationPaths, NoHome>,
    pub site: Option<Setting<SiteName>>,
    pub org: Option<Setting<OrgLabel>>,
    directory: Place,
}

impl Config {
    /// Reads flags and environment; the file waits until somebody asks for what it can say.
    ///
    /// # Errors
    /// Where a variable has a value that means nothing.
    pub fn read(flags: Flags, environment: &Environment) -> Result<Self, ConfigError> {
        let directories = platform::directories(environment);
        let named = environment.absolute_path("DD_OAUTH_STATE_DIR")?;
        let state = named.map_or(directories.state, Place::ours);
        let paths = InstallationPaths::new(state, directories.data, key_settings(environment)?);
        let parse_site = |text: &str| SiteName::parse(text).map_err(|error| error.to_string());
        let parse_org = |text: &str| {
            OrgLabel::parse(text).ok_or_else(|| {
                format!(
                    "{text:?} is not an organization: it has 1 to 128 bytes and no control characters"
                )
            })
        };
        Ok(Self {
            paths,
            site: setting(flags.site, "--site", "DD_SITE", environment, parse_site)?,
            org: setting(flags.org, "--org", "DD_ORG", environment, parse_org)?,
            directory: directories.config,
        })
    }

    /// Where the installation is.
    ///
    /// # Errors
    /// If that is in a home directory, and nobody knows where it is.
    pub fn paths(&self) -> Result<&InstallationPaths, ConfigError> {
        self.paths.as_ref().map_err(|error| error.clone().into())
    }

    /// Where `config.toml` would be.
    ///
    /// # Errors
    /// If that is in a home directory, and nobody knows where it is.
    pub fn file_path(&self) -> Result<PathBuf, NoHome> {
        Ok(self.directory.path()?.join("config.toml"))
    }

    /// Reads `config.toml`; a missing one is empty, and so is one that can be nowhere.
    ///
    /// # Errors
    /// Where it cannot be read, or says something that is not known.
    pub fn file(&self) -> Result<ConfigFile, ConfigError> {
        let Ok(path) = self.file_path() else { return Ok(ConfigFile::default()) };
        ConfigFile::parse(&path, &read_own_file(&path)?.unwrap_or_default())
    }

    /// Whether we may ask a person.
    ///
    /// # Errors
    /// Where the variable or the file says something else than `auto`, `never` or `always`.
    pub fn interactive(
        &self,
        environment: &Environment,
    ) -> Result<Setting<Interactive>, ConfigError> {
        const VARIABLE: &str = "DD_OAUTH_INTERACTIVE";
        if let Some(text) = environment.text(VARIABLE)? {
            let value = Interactive::named(&text).ok_or_else(|| {
                let why = format!("{text:?} is unknown; give auto, never or always");
                ConfigError::BadVariable { variable: VARIABLE, why }
            })?;
            return Ok(Setting { value, source: Source::Variable(VARIABLE) });
        }
        Ok(match (self.file()?.interactive, self.file_path()) {
            (Some(value), Ok(path)) => Setting { value, source: Source::File(path) },
            _ => Setting { value: Interactive::default(), source: Source::Default },
        })
    }

    /// The port that the callback is pinned to, if any.
    ///
    /// # Errors
    /// Where it is not a port.
    pub fn callback_port(
        flag: Option<u16>,
        environment: &Environment,
    ) -> Result<Option<Setting<u16>>, ConfigError> {
        let parse = |text: &str| match text.parse::<u16>() {
            Ok(port) if port > 0 => Ok(port),
            _ => Err(format!("{text:?} is not a port")),
        };
        let flag_name = "--callback-port";
        let variable = "DD_OAUTH_CALLBACK_PORT";
        setting(flag, flag_name, variable, environment, parse)
    }
}

/// What `config.toml` can say.
#[derive(Debug, Default)]
pub struct ConfigFile {
    pub interactive: Option<Interactive>,
    /// Sites that are not Datadog's, or are loopback, and that `get` may log in to.
    pub trusted_sites: Vec<Site>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    interactive: Option<Interactive>,
    #[serde(default)]
    trusted_sites: Vec<String>,
}

impl ConfigFile {
    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let bad = |why: String| ConfigError::BadFile { path: path.to_path_buf(), why };
        let raw: RawFile = toml::from_str(text).map_err(|error| bad(first_lines(&error)))?;
        let sites = raw.trusted_sites.iter().map(|text| Site::parse(text));
        let trusted_sites = sites
            .collect::<Result<_, SiteError>>()
            .map_err(|error| bad(format!("trusted_sites: {error}")))?;
        Ok(Self { interactive: raw.interactive, trusted_sites })
    }
}

/// An error of the TOML parser in one line; the place first.
fn first_lines(error: &toml::de::Error) -> String {
    error.to_string().lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

/// Reads a text that may not be there; what is no plain file is an error and not a wait, and what
/// somebody else may have written is refused.
fn read_own_file(path: &Path) -> Result<Option<String>, ConfigError> {
    let bad = |why: String| ConfigError::BadFile { path: path.to_path_buf(), why };
    let file = match platform::open_file(platform::private_file().read(true), path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(bad(error.to_string())),
    };
    let metadata = file.metadata().map_err(|error| bad(error.to_string()))?;
    if !metadata.is_file() {
        return Err(bad("it is not a plain file".into()));
    }
    if let Some(why) = platform::not_private(&metadata, Privacy::Owned) {
        return Err(ConfigError::NotPrivate { path: path.to_path_buf(), why });
    }
    io::read_to_string(file).map(Some).map_err(|error| bad(error.to_string()))
}

/// The keychain answers at once, or not at all.
pub const KEYCHAIN_LIMIT: Duration = Duration::from_secs(3);
/// As long as a working day with a little to spare.
const KERNEL_STAY: Duration = Duration::from_hours(12);

fn key_settings(environment: &Environment) -> Result<KeySettings, ConfigError> {
    let bad = |variable, why| ConfigError::BadVariable { variable, why };
    let place = match environment.text(STORAGE)?.as_deref() {
        None => None,
        Some("keychain") => Some(KeyPlace::Keychain),
        Some("file") => Some(KeyPlace::File),
        Some(text) => {
            return Err(bad(STORAGE, format!("{text:?} is unknown; give keychain or file")));
        }
    };
    let named_file = environment.absolute_path("DD_OAUTH_KEY_FILE")?;
    if named_file.is_some() && place == Some(KeyPlace::Keychain) {
        return Err(bad(STORAGE, "it says keychain, and DD_OAUTH_KEY_FILE names a file".into()));
    }
    let kernel_stay = match environment.text(KERNEL_KEYRING)?.as_deref() {
        None => Some(KERNEL_STAY),
        Some("off") => None,
        Some(text) => match humantime::parse_duration(text) {
            Ok(stay) if stay >= Duration::from_secs(1) => Some(stay),
            _ => {
                let why = format!("{text:?} is neither off nor a time such as 12h");
                return Err(bad(KERNEL_KEYRING, why));
            }
        },
    };
    let timeout = KeychainTimeout { limit: KEYCHAIN_LIMIT, notice: None };
    Ok(KeySettings { place, named_file, kernel_stay, memory: None, timeout })
}

fn setting<T>(
    flag: Option<T>,
    flag_name: &'static str,
    variable: &'static str,
    environment: &Environment,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<Setting<T>>, ConfigError> {
    if let Some(value) = flag {
        return Ok(Some(Setting { value, source: Source::Flag(flag_name) }));
    }
    let Some(text) = environment.text(variable)? else { return Ok(None) };
    match parse(&text) {
        Ok(value) => Ok(Some(Setting { value, source: Source::Variable(variable) })),
        Err(why) => Err(ConfigError::BadVariable { variable, why }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a home, on every system.
    fn environment(variables: &[(&str, &str)]) -> Environment {
        let home = [("HOME", "/home/u"), ("LOCALAPPDATA", r"C:\u\a"), ("APPDATA", r"C:\u\b")];
        Environment::of(&[&home, variables].concat())
    }

    #[test]
    fn a_flag_goes_before_a_variable() {
        let environment = environment(&[("DD_SITE", "eu1"), ("DD_ORG", "")]);
        let flags = Flags { site: SiteName::parse("us5").ok(), org: None };
        let site = |flags| {
            let config = Config::read(flags, &environment).unwrap();
            assert!(config.org.is_none(), "an empty variable is an unset one");
            let site = config.site.unwrap();
            (site.value, site.source.to_string())
        };
        assert_eq!(site(flags), (SiteName::parse("us5").unwrap(), "--site".into()));
        assert_eq!(site(Flags::default()), (SiteName::parse("eu1").unwrap(), "DD_SITE".into()));
    }

    #[test]
    fn a_variable_that_means_nothing_is_an_error() {
        let read = |variable| Config::read(Flags::default(), &environment(&[variable]));
        assert!(read(("DD_SITE", "us9")).unwrap_err().to_string().contains("DD_SITE"));
        assert!(
            read(("DD_OAUTH_STATE_DIR", "state")).unwrap_err().to_string().contains("absolute")
        );
        let environment = environment(&[("DD_OAUTH_INTERACTIVE", "maybe")]);
        let config = Config::read(Flags::default(), &environment).unwrap();
        assert!(config.interactive(&environment).is_err());
    }

    #[test]
    fn the_file_knows_its_keys_and_names_a_mistake_in_one_line() {
        let parse = |text: &str| ConfigFile::parse(Path::new("config.toml"), text);
        let file = parse("interactive = 'never'\ntrusted_sites = ['dd.example.org']").unwrap();
        assert_eq!(file.interactive, Some(Interactive::Never));
        assert_eq!(file.trusted_sites, [Site::parse("dd.example.org").unwrap()]);
        for bad in
            ["surprise = 1", "interactive = 'maybe'", "trusted_sites = ['http://x.org']", "="]
        {
            let error = parse(bad).unwrap_err().to_string();
            assert!(error.starts_with("config.toml") && !error.contains('\n'), "{error}");
        }
    }
}
