//! `dd-oauth login`.

use std::io::IsTerminal;

use crate::broker::{self, Context, LoginOptions, ScopeOptions};
use crate::cli::LoginFlags;
use crate::config::Config;
use crate::error::Error;
use crate::oauth::Browser;
use crate::scope::Scopes;
use crate::site::{self, SiteName};

pub fn run(context: &Context<'_>, flags: LoginFlags) -> Result<(), Error> {
    let config = context.config;
    let site = config.site.as_ref().map(|site| site.value.clone());
    let wish = LoginOptions {
        site: site.unwrap_or_else(|| SiteName::Site(site::us1())),
        org: config.org.as_ref().map(|org| org.value.clone()),
        callback_port: Config::callback_port(flags.callback_port, context.environment)?
            .map(|port| port.value),
        demand: None,
        typed: true,
        trust_site: flags.trust_site,
        // Who asks for no browser and sends something has an address to send.
        pastes_to_stdin: flags.no_browser && !std::io::stdin().is_terminal(),
        browser: if flags.no_browser { Browser::None } else { Browser::of(context.environment) },
        org_uuid: flags.org_uuid.clone(),
        scopes: scopes(flags),
    };
    let done = broker::log_in(context, &wish)?;
    context.terminal.say(&format!("logged in to {}", done.described()));
    Ok(())
}

fn scopes(flags: LoginFlags) -> ScopeOptions {
    if let Some(scopes) = flags.scopes {
        return ScopeOptions { insisted: scopes.clone(), scopes };
    }
    let usual = if flags.read_only { Scopes::read_only_set() } else { Scopes::default_set() };
    let insisted = flags.add_scopes.unwrap_or_default();
    ScopeOptions { scopes: usual.with(&insisted), insisted }
}
