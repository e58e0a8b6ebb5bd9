//! The command line.

// The comments here are the help text, which people read without markup.
#![allow(clippy::doc_markdown)]

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::broker::Original;
use crate::config::Flags;
use crate::error::{Error, ExecError};
use crate::names::{OrgLabel, OrgUuid};
use crate::protocol::Dialect;
use crate::protocol::format::Format;
use crate::scope::Scopes;
use crate::site::SiteName;
use crate::variables::{InheritedKeys, Shell, VariableName};

/// What a command line asks for.
pub enum Invocation {
    /// The native protocol, or a command for people.
    Command(CommandLine),
    /// An operation of git's helper protocol.
    Git(HelperLine),
    /// An operation of docker's helper protocol.
    Docker(HelperLine),
    /// An operation of bazel's helper protocol.
    Bazel(HelperLine),
}

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

impl Invocation {
    /// Reads the command line of this process; nothing where it asked for help or the version,
    /// which were printed.
    ///
    /// # Errors
    /// Where it means nothing, in one line, or where the help could not be printed.
    pub fn read() -> Result<Option<Self>, Error> {
        let arguments: Vec<_> = std::env::args_os().collect();
        let helper = |arguments| parsed(HelperLine::try_parse_from(arguments));
        Ok(match dialect(&arguments) {
            Dialect::Native => match CommandLine::bare(&arguments) {
                Some(line) => Some(Self::Command(line)),
                None => CommandLine::of(arguments)?.map(Self::Command),
            },
            Dialect::Git => helper(arguments)?.map(Self::Git),
            Dialect::Docker => helper(arguments).map_err(Error::for_docker)?.map(Self::Docker),
            Dialect::Bazel => helper(arguments)?.map(Self::Bazel),
        })
    }
}

impl CommandLine {
    fn of(arguments: Vec<OsString>) -> Result<Option<Self>, Error> {
        parsed(Self::try_parse_from(&arguments)).map_err(|error| {
            // Its exit codes differ.
            let matches = Self::command().ignore_errors(true).try_get_matches_from(arguments);
            let is_exec = |matches: clap::ArgMatches| matches.subcommand_name() == Some("exec");
            if matches.is_ok_and(is_exec) { ExecError::of(error) } else { error }
        })
    }

    /// An operation alone, or nothing at all, as most callers call: building its parser costs clap
    /// more than all the rest of a `get`.
    fn bare(arguments: &[OsString]) -> Option<Self> {
        let verb = match arguments {
            [_] => None,
            [_, operation] => Some(match operation.to_str()? {
                "get" => Verb::Get {
                    flags: GetFlags::default(),
                    format: Format::default(),
                    protocol: ProtocolFlag::default(),
                },
                "store" => Verb::Store(ProtocolFlag::default()),
                "erase" => Verb::Erase(ProtocolFlag::default()),
                "token" => Verb::Token(GetFlags::default()),
                _ => return None,
            }),
            _ => return None,
        };
        Some(Self { verb, ..Self::default() })
    }
}

/// What clap made of a command line; nothing where it was help or the version, which it printed.
fn parsed<T>(line: Result<T, clap::Error>) -> Result<Option<T>, Error> {
    match line {
        Ok(line) => Ok(Some(line)),
        Err(error) if error.use_stderr() => Err(Error::CommandLine(in_one_line(&error))),
        Err(help) => {
            let printed = help.print().and_then(|()| std::io::stdout().flush());
            printed.map(|()| None).map_err(Error::Output)
        }
    }
}

/// The dialect that a command line speaks, by the name of the program or by `--protocol`. Looked
/// for before the line is read, as each dialect has operations of its own; and only up to a command
/// that has nothing to do with it, whose arguments may be another program's.
fn dialect(arguments: &[OsString]) -> Dialect {
    let Some((program, arguments)) = arguments.split_first() else { return Dialect::Native };
    let name = Path::new(program).file_stem().and_then(OsStr::to_str).unwrap_or_default();
    if let Some(dialect) = Dialect::of_program(name) {
        return dialect;
    }
    let mut arguments = arguments.iter().map(|argument| argument.to_str().unwrap_or_default());
    while let Some(argument) = arguments.next() {
        let protocol = match argument {
            "--protocol" => arguments.next(),
            "--site" | "--org" | "--min-ttl" => {
                arguments.next();
                None
            }
            "-v" => None,
            flag if flag.starts_with("--") && flag != "--" => flag.strip_prefix("--protocol="),
            "get" | "store" | "erase" | "capability" | "list" | "version" => None,
            _ => break,
        };
        if let Some(name) = protocol {
            // What it does not know, clap complains of.
            return Dialect::from_str(name, false).unwrap_or(Dialect::Native);
        }
    }
    Dialect::Native
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
    fn a_dialect_is_chosen_by_name_or_flag() {
        let chosen = |line: &str| dialect(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        for (line, expected) in [
            ("dd-oauth get", Dialect::Native),
            ("dd-oauth --protocol native get", Dialect::Native),
            ("dd-oauth --protocol git get", Dialect::Git),
            ("dd-oauth --protocol=docker frobnicate", Dialect::Docker),
            ("dd-oauth --site eu1 --min-ttl 5m get --protocol bazel", Dialect::Bazel),
            ("dd-oauth list --protocol docker", Dialect::Docker),
            ("dd-oauth --org --protocol git get", Dialect::Native),
            ("dd-oauth other --protocol git", Dialect::Native),
            ("dd-oauth -- --protocol git", Dialect::Native),
            ("dd-oauth --protocol svn get", Dialect::Native),
            ("/usr/bin/git-credential-dd-oauth get", Dialect::Git),
            ("docker-credential-dd-oauth.exe list", Dialect::Docker),
        ] {
            assert_eq!(chosen(line), expected, "{line}");
        }
    }

    #[test]
    fn a_time_has_a_unit_or_is_in_seconds() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("30m"), Ok(Duration::from_mins(30)));
        assert!(duration("soon").is_err() && duration("-1").is_err());
    }
}
