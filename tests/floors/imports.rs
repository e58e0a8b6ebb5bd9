//! Finds which file imports which. Every path is followed through re-exports to the file that
//! defines its name.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::modules::{Module, Tree, Written};

/// An import, from one file to another.
pub struct Arrow {
    pub from: String,
    pub line: usize,
    pub to: String,
    /// The path as it is written.
    pub written: String,
    /// Whether a `use` names only a module. The names that the code then takes from this module have
    /// arrows of their own.
    pub whole_module: bool,
}

/// Where a path leads.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Module(usize),
    /// A name that this module defines.
    Item(usize, String),
}

/// All imports, once for each file and name, at the first line that has it.
pub fn arrows(tree: &Tree) -> Vec<Arrow> {
    let mut found = Found { resolver: Resolver(&tree.modules), arrows: BTreeMap::new() };
    for (id, module) in tree.modules.iter().enumerate() {
        for import in &module.uses {
            for target in found.resolver.targets(id, &import.written) {
                let inside = target.module();
                let own_child = inside != id && found.resolver.is_in(inside, id);
                if !(import.public && own_child) {
                    let is_module = matches!(target, Target::Module(_));
                    found.add(id, &import.written, target, is_module && import.name.is_some());
                }
            }
        }
        for written in &module.paths {
            for target in found.resolver.targets(id, written) {
                // A variable may have the name of a module.
                if matches!(target, Target::Item(..)) {
                    found.add(id, written, target, false);
                }
            }
        }
    }
    let mut arrows: Vec<_> = found.arrows.into_values().collect();
    arrows.sort_by(|one, other| (&one.from, one.line).cmp(&(&other.from, other.line)));
    arrows
}

/// The arrows found so far.
struct Found<'a> {
    resolver: Resolver<'a>,
    /// By file and by what is imported.
    arrows: BTreeMap<(&'a str, Target, bool), Arrow>,
}

impl Found<'_> {
    fn add(&mut self, module: usize, written: &Written, target: Target, whole_module: bool) {
        let from = &self.resolver.0[module].file;
        let to = &self.resolver.0[target.module()].file;
        // The root of the crate is on no floor.
        if from == to || to == "lib.rs" {
            return;
        }
        let arrow = Arrow {
            from: from.clone(),
            line: written.line,
            to: to.clone(),
            written: written.segments.join("::"),
            whole_module,
        };
        match self.arrows.entry((from, target, whole_module)) {
            Entry::Vacant(free) => {
                free.insert(arrow);
            }
            Entry::Occupied(mut known) if arrow.line < known.get().line => {
                known.insert(arrow);
            }
            Entry::Occupied(_) => {}
        }
    }
}

impl Target {
    fn module(&self) -> usize {
        match self {
            Self::Module(module) | Self::Item(module, _) => *module,
        }
    }
}

/// The `use` declarations that are being followed, so that none is followed in a circle.
type Followed = Vec<(usize, usize)>;

/// Follows paths as the compiler does, with two differences. It reads the code of all platforms, so a
/// path may have several targets. It does not distinguish types from values.
struct Resolver<'a>(&'a [Module]);

impl Resolver<'_> {
    /// The targets of a path that `module` writes. If each platform has a target, code of one
    /// platform uses only its own.
    fn targets(&self, module: usize, written: &Written) -> Vec<Target> {
        let mut targets = self.resolve(module, &written.segments, &mut Vec::new());
        let shared = |target: &Target| {
            self.ancestors(target.module()).filter(|around| self.is_in(module, *around)).count()
        };
        let nearest = targets.iter().map(shared).max();
        targets.retain(|target| Some(shared(target)) == nearest);
        targets
    }

    /// Follows `segments` from `module`. Nothing is found for names of other crates and for
    /// variables.
    fn resolve(&self, module: usize, segments: &[String], followed: &mut Followed) -> Vec<Target> {
        let Some((first, rest)) = segments.split_first() else { return Vec::new() };
        let mut targets = match first.as_str() {
            "crate" => vec![Target::Module(self.root(module))],
            "self" => vec![Target::Module(module)],
            "super" => self.0[module].parent.map(Target::Module).into_iter().collect(),
            name => self.look_up(module, name, module, followed),
        };
        if targets.is_empty() && first == "dd_oauth" {
            targets.extend(self.library().map(Target::Module));
        }
        for name in rest {
            let is_module = |target: &Target| matches!(target, Target::Module(_));
            if !targets.iter().any(is_module) {
                // The rest names a variant or an associated item.
                break;
            }
            let modules = targets.iter().filter(|target| is_module(target)).map(Target::module);
            let modules: Vec<_> = modules.collect();
            if name == "super" {
                let parents = modules.iter().filter_map(|module| self.0[*module].parent);
                targets = parents.map(Target::Module).collect();
                continue;
            }
            targets = Vec::new();
            for inside in &modules {
                targets.extend(self.look_up(*inside, name, module, followed));
            }
            if targets.is_empty() {
                // A macro may have defined it there.
                targets =
                    modules.iter().map(|inside| Target::Item(*inside, name.clone())).collect();
            }
        }
        targets.sort();
        targets.dedup();
        targets
    }

    /// Finds `name` in `module`. Private imports count only if `asking` lies in `module`.
    fn look_up(
        &self,
        module: usize,
        name: &str,
        asking: usize,
        followed: &mut Followed,
    ) -> Vec<Target> {
        let here = &self.0[module];
        let children = here.children.iter().filter(|(child, _)| child == name);
        let mut found: Vec<_> = children.map(|(_, child)| Target::Module(*child)).collect();
        if here.items.contains(name) {
            found.push(Target::Item(module, name.into()));
        }
        let sees_all = self.is_in(asking, module);
        let (mut named, mut globs) = (Vec::new(), Vec::new());
        for (index, import) in here.uses.iter().enumerate() {
            if (import.public || sees_all) && !followed.contains(&(module, index)) {
                match &import.name {
                    Some(brought) if brought == name => named.push((index, import)),
                    None => globs.push((index, import)),
                    Some(_) => {}
                }
            }
        }
        for (index, import) in named {
            followed.push((module, index));
            found.extend(self.resolve(module, &import.written.segments, followed));
            followed.pop();
        }
        if !found.is_empty() {
            // An explicit name shadows those of `*`.
            return found;
        }
        for (index, import) in globs {
            followed.push((module, index));
            for target in self.resolve(module, &import.written.segments, followed) {
                if let Target::Module(inside) = target {
                    found.extend(self.look_up(inside, name, module, followed));
                }
            }
            followed.pop();
        }
        found
    }

    /// Whether `module` is `around`, or lies in it.
    fn is_in(&self, module: usize, around: usize) -> bool {
        self.ancestors(module).any(|ancestor| ancestor == around)
    }

    fn root(&self, module: usize) -> usize {
        self.ancestors(module).last().unwrap_or(module)
    }

    /// `module`, its parent, and so on.
    fn ancestors(&self, module: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(module), |module| self.0[*module].parent)
    }

    fn library(&self) -> Option<usize> {
        self.0.iter().position(|module| module.file == "lib.rs")
    }
}
