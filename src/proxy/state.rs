//! What one proxy needs for its life.

use std::net::SocketAddr;

use super::Credential;
use super::token::Bearer;
use super::upstream::Upstream;
use crate::config::Config;
use crate::environment::Environment;
use crate::error::Error;
use crate::protocol::Target;
use crate::site::Site;

/// What one proxy needs for its life.
pub struct Proxy {
    /// As in the `Host` of every request.
    pub authority: String,
    pub credential: Credential,
    pub bearer: Bearer,
    pub upstream: Upstream,
}

/// Which session a proxy serves.
pub struct Service {
    pub site: Site,
    pub target: Target,
    pub credential: Credential,
}

impl Proxy {
    /// The proxy at `address` for `service`.
    ///
    /// # Errors
    /// If there can be no client for the API of the site.
    pub fn new(
        address: SocketAddr,
        service: Service,
        config: Config,
        environment: &Environment,
    ) -> Result<Self, Error> {
        let authority = address.to_string();
        Ok(Self {
            upstream: Upstream::of(&service.site, &authority, environment)?,
            bearer: Bearer::start(service.target, config),
            credential: service.credential,
            authority,
        })
    }
}
