//! `dd-oauth doctor`: all that could be wrong with this machine and this account. It changes
//! nothing, and every wait of it ends.

mod account;
mod machine;
mod settings;

use std::io::{self, IsTerminal};

use serde_json::json;

use super::print;
use crate::broker::{Broker, BrokerError};
use crate::environment::Environment;
use crate::error::Error;
use crate::exit::ExitKind;
use crate::terminal::without_control_characters;

use account::Account;
use settings::ShownSetting;

/// What one look found.
struct Finding {
    /// What was looked at; stable, as programs read it.
    check: &'static str,
    verdict: Verdict,
    text: String,
    /// What the person can do about it.
    remedy: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Ok,
    /// Worth knowing; nothing fails for it now.
    Note,
    /// Something fails for it, as commands fail with this exit code.
    Problem(ExitKind),
}

/// All that was found, in the order in which one thing depends on the other.
struct Report {
    findings: Vec<Finding>,
    settings: Vec<ShownSetting>,
}

impl Finding {
    fn new(check: &'static str, verdict: Verdict, text: impl Into<String>) -> Self {
        Self { check, verdict, text: text.into(), remedy: None }
    }

    fn ok(check: &'static str, text: impl Into<String>) -> Self {
        Self::new(check, Verdict::Ok, text)
    }

    fn note(check: &'static str, text: impl Into<String>) -> Self {
        Self::new(check, Verdict::Note, text)
    }

    /// What kept a look from its end is what would keep a command from its own.
    fn problem(check: &'static str, error: impl Into<Error>) -> Self {
        let error = error.into();
        let verdict = Verdict::Problem(error.kind());
        match error {
            Error::Broker(BrokerError::LoginRequired { why, command }) => {
                Self::new(check, verdict, why).remedy(format!("run `{command}`"))
            }
            error => Self::new(check, verdict, error.to_string()),
        }
    }

    fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

pub fn run(broker: &Broker<'_>, as_json: bool) -> Result<(), Error> {
    let (settings, configuration) = settings::look(broker);
    let account = Account::of(broker);
    let mut findings = vec![configuration];
    findings.extend(account.look());
    findings.extend(machine::look(broker, &account.site()));
    findings.extend(settings::conflicts(broker.environment, &account));
    Report { findings, settings }.tell(as_json, broker.environment)
}

/// The report where the configuration means nothing, so that nobody knows what to look at.
pub fn unconfigured(error: &Error, as_json: bool) -> Result<(), Error> {
    let verdict = Verdict::Problem(error.kind());
    let finding = Finding::new("configuration", verdict, error.to_string())
        .remedy("set it right, and look again for all the rest");
    let report = Report { findings: vec![finding], settings: Vec::new() };
    report.tell(as_json, &Environment::process())
}

impl Report {
    fn tell(&self, as_json: bool, environment: &Environment) -> Result<(), Error> {
        if as_json {
            print(&self.json())?;
        } else {
            let dumb = environment.path("TERM").is_none_or(|term| term.as_os_str() == "dumb");
            let plain = dumb || environment.path("NO_COLOR").is_some();
            print(&self.text(io::stdout().is_terminal() && !plain))?;
        }
        let mut kinds = self.problems();
        match kinds.next() {
            None => Ok(()),
            Some(kind) => Err(Error::DoctorProblems { problems: 1 + kinds.count(), kind }),
        }
    }

    fn problems(&self) -> impl Iterator<Item = ExitKind> {
        self.findings.iter().filter_map(|finding| match finding.verdict {
            Verdict::Problem(kind) => Some(kind),
            Verdict::Ok | Verdict::Note => None,
        })
    }

    fn json(&self) -> String {
        let finding = |finding: &Finding| {
            json!({
                "check": finding.check,
                "verdict": finding.verdict.name(),
                "finding": finding.text,
                "remedy": finding.remedy,
            })
        };
        let setting = |setting: &ShownSetting| {
            json!({
                "setting": setting.name,
                "value": setting.value,
                "source": setting.source.to_string(),
            })
        };
        let value = json!({
            "problems": self.problems().count(),
            "checks": self.findings.iter().map(finding).collect::<Vec<_>>(),
            "settings": self.settings.iter().map(setting).collect::<Vec<_>>(),
        });
        format!("{value}\n")
    }

    fn text(&self, coloured: bool) -> String {
        let mut lines = Vec::new();
        for Finding { check, verdict, text, remedy } in &self.findings {
            let text = without_control_characters(text);
            lines.push(format!("{} {check:<15} {text}\n", verdict.word(coloured)));
            if let Some(remedy) = remedy {
                let remedy = without_control_characters(remedy);
                lines.push(format!("{:<8} {:<15} -> {remedy}\n", "", ""));
            }
        }
        for ShownSetting { name, value, source } in &self.settings {
            let value = without_control_characters(value.as_deref().unwrap_or("-"));
            let source = without_control_characters(&source.to_string());
            lines.push(format!("{:<8} {name:<15} {value} ({source})\n", "setting"));
        }
        lines.concat()
    }
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Problem(_) => "problem",
        }
    }

    /// As a column of the report; the colours are those of ECMA-48.
    fn word(self, coloured: bool) -> String {
        let word = format!("{:<8}", self.name());
        let colour = match self {
            Self::Ok => 32,
            Self::Note => 33,
            Self::Problem(_) => 31,
        };
        if coloured { format!("\x1b[{colour}m{word}\x1b[0m") } else { word }
    }
}
