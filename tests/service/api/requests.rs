//! Requests as shops really send them: ids of other systems, arms that are gone, features without a value, request ids
//! that are used twice, and batches in which one request is wrong.

use std::collections::HashMap;

use slotwise::wire::proto::{
    BatchDecideRequest, Candidate, Consent, DecideRequest, Fallback, FeatureValue, GetSlotReportRequest,
    RemoveArmsRequest, ResetSlotRequest, RewardEvent, RewardStatus, Slot, Subject,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::{
    DeleteSlotRequest, http_get,
    support::{InProcessServer, click, context, decide, number, slot, started},
};

/// Ids from a fishing tackle shop, from Shopify and from a warehouse, one with accents, and one with every character
/// that needs quoting.
const IDS: [&str; 5] =
    ["SK DEADPAUL1", "gid://shopify/Product/7967", "8472-998/XL", "crème brûlée", r#"a"b\c,d=e'f<g>&h"#];

fn candidates(ids: &[&str]) -> Vec<Candidate> {
    ids.iter().map(|id| Candidate { arm_id: (*id).into(), features: HashMap::new() }).collect()
}

fn violated_field(status: &Status) -> String {
    status.get_details_bad_request().unwrap().field_violations[0].field.clone()
}

#[tokio::test]
async fn ids_of_other_systems_are_taken_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let server = InProcessServer::start(folder.path()).await;
    let mut clients = server.clients().await;
    clients.create(slot("offers", &IDS)).await.unwrap();
    let longest = "é".repeat(128);
    let request = DecideRequest {
        subject: Some(Subject { id: "josé@example.com".into(), session_id: longest.clone() }),
        candidates: candidates(&IDS),
        request_id: "request 1/é".into(),
        count: 5,
        explain: true,
        ..decide("offers")
    };
    let first = clients.decide(request.clone()).await.unwrap();
    let mut shown: Vec<_> = first.arms.iter().map(|arm| arm.arm_id.as_str()).collect();
    let mut all = IDS.to_vec();
    shown.sort_unstable();
    all.sort_unstable();
    assert_eq!(shown, all);
    for (i, arm) in IDS.iter().enumerate() {
        let event = RewardEvent { arm_id: (*arm).into(), ..click(&format!("événement {i}"), &first) };
        assert_eq!(clients.reward(event).await.unwrap().status(), RewardStatus::Accepted, "{arm}");
    }
    let joined = RewardEvent {
        event_id: longest.clone(),
        slot_id: "offers".into(),
        subject: request.subject.clone(),
        arm_id: IDS[4].into(),
        kind: "click".into(),
        ..RewardEvent::default()
    };
    assert_eq!(clients.reward(joined.clone()).await.unwrap().status(), RewardStatus::Accepted);
    let text = http_get(&server.http, "/metrics").await;
    assert!(text.contains(r#"slotwise_arms_shown_total{arm="a\"b\\c,d=e'f<g>&h",slot="offers"} 1"#), "{text}");
    server.stop().await;

    let server = InProcessServer::start(folder.path()).await;
    let mut clients = server.clients().await;
    let report = clients
        .insight
        .get_slot_report(GetSlotReportRequest { slot_id: "offers".into(), ..Default::default() })
        .await
        .unwrap();
    let report = report.into_inner().report.unwrap();
    assert!(report.arms.iter().all(|arm| IDS.contains(&arm.arm_id.as_str()) && arm.shown == 1), "{:?}", report.arms);
    let again = clients.decide(request).await.unwrap();
    assert_eq!(
        (again.decision_id, again.arms),
        (first.decision_id, first.arms),
        "the decision is the same after a restart"
    );
    assert_eq!(clients.reward(joined).await.unwrap().status(), RewardStatus::Duplicate);
    server.stop().await;
}

#[tokio::test]
async fn a_malformed_candidate_is_named_in_short() {
    let (_folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a"])).await.unwrap();
    for id in ["\u{1b}[2Ja", "a\u{85}", "", &"k".repeat(257), &"k".repeat(100_000)] {
        let request = DecideRequest { candidates: candidates(&["a", id]), ..decide("offers") };
        let status = clients.decide(request).await.unwrap_err();
        assert_eq!((status.code(), violated_field(&status).as_str()), (Code::InvalidArgument, "candidates[1].arm_id"));
        assert!(status.message().len() < 200 && !status.message().contains('\u{1b}'), "{}", status.message());
    }
    server.stop().await;
}

#[tokio::test]
async fn unknown_candidates_are_left_out_and_named() {
    let (_folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a", "b", "gone"])).await.unwrap();
    let remove =
        RemoveArmsRequest { slot_id: "offers".into(), arm_ids: vec!["gone".into()], ..RemoveArmsRequest::default() };
    clients.slots.remove_arms(remove).await.unwrap();
    let request = |ids: &[&str]| DecideRequest { candidates: candidates(ids), count: 9, ..decide("offers") };
    let some = DecideRequest { request_id: "r1".into(), explain: true, ..request(&["never", "b", "gone", "a"]) };
    let decision = clients.decide(some.clone()).await.unwrap();
    assert_eq!(decision.ignored_candidates, ["never", "gone"]);
    let mut places: Vec<_> = decision.arms.iter().map(|arm| (arm.arm_id.as_str(), arm.baseline_position)).collect();
    places.sort_unstable();
    assert_eq!((decision.fallback(), places), (Fallback::Unspecified, vec![("a", 2), ("b", 1)]));
    let again = clients.decide(some).await.unwrap();
    assert_eq!((again.decision_id, again.ignored_candidates), (decision.decision_id, decision.ignored_candidates));

    let none = clients.decide(request(&["gone", "never"])).await.unwrap();
    assert_eq!((none.fallback(), none.arms.len()), (Fallback::NoEligibleArm, 0), "{none:?}");
    assert_eq!(none.ignored_candidates, ["gone", "never"]);
    // An arm that the slot does not have is no candidate, even if the default arm is shown instead.
    clients.create(Slot { default_arm_id: "a".into(), ..slot("with", &["a", "b"]) }).await.unwrap();
    let default = clients.decide(DecideRequest { slot_id: "with".into(), ..request(&["never"]) }).await.unwrap();
    assert_eq!((default.fallback(), default.arms[0].arm_id.as_str()), (Fallback::NoEligibleArm, "a"));

    clients.create(Slot { open_catalogue: true, ..slot("open", &[]) }).await.unwrap();
    let open = clients.decide(DecideRequest { slot_id: "open".into(), ..request(&["never"]) }).await.unwrap();
    assert_eq!((open.arms.len(), open.ignored_candidates.len()), (1, 0));
    let text = http_get(&server.http, "/metrics").await;
    assert!(text.contains("slotwise_ignored_total{kind=\"candidate\",slot=\"offers\"} 6"), "{text}");
    server.stop().await;
}

#[tokio::test]
async fn features_without_a_value_are_left_out_and_named() {
    let (_folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    let empty = || FeatureValue { value: None };
    let mut allowed = candidates(&["a", "b"]);
    for candidate in &mut allowed {
        candidate.features = context(&[("price", empty()), ("stock", number(3.0))]);
    }
    let request = DecideRequest {
        context: context(&[("age", empty()), ("visits", number(2.0))]),
        candidates: allowed,
        ..decide("offers")
    };
    let batch = BatchDecideRequest { requests: vec![request.clone(), decide("offers")], distinct_arms: false };
    let decision = clients.decide(request).await.unwrap();
    assert_eq!(decision.ignored_features, ["age", "candidate.price"]);
    assert_eq!(decision.arms.len(), 1);
    let results = clients.decide_all(batch).await;
    assert_eq!(results[0].as_ref().unwrap().ignored_features.len(), 2);
    assert_eq!(results[1].as_ref().unwrap().ignored_features.len(), 0);
    let text = http_get(&server.http, "/metrics").await;
    assert!(text.contains("slotwise_ignored_total{kind=\"feature\",slot=\"offers\"} 4"), "{text}");
    server.stop().await;
}

#[tokio::test]
async fn one_wrong_request_does_not_fail_its_batch() {
    let (_folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    let requests = vec![
        decide("offers"),
        decide("ofers"),
        DecideRequest { context: context(&[("x", number(f64::NAN))]), ..decide("offers") },
        DecideRequest { request_id: "\u{7}".into(), ..decide("offers") },
        DecideRequest { request_id: "r1".into(), ..decide("offers") },
        DecideRequest { request_id: "r1".into(), count: 2, ..decide("offers") },
        decide(""),
        decide("offers"),
    ];
    let results = clients.decide_all(BatchDecideRequest { requests, distinct_arms: true }).await;
    let errors: Vec<_> = results.iter().map(|r| r.as_ref().err().map(|e| (e.code(), violated_field(e)))).collect();
    let bad = |code, field: &str| Some((code, field.to_owned()));
    let want = [
        None,
        bad(Code::NotFound, "slot_id"),
        bad(Code::InvalidArgument, "context[\"x\"]"),
        bad(Code::InvalidArgument, "request_id"),
        None,
        bad(Code::InvalidArgument, "request_id"),
        bad(Code::InvalidArgument, "slot_id"),
        None,
    ];
    assert_eq!(errors, want);
    assert_eq!(results[1].as_ref().unwrap_err().get_details_error_info().unwrap().reason, "SLOT_NOT_FOUND");
    let arms = |i: usize| results[i].as_ref().unwrap().arms.iter().map(|arm| arm.arm_id.clone());
    let mut shown: Vec<_> = arms(0).chain(arms(4)).collect();
    shown.sort();
    assert_eq!(shown, ["a", "b"], "no two decided requests show the same arm");
    assert_eq!(results[7].as_ref().unwrap().fallback(), Fallback::NoEligibleArm);
    server.stop().await;
}

#[tokio::test]
async fn a_request_id_belongs_to_one_request() {
    let folder = tempfile::tempdir().unwrap();
    let server = InProcessServer::start(folder.path()).await;
    let mut clients = server.clients().await;
    clients.create(slot("offers", &["a", "b", "c"])).await.unwrap();
    clients.create(slot("others", &["a", "b", "c"])).await.unwrap();
    let subject = |id: &str, session: &str| Some(Subject { id: id.into(), session_id: session.into() });
    let request = DecideRequest {
        request_id: "r1".into(),
        subject: subject("ann", "tab1"),
        candidates: candidates(&["a", "b"]),
        context: context(&[("x", number(1.0))]),
        count: 1,
        ..decide("offers")
    };
    let first = clients.decide(request.clone()).await.unwrap();
    // Both consents leave the same of a subject without an id.
    let session = DecideRequest { request_id: "r2".into(), subject: subject("", "tab1"), ..request.clone() };
    let session = DecideRequest { consent: Consent::Full.into(), ..session };
    clients.decide(session.clone()).await.unwrap();
    let mut priced = candidates(&["a", "b"]);
    priced[0].features = context(&[("price", number(2.0))]);
    let repetitions = [
        request.clone(),
        DecideRequest { context: HashMap::new(), ..request.clone() },
        DecideRequest { candidates: priced, explain: true, ..request.clone() },
    ];
    let others = [
        DecideRequest { slot_id: "others".into(), ..request.clone() },
        DecideRequest { subject: subject("bob", "tab1"), ..request.clone() },
        DecideRequest { subject: subject("ann", "tab2"), ..request.clone() },
        DecideRequest { subject: None, ..request.clone() },
        DecideRequest { candidates: candidates(&["b", "c"]), ..request.clone() },
        DecideRequest { candidates: candidates(&["a", "never"]), ..request.clone() },
        DecideRequest { candidates: Vec::new(), ..request.clone() },
        DecideRequest { count: 2, ..request.clone() },
        DecideRequest { consent: Consent::SessionOnly.into(), ..request.clone() },
        DecideRequest { consent: Consent::SessionOnly.into(), ..session },
    ];
    let mut server = server;
    for restarted in [false, true] {
        if restarted {
            server.stop().await;
            server = InProcessServer::start(folder.path()).await;
            clients = server.clients().await;
        }
        for repetition in &repetitions {
            assert_eq!(clients.decide(repetition.clone()).await.unwrap(), first, "{repetition:?}");
        }
        for other in &others {
            let status = clients.decide(other.clone()).await.unwrap_err();
            assert_eq!(
                (status.code(), violated_field(&status).as_str()),
                (Code::InvalidArgument, "request_id"),
                "{other:?}"
            );
            assert!(status.message().contains("request_id was used for another request"), "{}", status.message());
        }
    }
    // A reset forgets the slot's requests, so the id is free again.
    let reset = ResetSlotRequest { slot_id: "offers".into(), ..ResetSlotRequest::default() };
    clients.slots.reset_slot(reset).await.unwrap();
    let elsewhere = clients.decide(others[0].clone()).await.unwrap();
    assert_ne!(elsewhere.decision_id, first.decision_id);
    server.stop().await;
}

#[tokio::test]
async fn the_metrics_of_a_slot_are_deleted_with_it() {
    let (_folder, server, mut clients) = started().await;
    for id in ["gone", "kept"] {
        clients.create(slot(id, &["a", "b"])).await.unwrap();
        let request = DecideRequest { candidates: candidates(&["a", "never"]), ..decide(id) };
        let decision = clients.decide(request).await.unwrap();
        clients.reward(click(&format!("e-{id}"), &decision)).await.unwrap();
    }
    let series = |text: &str, slot: &str| text.lines().filter(|l| l.contains(&format!("slot=\"{slot}\""))).count();
    let text = http_get(&server.http, "/metrics").await;
    assert!(series(&text, "gone") > 4 && series(&text, "gone") == series(&text, "kept"), "{text}");
    let delete = DeleteSlotRequest { slot_id: "gone".into(), ..DeleteSlotRequest::default() };
    clients.slots.delete_slot(delete).await.unwrap();
    let after = http_get(&server.http, "/metrics").await;
    assert_eq!((series(&after, "gone"), series(&after, "kept")), (0, series(&text, "kept")), "{after}");
    server.stop().await;
}
