//! A disk: what is on it, what changes on it, and what of that is durable.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

/// A directory with all that is below it, or a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tree {
    pub mode: u32,
    pub content: Content<Tree>,
}

/// What something on a disk holds; a directory leads to others by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Content<To> {
    File(Arc<[u8]>),
    Directory(BTreeMap<OsString, To>),
}

/// A file or directory, however many names it has.
pub type Id = usize;

/// A file or directory by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub mode: u32,
    pub content: Content<Id>,
}

/// A change of what a file holds or may be used for.
#[derive(Clone, Debug)]
pub enum Edit {
    Write { at: usize, bytes: Arc<[u8]> },
    Length(usize),
    Mode(u32),
}

/// A change of the names in one directory, which is there as a whole or not at all.
#[derive(Clone, Debug)]
pub struct NameChange {
    pub directory: Id,
    /// What each name leads to afterwards.
    pub entries: Vec<(OsString, Option<Id>)>,
}

/// All nodes; the first is the root.
#[derive(Clone, Debug)]
pub struct Disk(Vec<Node>);

impl Tree {
    /// What is at `path`.
    pub fn read(path: &Path) -> Self {
        let metadata = path.symlink_metadata().unwrap();
        let mode = metadata.permissions().mode() & 0o7777;
        let content = if metadata.is_dir() {
            let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
            Content::Directory(
                entries.map(|entry| (entry.file_name(), Self::read(&entry.path()))).collect(),
            )
        } else {
            assert!(metadata.is_file(), "{} is no plain file", path.display());
            Content::File(std::fs::read(path).unwrap().into())
        };
        Self { mode, content }
    }

    /// Puts it in the place of all that is in the directory `path`.
    pub fn put_in_place_of(&self, path: &Path) {
        for entry in std::fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            let removed = if path.is_dir() {
                std::fs::remove_dir_all(&path)
            } else {
                std::fs::remove_file(&path)
            };
            removed.unwrap();
        }
        self.write(path);
    }

    fn write(&self, path: &Path) {
        match &self.content {
            Content::File(bytes) => std::fs::write(path, bytes).unwrap(),
            Content::Directory(entries) => {
                if !path.is_dir() {
                    std::fs::create_dir(path).unwrap();
                }
                for (name, tree) in entries {
                    tree.write(&path.join(name));
                }
            }
        }
        std::fs::set_permissions(path, Permissions::from_mode(self.mode)).unwrap();
    }
}

impl Node {
    pub fn new_file(mode: u32) -> Self {
        Self { mode, content: Content::File(Arc::default()) }
    }

    pub fn new_directory(mode: u32) -> Self {
        Self { mode, content: Content::Directory(BTreeMap::new()) }
    }

    pub fn bytes(&self) -> &[u8] {
        match &self.content {
            Content::File(bytes) => bytes,
            Content::Directory(_) => panic!("a directory was used as a file"),
        }
    }

    pub fn names(&self) -> &BTreeMap<OsString, Id> {
        match &self.content {
            Content::Directory(names) => names,
            Content::File(_) => panic!("a file was used as a directory"),
        }
    }

    /// The node after `edit`.
    pub fn edited(&self, edit: &Edit) -> Self {
        let mut bytes = self.bytes().to_vec();
        let mut mode = self.mode;
        match edit {
            Edit::Write { at, bytes: new } => {
                bytes.resize(bytes.len().max(at + new.len()), 0);
                bytes[*at..at + new.len()].copy_from_slice(new);
            }
            Edit::Length(length) => bytes.resize(*length, 0),
            Edit::Mode(changed) => mode = *changed,
        }
        Self { mode, content: Content::File(bytes.into()) }
    }
}

impl Disk {
    pub const ROOT: Id = 0;

    pub fn of(tree: &Tree) -> Self {
        let mut disk = Self(vec![Node::new_directory(tree.mode)]);
        let root = disk.take_in(tree);
        disk.0[Self::ROOT] = disk.0[root].clone();
        disk
    }

    fn take_in(&mut self, tree: &Tree) -> Id {
        let content = match &tree.content {
            Content::File(bytes) => Content::File(bytes.clone()),
            Content::Directory(entries) => Content::Directory(
                entries.iter().map(|(name, tree)| (name.clone(), self.take_in(tree))).collect(),
            ),
        };
        self.add(Node { mode: tree.mode, content })
    }

    /// Adds what no name leads to yet.
    pub fn add(&mut self, node: Node) -> Id {
        self.0.push(node);
        self.0.len() - 1
    }

    pub fn node(&self, id: Id) -> &Node {
        &self.0[id]
    }

    pub fn replace(&mut self, id: Id, node: Node) {
        self.0[id] = node;
    }

    pub fn edit(&mut self, id: Id, edit: &Edit) {
        self.0[id] = self.0[id].edited(edit);
    }

    pub fn rename(&mut self, change: &NameChange) {
        let Content::Directory(names) = &mut self.0[change.directory].content else {
            panic!("a file was used as a directory")
        };
        for (name, id) in &change.entries {
            match id {
                Some(id) => names.insert(name.clone(), *id),
                None => names.remove(name),
            };
        }
    }

    /// What a path below the root leads to.
    pub fn find(&self, path: &Path) -> Option<Id> {
        path.iter().try_fold(Self::ROOT, |id, name| self.0[id].names().get(name).copied())
    }

    /// The directory of a path below the root, and the name in it.
    pub fn split<'p>(&self, path: &'p Path) -> (Id, &'p OsStr) {
        let directory = path.parent().and_then(|parent| self.find(parent));
        directory
            .zip(path.file_name())
            .unwrap_or_else(|| panic!("{} is in no directory that is known", path.display()))
    }

    /// All that the root leads to.
    pub fn tree(&self) -> Tree {
        self.tree_of(Self::ROOT)
    }

    fn tree_of(&self, id: Id) -> Tree {
        let node = &self.0[id];
        let content = match &node.content {
            Content::File(bytes) => Content::File(bytes.clone()),
            Content::Directory(names) => Content::Directory(
                names.iter().map(|(name, id)| (name.clone(), self.tree_of(*id))).collect(),
            ),
        };
        Tree { mode: node.mode, content }
    }
}
