//! What dd-oauth reads and writes: requests and answers in each dialect, flags, settings, and what it
//! tells people. A test belongs here if it needs no particular server and no particular storage.

mod bad_input;
mod bad_settings;
mod commands;
mod dialects;
mod doctor;
// Its examples have a time of their own.
#[cfg(feature = "test-clock")]
mod document;
mod homes;
mod injection;
mod renderings;
mod trace;
