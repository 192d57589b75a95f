//! Rules of language and form that a program can hold, listed with file and line.
//!
//! * The first line of a doc comment, and of a comment of a proto, names the thing: it opens with a noun or a verb.
//! * Comments and documents are free of words that only this project's authors could decode, and are spelt the British way.
//! * No two types share a name, and none has a name that was retired.
//! * A file of Rust has at most [`LINES_MAX`] lines.
//! * A module with children is a folder with a `mod.rs` (or a `main.rs`, for a test): no file stands beside a folder of its name.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Maximum number of lines of a file of Rust.
const LINES_MAX: usize = 400;

/// Openings of a comment's first line that name no thing: question words, pronouns, prepositions and bare clauses.
const OPENINGS: &[&str] = &[
    "What", "Whatever", "Whether", "Who", "Whom", "Whose", "Which", "How", "Where", "When", "That", "The same", "It",
    "Its", "They", "Their", "Them", "He", "His", "She", "Her", "This", "These", "Those", "Such", "Somebody", "Anybody",
    "Nobody", "Nothing", "Of", "By", "So", "As", "In", "On", "At", "To", "From", "With", "Without", "Until", "Unless",
    "Then", "Once", "Only", "Here", "There",
];

/// Words that are not used in comments and documents, and what to write in their place.
const WORDS: &[(&str, &str)] = &[
    ("whoever", "name who it is"),
    ("anew", "\"again\", or say what is done a second time"),
    ("told", "say who passes what to whom"),
    ("so many", "name the number"),
    ("what is left of", "name the rest"),
    ("behavior", "behaviour"),
    ("neighbor", "neighbour"),
    ("color", "colour"),
    ("center", "centre"),
    ("favor", "favour"),
    ("catalog", "catalogue"),
    ("normalize", "normalise"),
    ("normalized", "normalised"),
    ("optimize", "optimise"),
    ("optimized", "optimised"),
    ("initialize", "initialise"),
    ("serialize", "serialise"),
    ("serialized", "serialised"),
    ("summarize", "summarise"),
    ("recognize", "recognise"),
    ("randomize", "randomise"),
    ("randomized", "randomised"),
];

/// Folder of the client library, whose types mirror those of the API under the names that a caller expects.
const MIRRORS: &str = "src/client/";

/// Names of types that are no nouns, or that stand for things with another name; see the glossary.
const RETIRED_TYPES: &[&str] = &[
    "Told", "Known", "Asked", "Placed", "By", "Of", "Stop", "Heard", "Fate", "Lesson", "Duel", "Duels", "Watch",
    "Insight", "Mark", "Closed", "Counted", "Foreseen", "Taken", "Barred", "Fired", "Seen", "Wanted", "Offered",
    "Written", "Drawn", "Silent", "Packed", "Share", "Shares", "Coder", "Room", "Arrow", "Arena", "Stage", "Turn",
    "Scene", "Shelf", "Life",
];

/// Kinds of files that are looked at.
#[derive(Clone, Copy, PartialEq)]
enum Language {
    Rust,
    Proto,
    Markdown,
}

/// One place that breaks a rule.
#[derive(Debug, PartialEq)]
struct Offence {
    line: usize,
    says: String,
}

/// The repository's root.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files of the repository in the given languages, sorted by path.
fn files(wanted: &[Language]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders: Vec<_> = ["src", "simulator", "proto", "tests", "examples", "docs"].map(|f| root().join(f)).into();
    found.extend(["build.rs", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|f| root().join(f)));
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if !path.is_dir() {
                found.push(path);
            } else if path.file_name().is_some_and(|name| name != "target" && name != "node_modules") {
                folders.push(path);
            }
        }
    }
    found.retain(|path| language(path).is_some_and(|language| wanted.contains(&language)));
    found.sort();
    found
}

/// Language of a file by the end of its name, or `None` if no rule is about it.
fn language(path: &Path) -> Option<Language> {
    match path.extension()?.to_str()? {
        "rs" => Some(Language::Rust),
        "proto" => Some(Language::Proto),
        "md" => Some(Language::Markdown),
        _ => None,
    }
}

/// Text of a line's comment, and whether it documents an item, or `None` if the line is code.
fn comment(line: &str, language: Language) -> Option<(&str, bool)> {
    let line = line.trim_start();
    match language {
        Language::Markdown => Some((line, false)),
        Language::Proto => line.strip_prefix("//").map(|text| (text.trim_start(), true)),
        Language::Rust => line
            .strip_prefix("///")
            .or_else(|| line.strip_prefix("//!"))
            .map(|text| (text.trim_start(), true))
            .or_else(|| line.strip_prefix("//").map(|text| (text.trim_start(), false))),
    }
}

/// Returns whether `text` contains `word` as a whole word, in either case. `word` is in lower case.
fn contains_word(text: &str, word: &str) -> bool {
    let text = text.to_lowercase();
    text.match_indices(word).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let after = text[start + word.len()..].chars().next();
        let is_of_a_word = |c: char| c.is_alphanumeric() || c == '_';
        !before.is_some_and(is_of_a_word) && !after.is_some_and(is_of_a_word)
    })
}

/// Opening of [`OPENINGS`] with which `text` begins, or `None`.
fn banned_opening(text: &str) -> Option<&'static str> {
    let opens = |opening: &&&str| {
        text.strip_prefix(**opening).is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    };
    OPENINGS.iter().find(opens).copied()
}

