//! Deferred decisions and campaigns against a real server.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first thing that is wrong")]

use slotwise::{
    engine::State,
    node::{fold, recover_state},
    wire::proto::{
        DecideRequest, DecideResponse, DecideResult, EventItem, GetSlotReportRequest, RecordEventsRequest,
        ShopperEvent, SlotReport, Subject, decide_result, event_service_client::EventServiceClient,
    },
};
use tokio_stream::StreamExt as _;

use crate::support::{Clients, click, decide, slot, started};

fn recipient(n: u32) -> DecideRequest {
    let subject = Some(Subject { id: format!("recipient-{n}"), session_id: String::new() });
    DecideRequest { subject, deferred: true, ..decide("email") }
}

async fn campaign(clients: &mut Clients, requests: Vec<DecideRequest>) -> Vec<DecideResult> {
    let mut answers = clients.decisions.stream_decide(tokio_stream::iter(requests)).await.unwrap().into_inner();
    let mut results = Vec::new();
    while let Some(answer) = answers.next().await {
        results.push(answer.unwrap());
    }
    results
}

fn response(result: DecideResult) -> DecideResponse {
    match result.result.unwrap() {
        decide_result::Result::Response(response) => response,
        decide_result::Result::Status(status) => panic!("{status:?}"),
    }
}

async fn report(clients: &mut Clients) -> SlotReport {
    let request = GetSlotReportRequest { slot_id: "email".into(), ..GetSlotReportRequest::default() };
    clients.insight.get_slot_report(request).await.unwrap().into_inner().report.unwrap()
}

async fn decisions(clients: &mut Clients) -> u64 {
    report(clients).await.decisions
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_of_a_deferred_request_gets_the_same_decision_and_time() {
    let (_folder, server, mut clients) = started().await;
    clients.create(slot("email", &["a", "b"])).await.unwrap();
    let request = DecideRequest { request_id: "send-1".into(), ..recipient(1) };
    let first = clients.decisions.decide(request.clone()).await.unwrap().into_inner();
    let again = clients.decisions.decide(request).await.unwrap().into_inner();
    assert!(first.expire_time.is_some());
    assert_eq!((&again.decision_id, again.expire_time), (&first.decision_id, first.expire_time));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_counts_what_was_opened_and_learns_of_nothing_else() {
    let (folder, server, mut clients) = started().await;
    clients.create(slot("email", &["a", "b", "c"])).await.unwrap();
    let mut requests: Vec<DecideRequest> = (0..2_000).map(recipient).collect();
    requests[7].slot_id = "nowhere".into();
    let mut results = campaign(&mut clients, requests).await;
    assert_eq!(results.len(), 2_000);
    let failed = results.remove(7);
    assert!(matches!(failed.result, Some(decide_result::Result::Status(status)) if status.code == 5));
    let answers: Vec<DecideResponse> = results.into_iter().map(response).collect();
    let expire: Vec<i64> = answers.iter().map(|answer| answer.expire_time.unwrap().seconds).collect();
    assert!(expire.is_sorted(), "answers come in order");
    assert!(answers.iter().all(|answer| answer.arms[0].propensity > 0.0));
    assert_eq!(decisions(&mut clients).await, 0);

    let mut events = EventServiceClient::connect(server.address.clone()).await.unwrap();
    let opened: Vec<&DecideResponse> = answers.iter().step_by(3).collect();
    for part in opened.chunks(400) {
        let shown = |answer: &&DecideResponse| ShopperEvent {
            event_id: format!("open-{}", answer.decision_id),
            kind: "email_open".into(),
            decision_ids: vec![answer.decision_id.clone()],
            ..ShopperEvent::default()
        };
        let request = RecordEventsRequest { events: part.iter().map(shown).collect(), validate_only: false };
        events.record_events(request).await.unwrap();
    }
    assert_eq!(decisions(&mut clients).await, opened.len() as u64);
    // A click that names no decision finds the email by its subject and item, and confirms it.
    let unopened = &answers[1];
    let click_of_email = ShopperEvent {
        event_id: "click-1".into(),
        kind: "click".into(),
        subject: Some(Subject { id: "recipient-1".into(), session_id: String::new() }),
        items: vec![EventItem { item_id: unopened.arms[0].arm_id.clone(), ..EventItem::default() }],
        consent: slotwise::wire::proto::Consent::Full.into(),
        ..ShopperEvent::default()
    };
    let request = RecordEventsRequest { events: vec![click_of_email], validate_only: false };
    let result = events.record_events(request).await.unwrap().into_inner().results.remove(0);
    assert_eq!((result.joined.len(), &result.joined[0].decision_id), (1, &unopened.decision_id), "{result:?}");
    assert!((result.joined[0].reward - 1.0).abs() < 1e-12);
    let known = report(&mut clients).await;
    assert_eq!((known.decisions, known.rewards), (opened.len() as u64 + 1, 1));
    let deferred = known.deferred.unwrap();
    assert_eq!((deferred.made, deferred.confirmed, deferred.expired), (1_999, opened.len() as u64 + 1, 0));
    // A reward that names it works as well.
    let event = click("click-2", &answers[4]);
    clients.feedback.record_rewards(slotwise::wire::proto::RecordRewardsRequest { events: vec![event] }).await.unwrap();
    assert_eq!(report(&mut clients).await.rewards, 2);
    server.stop().await;

    let bytes = |state: &State| slotwise::engine::snapshot::encode(state).unwrap();
    let folded = fold(folder.path(), 1).unwrap();
    assert!(bytes(&folded) == bytes(&fold(folder.path(), 3).unwrap()), "three workers");
    assert!(bytes(&folded) == bytes(&recover_state(folder.path(), None, 2).unwrap()), "from the snapshot");
}
