//! Sessions: what a login created, how it is stored, and where the sealing key is.
//!
//! This layer knows files and keys. It does not know HTTP.

mod api_keys;
pub(crate) mod durable;
mod error;
mod file;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod installation;
mod journal;
mod key_place;
mod keychain;
mod login_outcome;
mod model;
mod refresh_outcome;
mod registrations;
mod remains;
mod sealing_key;
pub(crate) mod selection;
mod store;

pub use api_keys::{ApiKeyStore, ApiKeys};
pub use error::StorageError;
pub use file::SessionHead;
pub use installation::{
    ForgetKeyError, Installation, InstallationPaths, KeyCopies, KeyCopy, KeyOrigin, KeySettings,
    KeyStanding, Opened,
};
pub use journal::{Announcement, Journal, SecuredReply};
pub use key_place::{KeyHome, KeyPlace};
pub use keychain::{Keychain, KeychainEntry, KeychainError, KeychainTimeout};
pub use login_outcome::{LoginFailure, LoginOutcome, LoginVerdict};
pub use model::{Access, Generation, Lifetime, Renewal, Session, TokenDigest};
pub use refresh_outcome::{Attempt, Outcome, Refusal, Verdict};
pub use registrations::{RefusedScopes, Registration, Registrations};
pub use remains::{Remains, Remnant};
pub use sealing_key::KeyMemory;
pub use selection::{Choice, Fit};
pub use store::SessionStore;
