//! `dd-oauth exec`: becomes a program that finds the token in its environment.

use std::process::Command;

use crate::broker::{self, Context, INSIDE_EXEC};
use crate::cli::ExecFlags;
use crate::error::{Error, ExecError};
use crate::platform::{self, FileSizeLimit};
use crate::protocol::{GetRequest, Target};
use crate::proxy::{self, Launched};
use crate::site::SiteName;
use crate::variables::Variables;

/// Returns only where the program could not be started.
pub fn run(context: &Context<'_>, flags: &ExecFlags) -> Result<(), Error> {
    let limit = FileSizeLimit::now();
    let (program, arguments) = flags.command.split_first().expect("clap demands a program");
    let mut command = platform::command(program, context.environment);
    command.args(arguments);
    prepare(context, flags, &mut command)?;
    limit.restore();
    let error = platform::become_program(command);
    Err(ExecError::not_started(program, error).into())
}

fn prepare(context: &Context<'_>, flags: &ExecFlags, command: &mut Command) -> Result<(), Error> {
    let request = GetRequest { min_ttl: flags.get.min_ttl, ..GetRequest::default() };
    let found = broker::get_to_keep(context, &request)?;
    let answer = &found.answer;
    let names = &flags.variables.names;
    let mut variables = if flags.live {
        let Launched { url, credential } = proxy::launch(answer, context.config)?;
        let mut variables = Variables::of(answer, names, &url, credential.expose());
        variables.set(INSIDE_EXEC, "1");
        variables.reach_loopback(context.environment);
        variables
    } else {
        let token = answer.access_token.expose();
        Variables::of(answer, names, &answer.site.api_url(), token).marked(found.origin)
    };
    if flags.with_keys {
        let site = SiteName::Site(answer.site.clone());
        let target = Target { site: Some(site), org: answer.org.clone() };
        variables.add_keys(&broker::get_api_keys(context, &target)?);
    }
    if let Some(notice) = variables.mind_keys(context.environment, flags.inherited_keys()) {
        context.terminal.say(&notice);
    }
    variables.apply(command);
    Ok(())
}
