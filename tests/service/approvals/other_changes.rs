//! Approval of other ids and of imports, and drafts of slots that got another id.

use serde_json::json;

use super::{ShopKeys, floor_update, named, shop};
use crate::support::program;

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_of_a_filter_takes_items_once_it_is_applied() {
    let (_folder, server, shop) = shop().await;
    let ShopKeys { ann, eve, admin, .. } = &shop.people;
    let slot = json!({"slotId": "gifts", "fromCatalogue": "item.price < 5", "controls": {"approval": {}}});
    shop.done(ann, "CreateSlot", json!({ "slot": slot })).await;
    let item = |id: &str, price: u8| json!({"itemId": id, "attributes": {"price": {"number": price}}});
    // Items concern all slots, so that no slot demands approval for them.
    shop.done(admin, "UpsertItems", json!({"items": [item("mug", 9), item("pen", 2)]})).await;
    let wider = json!({"slot": {"slotId": "gifts", "fromCatalogue": "true"}, "updateMask": "fromCatalogue"});
    assert_eq!(shop.refused(ann, "UpdateSlot", wider.clone(), 400).await.0, "APPROVAL_REQUIRED");
    let draft = shop.done(ann, "CreateDraft", json!({"change": {"update": wider}})).await["draft"].clone();
    assert_eq!(draft["changes"], json!(["from_catalogue"]), "{draft}");
    let named = json!({"slotId": "gifts", "draftId": 1});
    // A change of items makes no draft stale.
    shop.done(admin, "UpsertItems", json!({"items": [item("vase", 80)]})).await;
    shop.done(eve, "ApproveDraft", named.clone()).await;
    let applied = shop.done(ann, "ApplyDraft", named).await;
    assert_eq!((&applied["slot"]["fromCatalogue"], &applied["slot"]["revision"]), (&json!("true"), &json!("2")));
    let arms = shop.done(ann, "ListArms", json!({"slotId": "gifts"})).await;
    assert_eq!(arms["armCount"], 3, "{arms}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_id_is_drafted_approved_and_applied() {
    let (_folder, server, shop) = shop().await;
    let ShopKeys { ann, bob, eve, admin } = &shop.people;
    let all = json!({
        "slotId": "page", "arms": [{"armId": "a"}], "goal": {"kinds": [{"kind": "click", "weight": 1.0}]},
        "controls": {"approval": {}},
    });
    shop.done(ann, "CreateSlot", json!({ "slot": all })).await;
    let rename = |to: &str| json!({"slotId": "page", "newSlotId": to, "reason": "clearer"});
    let (reason, text) = shop.refused(admin, "RenameSlot", rename("home"), 400).await;
    assert!(reason == "APPROVAL_REQUIRED" && text.contains("changes of rename"), "{reason} {text}");

    let draft = |to: &str| json!({"change": {"rename": rename(to)}});
    assert_eq!(shop.refused(ann, "CreateDraft", draft("home"), 403).await.0, "ROLE_MISSING");
    assert_eq!(shop.refused(admin, "CreateDraft", draft("offers"), 409).await.0, "SLOT_EXISTS");
    let (_, text) = shop.refused(admin, "CreateDraft", draft("bad id!"), 400).await;
    assert!(text.starts_with("change.rename.new_slot_id"), "{text}");
    let made = shop.done(admin, "CreateDraft", draft("home")).await;
    assert_eq!(made["draft"]["changes"], json!(["rename"]), "{made}");
    let first = |slot: &str| json!({"slotId": slot, "draftId": 1});
    let shown = shop.done(bob, "GetDraft", first("page")).await;
    assert_eq!(shown["diff"], json!([{"path": "slot_id", "before": "page", "after": "home"}]), "{shown}");
    assert_eq!(shop.refused(bob, "PreviewDraft", first("page"), 400).await.0, "FIELD_INVALID");
    shop.done(eve, "ApproveDraft", first("page")).await;
    let applied = shop.done(admin, "ApplyDraft", first("page")).await;
    assert_eq!((&applied["slot"]["slotId"], &applied["draft"]["slotId"]), (&json!("home"), &json!("home")));
    assert_eq!(applied["draft"]["state"], "DRAFT_STATE_APPLIED", "{applied}");
    let history = shop.done(ann, "ListRevisions", json!({"slotId": "home"})).await;
    assert_eq!(history["revisions"][0]["change"], "renamed from page", "{history}");
    assert_eq!(history["revisions"][0]["revision"], applied["draft"]["appliedRevision"], "{history}");
    assert_eq!(shop.call(ann, "GetSlot", json!({"slotId": "page"})).await.status, 404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_of_a_renamed_slot_names_it_as_it_is_called_now() {
    let (_folder, server, shop) = shop().await;
    let ShopKeys { ann, admin, .. } = &shop.people;
    shop.draft_floor(0.1).await;
    let reset = json!({"change": {"resetArm": {"slotId": "offers", "armId": "a"}}});
    shop.done(admin, "CreateDraft", reset).await;
    assert_eq!(shop.draft(1).await["change"]["update"]["slot"]["slotId"], "offers");
    // The slot's list does not name another id.
    shop.done(admin, "RenameSlot", json!({"slotId": "offers", "newSlotId": "home"})).await;
    let draft = async |number| shop.done(ann, "GetDraft", json!({"slotId": "home", "draftId": number})).await;
    let first = draft(1).await;
    assert_eq!(first["change"]["update"]["slot"]["slotId"], "home", "{first}");
    assert_eq!(draft(2).await["change"]["resetArm"]["slotId"], "home");
    assert_eq!(shop.call(ann, "GetDraft", named(1)).await.status, 404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_into_a_slot_that_demands_approval_for_them_are_refused() {
    let (folder, server, shop) = shop().await;
    let ShopKeys { ann, bob, admin, .. } = &shop.people;
    let observation = json!({
        "time": "2026-11-01T00:00:00Z", "armId": "a", "propensity": 0.5, "reward": 1.0,
    });
    let import = json!({"slotId": "offers", "importId": "log", "part": 1, "observations": [observation]});
    let run = |words: &[&str]| {
        let mut command = program();
        command.args(words).args(["--target", &server.address]).env("SLOTWISE_API_KEY", admin);
        tokio::task::block_in_place(|| command.output().unwrap())
    };
    let file = folder.path().with_extension("learning");
    let file = file.to_str().unwrap();
    let exported = run(&["slots", "export-learning", "offers", file, "--force"]);
    assert!(exported.status.success(), "{exported:?}");

    // A demand for another list needs approval itself.
    let demand = |changes: &[&str]| {
        let controls = json!({"approval": {"changes": changes}});
        json!({"slot": {"slotId": "offers", "controls": controls}, "updateMask": "controls.approval"})
    };
    let set = async |number: u32, changes: &[&str]| {
        shop.done(ann, "CreateDraft", json!({"change": {"update": demand(changes)}})).await;
        shop.done(bob, "ApproveDraft", named(number)).await;
        shop.done(ann, "ApplyDraft", named(number)).await;
    };
    set(1, &["controls.floor", "import"]).await;
    let (reason, text) = shop.refused(admin, "ImportObservations", import.clone(), 400).await;
    assert!(reason == "IMPORT_NEEDS_APPROVAL" && text.contains("leave out import"), "{reason} {text}");
    for check in [&["--check"][..], &[]] {
        let refused = run(&[&["slots", "import-learning", "offers", file], check].concat());
        let error = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success() && error.contains("leave out import"), "{error}");
    }

    // The way that the refusal names.
    set(2, &["controls.floor"]).await;
    let imported = run(&["slots", "import-learning", "offers", file]);
    assert!(imported.status.success(), "{imported:?}");
    shop.done(admin, "ImportObservations", import).await;
    let (reason, _) = shop.refused(ann, "UpdateSlot", floor_update(0.1), 400).await;
    assert_eq!(reason, "APPROVAL_REQUIRED");
    std::fs::remove_file(file).unwrap();
    server.stop().await;
}
