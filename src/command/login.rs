//! `dd-oauth login`.

use crate::broker::{Broker, LoginWish};
use crate::cli::LoginFlags;
use crate::config::Config;
use crate::error::Error;
use crate::oauth::Browser;
use crate::scope::Scopes;
use crate::site::{self, SiteName};

pub fn run(broker: &Broker<'_>, flags: LoginFlags) -> Result<(), Error> {
    let config = broker.config;
    let site = config.site.as_ref().map(|site| site.value.clone());
    let wish = LoginWish {
        site: site.unwrap_or_else(|| SiteName::Site(site::us1())),
        org: config.org.as_ref().map(|org| org.value.clone()),
        scopes: flags.scopes.unwrap_or_else(Scopes::default_set),
        browser: if flags.no_browser { Browser::None } else { Browser::of(broker.environment) },
        callback_port: Config::callback_port(flags.callback_port, broker.environment)?,
        demand: None,
        typed: true,
        trust_site: flags.trust_site,
    };
    let session = broker.log_in(&wish)?;
    broker.terminal.say(&format!("logged in to {}", session.name));
    Ok(())
}
