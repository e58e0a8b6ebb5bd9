//! The modules of `src/`, and every path that their code writes, as [`crate::reader`] finds them.

use std::collections::BTreeSet;

/// Every module of the library and of the program, for all platforms.
#[derive(Default)]
pub struct Tree {
    /// A module is identified by its index.
    pub modules: Vec<Module>,
    /// Why files could not be read.
    pub failures: Vec<String>,
}

/// A module. Those inside a file (`mod tests { … }`) are modules of their own.
pub struct Module {
    /// The file it is written in, relative to `src/`.
    pub file: String,
    pub parent: Option<usize>,
    /// Several have the same name if `cfg` selects one of them.
    pub children: Vec<(String, usize)>,
    /// The names of what is defined here.
    pub items: BTreeSet<String>,
    pub uses: Vec<Use>,
    /// Paths outside `use`.
    pub paths: Vec<Written>,
}

/// One name, or one `*`, of a `use`.
pub struct Use {
    pub written: Written,
    /// The name it brings; none for `*`.
    pub name: Option<String>,
    /// Whether others may see the name, so that it is a re-export.
    pub public: bool,
}

/// A path as it is written.
#[derive(Clone)]
pub struct Written {
    pub segments: Vec<String>,
    pub line: usize,
}

impl Tree {
    /// Adds a module with nothing in it, and returns its index.
    pub fn add(&mut self, file: &str, parent: Option<usize>, name: &str) -> usize {
        let id = self.modules.len();
        self.modules.push(Module {
            file: file.into(),
            parent,
            children: Vec::new(),
            items: BTreeSet::new(),
            uses: Vec::new(),
            paths: Vec::new(),
        });
        if let Some(parent) = parent {
            self.modules[parent].children.push((name.into(), id));
        }
        id
    }
}
