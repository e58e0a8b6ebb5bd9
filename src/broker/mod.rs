//! The broker decides: answer, refresh, log in, or fail. It is the one room that knows sessions,
//! OAuth and locks. Each use-case reads from top to bottom in a file of its own.

mod ambient;
mod api_keys;
mod context;
mod erase;
mod error;
mod freshness;
mod get;
mod import;
mod locking;
mod login;
mod logout;
mod refresh;
mod reset;
mod revocation;
mod sealing_key;
mod standing;
mod store;
mod target;

pub use ambient::{AmbientSource, AmbientToken, INSIDE_EXEC, ambient_token};
pub use api_keys::{erase_api_keys, get_api_keys, store_api_keys};
pub use context::Context;
pub use erase::{Erased, erase};
pub use error::BrokerError;
pub use freshness::{Freshness, Horizon};
pub use get::{Found, Origin, get, get_to_keep};
pub use import::{ImportOptions, Original, earlier_sessions, has_session, import};
pub use login::{LoggedIn, LoginOptions, ScopeOptions, log_in};
pub use logout::{
    AllLoggedOut, ForgottenClient, LoggedOut, log_out, log_out_and_forget_client,
    log_out_of_everything,
};
pub use refresh::{
    DueRenewal, cut_off, refresh_by_hand, refresh_now, renew_as_worker, renew_in_background,
};
pub use reset::{Reset, reset, resettable};
pub use revocation::NotRevoked;
pub use sealing_key::{SealingKeyMoved, forget_sealing_key, move_sealing_key};
pub use standing::{Standing, ensure_obtainable, standing_of};
pub use store::store;
pub use target::{chosen, knows, not_logged_in, select};
