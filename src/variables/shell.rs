//! Variables, written so that a shell or another reader understands them as they are.

use crate::variables::Variables;

/// Who reads the variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Shell {
    /// POSIX shells: sh, bash, zsh
    Sh,
    Fish,
    Powershell,
    /// A file of NAME=VALUE, for docker, node and others
    Dotenv,
    /// GitHub Actions: masks the token, and sets the variables of the steps that follow
    Github,
    /// GitLab: a dotenv report, which hands variables on to other jobs
    Gitlab,
}

/// A variable that cannot be written so that its reader gets it as it is.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value of {name} has {what}, which {reader} cannot carry")]
pub struct NotExpressible {
    name: String,
    what: &'static str,
    reader: &'static str,
}

/// Lines that set the variables, for `shell` to evaluate or read.
///
/// # Errors
/// If the format has no way to write one of the values.
pub fn assignments(variables: &Variables, shell: Shell) -> Result<String, NotExpressible> {
    variables.iter().map(|(name, value)| assignment(name, value, shell)).collect()
}

fn assignment(name: &str, value: &str, shell: Shell) -> Result<String, NotExpressible> {
    let fails = |what, reader| Err(NotExpressible { name: name.to_string(), what, reader });
    if value.contains('\0') {
        return fails("a NUL", "no environment");
    }
    Ok(match shell {
        Shell::Sh => format!("export {name}={}\n", quoted_for_sh(value)),
        Shell::Fish => format!("set -gx {name} {}\n", quoted_for_fish(value)),
        Shell::Powershell => format!("$env:{name} = {}\n", quoted_for_powershell(value)),
        Shell::Dotenv => match dotenv_value(value) {
            Some(value) => format!("{name}={value}\n"),
            None => return fails("both kinds of quotes, a backslash or a line end", "dotenv"),
        },
        Shell::Github => github_file_entry(name, value),
        Shell::Gitlab => {
            if value.contains(['\n', '\r', '$']) || value.trim() != value {
                return fails("a line end, a $ or a blank around it", "GitLab's dotenv report");
            }
            format!("{name}={value}\n")
        }
    })
}

/// Between single quotes nothing but the quote itself has a meaning.
fn quoted_for_sh(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// Between single quotes `\'` and `\\` are the only escapes.
fn quoted_for_fish(value: &str) -> String {
    format!("'{}'", value.replace('\\', r"\\").replace('\'', r"\'"))
}

/// Between single quotes nothing but the quote itself has a meaning, and is doubled; the
/// typographic ones count as one too.
fn quoted_for_powershell(value: &str) -> String {
    let mut text = String::from("'");
    for character in value.chars() {
        if matches!(character, '\'' | '\u{2018}'..='\u{201b}') {
            text.push(character);
        }
        text.push(character);
    }
    text.push('\'');
    text
}

/// As all readers of such files understand it, which is little: bare where it is plain, else
/// between quotes of a kind that it does not contain, without anything that some of them expand.
fn dotenv_value(value: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/~+=,@%".contains(&byte);
    if !value.is_empty() && value.bytes().all(plain) {
        return Some(value.to_string());
    }
    if value.contains(['\n', '\r', '\\']) {
        None
    } else if !value.contains('\'') {
        Some(format!("'{value}'"))
    } else if !value.contains(['"', '$', '`']) {
        Some(format!("\"{value}\""))
    } else {
        None
    }
}

/// An entry of `$GITHUB_ENV`, in the form for values of any content: its end is a line that the
/// value does not have.
fn github_file_entry(name: &str, value: &str) -> String {
    let mut end = String::from("DD_OAUTH_END");
    while value.lines().any(|line| line == end) {
        end.push('_');
    }
    format!("{name}<<{end}\n{value}\n{end}\n")
}

/// The command that makes a runner of GitHub Actions hide a value in its log.
#[must_use]
pub fn github_mask(secret: &str) -> String {
    let escaped = secret.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    format!("::add-mask::{escaped}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every character that can stand in a variable and that some reader might take for its own.
    #[cfg(unix)]
    fn everything() -> String {
        let ascii = (1..=127u8).map(char::from);
        ascii.chain("äß€😀\u{2018}\u{2019}\u{201a}\u{201b}\u{85}\u{2028}".chars()).collect()
    }

    #[cfg(unix)]
    fn read_by(program: &str, flags: &[&str], shell: Shell, value: &str, print: &str) -> String {
        let script = assignment("DD_TEST", value, shell).unwrap() + print;
        let output =
            std::process::Command::new(program).args(flags).arg(&script).env_clear().output();
        let output = output.unwrap_or_else(|error| panic!("{program}: {error}; see tests/run"));
        assert!(output.status.success(), "{program}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[cfg(unix)]
    #[test]
    fn every_shell_reads_every_character_as_it_is() {
        let tricky = ["", "'", "\\", "\\'", "'\\''", "a\n", "$(false)`false`${x}!!", "-n", "\\\\'"];
        for value in tricky.map(String::from).into_iter().chain([everything()]) {
            let posix = "printf '%s|' \"$DD_TEST\"";
            for shell in ["dash", "bash", "zsh"] {
                let read = read_by(shell, &["-c"], Shell::Sh, &value, posix);
                assert_eq!(read, format!("{value}|"), "{shell}");
            }
            let flags = ["--no-config", "-c"];
            let read = read_by("fish", &flags, Shell::Fish, &value, "printf '%s|' \"$DD_TEST\"");
            assert_eq!(read, format!("{value}|"), "fish");
        }
    }

    #[test]
    fn powershell_doubles_every_kind_of_single_quote() {
        let text = assignment("X", "a'b\u{2019}c$d`e", Shell::Powershell).unwrap();
        assert_eq!(text, "$env:X = 'a''b\u{2019}\u{2019}c$d`e'\n");
    }

    #[test]
    fn what_a_format_cannot_carry_is_an_error() {
        let text = |value: &str, shell| assignment("X", value, shell);
        assert_eq!(text("a-b.c=d", Shell::Dotenv).unwrap(), "X=a-b.c=d\n");
        assert_eq!(text("a b$c", Shell::Dotenv).unwrap(), "X='a b$c'\n");
        assert_eq!(text("Tom's", Shell::Dotenv).unwrap(), "X=\"Tom's\"\n");
        for bad in ["'$", "a\nb", "\\", "'\""] {
            assert!(text(bad, Shell::Dotenv).is_err(), "{bad:?}");
        }
        assert_eq!(text("Tom's \"x\"", Shell::Gitlab).unwrap(), "X=Tom's \"x\"\n");
        for bad in ["$x", "a\nb", " a"] {
            assert!(text(bad, Shell::Gitlab).is_err(), "{bad:?}");
        }
        assert!(text("a\0b", Shell::Sh).is_err());
    }

    #[test]
    fn a_value_cannot_end_its_entry_in_the_file_of_a_runner() {
        let value = "a\nDD_OAUTH_END\nPATH=/evil";
        let text = assignment("X", value, Shell::Github).unwrap();
        assert_eq!(text, format!("X<<DD_OAUTH_END_\n{value}\nDD_OAUTH_END_\n"));
        assert_eq!(github_mask("a%b\nc"), "::add-mask::a%25b%0Ac\n");
    }
}
