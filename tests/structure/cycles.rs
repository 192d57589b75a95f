//! The order of the files of `engine`: no two of them import each other, directly or through others, and nor do two of
//! its files and folders, each folder taken as a whole.
//!
//! A file imports another if it names an item that the other defines, also where it names it by the re-export of a
//! `mod.rs`. Tests are not looked at.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use proc_macro2::{TokenStream, TokenTree};

use super::{files, names::named_paths_of, source};

/// Module of a file: its path within the crate, such as `["engine", "decide", "caps"]`.
type ModulePath = Vec<String>;

/// Modules that each module imports.
type Imports = BTreeMap<ModulePath, BTreeSet<ModulePath>>;

/// Source files of one part of the crate, and the paths that each names.
struct SourceFiles {
    /// Name of the file and paths that it names, by module.
    named: BTreeMap<ModulePath, (String, BTreeSet<Vec<String>>)>,
}

impl SourceFiles {
    /// Creates the files from their names, relative to `src`, and their texts.
    fn new<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let named = texts.into_iter().map(|(name, text)| {
            let module = module_path(Path::new(name));
            let paths = named_paths_of(without_tests(text.parse().unwrap()), &module);
            (module, (name.to_owned(), paths))
        });
        Self { named: named.collect() }
    }

    /// Returns the module whose file defines the item of a path, or `None` if the path leaves these files.
    fn defining_module(&self, module: &[String], path: &[String], depth: usize) -> Option<ModulePath> {
        /// Number of re-exports that are followed for one name.
        const DEPTH_MAX: usize = 8;
        let mut at = match path {
            [first, ..] if first == "crate" => Vec::new(),
            // A path of one word may be a variable.
            [_] => return None,
            _ => module.to_vec(),
        };
        let rest = if at.is_empty() { &path[1..] } else { path };
        for (i, name) in rest.iter().enumerate() {
            let child = [&at[..], std::slice::from_ref(name)].concat();
            let is_module = self.named.keys().any(|module| module.starts_with(&child));
            if is_module {
                at = child;
            } else if i == 0 && !at.is_empty() {
                return None;
            } else {
                let (_, paths) = self.named.get(&at)?;
                let imports = paths.iter().filter(|import| import.len() > 1 && import.last() == Some(name));
                let mut imported = imports.filter_map(|import| {
                    let found = (depth < DEPTH_MAX).then(|| self.defining_module(&at, import, depth + 1)).flatten();
                    found.filter(|found| *found != at)
                });
                return imported.next().or_else(|| Some(at.clone()));
            }
        }
        // A module around this one is named where an item is visible in it, which is no import.
        (self.named.contains_key(&at) && !module.starts_with(&at)).then_some(at)
    }

    /// Returns the modules that each module imports. An import between a `mod.rs` and a file of its own folder is left
    /// out: the two are one module in two files.
    fn imports(&self) -> Imports {
        let is_parent =
            |parent: &[String], child: &[String]| child.split_last().is_some_and(|(_, rest)| rest == parent);
        let imports = self.named.iter().map(|(module, (_, paths))| {
            let imported = paths.iter().filter_map(|path| self.defining_module(module, path, 0));
            let imported =
                imported.filter(|other| other != module && !is_parent(other, module) && !is_parent(module, other));
            (module.clone(), imported.collect())
        });
        imports.collect()
    }

    /// Returns the cycles of imports between files, each as the names of its files.
    fn file_cycles(&self) -> Vec<Vec<String>> {
        let name = |module: &&ModulePath| self.named[*module].0.clone();
        cycles(&self.imports()).iter().map(|cycle| cycle.iter().map(name).collect()).collect()
    }

    /// Returns the cycles of imports between the children of a module, each with everything below it, as their paths.
    fn child_cycles(&self, parent: &str) -> Vec<Vec<String>> {
        let child = |module: &ModulePath| match &module[..] {
            [first, child, ..] if first == parent => Some(vec![first.clone(), child.clone()]),
            _ => None,
        };
        let mut imports: Imports = BTreeMap::new();
        for (module, imported) in self.imports() {
            let Some(importer) = child(&module) else { continue };
            let others = imported.iter().filter_map(child).filter(|other| *other != importer);
            let others: Vec<ModulePath> = others.collect();
            imports.entry(importer).or_default().extend(others);
        }
        cycles(&imports).iter().map(|cycle| cycle.iter().map(|module| module.join("/")).collect()).collect()
    }
}

