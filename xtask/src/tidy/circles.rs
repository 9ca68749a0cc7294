//! No two files of a crate import each other, directly or through others.
//!
//! A `use` is an edge from its file to the file that defines the item, re-exports followed. `mod` lines and `pub use`
//! of a file's own children are no edges. Test modules are left out, because nothing imports them.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Item, ItemMod, ItemUse, UseTree, Visibility};

use crate::program::Failure;

/// The circles of a crate, each as a path of files with the items imported.
pub(crate) fn of_crate(directory: &Path) -> Result<Vec<String>, Failure> {
    let mut circles = BTreeSet::new();
    for root in roots(directory) {
        let (directory, modules) = (directory.to_owned(), Vec::new());
        let mut krate = Crate { directory, modules };
        krate.load_file(None, &root, root.parent().unwrap_or(&root))?;
        circles.extend(circles_of(&krate.edges()));
    }
    Ok(circles.into_iter().collect())
}

/// The files that the compiler starts from.
fn roots(directory: &Path) -> Vec<PathBuf> {
    let mut roots = vec![directory.join("src/lib.rs"), directory.join("src/main.rs")];
    for folder in ["src/bin", "tests", "examples"] {
        let entries = fs::read_dir(directory.join(folder)).into_iter().flatten();
        for path in entries.flatten().map(|entry| entry.path()) {
            roots.extend([path.join("main.rs"), path]);
        }
    }
    roots.retain(|path| path.is_file() && path.extension().is_some_and(|end| end == "rs"));
    roots
}

/// From an importing file to a defining one, with the name of one item.
type Edges = BTreeMap<String, BTreeMap<String, String>>;

#[derive(Default)]
struct Module {
    parent: Option<usize>,
    file: String,
    children: HashMap<String, usize>,
    defined: BTreeSet<String>,
    imports: Vec<Import>,
}

#[derive(Clone)]
struct Import {
    /// Empty for `*`.
    name: String,
    path: Vec<String>,
    is_public: bool,
}

/// The modules of one target; the first is the root.
struct Crate {
    directory: PathBuf,
    modules: Vec<Module>,
}

impl Crate {
    /// Reads a file; the files of its child modules are in `folder`.
    fn load_file(
        &mut self,
        parent: Option<usize>,
        file: &Path,
        folder: &Path,
    ) -> Result<usize, Failure> {
        let name = file.display();
        let text = fs::read_to_string(file).map_err(|error| format!("{name}: {error}"))?;
        let syntax = syn::parse_file(&text).map_err(|error| format!("{name}: {error}"))?;
        let name = file.strip_prefix(&self.directory).unwrap_or(file).display();
        self.load_items(parent, &name.to_string(), &syntax.items, folder)
    }

    fn load_items(
        &mut self,
        parent: Option<usize>,
        file: &str,
        items: &[Item],
        folder: &Path,
    ) -> Result<usize, Failure> {
        let index = self.modules.len();
        self.modules.push(Module::default());
        let file_name = file.to_owned();
        let mut module = Module {
            parent,
            file: file_name,
            ..Module::default()
        };
        for item in items {
            match item {
                Item::Mod(child) if is_test(child) => {}
                Item::Mod(child) => {
                    let name = child.ident.to_string();
                    if let Some(child) = self.load_child(index, file, child, folder)? {
                        module.children.insert(name, child);
                    }
                }
                item => {
                    let mut imports = Imports(Vec::new());
                    imports.visit_item(item);
                    module.imports.extend(imports.0);
                    module.defined.extend(name_of(item));
                }
            }
        }
        if let Some(loaded) = self.modules.get_mut(index) {
            *loaded = module;
        }
        Ok(index)
    }

    fn load_child(
        &mut self,
        parent: usize,
        file: &str,
        child: &ItemMod,
        folder: &Path,
    ) -> Result<Option<usize>, Failure> {
        let inside = folder.join(child.ident.to_string());
        if let Some((_, items)) = &child.content {
            let loaded = self.load_items(Some(parent), file, items, &inside);
            return loaded.map(Some);
        }
        let candidates = [inside.with_extension("rs"), inside.join("mod.rs")];
        match candidates.iter().find(|file| file.is_file()) {
            Some(file) => self.load_file(Some(parent), file, &inside).map(Some),
            None => Ok(None),
        }
    }

