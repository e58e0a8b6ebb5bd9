//! Ambient tokens: a build server that logs in by itself puts one into a variable or a file where
//! Datadog's own tools look for it. It is answered as it is, and only if no session is meant.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::config::ConfigError;
use crate::environment::Environment;
use crate::names::OrgLabel;
use crate::platform;
use crate::protocol::{Answer, GetRequest, Target};
use crate::secret::{AccessToken, MAX_TOKEN_BYTES};
use crate::session::Installation;
use crate::site::{Site, SiteName, us1};

use super::target::{Wanted, ensure_trusted};
use super::{BrokerError, Context};

/// The variable that names a file with a token.
const TOKEN_FILE: &str = "DD_OAUTH_TOKEN_FILE";
/// The variables that hold a token, in the order in which they count. Inside `exec` they are ours.
const TOKEN_VARIABLES: [&str; 2] = ["DD_BEARER_TOKEN", "DD_ACCESS_TOKEN"];
/// Set by `exec` for the program that it becomes.
pub const INSIDE_EXEC: &str = "DD_OAUTH_EXEC";

/// The variable by which an ambient token was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AmbientSource(&'static str);

impl fmt::Display for AmbientSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// An ambient token, and what it is good for.
pub struct AmbientToken {
    pub source: AmbientSource,
    pub site: Site,
    pub org: Option<OrgLabel>,
    token: AccessToken,
}

/// The answer with an ambient token, for a request for which there is no session.
pub(super) fn answer_from_ambient(
    context: &Context<'_>,
    wanted_site: &SiteName,
    wanted: &Wanted,
    request: &GetRequest,
) -> Result<Option<(Answer, AmbientSource)>, BrokerError> {
    let Some(ambient) = ambient_for(context, wanted_site, wanted)? else { return Ok(None) };
    let AmbientToken { source, site, org, token } = ambient;
    if let Some(demand) = request.min_ttl {
        return Err(BrokerError::UnknownLife { variable: source.0, demand });
    }
    let answer = Answer { access_token: token, expires: None, site, org };
    Ok(Some((answer, source)))
}

/// The ambient token that answers a request that names nothing, for `status`.
///
/// # Errors
/// If the store cannot be read, or what the variable holds is no token.
pub fn ambient_token(
    context: &Context<'_>,
    installation: Option<&Installation>,
) -> Result<Option<AmbientToken>, BrokerError> {
    let wanted = Wanted::of(context, &Target::default());
    let site = match installation {
        Some(installation) => wanted.site_of_new_session(installation)?,
        None => wanted.site_or_default(),
    };
    ambient_for(context, &site, &wanted)
}

/// The ambient token, if it belongs to what is wanted: it is of the site that `DD_SITE` names, and
/// of the organization that `DD_ORG` names.
fn ambient_for(
    context: &Context<'_>,
    wanted_site: &SiteName,
    wanted: &Wanted,
) -> Result<Option<AmbientToken>, BrokerError> {
    let environment = context.environment;
    let named_site = match environment.text("DD_SITE")? {
        Some(text) => SiteName::parse(&text).ok(),
        None => Some(SiteName::Site(us1())),
    };
    let named_org = environment.text("DD_ORG")?.and_then(|text| OrgLabel::parse(&text));
    let Some(SiteName::Site(site)) = named_site else { return Ok(None) };
    if *wanted_site != SiteName::Site(site.clone()) || wanted.org != named_org {
        return Ok(None);
    }
    let Some((source, token)) = find(environment)? else { return Ok(None) };
    // Whoever can set a variable must not lead a token to a host of their own.
    ensure_trusted(context, wanted_site, false)?;
    Ok(Some(AmbientToken { source, site, org: named_org, token }))
}

fn find(environment: &Environment) -> Result<Option<(AmbientSource, AccessToken)>, ConfigError> {
    if let Some(path) = environment.absolute_path(TOKEN_FILE)? {
        return Ok(Some((AmbientSource(TOKEN_FILE), read_token(&path)?)));
    }
    if environment.path(INSIDE_EXEC).is_some() {
        return Ok(None);
    }
    for variable in TOKEN_VARIABLES {
        let Some(text) = environment.path(variable).map(PathBuf::into_os_string) else { continue };
        let token = text.into_string().ok().and_then(AccessToken::parse);
        let token = token.ok_or_else(|| not_a_token(variable))?;
        return Ok(Some((AmbientSource(variable), token)));
    }
    Ok(None)
}

