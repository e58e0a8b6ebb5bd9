//! Windows.
//!
//! - `files`: opening, replacing, removing and syncing files; whose they are.
//! - `process`: finding and starting programs, becoming one, limits, memory dumps.
//! - `worker`: the process that refreshes and outlives its caller, with the lock it inherits.
//! - `sidecar`: the process that serves a program that this process becomes.
//! - `terminal`: standard streams, and lines that a person types.
//!
//! `unix/` has files of the same names with the same functions. What a function has to do stands in the
//! comment of either; a comment that differs says what this system cannot do.
//!
//! Windows has no `exec`, so no program can take the place of this process: it runs as a child instead.
//! No descriptor can be handed on with its lock, so a refresh runs in the caller, and the end of this
//! process is held back until it is done. Files are private by the access control of the user's profile,
//! and not by a mode. A scanner or an indexer may keep a file open for a moment, so replacing and
//! removing are tried for a while.
//!
//! Where a function asks for something that Windows has not, such as a limit of the size of a file, it
//! does nothing and says so.

mod files;
mod process;
mod sidecar;
mod terminal;
mod worker;

pub use files::*;
pub use process::*;
pub use sidecar::*;
pub use terminal::*;
pub use worker::*;