    fn edges(&self) -> Edges {
        let mut edges = Edges::new();
        for (index, module) in self.modules.iter().enumerate() {
            for import in &module.imports {
                let (path, is_public) = (&import.path, import.is_public);
                let first = path.iter().find(|name| *name != "self");
                let is_child = first.is_some_and(|name| module.children.contains_key(name));
                if let Some(defining) = self.defining(index, path, false, 50)
                    && *defining != module.file
                    && !(is_public && is_child)
                {
                    let from = edges.entry(module.file.clone()).or_default();
                    let item = path.last().cloned().unwrap_or_default();
                    from.entry(defining.clone()).or_insert(item);
                }
            }
        }
        edges
    }

    /// The file that defines what a path names, if it is of this crate. Within the module that the path begins in, an
    /// unknown name is another crate; further on, it is what a macro defines.
    fn defining(&self, index: usize, path: &[String], within: bool, depth: u8) -> Option<&String> {
        let module = self.modules.get(index)?;
        let Some((first, rest)) = path.split_first() else {
            return Some(&module.file);
        };
        // Re-exports can lead to each other through `*`.
        let depth = depth.checked_sub(1)?;
        match first.as_str() {
            "crate" => return self.defining(0, rest, true, depth),
            "self" => return self.defining(index, rest, true, depth),
            "super" => return self.defining(module.parent?, rest, true, depth),
            _ if module.defined.contains(first) => return Some(&module.file),
            _ => {}
        }
        let imports = &module.imports;
        let child = module.children.get(first);
        let import = imports.iter().find(|import| import.name == *first);
        // Where a module and an import share a name, the import is a function of the module.
        if let Some(child) = child.filter(|_| import.is_none() || !rest.is_empty()) {
            return self.defining(*child, rest, true, depth);
        }
        let through = |import: &Import, rest: &[String]| {
            let path = [&import.path, rest].concat();
            self.defining(index, &path, false, depth)
        };
        if let Some(import) = import {
            let is_local = child.is_some() || import.path.first() != Some(first);
            return is_local.then(|| through(import, rest)).flatten();
        }
        let everything = imports.iter().filter(|import| {
            let first = import.path.first().map_or("", String::as_str);
            import.name.is_empty()
                && (["crate", "self", "super"].contains(&first)
                    || module.children.contains_key(first))
        });
        let mut found = everything.filter_map(|import| through(import, path));
        found.next().or(within.then_some(&module.file))
    }
}

/// The imports of an item, functions included.
struct Imports(Vec<Import>);

impl<'ast> Visit<'ast> for Imports {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let is_public = !matches!(item.vis, Visibility::Inherited);
        let mut leaves = Vec::new();
        flatten(&item.tree, &mut Vec::new(), &mut leaves);
        for (name, path) in leaves {
            self.0.push(Import {
                name,
                path,
                is_public,
            });
        }
        visit::visit_item_use(self, item);
    }
}

/// Each name that a tree imports (empty for `*`), with its path.
fn flatten(tree: &UseTree, path: &mut Vec<String>, leaves: &mut Vec<(String, Vec<String>)>) {
    let with = |name: &syn::Ident, path: &[String]| {
        let mut path = path.to_owned();
        if name != "self" || path.is_empty() {
            path.push(name.to_string());
        }
        path
    };
    match tree {
        UseTree::Path(tree) => {
            path.push(tree.ident.to_string());
            flatten(&tree.tree, path, leaves);
            path.pop();
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, path, leaves);
            }
        }
        UseTree::Name(name) => {
            let path = with(&name.ident, path);
            leaves.push((path.last().cloned().unwrap_or_default(), path));
        }
        UseTree::Rename(rename) => {
            leaves.push((rename.rename.to_string(), with(&rename.ident, path)));
        }
        UseTree::Glob(_) => leaves.push((String::new(), path.clone())),
    }
}

