//! Errors that people and programs meet on the HTTP port: in the units of the form, and never a bare text.

use serde_json::Value;
use slotwise::wire::proto::{Controls, SetSafeChoiceRequest, Slot};

use super::{Browser, current, slot, started};

/// An error gives in per cent what the form asks for in per cent.
#[tokio::test(flavor = "multi_thread")]
async fn errors_of_the_form_are_in_its_units() {
    let (_folder, server, mut clients) = started().await;
    let controls = Controls { ceiling: Some(0.8), ..Controls::default() };
    clients.create(Slot { controls: Some(controls), ..slot("offers", &["a", "b", "c"]) }).await.unwrap();
    let browser = Browser::new(&server);
    let revision = current(&mut clients, "offers").await.revision.to_string();
    for (field, value, said) in [
        ("floor", "120", "Floor: must be from 0 to 100 %"),
        ("floor", "50", "Floor: with 50 % the floors of the arms come to 150 %"),
        ("floor", "90", "Floor: 90 % is above the ceiling of 80 %"),
        ("holdout", "-1", "Holdout: must be from 0 to 100 %"),
    ] {
        let of = |name: &str| if name == field { value } else { "" };
        let form = [
            ("revision", revision.as_str()),
            ("exploration", ""),
            ("floor", of("floor")),
            ("holdout", of("holdout")),
            ("half_life", ""),
            ("mode", "on"),
            ("reason", "a try"),
        ];
        let refused = browser.post("/slots/offers/change", &form).await;
        assert!(refused.status == 200 && refused.page.contains(said), "{field} = {value}: {}", refused.page);
        let draft = format!("revision={revision}&floor={}&holdout={}&mode=on&preview=1", of("floor"), of("holdout"));
        let preview = browser.get(&format!("/slots/offers/change?{draft}")).await.page;
        assert!(preview.contains(said), "{field} = {value}: {preview}");
    }
    assert_eq!(current(&mut clients, "offers").await.revision.to_string(), revision);
    server.stop().await;
}

/// Another editor switches the safe choice all the time, so the slot's revision moves while nothing is undone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_undo_that_undid_nothing_says_so_whatever_others_do() {
    let (_folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    let browser = Browser::new(&server);
    let mut other = clients.clone();
    let switching = async {
        for i in 0..150 {
            let slot_id = "offers".into();
            let request = SetSafeChoiceRequest { slot_id, on: i % 2 == 0, ..SetSafeChoiceRequest::default() };
            other.slots.set_safe_choice(request).await.unwrap();
        }
    };
    let undoing = async {
        for _ in 0..60 {
            let form = [("revision", "1"), ("reason", "back")];
            let undone = browser.post("/slots/offers/rollback", &form).await;
            assert!(undone.status == 200 && undone.page.contains("Nothing was undone"), "{undone:?}");
        }
    };
    tokio::join!(switching, undoing);
    assert!(current(&mut clients, "offers").await.revision > 100);
    server.stop().await;
}

/// Errors that the libraries of the port make by themselves are problem details for programs and pages for people.
#[tokio::test(flavor = "multi_thread")]
async fn no_error_is_a_bare_text() {
    let (_folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    let browser = Browser::new(&server);
    let form = "\r\ncontent-type: application/x-www-form-urlencoded\r\nsec-fetch-site: same-origin";
    let packed = "\r\ncontent-type: application/json\r\ncontent-encoding: zstd";
    for (head, body, code) in [
        ("GET /nowhere HTTP/1.1".to_owned(), "", 404),
        ("GET /slots/offers/nowhere HTTP/1.1".to_owned(), "", 404),
        ("DELETE /slots/offers HTTP/1.1\r\nsec-fetch-site: same-origin".to_owned(), "", 405),
        ("POST /metrics HTTP/1.1".to_owned(), "", 405),
        ("GET /v1/ListSlots HTTP/1.1".to_owned(), "", 405),
        (format!("POST /slots/offers/rollback HTTP/1.1{form}"), "reason=x", 422),
        (format!("POST /slots/offers/rollback HTTP/1.1{form}"), "revision=one&reason=x", 422),
        ("POST /slots/offers/rollback HTTP/1.1\r\nsec-fetch-site: same-origin".to_owned(), "revision=1", 415),
        (format!("POST /v1/ListSlots HTTP/1.1{packed}"), "{}", 415),
    ] {
        let answer = browser.send(&head, body).await;
        assert_eq!(answer.status, code, "{head}: {answer:?}");
        assert!(answer.headers.contains("content-type: application/problem+json"), "{head}: {answer:?}");
        let problem: Value = serde_json::from_str(&answer.page).unwrap();
        assert!(
            problem["status"] == code && problem["detail"].as_str().is_some_and(|text| text.len() > 10),
            "{problem}"
        );
        assert_eq!(answer.headers.contains("allow: "), code == 405, "{answer:?}");
        if head.contains("/v1/") {
            continue;
        }
        let page = browser.send(&format!("{head}\r\naccept: text/html,application/xhtml+xml"), body).await;
        assert!(page.status == code && page.page.contains("<!DOCTYPE html>"), "{head}: {page:?}");
        assert!(page.headers.contains("content-security-policy"), "{page:?}");
    }
    server.stop().await;
}
