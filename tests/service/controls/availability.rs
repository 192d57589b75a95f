//! Arms that are paused and scheduled, one by one and by the thousand.

use std::collections::HashMap;

use prost_types::Timestamp;
use slotwise::wire::proto::{Arm, ArmAvailability, Controls, Schedule, SetArmAvailabilityRequest};
use tonic::Code;

use super::{
    assert_names_field, get_with_arms,
    support::{decide, slot, started},
};

/// One call pauses 100,000 arms in ten slots, and the next decision respects it.
#[tokio::test]
async fn a_hundred_thousand_arms_are_paused_in_one_call() {
    const SLOTS: usize = 10;
    const ARMS: usize = 10_000;
    let (_folder, server, mut clients) = started().await;
    let slots: Vec<String> = (0..SLOTS).map(|i| format!("slot{i}")).collect();
    let arms: Vec<String> = (0..ARMS).map(|i| format!("arm{i}")).collect();
    let ids: Vec<&str> = arms.iter().map(String::as_str).collect();
    for id in &slots {
        let mut clients = clients.clone();
        let mut big = slot(id, &ids);
        // The safe choice makes decisions cheap, and how they are made is not the subject here.
        big.controls = Some(Controls { safe_choice: Some(true), ..Controls::default() });
        clients.create(big).await.unwrap();
    }
    let messages: Vec<_> = slots
        .iter()
        .map(|id| SetArmAvailabilityRequest {
            slot_id: id.clone(),
            available: arms.iter().map(|arm| (arm.clone(), arm == "arm7777")).collect(),
            author: "the stock".into(),
            ..SetArmAvailabilityRequest::default()
        })
        .collect();
    let done = clients.slots.stream_arm_availability(tokio_stream::iter(messages)).await.unwrap().into_inner();
    assert_eq!((done.messages, done.arms), (10, 100_000));
    assert_eq!(done.revisions, slots.iter().map(|id| (id.clone(), 2)).collect::<HashMap<_, _>>());
    for id in &slots {
        let decision = clients.decide(decide(id)).await.unwrap();
        assert_eq!(decision.arms.iter().map(|arm| arm.arm_id.as_str()).collect::<Vec<_>>(), ["arm7777"]);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_stream_that_fails_says_where_and_what_was_applied() {
    let (_folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    clients.create(slot("search", &["x"])).await.unwrap();
    let message = |slot: &str, arm: &str| SetArmAvailabilityRequest {
        slot_id: slot.into(),
        available: [(arm.to_owned(), false)].into(),
        ..SetArmAvailabilityRequest::default()
    };
    let messages =
        vec![message("offers", "a"), message("search", "x"), message("offers", "bb"), message("offers", "b")];
    let failed = clients.slots.stream_arm_availability(tokio_stream::iter(messages)).await.unwrap_err();
    assert_names_field(&failed, "messages[2].available[\"bb\"]");
    assert!(failed.message().contains("the 2 messages before it were applied"), "{}", failed.message());
    assert!(failed.message().contains("did you mean 'b'"), "{}", failed.message());
    assert_eq!(
        get_with_arms(&mut clients, "offers").await.arms.iter().map(Arm::available).collect::<Vec<_>>(),
        [false, true]
    );
    assert_eq!(get_with_arms(&mut clients, "search").await.arms[0].available, Some(false));

    let nowhere = clients.slots.stream_arm_availability(tokio_stream::iter(vec![message("ofers", "a")])).await;
    let nowhere = nowhere.unwrap_err();
    assert_eq!(nowhere.code(), Code::NotFound);
    assert!(nowhere.message().contains("no message was applied"), "{}", nowhere.message());
    let tried = SetArmAvailabilityRequest { validate_only: true, ..message("offers", "b") };
    let tried = clients.slots.stream_arm_availability(tokio_stream::iter(vec![tried])).await.unwrap_err();
    assert_names_field(&tried, "messages[0].validate_only");
    let none = tokio_stream::iter(Vec::<SetArmAvailabilityRequest>::new());
    assert_eq!(clients.slots.stream_arm_availability(none).await.unwrap().into_inner().messages, 0);
    server.stop().await;
}

#[tokio::test]
async fn availability_by_schedule_and_by_arm_is_kept_and_cleared() {
    let (_folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    let day = |day: i64| Some(Timestamp { seconds: 4_000_000_000 + 86_400 * day, nanos: 0 });
    let set = |changes: Vec<ArmAvailability>| SetArmAvailabilityRequest {
        slot_id: "offers".into(),
        changes,
        ..SetArmAvailabilityRequest::default()
    };
    let arm = |id: &str, schedule| ArmAvailability { arm_id: id.into(), schedule, ..ArmAvailability::default() };
    let winter = Some(Schedule { from: day(0), until: day(30) });
    let scheduling = set(vec![arm("a", winter)]);
    clients.slots.set_arm_availability(scheduling.clone()).await.unwrap();
    let scheduled = get_with_arms(&mut clients, "offers").await;
    assert_eq!((scheduled.arms[0].schedule, scheduled.arms[0].available), (winter, Some(true)));
    let again = clients.slots.set_arm_availability(scheduling).await.unwrap().into_inner().slot.unwrap();
    assert_eq!(again.revision, scheduled.revision, "a change to the present value makes no revision");
    let pause = set(vec![ArmAvailability { available: Some(false), ..arm("a", None) }]);
    clients.slots.set_arm_availability(pause).await.unwrap();
    let kept = get_with_arms(&mut clients, "offers").await;
    assert_eq!(
        (kept.arms[0].schedule, kept.arms[0].available),
        (winter, Some(false)),
        "an unset field keeps its value"
    );
    let cleared = set(vec![arm("a", Some(Schedule::default()))]);
    clients.slots.set_arm_availability(cleared).await.unwrap();
    let cleared = get_with_arms(&mut clients, "offers").await;
    assert_eq!((cleared.arms[0].schedule, cleared.arms[0].available), (None, Some(false)));

    let backwards = set(vec![arm("b", Some(Schedule { from: day(1), until: day(1) }))]);
    let refused = clients.slots.set_arm_availability(backwards).await.unwrap_err();
    assert_names_field(&refused, "available[\"b\"].until");
    let unknown = set(vec![ArmAvailability { because: 9, ..arm("b", None) }]);
    assert_names_field(&clients.slots.set_arm_availability(unknown).await.unwrap_err(), "changes[0].because");
    let mut twice = set(vec![arm("b", None)]);
    twice.available.insert("b".into(), true);
    assert_names_field(&clients.slots.set_arm_availability(twice).await.unwrap_err(), "changes");
    assert_names_field(&clients.slots.set_arm_availability(set(Vec::new())).await.unwrap_err(), "available");
    server.stop().await;
}
