//! Which token a `get` answers, and when it is refreshed first: with servers that fail, networks in
//! between, many callers at once, and callers that are killed.

// Goes past the wait that a failure prescribes, which takes another time.
#[cfg(feature = "test-clock")]
mod bad_answers;
// Namespaces, /proc and limits are those of Linux.
#[cfg(target_os = "linux")]
mod ends;
mod lifecycle;
mod names;
mod outside;
mod replies;
mod storm;
mod surroundings;
mod tls_ends;
mod trouble;
mod worker;
