//! Slots as code, and steering a slot from the command line: the real program against a real server.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first thing that is wrong")]

use std::{fmt::Write as _, fs, path::Path, process::Output};

use crate::support::{self, Process, program};

const OFFERS: &str = r#"
slot_id = "offers"
kind = "offer"

[goal]
kinds = [{ kind = "click", weight = 1.0, cap = 1.0 }]

[controls]
exploration = "cautious"
mode = { test = { share = 0.5 } }

[[arms]]
arm_id = "free-shipping"

[[arms]]
arm_id = "gift-wrap"

[[rules]]
name = "no gifts for gold"
when = 'context.loyalty == "gold" && arm.id == "gift-wrap"'
exclude = {}
"#;

fn run(process: &Process, words: &[&str]) -> Output {
    // The variable names the author unless the command does.
    program().env("USER", "ann").args(words).args(["--target", &process.address]).output().unwrap()
}

#[track_caller]
fn expect_exit_code(output: &Output, code: i32) -> String {
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

struct Workspace {
    folder: tempfile::TempDir,
    process: Process,
}

impl Workspace {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let process = Process::start(&folder.path().join("data"));
        fs::create_dir(folder.path().join("slots")).unwrap();
        Self { folder, process }
    }

    fn slots(&self) -> String {
        self.folder.path().join("slots").to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(Path::new(&self.slots()).join(name), text).unwrap();
    }

    #[track_caller]
    fn run(&self, words: &[&str]) -> String {
        expect_exit_code(&run(&self.process, words), 0)
    }
}

