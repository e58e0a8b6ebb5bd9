//! The older pairs of API key and application key: stored, found and forgotten, and given out only
//! to callers that ask for them.

use crate::names::SessionName;
use crate::protocol::{ApiKeysAnswer, StoreApiKeysRequest, Target};
use crate::session::{ApiKeyStore, ApiKeys, Choice, SessionStore};
use crate::site::SiteName;

use super::locking::{hold_session, until_it_stays};
use super::store::new_name;
use super::target::{Wanted, shown};
use super::{BrokerError, Context};

/// Answers with the API keys that `target` means.
///
/// # Errors
/// If there are none, several fit, or the store cannot be read.
pub fn get_api_keys(context: &Context<'_>, target: &Target) -> Result<ApiKeysAnswer, BrokerError> {
    let wanted = Wanted::of(context, target);
    let missing =
        |site: &SiteName| BrokerError::NoApiKeys { name: shown(site, wanted.org.as_ref()) };
    let Some(installation) = context.installation()? else {
        return Err(missing(&wanted.site_or_default()));
    };
    let store = ApiKeyStore::of(&installation);
    let found = match chosen(&store, &wanted)? {
        Some(name) => store.load(&name)?,
        None => None,
    };
    let Some(ApiKeys { name, api_key, app_key }) = found else {
        return Err(missing(&wanted.site_of_new_session(&installation)?));
    };
    Ok(ApiKeysAnswer { api_key, app_key, site: name.site, org: name.org })
}

/// Stores API keys, in the place of those that `request` means, or as new ones.
///
/// # Errors
/// If the site is not trusted, several fit, or they cannot be written.
pub fn store_api_keys(
    context: &Context<'_>,
    request: &StoreApiKeysRequest,
) -> Result<(), BrokerError> {
    until_it_stays(|| store_once(context, request.clone()))
}

fn store_once(context: &Context<'_>, request: StoreApiKeysRequest) -> Result<(), BrokerError> {
    let wanted = Wanted::of(context, &request.target);
    let installation = context.installation_to_write()?;
    let store = ApiKeyStore::of(&installation);
    let name = match chosen(&store, &wanted)? {
        Some(name) => name,
        None => new_name(context, &wanted, wanted.site_of_new_session(&installation)?)?,
    };
    let lock = hold_session(context, &SessionStore::of(&installation), &name, "store")?;
    let keys = ApiKeys { name, api_key: request.api_key, app_key: request.app_key };
    Ok(store.save(&lock, &keys)?)
}

/// Forgets the API keys that `target` means; which ones, if there were any.
///
/// # Errors
/// If several fit, or they cannot be removed.
pub fn erase_api_keys(
    context: &Context<'_>,
    target: &Target,
) -> Result<Option<SessionName>, BrokerError> {
    until_it_stays(|| erase_once(context, target))
}

fn erase_once(context: &Context<'_>, target: &Target) -> Result<Option<SessionName>, BrokerError> {
    let Some(installation) = context.installation()? else { return Ok(None) };
    let store = ApiKeyStore::of(&installation);
    let Some(name) = chosen(&store, &Wanted::of(context, target))? else { return Ok(None) };
    let lock = hold_session(context, &SessionStore::of(&installation), &name, "erase")?;
    store.forget(&lock, &name)?;
    Ok(Some(name))
}

fn chosen(store: &ApiKeyStore<'_>, wanted: &Wanted) -> Result<Option<SessionName>, BrokerError> {
    match store.choose(wanted.site.as_ref(), wanted.org.as_ref())? {
        Choice::Session(name, _) => Ok(Some(name)),
        Choice::None => Ok(None),
        Choice::Several(names) => Err(BrokerError::Ambiguous(names)),
    }
}
