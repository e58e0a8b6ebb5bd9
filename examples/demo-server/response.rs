//! Answers, and how much of them is sent.

use std::io::{self, Write};

use serde::Serialize;

/// Where even an endless body ends.
const ENDLESS: usize = 64 * 1024 * 1024;

pub struct Response {
    pub status: u16,
    /// Empty for none.
    pub content_type: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            content_type: content_type.to_owned(),
            headers: Vec::new(),
            body: body.into(),
        }
    }

    pub fn empty(status: u16) -> Self {
        Self::new(status, "", "")
    }

    pub fn html(status: u16, page: String) -> Self {
        Self::new(status, "text/html; charset=utf-8", page)
    }

    pub fn json(status: u16, value: &impl Serialize) -> Self {
        let body = serde_json::to_vec(value).expect("the server's own answers are valid JSON");
        Self::new(status, "application/json", body)
    }

    pub fn redirect(status: u16, location: &str) -> Self {
        Self::empty(status).with_header("Location", location)
    }

    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn head(&self) -> String {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        let mut line = |name: &str, value: &str| {
            head.extend([name, ": ", value, "\r\n"]);
        };
        if !self.content_type.is_empty() {
            line("Content-Type", &self.content_type);
        }
        line("Content-Length", &self.body.len().to_string());
        line("Cache-Control", "no-store");
        line("Connection", "close");
        for (name, value) in &self.headers {
            line(name, value);
        }
        head.push_str("\r\n");
        head
    }
}

/// How much of an answer the client gets to see before the connection is closed.
pub enum Delivery {
    Whole(Response),
    /// The whole head, half the body.
    Cut(Response),
    /// A body without an end.
    Endless,
    /// Not a byte.
    Nothing,
}

impl Delivery {
    /// The status that the client sees, or 0.
    pub fn status(&self) -> u16 {
        match self {
            Self::Whole(response) | Self::Cut(response) => response.status,
            Self::Endless => 200,
            Self::Nothing => 0,
        }
    }

    pub fn send(&self, stream: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Whole(response) => send_part(stream, response, response.body.len()),
            Self::Cut(response) => send_part(stream, response, response.body.len() / 2),
            Self::Endless => send_endless(stream),
            Self::Nothing => Ok(()),
        }
    }
}

fn send_part(stream: &mut impl Write, response: &Response, length: usize) -> io::Result<()> {
    let mut bytes = response.head().into_bytes();
    bytes.extend_from_slice(&response.body[..length]);
    stream.write_all(&bytes)?;
    stream.flush()
}

/// Ends with an error as soon as the client goes away, and at [`ENDLESS`] bytes in any case.
fn send_endless(stream: &mut impl Write) -> io::Result<()> {
    stream.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{\"a\":\"",
    )?;
    let block = [b'a'; 16 * 1024];
    for _ in 0..ENDLESS / block.len() {
        stream.write_all(&block)?;
    }
    stream.flush()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        302 => "Found",
        303 => "See Other",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        405 => "Method Not Allowed",
        411 => "Length Required",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Unnamed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_answer_promises_more_than_it_sends() {
        let mut sent = Vec::new();
        Delivery::Cut(Response::new(200, "text/plain", "12345678")).send(&mut sent).unwrap();
        let sent = String::from_utf8(sent).unwrap();
        assert!(sent.contains("Content-Length: 8\r\n"), "{sent}");
        assert!(sent.ends_with("\r\n\r\n1234"), "{sent}");
    }
}
