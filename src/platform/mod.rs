//! What differs between operating systems, behind one interface: every function here exists, with
//! the same meaning, in [`unix`] and in [`windows`].

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub use unix::*;

#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub use windows::*;

/// How private a file has to be before its content is believed or used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privacy {
    /// Nobody else may change it.
    Owned,
    /// Nobody else may even read it.
    Secret,
}