fn name_of(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

fn is_test(module: &ItemMod) -> bool {
    module.attrs.iter().any(|attribute| {
        let argument = attribute.parse_args::<syn::Path>();
        attribute.path().is_ident("cfg") && argument.is_ok_and(|path| path.is_ident("test"))
    })
}

/// The shortest circle through each node, each once.
fn circles_of(edges: &Edges) -> Vec<String> {
    let mut found = BTreeSet::new();
    let mut texts = Vec::new();
    for start in edges.keys() {
        let Some(path) = way_back(edges, start) else {
            continue;
        };
        let mut nodes = path.clone();
        nodes.sort();
        if found.insert(nodes) {
            texts.push(describe(edges, &path));
        }
    }
    texts
}

/// The nodes of the shortest circle through a node, which is the first of them.
fn way_back<'e>(edges: &'e Edges, start: &'e String) -> Option<Vec<&'e String>> {
    let mut before: HashMap<&String, &String> = HashMap::new();
    let mut waiting = VecDeque::from([start]);
    while let Some(node) = waiting.pop_front() {
        for next in edges.get(node).into_iter().flat_map(BTreeMap::keys) {
            if next == start {
                let mut path = vec![node];
                while let Some(node) = path.last().and_then(|last| before.get(last)) {
                    path.push(node);
                }
                path.reverse();
                return Some(path);
            }
            if !before.contains_key(next) {
                before.insert(next, node);
                waiting.push_back(next);
            }
        }
    }
    None
}

fn describe(edges: &Edges, path: &[&String]) -> String {
    let first = path.first().copied();
    let mut text = first.cloned().unwrap_or_default();
    let nexts = path.iter().skip(1).copied().chain(first);
    for (node, next) in path.iter().zip(nexts) {
        let item = edges.get(*node).and_then(|edges| edges.get(next));
        text.push_str(&format!(" -({})-> {next}", item.map_or("", String::as_str)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files as `path: source`, and the circles expected.
    fn check(files: &str, expected: &[&str]) {
        let directory = tempfile::tempdir().unwrap();
        for (path, source) in files
            .lines()
            .filter_map(|line| line.trim().split_once(": "))
        {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, source).unwrap();
        }
        assert_eq!(of_crate(directory.path()).unwrap(), expected, "{files}");
    }

    #[test]
    fn imports_in_one_direction_are_no_circle() {
        check(
            "src/lib.rs: mod a; mod b; pub use a::A; pub(crate) use self::b::{B, b};
            src/a.rs: use crate::{B, external::C}; use std::fmt; pub struct A;
            src/b.rs: use serde::A; pub struct B; pub fn b() {}",
            &[],
        );
    }

    #[test]
    fn a_private_import_from_a_child_that_imports_from_its_parent_is_a_circle() {
        check(
            "src/lib.rs: mod a; use a::A; const LIMIT: u8 = 1;
            src/a.rs: use super::LIMIT; pub struct A;",
            &["src/a.rs -(LIMIT)-> src/lib.rs -(A)-> src/a.rs"],
        );
    }

    #[test]
    fn re_exports_groups_and_new_names_lead_to_the_defining_file() {
        check(
            "src/lib.rs: mod facade; mod one; mod two;
            src/facade.rs: pub use crate::{one::*, two::{self as second, Two as Second}};
            src/one.rs: use crate::facade::Second; pub struct One;
            src/two/mod.rs: fn two() { use crate::facade::{One}; } pub struct Two;",
            &["src/one.rs -(Second)-> src/two/mod.rs -(One)-> src/one.rs"],
        );
    }

    #[test]
    fn test_modules_are_left_out() {
        for tests in [" { use super::*; use crate::b::B; }", ";"] {
            let files = "src/lib.rs: mod a; mod b;
                src/a/tests.rs: use super::*; use crate::b::B;
                src/b.rs: use crate::a::A; pub struct B;";
            let tested = format!("src/a.rs: pub struct A; #[cfg(test)] mod tests{tests}");
            check(&format!("{files}\n{tested}"), &[]);
        }
    }

    #[test]
    fn programs_of_tests_are_read_with_their_modules() {
        check(
            "tests/a.rs: mod common; use common::B; pub struct A;
            tests/common/mod.rs: use crate::A; pub struct B;",
            &["tests/a.rs -(B)-> tests/common/mod.rs -(A)-> tests/a.rs"],
        );
        check(
            "tests/a/main.rs: mod one; mod two;
            tests/a/one.rs: use super::two::Two; pub struct One;
            tests/a/two.rs: use crate::one::One; pub struct Two;",
            &["tests/a/one.rs -(Two)-> tests/a/two.rs -(One)-> tests/a/one.rs"],
        );
    }
}
