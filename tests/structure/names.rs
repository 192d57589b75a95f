//! The paths that a source file names, read from its tokens: neither a comment nor a string can hide or invent one.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Returns every path of a file. `use` trees are unfolded, and `super` and `self` are resolved against `module`, the
/// file's own place in the crate, so that every path within the crate begins with `crate`.
pub(super) fn named_paths(text: &str, module: &[String]) -> BTreeSet<Vec<String>> {
    named_paths_of(text.parse().unwrap(), module)
}

/// Returns every path of a file's tokens, like [`named_paths`].
pub(super) fn named_paths_of(tokens: TokenStream, module: &[String]) -> BTreeSet<Vec<String>> {
    let mut found = BTreeSet::new();
    collect(tokens, module, &mut found);
    found
}

fn collect(stream: TokenStream, module: &[String], found: &mut BTreeSet<Vec<String>>) {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        // A path that goes on from an expression, such as `<T as X>::f`, does not begin here.
        let continues = at >= 2 && is_double_colon(&tokens, at - 2);
        match &tokens[at] {
            TokenTree::Ident(word) if word == "mod" => at += inner_module(&tokens, at, module, found),
            TokenTree::Ident(_) if !continues => at = read_path(&tokens, at, &[], module, found),
            TokenTree::Group(group) => {
                collect(group.stream(), module, found);
                at += 1;
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => at += 1,
        }
    }
}

/// Collects the paths of `mod name { … }`, whose `super` is the module around it. Returns the number of tokens.
fn inner_module(tokens: &[TokenTree], at: usize, module: &[String], found: &mut BTreeSet<Vec<String>>) -> usize {
    let (Some(TokenTree::Ident(name)), Some(TokenTree::Group(body))) = (tokens.get(at + 1), tokens.get(at + 2)) else {
        return 1;
    };
    collect(body.stream(), &[module, &[name.to_string()]].concat(), found);
    3
}

/// Reads the path that begins at `at`, after `prefix`. Returns the place of the token behind it.
fn read_path(
    tokens: &[TokenTree],
    mut at: usize,
    prefix: &[String],
    module: &[String],
    found: &mut BTreeSet<Vec<String>>,
) -> usize {
    let mut path = prefix.to_vec();
    while let Some(TokenTree::Ident(word)) = tokens.get(at) {
        path.push(word.to_string());
        at += 1;
        if !is_double_colon(tokens, at) {
            break;
        }
        if let Some(TokenTree::Group(group)) = tokens.get(at + 2)
            && group.delimiter() == Delimiter::Brace
        {
            read_tree(group.stream(), &path, module, found);
            return at + 3;
        }
        at += 2;
    }
    if let Some(path) = resolve(&path, module) {
        found.insert(path);
    }
    at
}

/// Reads the branches of a `use` tree: `{a::B, c}`.
fn read_tree(stream: TokenStream, prefix: &[String], module: &[String], found: &mut BTreeSet<Vec<String>>) {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ',');
    for branch in tokens.split(is_comma).filter(|branch| !branch.is_empty()) {
        read_path(branch, 0, prefix, module, found);
    }
}

fn is_double_colon(tokens: &[TokenTree], at: usize) -> bool {
    let is_colon = |at| matches!(tokens.get(at), Some(TokenTree::Punct(mark)) if mark.as_char() == ':');
    is_colon(at) && is_colon(at + 1)
}

/// Returns the path from the crate's root, or the path as it is if it leaves the crate. Returns `None` for more `super`
/// than there are modules, which does not compile.
fn resolve(path: &[String], module: &[String]) -> Option<Vec<String>> {
    let ups = path.iter().filter(|part| *part == "super").count();
    let relative = path.first().is_some_and(|part| part == "super" || part == "self");
    if !relative {
        return Some(path.to_vec());
    }
    let kept = module.len().checked_sub(ups)?;
    let rest = path.iter().filter(|part| *part != "super" && *part != "self");
    Some(std::iter::once("crate".to_owned()).chain(module[..kept].iter().chain(rest).cloned()).collect())
}

#[test]
fn paths_are_found_however_they_are_written() {
    let module = ["engine", "decide", "score"].map(str::to_owned);
    let text = r#"
        use crate::{slot::{Arm, self}, stats as s};
        use super::super::{super::node::Node, view::View};
        use std::{fs, io::Read};
        mod tests { use super::super::helper; }
        fn f() -> String { let url = "http://crate::wire"; assert!(super::super::super::journal::open(url) /* crate::cli */) }
        // crate::server
    "#;
    let found: Vec<String> = named_paths(text, &module).into_iter().map(|path| path.join("::")).collect();
    let want = [
        "crate::slot::Arm",
        "crate::stats",
        "crate::node::Node",
        "crate::engine::view::View",
        "std::fs",
        "std::io::Read",
        "crate::engine::decide::helper",
        "crate::journal::open",
    ];
    for path in want {
        assert!(found.iter().any(|named| named == path), "{path} in {found:?}");
    }
    for hidden in ["wire", "cli", "server"] {
        assert!(!found.iter().any(|named| named.contains(hidden)), "{hidden} in {found:?}");
    }
}
