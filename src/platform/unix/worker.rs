//! Processes that outlive this one: the worker, which takes an open file with it, and what it needs to
//! leave its caller.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use rustix::io::{FdFlags, fcntl_setfd};

use super::own_executable;

/// What became of an attempt to let another process go on with an open file.
#[derive(Debug)]
pub enum HandedOn {
    /// It runs, has the file, and outlives us.
    Started(Child),
    /// This platform cannot do it; the caller has the file still.
    Impossible(File),
}

/// Starts this program again with `arguments` and, as the last of them, the number of a
/// descriptor that carries `file`; our own copy is closed. The new process reads `input` on its
/// standard input, has null for the other streams and `/` as its directory, and leaves our session
/// by itself ([`detach`]).
///
/// # Errors
/// If the process cannot be started; the file is closed then.
pub fn start_worker(arguments: &[&OsStr], file: File, input: &[u8; 32]) -> io::Result<HandedOn> {
    let mut command = Command::new(own_executable()?);
    command
        // Not the name that we were called under: that may be one of git's or docker's.
        .arg0(env!("CARGO_PKG_NAME"))
        .args(arguments)
        .arg(file.as_raw_fd().to_string())
        .current_dir("/")
        .stdin(filled_pipe(input)?)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // A relative path would mean another file from `/`.
    if let Some(file) = std::env::var_os("SSL_CERT_FILE").filter(|file| !file.is_empty()) {
        command.env("SSL_CERT_FILE", std::path::absolute(file)?);
    }
    if let Some(list) = std::env::var_os("SSL_CERT_DIR") {
        let named = std::env::split_paths(&list).filter(|path| !path.as_os_str().is_empty());
        let absolute = named.map(std::path::absolute).collect::<io::Result<Vec<_>>>()?;
        command.env("SSL_CERT_DIR", std::env::join_paths(absolute).map_err(io::Error::other)?);
    }
    // Nothing else is started between these two lines, so no other child inherits the lock.
    fcntl_setfd(&file, FdFlags::empty())?;
    let child = command.spawn();
    drop(file);
    child.map(HandedOn::Started)
}

/// A pipe that holds `input` and then ends: whatever becomes of us, its reader never waits.
fn filled_pipe(input: &[u8; 32]) -> io::Result<Stdio> {
    let (reader, mut writer) = io::pipe()?;
    io::Write::write_all(&mut writer, input)?;
    Ok(reader.into())
}

/// Takes over standard input, without the buffer of the library, which would keep a copy of what is
/// read; null takes its place.
///
/// # Errors
/// If there is none.
pub fn take_stdin() -> io::Result<File> {
    let input = io::stdin().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(input.into())
}

/// Does `leave_caller` with one file.
///
/// # Errors
/// If `kept` is not an open descriptor.
pub fn detach(kept: RawFd) -> io::Result<File> {
    leave_caller(&[kept])?.pop().ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// Leaves the session and process group of whoever started us, so that their Ctrl-C and hang-up
/// do not reach us, and closes every inherited descriptor but the standard streams and `kept`:
/// an open one would keep, say, the lock of a cron job held.
///
/// # Errors
/// If one of `kept` is not an open descriptor.
pub(super) fn leave_caller(kept: &[RawFd]) -> io::Result<Vec<File>> {
    // Fails only where we lead a process group already, which then is not our caller's.
    let _ = rustix::process::setsid();
    for descriptor in listed_descriptors()? {
        if descriptor > 2 && !kept.contains(&descriptor) && is_open(descriptor) {
            // SAFETY: this runs first in the worker; nothing in this process owns any descriptor
            // yet, so none that is in use can be closed under its owner.
            unsafe { rustix::io::close(descriptor) };
        }
    }
    let mut files: Vec<File> = Vec::new();
    for descriptor in kept {
        let owned = files.iter().any(|file| file.as_raw_fd() == *descriptor);
        if *descriptor <= 2 || owned || !is_open(*descriptor) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // SAFETY: it is open (just seen), it was handed to us, and nothing else in us owns it.
        files.push(unsafe { File::from_raw_fd(*descriptor) });
    }
    Ok(files)
}

/// Descriptors of this process, and the one by which they were listed, which is closed by now.
fn listed_descriptors() -> io::Result<Vec<RawFd>> {
    let listing = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };
    let entries = std::fs::read_dir(listing)?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

fn is_open(descriptor: RawFd) -> bool {
    // SAFETY: the number is borrowed for one question about it, which no closed one answers.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    fcntl_setfd(borrowed, FdFlags::CLOEXEC).is_ok()
}

/// Lets a command run in a process group of its own, out of reach of our terminal's Ctrl-C.
pub fn set_apart(command: &mut Command) {
    command.process_group(0);
}

/// Whether a process that we leave behind would be ended as soon as we are: we, or whoever started
/// us, are the first process of a container.
#[must_use]
pub fn dies_with_its_container() -> bool {
    std::process::id() == 1 || std::os::unix::process::parent_id() == 1
}

/// Holds back the end of this process until it is dropped.
#[derive(Debug)]
pub struct Held(());

/// Nothing has to be held back: another process does what must not be interrupted.
#[must_use]
pub fn hold_back_termination() -> Held {
    Held(())
}
