//! Slots that take their arms from the item catalogue, against a real server and with the real command.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first thing that is wrong")]

use std::{collections::BTreeSet, fs};

use serde_json::{Value, json};
use slotwise::{
    engine::snapshot,
    node::{fold, recover_state},
};

use crate::{
    access::call,
    support::{InProcessServer, program, started},
};

/// HTTP port of a service without keys.
struct CatalogueShop(String);

impl CatalogueShop {
    /// Calls a method, and returns its answer, which must be a success.
    async fn done(&self, method: &str, body: Value) -> Value {
        let answer = call(&self.0, method, None, &body).await;
        assert_eq!(answer.status, 200, "{method}: {answer:?}");
        answer.body
    }

    /// Calls a method, and returns the text of its refusal.
    async fn refused(&self, method: &str, body: Value) -> String {
        let answer = call(&self.0, method, None, &body).await;
        assert_eq!(answer.status, 400, "{method}: {answer:?}");
        answer.body["detail"].as_str().unwrap().to_owned()
    }

    async fn upsert(&self, items: &[(&str, &str, f64)]) {
        let item = |(id, category, price): &(&str, &str, f64)| {
            json!({
                "itemId": id, "payload": {"title": id},
                "attributes": {"category": {"text": category}, "price": {"number": price}},
            })
        };
        let items: Vec<Value> = items.iter().map(item).collect();
        self.done("UpsertItems", json!({ "items": items })).await;
    }

    async fn arms(&self, slot: &str) -> Vec<String> {
        let listed = self.done("ListArms", json!({"slotId": slot})).await;
        assert_eq!(listed["fromItems"], true, "{listed}");
        let arms = listed["arms"].as_array().cloned().unwrap_or_default();
        assert_eq!(listed["armCount"].as_u64().unwrap_or(0), arms.len() as u64);
        arms.iter().map(|arm| arm["armId"].as_str().unwrap().to_owned()).collect()
    }

    /// Returns the report of a slot without the times of its periods, which end when it is made.
    async fn report(&self, slot: &str) -> Value {
        let mut report = self.done("GetSlotReport", json!({"slotId": slot})).await["report"].clone();
        for period in ["period", "previousPeriod"] {
            for time in ["from", "until"] {
                assert!(report[period].as_object_mut().unwrap().remove(time).is_some());
            }
        }
        report
    }

    /// Decides, and reports a click for shoes that cost less than 50.
    async fn visit(&self, number: usize) -> Value {
        let request = json!({"slotId": "shoes", "context": {"age": {"number": 20 + number % 40}}});
        let decided = self.done("Decide", request).await;
        let arm = decided["arms"][0]["armId"].as_str().unwrap();
        assert_eq!(decided["arms"][0]["payload"]["title"], arm, "the payload is the item's");
        if arm == "sandal" && !number.is_multiple_of(3) {
            let event = json!({"eventId": format!("e{number}"), "decisionId": decided["decisionId"], "kind": "click"});
            let recorded = self.done("RecordRewards", json!({"events": [event]})).await;
            assert_eq!(recorded["results"][0]["status"], "REWARD_STATUS_ACCEPTED", "{recorded}");
        }
        decided
    }
}

