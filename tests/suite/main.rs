//! Runs the real binary, each test in a home of its own, against real servers.

mod disks;
mod home;
mod keeping;
mod lifecycle;
mod peers;
mod storm;
mod surroundings;
mod trouble;
mod worker;
