//! Linux, macOS and the BSDs.

#[cfg(target_env = "musl")]
mod allocator;
mod keyboard;
mod sidecar;
mod syncing;

use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Dir, Mode, OFlags};
use rustix::io::{FdFlags, fcntl_setfd, retry_on_intr};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

pub use keyboard::Keyboard;
pub use sidecar::*;
pub use syncing::{sync_content, sync_directory, sync_file};

use super::Privacy;
use crate::environment::Environment;
use crate::platform::{Directories, EarlierDirectories, NoHome};

/// Options for a file that is private from its first moment. Opening never blocks, so that a pipe
/// put in the place of a file cannot hold us.
#[must_use]
pub fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    options.mode(0o600).custom_flags(flags);
    options
}

/// The same for a file that has to be the one at its path: a symbolic link there is an error.
#[must_use]
pub fn private_file_itself() -> OpenOptions {
    let mut options = private_file();
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    options.custom_flags(i32::try_from(flags.bits()).unwrap_or(0));
    options
}

/// Opens a file.
///
/// # Errors
/// As [`OpenOptions::open`].
pub fn open_file(options: &OpenOptions, path: &Path) -> io::Result<File> {
    options.open(path)
}

/// Gives the file `new` the name `path`, in place of what has it.
///
/// # Errors
/// As [`std::fs::rename`].
pub fn replace_file(new: &Path, path: &Path) -> io::Result<()> {
    std::fs::rename(new, path)
}

/// Removes a file.
///
/// # Errors
/// As [`std::fs::remove_file`].
pub fn remove_file(path: &Path) -> io::Result<()> {
    std::fs::remove_file(path)
}

/// Whether a file has other names, one of which may be somebody's trap.
#[must_use]
pub fn has_other_names(metadata: &Metadata) -> bool {
    metadata.nlink() > 1
}

/// Creates a directory and its missing parents, for the user alone.
///
/// # Errors
/// As [`std::fs::create_dir_all`].
pub fn create_private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Why a file or directory is not the user's own; nothing where it is.
#[must_use]
pub fn not_private(metadata: &Metadata, privacy: Privacy) -> Option<String> {
    let owner = metadata.uid();
    let user = rustix::process::geteuid().as_raw();
    let mode = metadata.mode() & 0o777;
    if owner != user {
        return Some(format!("belongs to user {owner}, not to user {user}"));
    }
    match privacy {
        Privacy::Owned if mode & 0o022 != 0 => {
            Some(format!("can be written by others (mode {mode:03o}; chmod go-w mends it)"))
        }
        Privacy::Secret if mode & 0o077 != 0 => {
            Some(format!("is open to others (mode {mode:03o}; chmod 600 mends it)"))
        }
        _ => None,
    }
}

/// Makes sure that this process and those that it starts may write files of `size` bytes: a write
/// beyond the limit (`ulimit -f`) would end them with a signal.
///
/// # Errors
/// [`io::ErrorKind::FileTooLarge`] where the limit cannot be raised that far.
pub fn allow_file_size(size: u64) -> io::Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Fsize);
    let allows = |limit: Option<u64>| limit.is_none_or(|limit| limit >= size);
    if allows(current) {
        Ok(())
    } else if allows(maximum) {
        Ok(setrlimit(Resource::Fsize, Rlimit { current: maximum, maximum })?)
    } else {
        Err(io::ErrorKind::FileTooLarge.into())
    }
}

/// How large a file this process may write, as somebody set it.
pub struct FileSizeLimit(Rlimit);

impl FileSizeLimit {
    /// The limit as it is now.
    #[must_use]
    pub fn now() -> Self {
        Self(getrlimit(Resource::Fsize))
    }

    /// Sets the limit again that [`allow_file_size`] may have raised: it is for us, and not for a
    /// program that takes our place.
    pub fn restore(self) {
        // It was the limit before, so nothing forbids it.
        let _ = setrlimit(Resource::Fsize, self.0);
    }
}

/// Lets a program take the place of this one: it keeps the process, and with it the parent, the
/// terminal, the job control and the exit code. Returns only why that could not be.
#[must_use]
pub fn become_program(mut command: Command) -> io::Error {
    command.exec()
}

/// Whether the open `file` is the one that `path` names now.
///
/// # Errors
/// Where one of them cannot be looked at.
pub fn is_same_file(file: &File, path: &Path) -> io::Result<bool> {
    let (open, named) = (file.metadata()?, std::fs::metadata(path)?);
    Ok((open.dev(), open.ino()) == (named.dev(), named.ino()))
}

/// The places of the XDG base directory specification, on macOS too, as command-line tools have
/// it there; a variable that is not an absolute path is ignored, as that specification says.
///
/// # Errors
/// Where there is no home directory and a place depends on it.
pub fn directories(environment: &Environment) -> Result<Directories, NoHome> {
    let home = environment.path("HOME").filter(|home| home.is_absolute());
    let place = |variable: &str, below_home: &str| {
        let named = environment.path(variable).filter(|path| path.is_absolute());
        let usual = home.as_ref().map(|home| home.join(below_home));
        let base = named.or(usual).ok_or(NoHome("HOME"))?;
        Ok(base.join("dd-oauth"))
    };
    Ok(Directories {
        state: place("XDG_STATE_HOME", ".local/state")?,
        data: place("XDG_DATA_HOME", ".local/share")?,
        config: place("XDG_CONFIG_HOME", ".config")?,
    })
}