/// The token in a file, with or without a line end behind it. The file may belong to somebody
/// else, as one does that a container platform puts there.
fn read_token(path: &Path) -> Result<AccessToken, ConfigError> {
    let bad = |why: String| {
        let why = format!("{}: {why}", path.display());
        ConfigError::BadVariable { variable: TOKEN_FILE, why }
    };
    let file = platform::private_file().read(true).open(path);
    let file = file.map_err(|error| bad(error.to_string()))?;
    let metadata = file.metadata().map_err(|error| bad(error.to_string()))?;
    if !metadata.is_file() {
        return Err(bad("it is not a plain file".into()));
    }
    let mut text = Zeroizing::new(String::with_capacity(MAX_TOKEN_BYTES + 3));
    // One more than a token and its line end may have, so that a longer one is noticed.
    let read = file.take(MAX_TOKEN_BYTES as u64 + 3).read_to_string(&mut text);
    read.map_err(|error| bad(error.to_string()))?;
    let token = text.strip_suffix('\n').unwrap_or(&text);
    let token = token.strip_suffix('\r').unwrap_or(token);
    AccessToken::parse(token.to_string()).ok_or_else(|| bad(not_visible()))
}

fn not_a_token(variable: &'static str) -> ConfigError {
    ConfigError::BadVariable { variable, why: not_visible() }
}

fn not_visible() -> String {
    format!("what it has is not 1 to {MAX_TOKEN_BYTES} visible ASCII characters")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)]) -> Option<(String, String)> {
        let found = find(&Environment::of(variables)).unwrap();
        found.map(|(source, token)| (source.to_string(), token.expose().to_string()))
    }

    #[test]
    fn the_file_goes_first_and_inside_exec_the_variables_are_ours() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "of-file\r\n").unwrap();
        let path = file.path().to_str().unwrap();
        let all = [("DD_ACCESS_TOKEN", "c"), ("DD_BEARER_TOKEN", "b"), (TOKEN_FILE, path)];
        let pair = |source: &str, token: &str| Some((source.to_string(), token.to_string()));
        assert_eq!(found(&all), pair(TOKEN_FILE, "of-file"));
        assert_eq!(found(&all[..2]), pair("DD_BEARER_TOKEN", "b"));
        assert_eq!(found(&all[..1]), pair("DD_ACCESS_TOKEN", "c"));
        assert_eq!(found(&[all[0], all[1], (INSIDE_EXEC, "1")]), None);
        assert_eq!(found(&[all[2], (INSIDE_EXEC, "1")]), pair(TOKEN_FILE, "of-file"));
        assert_eq!(found(&[("DD_BEARER_TOKEN", "")]), None);
    }

    #[test]
    fn what_is_no_token_is_an_error_that_does_not_show_it() {
        let error = |variables: &[(&str, &str)]| {
            let error = find(&Environment::of(variables)).err().unwrap().to_string();
            assert!(!error.contains("canary"), "{error}");
            error
        };
        assert!(error(&[("DD_BEARER_TOKEN", "can ary")]).contains("DD_BEARER_TOKEN"));
        assert!(error(&[(TOKEN_FILE, "relative")]).contains("absolute"));
        let directory = tempfile::tempdir().unwrap();
        // One is missing, the other is no file.
        for path in [directory.path().join("token"), directory.path().to_path_buf()] {
            let path = path.to_str().unwrap();
            assert!(error(&[(TOKEN_FILE, path)]).contains(path));
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap().to_string();
        for text in ["", "\n", "a canary", "canary\n\n", &"x".repeat(MAX_TOKEN_BYTES + 1)] {
            std::fs::write(file.path(), text).unwrap();
            assert!(error(&[(TOKEN_FILE, &path)]).contains("visible ASCII"), "{text:?}");
        }
    }
}
