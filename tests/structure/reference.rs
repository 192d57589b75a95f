//! The reference pages: generated from the code, and compared with the files on disk.
//!
//! `UPDATE_EXPECT=1 cargo test --test structure reference` writes the pages again after a change of the code.

use std::{fmt::Write as _, fs, path::Path, process::Command};

use expect_test::expect_file;

const GENERATED: &str =
    "This page is generated. `UPDATE_EXPECT=1 cargo test --test structure reference` writes it again.";

fn source(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Runs the program and returns its standard output, without blanks at the ends of lines.
fn output(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_slotwise")).args(words).env("COLUMNS", "100").output().unwrap();
    assert!(output.status.success(), "slotwise {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

/// Returns the names under the heading `Commands:` of a help text.
fn subcommands(help: &str) -> Vec<String> {
    let Some((_, rest)) = help.split_once("\nCommands:\n") else { return Vec::new() };
    let rows = rest.lines().take_while(|line| !line.is_empty());
    let names = rows.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").map(str::to_owned).collect()
}

fn describe_command(words: &[&str], page: &mut String) {
    let mut with_help = words.to_vec();
    with_help.push("--help");
    let help = output(&with_help);
    let name = ["slotwise"].iter().chain(words).copied().collect::<Vec<_>>().join(" ");
    write!(page, "\n## `{name}`\n\n```text\n{help}\n```\n").unwrap();
    for subcommand in subcommands(&help) {
        let mut words = words.to_vec();
        words.push(&subcommand);
        describe_command(&words, page);
    }
}

#[test]
fn the_reference_of_the_command_line_is_the_program_s_help() {
    let mut page = format!(
        "# Command line\n\n*Reader: somebody who looks up a command or a flag.*\n\n{GENERATED}\n\n\
         Each flag can be set by a variable: its name in capitals after `SLOTWISE_`.\n"
    );
    describe_command(&[], &mut page);
    expect_file!["../../docs/reference/cli.md"].assert_eq(&page);
}

/// Returns the items of a source file, each with the comment above it in one line. Fields that no file can set are left
/// out.
fn documented(text: &str, comment: &str) -> Vec<(String, String)> {
    let mut items = Vec::new();
    let mut words: Vec<&str> = Vec::new();
    let mut skipped = false;
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix(comment) {
            words.extend(rest.split_whitespace());
        } else if line.starts_with("#[") {
            skipped |= line == "#[serde(skip)]";
        } else {
            if !skipped {
                items.push((words.join(" "), line.to_owned()));
            }
            words.clear();
            skipped = false;
        }
    }
    items
}

#[test]
fn the_reference_of_limits_is_the_table_in_the_code() {
    let mut page = format!(
        "# Limits\n\n*Reader: an engineer who wants to know how much of something a slot or a request may have.*\n\n\
         {GENERATED}\n\n| limit | value | meaning |\n| --- | --- | --- |\n"
    );
    for (meaning, line) in documented(&source("src/slot/limits.rs"), "///") {
        let Some((name, value)) = line.strip_prefix("pub const ").and_then(|rest| rest.split_once(": ")) else {
            continue;
        };
        let Some((_, value)) = value.split_once(" = ") else { continue };
        let meaning = meaning.replace("[`", "`").replace("`]", "`");
        writeln!(page, "| `{name}` | `{}` | {meaning} |", value.trim_end_matches(';')).unwrap();
    }
    expect_file!["../../docs/reference/limits.md"].assert_eq(&page);
}

#[test]
fn the_reference_of_the_configuration_is_the_program_s_own() {
    let defaults = output(&["serve", "--print-config"]);
    let mut page = format!(
        "# Configuration\n\n*Reader: an operator who sets up `slotwise serve`.*\n\n{GENERATED}\n\n\
         The defaults, as `slotwise serve --print-config` prints them:\n\n```toml\n{defaults}\n```\n"
    );
    for (heading, path, start) in [
        ("Settings", "src/config/mod.rs", "pub struct Config"),
        ("`[limits]`", "src/config/limits.rs", "pub struct Limits"),
        ("`[incoming.segment]` and `[incoming.cloudevents]`", "src/config/incoming.rs", "pub struct EventMapping"),
        ("`[profiles]`", "src/config/profiles.rs", "pub struct ProfileSettings"),
        ("`[traces]`", "src/config/traces.rs", "pub struct TraceSettings"),
        ("`[catalogue]`", "src/config/catalogue.rs", "pub struct CatalogueSettings"),
    ] {
        write!(page, "\n## {heading}\n\n| key | meaning |\n| --- | --- |\n").unwrap();
        let text = source(path);
        let (_, rest) = text.split_once(start).unwrap();
        let (body, _) = rest.split_once("\n}").unwrap();
        for (meaning, line) in documented(body, "///") {
            let Some((key, _)) = line.strip_prefix("pub ").and_then(|rest| rest.split_once(':')) else { continue };
            writeln!(page, "| `{key}` | {meaning} |").unwrap();
        }
    }
    expect_file!["../../docs/reference/config.md"].assert_eq(&page);
}

/// Returns the row of a field or of an enum's value, or `None` for another line.
fn field_row(meaning: &str, line: &str) -> Option<String> {
    let (left, _) = line.strip_suffix(';')?.split_once(" = ")?;
    let meaning = meaning.replace('|', "\\|");
    Some(match left.rsplit_once(' ') {
        Some((kind, name)) => format!("| `{name}` | `{kind}` | {meaning} |"),
        None => format!("| `{left}` | | {meaning} |"),
    })
}

/// Appends a table of each message and enum of a file that has fields.
fn describe_messages(items: &[(String, String)], page: &mut String) {
    let mut heading = String::new();
    for (meaning, line) in items {
        if let Some(name) = ["message ", "enum "].iter().find_map(|word| line.strip_prefix(word)) {
            let name = name.trim_end_matches('}').trim_end_matches([' ', '{']);
            heading = format!("\n### `{name}`\n\n{meaning}\n\n| field | type | meaning |\n| --- | --- | --- |\n");
        } else if line.starts_with("service ") {
            heading.clear();
        } else if let Some(row) = field_row(meaning, line).filter(|_| !line.starts_with("option ")) {
            page.push_str(&std::mem::take(&mut heading));
            writeln!(page, "{row}").unwrap();
        }
    }
}

#[test]
fn the_reference_of_the_api_is_what_the_protos_say() {
    let mut page = format!(
        "# API\n\n*Reader: a backend engineer who looks for a call or a field.*\n\n{GENERATED}\n\
         The files under [`proto/slotwise/v1`](../../proto/slotwise/v1) are the source: first come the calls of each service, \
         then the messages and their fields.\n"
    );
    let files = [
        "decision", "feedback", "slot", "draft", "import", "insight", "item", "controls", "rule", "learning",
        "explain", "preview",
    ]
    .map(|file| Path::new("proto/slotwise/v1").join(format!("{file}.proto")))
    .map(|path| documented(&source(path.to_str().unwrap()), "//"));
    for (meaning, line) in files.iter().flatten() {
        if let Some(name) = line.strip_prefix("service ") {
            let name = name.trim_end_matches(" {").trim_end_matches('{');
            write!(page, "\n## `slotwise.v1.{name}`\n\n{meaning}\n\n| call | meaning |\n| --- | --- |\n").unwrap();
        } else if let Some((name, _)) = line.strip_prefix("rpc ").and_then(|rest| rest.split_once('(')) {
            writeln!(page, "| `{name}` | {} |", meaning.replace('|', "\\|")).unwrap();
        }
    }
    page.push_str("\n## Messages\n");
    for items in &files {
        describe_messages(items, &mut page);
    }
    expect_file!["../../docs/reference/api.md"].assert_eq(&page);
}
