//! The environment variables of a process, handed in rather than asked for.

use std::ffi::OsString;
use std::path::PathBuf;

/// The environment variables of a process, handed in.
pub struct Environment(Box<Variables>);

type Variables = dyn Fn(&str) -> Option<OsString>;

impl Environment {
    /// That of this process.
    #[must_use]
    pub fn process() -> Self {
        Self(Box::new(|name| std::env::var_os(name)))
    }

    /// A made-up one.
    #[must_use]
    pub fn of(variables: &[(&str, &str)]) -> Self {
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| ((*name).to_string(), (*value).into())).collect();
        Self(Box::new(move |name| {
            variables
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value): &(_, OsString)| value.clone())
        }))
    }

    /// The value of a variable; an empty one counts as unset.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        (self.0)(name).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    /// The value of a variable as an absolute path; an empty one counts as unset.
    ///
    /// # Errors
    /// If it is relative: another process would take it for another file.
    pub fn absolute_path(&self, variable: &'static str) -> Result<Option<PathBuf>, VariableError> {
        match self.path(variable) {
            Some(value) if !value.is_absolute() => {
                Err(VariableError::NotAbsolute { variable, value })
            }
            path => Ok(path),
        }
    }

    /// The value of a variable as text; an empty one counts as unset.
    ///
    /// # Errors
    /// If it is not UTF-8: taken as unset, it would let another session be meant.
    pub fn text(&self, variable: &'static str) -> Result<Option<String>, VariableError> {
        let Some(path) = self.path(variable) else { return Ok(None) };
        let text = path.into_os_string().into_string();
        text.map(Some).map_err(|value| VariableError::NotUnicode { variable, value })
    }
}

/// A variable with a value of the wrong form.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum VariableError {
    #[error("{variable} is {value:?}, which is not an absolute path")]
    NotAbsolute { variable: &'static str, value: PathBuf },
    #[error("{variable} cannot be used: {} is not UTF-8", .value.display())]
    NotUnicode { variable: &'static str, value: OsString },
}
