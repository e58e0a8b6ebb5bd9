//! Programs that tests start, and all waiting for them. One that takes too long is killed with its
//! group, and the test fails.

use std::io::{Read, Write};
use std::ops::{Deref, DerefMut};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::deadline::{HANG, done_in_time, seen_in_time};

/// What every pipe takes while nobody reads.
const PIPE: usize = 4096;
/// How long the system may need to end what was killed.
const DEATH: Duration = Duration::from_secs(10);

/// A program that was started. If it still runs when the value goes, it ends, with its group.
pub struct Process {
    child: Child,
    /// What to call it if it hangs.
    name: String,
    /// How long it may take.
    limit: Duration,
    leads_a_group: bool,
}

/// What one run left behind.
#[derive(Debug)]
pub struct Run {
    /// The exit code; nothing if a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Process {
    /// Starts a program at the head of a process group of its own.
    #[track_caller]
    pub fn spawn(command: &mut Command) -> Self {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        Self::begin(command, cfg!(unix))
    }

    /// Starts a server. It stays in our own group, so that Ctrl-C during a test ends it too.
    #[track_caller]
    pub fn serve(command: &mut Command) -> Self {
        Self::begin(command, false)
    }

    #[track_caller]
    fn begin(command: &mut Command, leads_a_group: bool) -> Self {
        #[cfg(unix)]
        signals::give_defaults();
        let words = [command.get_program()].into_iter().chain(command.get_args());
        let words: Vec<_> = words.map(|word| word.to_string_lossy().into_owned()).collect();
        let name = words.join(" ");
        match command.spawn() {
            Ok(child) => Self { child, name, limit: HANG, leads_a_group },
            Err(error) => {
                panic!("{name} cannot be started ({error}); tests/run installs what tests need")
            }
        }
    }

    /// Lets it take longer than others.
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Waits for its end, which nobody's input is in the way of any more.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        drop(self.child.stdin.take());
        let mut status = None;
        let child = &mut self.child;
        if !seen_in_time(self.limit, || {
            status = child.try_wait().unwrap();
            status.is_some()
        }) {
            self.hangs("it did not end");
        }
        status.expect("it was seen")
    }

    /// Waits for its end and takes its output, as far as that is piped.
    #[track_caller]
    pub fn finish(mut self) -> Run {
        // Both at once: it may wait for a reader of either.
        let streams = (self.child.stdout.take(), self.child.stderr.take());
        let (stdout, stderr) = (reader_of(streams.0), reader_of(streams.1));
        let code = self.wait().code();
        // Somebody else may have the other end of a pipe, and keep it.
        let text = |output: std::sync::mpsc::Receiver<String>| output.recv_timeout(HANG);
        match (text(stdout), text(stderr)) {
            (Ok(stdout), Ok(stderr)) => Run { code, stdout, stderr },
            _ => self.hangs("it ended, and its output did not"),
        }
    }

    /// The next line of standard output, without its end; nothing at the end of the stream. What comes
    /// after the line is left to the next reader.
    #[track_caller]
    pub fn line(&mut self) -> Option<String> {
        let stream = self.child.stdout.take().expect("it is piped");
        let (stream, line) = self.in_time("no line came", move || line_of(stream));
        self.child.stdout = Some(stream);
        line
    }

    /// The same of standard error.
    #[track_caller]
    pub fn line_of_stderr(&mut self) -> Option<String> {
        let stream = self.child.stderr.take().expect("it is piped");
        let (stream, line) =
            self.in_time("no line came on standard error", move || line_of(stream));
        self.child.stderr = Some(stream);
        line
    }

    /// Standard output to its end.
    #[track_caller]
    pub fn output(&mut self) -> String {
        let stream = self.child.stdout.take().expect("it is piped");
        self.in_time("its output did not end", move || text_of(stream))
    }

    /// Standard error to its end.
    #[track_caller]
    pub fn errors(&mut self) -> String {
        let stream = self.child.stderr.take().expect("it is piped");
        self.in_time("its messages did not end", move || text_of(stream))
    }

    /// Kills it, and not its group.
    #[track_caller]
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.wait();
    }

    #[track_caller]
    fn in_time<T: Send + 'static>(
        &mut self,
        trouble: &str,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        done_in_time(job).unwrap_or_else(|| self.hangs(trouble))
    }

    #[track_caller]
    fn hangs(&mut self, trouble: &str) -> ! {
        self.kill_all();
        panic!("{}: {trouble} within {:?}, and was killed", self.name, self.limit);
    }

    /// Kills it with its group. Whatever goes wrong with that is no reason to wait, or to fail again.
    fn kill_all(&mut self) {
        #[cfg(unix)]
        if let Some(group) = self.group() {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.kill();
        seen_in_time(DEATH, || !matches!(self.child.try_wait(), Ok(None)));
    }

    #[cfg(unix)]
    fn group(&self) -> Option<rustix::process::Pid> {
        let id = i32::try_from(self.child.id()).ok()?;
        rustix::process::Pid::from_raw(id).filter(|_| self.leads_a_group)
    }
}

