//! What differs between operating systems, behind one interface: every function here exists, with
//! the same meaning, in [`unix`] and in [`windows`].

#[cfg(unix)]
mod attendant_unix;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub use attendant_unix::*;
#[cfg(unix)]
pub use unix::*;

#[cfg(windows)]
mod attendant_windows;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub use attendant_windows::*;
#[cfg(windows)]
pub use windows::*;

#[cfg(target_os = "linux")]
#[path = "kernel_keyring_linux.rs"]
pub mod kernel_keyring;
#[cfg(not(target_os = "linux"))]
#[path = "kernel_keyring_none.rs"]
pub mod kernel_keyring;

#[cfg(all(unix, not(target_os = "macos")))]
#[path = "keychain_secret_service.rs"]
pub mod keychain;
#[cfg(target_os = "macos")]
#[path = "keychain_macos.rs"]
pub mod keychain;
#[cfg(windows)]
#[path = "keychain_windows.rs"]
pub mod keychain;

/// How private a file has to be before its content is believed or used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privacy {
    /// Nobody else may change it.
    Owned,
    /// Nobody else may even read it.
    Secret,
}
