//! The proxy of `exec --live`, which `dd-oauth` starts for itself and which ends with the program.

use crate::broker::{self, Context};
use crate::error::{Error, ExecError};
use crate::platform;
use crate::protocol::Target;
use crate::proxy::{self, Service};
use crate::site::SiteName;

pub fn run(context: &Context<'_>, descriptors: &[i32], process: Option<u32>) -> Result<(), Error> {
    let failed = |error| Error::from(ExecError::NoProxy(error));
    let work = platform::take_sidecar_work(descriptors, process).map_err(failed)?;
    let credential = proxy::take_credential()?;
    let config = context.config;
    let site = config.site.as_ref().map(|setting| setting.value.clone());
    let org = config.org.as_ref().map(|setting| setting.value.clone());
    let Some(SiteName::Site(named)) = site.clone() else {
        return Err(broker::not_logged_in(context).into());
    };
    let service = Service { site: named, target: Target { site, org }, credential };
    let (config, environment) = (config.clone(), context.environment);
    let end = async move { work.program.ended().await };
    proxy::serve(work.listener, service, config, environment, proxy::tell_ready, end)
}
