//! Everything that a power cut may leave of a recording: after each of its steps, what was not synced
//! is lost, kept or torn.
//!
//! # The model
//!
//! POSIX promises little, and file systems differ in what they promise beyond it (Pillai et al., "All
//! File Systems Are Not Created Equal", OSDI 2014, with the tool ALICE; Mohan et al., "Finding
//! Crash-Consistency Bugs with Bounded Black-Box Crash Testing", OSDI 2018, with `CrashMonkey`). The
//! model takes the weaker promise wherever they differ:
//!
//! - `fsync` of a file makes its content, length and mode durable, and none of its names;
//!   `fdatasync` does the same without the mode. ext4 and XFS would write earlier names too.
//! - `fsync` of a directory makes the names in it durable, and neither what they lead to nor the
//!   directory's own name in its parent.
//! - A change of names is there as a whole or not at all: a rename within one directory never loses
//!   both names. A rename between directories fails the recording.
//! - Changes of names that are not durable are there or not: in the order in which they were made
//!   (ext4 and XFS keep their journal in order, so what survives is a prefix), or independently of
//!   each other (APFS, btrfs and others may reorder names that have nothing to do with each other).
//!   For a single name the later change wins.
//! - Content that is not durable is as it was; or whole; or ends after a part of the writes; or has
//!   the first or second half of the last write; or has the last write and none before it; or has its
//!   full length with zeros in the place of what was written, as delayed allocation of ext4 and XFS
//!   leaves it. A new name may lead to any of these.
//!
//! # Its bounds
//!
//! Up to [`ALL_SUBSETS`] changes of names are kept and lost in every combination; of more, in order,
//! and each alone kept and each alone lost. With all of these, every file is whole, or every file is
//! as it was. Files are torn one at a time, while the names are kept in order and the other files are
//! whole, or are as they were; and only after a step that concerns the file: a write, a change of its
//! name, or a message to or from the command. Sectors within a half are not told apart.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::disk::{Content, Disk, Edit, Id, NameChange, Node, Tree};
use super::recording::{Recording, Step};

/// So many changes of names that are not durable are kept and lost in every combination.
const ALL_SUBSETS: usize = 4;

/// What a cut leaves.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Remains {
    pub tree: Tree,
    /// How many of the requests the server had acted on.
    pub acted: usize,
    /// Whether the server acted on the last one, and nothing was synced after its answer.
    pub unsecured: bool,
    /// Whether the command had said that it succeeded.
    pub reported: bool,
}

/// What is durable, and what waits for it, at one moment of a recording.
struct Moment {
    durable: Disk,
    names: Vec<NameChange>,
    edits: BTreeMap<Id, Vec<Edit>>,
    sent: usize,
    answered: usize,
    synced_since: bool,
    reported: bool,
}

/// Hands every state that a cut may leave to `found`, once, with the step after which it is cut and
/// what is left of the rest.
pub fn all(recording: &Recording, found: &mut dyn FnMut(Remains, String)) {
    let mut moment = Moment::first(&recording.before);
    let mut seen = HashSet::new();
    let mut look = |moment: &Moment, step: Option<&Step>, after: &str| {
        moment.remains(step, &mut |remains, what| {
            if seen.insert(remains.clone()) {
                found(remains, format!("after {after}: {what}"));
            }
        });
    };
    look(&moment, None, "nothing");
    for (step, what) in &recording.steps {
        moment.go_on(step);
        if !matches!(step, Step::New(..)) {
            look(&moment, Some(step), what);
        }
    }
}

impl Moment {
    fn first(before: &Disk) -> Self {
        Self {
            durable: before.clone(),
            names: Vec::new(),
            edits: BTreeMap::new(),
            sent: 0,
            answered: 0,
            synced_since: true,
            reported: false,
        }
    }

    fn go_on(&mut self, step: &Step) {
        match step {
            Step::New(id, node) => assert_eq!(self.durable.add(node.clone()), *id),
            Step::Names(change) => self.names.push(change.clone()),
            Step::Edit(id, edit) => self.edits.entry(*id).or_default().push(edit.clone()),
            Step::SyncFile { id, with_mode } => {
                let edits = self.edits.remove(id).unwrap_or_default();
                let waits = |edit: &Edit| !with_mode && matches!(edit, Edit::Mode(_));
                let (waiting, written): (Vec<_>, _) = edits.into_iter().partition(waits);
                for edit in &written {
                    self.durable.edit(*id, edit);
                }
                if !waiting.is_empty() {
                    self.edits.insert(*id, waiting);
                }
                self.synced_since = true;
            }
            Step::SyncDirectory(id) => {
                let names = std::mem::take(&mut self.names);
                let (durable, waiting) = names.into_iter().partition(|name| name.directory == *id);
                self.names = waiting;
                let durable: Vec<NameChange> = durable;
                for change in &durable {
                    self.durable.rename(change);
                }
            }
            Step::Sent => self.sent += 1,
            Step::Answered => {
                self.answered += 1;
                self.synced_since = false;
            }
            Step::Reported => self.reported = true,
        }
    }

