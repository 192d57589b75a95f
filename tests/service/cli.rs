//! Commands that talk to a service, run by the real program against a real server.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops at the first thing that is wrong"
)]

use std::{fs, process::Output};

use crate::support::{self, Process, program};

const OFFERS: &str = r#"
slot_id = "offers"
kind = "offer"

[goal]
kinds = [{ kind = "click", weight = 1.0, cap = 1.0 }]

[[arms]]
arm_id = "free-shipping"
attributes = { cost = 4.9, tags = ["delivery"] }

[[arms]]
arm_id = "gift-wrap"
"#;

fn run(process: &Process, words: &[&str]) -> Output {
    program().args(words).args(["--target", &process.address]).output().unwrap()
}

#[track_caller]
fn expect_success(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn expect_failure(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(error.lines().count(), 1, "{error}");
    error
}

#[test]
fn slots_are_applied_listed_read_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(&folder.path().join("data"));
    let slots = folder.path().join("slots");
    fs::create_dir(&slots).unwrap();
    fs::write(slots.join("offers.toml"), OFFERS).unwrap();
    fs::write(slots.join("search.toml"), "slot_id = \"search\"\nkind = \"ranking\"\nopen_catalogue = true\n").unwrap();
    let path = slots.to_str().unwrap();

    let made = expect_success(&run(&process, &["slots", "apply", "-f", path]));
    assert!(made.contains("created   offers (revision 1)") && made.contains("created   search"), "{made}");
    let again = expect_success(&run(&process, &["slots", "apply", "-f", path]));
    assert_eq!(again.matches("unchanged").count(), 2, "{again}");
    fs::write(slots.join("offers.toml"), format!("count = 2\n{OFFERS}")).unwrap();
    let changed = expect_success(&run(&process, &["slots", "apply", "-f", path]));
    assert!(changed.contains("updated   offers (revision 2)"), "{changed}");

    let written = expect_success(&run(&process, &["slots", "get", "offers"]));
    fs::write(slots.join("offers.toml"), &written).unwrap();
    let same = expect_success(&run(&process, &["slots", "apply", "-f", path]));
    assert!(same.contains("unchanged offers (revision 2)"), "apply reads what get writes: {same}\n{written}");
    let json: serde_json::Value =
        serde_json::from_str(&expect_success(&run(&process, &["slots", "get", "offers", "-o", "json"]))).unwrap();
    assert_eq!(json["arms"][0]["attributes"]["cost"], 4.9);

    let list = expect_success(&run(&process, &["slots", "list"]));
    assert!(list.contains("offers") && list.contains("ranking"), "{list}");
    let report = expect_success(&run(&process, &["report", "offers"]));
    assert!(report.contains("free-shipping") && report.contains("0 decisions"), "{report}");
    let json: serde_json::Value =
        serde_json::from_str(&expect_success(&run(&process, &["report", "offers", "-o", "json"]))).unwrap();
    assert_eq!(json["arms"][1]["chance_best"], 0.5);

    let unknown = expect_failure(&run(&process, &["report", "ofers"]));
    assert!(unknown.contains("did you mean 'offers'"), "{unknown}");
    assert!(expect_failure(&run(&process, &["slots", "get", "no such slot"])).contains("slot_id"));
}

#[test]
fn a_wrong_document_is_named_and_nothing_of_its_folder_is_applied() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(&folder.path().join("data"));
    let slots = folder.path().join("slots");
    fs::create_dir(&slots).unwrap();
    let path = slots.to_str().unwrap();
    assert!(expect_failure(&run(&process, &["slots", "apply", "-f", path])).contains("no .toml file"));
    fs::write(slots.join("a.toml"), OFFERS).unwrap();
    for (text, words) in [
        ("slot_id = \"b\"\ncolour = 1", ["b.toml", "line 2", "colour"]),
        ("slot_id = \"b\"\n[controls]\nfloor = 3.0", ["b.toml", "controls.floor", "from 0 to 1"]),
        ("slot_id = \"b c\"", ["b.toml", "slot_id", "not allowed"]),
        ("slot_id = ", ["b.toml", "line 1", ""]),
    ] {
        fs::write(slots.join("b.toml"), text).unwrap();
        let error = expect_failure(&run(&process, &["slots", "apply", "-f", path]));
        assert!(words.iter().all(|word| error.contains(word)), "{words:?} in {error}");
    }
    assert!(expect_success(&run(&process, &["slots", "list"])).contains("no slots yet"));
}