/// Offences of a text's comments against the rules of language.
fn offences(text: &str, language: Language) -> Vec<Offence> {
    let mut found = Vec::new();
    let mut was_doc = false;
    for (number, line) in text.lines().enumerate().map(|(i, line)| (i + 1, line)) {
        let Some((text, is_doc)) = comment(line, language) else {
            was_doc = false;
            continue;
        };
        let mut offend = |says: String| found.push(Offence { line: number, says });
        if is_doc
            && !was_doc
            && let Some(opening) = banned_opening(text)
        {
            offend(format!("a comment opens with \"{opening}\": begin with the noun or verb that it is about"));
        }
        for (word, instead) in WORDS.iter().filter(|(word, _)| contains_word(text, word)) {
            offend(format!("\"{word}\" is not used here: {instead}"));
        }
        was_doc = is_doc;
    }
    found
}

/// Name of the type that a line defines, or `None`.
fn defined_type(line: &str) -> Option<&str> {
    let mut line = line.trim_start();
    if let Some(rest) = line.strip_prefix("pub") {
        line = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')).map_or(rest, |(_, rest)| rest).trim_start();
    }
    let rest = ["struct ", "enum ", "trait ", "union "].iter().find_map(|keyword| line.strip_prefix(keyword))?;
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    (end > 0).then_some(&rest[..end])
}

/// Path relative to the repository's root.
fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

#[test]
fn comments_and_documents_are_in_plain_english() {
    let mut found = Vec::new();
    for path in files(&[Language::Rust, Language::Proto, Language::Markdown]) {
        // The list of banned words stands in this file.
        if path.ends_with("tidy.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let language = language(&path).unwrap();
        found.extend(
            offences(&text, language).into_iter().map(|o| format!("{}:{}: {}", relative(&path), o.line, o.says)),
        );
    }
    assert!(found.is_empty(), "{} offences:\n{}", found.len(), found.join("\n"));
}

#[test]
fn types_have_names_of_their_own() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in files(&[Language::Rust]).into_iter().filter(|path| !relative(path).starts_with(MIRRORS)) {
        let text = fs::read_to_string(&path).unwrap();
        for (i, line) in text.lines().enumerate() {
            if let Some(name) = defined_type(line) {
                places.entry(name.to_owned()).or_default().push(format!("{}:{}", relative(&path), i + 1));
            }
        }
    }
    let shared: Vec<_> = places
        .iter()
        .filter(|(_, places)| places.len() > 1)
        .map(|(name, places)| format!("{name}: {}", places.join(", ")))
        .collect();
    assert!(shared.is_empty(), "{} names stand for more than one type:\n{}", shared.len(), shared.join("\n"));
    let retired: Vec<_> = places
        .iter()
        .filter(|(name, _)| RETIRED_TYPES.contains(&name.as_str()))
        .map(|(name, places)| format!("{name}: {}", places.join(", ")))
        .collect();
    assert!(retired.is_empty(), "types with retired names:\n{}", retired.join("\n"));
}

#[test]
fn files_are_short() {
    let long: Vec<_> = files(&[Language::Rust])
        .iter()
        .map(|path| (path, fs::read_to_string(path).unwrap().lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(path, lines)| format!("{}:{lines}: more than {LINES_MAX} lines", relative(path)))
        .collect();
    assert!(long.is_empty(), "split by idea:\n{}", long.join("\n"));
}

#[test]
fn a_module_with_children_is_a_folder() {
    let beside: Vec<_> = files(&[Language::Rust])
        .iter()
        .filter(|path| path.with_extension("").is_dir())
        .map(|path| format!("{}:1: stands beside a folder of its name", relative(path)))
        .collect();
    assert!(beside.is_empty(), "move each into its folder as mod.rs, or main.rs for a test:\n{}", beside.join("\n"));
}

#[test]
fn every_rule_finds_what_breaks_it() {
    let lines = |text: &str, language| offences(text, language).iter().map(|o| o.line).collect::<Vec<_>>();
    for opening in OPENINGS {
        assert_eq!(lines(&format!("/// {opening} a slot.\n/// It is one."), Language::Rust), [1], "{opening}");
        assert_eq!(lines(&format!("  // {opening} a slot."), Language::Proto), [1], "{opening}");
    }
    for (word, _) in WORDS {
        assert_eq!(lines(&format!("/// A slot.\n///\n/// Then {word}, say."), Language::Rust), [3], "{word}");
        assert_eq!(lines(&format!("A slot.\n\n{}.", word.to_uppercase()), Language::Markdown), [3], "{word}");
    }
    // Words that only begin or end like a banned one, second lines, code and plain comments are free.
    let free =
        "/// Item that is a renewal.\n/// It holds, of course.\nfn told() {}\n// Of use.\n/// Itself.\nlet _ = 1;";
    assert_eq!(offences(free, Language::Rust), []);
    assert_eq!(lines("//! Slot.\n\n//! It is.", Language::Rust), [3], "a blank line begins another comment");

    assert_eq!(defined_type("    pub(super) struct Slot<'a> {"), Some("Slot"));
    assert_eq!(defined_type("enum Mode {"), Some("Mode"));
    assert_eq!(defined_type("pub trait Journal: Send {"), Some("Journal"));
    assert_eq!(defined_type("let structure = 1;"), None);
    assert_eq!(defined_type("impl Slot {"), None);
    assert!(files(&[Language::Rust]).len() > 300, "the files are found");
    assert!(files(&[Language::Proto]).len() > 5 && files(&[Language::Markdown]).len() > 20);
}
