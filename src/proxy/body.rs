//! What the program sends, read piece by piece: nothing is kept that was handed on.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;

use super::request::BodyLength;

/// Room for a head; most are shorter.
const HEAD_ROOM: usize = 8 * 1024;
/// Largest piece that is handed on at once.
const PIECE: usize = 64 * 1024;
/// Longest line of a chunked body, with the extensions that nobody uses.
const LINE_LIMIT: usize = 4096;
/// All trailers together; they are dropped, as RFC 9110 (section 6.5.1) allows.
const TRAILER_LIMIT: usize = 64 * 1024;

/// The bytes that come from the program.
pub struct Input<S> {
    stream: S,
    buffer: BytesMut,
}

/// How the reading of a body ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Pumped {
    /// The whole body was read and handed on.
    Whole,
    /// Nobody takes the rest.
    Unwanted,
}

impl<S: AsyncRead + Unpin> Input<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    /// What was read and not yet used.
    pub fn buffered(&self) -> &[u8] {
        &self.buffer
    }

    /// Drops what was used, and the room of a buffer that is empty: many connections wait.
    pub fn consume(&mut self, length: usize) {
        let _ = self.buffer.split_to(length);
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }

    /// Reads more; whether there was any.
    pub async fn fill(&mut self) -> io::Result<bool> {
        self.fill_up(HEAD_ROOM).await
    }

    async fn fill_up(&mut self, room: usize) -> io::Result<bool> {
        self.buffer.reserve(room);
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }

    /// Waits until the program closes its end. What it sends meanwhile is kept for later.
    pub async fn gone(&mut self) {
        while self.buffer.len() < HEAD_ROOM {
            if !matches!(self.fill().await, Ok(true)) {
                return;
            }
        }
        std::future::pending::<()>().await;
    }

    /// Reads and drops up to `limit` bytes.
    pub async fn discard(&mut self, limit: usize) {
        let mut dropped = 0;
        while dropped < limit && matches!(self.fill().await, Ok(true)) {
            dropped += self.buffer.len();
            self.buffer.clear();
        }
    }

    /// Hands a body on to `sink`.
    ///
    /// # Errors
    /// If the program went away, or sent what is no body.
    pub async fn pump(&mut self, length: BodyLength, sink: Sink) -> io::Result<Pumped> {
        let pumped = match length {
            BodyLength::None => Ok(Pumped::Whole),
            BodyLength::Exact(length) => self.pump_exactly(length, &sink).await,
            BodyLength::Chunked => self.pump_chunks(&sink).await,
        };
        if let Err(error) = &pumped {
            // So that a part of a body is not taken for the whole.
            let _ = sink.0.send(Err(error.kind().into())).await;
        }
        pumped
    }

    async fn pump_exactly(&mut self, length: u64, sink: &Sink) -> io::Result<Pumped> {
        let mut missing = length;
        while missing > 0 {
            if self.buffer.is_empty() {
                // Whoever takes nothing more need not be read for.
                tokio::select! {
                    filled = self.fill_up(PIECE) => if !filled? { return Err(early_end()); },
                    () = sink.0.closed() => return Ok(Pumped::Unwanted),
                }
            }
            let most = usize::try_from(missing).unwrap_or(usize::MAX).min(PIECE);
            let piece = self.buffer.split_to(most.min(self.buffer.len())).freeze();
            missing -= piece.len() as u64;
            if sink.0.send(Ok(piece)).await.is_err() {
                return Ok(Pumped::Unwanted);
            }
        }
        Ok(Pumped::Whole)
    }

    async fn pump_chunks(&mut self, sink: &Sink) -> io::Result<Pumped> {
        loop {
            let line = self.line().await?;
            let size = chunk_size(&line).ok_or_else(|| malformed("a chunk has no size"))?;
            if size == 0 {
                break;
            }
            if self.pump_exactly(size, sink).await? == Pumped::Unwanted {
                return Ok(Pumped::Unwanted);
            }
            if !self.line().await?.is_empty() {
                return Err(malformed("a chunk is longer than it says"));
            }
        }
        let mut trailers = 0;
        loop {
            let line = self.line().await?;
            trailers += line.len();
            if line.is_empty() {
                return Ok(Pumped::Whole);
            }
            if trailers > TRAILER_LIMIT {
                return Err(malformed("the trailers have no end"));
            }
        }
    }

    /// The next line, without its CR LF.
    async fn line(&mut self) -> io::Result<Bytes> {
        let mut seen = 0;
        loop {
            if let Some(position) = self.buffer[seen..].iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(seen + position + 1).freeze();
                let end = line.len().checked_sub(2).filter(|end| line[*end] == b'\r');
                return Ok(line.slice(..end.ok_or_else(|| malformed("a line end lacks its CR"))?));
            }
            seen = self.buffer.len();
            if seen > LINE_LIMIT {
                return Err(malformed("a line is too long"));
            }
            if !self.fill_up(HEAD_ROOM).await? {
                return Err(early_end());
            }
        }
    }
}

