//! Addresses of names, as the system finds them. It is asked on a thread, because that blocks; and if
//! there is no room for one, that is an error. The thread pool of the runtime would panic, and its end would
//! wait for a look-up, which no deadline ends.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::oneshot;

/// Asks the system for the addresses of a name.
pub struct SystemLookup;

impl Resolve for SystemLookup {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let (sender, found) = oneshot::channel();
            let look_up = move || {
                // Nobody listens any more if it took too long. The port is the caller's to set.
                let _ = sender.send(addresses(name.as_str()));
            };
            std::thread::Builder::new()
                .name("lookup".into())
                .spawn(look_up)
                .map_err(|error| no_thread(&error))?;
            let addresses = found.await??;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

fn addresses(name: &str) -> io::Result<Vec<SocketAddr>> {
    Ok((name, 0).to_socket_addrs()?.collect())
}

fn no_thread(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("no thread can be started to look up the name: {error}"))
}
