//! Keys of simulators.

use serde_json::json;
use slotwise::access::Role;

use super::{create, until_keys_are_asked_for};
use crate::{
    json::send,
    support::{slot, started},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_simulator_needs_its_role_and_no_other() {
    let (folder, server, mut clients) = started().await;
    let mut simulated = slot("lab", &["a", "b"]);
    simulated.controls.as_mut().unwrap().simulated = Some(true);
    clients.create(simulated).await.unwrap();
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    let key = create(folder.path(), "simulator", &[Role::Simulate], &[]);
    let shop = create(folder.path(), "shop", &[Role::Decide], &[]);
    until_keys_are_asked_for(&server.http).await;
    let ask = async |key: &str, slot: &str, header: &str| {
        let head = format!("POST /v1/Decide HTTP/1.1\r\ncontent-type: application/json\r\nx-api-key: {key}{header}");
        send(&server.http, &head, json!({"slotId": slot}).to_string().as_bytes()).await.status
    };
    let header = "\r\nslotwise-simulated: true";
    assert_eq!(ask(&key, "lab", header).await, 200);
    assert_eq!(ask(&key, "lab", "").await, 403, "without the header it is a call of a shop");
    assert_eq!(ask(&key, "offers", header).await, 400, "FAILED_PRECONDITION: the slot is for real shoppers");
    assert_eq!(ask(&shop, "lab", header).await, 403);
    server.stop().await;
}
