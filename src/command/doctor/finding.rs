//! What one look of the doctor found.

use crate::broker::BrokerError;
use crate::error::Error;
use crate::exit::ExitKind;

/// What one look found.
pub struct Finding {
    /// What was looked at; stable, as programs read it.
    pub check: &'static str,
    pub verdict: Verdict,
    pub text: String,
    /// What the person can do about it.
    pub remedy: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Ok,
    /// Worth knowing; nothing fails for it now.
    Note,
    /// Something fails for it, as commands fail with this exit code.
    Problem(ExitKind),
}

impl Finding {
    pub fn new(check: &'static str, verdict: Verdict, text: impl Into<String>) -> Self {
        Self { check, verdict, text: text.into(), remedy: None }
    }

    pub fn ok(check: &'static str, text: impl Into<String>) -> Self {
        Self::new(check, Verdict::Ok, text)
    }

    pub fn note(check: &'static str, text: impl Into<String>) -> Self {
        Self::new(check, Verdict::Note, text)
    }

    /// What kept a look from its end is what would keep a command from its own.
    pub fn problem(check: &'static str, error: impl Into<Error>) -> Self {
        let error = error.into();
        let verdict = Verdict::Problem(error.kind());
        match error {
            Error::Broker(BrokerError::LoginRequired { why, command }) => {
                Self::new(check, verdict, why).remedy(format!("run `{command}`"))
            }
            error => Self::new(check, verdict, error.to_string()),
        }
    }

    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl Verdict {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Problem(_) => "problem",
        }
    }

    /// As a column of the report; the colours are those of ECMA-48.
    pub fn word(self, coloured: bool) -> String {
        let word = format!("{:<8}", self.name());
        let colour = match self {
            Self::Ok => 32,
            Self::Note => 33,
            Self::Problem(_) => 31,
        };
        if coloured { format!("\x1b[{colour}m{word}\x1b[0m") } else { word }
    }
}
