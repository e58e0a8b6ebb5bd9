//! The older key pairs: stored, found and forgotten, and given out only to who asks for one.

use super::choice::{Wanted, shown};
use super::{Broker, BrokerError};
use crate::error::Error;
use crate::names::SessionName;
use crate::protocol::{ApiKeysAnswer, StoreApiKeysRequest, Target};
use crate::session::{ApiKeyStore, ApiKeys, Choice, Installation, SessionStore};
use crate::site::SiteName;

impl Broker<'_> {
    /// Answers with the key pair that `target` means.
    ///
    /// # Errors
    /// Where there is none, several fit, or the store cannot be read.
    pub fn get_api_keys(&self, target: &Target) -> Result<ApiKeysAnswer, Error> {
        let wanted = self.wanted(target);
        let missing =
            |site: &SiteName| BrokerError::NoApiKeys { name: shown(site, wanted.org.as_ref()) };
        let Some(installation) = Installation::open(&self.config.paths)? else {
            return Err(missing(&wanted.site_or_default()).into());
        };
        let pairs = ApiKeyStore::of(&installation);
        let pair = match chosen(&pairs, &wanted)? {
            Some(name) => pairs.load(&name)?,
            None => None,
        };
        let Some(ApiKeys { name, api_key, app_key }) = pair else {
            return Err(missing(&wanted.site_of_new_session(&installation)?).into());
        };
        let (site, api_url) = (name.site.to_string(), name.site.api_url());
        Ok(ApiKeysAnswer { api_key, app_key, site, api_url, org: name.org })
    }

    /// Stores a key pair, in the place of the one that `request` means, or as a new one.
    ///
    /// # Errors
    /// Where the site is not trusted, several fit, or it cannot be written.
    pub fn store_api_keys(&self, request: StoreApiKeysRequest) -> Result<(), Error> {
        let wanted = self.wanted(&request.target);
        let installation = self.installation_to_write()?;
        let pairs = ApiKeyStore::of(&installation);
        let name = if let Some(name) = chosen(&pairs, &wanted)? {
            name
        } else {
            let site = wanted.site_of_new_session(&installation)?;
            self.ensure_storable(&site)?;
            match site {
                SiteName::Site(site) => SessionName { site, org: wanted.org.clone() },
                SiteName::Vanity(vanity) => {
                    return Err(BrokerError::NoSessionThrough { host: vanity.host }.into());
                }
            }
        };
        let lock = self.lock(&SessionStore::of(&installation), &name, "store")?;
        let pair = ApiKeys { name, api_key: request.api_key, app_key: request.app_key };
        Ok(pairs.save(&lock, &pair)?)
    }

    /// Forgets the key pair that `target` means; which one that was, if there was one.
    ///
    /// # Errors
    /// Where several fit, or it cannot be removed.
    pub fn erase_api_keys(&self, target: &Target) -> Result<Option<SessionName>, Error> {
        let Some(installation) = Installation::open(&self.config.paths)? else { return Ok(None) };
        let pairs = ApiKeyStore::of(&installation);
        let Some(name) = chosen(&pairs, &self.wanted(target))? else { return Ok(None) };
        let lock = self.lock(&SessionStore::of(&installation), &name, "erase")?;
        pairs.forget(&lock, &name)?;
        Ok(Some(name))
    }
}

fn chosen(pairs: &ApiKeyStore<'_>, wanted: &Wanted) -> Result<Option<SessionName>, Error> {
    match pairs.choose(wanted.site.as_ref(), wanted.org.as_ref())? {
        Choice::Session(name, _) => Ok(Some(name)),
        Choice::None => Ok(None),
        Choice::Several(names) => Err(BrokerError::Ambiguous(names).into()),
    }
}
