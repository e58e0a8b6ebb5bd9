//! One connection of the program: its requests, one after the other.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use reqwest::{Body, Response};
use serde_json::json;
use tokio::io::{AsyncWriteExt, BufWriter};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use super::body::{Input, Pumped, streamed};
use super::request::{self, BodyLength, Head, Refusal};
use super::state::Proxy;
use super::token::NoToken;
use crate::exit::ExitKind;

/// How long a head may take from its first byte; nobody has to have a credential to open a
/// connection.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// How long a connection may rest between two requests.
const IDLE_TIME: Duration = Duration::from_mins(5);
/// What is read of a request that is not wanted, so that the answer to it is seen.
const DISCARDED: usize = 16 * 1024 * 1024;
const DISCARD_TIME: Duration = Duration::from_secs(2);
/// What is written at once.
const WRITE_ROOM: usize = 16 * 1024;

type Output = BufWriter<OwnedWriteHalf>;

/// Whether a connection goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    NextRequest,
    Close,
}

/// Serves a connection to its end.
pub async fn serve(stream: TcpStream, proxy: &Proxy) {
    // Small writes wait for nothing; where that cannot be had, they only take longer.
    let _ = stream.set_nodelay(true);
    let (read, write) = stream.into_split();
    let (mut input, mut output) = (Input::new(read), BufWriter::with_capacity(WRITE_ROOM, write));
    let mut wait = HEAD_TIME;
    loop {
        let head = match next_head(&mut input, proxy, wait).await {
            Ok(Some(head)) => head,
            Ok(None) => return,
            Err(Refusal { status, why }) => {
                let _ = write_problem(&mut output, status, why, After::Close, false).await;
                break;
            }
        };
        match exchange(&head, &mut input, &mut output, proxy).await {
            Ok(After::NextRequest) => {}
            Ok(After::Close) => break,
            Err(_) => return,
        }
        wait = IDLE_TIME;
    }
    // Closing with input unread would reset the connection, and the answer might be lost.
    if output.shutdown().await.is_ok() {
        let _ = timeout(DISCARD_TIME, input.discard(DISCARDED)).await;
    }
}

/// The next request, unless the program closed the connection or let it rest for too long.
async fn next_head(
    input: &mut Input<OwnedReadHalf>,
    proxy: &Proxy,
    wait: Duration,
) -> Result<Option<Head>, Refusal> {
    if input.buffered().is_empty() && !matches!(timeout(wait, input.fill()).await, Ok(Ok(true))) {
        return Ok(None);
    }
    let whole = async {
        loop {
            if let Some((head, length)) =
                request::parse(input.buffered(), &proxy.authority, &proxy.credential)?
            {
                input.consume(length);
                return Ok(Some(head));
            }
            if !matches!(input.fill().await, Ok(true)) {
                return Ok(None);
            }
        }
    };
    timeout(HEAD_TIME, whole).await.unwrap_or(Ok(None))
}

/// Sends one request on and its answer back; both bodies at the same time, as they come.
async fn exchange(
    head: &Head,
    input: &mut Input<OwnedReadHalf>,
    output: &mut Output,
    proxy: &Proxy,
) -> io::Result<After> {
    let (body, sink) = match head.body {
        BodyLength::None | BodyLength::Exact(0) => (None, None),
        length => {
            let (sink, body) = streamed(length);
            (Some(Body::wrap(body)), Some(sink))
        }
    };
    let is_read = AtomicBool::new(sink.is_none());
    if head.expects_continue && sink.is_some() && input.buffered().is_empty() {
        output.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        output.flush().await?;
    }
    let upload = async {
        if let Some(sink) = sink {
            match input.pump(head.body, sink).await {
                Ok(Pumped::Whole) => {}
                // The answer is there or about to come.
                Ok(Pumped::Unwanted) => return std::future::pending().await,
                Err(error) => return error,
            }
        }
        is_read.store(true, Ordering::Relaxed);
        input.gone().await;
        io::ErrorKind::ConnectionAborted.into()
    };
    let download = async {
        match answer(head, body, proxy).await {
            Ok(response) => relay(head, response, output, proxy, &is_read).await,
            Err((status, why)) => {
                let after = after(head, &is_read);
                write_problem(output, status, &why, after, head.method == Method::HEAD).await?;
                Ok(after)
            }
        }
    };
    let done = tokio::select! {
        biased;
        done = download => done?,
        error = upload => return Err(error),
    };
    // What was decided while the body was still coming is decided again.
    Ok(if is_read.load(Ordering::Relaxed) { done } else { After::Close })
}

