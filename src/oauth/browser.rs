//! Opens a page in the person's browser, without waiting for it and without its output.

use std::process::{Command, Stdio};

use crate::config::Environment;

/// How the browser is started.
#[derive(Clone, Debug)]
pub enum Browser {
    /// The commands of `$BROWSER`, in which `%s` stands for the address.
    Named(Vec<String>),
    /// The system's own way.
    System,
    /// Not at all: the address is printed.
    None,
}

impl Browser {
    /// What `$BROWSER` says, else the system's own.
    #[must_use]
    pub fn of(environment: &Environment) -> Self {
        match environment.path("BROWSER") {
            Some(commands) => {
                // Separated as paths are: by colons, or by semicolons where colons are in paths.
                let commands = std::env::split_paths(&commands);
                Self::Named(commands.map(|path| path.to_string_lossy().into_owned()).collect())
            }
            None => Self::System,
        }
    }

    /// Starts the first that can be started; whether one could.
    #[must_use]
    pub fn open(&self, url: &str) -> bool {
        let commands = match self {
            Self::Named(commands) => {
                commands.iter().filter_map(|command| named(command, url)).collect()
            }
            Self::System => open::commands(url),
            Self::None => Vec::new(),
        };
        commands.into_iter().any(start)
    }
}

fn named(command: &str, url: &str) -> Option<Command> {
    let mut words = command.split_ascii_whitespace();
    let mut named = Command::new(words.next()?);
    let mut placed = false;
    for word in words {
        placed |= word.contains("%s");
        named.arg(word.replace("%s", url));
    }
    if !placed {
        named.arg(url);
    }
    Some(named)
}

fn start(mut command: Command) -> bool {
    // Its output would end up in our answer or on the person's terminal.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().is_ok()
}
