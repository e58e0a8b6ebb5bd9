//! What differs between operating systems, behind one interface. Every function exists, with the same
//! meaning, for Unix and for Windows: `unix/` and `windows/` have files of the same names.

mod directories;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

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

pub use directories::{
    Directories, EarlierDirectories, NoHome, Place, directories, directories_of_earlier_tools,
};
#[cfg(unix)]
pub use unix::*;
#[cfg(windows)]
pub use windows::*;

/// How private a file has to be before we use its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privacy {
    /// Nobody else may change it.
    Owned,
    /// Nobody else may even read it.
    Secret,
}
