//! Drafts in the console: a change that a second person approves.

use serde_json::json;
use slotwise::access::Role;

use super::{Browser, ShownPage, create, sign_in_exactly};
use crate::{access::call, support::InProcessServer};

/// People of the test, each signed in, and the key of an administrator.
struct DraftPeople {
    ann: Browser,
    bob: Browser,
    admin: String,
    server: InProcessServer,
    _folder: tempfile::TempDir,
}

/// Starts a service whose slot `offers` demands approval of its floor and its rules.
async fn people() -> DraftPeople {
    let folder = tempfile::tempdir().unwrap();
    let ann_key = create(folder.path(), "ann", &[Role::View, Role::Tune]);
    let bob_key = create(folder.path(), "bob", &[Role::View, Role::Approve]);
    let admin = create(folder.path(), "admin", &[Role::Admin]);
    let server = InProcessServer::start(folder.path()).await;
    let slot = json!({
        "slotId": "offers", "arms": [{"armId": "a"}, {"armId": "b"}],
        "goal": {"kinds": [{"kind": "click", "weight": 1.0}]},
        "controls": {"approval": {"changes": ["controls.floor", "rules", "reset"]}},
    });
    let made = call(&server.http, "CreateSlot", Some(&admin), &json!({ "slot": slot })).await;
    assert_eq!(made.status, 200, "{made:?}");
    let [mut ann, mut bob] = [Browser::new(&server), Browser::new(&server)];
    sign_in_exactly(&mut ann, &ann_key).await;
    sign_in_exactly(&mut bob, &bob_key).await;
    DraftPeople { ann, bob, admin, server, _folder: folder }
}

impl DraftPeople {
    async fn floor(&self) -> serde_json::Value {
        let answer = call(&self.server.http, "GetSlot", Some(&self.admin), &json!({"slotId": "offers"})).await;
        answer.body["slot"]["controls"]["floor"].clone()
    }

    /// Sends the form of the page "Change" as ann.
    async fn change(&self, floor: &str, exploration: &str, more: &[(&str, &str)]) -> ShownPage {
        let mut form =
            vec![("revision", "0"), ("floor", floor), ("exploration", exploration), ("holdout", ""), ("mode", "on")];
        form.extend([("reason", "arms starve")].iter().chain(more));
        self.ann.post("/slots/offers/change", &form).await
    }
}

