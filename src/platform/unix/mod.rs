//! Linux, macOS and the BSDs.
//!
//! - `files`: opening, replacing, removing and syncing files; whose they are.
//! - `process`: finding and starting programs, becoming one, limits, memory dumps.
//! - `worker`: the process that refreshes and outlives its caller, with the lock it inherits.
//! - `signals`: what ends a process and what does not; on Windows a part of `worker`.
//! - `sidecar`: the process that serves a program that this process becomes.
//! - `terminal`: standard streams, and lines that a person types.
//!
//! `windows/` has files of the same names with the same functions. What a function has to do stands in the
//! comment of either; a comment that differs says what this system cannot do.
//!
//! Linux and macOS differ little enough to share these files: a function asks for what it needs with
//! `cfg!`, or the kernel whether it can. What only Linux has, such as its keyring for keys, is a room of
//! its own beside this one, with a stand-in for other systems.
//!
//! A lock travels to the worker as one inherited descriptor, and the parent closes its own copy at
//! once: an explicit unlock in either would free it for both.
//! Nothing here blocks on opening a file: a pipe in its place must not hold us.

mod files;
mod process;
mod sidecar;
mod signals;
mod terminal;
mod worker;

pub use files::*;
pub use process::*;
pub use sidecar::*;
pub use signals::{Held, hold_back_termination};
pub use terminal::*;
pub use worker::*;
