//! The order of the modules.
//!
//! A module may use those that its entry names and itself, and nothing else of this crate. The pure modules may not
//! name a runtime, a file, a socket, the environment or the clock. Only `wire` names the API's generated types.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

#[path = "rooms/dependencies.rs"]
mod dependencies;
#[path = "rooms/documents.rs"]
mod documents;
#[path = "rooms/reference.rs"]
mod reference;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Each module with the modules that it may use.
const ARROWS: &[(&str, &[&str])] = &[
    ("stats", &[]),
    ("bandit", &["stats"]),
    ("slot", &["bandit", "stats"]),
    ("engine", &["slot", "bandit", "stats"]),
    ("environment", &["engine", "slot", "bandit"]),
    ("evaluate", &[]),
    ("journal", &[]),
    ("node", &["journal", "engine", "slot", "bandit", "stats"]),
    ("metrics", &["node", "engine"]),
    ("wire", &["metrics", "node", "journal", "engine", "slot", "bandit", "stats"]),
    ("client", &["wire", "engine", "slot"]),
    ("config", &[]),
    ("server", &["config", "journal", "metrics", "node", "slot", "wire"]),
    ("cli", &["environment", "config", "server", "wire", "node", "journal", "engine", "slot", "bandit", "stats"]),
];

/// Modules that know no runtime, no files and no clock.
const PURE: &[&str] = &["stats", "bandit", "slot", "engine", "environment", "evaluate"];

/// Names that only the other modules may use.
const SHELL: &[&str] = &[
    "tokio",
    "tonic",
    "prost",
    "rusqlite",
    "axum",
    "dashmap",
    "tracing",
    "prometheus",
    "std::fs",
    "std::net",
    "std::env",
    "std::thread",
    "std::process",
    "std::io",
    "SystemTime",
    "Instant",
];

/// Module that may name the API's generated types, `proto::`.
const WIRE: &str = "wire";

/// Returns all source files of a module: `name.rs`, or those of its folder.
fn files(room: &str) -> Vec<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let single = source.join(format!("{room}.rs"));
    let mut found = if single.exists() { vec![single] } else { Vec::new() };
    let mut folders = vec![source.join(room)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// Returns the code of a file without comments, with unfolded `use` trees: `use crate::{a::B, c}` becomes `crate::a::B`
/// and `crate::c`, so that no dependency hides in braces.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let without: String = text.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n");
    let mut out = without.clone();
    for root in ["crate", "std", "super"] {
        let opening = format!("{root}::{{");
        let mut rest = without.as_str();
        while let Some(start) = rest.find(&opening) {
            let body = &rest[start + opening.len()..];
            let mut depth = 1;
            let end = body
                .char_indices()
                .find_map(|(i, c)| {
                    depth += i32::from(c == '{') - i32::from(c == '}');
                    (depth == 0).then_some(i)
                })
                .unwrap();
            let mut depth = 0;
            let parts = body[..end].split(|c: char| {
                depth += i32::from(c == '{') - i32::from(c == '}');
                c == ',' && depth == 0
            });
            for part in parts {
                out.extend(["\n", root, "::", part.trim()]);
            }
            rest = &body[end..];
        }
    }
    out
}

/// Returns the modules that the code names as `crate::module`.
fn rooms_named(code: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    code.split("crate::").skip(1).map(word).filter(|name| !name.is_empty()).collect()
}

#[test]
fn rooms_use_only_the_rooms_before_them() {
    let mut wrong = Vec::new();
    for (room, allowed) in ARROWS {
        let files = files(room);
        assert!(!files.is_empty(), "the room {room} is there");
        for file in files {
            for named in rooms_named(&code(&file)) {
                if named != *room && !allowed.contains(&named.as_str()) {
                    wrong.push(format!("{} names crate::{named}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_room_has_its_arrows() {
    let known: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(known.contains_key(name.as_str()) || ["lib", "main"].contains(&name.as_str()), "{name} has no entry");
    }
}

#[test]
fn pure_rooms_name_nothing_of_the_shell() {
    let mut wrong = Vec::new();
    for room in PURE {
        for file in files(room) {
            let code = code(&file);
            for word in SHELL {
                // The tests of a pure module are pure too.
                let named = code.match_indices(word).any(|(at, _)| {
                    let before = code[..at].chars().next_back();
                    let after = code[at + word.len()..].chars().next();
                    let inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
                    !inside(before) && !inside(after)
                });
                if named {
                    wrong.push(format!("{} names {word}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn only_wire_and_the_server_name_generated_types() {
    for (room, _) in ARROWS.iter().filter(|(room, _)| ![WIRE, "server"].contains(room)) {
        for file in files(room) {
            let code = code(&file);
            assert!(!code.contains("wire::proto") && !code.contains("proto::"), "{} names proto", file.display());
        }
    }
}
