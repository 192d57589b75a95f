//! The files under `deploy/`: they name metrics and flags that exist.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_in(&path)) } else { files.push(path) }
    }
    files
}

/// Words of a text that begin with a prefix.
fn words<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-')
        .filter(move |word| word.starts_with(prefix))
}

#[test]
fn alerts_and_dashboard_name_metrics_that_exist() {
    let source: String =
        files_in(&root().join("src/metrics")).iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let known: BTreeSet<&str> = words(&source, "slotwise_").collect();
    let mut named = 0;
    for file in ["deploy/prometheus/alerts.yml", "deploy/grafana/slotwise.json"] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        for word in words(&text, "slotwise_") {
            let metric = word.strip_suffix("_bucket").unwrap_or(word);
            assert!(known.contains(metric), "{file} names {word}, which is no metric");
            named += 1;
        }
    }
    assert!(named > 20, "{named} metrics");
}

#[test]
fn the_dashboard_is_json_with_a_panel_for_each_question() {
    let text = fs::read_to_string(root().join("deploy/grafana/slotwise.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() >= 10 && panels.iter().all(|panel| panel["title"].is_string()), "{}", panels.len());
}

#[test]
fn commands_use_flags_that_exist() {
    let help = fs::read_to_string(root().join("docs/reference/cli.md")).unwrap();
    let known: BTreeSet<&str> = words(&help, "--").chain(words(&help, "SLOTWISE_")).collect();
    for file in ["deploy/Dockerfile", "deploy/systemd/slotwise.service", "deploy/kubernetes/slotwise.yaml"] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let lines =
            text.lines().filter(|line| ["slotwise", "serve", "SLOTWISE_"].iter().any(|word| line.contains(word)));
        for line in lines.filter(|line| !line.starts_with('#') && !line.contains("cargo") && !line.contains("useradd"))
        {
            for word in words(line, "--").chain(words(line, "SLOTWISE_")) {
                assert!(word == "--" || word.starts_with("--from") || known.contains(word), "{file}: {word}");
            }
        }
    }
}
