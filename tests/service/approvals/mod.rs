//! Changes that a second person approves, with the real server and keys.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first thing that is wrong")]

mod other_changes;

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use slotwise::{
    access::Role,
    node::{Clock as _, SystemClock, time_text},
};

use crate::{
    access::{call, create},
    json::HttpAnswer,
    support::{InProcessServer, Process, program, started},
};

/// Keys of the people of these tests.
struct ShopKeys {
    /// May change slots.
    ann: String,
    /// May change slots and approve.
    bob: String,
    /// May approve.
    eve: String,
    admin: String,
}

impl ShopKeys {
    fn new(folder: &Path) -> Self {
        Self {
            ann: create(folder, "ann", &[Role::View, Role::Tune], &[]),
            bob: create(folder, "bob", &[Role::View, Role::Tune, Role::Approve], &[]),
            eve: create(folder, "eve", &[Role::Approve], &[]),
            admin: create(folder, "admin", &[Role::Admin], &[]),
        }
    }
}

/// A service whose slot `offers` demands approval of its floor and its goal.
struct ApprovalShop {
    http: String,
    people: ShopKeys,
}

impl ApprovalShop {
    async fn call(&self, key: &str, method: &str, body: Value) -> HttpAnswer {
        call(&self.http, method, Some(key), &body).await
    }

    /// Calls a method, and returns its answer, which must be a success.
    async fn done(&self, key: &str, method: &str, body: Value) -> Value {
        let answer = self.call(key, method, body).await;
        assert_eq!(answer.status, 200, "{method}: {answer:?}");
        answer.body
    }

    /// Calls a method, and returns the reason of its refusal with its text.
    async fn refused(&self, key: &str, method: &str, body: Value, status: u16) -> (String, String) {
        let answer = self.call(key, method, body).await;
        assert_eq!(answer.status, status, "{method}: {answer:?}");
        let text = |name: &str| answer.body[name].as_str().unwrap().to_owned();
        (text("reason"), text("detail"))
    }

    async fn create(&self) {
        let slot = json!({
            "slotId": "offers", "arms": [{"armId": "a"}, {"armId": "b"}],
            "goal": {"kinds": [{"kind": "click", "weight": 1.0}]},
            "controls": {"approval": {"changes": ["controls.floor", "goal", "reset"]}},
        });
        self.done(&self.people.ann, "CreateSlot", json!({ "slot": slot })).await;
    }

    /// Drafts a floor as ann, and returns the draft.
    async fn draft_floor(&self, floor: f64) -> Value {
        self.done(&self.people.ann, "CreateDraft", json!({ "change": { "update": floor_update(floor) } })).await["draft"]
            .clone()
    }

    async fn draft(&self, number: u32) -> Value {
        self.done(&self.people.ann, "GetDraft", named(number)).await
    }

    async fn slot(&self) -> Value {
        self.done(&self.people.ann, "GetSlot", json!({"slotId": "offers"})).await["slot"].clone()
    }
}

fn floor_update(floor: f64) -> Value {
    json!({"slot": {"slotId": "offers", "controls": {"floor": floor}}, "updateMask": "controls.floor", "reason": "let all arms live"})
}

/// Time after these seconds, as JSON writes it.
fn in_time(seconds: f64) -> String {
    let after_us = Duration::from_secs_f64(seconds).as_micros();
    time_text(SystemClock::default().now_us() + i64::try_from(after_us).unwrap())
}

fn named(number: u32) -> Value {
    json!({"slotId": "offers", "draftId": number})
}

