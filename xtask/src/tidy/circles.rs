//! No two files of a crate import each other, directly or through others.
//!
//! A `use`, or a path that begins with `crate`, `self` or `super`, is an edge from its file to the file that defines
//! the item, re-exports followed. `mod` lines and `pub use` of a file's own children are no edges. A test module is a
//! node beside the file it tests.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, Expr, ExprLit, Item, ItemMod, ItemUse, Lit, UseTree, Visibility};

use crate::program::Failure;

/// The circles of a crate, each as a path of files with the items imported.
pub(crate) fn of_crate(directory: &Path) -> Result<Vec<String>, Failure> {
    let mut circles = BTreeSet::new();
    for root in roots(directory) {
        let mut krate = Crate {
            directory: directory.to_owned(),
            modules: Vec::new(),
        };
        krate.load_file(None, &root, root.parent().unwrap_or(directory))?;
        circles.extend(circles_of(&krate.edges()));
    }
    Ok(circles.into_iter().collect())
}

/// The files that the compiler starts from.
fn roots(directory: &Path) -> Vec<PathBuf> {
    let mut roots = vec![
        directory.join("src/lib.rs"),
        directory.join("src/main.rs"),
        directory.join("build.rs"),
    ];
    for folder in ["src/bin", "tests", "examples", "benches"] {
        let entries = fs::read_dir(directory.join(folder)).into_iter().flatten();
        for path in entries.flatten().map(|entry| entry.path()) {
            roots.push(if path.is_dir() {
                path.join("main.rs")
            } else {
                path
            });
        }
    }
    roots.retain(|path| path.is_file() && path.extension().is_some_and(|end| end == "rs"));
    roots
}

/// A file, or the unit tests inside it.
type Node = String;

/// From an importing node to a defining one, with the name of one item.
type Edges = BTreeMap<Node, BTreeMap<Node, String>>;

#[derive(Default)]
struct Module {
    parent: Option<usize>,
    node: Node,
    children: HashMap<String, usize>,
    contents: Contents,
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
        let text = fs::read_to_string(file)
            .map_err(|error| Failure::new(format!("{}: {error}", file.display())))?;
        let syntax = syn::parse_file(&text)
            .map_err(|error| Failure::new(format!("{}: {error}", file.display())))?;
        let node = file.strip_prefix(&self.directory).unwrap_or(file);
        self.load_items(
            parent,
            node.display().to_string(),
            &syntax.items,
            file,
            folder,
        )
    }

    fn load_items(
        &mut self,
        parent: Option<usize>,
        node: Node,
        items: &[Item],
        file: &Path,
        folder: &Path,
    ) -> Result<usize, Failure> {
        let index = self.modules.len();
        self.modules.push(Module {
            parent,
            node: node.clone(),
            ..Module::default()
        });
        let mut contents = Contents::default();
        for item in items {
            if let Item::Mod(child) = item {
                let name = child.ident.to_string();
                let child = self.load_child(index, &node, child, file, folder)?;
                if let (Some(child), Some(module)) = (child, self.modules.get_mut(index)) {
                    module.children.insert(name, child);
                }
            } else {
                contents.visit_item(item);
                contents.defined.extend(name_of(item));
            }
        }
        if let Some(module) = self.modules.get_mut(index) {
            module.contents = contents;
        }
        Ok(index)
    }

    fn load_child(
        &mut self,
        parent: usize,
        node: &Node,
        child: &ItemMod,
        file: &Path,
        folder: &Path,
    ) -> Result<Option<usize>, Failure> {
        let name = child.ident.to_string();
        let inside = folder.join(&name);
        if let Some((_, items)) = &child.content {
            let node = match is_test(&child.attrs) {
                true => format!("{node} ({name})"),
                false => node.clone(),
            };
            return self
                .load_items(Some(parent), node, items, file, &inside)
                .map(Some);
        }
        let given = path_attribute(&child.attrs)
            .and_then(|path| Some((file.parent()?.join(path), file.parent()?.to_owned())));
        let candidates = [
            given,
            Some((folder.join(format!("{name}.rs")), inside.clone())),
            Some((inside.join("mod.rs"), inside)),
        ];
        match candidates
            .into_iter()
            .flatten()
            .find(|(file, _)| file.is_file())
        {
            Some((file, folder)) => self.load_file(Some(parent), &file, &folder).map(Some),
            None => Ok(None),
        }
    }

    fn edges(&self) -> Edges {
        let mut edges = Edges::new();
        for (index, module) in self.modules.iter().enumerate() {
            let imported = module.contents.imports.iter();
            let imported = imported.filter(|import| {
                let first = import.path.iter().find(|name| *name != "self");
                let is_child = first.is_some_and(|name| module.children.contains_key(name));
                !(import.is_public && is_child)
            });
            let paths = imported.map(|import| &import.path);
            for path in paths.chain(&module.contents.paths) {
                if let Some(defining) = self.defining(index, path, false, 50)
                    && *defining != module.node
                {
                    let from = edges.entry(module.node.clone()).or_default();
                    let item = path.last().cloned().unwrap_or_default();
                    from.entry(defining.clone()).or_insert(item);
                }
            }
        }
        edges
    }

    /// The node that defines what a path names, if it is of this crate. Within the module that the path begins in, an
    /// unknown name is another crate; further on, it is what a macro defines.
    fn defining(&self, index: usize, path: &[String], within: bool, depth: u8) -> Option<&Node> {
        let module = self.modules.get(index)?;
        let Some((first, rest)) = path.split_first() else {
            return Some(&module.node);
        };
        // Re-exports can lead to each other through `*`.
        let depth = depth.checked_sub(1)?;
        match first.as_str() {
            "crate" => return self.defining(0, rest, true, depth),
            "self" => return self.defining(index, rest, true, depth),
            "super" => return self.defining(module.parent?, rest, true, depth),
            _ => {}
        }
        let Contents {
            defined, imports, ..
        } = &module.contents;
        if defined.contains(first) {
            return Some(&module.node);
        }
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
        found.next().or(within.then_some(&module.node))
    }
}

