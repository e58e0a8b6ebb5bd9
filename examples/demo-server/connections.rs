//! Accepting connections: a thread for each, with or without TLS.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::request::{self, Request, Unreadable};
use crate::response::{Delivery, Response};

/// How long a client may take to send its request, and to accept one write.
const PATIENCE: Duration = Duration::from_secs(30);

/// How much of a refused request is read and thrown away.
const MAX_DISCARDED: u64 = 16 * 1024 * 1024;

/// The certificate chain and key of an https server, from PEM files.
pub fn tls_config(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, Box<dyn Error>> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Listens on a port of the loopback address; 0 takes any free one.
pub fn listen(port: u16) -> io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    // The standard library lets 128 connections wait. Of a thousand at once the others would
    // try again only after a second. Listening again changes the number.
    #[cfg(unix)]
    rustix::net::listen(&listener, 4096)?;
    Ok(listener)
}

/// Answers each connection with what `answer` says. Does not return.
pub fn serve(
    listener: &TcpListener,
    tls: Option<&Arc<ServerConfig>>,
    answer: impl Fn(&Request) -> Delivery + Clone + Send + 'static,
) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            // Most likely out of file descriptors: some connections must end first.
            thread::sleep(Duration::from_millis(10));
            continue;
        };
        let tls = tls.cloned();
        let answer = answer.clone();
        // Where no thread can be had, dropping the closure closes the connection. Errors
        // mean that the client went away, which is its own affair.
        let _ = thread::Builder::new().spawn(move || converse(stream, tls, answer));
    }
}

fn converse(
    stream: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    answer: impl Fn(&Request) -> Delivery,
) -> io::Result<()> {
    let mut stream = Patient::new(stream)?;
    let Some(config) = tls else {
        return reply(&mut stream, answer).map(drop);
    };
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    if reply(&mut stream, answer)? {
        stream.conn.send_close_notify();
        stream.flush()?;
    }
    Ok(())
}

/// Reads the request and sends its answer. Returns whether that was sent whole.
fn reply(
    stream: &mut (impl Read + Write),
    answer: impl Fn(&Request) -> Delivery,
) -> io::Result<bool> {
    match request::read(stream) {
        Ok(request) => {
            let delivery = answer(&request);
            delivery.send(stream)?;
            Ok(matches!(delivery, Delivery::Whole(_)))
        }
        Err(Unreadable::Bad(status)) => {
            Delivery::Whole(Response::empty(status)).send(stream)?;
            // Closing with input unread would reset the connection, and the client might
            // never see the answer.
            io::copy(&mut stream.take(MAX_DISCARDED), &mut io::sink())?;
            Ok(true)
        }
        Err(Unreadable::Gone) => Ok(false),
    }
}

/// A connection on which no read or write lasts for ever. All reads together share one
/// deadline, so that a client cannot hold a thread by sending a byte now and then.
struct Patient {
    stream: TcpStream,
    deadline: Instant,
}

impl Patient {
    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, deadline: Instant::now() + PATIENCE })
    }
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(buffer)
    }
}

impl Write for Patient {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
