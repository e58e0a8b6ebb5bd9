//! Sessions that earlier tools left behind, in files and in the keychain: finding them, and removing
//! one there after it is stored here.
//!
//! Their content is from outside. What cannot be understood is reported and left alone.

mod earlier;
mod error;
mod find;
mod original;
mod shape;

pub use earlier::{EarlierSession, Origin, Tool};
pub use error::ImportError;
pub use find::EarlierSessions;
