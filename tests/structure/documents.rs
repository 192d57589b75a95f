//! The documents: their links lead somewhere, their lines are short, and each names its reader.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Largest size of the README in bytes, so that it can be read in one go.
const README_BYTES_MAX: usize = 8 * 1024;
/// Most characters of a line of prose. Tables and code are exempt.
const LINE_CHARS_MAX: usize = 120;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn markdown_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            markdown_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            files.push(path);
        }
    }
}

fn documents() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].iter().map(|name| root().join(name)).collect();
    markdown_files(&root().join("docs"), &mut files);
    files.sort();
    files
}

/// Returns the text without its code blocks, which hold neither links nor headings.
fn prose(text: &str) -> String {
    let mut inside = false;
    let mut kept = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if !inside {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// Returns the anchor that GitHub gives to a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#'))).collect()
}

/// Returns the targets of the links in `text`.
fn links(text: &str) -> Vec<&str> {
    let ends = text.match_indices("](").map(|(at, _)| &text[at + 2..]);
    ends.filter_map(|rest| rest.split_once(')').map(|(target, _)| target)).collect()
}

#[test]
fn every_internal_link_and_anchor_of_the_documents_leads_somewhere() {
    let mut broken = Vec::new();
    for file in documents() {
        let text = prose(&fs::read_to_string(&file).unwrap());
        for link in links(&text) {
            if link.contains("://") {
                continue;
            }
            let (path, fragment) = link.split_once('#').map_or((link, None), |(path, name)| (path, Some(name)));
            let target = if path.is_empty() { file.clone() } else { file.parent().unwrap().join(path) };
            let found = target.exists()
                && fragment.is_none_or(|name| anchors(&prose(&fs::read_to_string(&target).unwrap())).contains(name));
            if !found {
                broken.push(format!("{}: {link}", file.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_document_names_its_reader_and_wraps_its_lines() {
    let mut offences = Vec::new();
    for file in documents() {
        let text = fs::read_to_string(&file).unwrap();
        let named = text.lines().take(6).any(|line| line.starts_with("*Reader: "));
        if !named && !file.ends_with("README.md") && !file.ends_with("CHANGELOG.md") {
            offences.push(format!("{}: the document does not open with its reader", file.display()));
        }
        // Generated pages have the lines of their sources.
        let generated = file.parent().is_some_and(|folder| folder.ends_with("docs/reference"));
        for line in prose(&text).lines().filter(|_| !generated) {
            if !line.starts_with('|') && line.chars().count() > LINE_CHARS_MAX {
                offences.push(format!("{}: the line is too long: {line}", file.display()));
            }
        }
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

#[test]
fn every_document_can_be_reached_from_the_readme() {
    let mut reached = BTreeSet::new();
    let mut open = vec![root().join("README.md")];
    while let Some(file) = open.pop() {
        let file = file.canonicalize().unwrap();
        if !reached.insert(file.clone()) {
            continue;
        }
        let text = prose(&fs::read_to_string(&file).unwrap());
        for link in links(&text) {
            let path = link.split_once('#').map_or(link, |(path, _)| path);
            if Path::new(path).extension().is_some_and(|extension| extension == "md") && !path.contains("://") {
                open.push(file.parent().unwrap().join(path));
            }
        }
    }
    let lost: Vec<_> =
        documents().into_iter().filter(|file| !reached.contains(&file.canonicalize().unwrap())).collect();
    assert!(lost.is_empty(), "no link from the README leads to {lost:?}");
}

#[test]
fn the_readme_stays_short() {
    let bytes = fs::read_to_string(root().join("README.md")).unwrap().len();
    assert!(bytes <= README_BYTES_MAX, "README.md has {bytes} bytes");
}
