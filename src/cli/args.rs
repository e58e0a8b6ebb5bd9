//! The command line as clap reads it: verbs, flags and their help.

// The comments here are the help text, which people read without markup.
#![allow(clippy::doc_markdown)]

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::broker::Original;
use crate::config::Flags;
use crate::names::{OrgLabel, OrgUuid};
use crate::protocol::Dialect;
use crate::protocol::format::Format;
use crate::scope::Scopes;
use crate::site::SiteName;
use crate::variables::{InheritedKeys, Shell, VariableName};

/// The credential helper for Datadog.
///
/// Answers get, store and erase requests on standard input with a fresh access token; `echo get |
/// dd-oauth` is all that a script needs. The protocol is specified in protocol.md.
#[derive(Parser, Default)]
#[command(name = "dd-oauth", version, disable_help_subcommand = true)]
pub struct CommandLine {
    #[command(flatten)]
    pub target: TargetFlags,
    #[command(flatten)]
    pub protocol: ProtocolFlag,
    #[command(flatten)]
    pub trace: TraceFlag,
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

/// The credential helper for Datadog, in the protocol of git, docker or bazel.
///
/// One operation, with its request on standard input. The protocols are specified in protocol.md.
#[derive(Parser)]
#[command(name = "dd-oauth", version, disable_help_subcommand = true)]
pub struct HelperLine {
    #[command(flatten)]
    target: TargetFlags,
    /// Protocol of the request and its answer
    #[arg(long, value_enum)]
    protocol: Option<Dialect>,
    #[command(flatten)]
    pub trace: TraceFlag,
    /// Demand a token with at least this much life, such as 90s, 30m or 1h
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub min_ttl: Option<Duration>,
    /// Operation, by its name in that protocol
    pub operation: Option<String>,
}

impl HelperLine {
    /// As the configuration takes them.
    #[must_use]
    pub fn flags(&self) -> Flags {
        self.target.clone().into_flags()
    }
}

impl CommandLine {
    /// The command line as people type it, without what only we do. (Completions would offer hidden
    /// commands too.)
    #[must_use]
    pub fn for_people() -> clap::Command {
        let all = Self::command();
        let visible = all.get_subcommands().filter(|verb| !verb.is_hide_set());
        clap::Command::new("dd-oauth")
            .version(env!("CARGO_PKG_VERSION"))
            .disable_help_subcommand(true)
            .about(all.get_about().cloned().unwrap_or_default())
            .long_about(all.get_long_about().cloned().unwrap_or_default())
            .args(all.get_arguments())
            .subcommands(visible)
    }