/// Starts a service with keys and the slot `offers`.
async fn shop() -> (tempfile::TempDir, InProcessServer, ApprovalShop) {
    let folder = tempfile::tempdir().unwrap();
    let people = ShopKeys::new(folder.path());
    let server = InProcessServer::start(folder.path()).await;
    let shop = ApprovalShop { http: server.http.clone(), people };
    shop.create().await;
    (folder, server, shop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_person_approves_a_draft_and_then_it_is_applied() {
    let (_folder, server, shop) = shop().await;
    let ShopKeys { ann, bob, eve, .. } = &shop.people;
    let (reason, text) = shop.refused(ann, "UpdateSlot", floor_update(0.1), 400).await;
    assert_eq!(reason, "APPROVAL_REQUIRED");
    assert!(text.contains("controls.floor") && text.contains("slotwise drafts create"), "{text}");
    // Other fields are free, and a trial says the same as the change would.
    let name = json!({"slot": {"slotId": "offers", "displayName": "Offers"}, "updateMask": "displayName"});
    shop.done(ann, "UpdateSlot", name).await;
    let mut trial = floor_update(0.1);
    trial["validateOnly"] = json!(true);
    assert_eq!(shop.refused(ann, "UpdateSlot", trial, 400).await.0, "APPROVAL_REQUIRED");

    let draft = shop.draft_floor(0.1).await;
    assert_eq!((&draft["draftId"], &draft["state"]), (&json!(1), &json!("DRAFT_STATE_OPEN")), "{draft}");
    assert_eq!(draft["changes"], json!(["controls.floor"]));
    assert_eq!(draft["created"]["actor"]["principal"], "ann");
    let details = shop.draft(1).await;
    assert_eq!(details["diff"], json!([{"path": "controls.floor", "after": "0.1"}]), "{details}");
    let preview = shop.done(ann, "PreviewDraft", named(1)).await;
    assert_eq!(preview["preview"]["diff"][0]["path"], "controls.floor", "{preview}");

    // Neither without approval, nor by a key without the role, nor by the author.
    assert_eq!(shop.refused(bob, "ApplyDraft", named(1), 400).await.0, "DRAFT_STATE");
    assert_eq!(shop.refused(ann, "ApproveDraft", named(1), 403).await.0, "ROLE_MISSING");
    let own = shop.done(bob, "CreateDraft", json!({"change": {"update": floor_update(0.2)}})).await;
    assert_eq!(own["draft"]["draftId"], 2);
    let (reason, text) = shop.refused(bob, "ApproveDraft", named(2), 403).await;
    assert_eq!(reason, "OWN_DRAFT");
    assert!(text.contains("'bob' created the draft"), "{text}");

    let approved = shop.done(eve, "ApproveDraft", named(1)).await;
    assert_eq!(approved["draft"]["state"], "DRAFT_STATE_APPROVED", "{approved}");
    assert_eq!(shop.done(eve, "ApproveDraft", named(1)).await, approved, "a second approval changes nothing");
    let applied = shop.done(ann, "ApplyDraft", named(1)).await;
    assert_eq!(applied["slot"]["controls"]["floor"], 0.1, "{applied}");
    assert_eq!(applied["draft"]["state"], "DRAFT_STATE_APPLIED");
    assert_eq!(applied["draft"]["appliedRevision"], applied["slot"]["revision"]);
    let history = shop.done(ann, "ListRevisions", json!({"slotId": "offers"})).await;
    assert_eq!(history["revisions"][0]["reason"], "let all arms live (draft 1 by ann, approved by eve)", "{history}");
    let (reason, text) = shop.refused(ann, "ApplyDraft", named(1), 400).await;
    assert!(reason == "DRAFT_STATE" && text.contains("was applied already"), "{text}");

    // The other draft was made of an older slot.
    assert_eq!(shop.draft(2).await["draft"]["state"], "DRAFT_STATE_STALE");
    let (_, text) = shop.refused(eve, "ApproveDraft", named(2), 400).await;
    assert!(text.contains("stale") && text.contains("create it again"), "{text}");
    let waiting = shop.done(ann, "ListDrafts", json!({"waitingOnly": true})).await;
    assert_eq!(waiting, json!({}), "none waits");
    let all = shop.done(ann, "ListDrafts", json!({"pageSize": 1})).await;
    assert_eq!(all["drafts"][0]["draftId"], 1);
    let next = json!({"pageSize": 1, "pageToken": all["nextPageToken"]});
    let rest = shop.done(ann, "ListDrafts", next).await;
    assert_eq!((&rest["drafts"][0]["draftId"], rest.get("nextPageToken")), (&json!(2), None), "{rest}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_outlives_another_id_of_its_slot() {
    let (_folder, server, shop) = shop().await;
    let ShopKeys { ann, eve, admin, .. } = &shop.people;
    shop.draft_floor(0.1).await;
    shop.done(eve, "ApproveDraft", named(1)).await;
    let to = json!({"slotId": "offers", "newSlotId": "front"});
    assert_eq!(shop.refused(ann, "RenameSlot", to.clone(), 403).await.0, "ROLE_MISSING");
    shop.done(admin, "RenameSlot", to).await;
    let named = json!({"slotId": "front", "draftId": 1});
    let details = shop.done(ann, "GetDraft", named.clone()).await;
    assert_eq!(details["draft"]["state"], "DRAFT_STATE_APPROVED", "{details}");
    assert_eq!(details["diff"], json!([{"path": "controls.floor", "after": "0.1"}]), "{details}");
    shop.done(ann, "PreviewDraft", named.clone()).await;
    let applied = shop.done(ann, "ApplyDraft", named).await;
    assert_eq!((&applied["slot"]["slotId"], &applied["slot"]["controls"]["floor"]), (&json!("front"), &json!(0.1)));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_act_at_once_and_a_draft_leaves_alone_what_they_did() {
    let (_folder, server, shop) = shop().await;
    let ShopKeys { ann, eve, .. } = &shop.people;
    // Every change needs approval now, and that itself needed none from somebody who is known.
    let every = json!({"slot": {"slotId": "offers", "controls": {"approval": {}}}, "updateMask": "controls.approval"});
    assert_eq!(shop.refused(ann, "UpdateSlot", every.clone(), 400).await.0, "APPROVAL_REQUIRED");
    shop.done(ann, "CreateDraft", json!({"change": {"update": every}})).await;
    shop.done(eve, "ApproveDraft", named(1)).await;
    shop.done(ann, "ApplyDraft", named(1)).await;
    for (method, body) in [
        ("UpsertArms", json!({"slotId": "offers", "arms": [{"armId": "c"}]})),
        ("RemoveArms", json!({"slotId": "offers", "armIds": ["a"]})),
        ("UpdateSlot", json!({"slot": {"slotId": "offers", "displayName": "x"}, "updateMask": "displayName"})),
    ] {
        let (reason, _) = shop.refused(ann, method, body, 400).await;
        assert_eq!(reason, "APPROVAL_REQUIRED", "{method}");
    }
    let upsert = json!({"slotId": "offers", "arms": [{"armId": "a", "attributes": {"price": {"number": 9.5}}}]});
    shop.done(ann, "CreateDraft", json!({"change": {"upsertArms": upsert}})).await;
    shop.draft_floor(0.2).await;
    for number in [2, 3] {
        shop.done(eve, "ApproveDraft", named(number)).await;
    }

    shop.done(ann, "SetSafeChoice", json!({"slotId": "offers", "on": true})).await;
    shop.done(ann, "SetArmAvailability", json!({"slotId": "offers", "available": {"a": false}})).await;
    let freeze = json!({"slot": {"slotId": "offers", "controls": {"freezeLearning": true}}, "updateMask": "controls.freezeLearning"});
    shop.done(ann, "UpdateSlot", freeze).await;

    shop.done(ann, "ApplyDraft", named(3)).await;
    let slot = shop.slot().await;
    let controls = &slot["controls"];
    assert_eq!((&controls["safeChoice"], &controls["freezeLearning"]), (&json!(true), &json!(true)), "{slot}");
    assert_eq!(controls["floor"], 0.2);
    let back = json!({"slotId": "offers", "revision": "1"});
    assert!(shop.refused(ann, "RollbackSlot", back, 400).await.1.contains("changes of controls.floor"));
    let arms = shop.done(ann, "ListArms", json!({"slotId": "offers"})).await;
    assert_eq!(arms["arms"][0]["available"], false, "{arms}");
    assert_eq!(shop.draft(2).await["draft"]["state"], "DRAFT_STATE_STALE", "the floor was no change of operations");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_expires_is_discarded_or_is_one_too_many() {
    let (_folder, server, shop) = shop().await;
    let ShopKeys { ann, eve, .. } = &shop.people;
    let change = json!({"update": floor_update(0.1)});
    let late = json!({"change": change, "expireTime": in_time(8.0 * 86_400.0)});
    assert!(shop.refused(ann, "CreateDraft", late, 400).await.1.contains("lifetime of the slot's drafts"));
    let short = json!({"change": change, "expireTime": in_time(0.8)});
    shop.done(ann, "CreateDraft", short).await;
    shop.done(eve, "ApproveDraft", named(1)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(shop.draft(1).await["draft"]["state"], "DRAFT_STATE_EXPIRED");
    assert!(shop.refused(ann, "ApplyDraft", named(1), 400).await.1.contains("expired"));

    shop.draft_floor(0.2).await;
    shop.done(ann, "DiscardDraft", json!({"slotId": "offers", "draftId": 2, "reason": "no"})).await;
    let discarded = shop.draft(2).await;
    assert_eq!(discarded["draft"]["state"], "DRAFT_STATE_DISCARDED");
    assert_eq!(discarded.get("change"), None, "{discarded}");
    assert!(shop.refused(ann, "DiscardDraft", named(2), 400).await.1.contains("was discarded"));
    assert_eq!(shop.refused(ann, "GetDraft", named(99), 404).await.0, "DRAFT_NOT_FOUND");
    assert!(shop.refused(ann, "CreateDraft", json!({}), 400).await.1.starts_with("change:"));
    let nothing = json!({"change": {"rollback": {"slotId": "offers", "revision": "1"}}});
    assert!(shop.refused(ann, "CreateDraft", nothing, 400).await.1.contains("changes nothing"));
    let wrong = json!({"change": {"update": floor_update(7.0)}});
    assert!(shop.refused(ann, "CreateDraft", wrong, 400).await.1.starts_with("change.update.slot.controls.floor"));

    for i in 0..20 {
        shop.draft_floor(0.1 + 0.01 * f64::from(i)).await;
    }
    let (reason, text) = shop.refused(ann, "CreateDraft", json!({"change": {"update": floor_update(0.4)}}), 429).await;
    assert!(reason == "LIMIT_REACHED" && text.contains("20 drafts of the slot wait"), "{text}");
    server.stop().await;
}

/// A reset and a deletion are of administrators, and need a second person as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_reset_is_drafted_by_an_administrator() {
    let (_folder, server, shop) = shop().await;
    let ShopKeys { ann, eve, admin, .. } = &shop.people;
    assert_eq!(shop.refused(admin, "ResetSlot", json!({"slotId": "offers"}), 400).await.0, "APPROVAL_REQUIRED");
    let reset = json!({"change": {"reset": {"slotId": "offers", "reason": "new season"}}});
    assert_eq!(shop.refused(ann, "CreateDraft", reset.clone(), 403).await.0, "ROLE_MISSING");
    shop.draft_floor(0.1).await;
    shop.done(admin, "CreateDraft", reset).await;
    assert_eq!(shop.refused(ann, "PreviewDraft", named(2), 400).await.0, "FIELD_INVALID");
    shop.done(eve, "ApproveDraft", named(2)).await;
    shop.done(admin, "ApplyDraft", named(2)).await;
    let history = shop.done(ann, "ListRevisions", json!({"slotId": "offers"})).await;
    assert_eq!(history["revisions"][0]["change"], "reset", "{history}");
    let drafts = shop.done(ann, "ListDrafts", json!({"slotId": "offers"})).await;
    let states: Vec<&Value> = drafts["drafts"].as_array().unwrap().iter().map(|draft| &draft["state"]).collect();
    assert_eq!(states, ["DRAFT_STATE_STALE", "DRAFT_STATE_APPLIED"], "a reset keeps the drafts");
    // The reset of one arm takes the same way, and has a revision of its own.
    let arm = json!({"slotId": "offers", "armId": "a", "reason": "wrong price"});
    assert_eq!(shop.refused(admin, "ResetArm", arm.clone(), 400).await.0, "APPROVAL_REQUIRED");
    shop.done(admin, "CreateDraft", json!({"change": {"resetArm": arm}})).await;
    shop.done(eve, "ApproveDraft", named(3)).await;
    let applied = shop.done(admin, "ApplyDraft", named(3)).await;
    let history = shop.done(ann, "ListRevisions", json!({"slotId": "offers"})).await;
    assert_eq!(history["revisions"][0]["change"], "arm a reset", "{history}");
    assert_eq!(history["revisions"][0]["revision"], applied["draft"]["appliedRevision"], "{history} {applied}");
    // A deletion needs no approval here, because the list does not name it.
    shop.done(admin, "DeleteSlot", json!({"slotId": "offers"})).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_nobody_is_known_to_be_a_second_person() {
    let (_folder, server, mut clients) = started().await;
    clients.create(crate::support::slot("offers", &["a", "b"])).await.unwrap();
    let body = json!({"change": {"update": floor_update(0.1)}});
    let answer = call(&server.http, "CreateDraft", None, &body).await;
    assert_eq!((answer.status, answer.body["reason"].as_str()), (400, Some("CALLER_UNKNOWN")), "{answer:?}");
    assert!(answer.body["detail"].as_str().unwrap().contains("slotwise keys create"), "{answer:?}");
    let demand = json!({"slot": {"slotId": "offers", "controls": {"approval": {}}}, "updateMask": "controls.approval"});
    let answer = call(&server.http, "UpdateSlot", None, &demand).await;
    assert_eq!((answer.status, answer.body["reason"].as_str()), (400, Some("FIELD_INVALID")), "{answer:?}");
    assert!(answer.body["detail"].as_str().unwrap().contains("without a key"), "{answer:?}");
    server.stop().await;
}

/// The service is killed between the steps of a draft, and while a draft is scheduled.
#[tokio::test(flavor = "multi_thread")]
async fn drafts_survive_a_kill_and_scheduled_ones_are_applied_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let people = ShopKeys::new(folder.path());
    let process = Process::start(folder.path());
    let mut shop = ApprovalShop { http: process.http.clone(), people };
    shop.create().await;
    shop.draft_floor(0.1).await;
    drop(process);
    let process = Process::start(folder.path());
    shop.http.clone_from(&process.http);
    let ShopKeys { ann, eve, .. } = &shop.people;
    assert_eq!(shop.draft(1).await["draft"]["state"], "DRAFT_STATE_OPEN");
    shop.done(eve, "ApproveDraft", named(1)).await;
    let schedule = json!({"slotId": "offers", "draftId": 1, "applyTime": in_time(0.7)});
    let scheduled = shop.done(ann, "ApplyDraft", schedule).await;
    assert_eq!(scheduled["draft"]["state"], "DRAFT_STATE_SCHEDULED", "{scheduled}");
    assert_eq!(scheduled["slot"]["controls"].get("floor"), None, "not yet");
    drop(process);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let process = Process::start(folder.path());
    let shop = ApprovalShop { http: process.http.clone(), people: shop.people };
    let mut tries = 0;
    while shop.draft(1).await["draft"]["state"] != "DRAFT_STATE_APPLIED" {
        tokio::time::sleep(Duration::from_millis(100)).await;
        tries += 1;
        assert!(tries < 100, "it is applied after the start");
    }
    assert_eq!(shop.slot().await["controls"]["floor"], 0.1);
    let history = shop.done(&shop.people.ann, "ListRevisions", json!({"slotId": "offers"})).await;
    assert_eq!(history["revisions"][0]["actor"]["principal"], "ann", "who scheduled it is the caller: {history}");
}

#[tokio::test(flavor = "multi_thread")]
async fn drafts_are_made_from_the_command_line() {
    let (folder, server, shop) = shop().await;
    let file = folder.path().join("offers.toml");
    let run = |key: &str, words: &[&str]| {
        let mut command = program();
        let output = command.args(words).args(["--target", &server.address]).env("SLOTWISE_API_KEY", key).output();
        let output = output.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    };
    let ShopKeys { ann, bob, .. } = &shop.people;
    let (done, document, error) = run(ann, &["slots", "get", "offers"]);
    assert!(done && document.contains("controls.approval"), "the demand is named in a remark: {document} {error}");
    let named = document.replace("[controls]\n", "[controls]\nfloor = 0.25\n");
    assert_ne!(named, document, "{document}");
    std::fs::write(&file, named).unwrap();
    let file = file.to_str().unwrap();
    let (done, _, error) = run(ann, &["slots", "apply", "-f", file]);
    assert!(!done && error.contains("slotwise drafts create"), "{error}");
    let (done, said, error) = run(ann, &["drafts", "create", "-f", file, "--reason", "more room"]);
    assert!(done && said.contains("offers: draft 1 (controls.floor) waits for approval until"), "{said} {error}");
    let (_, listed, _) = run(ann, &["drafts", "list", "-o", "json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["drafts"][0]["state"], "open", "{listed}");
    let (_, shown, _) = run(ann, &["drafts", "show", "offers", "1"]);
    assert!(shown.contains("created by ann") && shown.contains("controls.floor: 0.25"), "{shown}");
    assert!(run(ann, &["drafts", "preview", "offers", "1"]).0);
    assert!(run(bob, &["drafts", "approve", "offers", "1"]).0);
    let (done, said, error) = run(bob, &["drafts", "apply", "offers", "1"]);
    assert!(done && said.contains("draft 1 is applied (revision 2)"), "{said} {error}");
    let (_, listed, _) = run(ann, &["drafts", "list", "offers", "--all"]);
    assert!(listed.contains("became revision 2"), "{listed}");
    assert!(run(ann, &["drafts", "rollback", "offers", "1"]).0);
    assert!(run(ann, &["drafts", "discard", "offers", "2"]).0);
    server.stop().await;
}
