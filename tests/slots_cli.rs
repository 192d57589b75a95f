//! Slots as code, and steering a slot from the command line: the real program against a real server.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first thing that is wrong")]

mod support;

use std::{fmt::Write as _, fs, path::Path, process::Output};

use support::{Process, program};

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
fn ended(output: &Output, code: i32) -> String {
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{told}");
    told
}

struct Shop {
    folder: tempfile::TempDir,
    process: Process,
}

impl Shop {
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
    fn good(&self, words: &[&str]) -> String {
        ended(&run(&self.process, words), 0)
    }
}

#[test]
fn a_difference_is_told_field_by_field_and_by_the_exit_code() {
    let shop = Shop::open();
    let slots = shop.slots();
    shop.write("offers.toml", OFFERS);
    shop.write("search.toml", "slot_id = \"search\"\nkind = \"ranking\"\nopen_catalogue = true\n");

    let new = shop.good(&["slots", "diff", "-f", &slots]);
    assert!(new.contains("+ offers: a new slot with 2 arms") && new.contains("+ search: a new slot"), "{new}");
    ended(&run(&shop.process, &["slots", "diff", "-f", &slots, "--check"]), 2);
    ended(&run(&shop.process, &["slots", "apply", "-f", &slots, "--check"]), 2);
    assert!(shop.good(&["slots", "list"]).contains("no slots yet"), "neither changed anything");

    shop.good(&["slots", "apply", &slots]);
    for words in [["slots", "diff", &slots, "--check"], ["slots", "apply", &slots, "--check"]] {
        let same = shop.good(&words);
        assert_eq!(same.matches("no difference").count(), 2, "{same}");
    }
    let file = format!("{slots}/offers.toml");
    shop.write("offers.toml", &OFFERS.replace("cautious", "curious").replace("exclude = {}", "pin = { position = 1 }"));
    let told = ended(&run(&shop.process, &["slots", "diff", "-f", &file, "--check"]), 2);
    for line in [
        "~ controls.exploration_stop: cautious → curious",
        "- rules[\"no gifts for gold\"].exclude: true",
        "+ rules[\"no gifts for gold\"].pin.position: 1",
    ] {
        assert!(told.contains(line), "{line} in {told}");
    }
    assert!(!told.contains('\u{1b}'), "no colours where there is no terminal");
    let json = shop.good(&["slots", "get", "offers", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["controls"]["exploration"], "cautious", "diff changed nothing");
    shop.good(&["slots", "apply", "-f", &file]);
    assert!(shop.good(&["slots", "diff", "-f", &file]).contains("no difference"));

    let both = run(&shop.process, &["slots", "diff", "-f", &file, &file]);
    assert!(ended(&both, 2).contains("cannot be used with"));
    shop.write("offers.toml", &OFFERS.replace("exclude = {}", "exlude = {}"));
    let unknown = ended(&run(&shop.process, &["slots", "diff", "-f", &file]), 1);
    assert!(unknown.contains("did you mean 'exclude'"), "{unknown}");
    shop.write("offers.toml", &OFFERS.replace("mode =", "moode ="));
    let unknown = ended(&run(&shop.process, &["slots", "diff", "-f", &file]), 1);
    assert!(unknown.contains("line 10") && unknown.contains("did you mean 'mode'"), "{unknown}");
}

/// A file that omits the holdout leaves the slot's holdout as it is; a new slot gets the service's default.
#[test]
fn a_file_that_does_not_speak_of_the_holdout_leaves_it_alone() {
    let shop = Shop::open();
    let file = format!("{}/offers.toml", shop.slots());
    shop.write("offers.toml", &OFFERS.replace("[controls]", "[controls]\nholdout = 0.3"));
    shop.good(&["slots", "apply", &file]);
    shop.write("offers.toml", OFFERS);
    shop.good(&["slots", "apply", &file, "--check"]);
    let text = shop.good(&["slots", "get", "offers"]);
    assert!(text.contains("holdout = 0.3"), "{text}");
}

#[test]
fn a_slot_is_steered_and_its_history_tells_by_whom() {
    let shop = Shop::open();
    shop.write("offers.toml", OFFERS);
    shop.good(&["slots", "apply", "-f", &shop.slots(), "--reason", "the first one"]);
    let before = shop.good(&["slots", "get", "offers"]);

    let paused = shop.good(&["slots", "pause", "offers", "gift-wrap", "--author", "bob"]);
    assert!(paused.contains("gift-wrap: not shown (revision 2)"), "{paused}");
    let text = shop.good(&["slots", "get", "offers", "--all"]);
    assert!(text.contains("unavailable_because = \"paused\""), "{text}");
    let unknown = ended(&run(&shop.process, &["slots", "pause", "offers", "gift-wrp"]), 1);
    assert!(unknown.contains("did you mean 'gift-wrap'"), "{unknown}");

    let safe = shop.good(&["slots", "safe", "offers", "on", "--reason", "too wild"]);
    assert!(safe.contains("offers: safe choice on (revision 3)"), "{safe}");
    assert!(shop.good(&["slots", "list"]).contains("(safe choice)"));
    assert!(shop.good(&["slots", "safe", "--all", "on"]).contains("nothing was changed"));
    assert!(shop.good(&["slots", "safe", "--all", "off"]).contains("offers: safe choice off (revision 4)"));
    let resumed = shop.good(&["slots", "resume", "offers", "gift-wrap", "free-shipping"]);
    assert!(resumed.contains("may be shown (revision 5)"), "{resumed}");
    for words in [&["slots", "safe", "on"] as &[&str], &["slots", "safe", "offers", "on", "--all"]] {
        assert!(ended(&run(&shop.process, words), 1).contains("slots safe offers on"));
    }
    shop.write("offers.toml", &OFFERS.replace("cautious", "curious"));
    shop.good(&["slots", "apply", "-f", &shop.slots(), "--reason", "try more"]);
    let back = shop.good(&["slots", "rollback", "offers", "2", "--reason", "too curious"]);
    assert!(back.contains("(revision 7)"), "{back}");
    assert_eq!(shop.good(&["slots", "get", "offers", "--revision", "1"]), before);

    let history = shop.good(&["slots", "history", "offers"]);
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
    let newest = shop.good(&["slots", "history", "offers", "-n", "1", "-o", "json"]);
    let newest: serde_json::Value = serde_json::from_str(&newest).unwrap();
    assert_eq!(newest.as_array().unwrap().len(), 1);
    assert_eq!(
        (newest[0]["revision"].as_u64(), newest[0]["author"].as_str(), newest[0]["diff"].as_array().unwrap().len()),
        (Some(7), Some("ann"), 1)
    );
}

/// Ids and texts of callers appear unchanged in documents and tables, and a terminal never obeys them.
#[tokio::test(flavor = "multi_thread")]
async fn odd_ids_go_through_every_command_and_no_text_is_obeyed() {
    const ODD: &str = r#"a"b\c,d=e'f<g>&h"#;
    let shop = Shop::open();
    let mut clients = support::Clients::connect(&shop.process.address).await;
    let mut slot = support::slot("offers", &[ODD, "gid://shopify/Product/7967", "crème brûlée"]);
    slot.display_name = "\u{1b}[2J\u{9b}Offers\n".into();
    slot.arms[1].attributes = support::context(&[("word\u{7}", support::text("\u{1b}]0;x\u{7}"))]);
    clients.create(slot).await.unwrap();

    let document = shop.good(&["slots", "get", "offers"]);
    shop.write("offers.toml", &document);
    let file = format!("{}/offers.toml", shop.slots());
    assert_eq!(shop.good(&["slots", "apply", &file]).trim(), "unchanged offers (revision 1)");
    shop.good(&["slots", "pause", "offers", ODD, "--reason", "\u{1b}[2J\rgone\nforged"]);
    let path = format!("arms[{ODD:?}].available");
    let request = slotwise::wire::proto::DecideRequest {
        context: support::context(&[("\u{1b}[3J", support::text("\u{1b}[2J"))]),
        ..support::decide("offers")
    };
    let decision = clients.decide(request).await.unwrap().decision_id;
    let mut told = Vec::new();
    for words in [
        &["slots", "list"][..],
        &["slots", "history", "offers"],
        &["slots", "diff", &file],
        &["slots", "preview", &file],
        &["report", "offers"],
        &["slots", "resume", "offers", ODD, "nothing\u{1b}[2J"],
    ] {
        let output = run(&shop.process, words);
        told.push(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)));
    }
    // The decision is recorded after it is answered.
    for _ in 0..100 {
        let output = run(&shop.process, &["explain", &decision]);
        if output.status.success() {
            told.push(ended(&output, 0));
            break;
        }
    }
    assert_eq!(told.len(), 7, "{told:?}");
    for told in &told {
        let obeyed = told.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(obeyed, None, "{told:?}");
    }
    assert!(told[0].contains(r"\u001b[2J\u009bOffers\u000a"), "{}", told[0]);
    assert!(told[1].contains(&path) && told[1].contains(r"\u001b[2J\u000dgone\u000aforged"), "{}", told[1]);
    assert!(told[4].contains(ODD) && told[4].contains("crème brûlée"), "{}", told[4]);
    assert!(told[6].contains(r#"\u001b[3J = "\u001b[2J""#), "{}", told[6]);
    // The borders of a table are aligned, whatever its cells hold.
    let table = told[4].lines().filter(|line| line.contains(['│', '┌', '└']));
    let widths: std::collections::BTreeSet<usize> = table.map(|line| line.chars().count()).collect();
    assert_eq!(widths.len(), 1, "{}", told[4]);
}

/// An unchanged file that is applied again leaves what operations switched.
#[test]
fn an_applied_file_leaves_what_operations_own() {
    let shop = Shop::open();
    let file = format!("{}/offers.toml", shop.slots());
    let own = OFFERS.replace("mode = { test = { share = 0.5 } }\n", "");
    shop.write("offers.toml", &own);
    shop.good(&["slots", "apply", &file]);
    shop.good(&["slots", "safe", "offers", "on"]);
    shop.good(&["slots", "pause", "offers", "gift-wrap", "--out-of-stock"]);
    assert!(shop.good(&["slots", "diff", &file]).contains("no difference"));
    assert!(shop.good(&["slots", "preview", &file]).contains("no difference"));
    assert!(shop.good(&["slots", "apply", &file]).starts_with("unchanged offers"));
    let steered = |text: &str| text.contains("safe_choice = true") && text.contains("out_of_stock");
    let all = shop.good(&["slots", "get", "offers", "--all"]);
    assert!(steered(&all), "{all}");

    // The command prints a change of another field, which leaves them too.
    shop.write("offers.toml", &own.replace("cautious", "curious"));
    let told = shop.good(&["slots", "apply", &file]);
    assert!(told.contains("updated   offers") && told.contains("cautious → curious"), "{told}");
    assert_eq!(told.lines().count(), 2, "{told}");
    let rolled = shop.good(&["slots", "rollback", "offers", "1"]);
    assert!(rolled.contains("but for what operations own") && rolled.contains("curious → cautious"), "{rolled}");
    assert!(steered(&shop.good(&["slots", "get", "offers", "--all"])));

    // The document that `get` writes lists what it leaves out, and changes nothing when it is applied later.
    let got = shop.good(&["slots", "get", "offers"]);
    for line in ["#   controls.safe_choice = true", "#   arm \"gift-wrap\": not available (out of stock)"] {
        assert!(got.contains(line), "{line} in {got}");
    }
    shop.good(&["slots", "safe", "offers", "off"]);
    shop.write("offers.toml", &got);
    assert!(shop.good(&["slots", "apply", &file]).starts_with("unchanged"));

    // A file that names these fields sets them.
    shop.write("offers.toml", &all);
    let told = shop.good(&["slots", "apply", &file]);
    assert!(told.contains("+ controls.safe_choice: true"), "{told}");
    shop.write("offers.toml", &own.replace("arm_id = \"gift-wrap\"", "arm_id = \"gift-wrap\"\navailable = true"));
    let told = shop.good(&["slots", "apply", &file]);
    assert!(told.contains("available: false → true"), "{told}");
}

#[test]
fn a_file_that_would_remove_arms_is_refused_unless_that_is_asked_for() {
    let shop = Shop::open();
    let file = format!("{}/offers.toml", shop.slots());
    shop.write("offers.toml", OFFERS);
    shop.good(&["slots", "apply", &file]);
    let other = "slot_id = \"another\"\n";
    shop.write("another.toml", other);
    shop.write("offers.toml", "slot_id = \"offers\"\ndisplay_name = \"bare\"\n[[arms]]\narm_id = \"new\"\n");
    let would = "would remove 2 of the 2 arms of 'offers', which the file does not list: 'free-shipping', 'gift-wrap'";
    let refused = ended(&run(&shop.process, &["slots", "apply", &shop.slots()]), 1);
    assert!(refused.contains(would) && refused.contains("--remove-arms"), "{refused}");
    let list = shop.good(&["slots", "list"]);
    assert!(!list.contains("another"), "no file is applied where one is refused: {list}");
    for command in ["diff", "preview"] {
        let told = shop.good(&["slots", command, &file]);
        assert!(told.contains(would), "{told}");
        assert!(!shop.good(&["slots", command, &file, "--remove-arms"]).contains("would remove"));
        assert!(!shop.good(&["slots", command, &file, "--keep-arms"]).contains("would remove"));
    }
    let kept = shop.good(&["slots", "apply", &file, "--keep-arms"]);
    assert!(kept.contains("+ display_name: bare") && kept.contains("+ arms[\"new\"]: available"), "{kept}");
    assert!(!kept.contains("- arms"), "{kept}");
    let removed = shop.good(&["slots", "apply", &file, "--remove-arms"]);
    assert!(removed.contains("- arms[\"gift-wrap\"]"), "{removed}");
}

/// A catalogue that does not fit into one message. `SLOTWISE_CATALOGUE=10000` sets the number of arms.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test's own setting")]
fn a_catalogue_larger_than_a_message_is_made_and_changed() {
    let size: usize = std::env::var("SLOTWISE_CATALOGUE").map_or(4_500, |size| size.parse().unwrap());
    let shop = Shop::open();
    let file = format!("{}/large.toml", shop.slots());
    let text = "x".repeat(1_000);
    let mut document = String::from(
        "slot_id = \"large\"\nkind = \"ranking\"\ndefault_arm_id = \"arm4400\"\n[goal]\nkinds = [{ kind = \"click\", weight = 1.0 }]\n",
    );
    for i in 0..size {
        writeln!(document, "[[arms]]\narm_id = \"arm{i}\"\npayload = {{ text = \"{text}\" }}").unwrap();
    }
    shop.write("large.toml", &document);
    assert!(shop.good(&["slots", "apply", &file]).starts_with("created   large"));
    assert!(shop.good(&["slots", "apply", &file]).starts_with("unchanged large"));
    assert!(shop.good(&["slots", "list"]).contains(&size.to_string()));
    let paused = shop.good(&["slots", "pause", "large", "arm7"]);
    assert!(paused.contains("arm7: not shown"), "{paused}");
    // One arm changes, a new one comes first, and one is removed.
    let changed =
        document.replacen(&text, "short", 1).replace("[[arms]]\narm_id = \"arm3\"\n", "[[arms]]\narm_id = \"first\"\n");
    shop.write("large.toml", &changed);
    let told = shop.good(&["slots", "apply", &file, "--remove-arms"]);
    assert!(told.contains("+ arms[\"first\"]") && told.contains("- arms[\"arm3\"]"), "{told}");
    assert!(told.contains("arms[\"arm0\"].payload"), "{told}");
    let history = shop.good(&["slots", "history", "large"]);
    assert!(history.contains("arms[\"arm7\"].available"), "{history}");
    assert!(shop.good(&["slots", "diff", &file]).contains("no difference"));
    let got = shop.good(&["slots", "get", "large"]);
    assert!(got.contains("arm_id = \"arm4400\"") && got.contains("arm \"arm7\": not available (paused)"));
}
