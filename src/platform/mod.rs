//! What differs between operating systems, behind one interface: every function here exists, with
//! the same meaning, in [`unix`] and in [`windows`].

mod directories;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub use unix::*;

#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub use windows::*;

#[cfg(target_os = "linux")]
#[path = "kernel_keyring/linux.rs"]
pub mod kernel_keyring;
#[cfg(not(target_os = "linux"))]
#[path = "kernel_keyring/absent.rs"]
pub mod kernel_keyring;

#[cfg(all(unix, not(target_os = "macos")))]
#[path = "keychain/secret_service.rs"]
pub mod keychain;
#[cfg(target_os = "macos")]
#[path = "keychain/macos.rs"]
pub mod keychain;
#[cfg(windows)]
#[path = "keychain/windows.rs"]
pub mod keychain;

pub use directories::{Directories, EarlierDirectories, NoHome};

/// How private a file has to be before its content is believed or used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privacy {
    /// Nobody else may change it.
    Owned,
    /// Nobody else may even read it.
    Secret,
}
