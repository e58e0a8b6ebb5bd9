//! Accepts the connections of the program, until the program ends.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use super::connection;
use super::state::{Proxy, Service};
use crate::config::Config;
use crate::environment::Environment;
use crate::error::Error;
use crate::http_client::{HttpError, block_on};

/// After an accept that failed for want of descriptors or memory, which others must give back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A listener on a port of the loopback address that the kernel chooses.
///
/// # Errors
/// If no port is free.
pub fn listen() -> std::io::Result<std::net::TcpListener> {
    std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
}

/// Serves on `listener` until `end`, on this thread; `ready` is called once nothing more can keep
/// it from that.
///
/// # Errors
/// If it cannot begin.
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
    let served = block_on(async {
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
