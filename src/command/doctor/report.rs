//! The report of the doctor, for people and for programs.

use std::io::{self, IsTerminal};

use serde_json::json;

use crate::command::stdio::print;
use crate::environment::Environment;
use crate::error::Error;
use crate::exit::ExitKind;
use crate::terminal::without_control_characters;

use super::finding::{Finding, Verdict};
use super::settings::ShownSetting;

/// All that was found, in the order in which one thing depends on the other.
pub struct Report {
    pub findings: Vec<Finding>,
    pub settings: Vec<ShownSetting>,
}

impl Report {
    /// Prints the report; fails if there is a problem.
    pub fn tell(&self, as_json: bool, environment: &Environment) -> Result<(), Error> {
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
