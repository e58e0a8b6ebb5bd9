//! `exec --live`: a proxy on 127.0.0.1 in front of the API of one site, which puts a fresh token on
//! every request. The program gets its address and a credential that is good for this run, and
//! never sees a token.
//!
//! It speaks HTTP/1.1 to the program with a strictness of its own, as every request that it lets
//! through is sent with the user's authority, and leaves the other side to an HTTP client.

mod bearer;
mod body;
mod connection;
mod head;
mod launch;
mod upstream;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::config::Config;
use crate::environment::Environment;
use crate::error::Error;
use crate::http_client::HttpError;
use crate::protocol::Target;
use crate::secret::AccessToken;
use crate::site::Site;

use bearer::Bearer;
use upstream::Upstream;

pub use launch::{Launched, launch, take_credential, tell_ready};

/// After an accept that failed for want of descriptors or memory, which others must give back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What stands in for the token in the program: random, and good for this run alone.
pub type Credential = AccessToken;

/// What one proxy needs for its life.
pub struct Proxy {
    /// As in the `Host` of every request.
    authority: String,
    credential: Credential,
    bearer: Bearer,
    upstream: Upstream,
}

/// Which session a proxy serves.
pub struct Service {
    pub site: Site,
    pub target: Target,
    pub credential: Credential,
}

impl Proxy {
    fn new(
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

/// Serves on `listener` until `end`, on this thread; `ready` is called once nothing more can keep
/// it from that.
///
/// # Errors
/// Where it cannot begin.
pub fn serve(
    listener: std::net::TcpListener,
    service: Service,
    config: Config,
    environment: &Environment,
    ready: impl FnOnce() -> Result<(), Error>,
    end: impl Future<Output = ()>,
) -> Result<(), Error> {
    let address = listener.local_addr().map_err(|error| setup(&error))?;
    let proxy = Arc::new(Proxy::new(address, service, config, environment)?);
    listener.set_nonblocking(true).map_err(|error| setup(&error))?;
    let served = crate::http_client::block_on(async {
        let listener = TcpListener::from_std(listener).map_err(|error| setup(&error))?;
        ready()?;
        tokio::select! {
            () = end => {}
            () = accept(&listener, &proxy) => {}
        }
        Ok(())
    });
    served?
}

async fn accept(listener: &TcpListener, proxy: &Arc<Proxy>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let proxy = Arc::clone(proxy);
        tokio::spawn(async move { connection::serve(stream, &proxy).await });
    }
}

fn setup(error: &std::io::Error) -> Error {
    HttpError::Setup(error.to_string()).into()
}

/// A listener on a port of the loopback address that the kernel chooses.
fn listen() -> std::io::Result<std::net::TcpListener> {
    std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
}