    /// Whether the last step concerns the file.
    fn concerns(step: Option<&Step>, id: Id) -> bool {
        match step {
            Some(Step::Edit(edited, _)) => *edited == id,
            Some(Step::Names(change)) => {
                change.entries.iter().any(|(_, target)| *target == Some(id))
            }
            Some(Step::Sent | Step::Answered | Step::Reported) => true,
            Some(Step::New(..) | Step::SyncFile { .. } | Step::SyncDirectory(_)) | None => false,
        }
    }

    /// What a cut after `step` leaves.
    fn remains(&self, step: Option<&Step>, found: &mut dyn FnMut(Remains, String)) {
        let files: Vec<(Id, Vec<Node>)> = self
            .edits
            .iter()
            .map(|(id, edits)| (*id, contents(self.durable.node(*id), edits)))
            .collect();
        let whole: Vec<usize> = files.iter().map(|(_, contents)| contents.len() - 1).collect();
        let lost = vec![0; files.len()];
        for kept in subsets(self.names.len()) {
            self.remain(&kept, &files, &whole, found);
            self.remain(&kept, &files, &lost, found);
        }
        for (position, (id, contents)) in files.iter().enumerate() {
            if !Self::concerns(step, *id) {
                continue;
            }
            for kept in prefixes(self.names.len()) {
                for content in 0..contents.len() {
                    for others in [&whole, &lost] {
                        let mut choice = others.clone();
                        choice[position] = content;
                        self.remain(&kept, &files, &choice, found);
                    }
                }
            }
        }
    }

    fn remain(
        &self,
        kept: &[bool],
        files: &[(Id, Vec<Node>)],
        choice: &[usize],
        found: &mut dyn FnMut(Remains, String),
    ) {
        let mut disk = self.durable.clone();
        for ((id, contents), choice) in files.iter().zip(choice) {
            disk.replace(*id, contents[*choice].clone());
        }
        for (change, _) in self.names.iter().zip(kept).filter(|(_, kept)| **kept) {
            disk.rename(change);
        }
        let tree = disk.tree();
        // An answer that is under way was sent by a server that acted.
        let mut acted = vec![self.answered];
        acted.extend((self.sent > self.answered).then_some(self.sent));
        for acted in acted {
            let unsecured = acted > self.answered || !self.synced_since;
            let remains = Remains { tree: tree.clone(), acted, unsecured, reported: self.reported };
            found(remains, self.told(kept, files, choice));
        }
    }

    /// What is lost, for a person.
    fn told(&self, kept: &[bool], files: &[(Id, Vec<Node>)], choice: &[usize]) -> String {
        let lost = self.names.iter().zip(kept).filter(|(_, kept)| !**kept);
        let names: Vec<_> = lost
            .flat_map(|(change, _)| change.entries.iter().map(|(name, _)| name.to_string_lossy()))
            .collect();
        let contents: Vec<_> = files
            .iter()
            .zip(choice)
            .filter(|((_, contents), choice)| **choice + 1 < contents.len())
            .map(|((_, contents), choice)| {
                let (is, was) = (&contents[*choice], contents.last().expect("it is whole"));
                let text = String::from_utf8_lossy(was.bytes());
                let begin: String = text.chars().take(24).collect();
                format!("{} of {} bytes of {begin:?}", is.bytes().len(), was.bytes().len())
            })
            .collect();
        format!("lost names {names:?}, torn {contents:?}")
    }
}

/// Which of so many changes are kept, if they are kept in order.
fn prefixes(count: usize) -> Vec<Vec<bool>> {
    let first = |kept: usize| (0..count).map(|position| position < kept).collect();
    (0..=count).map(first).collect()
}

/// Which of so many changes are kept, in any order.
fn subsets(count: usize) -> Vec<Vec<bool>> {
    if count <= ALL_SUBSETS {
        let bit = |subset: usize, position: usize| subset & (1 << position) != 0;
        return (0..1 << count)
            .map(|subset| (0..count).map(|position| bit(subset, position)).collect())
            .collect();
    }
    let mut subsets = prefixes(count);
    for one in 0..count {
        subsets.push((0..count).map(|position| position == one).collect());
        subsets.push((0..count).map(|position| position != one).collect());
    }
    subsets
}