#[test]
fn a_difference_is_shown_field_by_field_and_by_the_exit_code() {
    let workspace = Workspace::open();
    let slots = workspace.slots();
    workspace.write("offers.toml", OFFERS);
    workspace.write("search.toml", "slot_id = \"search\"\nkind = \"ranking\"\nopen_catalogue = true\n");

    let new = workspace.run(&["slots", "diff", "-f", &slots]);
    assert!(new.contains("+ offers: a new slot with 2 arms") && new.contains("+ search: a new slot"), "{new}");
    expect_exit_code(&run(&workspace.process, &["slots", "diff", "-f", &slots, "--check"]), 2);
    expect_exit_code(&run(&workspace.process, &["slots", "apply", "-f", &slots, "--check"]), 2);
    assert!(workspace.run(&["slots", "list"]).contains("no slots yet"), "neither command changed anything");

    workspace.run(&["slots", "apply", &slots]);
    for words in [["slots", "diff", &slots, "--check"], ["slots", "apply", &slots, "--check"]] {
        let same = workspace.run(&words);
        assert_eq!(same.matches("no difference").count(), 2, "{same}");
    }
    let file = format!("{slots}/offers.toml");
    workspace
        .write("offers.toml", &OFFERS.replace("cautious", "curious").replace("exclude = {}", "pin = { position = 1 }"));
    let output = expect_exit_code(&run(&workspace.process, &["slots", "diff", "-f", &file, "--check"]), 2);
    for line in [
        "~ controls.exploration_preset: cautious → curious",
        "- rules[\"no gifts for gold\"].exclude: true",
        "+ rules[\"no gifts for gold\"].pin.position: 1",
    ] {
        assert!(output.contains(line), "{line} in {output}");
    }
    assert!(!output.contains('\u{1b}'), "there are no colours without a terminal");
    let json = workspace.run(&["slots", "get", "offers", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["controls"]["exploration"], "cautious", "diff changed nothing");
    workspace.run(&["slots", "apply", "-f", &file]);
    assert!(workspace.run(&["slots", "diff", "-f", &file]).contains("no difference"));

    let both = run(&workspace.process, &["slots", "diff", "-f", &file, &file]);
    assert!(expect_exit_code(&both, 2).contains("cannot be used with"));
    workspace.write("offers.toml", &OFFERS.replace("exclude = {}", "exlude = {}"));
    let unknown = expect_exit_code(&run(&workspace.process, &["slots", "diff", "-f", &file]), 1);
    assert!(unknown.contains("did you mean 'exclude'"), "{unknown}");
    workspace.write("offers.toml", &OFFERS.replace("mode =", "moode ="));
    let unknown = expect_exit_code(&run(&workspace.process, &["slots", "diff", "-f", &file]), 1);
    assert!(unknown.contains("line 10") && unknown.contains("did you mean 'mode'"), "{unknown}");
}

/// A file that omits the holdout leaves the slot's holdout as it is; a new slot gets the service's default.
#[test]
fn a_file_that_omits_the_holdout_keeps_it() {
    let workspace = Workspace::open();
    let file = format!("{}/offers.toml", workspace.slots());
    workspace.write("offers.toml", &OFFERS.replace("[controls]", "[controls]\nholdout = 0.3"));
    workspace.run(&["slots", "apply", &file]);
    workspace.write("offers.toml", OFFERS);
    workspace.run(&["slots", "apply", &file, "--check"]);
    let text = workspace.run(&["slots", "get", "offers"]);
    assert!(text.contains("holdout = 0.3"), "{text}");
}

#[test]
fn the_history_of_a_slot_names_who_changed_it() {
    let workspace = Workspace::open();
    workspace.write("offers.toml", OFFERS);
    workspace.run(&["slots", "apply", "-f", &workspace.slots(), "--reason", "the first one"]);
    let before = workspace.run(&["slots", "get", "offers"]);

    let paused = workspace.run(&["slots", "pause", "offers", "gift-wrap", "--author", "bob"]);
    assert!(paused.contains("gift-wrap: not shown (revision 2)"), "{paused}");
    let text = workspace.run(&["slots", "get", "offers", "--all"]);
    assert!(text.contains("unavailable_because = \"paused\""), "{text}");
    let unknown = expect_exit_code(&run(&workspace.process, &["slots", "pause", "offers", "gift-wrp"]), 1);
    assert!(unknown.contains("did you mean 'gift-wrap'"), "{unknown}");

    let safe = workspace.run(&["slots", "safe", "offers", "on", "--reason", "too wild"]);
    assert!(safe.contains("offers: safe choice on (revision 3)"), "{safe}");
    assert!(workspace.run(&["slots", "list"]).contains("(safe choice)"));
    assert!(workspace.run(&["slots", "safe", "--all", "on"]).contains("nothing was changed"));
    assert!(workspace.run(&["slots", "safe", "--all", "off"]).contains("offers: safe choice off (revision 4)"));
    let resumed = workspace.run(&["slots", "resume", "offers", "gift-wrap", "free-shipping"]);
    assert!(resumed.contains("may be shown (revision 5)"), "{resumed}");
    for words in [&["slots", "safe", "on"] as &[&str], &["slots", "safe", "offers", "on", "--all"]] {
        assert!(expect_exit_code(&run(&workspace.process, words), 1).contains("slots safe offers on"));
    }
    workspace.write("offers.toml", &OFFERS.replace("cautious", "curious"));
    workspace.run(&["slots", "apply", "-f", &workspace.slots(), "--reason", "try more"]);
    let back = workspace.run(&["slots", "rollback", "offers", "2", "--reason", "too curious"]);
    assert!(back.contains("(revision 7)"), "{back}");
    assert_eq!(workspace.run(&["slots", "get", "offers", "--revision", "1"]), before);

    let history = workspace.run(&["slots", "history", "offers"]);
    let lines: Vec<&str> = history.lines().collect();
    let heads = lines.iter().filter(|line| !line.starts_with(' '));
    let heads: Vec<String> = heads
        .map(|line| line.split("  ").enumerate().filter(|(i, _)| *i != 1).map(|(_, w)| w).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        heads,
        [
            "7 rolled back to 2 by ann: too curious",
            "6 updated by ann: try more",
            "5 availability by ann: slots resume",
            "4 updated by ann: slots safe off",
            "3 updated by ann: too wild",
            "2 availability by bob: slots pause",
            "1 created by ann: the first one",
        ]
    );
    assert!(history.contains("    + controls.safe_choice: true"), "{history}");
    assert!(history.contains("    from 127.0.0.1:") && history.contains(", request "), "{history}");
    assert!(history.contains("    ~ arms[\"gift-wrap\"].available: true → false"), "{history}");
    let newest = workspace.run(&["slots", "history", "offers", "-n", "1", "-o", "json"]);
    let newest: serde_json::Value = serde_json::from_str(&newest).unwrap();
    assert_eq!(newest.as_array().unwrap().len(), 1);
    assert_eq!(
        (newest[0]["revision"].as_u64(), newest[0]["author"].as_str(), newest[0]["diff"].as_array().unwrap().len()),
        (Some(7), Some("ann"), 1)
    );
}

/// Ids and texts of callers appear unchanged in documents and tables, and a terminal never obeys them.
#[tokio::test(flavor = "multi_thread")]
async fn odd_ids_pass_through_every_command_and_no_terminal_obeys_a_text() {
    const ODD: &str = r#"a"b\c,d=e'f<g>&h"#;
    let workspace = Workspace::open();
    let mut clients = support::Clients::connect(&workspace.process.address).await;
    let mut slot = support::slot("offers", &[ODD, "gid://shopify/Product/7967", "crème brûlée", "gift\u{202e}card"]);
    slot.display_name = "\u{1b}[2J\u{9b}Offers\n".into();
    slot.arms[1].attributes = support::context(&[("word\u{7}", support::text("\u{1b}]0;x\u{7}"))]);
    clients.create(slot).await.unwrap();

    let document = workspace.run(&["slots", "get", "offers"]);
    workspace.write("offers.toml", &document);
    let file = format!("{}/offers.toml", workspace.slots());
    assert_eq!(workspace.run(&["slots", "apply", &file]).trim(), "unchanged offers (revision 1)");
    workspace.run(&["slots", "pause", "offers", ODD, "--reason", "\u{1b}[2J\rgone\nforged"]);
    let path = format!("arms[{ODD:?}].available");
    let request = slotwise::wire::proto::DecideRequest {
        context: support::context(&[("\u{1b}[3J", support::text("\u{1b}[2J"))]),
        count: 4,
        ..support::decide("offers")
    };
    let decision = clients.decide(request).await.unwrap().decision_id;
    let mut printed = Vec::new();
    for words in [
        &["slots", "list"][..],
        &["slots", "history", "offers"],
        &["slots", "diff", &file],
        &["slots", "preview", &file],
        &["report", "offers"],
        &["slots", "resume", "offers", ODD, "nothing\u{1b}[2J"],
    ] {
        let output = run(&workspace.process, words);
        printed.push(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)));
    }
    // The decision is recorded after it is answered.
    for _ in 0..100 {
        let output = run(&workspace.process, &["explain", &decision]);
        if output.status.success() {
            printed.push(expect_exit_code(&output, 0));
            break;
        }
    }
    assert_eq!(printed.len(), 7, "{printed:?}");
    // The name of a file comes from the shell, and no service has escaped it.
    printed.push(expect_exit_code(&run(&workspace.process, &["slots", "diff", "no\u{1b}[2J.toml"]), 1));
    for text in &printed {
        let obeyed = text.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
        assert_eq!(obeyed, None, "{text:?}");
    }
    assert!(printed[0].contains(r"\u001b[2J\u009bOffers\u000a"), "{}", printed[0]);
    assert!(printed[1].contains(&path) && printed[1].contains(r"\u001b[2J\u000dgone\u000aforged"), "{}", printed[1]);
    assert!(printed[4].contains(ODD) && printed[4].contains("crème brûlée"), "{}", printed[4]);
    assert!(printed[6].contains(r#"\u001b[3J = "\u001b[2J""#), "{}", printed[6]);
    // The borders of a table are aligned, whatever its cells hold.
    let table = printed[4].lines().filter(|line| line.contains(['│', '┌', '└']));
    let widths: std::collections::BTreeSet<usize> = table.map(|line| line.chars().count()).collect();
    assert_eq!(widths.len(), 1, "{}", printed[4]);
}

/// An unchanged file that is applied again leaves what operations switched.
#[test]
fn an_applied_file_leaves_what_operations_own() {
    let workspace = Workspace::open();
    let file = format!("{}/offers.toml", workspace.slots());
    let own = OFFERS.replace("mode = { test = { share = 0.5 } }\n", "");
    workspace.write("offers.toml", &own);
    workspace.run(&["slots", "apply", &file]);
    workspace.run(&["slots", "safe", "offers", "on"]);
    workspace.run(&["slots", "pause", "offers", "gift-wrap", "--out-of-stock"]);
    assert!(workspace.run(&["slots", "diff", &file]).contains("no difference"));
    assert!(workspace.run(&["slots", "preview", &file]).contains("no difference"));
    assert!(workspace.run(&["slots", "apply", &file]).starts_with("unchanged offers"));
    let steered = |text: &str| text.contains("safe_choice = true") && text.contains("out_of_stock");
    let all = workspace.run(&["slots", "get", "offers", "--all"]);
    assert!(steered(&all), "{all}");

    // The command prints a change of another field, which leaves them too.
    workspace.write("offers.toml", &own.replace("cautious", "curious"));
    let output = workspace.run(&["slots", "apply", &file]);
    assert!(output.contains("updated   offers") && output.contains("cautious → curious"), "{output}");
    assert_eq!(output.lines().count(), 2, "{output}");
    let rolled = workspace.run(&["slots", "rollback", "offers", "1"]);
    assert!(rolled.contains("but for what operations own") && rolled.contains("curious → cautious"), "{rolled}");
    assert!(steered(&workspace.run(&["slots", "get", "offers", "--all"])));

    // The document that `get` writes lists what it leaves out, and changes nothing when it is applied later.
    let got = workspace.run(&["slots", "get", "offers"]);
    for line in ["#   controls.safe_choice = true", "#   arm \"gift-wrap\": not available (out of stock)"] {
        assert!(got.contains(line), "{line} in {got}");
    }
    workspace.run(&["slots", "safe", "offers", "off"]);
    workspace.write("offers.toml", &got);
    assert!(workspace.run(&["slots", "apply", &file]).starts_with("unchanged"));

    // A file that names these fields sets them.
    workspace.write("offers.toml", &all);
    let output = workspace.run(&["slots", "apply", &file]);
    assert!(output.contains("+ controls.safe_choice: true"), "{output}");
    workspace.write("offers.toml", &own.replace("arm_id = \"gift-wrap\"", "arm_id = \"gift-wrap\"\navailable = true"));
    let output = workspace.run(&["slots", "apply", &file]);
    assert!(output.contains("available: false → true"), "{output}");
}

#[test]
fn a_file_that_removes_arms_is_refused_without_a_flag() {
    let workspace = Workspace::open();
    let file = format!("{}/offers.toml", workspace.slots());
    workspace.write("offers.toml", OFFERS);
    workspace.run(&["slots", "apply", &file]);
    let other = "slot_id = \"another\"\n";
    workspace.write("another.toml", other);
    workspace.write("offers.toml", "slot_id = \"offers\"\ndisplay_name = \"bare\"\n[[arms]]\narm_id = \"new\"\n");
    let warning =
        "would remove 2 of the 2 arms of 'offers', which the file does not list: 'free-shipping', 'gift-wrap'";
    let refused = expect_exit_code(&run(&workspace.process, &["slots", "apply", &workspace.slots()]), 1);
    assert!(refused.contains(warning) && refused.contains("--remove-arms"), "{refused}");
    let list = workspace.run(&["slots", "list"]);
    assert!(!list.contains("another"), "no file is applied where one is refused: {list}");
    for command in ["diff", "preview"] {
        let output = workspace.run(&["slots", command, &file]);
        assert!(output.contains(warning), "{output}");
        assert!(!workspace.run(&["slots", command, &file, "--remove-arms"]).contains("would remove"));
        assert!(!workspace.run(&["slots", command, &file, "--keep-arms"]).contains("would remove"));
    }
    let kept = workspace.run(&["slots", "apply", &file, "--keep-arms"]);
    assert!(kept.contains("+ display_name: bare") && kept.contains("+ arms[\"new\"]: available"), "{kept}");
    assert!(!kept.contains("- arms"), "{kept}");
    let removed = workspace.run(&["slots", "apply", &file, "--remove-arms"]);
    assert!(removed.contains("- arms[\"gift-wrap\"]"), "{removed}");
}

/// A catalogue that does not fit into one message. `SLOTWISE_CATALOGUE=10000` sets the number of arms.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test's own setting")]
fn a_catalogue_larger_than_a_message_is_created_and_changed() {
    let size: usize = std::env::var("SLOTWISE_CATALOGUE").map_or(4_500, |size| size.parse().unwrap());
    let workspace = Workspace::open();
    let file = format!("{}/large.toml", workspace.slots());
    let text = "x".repeat(1_000);
    let mut document = String::from(
        "slot_id = \"large\"\nkind = \"ranking\"\ndefault_arm_id = \"arm4400\"\n[goal]\nkinds = [{ kind = \"click\", weight = 1.0 }]\n",
    );
    for i in 0..size {
        writeln!(document, "[[arms]]\narm_id = \"arm{i}\"\npayload = {{ text = \"{text}\" }}").unwrap();
    }
    workspace.write("large.toml", &document);
    assert!(workspace.run(&["slots", "apply", &file]).starts_with("created   large"));
    assert!(workspace.run(&["slots", "apply", &file]).starts_with("unchanged large"));
    assert!(workspace.run(&["slots", "list"]).contains(&size.to_string()));
    let paused = workspace.run(&["slots", "pause", "large", "arm7"]);
    assert!(paused.contains("arm7: not shown"), "{paused}");
    // One arm changes, a new one comes first, and one is removed.
    let changed =
        document.replacen(&text, "short", 1).replace("[[arms]]\narm_id = \"arm3\"\n", "[[arms]]\narm_id = \"first\"\n");
    workspace.write("large.toml", &changed);
    let output = workspace.run(&["slots", "apply", &file, "--remove-arms"]);
    assert!(output.contains("+ arms[\"first\"]") && output.contains("- arms[\"arm3\"]"), "{output}");
    assert!(output.contains("arms[\"arm0\"].payload"), "{output}");
    let history = workspace.run(&["slots", "history", "large"]);
    assert!(history.contains("arms[\"arm7\"].available"), "{history}");
    assert!(workspace.run(&["slots", "diff", &file]).contains("no difference"));
    let got = workspace.run(&["slots", "get", "large"]);
    assert!(got.contains("arm_id = \"arm4400\"") && got.contains("arm \"arm7\": not available (paused)"));
}
