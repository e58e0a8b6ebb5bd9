//! Processes: finding and starting programs, becoming one, and what this process is allowed.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::signals::survive_long_writes;
use crate::environment::Environment;

/// The allocator of a static program. musl's gives each size of memory pages of its own, so that a
/// short program touches one page for nearly every size that it asks for. This one fills its pages.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

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

/// Whether a command that opens a page could not.
#[must_use]
pub fn launcher_failed(_program: &OsStr, status: ExitStatus) -> bool {
    !status.success()
}

/// Lets a program take the place of this one: it keeps the process, and with it the parent, the
/// terminal, the job control and the exit code. Returns only why that could not be.
#[must_use]
pub fn become_program(mut command: Command) -> io::Error {
    command.exec()
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

/// Makes sure that this process and those that it starts may write files of `size` bytes, and that a
/// write beyond the limit (`ulimit -f`) fails, where it would end this process with a signal.
///
/// # Errors
/// [`io::ErrorKind::FileTooLarge`] where the limit cannot be raised that far.
pub fn allow_file_size(size: u64) -> io::Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Fsize);
    let allows = |limit: Option<u64>| limit.is_none_or(|limit| limit >= size);
    if current.is_some() {
        survive_long_writes();
    }
    if allows(current) {
        Ok(())
    } else if allows(maximum) {
        Ok(setrlimit(Resource::Fsize, Rlimit { current: maximum, maximum })?)
    } else {
        Err(io::ErrorKind::FileTooLarge.into())
    }
}

/// Whether something could not be started because there is no room now: for another process, for another
/// open file, or for either in memory.
#[must_use]
pub fn is_shortage(error: &io::Error) -> bool {
    let numbers = [libc::EAGAIN, libc::ENOMEM, libc::EMFILE, libc::ENFILE];
    error.raw_os_error().is_some_and(|number| numbers.contains(&number))
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
