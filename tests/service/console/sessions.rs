//! Sessions: a visitor signs in with a key, and does what the key may.

use std::path::Path;

use slotwise::access::{KeyDraft, KeyStore, Role};

use super::{Browser, serde_urlencoded};
use crate::support::{InProcessServer, slot};

/// Creates a key, and returns its text.
pub(super) fn create(folder: &Path, name: &str, roles: &[Role]) -> String {
    let roles = roles.iter().copied().collect();
    let draft = KeyDraft { name: name.into(), roles, ..KeyDraft::default() };
    KeyStore::new(folder).create(draft, 0).unwrap().text
}

#[tokio::test(flavor = "multi_thread")]
async fn with_keys_a_visitor_signs_in_and_does_what_the_key_may() {
    let folder = tempfile::tempdir().unwrap();
    {
        let server = InProcessServer::start(folder.path()).await;
        let mut clients = server.clients().await;
        clients.create(slot("offers", &["a", "b"])).await.unwrap();
        server.stop().await;
    }
    let viewer = create(folder.path(), "vera", &[Role::View]);
    let editor = create(folder.path(), "ed", &[Role::View, Role::Tune]);
    let server = InProcessServer::start(folder.path()).await;
    let mut browser = Browser::new(&server);
    for path in ["/", "/slots/offers", "/system", "/decisions"] {
        let sent_on = browser.get(path).await;
        assert_eq!(sent_on.status, 303, "{path}");
        assert!(sent_on.location().starts_with("/sign-in?next="), "{path}: {}", sent_on.location());
    }
    let sent_on = browser.post("/slots/offers/safe-choice", &[("on", "true"), ("reason", "x")]).await;
    assert!(sent_on.location().starts_with("/sign-in"), "{sent_on:?}");
    assert!(browser.get("/sign-in?next=%2Fsystem").await.page.contains("type=\"password\""));
    let wrong = browser.sign_in("sw_a_b").await;
    assert!(wrong.status == 200 && wrong.page.contains("the key is not known") && browser.cookie.is_empty());

    let signed = browser.sign_in(&viewer).await;
    assert_eq!((signed.status, signed.location()), (303, "/system"));
    let cookie = signed.headers.lines().find(|line| line.starts_with("set-cookie: ")).unwrap();
    assert!(cookie.contains("httponly") && cookie.contains("samesite=strict"), "{cookie}");
    assert!(!cookie.contains(viewer.rsplit('_').next().unwrap()), "the cookie is not the key");
    let mut browser = Browser::new(&server);
    sign_in_exactly(&mut browser, &viewer).await;
    let page = browser.get("/slots/offers").await;
    assert!(page.status == 200 && page.page.contains("vera") && !page.page.contains("Switch it on"), "{}", page.page);
    let refused = browser.post("/slots/offers/safe-choice", &[("on", "true"), ("reason", "x")]).await;
    assert!(refused.status == 403 && refused.page.contains("role tune"), "{}", refused.page);
    assert!(!browser.get("/system").await.page.contains("Keys of callers"), "keys are for administrators");

    let mut other = Browser::new(&server);
    sign_in_exactly(&mut other, &editor).await;
    assert_eq!(other.post("/slots/offers/safe-choice", &[("on", "true"), ("reason", "x")]).await.status, 303);
    assert!(other.get("/slots/offers/history").await.page.contains("ed"), "the history names who signed in");
    let refused = other.post("/slots/offers/delete", &[("confirm", "offers"), ("reason", "x")]).await;
    assert_eq!(refused.status, 403);

    KeyStore::new(folder.path()).revoke("ed", 1).unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(other.get("/slots/offers").await.status, 303, "the session ends with the key");
    assert_eq!(browser.post("/sign-out", &[]).await.status, 303);
    assert_eq!(browser.get("/slots/offers").await.status, 303);
    server.stop().await;
}

/// Signs in, and takes the cookie as it was sent.
pub(super) async fn sign_in_exactly(browser: &mut Browser, key: &str) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let body = serde_urlencoded(&[("key", key)]);
    let mut stream = tokio::net::TcpStream::connect(&browser.http).await.unwrap();
    let head = format!(
        "POST /sign-in HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nsec-fetch-site: same-origin\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let cookie = answer.split("slotwise_session=").nth(1).unwrap().split(';').next().unwrap();
    browser.cookie = format!("slotwise_session={cookie}");
}
