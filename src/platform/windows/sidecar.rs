//! No program takes our place on Windows, so this process itself can attend the one that it runs.

use std::ffi::OsStr;
use std::io;
use std::net::TcpListener;

/// What became of an attempt to start a sidecar.
pub enum Sidecar {
    /// It serves on the listener.
    Started,
    /// This platform cannot do it; the caller serves by itself.
    Impossible(TcpListener),
}

/// What a sidecar gets from the process that started it.
pub struct SidecarWork {
    pub listener: TcpListener,
    pub program: Program,
}

/// A process whose end is waited for.
pub struct Program;

/// No process is needed.
///
/// # Errors
/// Never.
pub fn start_sidecar(
    _arguments: &[&OsStr],
    listener: TcpListener,
    _secret: &[u8],
    _ready: &[u8],
) -> io::Result<Sidecar> {
    Ok(Sidecar::Impossible(listener))
}

/// No sidecar is ever started here.
///
/// # Errors
/// Always.
pub fn take_sidecar_work(_descriptors: &[i32], _process: Option<u32>) -> io::Result<SidecarWork> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Program {
    /// There is none.
    #[allow(clippy::unused_async, reason = "on Unix it is waited for")]
    pub async fn ended(self) {}
}