/// The places in which earlier tools kept their files.
///
/// # Errors
/// Where there is no home directory.
pub fn directories_of_earlier_tools(
    environment: &Environment,
) -> Result<EarlierDirectories, NoHome> {
    let home = environment.path("HOME").filter(|home| home.is_absolute());
    let home = home.ok_or(NoHome("HOME"))?;
    let mut pup: Vec<_> =
        environment.path("PUP_CONFIG_DIR").filter(|path| path.is_absolute()).into_iter().collect();
    pup.push(directories(environment)?.config.with_file_name("pup"));
    if cfg!(target_os = "macos") {
        pup.push(home.join("Library/Application Support/pup"));
    }
    pup.dedup();
    Ok(EarlierDirectories { datadog_cli: home.join(".datadog"), pup })
}

/// Waits until standard input has something to read or has ended.
///
/// # Errors
/// [`io::ErrorKind::TimedOut`] once `limit` has passed.
pub fn wait_for_input(input: &io::Stdin, limit: Duration) -> io::Result<()> {
    let timeout = Timespec {
        tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: limit.subsec_nanos().into(),
    };
    loop {
        let mut descriptors = [PollFd::new(input, PollFlags::IN)];
        match poll(&mut descriptors, Some(&timeout)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether a person can see what we write to standard error, and answer: it is a terminal, and
/// we are in its foreground process group.
#[must_use]
pub fn stderr_is_in_foreground() -> bool {
    rustix::termios::tcgetpgrp(io::stderr().as_fd())
        .is_ok_and(|group| group == rustix::process::getpgrp())
}

/// Makes standard error, which is a terminal, obey escape sequences; whether it does.
#[must_use]
pub fn stderr_obeys_escapes() -> bool {
    true
}

/// Whether a command that opens a page could not.
#[must_use]
pub fn launcher_failed(_program: &OsStr, status: ExitStatus) -> bool {
    !status.success()
}

/// Whether a browser that is opened here is seen by the person who asked for it: there is a display,
/// or Windows around us. Someone who came over ssh sits elsewhere, unless the display came along.
#[must_use]
pub fn has_screen(environment: &Environment) -> bool {
    let set = |name: &str| environment.path(name).is_some();
    if cfg!(target_os = "macos") {
        return !set("SSH_CONNECTION") && !set("SSH_TTY");
    }
    set("DISPLAY") || set("WAYLAND_DISPLAY") || set("WSL_DISTRO_NAME") || set("WSL_INTEROP")
}

/// Where a program is, as the system looks for it: in the directories of `PATH`.
#[must_use]
pub fn find_program(name: &Path, environment: &Environment) -> Option<PathBuf> {
    let may_start = |path: &Path| {
        path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
    };
    if name.components().count() > 1 {
        return may_start(name).then(|| name.to_path_buf());
    }
    let path = environment.path("PATH")?;
    let mut places = std::env::split_paths(&path).map(|directory| directory.join(name));
    places.find(|place| may_start(place))
}

/// A command that runs the program that people mean by `name`.
#[must_use]
pub fn command(name: &OsStr, _environment: &Environment) -> Command {
    Command::new(name)
}

/// Lets a command run in a process group of its own, out of reach of our terminal's Ctrl-C.
pub fn set_apart(command: &mut Command) {
    command.process_group(0);
}

/// Ends standard output, so that who reads it to its end need not wait for us. The descriptor
/// itself is kept, as the next file to be opened would take its number.
pub fn close_stdout() {
    if let Ok(null) = File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(null);
    }
}

/// Keeps tokens out of core dumps and away from debuggers of the same user. Unlike a limit on the
/// core size, programs that we start do not inherit it.
pub fn forbid_memory_dumps() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        // A kernel that refuses leaves us where every other program stands.
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
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
/// Where the process cannot be started; the file is closed then.
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
/// Where there is none.
pub fn take_stdin() -> io::Result<File> {
    let input = io::stdin().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(input.into())
}

/// The running program itself: the path that it was started by may lead to a newer one by now.
pub(super) fn own_executable() -> io::Result<PathBuf> {
    let running = Path::new("/proc/self/exe");
    if running.exists() {
        Ok(running.to_path_buf())
    } else {
        // Elsewhere the path is all that is known. It must lead there from `/` too.
        std::path::absolute(std::env::current_exe()?)
    }
}

/// Does [`leave_caller`] with one file.
///
/// # Errors
/// Where `kept` is not an open descriptor.
pub fn detach(kept: RawFd) -> io::Result<File> {
    leave_caller(&[kept])?.pop().ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// Leaves the session and process group of whoever started us, so that their Ctrl-C and hang-up
/// do not reach us, and closes every inherited descriptor but the standard streams and `kept`:
/// an open one would keep, say, the lock of a cron job held.
///
/// # Errors
/// Where one of `kept` is not an open descriptor.
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

/// The names in a directory. The C library would map memory for that and give it back.
///
/// # Errors
/// Where it is not there, is no directory, or cannot be read.
pub fn names_in(directory: &Path) -> io::Result<Vec<OsString>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let listing = retry_on_intr(|| rustix::fs::open(directory, flags, Mode::empty()))?;
    let mut names = Vec::new();
    for entry in Dir::new(listing)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_ones_own_is_private_until_others_may_write_it() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        private_file().write(true).create(true).open(&path).unwrap();
        let verdict = |mode: u32, privacy| {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            not_private(&std::fs::metadata(&path).unwrap(), privacy)
        };
        assert_eq!(verdict(0o600, Privacy::Secret), None);
        assert_eq!(verdict(0o644, Privacy::Owned), None);
        assert!(verdict(0o640, Privacy::Secret).unwrap().contains("chmod 600"));
        assert!(verdict(0o620, Privacy::Owned).unwrap().contains("chmod go-w"));
    }
}