fn after(head: &Head, is_read: &AtomicBool) -> After {
    if head.keep_alive && is_read.load(Ordering::Relaxed) {
        After::NextRequest
    } else {
        After::Close
    }
}

/// The answer of the API. A 401 renews the token once, and repeats what may be repeated; so does an
/// answer that did not come.
async fn answer(head: &Head, body: Option<Body>, proxy: &Proxy) -> Result<Response, (u16, String)> {
    let token = proxy.bearer.token().await.map_err(no_token)?;
    let first = proxy.upstream.send(head, &token, body).await;
    match first {
        Ok(response) if response.status() == StatusCode::UNAUTHORIZED => {
            // Also for the next request, where this one cannot be repeated.
            match proxy.bearer.instead_of(&token).await {
                Ok(newer) if head.is_repeatable() && !newer.is(&token) => {
                    proxy.upstream.send(head, &newer, None).await.map_err(|error| no_answer(&error))
                }
                _ => Ok(response),
            }
        }
        Ok(response) => Ok(response),
        Err(error) if head.is_repeatable() && !error.is_connect() => {
            proxy.upstream.send(head, &token, None).await.map_err(|error| no_answer(&error))
        }
        Err(error) => Err(no_answer(&error)),
    }
}

fn no_token(missing: NoToken) -> (u16, String) {
    let status = match missing.kind {
        ExitKind::LoginRequired => 401,
        ExitKind::Temporary => 503,
        _ => 502,
    };
    (status, missing.why)
}

fn no_answer(error: &reqwest::Error) -> (u16, String) {
    let why = crate::http_client::causes(error);
    if error.is_connect() {
        (502, format!("could not reach the API: {why}"))
    } else {
        (502, format!("the API gave no whole answer: {why}"))
    }
}

/// Hands an answer to the program, as it comes.
async fn relay(
    head: &Head,
    mut response: Response,
    output: &mut Output,
    proxy: &Proxy,
    is_read: &AtomicBool,
) -> io::Result<After> {
    let mut headers = proxy.upstream.headers_for_program(&response);
    let status = response.status();
    let has_body = head.method != Method::HEAD
        && !status.is_informational()
        && status != StatusCode::NO_CONTENT
        && status != StatusCode::NOT_MODIFIED;
    let has_length = headers.contains_key(CONTENT_LENGTH);
    let chunked = has_body && !has_length && head.takes_chunks;
    if chunked {
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    // A body that is neither ends with the connection.
    let framed = !has_body || has_length || chunked;
    let after = if framed { after(head, is_read) } else { After::Close };
    write_head(output, status, &headers, after).await?;
    while let Some(piece) = next_piece(&mut response, output).await? {
        // Written as a chunk, it would be the end.
        if piece.is_empty() {
            continue;
        }
        if chunked {
            output.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
        }
        output.write_all(&piece).await?;
        if chunked {
            output.write_all(b"\r\n").await?;
        }
    }
    if chunked {
        output.write_all(b"0\r\n\r\n").await?;
    }
    output.flush().await?;
    Ok(after)
}

/// The next piece of an answer. What was written waits for it only if it is there already.
async fn next_piece(
    response: &mut Response,
    output: &mut Output,
) -> io::Result<Option<bytes::Bytes>> {
    let failed = |error: reqwest::Error| io::Error::other(error);
    tokio::select! {
        biased;
        piece = response.chunk() => {
            return piece.map_err(failed);
        }
        () = std::future::ready(()) => {}
    }
    output.flush().await?;
    response.chunk().await.map_err(failed)
}

async fn write_head(
    output: &mut Output,
    status: StatusCode,
    headers: &HeaderMap,
    after: After,
) -> io::Result<()> {
    let reason = status.canonical_reason().unwrap_or_default();
    let mut text = Vec::with_capacity(1024);
    text.extend_from_slice(format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).as_bytes());
    for (name, value) in headers {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    if after == After::Close {
        text.extend_from_slice(format!("{CONNECTION}: close\r\n").as_bytes());
    }
    text.extend_from_slice(b"\r\n");
    output.write_all(&text).await
}

/// An answer of our own, in the form of the API's errors.
async fn write_problem(
    output: &mut Output,
    status: u16,
    why: &str,
    after: After,
    is_head: bool,
) -> io::Result<()> {
    let body = json!({"errors": [format!("dd-oauth: {why}")]}).to_string();
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    if status == 401 {
        headers.insert("www-authenticate", HeaderValue::from_static("Bearer"));
    }
    let status = StatusCode::from_u16(status).expect("it is one of ours");
    write_head(output, status, &headers, after).await?;
    if !is_head {
        output.write_all(body.as_bytes()).await?;
    }
    output.flush().await
}
