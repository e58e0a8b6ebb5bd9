//! The person at the terminal: whether there is one, and what they are told.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::time::Duration;

use crate::config::{Environment, Interactive};
use crate::lock::Holder;
use crate::platform;
use crate::session::Patience;

/// For finding the window that asks, and the password.
const UNLOCK_LIMIT: Duration = Duration::from_mins(1);

/// As long as a login may take.
const ANSWER_LIMIT: Duration = Duration::from_mins(5);
const LONGEST_ANSWER: u64 = 1024;

/// Standard error, on which everything but an answer is said.
pub struct Terminal {
    person: bool,
}

impl Terminal {
    /// Looks at standard error: a person can see it if it is a terminal that is ours to use, and
    /// nothing says that this is a build server.
    #[must_use]
    pub fn of_process(environment: &Environment) -> Self {
        let visible = io::stderr().is_terminal() && platform::stderr_is_in_foreground();
        Self { person: visible && environment.path("CI").is_none() }
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

    /// How long the keychain is waited for: longer where a person can unlock it.
    #[must_use]
    pub fn patience_with_keychain(&self, usual: Patience) -> Patience {
        if self.person { Patience { limit: UNLOCK_LIMIT, notice: Some(tell) } } else { usual }
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
        tell(line);
    }

    /// Says that something is wrong, though the answer is good.
    pub fn warn(&self, line: &str) {
        self.say(&format!("warning: {line}"));
    }

    /// Says for whom we wait.
    pub fn say_waiting(&self, holder: Option<&Holder>) {
        match holder {
            Some(holder) => self.say(&format!("waiting for {holder}")),
            None => self.say("waiting for another dd-oauth process"),
        }
    }
}

/// Says one line on standard error. Nobody may be listening, which is no reason to fail. Control
/// characters, which a path or a server may have put into it, are shown and not obeyed.
pub fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "dd-oauth: {}", without_control_characters(line));
}

fn without_control_characters(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for character in line.chars() {
        if character.is_control() {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_one_line_whatever_is_in_it() {
        assert_eq!(without_control_characters("a\nä\u{1b}[31m\t"), "a\\nä\\u{1b}[31m\\t");
    }

    #[test]
    fn a_login_needs_a_person_or_an_order() {
        for (person, interactive, may) in [
            (true, Interactive::Auto, true),
            (false, Interactive::Auto, false),
            (true, Interactive::Never, false),
            (false, Interactive::Always, true),
        ] {
            assert_eq!(Terminal { person }.may_interact(interactive), may);
        }
    }
}
