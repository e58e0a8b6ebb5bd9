//! Opens a page in the person's browser, without waiting for it and without its output.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::environment::Environment;
use crate::platform;

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

/// An attempt to open a page. The commands are tried in order; one that ends with a failure, now or
/// later, is followed by the next.
pub struct Opening {
    left: VecDeque<Command>,
    running: Option<Child>,
    failures: Vec<String>,
}

/// How an attempt stands.
#[derive(Debug, PartialEq, Eq)]
pub enum Opened {
    /// A command runs, or has ended well.
    Yes,
    /// None is left; what became of those that there were.
    No { failures: Vec<String> },
}

impl Browser {
    /// What `$BROWSER` says, else the system's own, where a person could see it.
    #[must_use]
    pub fn of(environment: &Environment) -> Self {
        match environment.path("BROWSER") {
            Some(commands) => {
                // Separated as paths are: by colons, or by semicolons where colons are in paths.
                let commands = std::env::split_paths(&commands);
                Self::Named(commands.map(|path| path.to_string_lossy().into_owned()).collect())
            }
            None if platform::has_screen(environment) => Self::System,
            None => Self::None,
        }
    }

    /// The programs that [`Browser::open`] would try, in this order.
    #[must_use]
    pub fn programs(&self) -> Vec<PathBuf> {
        let commands = match self {
            Self::Named(commands) => commands.iter().filter_map(|text| named(text, "")).collect(),
            Self::System => open::commands(""),
            Self::None => Vec::new(),
        };
        commands.iter().map(|command| command.get_program().into()).collect()
    }

    /// Starts the first command that can be started.
    #[must_use]
    pub fn open(&self, url: &str) -> Opening {
        let left = match self {
            Self::Named(commands) => {
                commands.iter().filter_map(|command| named(command, url)).collect()
            }
            Self::System => open::commands(url).into(),
            Self::None => VecDeque::new(),
        };
        Opening { left, running: None, failures: Vec::new() }
    }
}

impl Opening {
    /// Looks how it stands, without waiting.
    pub fn look(&mut self) -> Opened {
        loop {
            if let Some(child) = &mut self.running {
                let program = self.failures.last().map(String::as_str).unwrap_or_default();
                match child.try_wait() {
                    Ok(Some(status)) if platform::launcher_failed(program.as_ref(), status) => {
                        self.note(&format!("ended with {status}"));
                        self.running = None;
                    }
                    _ => return Opened::Yes,
                }
            }
            let Some(mut command) = self.left.pop_front() else {
                return Opened::No { failures: std::mem::take(&mut self.failures) };
            };
            let name = command.get_program().to_string_lossy().into_owned();
            self.failures.push(name);
            // Its output would end up in our answer or on the person's terminal, and our Ctrl-C
            // would end it.
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            platform::set_apart(&mut command);
            match command.spawn() {
                Ok(child) => self.running = Some(child),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    self.note("is not there");
                }
                Err(error) => self.note(&error.to_string()),
            }
        }
    }

    /// The program that was started last, without its arguments.
    #[must_use]
    pub fn program(&self) -> Option<&str> {
        self.failures.last().map(String::as_str)
    }

    /// Of the command that was started last.
    fn note(&mut self, what: &str) {
        if let Some(last) = self.failures.last_mut() {
            last.push(' ');
            last.push_str(what);
        }
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
