//! Events in the form of `CloudEvents` and of Segment, over HTTP, with payloads of their specifications.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first thing that is wrong")]

use serde_json::{Value, json};
use slotwise::{
    access::Role,
    config::{Config, EventMapping, IncomingEvents},
};

use crate::{
    access::create,
    json::{HttpAnswer, send},
    support::{Clients, InProcessServer, http_get, slot},
};

/// Sends a body to one of the two paths, with these headers.
async fn post(http: &str, form: &str, headers: &str, body: &Value) -> HttpAnswer {
    send(http, &format!("POST /v1/events/{form} HTTP/1.1\r\n{headers}"), body.to_string().as_bytes()).await
}

async fn segment(http: &str, body: &Value) -> HttpAnswer {
    post(http, "segment", "content-type: application/json", body).await
}

/// Starts a service whose slot `offers` has an item of the specifications as its arm, and pays for clicks and orders.
async fn shop() -> (tempfile::TempDir, InProcessServer, Clients) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config { data: folder.path().to_owned(), ..Config::default() };
    config.profiles.default_consent = slotwise::slot::Consent::Full;
    let server = InProcessServer::start_with(config).await;
    let mut clients = server.clients().await;
    let mut offers = slot("offers", &["507f1f77bcf86cd799439011"]);
    let goal = offers.goal.as_mut().unwrap();
    let mut purchase = goal.kinds[0].clone();
    (purchase.kind, purchase.cap, purchase.use_value) = ("purchase".into(), None, true);
    goal.kinds.push(purchase);
    clients.create(offers).await.unwrap();
    (folder, server, clients)
}

/// Shows the only offer to a shopper.
async fn show(clients: &mut Clients, subject: &str, session: &str) {
    let subject = slotwise::wire::proto::Subject { id: subject.to_owned(), session_id: session.to_owned() };
    let request =
        slotwise::wire::proto::DecideRequest { slot_id: "offers".into(), subject: Some(subject), ..Default::default() };
    clients.decide(request).await.unwrap();
}

