//! A process that attends this one on Unix: it serves whatever program this one becomes, and ends
//! with it.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::Pid;

use super::own_executable;
use super::worker::{disown, leave_caller};

/// The most open files that macOS grants, whose own limit is none at all: `OPEN_MAX`, as setrlimit(2)
/// says there.
const MOST_FILES_OF_MACOS: Option<u64> = Some(10_240);
/// Between two looks at a process that cannot tell us when it ends.
const NEXT_LOOK: Duration = Duration::from_millis(250);

/// What became of an attempt to start a sidecar.
pub enum Sidecar {
    /// It serves on the listener.
    Started,
    /// This platform cannot do it; the caller serves by itself.
    Impossible(TcpListener),
}

/// What a sidecar gets from the process that started it.
pub struct SidecarWork {
    pub listener: TcpListener,
    pub program: Program,
}

/// A process whose end is waited for.
pub struct Program {
    process: Pid,
    /// Tells of its end, where the system has such a thing.
    descriptor: Option<OwnedFd>,
}

/// Starts this program again with `arguments`, the process to attend, and the numbers of its
/// descriptors. It is nobody's child: the program that takes our place must not wait for it. The
/// secret reaches it on standard input, and it says `ready` on standard output.
///
/// # Errors
/// If it cannot be started, or ends before it is ready.
pub fn start_sidecar(
    arguments: &[&OsStr],
    listener: TcpListener,
    secret: &[u8],
    ready: &[u8],
) -> io::Result<Sidecar> {
    let process = rustix::process::getpid();
    let program = Program::of(process);
    let mut command = Command::new(own_executable()?);
    if let Some(name) = std::env::args_os().next() {
        std::os::unix::process::CommandExt::arg0(&mut command, name);
    }
    command.args(arguments).arg("--process").arg(process.as_raw_nonzero().to_string());
    fcntl_setfd(&listener, FdFlags::empty())?;
    command.arg(listener.as_raw_fd().to_string());
    if let Some(descriptor) = &program.descriptor {
        fcntl_setfd(descriptor, FdFlags::empty())?;
        command.arg(descriptor.as_raw_fd().to_string());
    }
    // Nobody would see what it asks, and a request of the program must not wait for a login.
    command.env("DD_OAUTH_INTERACTIVE", "never");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    // The program still needs it when everything that belongs to it is asked to end.
    disown(&mut command);
    // Nothing else is started while these two can be inherited.
    let mut parent = command.spawn()?;
    drop((listener, program));
    parent.stdin.take().expect("it is piped").write_all(secret)?;
    let mut said = Vec::new();
    let output = parent.stdout.take().expect("it is piped");
    // Where dead children are ignored, there is none to wait for.
    let _ = parent.wait();
    // Ends at once where the sidecar does.
    output.take(ready.len() as u64).read_to_end(&mut said)?;
    if said == ready {
        Ok(Sidecar::Started)
    } else {
        Err(io::Error::other("it ended before it was ready"))
    }
}

/// In the process that [`start_sidecar`] started: what it got. `descriptors` are those of the command
/// line, and `process` is the one to attend.
///
/// # Errors
/// If the descriptors are none of ours.
pub fn take_sidecar_work(descriptors: &[i32], process: Option<u32>) -> io::Result<SidecarWork> {
    let process = process.and_then(|id| Pid::from_raw(id.try_into().ok()?));
    let process = process.ok_or(io::ErrorKind::InvalidInput)?;
    let mut files = leave_caller(descriptors)?.into_iter();
    let listener = files.next().ok_or(io::ErrorKind::InvalidInput)?;
    let program = Program { process, descriptor: files.next().map(OwnedFd::from) };
    allow_many_connections();
    Ok(SidecarWork { listener: OwnedFd::from(listener).into(), program })
}

/// Each connection of the program takes two descriptors; the usual limit is one of a shell.
fn allow_many_connections() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // Where both are refused, connections wait for each other.
    for limit in [maximum, MOST_FILES_OF_MACOS] {
        let is_more = current.is_some_and(|now| limit.is_none_or(|limit| limit > now));
        if is_more && setrlimit(Resource::Nofile, Rlimit { current: limit, maximum }).is_ok() {
            return;
        }
    }
}

impl Program {
    fn of(process: Pid) -> Self {
        #[cfg(target_os = "linux")]
        let descriptor =
            rustix::process::pidfd_open(process, rustix::process::PidfdFlags::empty()).ok();
        #[cfg(not(target_os = "linux"))]
        let descriptor = None;
        Self { process, descriptor }
    }

    /// Waits for its end, on a thread of its own.
    pub async fn ended(self) {
        let (sender, ended) = tokio::sync::oneshot::channel();
        let _ = std::thread::Builder::new().spawn(move || {
            self.wait();
            let _ = sender.send(());
        });
        // Where no thread can be had, nobody would see the end: it is taken to have come.
        let _ = ended.await;
    }

    fn wait(&self) {
        use rustix::event::{PollFd, PollFlags, poll};
        if let Some(descriptor) = &self.descriptor {
            loop {
                match poll(&mut [PollFd::new(descriptor, PollFlags::IN)], None) {
                    Ok(_) => return,
                    Err(rustix::io::Errno::INTR) => {}
                    Err(_) => break,
                }
            }
        }
        // A process of somebody else, as after `sudo`, is alive as well.
        while rustix::process::test_kill_process(self.process) != Err(rustix::io::Errno::SRCH) {
            std::thread::sleep(NEXT_LOOK);
        }
    }
}