impl Deref for Process {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.child
    }
}

impl DerefMut for Process {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.child
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill_all();
        }
    }
}

impl Run {
    /// The value of a key in the answer.
    pub fn value(&self, key: &str) -> String {
        let line = self.stdout.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("no {key} in {self:?}")).to_string()
    }

    /// The lines on standard error but those that say for whom it waits: whether a wait is long
    /// enough to be told is up to how busy the machine is.
    pub fn complaints(&self) -> Vec<&str> {
        let waits = |line: &&str| {
            line.strip_prefix("dd-oauth: waiting for ")
                .is_some_and(|who| who.starts_with("process ") || who == "another dd-oauth process")
        };
        self.stderr.lines().filter(|line| !waits(line)).collect()
    }

    /// Insists on a failure: this exit code, nothing on standard output, and one complaint that has
    /// `words` in it.
    #[track_caller]
    pub fn fails(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        let [complaint] = self.complaints()[..] else { panic!("not one complaint: {self:?}") };
        assert!(complaint.starts_with("dd-oauth: "), "{self:?}");
        for word in words {
            assert!(complaint.contains(word), "no {word:?} in {self:?}");
        }
        assert!(!complaint.contains("panicked"), "{self:?}");
    }

    /// As [`Run::fails`], for a login that had already said where to log in.
    #[track_caller]
    pub fn fails_after_prompt(&self, code: i32, words: &[&str]) {
        let (prompt, stderr) = self.stderr.split_once('\n').unwrap_or_default();
        assert!(prompt.starts_with("dd-oauth: ") && prompt.contains("log in to"), "{self:?}");
        let (stdout, stderr) = (self.stdout.clone(), stderr.to_string());
        Self { code: self.code, stdout, stderr }.fails(code, words);
    }

    /// Insists on success without a complaint.
    #[track_caller]
    pub fn succeeds_quietly(&self) {
        assert_eq!((self.code, self.complaints().len()), (Some(0), 0), "{self:?}");
    }
}

fn reader_of(stream: Option<impl Read + Send + 'static>) -> std::sync::mpsc::Receiver<String> {
    let (sender, text) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _ = sender.send(stream.map(text_of).unwrap_or_default());
    });
    text
}

fn text_of(mut stream: impl Read) -> String {
    let mut text = Vec::new();
    stream.read_to_end(&mut text).unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

fn line_of<S: Read>(mut stream: S) -> (S, Option<String>) {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        match stream.read(&mut byte).unwrap() {
            0 if line.is_empty() => return (stream, None),
            1 if byte != *b"\n" => line.extend_from_slice(&byte),
            _ => return (stream, Some(String::from_utf8_lossy(&line).into_owned())),
        }
    }
}

