//! The page "Keys".

use std::time::Duration;

use slotwise::access::{KeyDraft, KeyStore, Role};

use super::{Browser, create, sign_in_exactly};
use crate::support::{InProcessServer, started};

/// Returns the key that a page shows.
fn shown_key(page: &str) -> String {
    let rest = page.split("<code class=\"key\">").nth(1).unwrap_or_else(|| panic!("no key: {page}"));
    rest.split('<').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_key_is_an_administrators_and_keys_are_made_used_and_revoked_from_then_on() {
    let (folder, server, _clients) = started().await;
    let mut browser = Browser::new(&server);
    let first = browser.get("/keys").await.page;
    assert!(first.contains("There is no key") && first.contains("From the first key on"), "{first}");
    let refused = browser.post("/keys", &[("name", "vera"), ("kind", "viewer")]).await;
    assert!(refused.page.contains("The first key is for an administrator"), "{}", refused.page);
    assert_eq!(KeyStore::new(folder.path()).read().unwrap(), None);
    let made = browser.post("/keys", &[("name", "anna"), ("kind", "admin")]).await;
    assert!(made.status == 200 && made.headers.contains("cache-control: no-store"), "{}", made.headers);
    let admin = shown_key(&made.page);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(browser.get("/keys").await.status, 303, "from now on visitors sign in");
    sign_in_exactly(&mut browser, &admin).await;

    let editor = [("name", "ed"), ("kind", "editor"), ("slots", "home-*"), ("days", "30")];
    let made = browser.post("/keys", &editor).await;
    let key = shown_key(&made.page);
    let again = browser.get("/keys").await.page;
    assert!(again.contains("ed") && again.contains("home-*") && again.contains("view, tune"), "{again}");
    assert!(!again.contains(&key) && again.contains("not since the start"), "a key is shown once");
    for (form, words) in [
        (&[("name", "ed"), ("kind", "viewer")][..], "has the name"),
        (&[("name", ""), ("kind", "viewer")], "the name of a key has 1 to"),
        (&[("name", "x"), ("kind", "page")], "a key for a web page names its origins"),
        (&[("name", "x"), ("kind", "page"), ("origins", "shop")], "is no origin"),
    ] {
        let refused = browser.post("/keys", form).await;
        assert!(refused.status == 200 && refused.page.contains(words), "{words}: {}", refused.page);
    }

    tokio::time::sleep(Duration::from_millis(600)).await;
    let mut other = Browser::new(&server);
    sign_in_exactly(&mut other, &key).await;
    assert_eq!(other.get("/").await.status, 200);
    assert_eq!(browser.get("/keys").await.page.matches("not since the start").count(), 0, "both were used");
    let stored = KeyStore::new(folder.path()).read().unwrap().unwrap();
    let id = |name: &str| stored.iter().find(|key| key.name == name).unwrap().id.clone();
    let last = browser.post("/keys/revoke", &[("id", &id("anna"))]).await;
    assert!(last.page.contains("the last key of an administrator"), "{}", last.page);
    let revoked = browser.post("/keys/revoke", &[("id", &id("ed"))]).await;
    assert!(revoked.page.contains("revoked"), "{}", revoked.page);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(other.get("/").await.status, 303, "its session ends");
    assert!(browser.post("/keys/revoke", &[("id", "nothing")]).await.page.contains("no active key"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_of_some_slots_does_not_manage_keys() {
    let folder = tempfile::tempdir().unwrap();
    let slots = vec!["home-*".parse().unwrap()];
    let draft = KeyDraft { name: "some".into(), roles: [Role::Admin].into(), slots, ..KeyDraft::default() };
    let some = KeyStore::new(folder.path()).create(draft, 0).unwrap().text;
    create(folder.path(), "all", &[Role::Admin]);
    let server = InProcessServer::start(folder.path()).await;
    let mut browser = Browser::new(&server);
    sign_in_exactly(&mut browser, &some).await;
    for refused in [browser.get("/keys").await, browser.post("/keys", &[("name", "x"), ("kind", "admin")]).await] {
        assert!(refused.status == 403 && refused.page.contains("some of them only"), "{}", refused.page);
    }
    assert_eq!(KeyStore::new(folder.path()).read().unwrap().unwrap().len(), 2);
    server.stop().await;
}
