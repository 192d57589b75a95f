//! The rules of `deny.toml` for licences, bans and sources, checked with cargo alone.

use std::{fs, path::Path, process::Command};

use serde_json::Value as Json;

/// Returns `true` if the allowed licences satisfy a licence expression. `WITH` an exception counts as the licence
/// itself.
fn allowed(expression: &str, licences: &[&str]) -> bool {
    let expression = expression.trim();
    for (operator, all) in [(" OR ", false), (" AND ", true)] {
        let mut depth = 0;
        let mut parts = vec![String::new()];
        let mut rest = expression;
        while let Some(character) = rest.chars().next() {
            depth += i32::from(character == '(') - i32::from(character == ')');
            if depth == 0 && rest.starts_with(operator) {
                parts.push(String::new());
                rest = &rest[operator.len()..];
                continue;
            }
            parts.last_mut().unwrap().push(character);
            rest = &rest[character.len_utf8()..];
        }
        if parts.len() > 1 {
            let mut each = parts.iter().map(|part| allowed(part, licences));
            return if all { each.all(|is| is) } else { each.any(|is| is) };
        }
    }
    if let Some(inner) = expression.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        return allowed(inner, licences);
    }
    licences.contains(&expression.split(" WITH ").next().unwrap_or_default())
}

#[test]
fn licence_expressions_are_read() {
    let allow = ["MIT", "Zlib"];
    for yes in ["MIT", "MIT OR GPL-3.0", "GPL-3.0 OR (MIT AND Zlib)", "MIT WITH X", "(MIT OR A) AND Zlib"] {
        assert!(allowed(yes, &allow), "{yes}");
    }
    for no in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR A) AND B", "", "MIT-0"] {
        assert!(!allowed(no, &allow), "{no}");
    }
}

#[test]
fn dependencies_have_the_licences_and_sources_that_are_allowed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rules: toml::Table = toml::from_str(&fs::read_to_string(root.join("deny.toml")).unwrap()).unwrap();
    let list = |table: &str, key: &str| rules[table][key].as_array().unwrap().clone();
    let words = |list: &[toml::Value]| list.iter().map(|word| word.as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let licences = words(&list("licenses", "allow"));
    let licences: Vec<&str> = licences.iter().map(String::as_str).collect();
    let registries = words(&list("sources", "allow-registry"));
    let banned: Vec<(String, String)> = list("bans", "deny")
        .iter()
        .map(|ban| (ban["crate"].as_str().unwrap().to_owned(), ban["reason"].as_str().unwrap().to_owned()))
        .collect();

    // A machine that built this has the packages of its own platform and no others.
    let version = Command::new(env!("CARGO")).arg("-vV").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", host])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Json = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100, "{} packages", packages.len());
    let mut wrong = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap();
        // A slash is the older way to write OR.
        let licence = package["license"].as_str().unwrap_or_default().replace(" / ", "/").replace('/', " OR ");
        if !allowed(&licence, &licences) {
            wrong.push(format!("{name} has the licence '{licence}', which deny.toml does not allow"));
        }
        let source = package["source"].as_str();
        if source.is_some_and(|source| !registries.iter().any(|one| source == format!("registry+{one}"))) {
            wrong.push(format!("{name} comes from {}", source.unwrap()));
        }
        wrong.extend(banned.iter().filter(|(banned, _)| banned == name).map(|(_, why)| format!("{name} {why}")));
        for dependency in package["dependencies"].as_array().unwrap().iter().filter(|_| source.is_none()) {
            if dependency["req"] == "*" && dependency["path"].is_null() {
                wrong.push(format!("{name} takes any version of {}", dependency["name"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