    /// What to say to a person who typed the bare name.
    #[must_use]
    pub fn usage() -> String {
        let verbs = Self::for_people();
        let names: Vec<_> = verbs.get_subcommands().map(clap::Command::get_name).collect();
        format!("usage: dd-oauth [{}]; see `dd-oauth --help`", names.join("|"))
    }
}

/// In which dialect request and answer are. Read before the command line is: what comes to it is
/// native.
#[derive(Args, Clone, Default)]
pub struct ProtocolFlag {
    /// Protocol of the request and its answer; git, docker and bazel have operations of their own
    #[arg(long, value_enum, default_value_t, hide_default_value = true)]
    pub protocol: Dialect,
}

/// Whether the decisions are shown.
#[derive(Args, Clone, Default)]
pub struct TraceFlag {
    /// Trace on standard error what is decided and why; DD_OAUTH_LOG=PATH has it in a file
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

/// Which session is meant.
#[derive(Args, Clone, Default)]
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
    Get {
        #[command(flatten)]
        flags: GetFlags,
        /// How the answer is written
        #[arg(long, value_enum, default_value_t)]
        format: Format,
        #[command(flatten)]
        protocol: ProtocolFlag,
    },
    /// Take over a token set from standard input
    Store(ProtocolFlag),
    /// Forget a session, or reject the access token named on standard input
    Erase(ProtocolFlag),
    /// Print the bare access token
    Token(GetFlags),
    /// Log in with the browser
    Login(LoginFlags),
    /// Revoke a session's tokens and forget it
    Logout(LogoutFlags),
    /// Show a session: site, organization, expiry, scopes, and where its key rests
    Status(StatusFlags),
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
    /// Take over sessions that earlier tools left behind; without --yes, only show them
    Import(ImportFlags),
    /// Say where sealing keys rest, move or forget them
    Key {
        #[command(subcommand)]
        action: SealingKeyAction,
    },
    /// Forget everything that is stored here, whatever is wrong with it, so that a login works again
    Reset(ResetFlags),
    /// Look for all that could be wrong with this machine and this account, and change nothing
    Doctor(JsonFlag),
    /// Print the completions of a shell, to be put where it looks for them
    Completions {
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Print the manual page, in roff
    Man,
    /// Refresh the session whose lock was inherited, if one was; started by dd-oauth itself
    #[command(hide = true)]
    Worker { session: String, descriptor: Option<i32> },
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
    /// Log in to the organization with this UUID
    #[arg(long, value_name = "UUID", value_parser = org_uuid)]
    pub org_uuid: Option<OrgUuid>,
    /// Ask for these scopes instead of the usual ones, separated by blanks
    #[arg(long, value_parser = Scopes::parse, conflicts_with_all = ["add_scopes", "read_only"])]
    pub scopes: Option<Scopes>,
    /// Ask for these scopes too, even where the site refused them before
    #[arg(long, value_name = "SCOPES", value_parser = Scopes::parse)]
    pub add_scopes: Option<Scopes>,
    /// Ask for no scope that can change anything, but for those of --add-scopes
    #[arg(long)]
    pub read_only: bool,
    /// Print the address instead of opening a browser
    #[arg(long)]
    pub no_browser: bool,
    /// Listen for the login on this port of 127.0.0.1 [env: DD_OAUTH_CALLBACK_PORT]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub callback_port: Option<u16>,
}

#[derive(Args)]
pub struct StatusFlags {
    /// Print JSON for programs
    #[arg(long)]
    pub json: bool,
    /// Print nothing; exit with 0 while a token can be had
    #[arg(long, conflicts_with = "json")]
    pub check: bool,
}

#[derive(Args)]
pub struct LogoutFlags {
    /// Log out of every session, and forget the sealing key too
    #[arg(long, conflicts_with_all = ["site", "org"])]
    pub all: bool,
    /// Forget the OAuth client that the site gave this installation too
    #[arg(long, conflicts_with = "all")]
    pub forget_client: bool,
}

#[derive(Args)]
pub struct ResetFlags {
    /// Forget everything without asking
    #[arg(long)]
    pub yes: bool,
}

#[derive(Args)]
pub struct ImportFlags {
    /// Take over what was found, without asking; --site and --org choose some of it
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    original: OriginalFlags,
    /// Put it in the place of the session that is here already
    #[arg(long)]
    pub replace: bool,
    /// Only what comes from there; given twice, from both, as in --from pup --from file
    #[arg(long, value_name = "WHERE", value_enum)]
    pub from: Vec<ImportSource>,
}

#[derive(Args)]
struct OriginalFlags {
    /// Remove it where it was, once it is safe here
    #[arg(long, conflicts_with = "keep_original")]
    remove_original: bool,
    /// Leave it where it was: if both tools use it, the session of both ends
    #[arg(long)]
    keep_original: bool,
}

impl ImportFlags {
    /// What becomes of the original, if it was said.
    #[must_use]
    pub fn original(&self) -> Option<Original> {
        match (self.original.remove_original, self.original.keep_original) {
            (true, _) => Some(Original::Removed),
            (_, true) => Some(Original::Kept),
            _ => None,
        }
    }

    /// Whether what is in the keychain is asked for.
    #[must_use]
    pub fn wants_keychain(&self) -> bool {
        !self.from.contains(&ImportSource::File)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ImportSource {
    DatadogCli,
    Pup,
    File,
    Keychain,
}

#[derive(Subcommand)]
pub enum SealingKeyAction {
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

fn org_uuid(text: &str) -> Result<OrgUuid, String> {
    OrgUuid::parse(text).ok_or_else(|| {
        "the UUID of an organization is 32 hexadecimal digits, in groups of 8-4-4-4-12".to_string()
    })
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
        HelperLine::command().debug_assert();
    }

    #[test]
    fn a_time_has_a_unit_or_is_in_seconds() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("30m"), Ok(Duration::from_mins(30)));
        assert!(duration("soon").is_err() && duration("-1").is_err());
    }
}
