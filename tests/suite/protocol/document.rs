//! The examples of `protocol.md`, run as they stand: a specification that is wrong is worse than
//! none.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::support::home::Home;
use crate::support::peers::{built, source};
use crate::support::process::{finish, start};

/// One command of the document, and what it says that the command writes.
struct Example {
    /// Of the command, counted from 1.
    line: usize,
    command: String,
    output: String,
}

/// The moment of a command that sets the clock: `# It is 2026-01-01T00:00:00Z.`
fn moment(command: &str) -> Option<SystemTime> {
    let text = command.strip_prefix("# It is ")?.strip_suffix('.')?;
    Some(humantime::parse_rfc3339(text).unwrap_or_else(|error| panic!("{command}: {error}")))
}

/// The commands of all `console` blocks, in order.
fn examples(document: &str) -> Result<Vec<Example>, String> {
    let mut examples: Vec<Example> = Vec::new();
    let mut lines = document.lines().zip(1..);
    while let Some((text, _)) = lines.next() {
        let Some(language) = text.strip_prefix("```") else { continue };
        let block = lines.by_ref().take_while(|(text, _)| *text != "```");
        if language == "console" {
            examples.extend(commands(block)?);
        } else {
            block.for_each(drop);
        }
    }
    if examples.is_empty() { Err("there are no examples".into()) } else { Ok(examples) }
}

/// The commands of one block: `$ ` begins one, `> ` goes on with it, all else is output.
fn commands<'a>(block: impl Iterator<Item = (&'a str, usize)>) -> Result<Vec<Example>, String> {
    let mut commands: Vec<Example> = Vec::new();
    for (text, line) in block {
        if let Some(command) = text.strip_prefix("$ ") {
            commands.push(Example { line, command: command.into(), output: String::new() });
            continue;
        }
        let Some(last) = commands.last_mut() else {
            return Err(format!("line {line}: a block starts with a command"));
        };
        match text.strip_prefix("> ") {
            Some(more) if last.output.is_empty() => last.command.extend(["\n", more]),
            _ => last.output.extend([text, "\n"]),
        }
    }
    Ok(commands)
}

/// Runs the examples in one home, in order, up to the first that differs.
fn check(document: &str) -> Result<usize, String> {
    let examples = examples(document)?;
    let mut home = Home::new();
    let usual = std::env::var_os("PATH").unwrap_or_default();
    let directories = [built("")].into_iter().chain(std::env::split_paths(&usual));
    let path = std::env::join_paths(directories).map_err(|error| error.to_string())?;
    home.set("PATH", path.to_str().ok_or("PATH is not text")?);
    // No example may need a server; one that does fails here instead of asking Datadog.
    home.set("HTTPS_PROXY", "http://127.0.0.1:9");
    let mut now = None;
    let mut code = 0;
    for Example { line, command, output } in &examples {
        if let Some(moment) = moment(command) {
            now = Some(moment);
            continue;
        }
        let now = now.ok_or_else(|| format!("line {line}: no example says yet what time it is"))?;
        home.set("DD_OAUTH_TEST_CLOCK", &millis_until(now).to_string());
        // One stream, as on a terminal; and `$?` as the command before left it.
        let script = format!("exec 2>&1\n(exit {code})\n{command}\n");
        let run = finish(start(home.any_program(Path::new("sh"), &["-c", &script]), b""));
        if run.stdout != *output || !run.stderr.is_empty() {
            let (written, more) = (run.stdout, run.stderr);
            return Err(format!(
                "line {line}: $ {command}\n--- says\n{output}--- writes\n{written}{more}"
            ));
        }
        code = run.code.ok_or_else(|| format!("line {line}: a signal ended it"))?;
    }
    Ok(examples.len())
}

/// How far a moment is ahead of the system's clock.
fn millis_until(moment: SystemTime) -> i128 {
    let millis = |time: SystemTime| {
        let since: Duration = time.duration_since(UNIX_EPOCH).expect("it is after 1970");
        i128::try_from(since.as_millis()).expect("it fits")
    };
    millis(moment) - millis(SystemTime::now())
}

#[test]
fn every_example_writes_what_the_document_says() {
    let document = std::fs::read_to_string(source("protocol.md")).unwrap();
    if let Err(difference) = check(&document) {
        panic!("protocol.md, {difference}");
    }
}

#[test]
fn an_example_that_differs_is_named_by_its_line() {
    let at = "$ # It is 2026-01-01T00:00:00Z.";
    let difference = |block: &str| check(&format!("text\n```console\n{block}\n```\n"));
    assert_eq!(
        difference(&format!("{at}\n$ cat <<end; (exit 3)\n> a\n> end\na\n$ echo $?\n3")),
        Ok(3)
    );
    for (block, start) in [
        (format!("{at}\n$ echo right\nwrong"), "line 4: $ echo right\n"),
        (format!("{at}\n$ echo one; echo two >&2\none"), "line 4: "),
        (format!("{at}\n$ true\n$ echo $?\n1"), "line 5: "),
        ("$ true".to_string(), "line 3: no example says yet"),
        ("true".to_string(), "line 3: a block starts with a command"),
    ] {
        let error = difference(&block).unwrap_err();
        assert!(error.starts_with(start), "{error}");
    }
    assert_eq!(check("```text\n$ true\n```\n"), Err("there are no examples".into()));
}