/// The size of a chunk, without its extensions (RFC 9112, section 7.1).
fn chunk_size(line: &[u8]) -> Option<u64> {
    let end = line.iter().position(|byte| *byte == b';').unwrap_or(line.len());
    let digits = line[..end].trim_ascii_end();
    let proper = (1..=16).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
    let digits = std::str::from_utf8(digits).ok().filter(|_| proper)?;
    u64::from_str_radix(digits, 16).ok()
}

fn malformed(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

fn early_end() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

/// Where the pieces of a body go.
pub struct Sink(mpsc::Sender<io::Result<Bytes>>);

/// A body that is sent while it comes in.
pub struct Streamed {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    length: BodyLength,
}

/// Both ends of a body; there is room for one piece between them.
pub fn streamed(length: BodyLength) -> (Sink, Streamed) {
    let (sender, pieces) = mpsc::channel(1);
    (Sink(sender), Streamed { pieces, length })
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let piece = ready!(self.pieces.poll_recv(context));
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        match self.length {
            BodyLength::Exact(length) => SizeHint::with_exact(length),
            BodyLength::None | BodyLength::Chunked => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body that is read from `bytes`, which come a few at a time, and what is left.
    async fn pumped(bytes: &[u8], length: BodyLength) -> (io::Result<Pumped>, Vec<u8>, Vec<u8>) {
        let (mut writer, reader) = tokio::io::duplex(3);
        let bytes = bytes.to_vec();
        let written = tokio::spawn(async move {
            use tokio::io::AsyncWriteExt;
            let _ = writer.write_all(&bytes).await;
        });
        let mut input = Input::new(reader);
        let (sink, mut body) = streamed(length);
        let collected = async {
            let mut all = Vec::new();
            while let Some(Ok(piece)) = body.pieces.recv().await {
                all.extend_from_slice(&piece);
            }
            all
        };
        let (ended, all) = tokio::join!(input.pump(length, sink), collected);
        while matches!(input.fill().await, Ok(true)) {}
        written.await.unwrap();
        (ended, all, input.buffered().to_vec())
    }

    #[tokio::test]
    async fn a_body_is_read_to_its_end_and_not_beyond() {
        let (ended, body, rest) = pumped(b"12345GET /", BodyLength::Exact(5)).await;
        assert_eq!(
            (ended.unwrap(), body.as_slice(), rest.as_slice()),
            (Pumped::Whole, &b"12345"[..], &b"GET /"[..])
        );
        let chunks = b"3\r\nabc\r\n0A;x=y\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nGET /";
        let (ended, body, rest) = pumped(chunks, BodyLength::Chunked).await;
        assert_eq!(ended.unwrap(), Pumped::Whole);
        assert_eq!((body.as_slice(), rest.as_slice()), (&b"abc0123456789"[..], &b"GET /"[..]));
    }

    #[tokio::test]
    async fn what_is_no_body_is_an_error() {
        for bad in [
            &b"3\r\nabcd\r\n0\r\n\r\n"[..],
            b"\r\n",
            b"x\r\n",
            b"-1\r\n",
            b"0x1\r\n",
            b"+1\r\n",
            b"11111111111111111\r\n",
            b"3\nabc\n0\n\n",
            b"3\r\nab",
            b"0\r\n",
        ] {
            let (ended, ..) = pumped(bad, BodyLength::Chunked).await;
            assert!(ended.is_err(), "{}", String::from_utf8_lossy(bad));
        }
        assert!(pumped(b"1234", BodyLength::Exact(5)).await.0.is_err());
        let endless = vec![b'1'; 3 * LINE_LIMIT];
        assert!(pumped(&endless, BodyLength::Chunked).await.0.is_err());
    }

    #[tokio::test]
    async fn who_takes_nothing_more_is_not_read_for() {
        let (_writer, reader) = tokio::io::duplex(3);
        let (sink, body) = streamed(BodyLength::Exact(5));
        drop(body);
        let ended = Input::new(reader).pump(BodyLength::Exact(5), sink).await;
        assert_eq!(ended.unwrap(), Pumped::Unwanted);
    }
}
