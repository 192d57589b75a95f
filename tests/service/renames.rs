//! Slots that get another id, on a real service.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first thing that is wrong")]

use std::process::Command;

use serde_json::{Value, json};
use slotwise::node::{fold, recover_state};

use crate::{
    access::call,
    json::HttpAnswer,
    support::{Clients, Process, program, slot},
};

async fn ask(http: &str, method: &str, body: Value) -> HttpAnswer {
    call(http, method, None, &body).await
}

async fn decide(http: &str, slot: &str, subject: &str) -> HttpAnswer {
    ask(http, "Decide", json!({"slotId": slot, "subject": {"id": subject}})).await
}

/// Reports a click and returns the status of the report.
async fn report(http: &str, mut event: Value) -> Value {
    event["kind"] = json!("click");
    let answer = ask(http, "RecordRewards", json!({ "events": [event] })).await;
    answer.body["results"][0]["status"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_slot_keeps_everything_also_across_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let http = process.http.clone();
    let mut clients = Clients::connect(&process.address).await;
    let mut wanted = slot("page", &["a", "b"]);
    wanted.controls.get_or_insert_default().holdout = Some(0.4);
    clients.create(wanted).await.unwrap();
    let mut decided = Vec::new();
    for n in 0..30 {
        decided.push(decide(&http, "page", &format!("s{n}")).await.body);
    }

    for (to, status) in [("page", 400), ("bad id!", 400), ("home", 200)] {
        let renamed = ask(&http, "RenameSlot", json!({"slotId": "page", "newSlotId": to, "reason": "clearer"})).await;
        assert_eq!(renamed.status, status, "{to}: {renamed:?}");
    }
    let gone = decide(&http, "page", "s1").await;
    assert!(gone.status == 404 && gone.body["detail"].as_str().unwrap().contains("renamed to 'home'"), "{gone:?}");
    assert_eq!(ask(&http, "RenameSlot", json!({"slotId": "page", "newSlotId": "x"})).await.status, 404);
    for (n, before) in decided.iter().enumerate() {
        let after = decide(&http, "home", &format!("s{n}")).await.body;
        assert_eq!(after["holdout"], before["holdout"], "the group of s{n}");
    }
    let of = |n: usize| (decided[n]["decisionId"].clone(), decided[n]["arms"][0]["armId"].clone());
    let accepted = json!("REWARD_STATUS_ACCEPTED");
    assert_eq!(report(&http, json!({"eventId": "e1", "decisionId": of(1).0})).await, accepted);
    assert_eq!(report(&http, json!({"eventId": "e2", "decisionId": of(2).0, "slotId": "page"})).await, accepted);
    assert_eq!(report(&http, json!({"eventId": "e3", "decisionId": of(3).0, "slotId": "home"})).await, accepted);
    let by_subject = json!({"eventId": "e4", "slotId": "page", "subject": {"id": "s4"}, "armId": of(4).1});
    assert_eq!(report(&http, by_subject).await, accepted);

    let look = async |http: &str| {
        let listed =
            ask(http, "ListDecisions", json!({"slotId": "home", "count": 100})).await.body["decisions"].clone();
        let explained = ask(http, "ExplainDecision", json!({"slotId": "home", "decisionId": of(1).0})).await;
        assert_eq!(explained.status, 200, "{explained:?}");
        let history = ask(http, "ListRevisions", json!({"slotId": "home"})).await.body["revisions"].clone();
        assert_eq!(history[0]["change"], "renamed from page");
        assert!(history.as_array().unwrap().iter().all(|revision| revision["slot"]["slotId"] == "home"), "{history:?}");
        let figures = ask(http, "GetSlotReport", json!({"slotId": "home"})).await.body["report"].clone();
        (listed.as_array().unwrap().len(), figures["decisions"].clone(), figures["rewards"].clone())
    };
    let seen = look(&http).await;
    assert_eq!(seen, (60, json!("60"), json!("4")));
    drop(process);

    let process = Process::start(folder.path());
    let http = process.http.clone();
    assert_eq!(look(&http).await, seen, "after a kill");
    let mut clients = Clients::connect(&process.address).await;
    clients.create(slot("page", &["c"])).await.unwrap();
    assert_eq!(decide(&http, "page", "s1").await.body["arms"][0]["armId"], "c");
    let by_subject = json!({"eventId": "e5", "slotId": "page", "subject": {"id": "s5"}, "armId": of(5).1});
    assert_eq!(report(&http, by_subject).await, "REWARD_STATUS_UNMATCHED", "the id is another slot's now");
    assert_eq!(report(&http, json!({"eventId": "e6", "decisionId": of(6).0})).await, accepted);
    let taken = ask(&http, "RenameSlot", json!({"slotId": "home", "newSlotId": "page"})).await;
    assert_eq!(taken.status, 409, "{taken:?}");
    let renamed = tokio::task::block_in_place(|| {
        program().args(["slots", "rename", "page", "other", "--target", &process.address]).output().unwrap()
    });
    assert!(String::from_utf8(renamed.stdout).unwrap().contains("page is other now"));
    drop(process);

    let folded = fold(folder.path(), 1).unwrap();
    assert!(folded == fold(folder.path(), 3).unwrap(), "three workers");
    assert!(folded == recover_state(folder.path(), None, 2).unwrap());
    let export = |slot: &str| {
        let mut command: Command = program();
        command.args(["journal", "export", "--slot", slot, "--data"]).arg(folder.path());
        let output = tokio::task::block_in_place(|| command.output().unwrap());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>()
    };
    let (home, other) = (export("home"), export("other"));
    assert_eq!((home.len(), other.len()), (60, 1), "each slot with the decisions from before its rename");
    let events: usize = home.iter().map(|row| row["events"].as_array().map_or(0, Vec::len)).sum();
    assert_eq!(events, 5, "and what came of them");
}

/// Decisions that are under way while the slot gets another id are decisions of the slot.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_decision_is_lost_by_a_rename() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let http = process.http.clone();
    Clients::connect(&process.address).await.create(slot("page", &["a", "b"])).await.unwrap();
    let callers = (0..6).map(|caller| {
        let http = http.clone();
        async move {
            let mut made = Vec::new();
            for n in 0..60 {
                let id = if (n + caller) % 2 == 0 { "page" } else { "home" };
                let answer = decide(&http, id, &format!("c{caller}-{n}")).await;
                assert!(answer.status == 200 || answer.status == 404, "{answer:?}");
                made.extend(answer.body["decisionId"].as_str().map(str::to_owned));
            }
            made
        }
    });
    let renames = async {
        for n in 0..16 {
            let (from, to) = if n % 2 == 0 { ("page", "home") } else { ("home", "page") };
            let renamed = ask(&http, "RenameSlot", json!({"slotId": from, "newSlotId": to})).await;
            assert_eq!(renamed.status, 200, "{renamed:?}");
            tokio::time::sleep(std::time::Duration::from_millis(4)).await;
        }
    };
    let (made, ()) = tokio::join!(futures_of(callers.collect()), renames);
    assert!(made.len() > 60, "{}", made.len());
    for (n, decision) in made.iter().enumerate() {
        let status = report(&http, json!({"eventId": format!("e{n}"), "decisionId": decision})).await;
        assert_eq!(status, "REWARD_STATUS_ACCEPTED", "{n} of {}", made.len());
    }
    let figures = ask(&http, "GetSlotReport", json!({"slotId": "page"})).await.body["report"].clone();
    assert_eq!(figures["decisions"], json!(made.len().to_string()));
}

/// Runs calls side by side, and returns everything that they made.
async fn futures_of<F: Future<Output = Vec<String>> + Send + 'static>(calls: Vec<F>) -> Vec<String> {
    let mut tasks = tokio::task::JoinSet::new();
    for call in calls {
        tasks.spawn(call);
    }
    let mut made = Vec::new();
    while let Some(done) = tasks.join_next().await {
        made.extend(done.unwrap());
    }
    made
}
