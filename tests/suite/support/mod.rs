//! What tests stand on: programs, homes, servers, keyrings, terminals and networks, each of one test.
//! The chaos test, the test of power cuts and the benchmark use it too. The only tests here are those of
//! the harness itself.

pub mod asked;
pub mod certificate;
#[allow(dead_code, reason = "what a test needs differs by platform")]
pub mod deadline;
pub mod earlier_tools;
#[allow(dead_code, reason = "the chaos test uses the rest of it")]
pub mod home;
pub mod keyring;
pub mod login;
pub mod network;
#[allow(dead_code, reason = "the chaos test uses the rest of it")]
pub mod peers;
#[allow(dead_code, reason = "what a test needs differs by platform")]
pub mod process;
pub mod terminal;
pub mod tmux;
