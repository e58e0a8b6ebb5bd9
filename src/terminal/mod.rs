//! The person at the terminal: whether there is one, what they are told, and what they paste.

mod trace;

use std::cell::Cell;
use std::fmt::Display;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::mpsc;

use crate::environment::Environment;
use crate::platform::{self, Keyboard};

pub use trace::{Trace, TraceError, without_control_characters};

/// Between two looks whether anybody still waits for a line.
const NEXT_LOOK: Duration = Duration::from_millis(100);

/// As long as a login may take.
const ANSWER_LIMIT: Duration = Duration::from_mins(5);
const LONGEST_ANSWER: u64 = 1024;

/// Whether we may ask a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interactive {
    /// Where one can see it.
    #[default]
    Auto,
    Never,
    Always,
}

impl Interactive {
    /// As it is written in a configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Never => "never",
            Self::Always => "always",
        }
    }

    /// Reads [`Interactive::name`].
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "auto" => Some(Self::Auto),
            "never" => Some(Self::Never),
            "always" => Some(Self::Always),
            _ => None,
        }
    }
}

/// Standard error, on which everything but an answer is said.
pub struct Terminal {
    person: bool,
    terminal: bool,
    /// Whether a line of it can be written over.
    redraws: bool,
    /// The seconds of the countdown, where it stands on the last line.
    counting: Cell<Option<u128>>,
    trace: Trace,
}

impl Terminal {
    /// Looks at standard error: a person can see it if it is a terminal that is ours to use, and
    /// nothing says that this is a build server.
    #[must_use]
    pub fn of_process(environment: &Environment, trace: Trace) -> Self {
        let terminal = io::stderr().is_terminal();
        let visible = terminal && platform::stderr_is_in_foreground();
        let dumb = environment.path("TERM").is_some_and(|term| term.as_os_str() == "dumb");
        Self {
            person: visible && environment.path("CI").is_none(),
            terminal,
            redraws: terminal && !dumb && platform::stderr_obeys_escapes(),
            counting: Cell::new(None),
            trace,
        }
    }

    /// Standard error of a caller behind which no person waits, whatever it looks like.
    #[must_use]
    pub fn unattended(trace: Trace) -> Self {
        let counting = Cell::new(None);
        Self { person: false, terminal: false, redraws: false, counting, trace }
    }

    /// Whether a login may be started that nobody typed.
    #[must_use]
    pub fn may_interact(&self, interactive: Interactive) -> bool {
        match interactive {
            Interactive::Auto => self.person,
            Interactive::Never => false,
            Interactive::Always => true,
        }
    }

    /// Whether a person can see what is said, and act on it.
    #[must_use]
    pub fn has_person(&self) -> bool {
        self.person
    }

    /// Asks a person who can see it a question, and waits for the line that answers it: yes, no,
    /// or nothing of both.
    #[must_use]
    pub fn ask(&self, question: &str) -> Option<bool> {
        let question = without_control_characters(question);
        let _ = write!(io::stderr(), "dd-oauth: {question} [y/n] ");
        let input = io::stdin();
        platform::wait_for_input(&input, ANSWER_LIMIT).ok()?;
        let mut line = String::new();
        input.lock().take(LONGEST_ANSWER).read_line(&mut line).ok()?;
        match line.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Some(true),
            "n" | "no" => Some(false),
            _ => None,
        }
    }

    /// As [`tell`].
    pub fn say(&self, line: &str) {
        self.end_countdown();
        tell(line);
    }

    /// Says that something is wrong, though the answer is good.
    pub fn warn(&self, line: &str) {
        self.say(&format!("warning: {line}"));
    }

    /// Tells whoever asked to see it what was decided and why. The line is made only then, and is
    /// made of no secret.
    pub fn trace(&self, line: impl FnOnce() -> String) {
        if !self.trace.is_on() {
            return;
        }
        let line = line();
        if self.trace.is_spoken() {
            self.say(&format!("[trace] {line}"));
        }
        if let Err(error) = self.trace.write(&line) {
            self.warn(&error.to_string());
        }
    }

    /// Says for whom we wait.
    pub fn say_waiting(&self, holder: Option<&impl Display>) {
        match holder {
            Some(holder) => self.say(&format!("waiting for {holder}")),
            None => self.say("waiting for another dd-oauth process"),
        }
    }

    /// Shows the time that is left, and what for, on the last line of a terminal that is ours to
    /// use. Only the time is written over, so that what the person types behind it stays.
    pub fn count_down(&self, left: Duration, what: &str) {
        if !self.redraws || !platform::stderr_is_in_foreground() {
            return;
        }
        // Rounded up, so that the last second that is shown is 0:01.
        let seconds = left.as_millis().div_ceil(1000);
        if self.counting.get() == Some(seconds) {
            return;
        }
        let time = format!("[{}:{:02}]", seconds / 60, seconds % 60);
        // Save and restore the cursor, as DEC terminals and all after them do.
        let _ = if self.counting.replace(Some(seconds)).is_some() {
            write!(io::stderr(), "\x1b7\r{time}\x1b8")
        } else {
            write!(io::stderr(), "\r{time} {what} ")
        };
    }

    /// The person ended the last line with the Enter key.
    pub fn line_was_entered(&self) {
        self.counting.set(None);
    }

    /// Takes the countdown off the terminal.
    pub fn end_countdown(&self) {
        if self.counting.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }

    /// What the person will paste into the terminal; nothing where there is none that is ours.
    #[must_use]
    pub fn pasted_lines(&self) -> Option<PastedLines> {
        let ours = self.terminal && platform::stderr_is_in_foreground();
        ours.then(Keyboard::of_terminal).flatten().map(PastedLines::of)
    }
}

/// Lines that a person pastes, until this is dropped.
pub struct PastedLines {
    lines: mpsc::UnboundedReceiver<String>,
    over: Arc<AtomicBool>,
}

impl PastedLines {
    /// Reads lines on a thread of its own, which a silent person holds up and nobody else.
    #[must_use]
    pub fn of(mut keyboard: Keyboard) -> Self {
        let (sender, lines) = mpsc::unbounded_channel();
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        // Where no thread can be had, no line comes.
        let _ = std::thread::Builder::new().spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                match keyboard.line(NEXT_LOOK) {
                    Ok(Some(line)) => drop(sender.send(line)),
                    Ok(None) => {}
                    Err(_) => return,
                }
            }
        });
        Self { lines, over }
    }

    /// The next line; nothing once no more can come.
    pub async fn next(&mut self) -> Option<String> {
        self.lines.recv().await
    }
}

impl Drop for PastedLines {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// Says one line on standard error. Nobody may be listening, which is no reason to fail. Control
/// characters, which a path or a server may have put into it, are shown and not obeyed.
pub fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "dd-oauth: {}", without_control_characters(line));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn a_login_needs_a_person_or_an_order() {
        for (person, interactive, may) in [
            (true, Interactive::Auto, true),
            (false, Interactive::Auto, false),
            (true, Interactive::Never, false),
            (false, Interactive::Always, true),
        ] {
            let environment = Environment::of(&[]);
            let trace = Trace::of(false, &environment, Clock::system()).unwrap();
            let terminal = Terminal { person, ..Terminal::unattended(trace) };
            assert_eq!(terminal.may_interact(interactive), may);
        }
    }
}
