//! Getting a session with a person's help: registration, browser, callback, paste, scopes and region.

mod bad_answers;
mod browser;
mod callback;
mod dropped_client;
// The clock that it puts forward is one of Linux.
#[cfg(target_os = "linux")]
mod limit;
mod one_login;
mod paste;
mod region;
mod scopes;
