//! TLS connections that end without a farewell: gateways hang up that way, and a reply whose end is the
//! end of the connection is whole all the same.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::support::certificate::Certificate;
use crate::support::deadline::HANG;
use crate::support::home::Home;

const GRANT: &str = r#"{"access_token":"new-access","token_type":"Bearer","expires_in":3600,"refresh_token":"new-refresh"}"#;

#[test]
fn a_whole_reply_counts_without_the_farewell_of_tls() {
    let long = GRANT.replacen('{', &format!("{{\"id_token\":\"{}\",", "x".repeat(40_000)), 1);
    let size = GRANT.len();
    for (name, reply) in [
        ("the connection ends the body", format!("HTTP/1.1 200 OK\r\n\r\n{GRANT}")),
        ("it says so", format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{GRANT}")),
        ("HTTP/1.0", format!("HTTP/1.0 200 OK\r\n\r\n{GRANT}")),
        ("in several records", format!("HTTP/1.1 200 OK\r\n\r\n{long}")),
        ("a length", format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n{GRANT}")),
        ("too long a length", format!("HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{GRANT}")),
        (
            "no last chunk",
            format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{size:x}\r\n{GRANT}\r\n"),
        ),
    ] {
        let (home, requests) = session_at(reply);
        let run = home.run(&[], "get\n");
        assert_eq!(run.code, Some(0), "{name}: {run:?}");
        assert_eq!(run.value("access_token"), "new-access", "{name}");
        assert!(requests.recv_timeout(HANG).unwrap().contains("refresh_token=old-refresh"));
        assert_eq!(home.run(&["refresh"], "").code, Some(0), "{name}");
        assert!(requests.recv_timeout(HANG).unwrap().contains("refresh_token=new-refresh"));
    }
}

#[test]
fn half_a_reply_is_none_and_the_request_is_repeated() {
    let (home, requests) = session_at(format!("HTTP/1.1 200 OK\r\n\r\n{}", &GRANT[..60]));
    home.run(&[], "get\n").fails(4, &["could not renew"]);
    for _ in 0..2 {
        assert!(requests.recv_timeout(HANG).unwrap().contains("refresh_token=old-refresh"));
    }
}

/// A session whose token is stale, at a server that answers with `reply` and hangs up without a word;
/// and the bodies of the requests that it sees.
fn session_at(reply: String) -> (Home, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut home = Home::new();
    home.set("DD_SITE", &format!("https://{}", listener.local_addr().unwrap()));
    let issued = Certificate::of(&["127.0.0.1"]);
    let authority = home.path().join("authority.pem");
    std::fs::write(&authority, &issued.authority).unwrap();
    home.set("SSL_CERT_FILE", authority.to_str().unwrap());
    let config = Arc::new(config(&issued));
    let tokens =
        "access_token=old-access\nrefresh_token=old-refresh\nclient_id=c\nexpires_at=1000000000\n";
    home.run(&["store"], tokens).succeeds_quietly();
    let (sender, requests) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Some(body) = stream.ok().and_then(|stream| answer(stream, &config, &reply)) else {
                continue;
            };
            if sender.send(body).is_err() {
                return;
            }
        }
    });
    (home, requests)
}

fn config(issued: &Certificate) -> ServerConfig {
    let certificate = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap()
}

/// Answers one request, and closes the connection under TLS. The body of the request.
fn answer(stream: TcpStream, config: &Arc<ServerConfig>, reply: &str) -> Option<String> {
    stream.set_read_timeout(Some(HANG)).ok()?;
    let connection = ServerConnection::new(config.clone()).ok()?;
    let mut tls = StreamOwned::new(connection, stream);
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    let body = loop {
        let count = tls.read(&mut buffer).ok().filter(|count| *count > 0)?;
        request.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length?.trim().parse().ok()? {
            break body.to_string();
        }
    };
    tls.write_all(reply.as_bytes()).and_then(|()| tls.flush()).ok()?;
    Some(body)
}
