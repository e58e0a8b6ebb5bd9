//! What the fuzz targets in `fuzz/` need to see of this layer. Never part of a release.

use super::callback::{Page, Target, callback};
use super::{Authorization, Redirect};

/// Reads the head of a request to the callback listener at `host`.
///
/// # Errors
/// With the page for what is no callback of `authorization`.
pub fn read_callback(
    head: &[u8],
    host: &str,
    authorization: &Authorization,
) -> Result<Redirect, Page> {
    callback(&Target::parse(head, host)?, authorization)
}