/// What a file may hold whose `edits` are not durable: first what it held, at the end all.
fn contents(was: &Node, edits: &[Edit]) -> Vec<Node> {
    let mut after = vec![was.clone()];
    for edit in edits {
        let next = after.last().expect("it begins with one").edited(edit);
        after.push(next);
    }
    let whole = after.pop().expect("it begins with one");
    let (last, earlier) = edits.split_last().expect("there is an edit");
    let before = after.last().expect("it begins with one").clone();
    if let Edit::Write { at, bytes } = last {
        let (front, back) = bytes.split_at(bytes.len() / 2);
        let half = |at: usize, bytes: &[u8]| Edit::Write { at, bytes: bytes.into() };
        after.push(before.edited(&half(*at, front)));
        after.push(before.edited(&half(*at + front.len(), back)));
        if !earlier.is_empty() {
            after.push(was.edited(last));
        }
    }
    let mut zeros = was.clone();
    for edit in edits {
        zeros = match edit {
            Edit::Write { at, bytes } => {
                let bytes: Arc<[u8]> = vec![0; bytes.len()].into();
                zeros.edited(&Edit::Write { at: *at, bytes })
            }
            other => zeros.edited(other),
        };
    }
    after.push(zeros);
    let mut different: Vec<Node> = Vec::new();
    for node in after {
        if node != whole && !different.contains(&node) {
            different.push(node);
        }
    }
    different.push(whole);
    different
}

/// Tries the model on sequences whose remains are known: a checker that overlooks them finds nothing.
pub fn try_the_model() {
    let before = Tree { mode: 0o700, content: Content::Directory(BTreeMap::new()) };
    let new = |disk: &mut Disk, name: &str| {
        let node = Node::new_file(0o600);
        let id = disk.add(node.clone());
        let entries = vec![(name.into(), Some(id))];
        let named = Step::Names(NameChange { directory: Disk::ROOT, entries });
        (id, vec![Step::New(id, node), named])
    };
    let write = |id| Step::Edit(id, Edit::Write { at: 0, bytes: b"whole".as_slice().into() });
    let sync = |id| Step::SyncFile { id, with_mode: true };
    let rename = |id| {
        let entries = vec![("new".into(), None), ("name".into(), Some(id))];
        Step::Names(NameChange { directory: Disk::ROOT, entries })
    };
    let disk = Disk::of(&before);
    let (id, create) = new(&mut disk.clone(), "new");
    let contents_of_name = |steps: &[Step]| -> HashSet<Option<Vec<u8>>> {
        let steps = create.iter().chain(steps).map(|step| (step.clone(), String::new()));
        let recording = Recording { before: disk.clone(), steps: steps.collect() };
        let mut contents = HashSet::new();
        all(&recording, &mut |remains, _| {
            let Content::Directory(names) = &remains.tree.content else { panic!("a directory") };
            let file = names.get("name".as_ref() as &std::ffi::OsStr);
            contents.insert(file.map(|file| match &file.content {
                Content::File(bytes) => bytes.to_vec(),
                Content::Directory(_) => panic!("a file"),
            }));
        });
        contents
    };
    let of = |contents: &[&[u8]]| {
        let named = contents.iter().map(|bytes| Some(bytes.to_vec()));
        [None].into_iter().chain(named).collect::<HashSet<_>>()
    };
    let torn = of(&[b"", b"wh", b"\0\0ole", b"\0\0\0\0\0", b"whole"]);
    assert_eq!(contents_of_name(&[write(id), rename(id)]), torn, "a rename without a sync");
    let late = contents_of_name(&[write(id), rename(id), sync(id)]);
    assert_eq!(late, torn, "a sync after the rename");
    let safe = contents_of_name(&[write(id), sync(id), rename(id)]);
    assert_eq!(safe, of(&[b"whole"]), "a sync before the rename");
    // What is durable once a command has ended is what it promised.
    let ends = |steps: &[Step]| {
        let mut moment = Moment::first(&disk);
        create.iter().chain(steps).for_each(|step| moment.go_on(step));
        let mut trees = HashSet::new();
        moment.remains(Some(&Step::Reported), &mut |remains, _| {
            trees.insert(remains.tree);
        });
        trees.len()
    };
    let whole = [write(id), sync(id), rename(id)];
    assert_eq!(ends(&whole), 3, "a rename that is not synced: nothing, the old or the new name");
    let synced: Vec<_> = whole.into_iter().chain([Step::SyncDirectory(Disk::ROOT)]).collect();
    assert_eq!(ends(&synced), 1, "all of it is synced");
}
