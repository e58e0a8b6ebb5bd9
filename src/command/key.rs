//! `dd-oauth key`: where sealing keys rest, moving one, and forgetting what nobody uses.

use super::print;
use crate::broker::Broker;
use crate::cli::{NewKeyPlace, SealingKeyAction};
use crate::error::Error;
use crate::session::{KeyCopies, KeyPlace};

pub fn run(broker: &Broker<'_>, action: &SealingKeyAction) -> Result<(), Error> {
    match action {
        SealingKeyAction::List => list(broker),
        SealingKeyAction::Move { to: NewKeyPlace::Keychain } => move_to(broker, KeyPlace::Keychain),
        SealingKeyAction::Move { to: NewKeyPlace::File } => move_to(broker, KeyPlace::File),
        SealingKeyAction::Forget { id } => forget(broker, id),
    }
}

fn list(broker: &Broker<'_>) -> Result<(), Error> {
    let found = KeyCopies::find(&broker.config.paths)?;
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

fn move_to(broker: &Broker<'_>, place: KeyPlace) -> Result<(), Error> {
    let moved = broker.move_key(place)?;
    if let Some(left) = moved.left {
        broker.terminal.warn(&format!("a copy of the key was left behind: {left}"));
    }
    broker.terminal.say(&format!("the sealing key rests in: {}", moved.home));
    if broker.config.paths.key.named_file.is_some() {
        broker.terminal.warn("DD_OAUTH_KEY_FILE goes before that; unset it");
    }
    Ok(())
}

fn forget(broker: &Broker<'_>, id: &str) -> Result<(), Error> {
    for left in broker.forget_key(id)? {
        broker.terminal.warn(&left.to_string());
    }
    broker.terminal.say(&format!("the sealing key {id} is forgotten"));
    Ok(())
}
