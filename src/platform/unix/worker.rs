//! Processes that outlive this one: the worker, which takes an open file with it, and what it needs to
//! leave its caller.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use rustix::io::{FdFlags, fcntl_setfd};

use super::signals::{ignore_requests_to_end, leave_to_a_child};
use super::{is_shortage, own_executable};

/// What became of an attempt to let another process go on with an open file.
#[derive(Debug)]
pub enum HandedOn {
    /// It runs, has the file, and outlives us; a child of ours, if that was wished.
    Started(Option<Child>),
    /// It cannot be done here; the caller has the file still.
    Impossible(File),
}

/// Starts this program again with `arguments` and, as the last of them, the number of a
/// descriptor that carries `file`; our own copy is closed. The new process reads `input` on its
/// standard input, has null for the other streams and `/` as its directory, and leaves our session
/// by itself ([`detach`]). Nothing ends it but `SIGKILL`.
///
/// # Errors
/// If there is no room for another process; the file is closed then.
pub fn start_worker(
    arguments: &[&OsStr],
    file: File,
    input: &[u8; 32],
    parent: Parent,
) -> io::Result<HandedOn> {
    // On Linux, nobody knows without /proc which program we are.
    let Ok(program) = own_executable() else { return Ok(HandedOn::Impossible(file)) };
    let mut command = Command::new(program);
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
    match parent {
        Parent::Us => insist(&mut command),
        Parent::Nobody => disown(&mut command),
    }
    // Nothing else is started between these two lines, so no other child inherits the lock.
    fcntl_setfd(&file, FdFlags::empty())?;
    match command.spawn() {
        Ok(mut child) => {
            drop(file);
            if parent == Parent::Nobody {
                // Where dead children are ignored, there is none to wait for.
                let _ = child.wait();
                return Ok(HandedOn::Started(None));
            }
            Ok(HandedOn::Started(Some(child)))
        }
        Err(error) if is_shortage(&error) => Err(error),
        // What forbids another process, as a sandbox does, forbids it the next time too.
        Err(_) => {
            fcntl_setfd(&file, FdFlags::CLOEXEC)?;
            Ok(HandedOn::Impossible(file))
        }
    }
}

/// Whose child a worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parent {
    /// Ours, who wait for its end. The first process of a container, who gets what is nobody's child, often
    /// waits for nothing, and would gather a dead one for each refresh.
    Us,
    /// Nobody's: a program that takes our place, and one that goes on for long, inherits none.
    Nobody,
}

/// Lets a command do its work to the end though it is asked to end earlier.
fn insist(command: &mut Command) {
    // SAFETY: it does only what is allowed between a fork and the start of a program.
    unsafe {
        command.pre_exec(|| {
            ignore_requests_to_end();
            Ok(())
        });
    }
}

/// Lets a command be nobody's child, and do its work to the end though it is asked to end earlier. What
/// [`Command::spawn`] returns is its parent, which ends at once.
pub(super) fn disown(command: &mut Command) {
    // SAFETY: both functions do only what is allowed between a fork and the start of a program.
    unsafe {
        command.pre_exec(|| {
            ignore_requests_to_end();
            leave_to_a_child()
        });
    }
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

/// What may end this process, and with it whatever it leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// A PID namespace: when its first process ends, the kernel kills all others.
    Container,
    /// A service of systemd, which ends all processes of a unit with it.
    Service,
}

/// What this process is bound to, if to anything. A login on a terminal or over SSH is no unit of that
/// kind.
#[must_use]
pub fn bound() -> Option<Bound> {
    /// The first namespace has this number since there are namespaces (`PROC_PID_INIT_INO`).
    const FIRST_NAMESPACE: &str = "pid:[4026531836]";
    if !cfg!(target_os = "linux") {
        return (std::process::id() == 1).then_some(Bound::Container);
    }
    // Where /proc is hidden, what hides it is a container of some kind.
    let namespace = std::fs::read_link("/proc/self/ns/pid");
    if namespace.is_ok_and(|namespace| namespace.as_os_str() == FIRST_NAMESPACE) {
        let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        is_service(&groups).then_some(Bound::Service)
    } else {
        Some(Bound::Container)
    }
}

/// Whether `/proc/PID/cgroup` names a service unit. Shells of a session are in a scope.
fn is_service(groups: &str) -> bool {
    let units = groups.lines().filter_map(|line| {
        let (_, group) = line.split_once(':')?;
        let (controllers, path) = group.split_once(':')?;
        matches!(controllers, "" | "name=systemd").then(|| path.rsplit('/').next())?
    });
    units.into_iter().any(|unit| unit.ends_with(".service") && !unit.starts_with("user@"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_told_from_a_session() {
        for service in [
            "0::/system.slice/backup.service\n",
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/sync.service\n",
            "12:pids:/x\n1:name=systemd:/system.slice/cron.service\n0::/\n",
        ] {
            assert!(is_service(service), "{service}");
        }
        for session in [
            "",
            "0::/\n",
            "0::/user.slice/user-1000.slice/session-3.scope\n",
            "0::/user.slice/user-1000.slice/user@1000.service\n",
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/vte-spawn-1.scope\n",
            "4:memory:/system.slice/docker.service\n0::/init.scope\n",
        ] {
            assert!(!is_service(session), "{session}");
        }
    }
}
