//! OAuth 2 as a public client: registration (RFC 7591), authorization code with PKCE (RFC 7636)
//! on a loopback redirect (RFC 8252), refresh (RFC 6749, section 6) and revocation (RFC 7009).
//!
//! This room knows HTTP, and nothing of files. A login goes through `registration`, `authorization`,
//! `callback` and `token`, in this order.
//! A refresh needs `token` alone, and a logout `revoke`.

mod authorization;
mod browser;
mod callback;
mod endpoints;
mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod redirect;
mod registration;
mod revoke;
mod token;

pub use authorization::{Ask, Authorization, Returned};
pub use browser::{Browser, Opened, Opening};
pub use callback::{
    Callback, CallbackListener, Page, PasteError, REGISTERED_PORTS, WaitingBrowser, read_paste,
    redirect_uri,
};
pub use error::{LoginError, TokenError};
pub use redirect::Redirect;
pub use registration::{read_registration_reply, register};
pub use revoke::{TokenHint, revoke};
pub use token::{Grant, essence, exchange, read_refresh_reply, refresh};
