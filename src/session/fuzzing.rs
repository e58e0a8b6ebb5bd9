//! What the fuzz targets in `fuzz/` need to see of this layer. Never part of a release.

use std::path::Path;

use super::error::StorageError;
pub use super::file::{read, read_head, write};
use super::journal::Journal;
pub use super::sealing_key::SealingKey;

/// Opens the journal at `path`, if it is one.
///
/// # Errors
/// As for any other reader of it.
pub fn open_journal<'k>(
    path: &Path,
    key: &'k SealingKey,
) -> Result<Option<Journal<'k>>, StorageError> {
    Journal::open(path, key)
}
