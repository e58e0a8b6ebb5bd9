//! What tests stand on: homes, servers, keyrings, terminals and networks, each of one test. Nothing
//! here is a test; the chaos test and the benchmark use it too.

pub mod earlier_tools;
#[allow(dead_code, reason = "the chaos test uses the rest of it")]
pub mod home;
pub mod keyring;
pub mod login;
pub mod network;
#[allow(dead_code, reason = "the chaos test uses the rest of it")]
pub mod peers;
pub mod terminal;
pub mod tmux;
