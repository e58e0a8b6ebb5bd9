//! What every decision is handed, and the installation that it is about.

use crate::clock::{Clock, Deadline};
use crate::config::Config;
use crate::environment::Environment;
use crate::session::{Installation, KeyOrigin, Opened};
use crate::terminal::Terminal;

use super::BrokerError;

/// Everything that a decision depends on, handed in.
pub struct Context<'a> {
    pub config: &'a Config,
    pub environment: &'a Environment,
    pub clock: Clock,
    pub terminal: &'a Terminal,
    /// When the caller gives up on its answer; no refresh is waited for any longer.
    pub limit: Option<Deadline>,
}

impl Context<'_> {
    /// The installation, if there is one.
    ///
    /// # Errors
    /// If its directory or file is not the user's own, or cannot be read.
    pub fn installation(&self) -> Result<Option<Installation>, BrokerError> {
        Ok(Installation::open(self.config.paths()?)?)
    }

    /// The installation, if there is one, for a question that has an answer without: who has no home
    /// directory has no installation either.
    ///
    /// # Errors
    /// If its directory or file is not the user's own, or cannot be read.
    pub fn installation_if_any(&self) -> Result<Option<Installation>, BrokerError> {
        let Ok(paths) = &self.config.paths else { return Ok(None) };
        Ok(Installation::open(paths)?)
    }

    /// The installation, created if there is none. Warns if a new key went into a file although
    /// nobody chose that.
    pub(super) fn installation_to_write(&self) -> Result<Installation, BrokerError> {
        let Opened { installation, fell_back } =
            Installation::open_or_create(self.config.paths()?)?;
        self.trace_key(&installation);
        if let Some(why) = fell_back {
            self.terminal.trace(|| format!("the sealing key went into a file: {why}"));
            self.terminal.warn(&format!(
                "the keychain cannot be used: {why}; the sealing key rests in a file instead (DD_TOKEN_STORAGE=file chooses that without this warning)"
            ));
        }
        Ok(installation)
    }

    /// Traces where the sealing key came from, if it was needed.
    pub(super) fn trace_key(&self, installation: &Installation) {
        let Some(origin) = installation.key_origin() else { return };
        let Ok(paths) = &self.config.paths else { return };
        self.terminal.trace(|| match (origin, installation.key_home()) {
            (KeyOrigin::HandedOn, _) => "the sealing key was handed on by who started this".into(),
            (KeyOrigin::Memory, _) => "the sealing key was still in memory".into(),
            (KeyOrigin::Kernel, _) => "the sealing key came from the kernel's keyring".into(),
            (KeyOrigin::Home { took }, Ok(home)) => {
                let limit = paths.key.timeout.limit.as_secs();
                let took = took.as_millis();
                format!("the sealing key came from {home} in {took} ms (a keychain has {limit} s)")
            }
            (KeyOrigin::Home { .. }, Err(error)) => error.to_string(),
        });
    }
}
