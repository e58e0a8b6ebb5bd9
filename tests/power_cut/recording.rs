//! What a command did to the disk, in order, with what the server and the user saw in between.

use std::collections::{HashMap, HashSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::disk::{Disk, Edit, Id, NameChange, Node, Tree};
use super::trace::{Call, calls};

/// One step of a command.
#[derive(Clone, Debug)]
pub enum Step {
    /// Something came on the disk that has no name yet.
    New(Id, Node),
    Names(NameChange),
    Edit(Id, Edit),
    /// The file is durable: all of it, or all but its mode.
    SyncFile {
        id: Id,
        with_mode: bool,
    },
    /// The names in the directory are durable.
    SyncDirectory(Id),
    /// A request that the server acts on was sent.
    Sent,
    /// The first byte of its answer was there.
    Answered,
    /// The command said to its caller that it succeeded.
    Reported,
}

/// A command that succeeded.
pub struct Recording {
    pub before: Disk,
    /// Each step, and the call that it was.
    pub steps: Vec<(Step, String)>,
}

/// Requests that change what the server knows.
const REQUESTS: [&str; 3] =
    ["POST /api/v2/oauth2/register ", "POST /oauth2/v1/token ", "POST /oauth2/v1/revoke "];

/// Calls by which the server, the caller and the command tell each other something.
const MESSAGES: [&str; 7] = ["read", "recvfrom", "recvmsg", "sendmsg", "sendto", "write", "writev"];

/// Calls that change nothing on the disk, whatever they are given.
const HARMLESS: &[&str] = &[
    "access",
    "bind",
    "chdir",
    "clone",
    "clone3",
    "connect",
    "epoll_ctl",
    "execve",
    "exit_group",
    "faccessat",
    "faccessat2",
    "fcntl",
    "flock",
    "fstat",
    "fstatfs",
    "getcwd",
    "getdents64",
    "getrandom",
    "ioctl",
    "lstat",
    "newfstatat",
    "poll",
    "readlink",
    "readlinkat",
    "stat",
    "statfs",
    "statx",
    "vfork",
    "wait4",
    "waitid",
];

/// Reads the trace of a command that ran on what is below `root`, where `before` was.
pub fn recorded(trace: &str, root: &Path, before: &Tree) -> Recording {
    let before = Disk::of(before);
    let calls = calls(trace);
    let mut recorder = Recorder {
        root: root.to_path_buf(),
        disk: before.clone(),
        open: HashMap::new(),
        asked: HashSet::new(),
        first: calls.first().expect("a command makes calls").process,
        steps: Vec::new(),
    };
    for call in calls.iter().filter(|call| call.result.is_some()) {
        recorder.take(call);
    }
    recorder.step(Step::Reported, "its end");
    // What is not understood would make every state that comes out of it wrong.
    assert!(recorder.disk.tree() == Tree::read(root), "the trace does not lead to what is there");
    Recording { before, steps: recorder.steps }
}

/// A file that a process has open.
struct OpenFile {
    id: Id,
    position: u64,
    appends: bool,
}

struct Recorder {
    root: PathBuf,
    /// As the command sees it.
    disk: Disk,
    /// By process and number.
    open: HashMap<(u32, u32), OpenFile>,
    /// The connections on which an answer is awaited, likewise.
    asked: HashSet<(u32, u32)>,
    /// The process that was started first.
    first: u32,
    steps: Vec<(Step, String)>,
}

impl Recorder {
    fn step(&mut self, step: Step, what: &str) {
        match &step {
            Step::Names(change) => self.disk.rename(change),
            Step::Edit(id, edit) => self.disk.edit(*id, edit),
            _ => {}
        }
        self.steps.push((step, what.to_string()));
    }

    fn take(&mut self, call: &Call) {
        let root = self.root.as_os_str().as_bytes();
        if call.all_bytes().windows(root.len()).any(|window| window == root) {
            self.take_change(call);
        } else {
            assert!(call.name != "sync", "not understood: {call:?}");
            self.take_message(call);
        }
    }

    /// The path below the root; nothing for one elsewhere.
    fn below(&self, path: &Path) -> Option<PathBuf> {
        assert!(!path.iter().any(|part| part == ".."), "not understood: {}", path.display());
        path.strip_prefix(&self.root).ok().map(Path::to_path_buf)
    }

    fn open_file(&mut self, call: &Call) -> Option<&mut OpenFile> {
        let descriptor = call.descriptor(0);
        self.below(&descriptor.target)?;
        let file = self.open.get_mut(&(call.process, descriptor.number?));
        Some(file.unwrap_or_else(|| panic!("a file that another process opened: {call:?}")))
    }

    /// What a descriptor of a call leads to, if that is still on the disk.
    fn named(&self, call: &Call) -> Option<Id> {
        let descriptor = call.descriptor(0);
        if descriptor.nameless {
            return None;
        }
        let path = self.below(&descriptor.target)?;
        Some(self.disk.find(&path).unwrap_or_else(|| panic!("not on the disk: {call:?}")))
    }

    fn take_change(&mut self, call: &Call) {
        let result = call.result.and_then(|result| u64::try_from(result).ok()).unwrap_or(0);
        match call.name.as_str() {
            "open" => self.opened(call, 0, None),
            "openat" => self.opened(call, 1, Some(0)),
            "close" => {
                let number = call.descriptor(0).number.expect("a number is closed");
                self.open.remove(&(call.process, number));
            }
            "read" => {
                if let Some(file) = self.open_file(call) {
                    file.position += result;
                }
            }
            "pread64" => {}
            "lseek" => {
                if let Some(file) = self.open_file(call) {
                    file.position = result;
                }
            }
            "write" => {
                let Some(file) = self.open_file(call) else { return };
                let (id, at, appends) = (file.id, file.position, file.appends);
                file.position += result;
                assert!(!appends, "not understood: {call:?}");
                self.written(call, id, at, result);
            }
            "pwrite64" => {
                let Some(id) = self.open_file(call).map(|file| file.id) else { return };
                self.written(call, id, call.number(3), result);
            }
            "ftruncate" => {
                let Some(id) = self.open_file(call).map(|file| file.id) else { return };
                let length = usize::try_from(call.number(1)).expect("files are small");
                self.edit(call, id, Edit::Length(length));
            }
            "fchmod" => {
                let Some(id) = self.open_file(call).map(|file| file.id) else { return };
                self.edit(call, id, Edit::Mode(call.mode(1)));
            }
            "fsync" | "fdatasync" => {
                let Some(id) = self.named(call) else { return };
                let with_mode = call.name == "fsync";
                let step = match self.disk.node(id).content {
                    super::disk::Content::File(_) => Step::SyncFile { id, with_mode },
                    super::disk::Content::Directory(_) => Step::SyncDirectory(id),
                };
                let what = self.told(call, &[&call.descriptor(0).target]);
                self.step(step, &what);
            }
            "mkdir" => {
                let path = call.path(0, None);
                let new = Node::new_directory(call.mode(1));
                self.created(call, &path, new);
            }
            "rename" => self.renamed(call, &call.path(0, None), &call.path(1, None)),
            "renameat" | "renameat2" => {
                assert!(!call.has_flag(4, "RENAME_EXCHANGE"), "not understood: {call:?}");
                self.renamed(call, &call.path(1, Some(0)), &call.path(3, Some(2)));
            }
            "unlink" | "rmdir" => self.removed(call, &call.path(0, None)),
            "unlinkat" => self.removed(call, &call.path(1, Some(0))),
            "mmap" => {
                let writes = call.has_flag(2, "PROT_WRITE") && call.has_flag(3, "MAP_SHARED");
                assert!(!writes, "not understood: {call:?}");
            }
            known if HARMLESS.contains(&known) => {}
            _ => panic!("a call that is not known, on what is stored: {call:?}"),
        }
    }

    fn told(&self, call: &Call, paths: &[&Path]) -> String {
        let mut what = call.name.clone();
        for path in paths {
            what.push(' ');
            what.push_str(&self.below(path).unwrap_or_default().display().to_string());
        }
        what
    }

    fn opened(&mut self, call: &Call, path: usize, directory: Option<usize>) {
        let path_of = call.path(path, directory);
        let Some(below) = self.below(&path_of) else { return };
        let flags = path + 1;
        assert!(!call.has_flag(flags, "O_TMPFILE"), "not understood: {call:?}");
        let found = self.disk.find(&below);
        let id = match found {
            Some(id) => id,
            None => self.created(call, &path_of, Node::new_file(call.mode(path + 2))),
        };
        if call.has_flag(flags, "O_TRUNC") && !self.disk.node(id).bytes().is_empty() {
            self.edit(call, id, Edit::Length(0));
        }
        let appends = call.has_flag(flags, "O_APPEND");
        let file = OpenFile { id, position: 0, appends };
        self.open.insert((call.process, call.new_descriptor()), file);
    }

    fn created(&mut self, call: &Call, path: &Path, node: Node) -> Id {
        let below = self.below(path).unwrap_or_else(|| panic!("created elsewhere: {call:?}"));
        let what = self.told(call, &[path]);
        let (directory, name) = self.disk.split(&below);
        let id = self.disk.add(node.clone());
        self.steps.push((Step::New(id, node), String::new()));
        let change = NameChange { directory, entries: vec![(name.to_os_string(), Some(id))] };
        self.step(Step::Names(change), &what);
        id
    }

    fn renamed(&mut self, call: &Call, from: &Path, to: &Path) {
        let what = self.told(call, &[from, to]);
        let (Some(from), Some(to)) = (self.below(from), self.below(to)) else {
            panic!("not understood: {call:?}")
        };
        let (old, new) = (self.disk.split(&from), self.disk.split(&to));
        assert!(old.0 == new.0, "between directories, no rename is whole after a cut: {call:?}");
        let entries = vec![(old.1.into(), None), (new.1.into(), self.disk.find(&from))];
        self.step(Step::Names(NameChange { directory: old.0, entries }), &what);
    }

    fn removed(&mut self, call: &Call, path: &Path) {
        let what = self.told(call, &[path]);
        let Some(below) = self.below(path) else { return };
        let (directory, name) = self.disk.split(&below);
        let change = NameChange { directory, entries: vec![(name.to_os_string(), None)] };
        self.step(Step::Names(change), &what);
    }

    fn written(&mut self, call: &Call, id: Id, at: u64, length: u64) {
        let (at, length) = (usize::try_from(at), usize::try_from(length));
        let (at, length) = (at.expect("files are small"), length.expect("and buffers"));
        let bytes = call.bytes(1)[..length].into();
        self.edit(call, id, Edit::Write { at, bytes });
    }

    fn edit(&mut self, call: &Call, id: Id, edit: Edit) {
        let what = match call.name.as_str() {
            "open" | "openat" => "truncate".to_string(),
            _ => self.told(call, &[&call.descriptor(0).target]),
        };
        self.step(Step::Edit(id, edit), &what);
    }

    /// What goes to the server or to the caller, and what comes.
    fn take_message(&mut self, call: &Call) {
        if !MESSAGES.contains(&call.name.as_str()) {
            return;
        }
        let number = call.descriptor(0).number.expect("messages go through a number");
        let key = (call.process, number);
        match call.name.as_str() {
            "write" | "writev" | "sendto" | "sendmsg" => {
                let bytes = call.all_bytes();
                let text = String::from_utf8_lossy(&bytes);
                if REQUESTS.iter().any(|request| text.contains(request)) {
                    self.asked.insert(key);
                    self.step(Step::Sent, "a request");
                } else if number == 1 && call.process == self.first {
                    self.step(Step::Reported, "the answer to the caller");
                }
            }
            "read" | "recvfrom" | "recvmsg" if call.result > Some(0) && self.asked.remove(&key) => {
                self.step(Step::Answered, "the answer of the server");
            }
            _ => {}
        }
    }
}
