//! The order of the modules.
//!
//! A module may use those that its entry names and itself, and nothing else of this crate. The pure modules may not name
//! a runtime, a file, a socket, the environment or the clock. Only `wire` names the API's generated types. No two files of
//! `engine` import each other.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

mod cycles;
mod dependencies;
mod deploy;
mod documents;
mod names;
mod reference;
mod tidy;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use names::named_paths;

/// Each module with the modules that it may use.
const MODULES: &[(&str, &[&str])] = &[
    ("stats", &[]),
    ("bandit", &["stats"]),
    ("slot", &["bandit", "stats"]),
    ("engine", &["evaluate", "slot", "bandit", "stats"]),
    ("environment", &["engine", "slot", "bandit", "stats"]),
    ("evaluate", &[]),
    ("access", &[]),
    ("chart", &[]),
    ("journal", &[]),
    ("node", &["access", "journal", "engine", "slot", "bandit", "stats"]),
    ("metrics", &["node", "engine"]),
    ("wire", &["access", "metrics", "node", "journal", "engine", "slot", "bandit", "stats"]),
    ("client", &["wire", "engine", "slot", "bandit"]),
    ("config", &["access", "slot"]),
    ("server", &["access", "chart", "config", "engine", "journal", "metrics", "node", "slot", "wire"]),
    (
        "cli",
        &[
            "access",
            "environment",
            "client",
            "config",
            "server",
            "wire",
            "node",
            "journal",
            "engine",
            "slot",
            "bandit",
            "stats",
        ],
    ),
];

/// Modules that know no runtime, no files and no clock.
const PURE: &[&str] = &["stats", "bandit", "slot", "engine", "environment", "evaluate"];

/// Names that a pure module may not use: a path that begins with one of them, or has the last one in it.
const IMPURE: &[&str] = &[
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

/// Modules that may name the API's generated types, `proto::`.
const WIRE: [&str; 3] = ["wire", "client", "server"];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Returns all source files of a module: `name.rs`, or those of its folder.
fn files(module: &str) -> Vec<PathBuf> {
    let single = source().join(format!("{module}.rs"));
    let mut found = if single.exists() { vec![single] } else { Vec::new() };
    let mut folders = vec![source().join(module)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// Returns the paths that a file names. Those within the crate begin with `crate`, however the file writes them.
fn paths_in(file: &Path) -> BTreeSet<Vec<String>> {
    let within = file.strip_prefix(source()).unwrap().with_extension("");
    let mut module: Vec<String> = within.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if module.last().is_some_and(|name| name == "mod") {
        module.pop();
    }
    named_paths(&fs::read_to_string(file).unwrap(), &module)
}

#[test]
fn modules_use_only_the_modules_of_their_entry() {
    let known: BTreeSet<&str> = MODULES.iter().map(|(module, _)| *module).collect();
    let mut offences = Vec::new();
    for (module, allowed) in MODULES {
        let files = files(module);
        assert!(!files.is_empty(), "the module {module} does not exist");
        for file in files {
            for path in paths_in(&file).into_iter().filter(|path| path[0] == "crate") {
                let Some(named) = path.get(1).filter(|name| known.contains(name.as_str())) else { continue };
                if named != module && !allowed.contains(&named.as_str()) {
                    offences.push(format!("{} names {}", file.display(), path.join("::")));
                }
            }
        }
    }
    assert!(offences.is_empty(), "{offences:#?}");
}

#[test]
fn every_module_has_an_entry() {
    let known: BTreeSet<&str> = MODULES.iter().map(|(module, _)| *module).chain(["lib", "main"]).collect();
    for entry in fs::read_dir(source()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(known.contains(name), "{name} has no entry");
    }
}

#[test]
fn pure_modules_name_no_runtime_no_file_and_no_clock() {
    let mut offences = Vec::new();
    for module in PURE {
        for file in files(module) {
            // The tests of a pure module are pure too.
            for path in paths_in(&file) {
                let joined = path.join("::");
                let impure = |name: &&str| {
                    path.iter().any(|part| part == *name)
                        || joined == **name
                        || joined.strip_prefix(*name).is_some_and(|rest| rest.starts_with("::"))
                };
                if IMPURE.iter().any(impure) {
                    offences.push(format!("{} names {joined}", file.display()));
                }
            }
        }
    }
    assert!(offences.is_empty(), "{offences:#?}");
}

#[test]
fn only_the_api_its_client_and_the_server_name_generated_types() {
    for (module, _) in MODULES.iter().filter(|(module, _)| !WIRE.contains(module)) {
        for file in files(module) {
            for path in paths_in(&file) {
                let generated = path[..path.len() - 1].iter().any(|part| part == "proto");
                assert!(!generated, "{} names {}", file.display(), path.join("::"));
            }
        }
    }
}
