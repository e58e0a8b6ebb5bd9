//! The command line.

// The comments here are the help text, which people read without markup.
#![allow(clippy::doc_markdown)]

use std::ffi::OsString;
use std::io::Write;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::config::Flags;
use crate::error::{Error, ExecError};
use crate::program::{InheritedKeys, VariableName};
use crate::scope::Scopes;
use crate::session::OrgLabel;
use crate::shell::Shell;
use crate::site::SiteName;

/// The credential helper for Datadog.
///
/// Answers get, store and erase requests on standard input with a fresh access token; `echo get |
/// dd-oauth` is all that a script needs. The protocol is specified in protocol.md.
#[derive(Parser)]
#[command(name = "dd-oauth", version, disable_help_subcommand = true)]
pub struct CommandLine {
    #[command(flatten)]
    pub target: TargetFlags,
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

impl CommandLine {
    /// Reads the command line of this process; nothing where it asked for help or the version,
    /// which were printed.
    ///
    /// # Errors
    /// Where it means nothing, in one line, or where the help could not be printed.
    pub fn read() -> Result<Option<Self>, Error> {
        match Self::try_parse() {
            Ok(line) => Ok(Some(line)),
            Err(error) if error.use_stderr() => {
                let error = Error::CommandLine(in_one_line(&error));
                Err(if Self::was_for_exec() { ExecError::of(error) } else { error })
            }
            Err(help) => {
                let printed = help.print().and_then(|()| std::io::stdout().flush());
                printed.map(|()| None).map_err(Error::Output)
            }
        }
    }
}

impl CommandLine {
    /// Whether the command line that could not be understood was one of `exec`, whose exit codes
    /// differ.
    fn was_for_exec() -> bool {
        let matches = Self::command().ignore_errors(true).try_get_matches();
        matches.is_ok_and(|matches| matches.subcommand_name() == Some("exec"))
    }