async fn step(browser: &Browser, number: u32, form: &[(&str, &str)]) -> ShownPage {
    browser.post(&format!("/slots/offers/drafts/{number}"), form).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_sent_for_approval_approved_and_applied() {
    let people = people().await;
    let DraftPeople { ann, bob, .. } = &people;
    assert!(ann.get("/drafts").await.page.contains("No draft waits"));
    let preview = ann.get("/slots/offers/change?revision=0&floor=5&exploration=&holdout=&mode=on&preview=1").await.page;
    assert!(preview.contains("Send for approval") && !preview.contains(">Apply<"), "{preview}");
    let free = ann.get("/slots/offers/change?revision=0&floor=&exploration=2&holdout=&mode=on&preview=1").await.page;
    assert!(free.contains(">Apply<") && free.contains("Make a draft for somebody to approve"), "{free}");

    let sent = people.change("5", "", &[]).await;
    assert_eq!((sent.status, sent.location()), (303, "/slots/offers/drafts/1"), "{}", sent.page);
    assert!(people.floor().await.is_null(), "nothing is changed yet");
    for path in ["/drafts", "/slots/offers/drafts"] {
        let listed = bob.get(path).await.page;
        assert!(listed.contains("waits for approval") && listed.contains("arms starve"), "{path}: {listed}");
    }
    let own = ann.get("/slots/offers/drafts/1").await.page;
    assert!(!own.contains(">Approve<") && own.contains("Withdraw") && own.contains("controls.floor"), "{own}");
    let shown = bob.get("/slots/offers/drafts/1?preview=1").await.page;
    assert!(shown.contains(">Approve<") && shown.contains("What it would have done"), "{shown}");
    assert!(!shown.contains("Withdraw") && !shown.contains("Apply now"), "bob may not tune: {shown}");

    assert_eq!(step(ann, 1, &[("action", "approve"), ("reason", "me")]).await.status, 403);
    let early = step(ann, 1, &[("action", "apply")]).await;
    assert!(early.status == 200 && early.page.contains("role=\"alert\""), "{}", early.page);
    assert_eq!(step(bob, 1, &[("action", "approve"), ("reason", "looks right")]).await.status, 303);
    assert_eq!(step(bob, 1, &[("action", "apply")]).await.status, 403);
    for (at, words) in [("", "Time: is missing"), ("soon", "is no date"), ("2000-01-01T00:00", "role=\"alert\"")] {
        let refused = step(ann, 1, &[("action", "schedule"), ("at", at)]).await;
        assert!(refused.status == 200 && refused.page.contains(words), "{at}: {}", refused.page);
    }
    let applied = step(ann, 1, &[("action", "apply")]).await;
    assert_eq!((applied.status, applied.location()), (303, "/slots/offers/drafts/1"), "{}", applied.page);
    assert_eq!(people.floor().await, json!(0.05));
    let ended = bob.get("/slots/offers/drafts/1").await.page;
    assert!(ended.contains("looks right") && ended.contains("revision 2") && !ended.contains("Withdraw"), "{ended}");
    assert!(bob.get("/drafts").await.page.contains("No draft waits"));
    assert!(bob.get("/drafts?ended=on").await.page.contains("applied"));
    people.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_resets_and_chosen_changes_become_drafts_too() {
    let people = people().await;
    let DraftPeople { ann, bob, .. } = &people;
    let chosen = people.change("", "2", &[("as_draft", "on")]).await;
    assert_eq!(chosen.location(), "/slots/offers/drafts/1", "{}", chosen.page);
    let withdrawn = step(ann, 1, &[("action", "withdraw"), ("reason", "not needed")]).await;
    assert_eq!(withdrawn.status, 303);
    assert!(ann.get("/slots/offers/drafts/1").await.page.contains("It was withdrawn"));

    let rule =
        [("revision", "1"), ("name", "no a"), ("when", "arm.id == \"a\""), ("effect", "exclude"), ("reason", "x")];
    let sent = ann.post("/slots/offers/rule", &rule).await;
    assert_eq!((sent.status, sent.location()), (303, "/slots/offers/drafts/2"), "{}", sent.page);
    assert!(ann.get("/slots/offers/rules").await.page.contains("The slot has no rule"));
    let mut admin = Browser::new(&people.server);
    sign_in_exactly(&mut admin, &people.admin).await;
    let reset = admin.post("/slots/offers/reset", &[("confirm", "offers"), ("reason", "new season")]).await;
    assert_eq!(reset.location(), "/slots/offers/drafts/3", "{}", reset.page);
    let own = admin.get("/slots/offers/drafts/3").await.page;
    assert!(own.contains("You made this draft") && !own.contains("past decisions"), "a reset has no preview: {own}");
    let refused = step(&admin, 3, &[("action", "approve")]).await;
    assert!(refused.status == 200 && refused.page.contains("a second person must approve"), "{}", refused.page);

    // A change that needs nobody makes the drafts stale.
    assert_eq!(people.change("", "2", &[]).await.location(), "/slots/offers/history");
    let stale = bob.get("/slots/offers/drafts/2").await.page;
    assert!(stale.contains("The slot changed since") && !stale.contains(">Approve<"), "{stale}");
    let back = ann.post("/slots/offers/rollback", &[("revision", "1"), ("reason", "back")]).await;
    assert_eq!(back.location(), "/slots/offers/history", "going back changes exploration alone");
    assert_eq!(bob.get("/slots/offers/drafts/99").await.status, 404);
    people.server.stop().await;
}
