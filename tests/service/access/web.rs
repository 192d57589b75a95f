//! The HTTP port as web pages use it: other origins, publishable keys, gRPC-Web and compression.

use std::io::{Read as _, Write as _};

use super::{create_draft, until_keys_are_asked_for};
use crate::{
    json::send,
    support::{InProcessServer, decide, exchange, slot, started, unchunked},
};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use prost::Message as _;
use serde_json::json;
use slotwise::{
    access::{KeyDraft, Role},
    config::Config,
    wire::proto::{DecideResponse, GetSlotResponse},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_page_may_call_from_the_origins_that_are_configured_and_from_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let cors_origins = vec!["https://shop.example".to_owned()];
    let config = Config { data: folder.path().to_owned(), cors_origins, ..Config::default() };
    let server = InProcessServer::start_with(config).await;
    let ask = async |origin: &str| {
        let head = format!(
            "OPTIONS /v1/Decide HTTP/1.1\r\norigin: {origin}\r\naccess-control-request-method: POST\r\naccess-control-request-headers: authorization,content-type"
        );
        exchange(&server.http, &head, b"").await.0
    };
    let allowed = ask("https://shop.example").await;
    assert!(allowed.contains("access-control-allow-origin: https://shop.example"), "{allowed}");
    assert!(allowed.contains("authorization") && allowed.contains("post"), "{allowed}");
    for other in ["https://evil.example", "https://shop.example.evil", "http://shop.example", "null"] {
        assert!(!ask(other).await.contains("access-control-allow-origin"), "{other}");
    }
    let head = "POST /v1/ListSlots HTTP/1.1\r\ncontent-type: application/json\r\norigin: https://shop.example";
    let answer = send(&server.http, head, b"{}").await;
    assert!(answer.status == 200 && answer.headers.contains("access-control-allow-origin: https://shop.example"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publishable_key_works_for_pages_of_its_origins_alone() {
    let (folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    let key = create_draft(
        folder.path(),
        KeyDraft {
            name: "web".into(),
            roles: [Role::Decide, Role::Record].into(),
            origins: vec!["https://shop.example".into()],
            ..KeyDraft::default()
        },
    );
    until_keys_are_asked_for(&server.http).await;
    let ask = async |origin: &str, call: &str| {
        let head = format!(
            "POST /v1/{call} HTTP/1.1\r\ncontent-type: application/json\r\nauthorization: Bearer {key}{origin}"
        );
        send(&server.http, &head, json!({"slotId": "offers"}).to_string().as_bytes()).await
    };
    let own = "\r\norigin: https://shop.example";
    let decided = ask(own, "Decide").await;
    assert_eq!(decided.status, 200, "{decided:?}");
    assert!(decided.headers.contains("access-control-allow-origin: https://shop.example"), "{decided:?}");
    for other in ["", "\r\norigin: https://evil.example"] {
        let refused = ask(other, "Decide").await;
        assert_eq!((refused.status, refused.body["reason"].as_str()), (403, Some("ORIGIN_UNKNOWN")), "{refused:?}");
    }
    assert_eq!(ask(own, "GetSlotReport").await.status, 403, "it reads nothing");
    server.stop().await;
}

/// Frames a message as gRPC-Web does.
fn framed(message: &[u8]) -> Vec<u8> {
    [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_web_is_answered_and_its_trailers_come_in_the_body() {
    let (_folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    let post = "POST /slotwise.v1.DecisionService/Decide HTTP/1.1\r\ncontent-type: application/grpc-web+proto";
    let (head, body) = exchange(&server.http, post, &framed(&decide("offers").encode_to_vec())).await;
    assert!(head.starts_with("http/1.1 200") && head.contains("application/grpc-web"), "{head}");
    let body = if head.contains("transfer-encoding: chunked") { unchunked(&body) } else { body };
    let length = usize::try_from(u32::from_be_bytes(body[1..5].try_into().unwrap())).unwrap();
    let decided = DecideResponse::decode(&body[5..5 + length]).unwrap();
    assert_eq!(decided.arms.len(), 1);
    let trailers = String::from_utf8_lossy(&body[5 + length..]).into_owned();
    assert!(trailers.contains("grpc-status:0"), "{trailers}");
    let (head, _) = exchange(&server.http, post, &framed(&decide("nowhere").encode_to_vec())).await;
    assert!(head.contains("grpc-status: 5"), "{head}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_large_answers_may_be_compressed() {
    let (_folder, server, mut clients) = started().await;
    let ids: Vec<String> = (0..200).map(|i| format!("arm-{i:04}")).collect();
    clients.create(slot("offers", &ids.iter().map(String::as_str).collect::<Vec<_>>())).await.unwrap();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(json!({"slotId": "offers"}).to_string().as_bytes()).unwrap();
    let post = "POST /v1/ListArms HTTP/1.1\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\naccept-encoding: gzip";
    let (head, body) = exchange(&server.http, post, &packed.finish().unwrap()).await;
    assert!(head.starts_with("http/1.1 200") && head.contains("content-encoding: gzip"), "{head}");
    let body = if head.contains("transfer-encoding: chunked") { unchunked(&body) } else { body };
    let mut text = String::new();
    GzDecoder::new(body.as_slice()).read_to_string(&mut text).unwrap();
    let arms: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(arms["arms"].as_array().unwrap().len(), 200);

    // Unpacked, a request is as long as a plain one may be.
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&vec![b' '; 64 * 1024 * 1024]).unwrap();
    let (head, _) = exchange(&server.http, post, &bomb.finish().unwrap()).await;
    assert!(head.starts_with("http/1.1 413"), "{head}");
    let answer = GetSlotResponse::default();
    assert!(answer.slot.is_none());
    server.stop().await;
}