    /// What to say to a person who typed the bare name.
    #[must_use]
    pub fn usage() -> String {
        let verbs = Self::command();
        let names: Vec<_> = verbs
            .get_subcommands()
            .filter(|verb| !verb.is_hide_set())
            .map(clap::Command::get_name)
            .collect();
        format!("usage: dd-oauth [{}]; see `dd-oauth --help`", names.join("|"))
    }
}

/// What is wrong with a command line, without the usage that clap shows below it.
fn in_one_line(error: &clap::Error) -> String {
    let mut text = error.render().to_string();
    for tail in ["\n\nFor more information", "\n\nUsage:"] {
        text.truncate(text.rfind(tail).unwrap_or(text.len()));
    }
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    format!("{}; see `dd-oauth --help`", lines.join(" "))
}

/// Which session is meant.
#[derive(Args)]
pub struct TargetFlags {
    /// Datadog site, such as datadoghq.eu or EU1 [env: DD_SITE]
    #[arg(long, global = true, value_parser = site)]
    site: Option<SiteName>,
    /// Organization under which the session is kept [env: DD_ORG]
    #[arg(long, global = true, value_parser = org)]
    org: Option<OrgLabel>,
}

#[derive(Subcommand)]
pub enum Verb {
    /// Answer with an access token, renewed or logged in to if need be
    Get(GetFlags),
    /// Take over a token set from standard input
    Store,
    /// Forget a session, or reject the access token named on standard input
    Erase,
    /// Print the bare access token
    Token(GetFlags),
    /// Log in with the browser
    Login(LoginFlags),
    /// Revoke a session's tokens and forget it
    Logout(LogoutFlags),
    /// Show a session: site, organization, expiry, scopes, and where its key rests
    Status(JsonFlag),
    /// List all sessions
    List(JsonFlag),
    /// Choose the session for requests that name none
    Use {
        /// Datadog site
        #[arg(value_parser = site)]
        site: SiteName,
        /// Organization
        #[arg(value_parser = org)]
        org: Option<OrgLabel>,
    },
    /// Run a program that finds the access token in its environment
    Exec(ExecFlags),
    /// Print the access token as environment variables
    Env(EnvFlags),
    /// Renew the access token now, however fresh it is
    Refresh,
    /// Say where sealing keys rest, move or forget them
    Key {
        #[command(subcommand)]
        action: KeyAction,
    },
    /// Refresh the session whose lock was inherited; started by dd-oauth itself
    #[command(hide = true)]
    Worker { session: String, descriptor: i32 },
    /// Serve a program whose process is named; started by dd-oauth itself
    #[command(hide = true)]
    Proxy {
        #[arg(long)]
        process: Option<u32>,
        descriptors: Vec<i32>,
    },
}

#[derive(Args, Clone, Default)]
pub struct GetFlags {
    /// Demand a token with at least this much life, such as 90s, 30m or 1h
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub min_ttl: Option<Duration>,
}

#[derive(Args, Clone, Default)]
pub struct VariableFlags {
    /// Put the token into this variable, instead of DD_BEARER_TOKEN, DATADOG_BEARER_TOKEN and
    /// DD_ACCESS_TOKEN; may be given several times
    #[arg(long = "variable", value_name = "NAME", value_parser = VariableName::parse)]
    pub names: Vec<VariableName>,
}

#[derive(Args)]
pub struct ExecFlags {
    #[command(flatten)]
    pub get: GetFlags,
    #[command(flatten)]
    pub variables: VariableFlags,
    /// Put a proxy in front of the API, for a program that runs longer than a token lives
    #[arg(long, conflicts_with = "min_ttl")]
    pub live: bool,
    /// Put the API key and application key that are stored for the site into DD_API_KEY and
    /// DD_APP_KEY, for what takes no token
    #[arg(long)]
    pub with_keys: bool,
    /// Hand no DD_API_KEY, DD_APP_KEY, DATADOG_API_KEY and DATADOG_APP_KEY on to the program
    #[arg(long)]
    pub without_keys: bool,
    /// The program and its arguments
    #[arg(trailing_var_arg = true, required = true, value_name = "PROGRAM")]
    pub command: Vec<OsString>,
}

impl ExecFlags {
    /// What becomes of the keys in our own environment.
    #[must_use]
    pub fn inherited_keys(&self) -> InheritedKeys {
        if self.without_keys { InheritedKeys::Removed } else { InheritedKeys::Left }
    }
}

#[derive(Args)]
pub struct EnvFlags {
    /// Who reads the variables
    #[arg(long, value_enum, default_value_t = Shell::Sh)]
    pub shell: Shell,
    #[command(flatten)]
    pub get: GetFlags,
    #[command(flatten)]
    pub variables: VariableFlags,
}

#[derive(Args)]
pub struct LoginFlags {
    /// Trust a site that is not one of Datadog's with this login
    #[arg(long)]
    pub trust_site: bool,
    /// Ask for these scopes instead of the usual ones, separated by blanks
    #[arg(long, value_parser = Scopes::parse)]
    pub scopes: Option<Scopes>,
    /// Print the address instead of opening a browser
    #[arg(long)]
    pub no_browser: bool,
    /// Listen for the login on this port of 127.0.0.1 [env: DD_OAUTH_CALLBACK_PORT]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub callback_port: Option<u16>,
}

#[derive(Args)]
pub struct LogoutFlags {
    /// Log out of every session, and forget the sealing key too
    #[arg(long, conflicts_with_all = ["site", "org"])]
    pub all: bool,
}

#[derive(Subcommand)]
pub enum KeyAction {
    /// List the sealing keys of this user, and which of them are still in use
    List,
    /// Move this installation's sealing key into the keychain or into a file
    Move {
        /// Where to
        #[arg(value_enum)]
        to: NewKeyPlace,
    },
    /// Remove a sealing key that no installation uses any more
    Forget {
        /// The id that `dd-oauth key list` shows
        id: String,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub enum NewKeyPlace {
    Keychain,
    File,
}

#[derive(Args)]
pub struct JsonFlag {
    /// Print JSON for programs
    #[arg(long)]
    pub json: bool,
}

impl TargetFlags {
    /// As the configuration takes them.
    #[must_use]
    pub fn into_flags(self) -> Flags {
        Flags { site: self.site, org: self.org }
    }
}

fn site(text: &str) -> Result<SiteName, String> {
    SiteName::parse(text).map_err(|error| error.to_string())
}

fn org(text: &str) -> Result<OrgLabel, String> {
    OrgLabel::parse(text)
        .ok_or_else(|| "an organization has 1 to 128 bytes and no control characters".to_string())
}

fn duration(text: &str) -> Result<Duration, String> {
    let plain = text.parse().map(Duration::from_secs).ok();
    let parsed = plain.or_else(|| humantime::parse_duration(text).ok());
    parsed.ok_or_else(|| "give a time such as 90s, 30m or 1h".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn a_time_has_a_unit_or_is_in_seconds() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("30m"), Ok(Duration::from_mins(30)));
        assert!(duration("soon").is_err() && duration("-1").is_err());
    }
}
