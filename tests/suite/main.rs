//! Runs the real binary, each test in a home of its own, against real servers.

mod home;
mod lifecycle;
mod peers;
mod storm;