/// The example of an order in Segment's e-commerce specification.
fn order_completed() -> Value {
    json!({
        "checkout_id": "fksdjfsdjfisjf9sdfjsd9f", "order_id": "50314b8e9bcf000000000000",
        "affiliation": "Google Store", "total": 27.50, "subtotal": 22.50, "revenue": 25.00, "shipping": 3, "tax": 2,
        "discount": 2.5, "coupon": "hasbros", "currency": "USD",
        "products": [
            {"product_id": "507f1f77bcf86cd799439011", "sku": "45790-32", "name": "Monopoly: 3rd Edition", "price": 19,
             "quantity": 1, "category": "Games"},
            {"product_id": "505bd76785ebb509fc183733", "sku": "46493-32", "name": "Uno Card Game", "price": 3,
             "quantity": 2, "category": "Games"},
        ],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_segment_rewards_what_was_shown() {
    let (_folder, server, mut clients) = shop().await;
    show(&mut clients, "019mr8mf4r", "").await;
    let viewed = json!({
        "type": "track", "messageId": "m-1", "userId": "019mr8mf4r", "event": "Product Clicked",
        "timestamp": "2012-12-02T00:30:12.984Z",
        "properties": {"product_id": "507f1f77bcf86cd799439011", "sku": "G-32", "category": "Games",
            "name": "Monopoly: 3rd Edition", "brand": "Hasbro", "price": 18.99, "quantity": 1, "position": 3},
    });
    // The example's time is years before the decision.
    let late = segment(&server.http, &viewed).await.body;
    assert_ne!(late["results"][0]["status"], "UNMAPPED", "{late}");
    let mut now = viewed;
    now.as_object_mut().unwrap().remove("timestamp");
    now["messageId"] = json!("m-2");
    let answer = segment(&server.http, &now).await;
    assert_eq!((answer.status, &answer.body["success"]), (200, &json!(true)), "{answer:?}");
    let result = &answer.body["results"][0];
    assert_eq!((&result["status"], &result["eventId"]), (&json!("REWARD_STATUS_ACCEPTED"), &json!("m-2")), "{result}");
    assert_eq!((&result["joined"][0]["slotId"], &result["joined"][0]["reward"]), (&json!("offers"), &json!(1.0)));
    assert_eq!(segment(&server.http, &now).await.body["results"][0]["status"], "REWARD_STATUS_DUPLICATE");

    // A batch as the libraries send it: an identification, an order, a view, and an event of one's own.
    let batch = json!({
        "batch": [
            {"type": "identify", "userId": "019mr8mf4r", "traits": {"name": "Peter Gibbons"}, "messageId": "m-3"},
            {"type": "track", "userId": "019mr8mf4r", "event": "Order Completed", "messageId": "m-4",
             "properties": order_completed()},
            {"type": "track", "anonymousId": "a-9", "event": "Product Viewed", "messageId": "m-5",
             "properties": {"product_id": "507f1f77bcf86cd799439011", "currency": "usd", "value": 18.99}},
            {"type": "track", "userId": "019mr8mf4r", "event": "Quiz Finished", "messageId": "m-6"},
            {"type": "track", "userId": "019mr8mf4r"},
            17,
        ],
        "context": {"ip": "24.5.68.47"}, "sentAt": "2015-12-02T00:30:12.984Z",
    });
    let tried = post(&server.http, "segment?validate_only=true", "content-type: application/json", &batch).await;
    let answer = segment(&server.http, &batch).await;
    let results = answer.body["results"].as_array().unwrap().clone();
    assert_eq!(tried.body["results"][1]["joined"], results[1]["joined"], "a trial says what would be");
    let status: Vec<&str> = results.iter().map(|result| result["status"].as_str().unwrap()).collect();
    assert_eq!(status[1], "REWARD_STATUS_ACCEPTED", "{answer:?}");
    assert_eq!(results[1]["joined"][0]["reward"], 19.0, "the line of the shown item, not the whole order");
    assert_eq!([status[0], status[3], status[4], status[5]], ["UNMAPPED"; 4], "{answer:?}");
    assert!(results[3]["message"].as_str().unwrap().contains("'Quiz Finished' has no kind"), "{answer:?}");
    assert!(results[4]["message"].as_str().unwrap().starts_with("event:"), "{answer:?}");
    assert_eq!(status[2], "REWARD_STATUS_ACCEPTED", "a profile takes it: {answer:?}");
    let metrics = http_get(&server.http, "/metrics").await;
    assert!(metrics.contains("slotwise_shopper_events_total{result=\"unmapped\"} 4"), "{metrics}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cloudevents_come_structured_in_a_batch_and_binary() {
    let (_folder, server, mut clients) = shop().await;
    for i in 0..3 {
        show(&mut clients, &format!("c{i}"), "").await;
    }
    let data = |who: &str| json!({"customer_id": who, "item_id": "507f1f77bcf86cd799439011"});
    let event = |id: &str, who: &str| {
        json!({"specversion": "1.0", "type": "com.example.shop.click.v1", "source": "/shop/web", "id": id,
            "datacontenttype": "application/json", "data": data(who)})
    };
    let structured = "content-type: application/cloudevents+json; charset=utf-8";
    let answer = post(&server.http, "cloudevents", structured, &event("A234-1234-1234", "c0")).await;
    let result = &answer.body["results"][0];
    assert_eq!((answer.status, &result["eventId"]), (200, &json!("/shop/web#A234-1234-1234")), "{answer:?}");
    assert_eq!(result["joined"][0]["reward"], 1.0, "{answer:?}");

    let batch = json!([event("b-1", "c1"), event("A234-1234-1234", "c0"), {"specversion": "1.0", "id": "b-2"}]);
    let batched = "content-type: application/cloudevents-batch+json";
    let answer = post(&server.http, "cloudevents", batched, &batch).await;
    let status = |i: usize| answer.body["results"][i]["status"].as_str().unwrap();
    assert_eq!([status(0), status(1), status(2)], ["REWARD_STATUS_ACCEPTED", "REWARD_STATUS_DUPLICATE", "UNMAPPED"]);
    assert!(answer.body["results"][2]["message"].as_str().unwrap().contains("no source"), "{answer:?}");
    assert_eq!(post(&server.http, "cloudevents", batched, &json!([])).await.status, 200, "a batch may be empty");

    let binary = "ce-specversion: 1.0\r\nce-type: com.example.shop.click\r\nce-id: 1234-1234-1234\r\nce-source: /caf%C3%A9\r\ncontent-type: application/json; charset=utf-8";
    let answer = post(&server.http, "cloudevents", binary, &data("c2")).await;
    let result = &answer.body["results"][0];
    assert_eq!((&result["eventId"], &result["joined"][0]["reward"]), (&json!("/café#1234-1234-1234"), &json!(1.0)));

    for (headers, body, status) in [
        ("content-type: application/json", data("c0"), 415),
        ("content-type: application/cloudevents+xml", data("c0"), 415),
        (structured, json!({"specversion": "0.3", "type": "t", "source": "/s", "id": "1"}), 400),
        (structured, json!([]), 400),
        (batched, json!({}), 400),
    ] {
        let answer = post(&server.http, "cloudevents", headers, &body).await;
        assert_eq!(answer.status, status, "{headers}: {answer:?}");
        assert!(answer.headers.contains("application/problem+json"), "{answer:?}");
    }
    let no_json = send(&server.http, &format!("POST /v1/events/cloudevents HTTP/1.1\r\n{structured}"), b"{").await;
    assert_eq!(no_json.status, 400, "{no_json:?}");
    let unmapped = event("u-1", "c0").to_string().replace("shop.click.v1", "shop.payment");
    let answer = post(&server.http, "cloudevents", structured, &serde_json::from_str(&unmapped).unwrap()).await;
    assert_eq!((answer.status, &answer.body["results"][0]["status"]), (200, &json!("UNMAPPED")), "{answer:?}");
    server.stop().await;
}

/// A sender asks whether it may deliver before it delivers, and browsers still get the answers of CORS.
#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_allowed_by_a_handshake() {
    let (folder, server, _clients) = shop().await;
    create(folder.path(), "admin", &[Role::Admin], &[]);
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    let ask = async |path: &str, headers: &str| {
        let head = format!("OPTIONS {path} HTTP/1.1\r\n{headers}");
        crate::support::exchange(&server.http, &head, b"").await.0
    };
    let origin = "webhook-request-origin: eventemitter.example.com\r\nwebhook-request-rate: 120";
    let allowed = ask("/v1/events/cloudevents", origin).await;
    assert!(allowed.starts_with("http/1.1 200"), "{allowed}");
    for header in ["webhook-allowed-origin: eventemitter.example.com", "webhook-allowed-rate: *", "allow: post"] {
        assert!(allowed.contains(header), "{header}: {allowed}");
    }
    let browser = "origin: https://shop.example\r\naccess-control-request-method: POST";
    for (path, headers) in [("/v1/events/cloudevents", browser), ("/v1/events/segment", origin), ("/v1/Decide", origin)]
    {
        assert!(!ask(path, headers).await.contains("webhook-allowed"), "{path} {headers}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_of_the_configuration_says_how_events_are_mapped() {
    let folder = tempfile::tempdir().unwrap();
    let mut segment_mapping = EventMapping::segment();
    segment_mapping.kinds.insert("Quiz Finished".into(), "click".into());
    segment_mapping.kinds.insert("Product Viewed".into(), String::new());
    segment_mapping.subject = vec!["context.traits.crm_id".into()];
    segment_mapping.item_id = vec!["answer".into()];
    let incoming = IncomingEvents { segment: segment_mapping, ..IncomingEvents::default() };
    let mut config = Config { data: folder.path().to_owned(), incoming, ..Config::default() };
    config.profiles.default_consent = slotwise::slot::Consent::Full;
    let server = InProcessServer::start_with(config).await;
    let mut clients = server.clients().await;
    clients.create(slot("offers", &["a"])).await.unwrap();
    show(&mut clients, "crm-7", "").await;
    let body = json!({"event": "Quiz Finished", "messageId": "q1", "userId": "other",
        "context": {"traits": {"crm_id": "crm-7"}}, "properties": {"answer": "a"}});
    let answer = segment(&server.http, &body).await;
    assert_eq!(answer.body["results"][0]["joined"][0]["armId"], "a", "{answer:?}");
    let left_out = json!({"event": "Product Viewed", "messageId": "q2", "userId": "u", "properties": {"answer": "a"}});
    let answer = segment(&server.http, &left_out).await;
    assert!(answer.body["results"][0]["message"].as_str().unwrap().contains("leaves 'Product Viewed' out"));
    server.stop().await;
}

/// The keys of calls that report are taken, also as Segment's libraries send theirs, and those of web pages.
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_report_are_taken_and_others_are_not() {
    let (folder, server, mut clients) = shop().await;
    show(&mut clients, "ann", "").await;
    let record = create(folder.path(), "tracker", &[Role::Record], &[]);
    let view = create(folder.path(), "reader", &[Role::View], &[]);
    let page = slotwise::access::KeyDraft {
        name: "page".into(),
        roles: [Role::Record].into(),
        origins: vec!["https://shop.example".into()],
        ..Default::default()
    };
    let page = slotwise::access::KeyStore::new(folder.path()).create(page, 0).unwrap().text;
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    let body = json!({"event": "Product Clicked", "messageId": "k1", "userId": "ann",
        "properties": {"product_id": "507f1f77bcf86cd799439011"}});
    let with = async |headers: String| {
        let head = format!("content-type: application/json\r\n{headers}");
        post(&server.http, "segment", &head, &body).await.status
    };
    let basic =
        |user: &str| format!("authorization: Basic {}", data_encoding::BASE64.encode(format!("{user}:").as_bytes()));
    assert_eq!(with("x-other: 1".into()).await, 401);
    assert_eq!(with(format!("authorization: Bearer {view}")).await, 403);
    assert_eq!(with(format!("authorization: Bearer {record}")).await, 200);
    assert_eq!(with(basic(&record)).await, 200);
    assert_eq!(with(basic("sw_nonsense_key")).await, 401);
    assert_eq!(with(format!("x-api-key: {page}\r\norigin: https://shop.example")).await, 200);
    assert_eq!(with(format!("x-api-key: {page}\r\norigin: https://other.example")).await, 403);
    server.stop().await;
}
