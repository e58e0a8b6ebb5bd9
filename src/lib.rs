//! The credential helper for Datadog.
//!
//! Bytes on standard input become a [`protocol::Request`]; the [`broker`] answers it out of
//! [`session`], [`oauth`] and [`lock`]; a [`protocol::Answer`] becomes bytes on standard output.
//! Data goes that way and no other.

pub mod broker;
pub mod cli;
pub mod clock;
pub mod command;
pub mod config;
pub mod error;
pub mod live;
pub mod lock;
pub mod oauth;
pub mod platform;
pub mod program;
pub mod protocol;
pub mod scope;
pub mod secret;
pub mod session;
pub mod shell;
pub mod site;
pub mod terminal;
pub mod trace;
