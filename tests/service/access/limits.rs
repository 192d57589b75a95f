//! Ends of keys: their quota and their time.

use std::collections::BTreeSet;

use serde_json::json;
use slotwise::access::{KeyDraft, Role};
use tonic::Code;

use super::{call, code, create, create_draft, until_keys_are_asked_for, with_key};
use crate::support::started;

#[tokio::test(flavor = "multi_thread")]
async fn a_key_makes_no_more_calls_than_its_quota_and_refusals_are_counted() {
    let (folder, server, _clients) = started().await;
    let roles: BTreeSet<Role> = [Role::View].into();
    let draft = KeyDraft { name: "poller".into(), roles, calls_per_second: Some(3), ..KeyDraft::default() };
    let key = create_draft(folder.path(), draft);
    let admin = create(folder.path(), "admin", &[Role::Admin], &[]);
    until_keys_are_asked_for(&server.http).await;
    let mut statuses = Vec::new();
    for _ in 0..6 {
        let answer = call(&server.http, "ListSlots", Some(&key), &json!({})).await;
        if answer.status == 429 {
            assert!(answer.headers.contains("retry-after: 1") && answer.body["reason"] == "KEY_QUOTA", "{answer:?}");
        }
        statuses.push(answer.status);
    }
    assert_eq!(statuses[..3], [200; 3], "{statuses:?}");
    assert!(statuses[3..].contains(&429), "{statuses:?}");
    let head = format!("GET /metrics HTTP/1.1\r\nhost: x\r\nx-api-key: {admin}");
    let metrics = metrics(&server.http, &head).await;
    for reason in ["KEY_QUOTA", "KEY_MISSING"] {
        assert!(metrics.contains(&format!("slotwise_calls_refused_total{{reason=\"{reason}\"}}")), "{metrics}");
    }
    assert!(!metrics.contains(&key) && !metrics.contains(key.rsplit('_').next().unwrap()));
    server.stop().await;
}

async fn metrics(http: &str, head: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(http).await.unwrap();
    stream.write_all(format!("{head}\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_key_is_refused_and_says_so() {
    let (folder, server, _clients) = started().await;
    let roles: BTreeSet<Role> = [Role::View].into();
    let draft = KeyDraft { name: "old".into(), roles, expires_us: Some(1), ..KeyDraft::default() };
    let key = create_draft(folder.path(), draft);
    until_keys_are_asked_for(&server.http).await;
    let answer = call(&server.http, "ListSlots", Some(&key), &json!({})).await;
    assert_eq!((answer.status, answer.body["reason"].as_str()), (401, Some("KEY_EXPIRED")), "{answer:?}");
    let mut client = with_key(&server, &key).await;
    assert_eq!(code(&client.list_slots().await.unwrap_err()), Code::Unauthenticated);
    server.stop().await;
}
