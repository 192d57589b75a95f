//! The page of an arm.

use slotwise::{
    access::Role,
    wire::proto::{Arm, UnavailableBecause},
};

use super::{Browser, create, current, sign_in_exactly, traffic};
use crate::support::{InProcessServer, context, slot, started, text};

#[tokio::test(flavor = "multi_thread")]
async fn an_arm_is_added_edited_scheduled_and_removed() {
    let (_folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    traffic(&mut clients, "offers", 40).await;
    let browser = Browser::new(&server);
    assert!(browser.get("/slots/offers/arms").await.page.contains("href=\"/slots/offers/arm?id=a\""));
    let mut form = vec![
        ("revision", "1"),
        ("arm", "gift wrap & more"),
        ("attributes", "brand = acme\nprice = 2.5\ntags = [\"red\", \"new\"]"),
        ("payload", "{\"title\": \"Gift\", \"size\": 3}"),
        ("unavailable", ""),
        ("from", "2026-01-01T08:00"),
        ("until", ""),
        ("action", "check"),
    ];
    let checked = browser.post("/slots/offers/arm", &form).await.page;
    for words in ["Apply it", "What it would have done", "never shown: unknown", "Fields that a program gets", "Gift"] {
        assert!(checked.contains(words), "{words}: {checked}");
    }
    assert_eq!(clients.arms("offers").await.len(), 2, "nothing was changed");
    form[7] = ("action", "apply");
    form.push(("reason", "for the season"));
    let applied = browser.post("/slots/offers/arm", &form).await;
    assert_eq!(
        (applied.status, applied.location()),
        (303, "/slots/offers/arm?id=gift+wrap+%26+more"),
        "{}",
        applied.page
    );
    let arms = clients.arms("offers").await;
    let made: &Arm = &arms[2];
    assert_eq!((made.arm_id.as_str(), made.available, made.attributes.len()), ("gift wrap & more", Some(true), 3));
    assert_eq!(made.schedule.unwrap().from.unwrap().seconds, 1_767_254_400);
    assert_eq!(made.payload.as_ref().unwrap().fields.len(), 2);

    let page = browser.get(applied.location()).await.page;
    for words in ["tags = [&quot;red&quot;,&quot;new&quot;]", "value=\"2026-01-01T08:00\"", "Remove the arm"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    // One arm alone is changed.
    let change = [
        ("revision", "2"),
        ("original", "a"),
        ("attributes", "brand = other"),
        ("unavailable", "out_of_stock"),
        ("action", "apply"),
        ("reason", "sold out"),
    ];
    assert_eq!(browser.post("/slots/offers/arm", &change).await.status, 303);
    let arms = clients.arms("offers").await;
    assert_eq!((arms[0].available, arms[0].unavailable_because()), (Some(false), UnavailableBecause::OutOfStock));
    assert_eq!(arms[0].attributes, context(&[("brand", text("other"))]));
    assert_eq!((&arms[2], arms[1].available), (made, Some(true)));

    let remove = [("revision", "3"), ("arm", "gift wrap & more"), ("reason", "over")];
    let removed = browser.post("/slots/offers/arm/remove", &remove).await;
    assert_eq!((removed.status, removed.location()), (303, "/slots/offers/arms"), "{}", removed.page);
    assert_eq!(clients.arms("offers").await.len(), 2);
    assert_eq!(browser.get("/slots/offers/arm?id=nothing").await.status, 404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_of_an_arm_that_is_wrong_is_named_and_the_form_stays() {
    let (_folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    let browser = Browser::new(&server);
    for (field, value, words) in [
        ("arm", "a", "has an arm &#39;a&#39; already"),
        ("attributes", "brand", "Attributes: &#39;brand&#39; has no name and value"),
        ("payload", "[1]", "Payload: must be an object"),
        ("from", "tomorrow", "Shown from: &#39;tomorrow&#39;"),
        ("until", "2020-01-01T00:00", "Shown until: must be after from"),
    ] {
        let of = |name: &str, otherwise: &'static str| if name == field { value } else { otherwise };
        let form = [
            ("revision", "1"),
            ("arm", of("arm", "new")),
            ("attributes", of("attributes", "x = 1")),
            ("payload", of("payload", "{}")),
            ("from", of("from", "2026-01-01T00:00")),
            ("until", of("until", "")),
            ("action", "apply"),
            ("reason", "x"),
        ];
        let refused = browser.post("/slots/offers/arm", &form).await;
        let page = refused.page.replace("&#x27;", "&#39;").replace('\'', "&#39;");
        assert!(refused.status == 200 && page.contains(words), "{words}: {page}");
        assert!(page.contains("Check and preview"), "{page}");
    }
    assert_eq!(current(&mut clients, "offers").await.revision, 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_reads_rules_and_arms_and_changes_none() {
    let folder = tempfile::tempdir().unwrap();
    {
        let server = InProcessServer::start(folder.path()).await;
        let mut clients = server.clients().await;
        clients.create(slot("offers", &["a", "b"])).await.unwrap();
        server.stop().await;
    }
    let viewer = create(folder.path(), "vera", &[Role::View]);
    let server = InProcessServer::start(folder.path()).await;
    let mut browser = Browser::new(&server);
    sign_in_exactly(&mut browser, &viewer).await;
    let arm = browser.get("/slots/offers/arm?id=a").await;
    assert!(
        arm.status == 200 && !arm.page.contains("Check and preview") && !arm.page.contains("Remove the arm"),
        "{}",
        arm.page
    );
    let rule = browser.get("/slots/offers/rule?effect=exclude&name=x&when=arm.id+%3D%3D+%22a%22&preview=1").await;
    assert!(rule.status == 200 && !rule.page.contains("Apply it"), "{}", rule.page);
    assert!(!browser.get("/slots/offers/rules").await.page.contains("New rule"));
    assert_eq!(browser.get("/slots/offers/arm").await.status, 403);
    for (path, form) in [
        ("/slots/offers/rule", &[("revision", "1"), ("effect", "exclude"), ("name", "x"), ("reason", "x")][..]),
        ("/slots/offers/rules", &[("revision", "1"), ("rule", "x"), ("action", "remove"), ("reason", "x")]),
        ("/slots/offers/arm", &[("revision", "1"), ("original", "a"), ("action", "apply"), ("reason", "x")]),
        ("/slots/offers/arm/remove", &[("revision", "1"), ("arm", "a"), ("reason", "x")]),
        ("/keys", &[("name", "x"), ("kind", "admin")]),
        ("/keys/revoke", &[("id", "x")]),
    ] {
        let refused = browser.post(path, form).await;
        assert!(refused.status == 403 && refused.page.contains("role"), "{path}: {}", refused.page);
    }
    assert_eq!(browser.get("/keys").await.status, 403);
    let compared = browser.post("/slots/offers/compare", &[("days", "7"), ("even", "on")]).await;
    assert_eq!(compared.status, 303, "comparing changes nothing");
    server.stop().await;
}
