//! `dd-oauth doctor`: all that could be wrong with this machine and this account. It changes
//! nothing, and every wait of it ends.

mod account;
mod finding;
mod machine;
mod report;
mod settings;

use crate::broker::Context;
use crate::environment::Environment;
use crate::error::Error;

use account::Account;
use finding::{Finding, Verdict};
use report::Report;

pub fn run(context: &Context<'_>, as_json: bool) -> Result<(), Error> {
    let paths = match context.config.paths() {
        Ok(paths) => paths,
        Err(error) => return unconfigured(&error.into(), as_json),
    };
    let (settings, configuration) = settings::look(context, paths);
    let account = Account::of(context, paths);
    let mut findings = vec![configuration];
    findings.extend(account.look());
    findings.extend(machine::look(context, &account.site()));
    findings.extend(settings::conflicts(context.environment, &account));
    Report { findings, settings }.tell(as_json, context.environment)
}

/// The report where the configuration means nothing, so that nobody knows what to look at.
pub fn unconfigured(error: &Error, as_json: bool) -> Result<(), Error> {
    let verdict = Verdict::Problem(error.kind());
    let finding = Finding::new("configuration", verdict, error.to_string())
        .remedy("set it right, and look again for all the rest");
    let report = Report { findings: vec![finding], settings: Vec::new() };
    report.tell(as_json, &Environment::process())
}
