//! `dd-oauth reset`: forgets everything of this installation, whatever is wrong with it.

use super::call::may_ask;
use super::logout;
use crate::broker::{self, Context, Reset};
use crate::cli::ResetFlags;
use crate::error::Error;

pub fn run(context: &Context<'_>, flags: &ResetFlags) -> Result<(), Error> {
    let directory = context.config.paths()?.state_directory.display();
    match broker::resettable(context)? {
        Some(names) if names.is_empty() => {
            context.terminal.say(&format!("no session is stored in {directory}"));
        }
        Some(names) => {
            let names = names.join(", ");
            context.terminal.say(&format!("these sessions and API keys are stored: {names}"));
        }
        None => context.terminal.say(&format!("there is no installation in {directory}")),
    }
    if !flags.yes {
        if !may_ask(context)? {
            return Err(Error::CommandLine(
                "nothing was forgotten: `dd-oauth reset --yes` forgets all sessions, API keys, OAuth clients and the sealing key".into(),
            ));
        }
        let question = format!(
            "forget all sessions, API keys, OAuth clients and the sealing key of {directory}?"
        );
        if context.terminal.ask(&question) != Some(true) {
            context.terminal.say("nothing was forgotten");
            return Ok(());
        }
    }
    tell(context, &broker::reset(context)?);
    Ok(())
}

fn tell(context: &Context<'_>, done: &Reset) {
    let terminal = context.terminal;
    for session in &done.sessions {
        logout::tell(context, session);
    }
    for name in &done.unopened {
        terminal.warn(&format!(
            "{name} could not be opened and was not revoked: its tokens stay good until they expire"
        ));
    }
    for path in &done.aside {
        terminal.say(&format!("what was in the way is now {}", path.display()));
    }
    for left in &done.left {
        terminal.warn(&format!("a copy of the sealing key was left behind: {left}"));
    }
    terminal.say("everything is forgotten: run `dd-oauth login`");
}
