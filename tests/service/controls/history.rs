//! Revisions of a slot: who changed it, when, why and from where.

use slotwise::wire::proto::{
    ArmAvailability, Controls, GetRevisionRequest, SetArmAvailabilityRequest, Slot, UnavailableBecause,
    UpdateSlotRequest,
};
use tonic::Code;
use tonic_types::StatusExt as _;

use super::{
    assert_names_field, field_change, get_with_arms, masked_update, revisions,
    support::{Clients, InProcessServer, slot, started},
};

#[tokio::test]
async fn every_revision_says_who_changed_what_and_why() {
    let (_folder, server, mut clients) = started().await;
    let made = clients.create(slot("offers", &["a", "b"])).await.unwrap();
    let update = UpdateSlotRequest {
        author: "ann".into(),
        reason: "a dial".into(),
        ..masked_update(
            Slot {
                slot_id: "offers".into(),
                controls: Some(Controls { floor: Some(0.1), ..Controls::default() }),
                ..Slot::default()
            },
            &["controls.floor"],
        )
    };
    clients.slots.update_slot(update).await.unwrap();
    let pause = SetArmAvailabilityRequest {
        slot_id: "offers".into(),
        changes: vec![ArmAvailability {
            arm_id: "a".into(),
            available: Some(false),
            because: UnavailableBecause::OutOfStock.into(),
            schedule: None,
        }],
        author: "bob".into(),
        ..SetArmAvailabilityRequest::default()
    };
    clients.slots.set_arm_availability(pause).await.unwrap();
    assert_eq!(clients.arms("offers").await[0].unavailable_because(), UnavailableBecause::OutOfStock);

    let found = revisions(&mut clients, "offers").await;
    let who: Vec<_> = found.iter().map(|r| (r.revision, r.author.as_str(), r.reason.as_str())).collect();
    assert_eq!(who, [(3, "bob", ""), (2, "ann", "a dial"), (1, "", "")]);
    assert_eq!(
        found[0].diff,
        [
            field_change("arms[\"a\"].available", "true", "false"),
            field_change("arms[\"a\"].unavailable_because", "", "out_of_stock")
        ]
    );
    assert_eq!(found[1].diff, [field_change("controls.floor", "", "0.1")]);
    assert_eq!(found[2].diff, []);
    assert!(found.iter().all(|revision| revision.time.is_some_and(|time| time.seconds > 1_700_000_000)));

    let ask = |revision| GetRevisionRequest { slot_id: "offers".into(), revision };
    let second = clients.slots.get_revision(ask(2)).await.unwrap().into_inner().revision.unwrap();
    assert_eq!(second, found[1]);
    let first = clients.slots.get_revision(ask(1)).await.unwrap().into_inner().revision.unwrap();
    assert_eq!(first.slot.unwrap(), made, "the revision has the slot as it was created");
    let gone = clients.slots.get_revision(ask(9)).await.unwrap_err();
    assert_names_field(&gone, "revision");
    assert!(gone.message().contains("the slot is at 3"), "{}", gone.message());
    server.stop().await;
}

/// Pauses an arm of the slot `offers` in a call with the given request id.
async fn pause_as(clients: &mut Clients, arm: &str, request_id: &str) {
    let changes = vec![ArmAvailability { arm_id: arm.into(), available: Some(false), ..ArmAvailability::default() }];
    let pause = SetArmAvailabilityRequest { slot_id: "offers".into(), changes, ..SetArmAvailabilityRequest::default() };
    let mut request = tonic::Request::new(pause);
    request.metadata_mut().insert("x-request-id", request_id.parse().unwrap());
    clients.slots.set_arm_availability(request).await.unwrap();
}

#[tokio::test]
async fn every_revision_says_from_where_and_with_which_request_id_it_came() {
    let (folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    pause_as(&mut clients, "a", "call-7").await;
    let found = revisions(&mut clients, "offers").await;
    let actors: Vec<_> = found.iter().map(|revision| revision.actor.clone().unwrap()).collect();
    assert_eq!(actors[0].request_id, "call-7");
    assert!(actors[1].request_id.len() == 32, "a call without a request id gets one: {actors:?}");
    assert!(actors.iter().all(|actor| actor.origin.starts_with("127.0.0.1:") && actor.principal.is_empty()));

    // Two messages of a stock feed become one revision, although each is a call of its own.
    pause_as(&mut clients, "b", "call-8").await;
    let merged = revisions(&mut clients, "offers").await;
    assert_eq!((merged.len(), merged[0].actor.clone().unwrap().request_id.as_str()), (2, "call-8"));
    server.stop().await;

    let server = InProcessServer::start(folder.path()).await;
    let mut clients = server.clients().await;
    assert_eq!(revisions(&mut clients, "offers").await, merged, "journal and snapshot keep the history");
    server.stop().await;
}

#[tokio::test]
async fn a_stale_update_says_who_changed_what_when() {
    let (_folder, server, mut clients) = started().await;
    let made = clients.create(slot("offers", &["a", "b"])).await.unwrap();
    let mut theirs = get_with_arms(&mut clients, "offers").await;
    theirs.display_name = "Theirs".into();
    theirs.arms[0].available = Some(false);
    let update = UpdateSlotRequest {
        author: "ann".into(),
        reason: "sold out".into(),
        ..masked_update(theirs, &["display_name", "arms"])
    };
    clients.slots.update_slot(update).await.unwrap();
    let mut ours = made;
    ours.count = 2;
    let update = UpdateSlotRequest { slot: Some(ours), author: "bob".into(), ..UpdateSlotRequest::default() };
    for validate_only in [true, false] {
        let update = UpdateSlotRequest { validate_only, ..update.clone() };
        let stale = clients.slots.update_slot(update).await.unwrap_err();
        assert_eq!(stale.code(), Code::Aborted);
        for words in [
            "at revision 2",
            "made from 1",
            "ann",
            "sold out",
            "20",
            "display_name, arms[\"a\"].available",
            "read the slot again",
        ] {
            assert!(stale.message().contains(words), "{words} in {}", stale.message());
        }
        assert!(stale.get_details_precondition_failure().is_some());
    }
    assert_eq!(get_with_arms(&mut clients, "offers").await.count, 0);
    server.stop().await;
}
