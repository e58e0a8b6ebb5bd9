//! Runs the real binary, each test in a home of its own, against real servers.

mod clients;
mod exec;
mod login;
mod protocol;
mod refresh;
mod release;
mod storage;
mod support;
