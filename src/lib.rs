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
pub mod environment;
pub mod error;
pub mod exit;
pub mod http_client;
pub mod import;
pub mod lock;
pub mod names;
pub mod oauth;
pub mod platform;
pub mod protocol;
pub mod proxy;
pub mod scope;
pub mod secret;
pub mod session;
pub mod site;
pub mod terminal;
pub mod variables;