/// Returns the groups of modules that import each other, directly or through others.
fn cycles(imports: &Imports) -> BTreeSet<Vec<&ModulePath>> {
    let reached: BTreeMap<&ModulePath, BTreeSet<&ModulePath>> =
        imports.keys().map(|module| (module, reached_from(module, imports))).collect();
    let mut cycles = BTreeSet::new();
    for (module, from_here) in &reached {
        let returns = |other: &&ModulePath| reached.get(other).is_some_and(|from_there| from_there.contains(module));
        let cycle: Vec<&ModulePath> = from_here.iter().copied().filter(returns).collect();
        if !cycle.is_empty() {
            cycles.insert(cycle);
        }
    }
    cycles
}

/// Returns the modules that a module imports, directly or through others.
fn reached_from<'a>(module: &ModulePath, imports: &'a Imports) -> BTreeSet<&'a ModulePath> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&ModulePath> = imports[module].iter().collect();
    while let Some(next) = open.pop() {
        if reached.insert(next) {
            open.extend(imports.get(next).into_iter().flatten());
        }
    }
    reached
}

/// Returns the module of a file, given relative to `src`.
fn module_path(file: &Path) -> ModulePath {
    let within = file.with_extension("");
    let mut module: ModulePath = within.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if module.last().is_some_and(|name| name == "mod") {
        module.pop();
    }
    module
}

/// Returns the tokens of a file without those of `mod tests { … }`.
fn without_tests(stream: TokenStream) -> TokenStream {
    let mut kept: Vec<TokenTree> = Vec::new();
    let is_word = |token: Option<&TokenTree>, word: &str| matches!(token, Some(TokenTree::Ident(is)) if is == word);
    for token in stream {
        let names_tests = is_word(kept.last(), "tests") && kept.len() > 1 && is_word(kept.get(kept.len() - 2), "mod");
        if !(names_tests && matches!(token, TokenTree::Group(_))) {
            kept.push(token);
        }
    }
    kept.into_iter().collect()
}

#[test]
fn files_of_the_engine_do_not_import_each_other() {
    let is_test = |name: &str| name.contains("/tests/") || name.ends_with("/tests.rs");
    let texts: Vec<(String, String)> = files("engine")
        .into_iter()
        .map(|file| (file.strip_prefix(source()).unwrap().display().to_string(), fs::read_to_string(file).unwrap()))
        .filter(|(name, _)| !is_test(name))
        .collect();
    let engine = SourceFiles::new(texts.iter().map(|(name, text)| (name.as_str(), text.as_str())));
    assert!(engine.imports().values().map(BTreeSet::len).sum::<usize>() > 100, "the imports are found");
    let cycles = [engine.file_cycles(), engine.child_cycles("engine")].concat();
    let cycles: Vec<String> = cycles.iter().map(|cycle| cycle.join(", ")).collect();
    assert!(cycles.is_empty(), "these files or folders import each other:\n{}", cycles.join("\n"));
}

#[test]
fn cycles_are_found_however_they_are_written() {
    let cycles = |texts: &[(&str, &str)]| -> Vec<String> {
        SourceFiles::new(texts.iter().copied()).file_cycles().iter().map(|cycle| cycle.join(" ")).collect()
    };
    let root = ("e/mod.rs", "mod a; mod b; pub use b::B; pub use a::A; struct Own;");
    let direct = [root, ("e/a.rs", "use super::b::B;"), ("e/b.rs", "fn f() { crate::e::a::g() }")];
    assert_eq!(cycles(&direct), ["e/a.rs e/b.rs"]);
    let by_re_export = [root, ("e/a.rs", "use crate::e::B;"), ("e/b.rs", "use super::A; struct B;")];
    assert_eq!(cycles(&by_re_export), ["e/a.rs e/b.rs"]);
    let through_a_third = [
        root,
        ("e/a.rs", "use super::b::B;"),
        ("e/b.rs", "use super::c::deep::D;"),
        ("e/c/deep.rs", "use crate::e::A;"),
    ];
    assert_eq!(cycles(&through_a_third), ["e/a.rs e/b.rs e/c/deep.rs"]);
    let parent_and_child = [root, ("e/a.rs", "use super::Own; struct A;"), ("e/b.rs", "use super::{Own, a::A};")];
    assert_eq!(cycles(&parent_and_child), [""; 0]);
    let between_folders = [
        ("e/a/one.rs", "use super::super::b::two::Two;"),
        ("e/b/two.rs", "struct Two;"),
        ("e/b/three.rs", "use crate::e::a::four::Four;"),
        ("e/a/four.rs", "struct Four;"),
    ];
    assert_eq!(cycles(&between_folders), [""; 0], "no file imports itself through others");
    assert_eq!(SourceFiles::new(between_folders).child_cycles("e"), [["e/a", "e/b"]]);
    let in_a_test = [root, ("e/a.rs", "use super::b::B;"), ("e/b.rs", "mod tests { use crate::e::A; }")];
    assert_eq!(cycles(&in_a_test), [""; 0]);
}
