//! `dd-oauth store` and `dd-oauth erase`: both answer with nothing but their exit code.

use crate::broker::{Broker, Erased};
use crate::error::Error;
use crate::protocol::{EraseRequest, StoreRequest, Target};

pub fn store(broker: &Broker<'_>, request: StoreRequest) -> Result<(), Error> {
    broker.store(request).map(|_| ())
}

pub fn erase(broker: &Broker<'_>, request: &EraseRequest) -> Result<(), Error> {
    if let Erased::Session(name) = broker.erase(request)? {
        broker.terminal.say(&format!(
            "forgot the session for {name} on this machine; nothing was revoked (`dd-oauth logout` revokes)"
        ));
    }
    Ok(())
}

pub fn erase_api_keys(broker: &Broker<'_>, target: &Target) -> Result<(), Error> {
    if let Some(name) = broker.erase_api_keys(target)? {
        broker.terminal.say(&format!(
            "forgot the API key for {name} on this machine; it is good at Datadog until it is revoked there"
        ));
    }
    Ok(())
}