fn shoes() -> Value {
    let goal = json!({"kinds": [{"kind": "click", "weight": 1.0, "cap": 1.0}]});
    json!({"slotId": "shoes", "fromCatalogue": "item.category == 'shoes'", "goal": goal, "controls": {"holdout": 0.0, "floor": 0.1}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_shows_and_learns_the_items_that_its_filter_takes_also_after_a_restart() {
    let (folder, server, _clients) = started().await;
    let shop = CatalogueShop(server.http.clone());
    let created = shop.done("CreateSlot", json!({"slot": shoes()})).await;
    assert_eq!((&created["slot"]["fromCatalogue"], created.get("armCount")), (&shoes()["fromCatalogue"], None));
    shop.upsert(&[("boot", "shoes", 90.0), ("sandal", "shoes", 40.0), ("cap", "hats", 10.0), ("clog", "shoes", 60.0)])
        .await;
    assert_eq!(shop.arms("shoes").await, ["boot", "clog", "sandal"]);
    let mut last_clog = Value::Null;
    for number in 0..150 {
        let decided = shop.visit(number).await;
        if decided["arms"][0]["armId"] == "clog" {
            last_clog = decided;
        }
    }
    // A trial and a preview know the items.
    let tried = shop.done("TryDecide", json!({"request": {"slotId": "shoes"}})).await;
    assert!(shop.arms("shoes").await.contains(&tried["decision"]["arms"][0]["armId"].as_str().unwrap().to_owned()));
    let change = json!({"slotId": "shoes", "fromCatalogue": "item.category == 'hats'"});
    let preview = shop.done("PreviewSlotChange", json!({"slot": change, "updateMask": "fromCatalogue"})).await;
    let of_cap = preview["arms"].as_array().unwrap().iter().find(|arm| arm["armId"] == "cap").unwrap().clone();
    assert!(of_cap["shareAfter"]["value"].as_f64().unwrap() > 0.999, "{of_cap}");

    // An item that is gone is no arm any more; its decisions are explained and rewarded all the same.
    shop.done("RemoveItems", json!({"itemIds": ["clog"]})).await;
    shop.done("SetItemAvailability", json!({"available": {"boot": false}})).await;
    assert_eq!(shop.arms("shoes").await, ["boot", "sandal"]);
    for number in 150..170 {
        assert_eq!(shop.visit(number).await["arms"][0]["armId"], "sandal");
    }
    let explained = shop.done("ExplainDecision", json!({"decisionId": last_clog["decisionId"]})).await;
    let named: BTreeSet<&str> = explained["decision"]["explanation"]["candidates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["armId"].as_str().unwrap())
        .collect();
    assert_eq!(named, BTreeSet::from(["boot", "clog", "sandal"]), "{explained}");
    let late = json!({"eventId": "late", "decisionId": last_clog["decisionId"], "kind": "click"});
    let recorded = shop.done("RecordRewards", json!({"events": [late]})).await;
    assert_eq!(recorded["results"][0]["status"], "REWARD_STATUS_ACCEPTED");
    let slot = shop.done("GetSlot", json!({"slotId": "shoes"})).await;
    assert_eq!((&slot["slot"]["revision"], slot["slot"].get("arms")), (&json!("1"), None), "{slot}");
    assert_eq!((&slot["armCount"], &slot["availableArmCount"]), (&json!(2), &json!(1)));
    let clone = shop.done("CloneSlot", json!({"slotId": "shoes", "newSlotId": "more-shoes"})).await;
    assert_eq!(clone["armCount"], 2, "{clone}");
    let report = shop.report("shoes").await;
    server.stop().await;

    let bytes = |state: &slotwise::engine::State| snapshot::encode(state).unwrap();
    let folded = fold(folder.path(), 1).unwrap();
    assert_eq!(folded.slot("more-shoes").unwrap().arms_in_effect().len(), 2);
    assert!(bytes(&folded) == bytes(&fold(folder.path(), 3).unwrap()), "three workers");
    assert!(bytes(&folded) == bytes(&recover_state(folder.path(), None, 2).unwrap()), "from the snapshot");
    let exported =
        program().args(["journal", "export", "--slot", "shoes", "--data"]).arg(folder.path()).output().unwrap();
    let rows: Vec<Value> =
        String::from_utf8(exported.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 170);
    for row in &rows {
        let candidates: BTreeSet<&str> =
            row["candidates"].as_array().unwrap().iter().map(|of| of["arm"].as_str().unwrap()).collect();
        assert!(candidates.contains("sandal") && candidates.len() == row["scored"].as_array().unwrap().len(), "{row}");
        for scored in row["scored"].as_array().unwrap() {
            assert!(["boot", "clog", "sandal"].contains(&scored["arm"].as_str().unwrap()), "{row}");
        }
    }
    let server = InProcessServer::start(folder.path()).await;
    let shop = CatalogueShop(server.http.clone());
    assert_eq!(shop.report("shoes").await, report, "after a restart");
    assert_eq!(shop.arms("shoes").await, ["boot", "sandal"]);
    shop.upsert(&[("clog", "shoes", 60.0)]).await;
    let report = shop.report("shoes").await;
    let clog = report["arms"].as_array().unwrap().iter().find(|arm| arm["armId"] == "clog").unwrap().clone();
    assert!(clog["shown"].as_str().unwrap().parse::<u64>().unwrap() > 0, "what was learned of it is there: {clog}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_names_the_field_and_says_what_to_call() {
    let (folder, server, _clients) = started().await;
    let shop = CatalogueShop(server.http.clone());
    let mut wrong = shoes();
    wrong["fromCatalogue"] = json!("context.age > 3");
    let why = shop.refused("CreateSlot", json!({"slot": wrong})).await;
    assert!(why.contains("slot.from_catalogue: line 1, column 1: 'context' is not known"), "{why}");
    let mut both = shoes();
    both["arms"] = json!([{"armId": "boot"}]);
    assert!(shop.refused("CreateSlot", json!({"slot": both})).await.contains("slot.arms: must be empty"));
    shop.done("CreateSlot", json!({"slot": shoes()})).await;
    shop.upsert(&[("boot", "shoes", 90.0)]).await;
    for (method, body, call) in [
        ("UpsertArms", json!({"slotId": "shoes", "arms": [{"armId": "clog"}]}), "UpsertItems"),
        ("RemoveArms", json!({"slotId": "shoes", "armIds": ["boot"]}), "RemoveItems"),
        ("SetArmAvailability", json!({"slotId": "shoes", "available": {"boot": false}}), "SetItemAvailability"),
    ] {
        let why = shop.refused(method, body).await;
        assert!(why.contains("takes its arms from the item catalogue") && why.contains(call), "{why}");
    }
    let update = json!({"slot": {"slotId": "shoes", "fromCatalogue": "item.price <"}, "updateMask": "fromCatalogue"});
    assert!(shop.refused("UpdateSlot", update).await.contains("slot.from_catalogue: line 1, column 13"));
    // A past revision that took items lists none, because items have no history.
    let update = json!({"slot": {"slotId": "shoes", "fromCatalogue": "true"}, "updateMask": "fromCatalogue"});
    shop.done("UpdateSlot", update).await;
    assert_eq!(shop.arms("shoes").await, ["boot"]);
    let past = shop.done("ListArms", json!({"slotId": "shoes", "revision": 1})).await;
    assert_eq!(past, json!({"revision": "1"}));
    server.stop().await;
    assert_eq!(fold(folder.path(), 1).unwrap().position(), 3, "a slot, a change of items and one of the slot");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_a_filter_is_applied_and_written_as_it_is() {
    let (folder, server, _clients) = started().await;
    let shop = CatalogueShop(server.http.clone());
    let run = |args: &[&str]| {
        let output = program().args(args).args(["--target", &server.address]).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let run = |args: &[&str]| tokio::task::block_in_place(|| run(args));
    let path = folder.path().join("shoes.toml");
    let file = path.to_str().unwrap();
    let own = "slot_id = \"shoes\"\n\n[[arms]]\narm_id = \"boot\"\n\n[[arms]]\narm_id = \"clog\"\n";
    fs::write(&path, own).unwrap();
    assert_eq!(run(&["slots", "apply", file]).0, 0);
    shop.upsert(&[("boot", "shoes", 90.0), ("sandal", "shoes", 40.0), ("cap", "hats", 10.0)]).await;

    let taking = "slot_id = \"shoes\"\nfrom_catalogue = \"item.category == 'shoes'\"\n";
    fs::write(&path, taking).unwrap();
    let (code, _, why) = run(&["slots", "apply", file]);
    assert!(code != 0 && why.contains("would remove 2 of the 2 arms") && why.contains("--remove-arms"), "{why}");
    let (code, done, why) = run(&["slots", "apply", file, "--remove-arms"]);
    assert!(code == 0 && done.contains("+ from_catalogue: item.category == 'shoes'"), "{done}{why}");
    assert_eq!(shop.arms("shoes").await, ["boot", "sandal"]);
    assert!(run(&["slots", "diff", file, "--check"]).1.contains("no difference"));
    let (_, text, _) = run(&["slots", "get", "shoes", "-o", "toml"]);
    assert!(text.contains("from_catalogue = \"item.category == 'shoes'\"") && !text.contains("arms"), "{text}");
    fs::write(&path, &text).unwrap();
    assert!(run(&["slots", "apply", file, "--check"]).1.contains("no difference"));
    let (_, json, _) = run(&["slots", "get", "shoes", "-o", "json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["from_catalogue"], json.get("arms")), (&json!("item.category == 'shoes'"), None));
    let listed: Value = serde_json::from_str(&run(&["slots", "list", "-o", "json"]).1).unwrap();
    assert!(listed.to_string().contains("\"arm_count\":2"), "{listed}");
    let (code, _, why) = run(&["slots", "pause", "shoes", "boot"]);
    assert!(code != 0 && why.contains("SetItemAvailability"), "{why}");
    fs::write(&path, taking.replace("item.", "itm.")).unwrap();
    let (code, _, why) = run(&["slots", "apply", file]);
    assert!(
        code != 0
            && why.contains("from_catalogue: line 1, column 1: 'itm' is not known")
            && why.contains("did you mean 'item'"),
        "{why}"
    );
    // The console shows the arms and offers no form for them.
    let page = crate::support::http_get(&server.http, "/slots/shoes/arms").await;
    assert!(page.contains("sandal") && page.contains("takes its arms from the item catalogue"), "{page}");
    assert!(!page.contains("New arm"));
    let page = crate::support::http_get(&server.http, "/slots/shoes/arm?id=boot").await;
    assert!(page.contains("takes its arms from the item catalogue") && !page.contains("Remove the arm"), "{page}");

    fs::write(&path, own).unwrap();
    assert_eq!(run(&["slots", "apply", file]).0, 0);
    let listed = shop.done("ListArms", json!({"slotId": "shoes"})).await;
    assert_eq!((&listed["armCount"], listed.get("fromItems")), (&json!(2), None));
    server.stop().await;
}
