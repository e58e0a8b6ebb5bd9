//! `dd-oauth list` and `dd-oauth use`: the sessions of this installation, and which of them requests mean
//! that name none.

use serde_json::json;

use super::stdio::print;
use crate::broker::{self, Context};
use crate::error::Error;
use crate::session::{SessionHead, SessionStore, StorageError, selection};

pub fn run(context: &Context<'_>, as_json: bool) -> Result<(), Error> {
    let mut heads = Vec::new();
    let mut selected = None;
    if let Some(installation) = context.installation()? {
        let store = SessionStore::of(&installation);
        selected = selection::selected(&installation)?;
        for name in store.names()? {
            heads.extend(store.head(&name)?);
        }
        believe_only_what_is_sealed(context, &store, &mut heads);
    }
    let is_selected = |head: &SessionHead| selected.as_ref() == Some(&head.name);
    if as_json {
        let object = |head: &SessionHead| {
            json!({
                "site": head.name.site.to_string(),
                "org": head.name.org.as_ref().map(ToString::to_string),
                "expires_at": head.expires.map(crate::clock::Timestamp::seconds),
                "selected": is_selected(head),
            })
        };
        let list: Vec<_> = heads.iter().map(object).collect();
        return print(&format!("{}\n", serde_json::Value::Array(list)));
    }
    if heads.is_empty() {
        context.terminal.say("there are no sessions: run `dd-oauth login`");
    }
    let lines = heads.iter().map(|head| {
        let mark = if is_selected(head) { "*" } else { " " };
        let expires = head.expires.map_or_else(|| "-".into(), |expires| expires.to_string());
        format!("{mark} {:<24} {:<24} {expires}\n", head.name.site.to_string(), org_of(head))
    });
    print(&lines.collect::<String>())
}

/// Drops the expiry of each session that cannot be opened: anybody who can write its file can write
/// any time into it. The names are shown in any case, so that the session can be erased.
fn believe_only_what_is_sealed(
    context: &Context<'_>,
    store: &SessionStore<'_>,
    heads: &mut [SessionHead],
) {
    if heads.is_empty() {
        return;
    }
    // The key is asked for once, as a keychain may take its time to refuse.
    let key = store.ensure_key();
    if let Err(why) = &key {
        context.terminal.warn(&format!("no session can be opened: {why}"));
    }
    let warn = |why: StorageError| context.terminal.warn(&why.to_string());
    for head in heads {
        let opened = key.is_ok() && store.load(&head.name).map_err(warn).is_ok();
        if !opened {
            head.expires = None;
        }
    }
}

fn org_of(head: &SessionHead) -> String {
    head.name.org.as_ref().map_or_else(|| "-".into(), ToString::to_string)
}

/// Makes one of them the session that requests mean.
pub fn select(context: &Context<'_>) -> Result<(), Error> {
    let name = broker::select(context)?;
    context.terminal.say(&format!("requests that name no site now mean {name}"));
    Ok(())
}
