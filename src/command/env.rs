//! `dd-oauth env`: the token as variables, for a shell or for the steps of a build.

use std::io::Write;
use std::path::PathBuf;

use super::stdio::print;
use crate::broker::{self, Context};
use crate::cli::EnvFlags;
use crate::config::ConfigError;
use crate::error::Error;
use crate::protocol::GetRequest;
use crate::variables::{self, Shell, Variables};

/// The file in which a runner of GitHub Actions takes variables for the steps that follow.
const GITHUB_ENV: &str = "GITHUB_ENV";

pub fn run(context: &Context<'_>, flags: &EnvFlags) -> Result<(), Error> {
    // Asked for before the token is: without a place for it, none is needed.
    let file = match flags.shell {
        Shell::Github => Some(github_file(context)?),
        _ => None,
    };
    let request = GetRequest { min_ttl: flags.get.min_ttl, ..GetRequest::default() };
    let found = broker::get_to_keep(context, &request)?;
    let answer = &found.answer;
    let token = answer.access_token.expose();
    let mut variables =
        Variables::of(answer, &flags.variables.names, &answer.site.api_url(), token);
    // Files and runners hand the variables on to where there is no session, and there the token
    // is one from outside.
    if matches!(flags.shell, Shell::Sh | Shell::Fish | Shell::Powershell) {
        variables = variables.marked(found.origin);
    }
    let text = variables::assignments(&variables, flags.shell)?;
    let Some(path) = file else { return print(&text) };
    // What comes after the mask is hidden in the log, so nothing may come before it.
    print(&variables::github_mask(token))?;
    let mut options = std::fs::OpenOptions::new();
    let written = options.append(true).open(&path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.flush()
    });
    written.map_err(|source| Error::NotHandedOver { path, source })
}

fn github_file(context: &Context<'_>) -> Result<PathBuf, Error> {
    context.environment.path(GITHUB_ENV).ok_or_else(|| {
        let why = "it is not set; --shell github is for a step of GitHub Actions".into();
        ConfigError::BadVariable { variable: GITHUB_ENV, why }.into()
    })
}
