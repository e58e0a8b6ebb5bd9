//! How much memory a `get` of a fresh token takes at most.

use std::io::Write;
use std::os::fd::AsFd;
use std::process::Stdio;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::Programs;
use crate::support::deadline::eventually;
use crate::warm::with_key_file;

/// The most that was resident at once, in bytes: all that a `get` does is behind it when it waits
/// for a reader of its answer, in a pipe that is full.
pub fn peak_of_a_warm_get(programs: &Programs) -> u64 {
    let home = with_key_file(programs);
    let (reader, writer) = std::io::pipe().unwrap();
    fill(writer.try_clone().unwrap());
    let mut command = home.program(&["get"]);
    let mut process = command.stdin(Stdio::null()).stdout(writer).spawn().unwrap();
    let of_process = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", process.id()));
    // Nothing before can make it wait.
    eventually("a `get` that waits for a reader", || of_process("stat").unwrap().contains(") S "));
    let status = of_process("status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kibibytes: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    drop(reader);
    process.wait().unwrap();
    kibibytes * 1024
}

/// Writes until the pipe takes no more.
fn fill(mut pipe: std::io::PipeWriter) {
    let flags = fcntl_getfl(pipe.as_fd()).unwrap();
    fcntl_setfl(pipe.as_fd(), flags | OFlags::NONBLOCK).unwrap();
    while pipe.write(&[0; 4096]).is_ok() {}
    fcntl_setfl(pipe.as_fd(), flags).unwrap();
}