/// Starts a program and gives it its input.
#[track_caller]
pub fn start(mut command: Command, input: &[u8]) -> Process {
    let mut process = Process::spawn(&mut command);
    let mut stdin = process.stdin.take().expect("it is piped");
    // A program that fails early reads nothing, which is its own affair.
    if input.len() <= PIPE {
        let _ = stdin.write_all(input);
    } else {
        let input = input.to_vec();
        std::thread::spawn(move || stdin.write_all(&input));
    }
    process
}

/// Waits for the end of a program and takes its output.
#[track_caller]
pub fn finish(process: Process) -> Run {
    process.finish()
}

/// Runs a program that needs no input, to its end.
#[track_caller]
pub fn run(command: &mut Command) -> Run {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Process::spawn(command).finish()
}

/// As [`run`], and insists that it succeeds.
#[track_caller]
pub fn succeed(command: &mut Command) -> Run {
    let run = run(command);
    assert_eq!(run.code, Some(0), "{command:?}: {run:?}");
    run
}

/// Runs a program in a destructor: if it fails or hangs, the test does not fail a second time.
pub fn run_at_last(command: &mut Command) {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Ok(child) = command.spawn() {
        let mut process = Process { child, name: String::new(), limit: HANG, leads_a_group: false };
        seen_in_time(HANG, || !matches!(process.try_wait(), Ok(None)));
    }
}

/// Sends a signal to a process, or to the group of a negative number; whether there was one.
#[cfg(unix)]
pub fn signal(name: &str, target: i64) -> bool {
    run(Command::new("kill").args(["-s", name, "--", &target.to_string()])).code == Some(0)
}

#[cfg(unix)]
mod signals {
    use std::ffi::c_int;
    use std::sync::Once;

    use rustix::process::Signal;

    const SIG_IGN: usize = 1;

    unsafe extern "C" {
        fn signal(signal: c_int, handler: usize) -> usize;
    }

    extern "C" fn do_nothing(_: c_int) {}

    /// Lets programs begin with the signals as they are by default, though a shell in the background or
    /// `nohup` has us ignore some, and what is ignored is inherited. What is caught is not: so these
    /// are caught, and still do nothing to us.
    pub fn give_defaults() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            for number in [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM] {
                // SAFETY: the handler does nothing, which is safe at any moment.
                unsafe {
                    let before = signal(number.as_raw(), do_nothing as *const () as usize);
                    if before != SIG_IGN {
                        signal(number.as_raw(), before);
                    }
                }
            }
        });
    }
}

#[cfg(unix)]
mod tests {
    // What the tests use is imported in them: the chaos test, which has this file too, has no tests.
    #[test]
    fn what_hangs_is_named_and_killed_with_its_group() {
        use super::*;
        use std::panic::{AssertUnwindSafe, catch_unwind};
        use std::path::Path;

        let mut hanging = Command::new("sh");
        hanging.args(["-c", "sleep 1000 & echo $!; wait"]).stdout(Stdio::piped());
        let mut hanging = Process::spawn(&mut hanging).with_limit(Duration::from_millis(100));
        let sleep = hanging.line().unwrap();
        let failure = catch_unwind(AssertUnwindSafe(|| hanging.wait())).unwrap_err();
        let message = failure.downcast_ref::<String>().unwrap();
        assert!(message.contains("sleep 1000") && message.contains("100ms"), "{message}");
        let gone = || !Path::new("/proc").join(&sleep).join("fd/0").exists();
        assert!(seen_in_time(DEATH, gone), "a process of its group is left");
    }

    #[test]
    fn programs_begin_with_no_signal_ignored_whatever_ours_are() {
        use super::*;

        let mut nohup = Command::new("sh");
        let script = "trap '' HUP INT QUIT; exec \"$0\" --exact \"$1\"";
        nohup.args(["-c", script]).arg(std::env::current_exe().unwrap());
        let run = succeed(nohup.arg("exec::program::the_exit_code_is_the_programs_own"));
        assert!(run.stdout.contains("1 passed"), "{run:?}");
    }
}
