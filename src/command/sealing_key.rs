//! `dd-oauth key`: where sealing keys rest, moving one, and forgetting what nobody uses.

use super::stdio::print;
use crate::broker::{self, Context};
use crate::cli::{NewKeyPlace, SealingKeyAction};
use crate::error::Error;
use crate::session::{KeyCopies, KeyPlace};

pub fn run(context: &Context<'_>, action: &SealingKeyAction) -> Result<(), Error> {
    match action {
        SealingKeyAction::List => list(context),
        SealingKeyAction::Move { to: NewKeyPlace::Keychain } => {
            move_to(context, KeyPlace::Keychain)
        }
        SealingKeyAction::Move { to: NewKeyPlace::File } => move_to(context, KeyPlace::File),
        SealingKeyAction::Forget { id } => forget(context, id),
    }
}

fn list(context: &Context<'_>) -> Result<(), Error> {
    let found = KeyCopies::find(context.config.paths()?)?;
    let lines = found
        .copies
        .iter()
        .map(|copy| format!("{}  {:<8}  {}\n", copy.id, copy.place.to_string(), copy.standing));
    print(&lines.collect::<String>())?;
    match found.keychain {
        Some(error) if !error.is_absence() => Err(Error::KeychainUnseen(error)),
        _ => Ok(()),
    }
}

fn move_to(context: &Context<'_>, place: KeyPlace) -> Result<(), Error> {
    let moved = broker::move_sealing_key(context, place)?;
    if let Some(left) = moved.left {
        context.terminal.warn(&format!("a copy of the key was left behind: {left}"));
    }
    context.terminal.say(&format!("the sealing key rests in: {}", moved.home));
    if context.config.paths()?.key.named_file.is_some() {
        context.terminal.warn("DD_OAUTH_KEY_FILE goes before that; unset it");
    }
    Ok(())
}

fn forget(context: &Context<'_>, id: &str) -> Result<(), Error> {
    for left in broker::forget_sealing_key(context, id)? {
        context.terminal.warn(&left.to_string());
    }
    context.terminal.say(&format!("the sealing key {id} is forgotten"));
    Ok(())
}
