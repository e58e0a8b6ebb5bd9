//! The proxy of `exec --live`, which `dd-oauth` starts for itself and which ends with the program.

use crate::broker::Broker;
use crate::error::{Error, ExecError};
use crate::live::{self, Service};
use crate::platform;
use crate::protocol::Target;
use crate::site::SiteName;

pub fn run(broker: &Broker<'_>, descriptors: &[i32], process: Option<u32>) -> Result<(), Error> {
    let failed = |error| Error::from(ExecError::NoProxy(error));
    let Some(attended) = platform::attend(descriptors, process).map_err(failed)? else {
        return Ok(());
    };
    let credential = live::take_credential()?;
    let config = broker.config;
    let site = config.site.as_ref().map(|setting| setting.value.clone());
    let org = config.org.as_ref().map(|setting| setting.value.clone());
    let Some(SiteName::Site(named)) = site.clone() else { return Err(broker.not_logged_in()) };
    let service = Service { site: named, target: Target { site, org }, credential };
    let (config, environment) = (config.clone(), broker.environment);
    let end = async move { attended.program.ended().await };
    live::serve(attended.listener, service, config, environment, live::tell_ready, end)
}
