//! Reads the modules and paths of every file.

use std::collections::BTreeSet;
use std::path::Path;

use proc_macro2::{Ident, TokenStream};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, UseTree, Visibility};

use crate::files::Sources;
use crate::modules::{Module, Tree, Use, Written};
use crate::tokens::{path_attributes, paths_in, plain};

/// A file that is to be read as a module.
struct Declared {
    file: String,
    parent: Option<usize>,
    name: String,
    /// Whether its children lie beside it (`mod.rs`) and not in a folder of its name.
    beside: bool,
}

/// Reads every file that `lib.rs` and `main.rs` lead to.
pub fn read(sources: &Sources) -> Tree {
    let mut tree = Tree::default();
    let mut reached = BTreeSet::new();
    let roots = ["lib.rs", "main.rs"].into_iter().filter(|file| sources.contains_key(*file));
    let mut queue: Vec<_> = roots
        .map(|file| Declared {
            file: file.into(),
            parent: None,
            name: "crate".into(),
            beside: true,
        })
        .collect();
    while let Some(declared) = queue.pop() {
        reached.insert(declared.file.clone());
        match syn::parse_file(&sources[&declared.file]) {
            Ok(parsed) => read_file(&parsed, &declared, sources, &mut tree, &mut queue),
            Err(error) => {
                let line = error.span().start().line;
                tree.failures.push(format!("src/{}:{line}: cannot parse: {error}", declared.file));
            }
        }
    }
    for file in sources.keys().filter(|file| is_code(file) && !reached.contains(*file)) {
        tree.failures.push(format!("src/{file} is not declared by any `mod`"));
    }
    tree
}

fn is_code(file: &str) -> bool {
    Path::new(file).extension().is_some_and(|extension| extension == "rs")
}

fn read_file(
    parsed: &syn::File,
    declared: &Declared,
    sources: &Sources,
    tree: &mut Tree,
    queue: &mut Vec<Declared>,
) {
    let file = &declared.file;
    let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
    let children = if declared.beside { folder } else { file.trim_end_matches(".rs") };
    let current = tree.add(file, declared.parent, &declared.name);
    if file == "lib.rs" {
        for item in parsed.items.iter().filter(|item| !matches!(item, Item::Mod(_))) {
            let line = item.span().start().line;
            tree.failures.push(format!("src/lib.rs:{line}: lib.rs may only declare modules"));
        }
    }
    let inline = Vec::new();
    Reader { tree, queue, sources, folder, children, current, inline, in_attribute: false }
        .visit_file(parsed);
}

/// Reads one file.
struct Reader<'a> {
    tree: &'a mut Tree,
    queue: &'a mut Vec<Declared>,
    sources: &'a Sources,
    /// The folder of the file.
    folder: &'a str,
    /// The folder of the modules that it declares.
    children: &'a str,
    /// The module that is being read.
    current: usize,
    /// The names of the modules of this file around that place.
    inline: Vec<String>,
    in_attribute: bool,
}

impl Reader<'_> {
    fn module(&mut self) -> &mut Module {
        &mut self.tree.modules[self.current]
    }

    /// Queues the files of `mod name;`: several if `cfg_attr` chooses one.
    fn declare(&mut self, module: &ItemMod) {
        let name = plain(&module.ident);
        let inside = format!("{}/{}", self.children, self.inline.join("/"));
        let beside_file = if self.inline.is_empty() { self.folder } else { &inside };
        let (always, sometimes) = path_attributes(&module.attrs);
        let named = always.iter().chain(&sometimes);
        let mut candidates: Vec<_> =
            named.map(|path| (normal(&format!("{beside_file}/{path}")), true)).collect();
        if always.is_empty() {
            candidates.push((normal(&format!("{inside}/{name}.rs")), false));
            candidates.push((normal(&format!("{inside}/{name}/mod.rs")), true));
        }
        candidates.retain(|(file, _)| self.sources.contains_key(file));
        if candidates.is_empty() {
            let file = &self.tree.modules[self.current].file;
            let line = module.ident.span().start().line;
            self.tree.failures.push(format!("src/{file}:{line}: no file for `mod {name}`"));
        }
        for (file, beside) in candidates {
            let (parent, name) = (Some(self.current), name.clone());
            self.queue.push(Declared { file, parent, name, beside });
        }
    }

    fn add_uses(&mut self, tree: &UseTree, before: &[String], public: bool) {
        let path = |ident: &Ident| {
            let mut segments = before.to_vec();
            // `a::{self}` means `a`.
            if before.is_empty() || ident != "self" {
                segments.push(plain(ident));
            }
            Written { segments, line: ident.span().start().line }
        };
        let (written, name) = match tree {
            UseTree::Path(part) => {
                return self.add_uses(&part.tree, &path(&part.ident).segments, public);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.add_uses(tree, before, public);
                }
                return;
            }
            UseTree::Name(leaf) => {
                let written = path(&leaf.ident);
                let name = written.segments.last().cloned();
                (written, name)
            }
            UseTree::Rename(leaf) => (path(&leaf.ident), Some(plain(&leaf.rename))),
            UseTree::Glob(glob) => {
                let line = glob.star_token.spans[0].start().line;
                (Written { segments: before.to_vec(), line }, None)
            }
        };
        self.module().uses.push(Use { written, name, public });
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let name = match item {
            Item::Const(item) => Some(&item.ident),
            Item::Enum(item) => Some(&item.ident),
            Item::Fn(item) => Some(&item.sig.ident),
            Item::Macro(item) => item.ident.as_ref(),
            Item::Static(item) => Some(&item.ident),
            Item::Struct(item) => Some(&item.ident),
            Item::Trait(item) => Some(&item.ident),
            Item::TraitAlias(item) => Some(&item.ident),
            Item::Type(item) => Some(&item.ident),
            Item::Union(item) => Some(&item.ident),
            _ => None,
        };
        let name = name.map(plain);
        self.module().items.extend(name);
        visit::visit_item(self, item);
    }

    fn visit_foreign_item_fn(&mut self, item: &'ast syn::ForeignItemFn) {
        let name = plain(&item.sig.ident);
        self.module().items.insert(name);
        visit::visit_foreign_item_fn(self, item);
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        let Some((_, items)) = &module.content else {
            return self.declare(module);
        };
        let name = plain(&module.ident);
        let file = self.module().file.clone();
        let around = self.current;
        self.current = self.tree.add(&file, Some(around), &name);
        self.inline.push(name);
        for item in items {
            self.visit_item(item);
        }
        self.inline.pop();
        self.current = around;
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        for attribute in &item.attrs {
            self.visit_attribute(attribute);
        }
        // `use ::name` is another crate.
        if item.leading_colon.is_none() {
            self.add_uses(&item.tree, &[], !matches!(item.vis, Visibility::Inherited));
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        // `::name` is another crate, and `<T>::name` belongs to a type.
        if path.leading_colon.is_none() {
            let segments: Vec<_> = path.segments.iter().map(|part| plain(&part.ident)).collect();
            let line = path.segments[0].ident.span().start().line;
            self.module().paths.push(Written { segments, line });
        }
        visit::visit_path(self, path);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        // A link in a comment is no import.
        if !attribute.path().is_ident("doc") {
            self.in_attribute = true;
            visit::visit_attribute(self, attribute);
            self.in_attribute = false;
        }
    }

    fn visit_token_stream(&mut self, tokens: &'ast TokenStream) {
        let mut paths = Vec::new();
        paths_in(tokens.clone(), self.in_attribute, &mut paths);
        self.module().paths.extend(paths);
    }
}

/// A path without empty parts and `..`.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}
