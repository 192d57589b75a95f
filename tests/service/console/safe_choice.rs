//! The safe choice of all slots, and its undo.

use slotwise::{
    access::{KeyDraft, KeyStore, Role},
    wire::proto::SetSafeChoiceRequest,
};

use super::{Browser, create, current, sign_in_exactly};
use crate::support::{Clients, InProcessServer, slot, started};

const SLOTS: [&str; 3] = ["home-a", "home-b", "search"];

async fn is_on(clients: &mut Clients, slot: &str) -> bool {
    current(clients, slot).await.controls.unwrap_or_default().safe_choice.unwrap_or(false)
}

/// Id of the request whose switch the first card of a page takes back.
fn first_undo(page: &str) -> String {
    page.split("name=\"undo\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_safe_choice_of_all_slots_is_confirmed_and_taken_back() {
    let (_folder, server, mut clients) = started().await;
    let browser = Browser::new(&server);
    assert!(!browser.get("/").await.page.contains("Safe choice for all slots"), "there is no slot");
    for id in SLOTS {
        clients.create(slot(id, &["a", "b"])).await.unwrap();
    }
    assert!(browser.get("/").await.page.contains("Safe choice for all slots"));
    let first =
        SetSafeChoiceRequest { slot_id: "search".into(), on: true, reason: "before".into(), ..Default::default() };
    clients.slots.set_safe_choice(first).await.unwrap();

    let wrong = browser.post("/safe-choice", &[("confirm", "all"), ("reason", "prices are wrong")]).await;
    assert!(wrong.page.contains("Nothing was changed") && wrong.page.contains("prices are wrong"), "{}", wrong.page);
    assert!(!is_on(&mut clients, "home-a").await);
    let done = browser.post("/safe-choice", &[("confirm", "all slots"), ("reason", "prices are wrong")]).await;
    assert!(done.page.contains("Switched on in 2 slots") && !done.page.contains("Refused"), "{}", done.page);
    for id in SLOTS {
        assert!(is_on(&mut clients, id).await, "{id}");
    }
    let again = browser.post("/safe-choice", &[("confirm", "all slots"), ("reason", "again")]).await;
    assert!(again.page.contains("on everywhere already"), "{}", again.page);

    let page = browser.get("/safe-choice").await.page;
    assert!(
        page.contains("On in 2 slots") && page.contains("On in 1 slot") && page.contains("prices are wrong"),
        "{page}"
    );
    let undone = browser.post("/safe-choice", &[("undo", &first_undo(&page)), ("reason", "mended")]).await;
    assert!(undone.page.contains("Switched off in 2 slots"), "{}", undone.page);
    assert!(is_on(&mut clients, "search").await, "what was on before stays on");
    assert!(!is_on(&mut clients, "home-a").await && !is_on(&mut clients, "home-b").await);
    let stale = browser.post("/safe-choice", &[("undo", "nonsense"), ("reason", "x")]).await;
    assert!(stale.page.contains("No slot was changed") && is_on(&mut clients, "search").await, "{}", stale.page);
    server.stop().await;
}

/// A key that reaches some slots switches those and no others, and one that may only view switches none.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_switches_the_slots_that_it_reaches() {
    let folder = tempfile::tempdir().unwrap();
    {
        let server = InProcessServer::start(folder.path()).await;
        let mut clients = server.clients().await;
        for id in SLOTS {
            clients.create(slot(id, &["a", "b"])).await.unwrap();
        }
        server.stop().await;
    }
    let viewer = create(folder.path(), "vera", &[Role::View]);
    let everything = create(folder.path(), "admin", &[Role::Admin]);
    let draft = KeyDraft {
        name: "ed".into(),
        roles: [Role::View, Role::Tune].into(),
        slots: vec!["home-*".parse().unwrap()],
        ..KeyDraft::default()
    };
    let editor = KeyStore::new(folder.path()).create(draft, 0).unwrap().text;
    let server = InProcessServer::start(folder.path()).await;
    let [mut vera, mut ed, mut admin] = [0; 3].map(|_| Browser::new(&server));
    sign_in_exactly(&mut vera, &viewer).await;
    sign_in_exactly(&mut ed, &editor).await;
    sign_in_exactly(&mut admin, &everything).await;
    let form = [("confirm", "all slots"), ("reason", "an alarm")];
    assert!(!vera.get("/").await.page.contains("Safe choice for all slots"));
    assert_eq!(vera.post("/safe-choice", &form).await.status, 403);
    let done = ed.post("/safe-choice", &form).await.page;
    assert!(done.contains("Switched on in 2 slots") && !done.contains("search"), "{done}");
    let seen = admin.get("/safe-choice").await.page;
    assert!(seen.contains("On in 2 slots") && seen.contains("by ed"), "{seen}");
    let all = admin.post("/safe-choice", &form).await.page;
    assert!(all.contains("Switched on in 1 slot"), "{all}");
    server.stop().await;
}
