//! How a call is understood: which protocol it speaks, and what it asks for.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::Path;

use clap::{CommandFactory, Parser, ValueEnum};

use crate::error::{Error, ExecError};
use crate::protocol::Dialect;
use crate::protocol::format::Format;

use super::args::{CommandLine, GetFlags, HelperLine, ProtocolFlag, Verb};

/// What a command line asks for.
pub enum Invocation {
    /// The native protocol, or a command for people.
    Command(CommandLine),
    /// An operation of another program's helper protocol.
    Helper(Helper, HelperLine),
}

/// The program whose helper protocol is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Helper {
    Git,
    Docker,
    Bazel,
}

impl Invocation {
    /// Reads the command line of this process; nothing where it asked for help or the version,
    /// which were printed.
    ///
    /// # Errors
    /// Where it means nothing, in one line, or where the help could not be printed.
    pub fn read() -> Result<Option<Self>, Error> {
        let arguments: Vec<_> = std::env::args_os().collect();
        let of_helper = |helper, arguments| {
            let line = parsed(HelperLine::try_parse_from::<Vec<_>, _>(arguments))?;
            Ok::<_, Error>(line.map(|line| Self::Helper(helper, line)))
        };
        Ok(match dialect(&arguments) {
            Dialect::Native => match bare(&arguments) {
                Some(line) => Some(Self::Command(line)),
                None => command_line(arguments)?.map(Self::Command),
            },
            Dialect::Git => of_helper(Helper::Git, arguments)?,
            Dialect::Docker => of_helper(Helper::Docker, arguments).map_err(Error::for_docker)?,
            Dialect::Bazel => of_helper(Helper::Bazel, arguments)?,
        })
    }
}

fn command_line(arguments: Vec<OsString>) -> Result<Option<CommandLine>, Error> {
    parsed(CommandLine::try_parse_from(&arguments)).map_err(|error| {
        // Its exit codes differ.
        let matches = CommandLine::command().ignore_errors(true).try_get_matches_from(arguments);
        let is_exec = |matches: clap::ArgMatches| matches.subcommand_name() == Some("exec");
        if matches.is_ok_and(is_exec) { ExecError::of(error) } else { error }
    })
}

/// An operation alone, or nothing at all, as most callers call: building its parser costs clap
/// more than all the rest of a `get`.
fn bare(arguments: &[OsString]) -> Option<CommandLine> {
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
    Some(CommandLine { verb, ..CommandLine::default() })
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