#[derive(Default)]
struct Contents {
    defined: BTreeSet<String>,
    imports: Vec<Import>,
    /// Paths in code that begin with `crate`, `self` or `super`.
    paths: Vec<Vec<String>>,
}

impl<'ast> Visit<'ast> for Contents {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let is_public = !matches!(item.vis, Visibility::Inherited);
        let mut leaves = Vec::new();
        flatten(&item.tree, &mut Vec::new(), &mut leaves);
        let imports = leaves.into_iter().map(|(name, path)| Import {
            name,
            path,
            is_public,
        });
        self.imports.extend(imports);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string());
        let names: Vec<String> = names.collect();
        let is_local = matches!(
            names.first().map(String::as_str),
            Some("crate" | "self" | "super")
        );
        if is_local && names.len() > 1 {
            self.paths.push(names);
        }
        visit::visit_path(self, path);
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
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

/// Whether it is compiled for tests only.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|path| path.is_ident("test"))
    })
}

fn path_attribute(attributes: &[Attribute]) -> Option<String> {
    let mut paths = attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("path"));
    match &paths.next()?.meta.require_name_value().ok()?.value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(path),
            ..
        }) => Some(path.value()),
        _ => None,
    }
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
fn way_back<'e>(edges: &'e Edges, start: &'e Node) -> Option<Vec<&'e Node>> {
    let mut before: HashMap<&Node, &Node> = HashMap::new();
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

fn describe(edges: &Edges, path: &[&Node]) -> String {
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
    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let directory = tempfile::tempdir().unwrap();
        for (path, source) in files {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, source).unwrap();
        }
        assert_eq!(of_crate(directory.path()).unwrap(), expected, "{files:?}");
    }

    #[test]
    fn imports_in_one_direction_are_no_circle() {
        let parent = "mod a;\nmod b;\npub use a::A;\npub(crate) use self::b::{B, b};\n";
        check(
            &[
                ("src/lib.rs", parent),
                (
                    "src/a.rs",
                    "use crate::{B, external::C};\nuse std::fmt;\npub struct A;\n",
                ),
                ("src/b.rs", "use serde::A;\npub struct B;\npub fn b() {}\n"),
            ],
            &[],
        );
    }

    #[test]
    fn a_private_import_from_a_child_that_imports_from_its_parent_is_a_circle() {
        check(
            &[
                ("src/lib.rs", "mod a;\nuse a::A;\nconst LIMIT: u8 = 1;\n"),
                ("src/a.rs", "use super::LIMIT;\npub struct A;\n"),
            ],
            &["src/a.rs -(LIMIT)-> src/lib.rs -(A)-> src/a.rs"],
        );
    }

    #[test]
    fn re_exports_groups_new_names_and_paths_lead_to_the_defining_file() {
        check(
            &[
                ("src/lib.rs", "mod facade;\nmod one;\nmod two;\n"),
                (
                    "src/facade.rs",
                    "pub use crate::{one::*, two::{self as second, Two as Second}};\n",
                ),
                (
                    "src/one.rs",
                    "fn one(_: crate::facade::Second) {}\npub struct One;\n",
                ),
                (
                    "src/two/mod.rs",
                    "fn two() { use crate::facade::{One}; }\npub struct Two;\n",
                ),
            ],
            &["src/one.rs -(Second)-> src/two/mod.rs -(One)-> src/one.rs"],
        );
    }

    #[test]
    fn a_test_module_is_a_node_beside_its_file() {
        let tested = |tests: &str| format!("pub struct A;\n#[cfg(test)]\nmod tests{tests}\n");
        let rest = ("src/b.rs", "use crate::a::A;\npub struct B;\n");
        check(
            &[
                ("src/lib.rs", "mod a;\nmod b;\n"),
                ("src/a.rs", &tested(" { use super::*; use crate::b::B; }")),
                rest,
            ],
            &[],
        );
        check(
            &[
                ("src/lib.rs", "mod a;\nmod b;\n"),
                ("src/a.rs", &tested(";")),
                ("src/a/tests.rs", "use super::*;\nuse crate::b::B;\n"),
                rest,
            ],
            &[],
        );
    }

    #[test]
    fn programs_of_tests_are_read_with_their_modules() {
        check(
            &[
                ("tests/a.rs", "mod common;\nuse common::B;\npub struct A;\n"),
                ("tests/common/mod.rs", "use crate::A;\npub struct B;\n"),
            ],
            &["tests/a.rs -(B)-> tests/common/mod.rs -(A)-> tests/a.rs"],
        );
        check(
            &[
                ("tests/a/main.rs", "mod one;\nmod two;\n"),
                ("tests/a/one.rs", "use super::two::Two;\npub struct One;\n"),
                ("tests/a/two.rs", "use crate::one::One;\npub struct Two;\n"),
            ],
            &["tests/a/one.rs -(Two)-> tests/a/two.rs -(One)-> tests/a/one.rs"],
        );
    }
}