#[test]
fn an_unreachable_service_is_reported_in_one_line() {
    let output = program().args(["slots", "list", "--target", "http://127.0.0.1:9"]).output().unwrap();
    assert!(expect_failure(&output).contains("slotwise serve"));
    let output = program().args(["slots", "list", "--target", "localhost:9"]).output().unwrap();
    assert!(expect_failure(&output).contains("no Slotwise answers at localhost:9"));
    let output = program().args(["slots", "list", "--target", "local host"]).output().unwrap();
    assert!(expect_failure(&output).contains("write it as 127.0.0.1:50051"));
}

/// Every command that prints tables or sentences is run on 80 columns, with ids and names that are longer than a line.
#[tokio::test]
async fn no_line_is_wider_than_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let process = Process::start(&data);
    let mut clients = support::Clients::connect(&process.address).await;
    let long = "an-arm-whose-name-is-longer-than-the-whole-line-of-a-terminal-of-eighty-columns-has-room-for";
    let mut slot = support::slot("offers", &[long, "gid://shopify/Product/7967", "crème brûlée"]);
    slot.display_name = "Offers on the home page, ".repeat(8).trim_end().into();
    clients.create(slot).await.unwrap();
    let document = expect_success(&run(&process, &["slots", "get", "offers"]));
    let changed = document.replace("display_name = \"Offers", "display_name = \"All offers");
    assert_ne!(changed, document);
    let file = folder.path().join("offers.toml");
    fs::write(&file, changed).unwrap();
    let file = file.to_str().unwrap();
    let request = slotwise::wire::proto::DecideRequest {
        context: support::context(&[("page", support::text(&"a word that goes on and on ".repeat(5)))]),
        ..support::decide("offers")
    };
    let decision = clients.decide(request).await.unwrap().decision_id;

    let narrow = |words: &[&str], target: &[&str]| {
        let output = program().env("USER", "ann").env("COLUMNS", "80").args(words).args(target).output().unwrap();
        expect_success(&output)
    };
    let target = ["--target", process.address.as_str()];
    // The decision is recorded after it is answered.
    for _ in 0..100 {
        if run(&process, &["explain", &decision]).status.success() {
            break;
        }
    }
    let mut texts = Vec::new();
    for words in [
        &["slots", "list"][..],
        &["slots", "diff", file],
        &["slots", "preview", file],
        &["slots", "apply", file],
        &["slots", "pause", "offers", long, "--reason", &"out of stock until the spring ".repeat(5)],
        &["slots", "history", "offers"],
        &["slots", "safe", "offers", "on"],
        &["report", "offers"],
        &["explain", &decision],
    ] {
        texts.push(narrow(words, &target));
    }
    let at = ["--data", data.to_str().unwrap()];
    texts.extend(["stats", "verify"].map(|command| narrow(&["journal", command], &at)));
    for text in &texts {
        for line in text.lines() {
            // A word that is longer than the line cannot be wrapped.
            let breakable = line.trim().contains(' ');
            assert!(console::measure_text_width(line) <= 80 || !breakable, "{line:?} in\n{text}");
        }
    }
}

/// The doctor finds a healthy service well, says what lost events and a missing service are, and speaks JSON.
#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_examines_a_service_that_runs() {
    let (_folder, server, mut clients) = support::started().await;
    clients.create(support::slot("offers", &["a", "b"])).await.unwrap();
    let run = |arguments: &[&str]| {
        let output = program().args(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, found, _) = run(&["doctor", "--target", &server.address]);
    assert_eq!(code, Some(0), "{found}");
    for check in ["ok   latency", "ok   version", "ok   clock", "ok   disk", "ok   access", "ok   events: 'offers'"] {
        assert!(found.contains(check), "{check}: {found}");
    }
    for i in 0..120 {
        let decided = clients.decide(support::decide("offers")).await.unwrap();
        let mut event = support::click(&format!("e{i}"), &decided);
        if i % 4 == 0 {
            event.arm_id = "nobody".into();
        }
        clients.reward(event).await.unwrap();
    }
    let (code, found, _) = run(&["doctor", "--target", &server.address, "--output", "json"]);
    let found: serde_json::Value = serde_json::from_str(&found).unwrap();
    let events = found["findings"].as_array().unwrap().iter().find(|of| of["check"] == "events").unwrap();
    assert_eq!((code, events["verdict"].as_str()), (Some(0), Some("look")), "{found}");
    assert!(events["text"].as_str().unwrap().contains("30 without a decision"), "{found}");
    server.stop().await;
    let (code, _, why) = run(&["doctor", "--target", "127.0.0.1:1"]);
    assert!(code == Some(1) && why.contains("slotwise serve"), "{why}");
}
