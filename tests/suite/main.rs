//! Runs the real binary, each test in a home of its own, against real servers.

// Goes past the wait that a failure prescribes, which takes another time.
#[cfg(feature = "test-clock")]
mod bad_answers;
mod bad_input;
mod bad_login_answers;
mod bad_settings;
mod callback;
mod canaries;
mod contrib;
mod contrib_builds;
mod damaged_files;
// What is said of the release is tested on the release build.
#[cfg(not(debug_assertions))]
mod demo;
mod disks;
mod env;
mod exec;
#[cfg(not(debug_assertions))]
mod guard;
#[allow(dead_code, reason = "the chaos test uses the rest of it")]
mod home;
mod keeping;
mod kernel_keyring;
mod key_move;
mod keychain;
mod keyring;
mod keys;
mod licences;
mod lifecycle;
mod live;
mod outside;
#[allow(dead_code, reason = "the chaos test uses the rest of it")]
mod peers;
// Its examples have a time of their own.
#[cfg(feature = "test-clock")]
mod protocol_document;
mod storm;
mod surroundings;
mod terraform;
mod trouble;
mod worker;
