//! Runs the real binary, each test in a home of its own, against real servers.

mod api_clients;
// Goes past the wait that a failure prescribes, which takes another time.
#[cfg(feature = "test-clock")]
mod bad_answers;
mod bad_input;
mod bad_login_answers;
mod bad_settings;
mod browser;
mod callback;
mod canaries;
mod clients;
mod commands;
mod contrib;
mod contrib_builds;
mod damaged_files;
// What is said of the release is tested on the release build.
#[cfg(not(debug_assertions))]
mod debian;
// What is said of the release is tested on the release build.
#[cfg(not(debug_assertions))]
mod demo;
mod dialects;
mod disks;
mod docker;
mod doctor;
mod earlier_tools;
mod env;
mod exec;
mod git;
#[cfg(not(debug_assertions))]
mod guard;
#[allow(dead_code, reason = "the chaos test uses the rest of it")]
mod home;
mod import;
mod import_keychain;
mod injection;
mod keeping;
mod kernel_keyring;
mod key_move;
mod keychain;
mod keyring;
mod keys;
mod licences;
mod lifecycle;
mod live;
mod login;
// The clock that it puts forward is one of Linux.
#[cfg(target_os = "linux")]
mod login_limit;
mod names;
mod network;
mod one_login;
mod outside;
mod paste;
#[allow(dead_code, reason = "the chaos test uses the rest of it")]
mod peers;
// Its examples have a time of their own.
#[cfg(feature = "test-clock")]
mod protocol_document;
mod rclone;
mod region;
mod renderings;
mod scopes;
mod storm;
mod surroundings;
mod terraform;
mod tmux;
mod trace;
mod trouble;
mod windows;
mod worker;
