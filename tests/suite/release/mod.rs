//! What a release promises: its packages, its platforms, what it depends on, and what a `get` costs.

// What is said of the release is tested on the release build.
#[cfg(not(debug_assertions))]
mod debian;
// What is said of the release is tested on the release build.
#[cfg(not(debug_assertions))]
mod demo;
mod dependencies;
// Its counts are those of the release build.
#[cfg(not(debug_assertions))]
mod guard;
mod warm_get;
mod windows;
