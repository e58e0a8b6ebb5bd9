//! Processes: finding and starting programs, running one in our place, and what this process is
//! allowed.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use windows_sys::Win32::System::ErrorReporting::{WER_FAULT_REPORTING_FLAG_NOHEAP, WerSetFlags};

use super::hold_back_termination;
use crate::environment::Environment;

/// What `PATHEXT` is where nobody set it, as far as we can start it.
const USUAL_ENDINGS: &str = ".COM;.EXE;.BAT;.CMD";

/// Where a program is, as the shells of Windows look for it, though never in the working directory:
/// in the directories of `PATH`, under its name and with each ending of `PATHEXT`.
#[must_use]
pub fn find_program(name: &Path, environment: &Environment) -> Option<PathBuf> {
    let endings = environment.path("PATHEXT").unwrap_or_else(|| USUAL_ENDINGS.into());
    let endings = endings.to_string_lossy().into_owned();
    let endings: Vec<_> = endings.split(';').filter(|ending| ending.starts_with('.')).collect();
    let at = |place: PathBuf| {
        let ending = place.extension().map(|ending| format!(".{}", ending.to_string_lossy()));
        let is_named_whole =
            ending.is_some_and(|own| endings.iter().any(|known| own.eq_ignore_ascii_case(known)));
        if is_named_whole && place.is_file() {
            return Some(place);
        }
        let mut longer = endings.iter().map(|ending| {
            let mut name = OsString::from(&place);
            name.push(ending);
            PathBuf::from(name)
        });
        longer.find(|place| place.is_file())
    };
    if name.components().count() > 1 {
        return at(name.to_path_buf());
    }
    let path = environment.path("PATH")?;
    std::env::split_paths(&path)
        .filter(|directory| directory.is_absolute())
        .find_map(|directory| at(directory.join(name)))
}

/// A command that runs the program that people mean by `name`: one may be a script for `cmd`, which
/// has to be named whole.
#[must_use]
pub fn command(name: &OsStr, environment: &Environment) -> Command {
    let found = find_program(Path::new(name), environment);
    Command::new(found.as_deref().map_or(name, Path::as_os_str))
}

/// Whether a command that opens a page could not: `explorer.exe` ends with 1 even where it did.
#[must_use]
pub fn launcher_failed(program: &OsStr, status: ExitStatus) -> bool {
    let is_explorer =
        Path::new(program).file_stem().is_some_and(|name| name.eq_ignore_ascii_case("explorer"));
    !status.success() && !is_explorer
}

/// Runs a program as a child, as none can take our place here, and ends with its exit code. Ctrl-C
/// and the like reach both of us, and are its own to obey. Returns only why it could not be started.
#[must_use]
pub fn become_program(mut command: Command) -> io::Error {
    let held = hold_back_termination();
    match command.status() {
        // A program ended from outside has a code too, here.
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(error) => {
            drop(held);
            error
        }
    }
}

/// Windows sets no limit to the size of a file.
///
/// # Errors
/// Never.
pub fn allow_file_size(_size: u64) -> io::Result<()> {
    Ok(())
}

/// Whether something could not be started because there is no room now.
#[must_use]
pub fn is_shortage(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::OutOfMemory
}

/// Windows sets no limit to the size of a file.
pub struct FileSizeLimit;

impl FileSizeLimit {
    /// There is none.
    #[must_use]
    pub fn now() -> Self {
        Self
    }

    /// Nothing was raised.
    pub fn restore(self) {}
}

/// Keeps tokens out of the reports of crashes. Only the same user may look into a process here.
pub fn forbid_memory_dumps() {
    // SAFETY: it takes plain data. Where it fails we stand where every other program does.
    unsafe { WerSetFlags(WER_FAULT_REPORTING_FLAG_NOHEAP) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_as_shells_find_it_but_not_where_we_stand() {
        let directory = tempfile::tempdir().unwrap();
        let (first, second) = (directory.path().join("first"), directory.path().join("second"));
        for place in [&first, &second] {
            std::fs::create_dir(place).unwrap();
        }
        for file in
            [first.join("a.cmd"), first.join("b"), second.join("a.EXE"), second.join("b.1.exe")]
        {
            std::fs::write(file, "").unwrap();
        }
        let path = std::env::join_paths([Path::new("."), &first, &second]).unwrap();
        let path = path.to_str().unwrap();
        let found = |name: &str, endings: &str| {
            let environment = Environment::of(&[("PATH", path), ("PATHEXT", endings)]);
            let found = find_program(Path::new(name), &environment)?;
            Some(found.strip_prefix(directory.path()).unwrap().to_string_lossy().to_lowercase())
        };
        assert_eq!(found("a", "").as_deref(), Some(r"first\a.cmd"));
        assert_eq!(found("a.exe", "").as_deref(), Some(r"second\a.exe"));
        assert_eq!(found("a", ".exe").as_deref(), Some(r"second\a.exe"));
        assert_eq!(found("b.1", "").as_deref(), Some(r"second\b.1.exe"));
        assert_eq!(found("b", ""), None, "it has no ending that can be started");
        let there = first.join("a").to_string_lossy().into_owned();
        assert_eq!(found(&there, "").as_deref(), Some(r"first\a.cmd"));
    }
}
