//! Folders that are folded without forgotten subjects.

use std::path::Path;

use super::{
    forgetting::{buy_shoes, click_by, decide_for, subject},
    refusals::{copy, image, start},
    *,
};
use crate::{
    engine::{Body, Event, State, TRAFFIC, snapshot},
    journal::{JournalReader, LossPolicy, RecordRange, SqliteJournal},
    node::{Beginning, audit, codec, fold, recover_state, refold},
    slot::ChangeReason,
};

/// Events of a folder's journal with their times, in order.
fn events(folder: &Path) -> Vec<Event> {
    let mut events = Vec::new();
    JournalReader::open(folder)
        .unwrap()
        .each(RecordRange::after(0), &mut |stored| {
            events.push(codec::decode(stored.body)?);
            Ok(())
        })
        .unwrap();
    events
}

/// Lets three shoppers decide, click and buy in turn.
async fn traffic(node: &Node, clock: &ManualClock) {
    create(node).await;
    for round in 0..12 {
        for who in ["ann", "bob", "cid"] {
            let decided = decide_for(node, subject(who, &format!("{who}-{}", round / 4))).await;
            clock.advance(1_000_000);
            let event = format!("{who}-{round}");
            match round % 3 {
                0 => drop(click_by(node, &event, subject(who, ""), &decided.chosen[0].arm).await),
                1 => drop(reward(node, &event, &decided).await.unwrap()),
                _ => buy_shoes(node, &event, subject(who, "")).await,
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refolded_folder_is_one_that_never_saw_the_forgotten_subject() {
    let world = TestNode::new();
    let node = world.open();
    traffic(&node, &world.clock).await;
    // Ann rewards a decision of Bob's, whose own reward stays.
    let of_bob = decide_for(&node, subject("bob", "bob-2")).await;
    let by_ann = RewardRequest { subject: subject("ann", ""), ..click("ann-for-bob", &of_bob) };
    assert_eq!(node.record(vec![by_ann]).unwrap().await.unwrap().remove(0).status, EventStatus::Accepted);
    assert_eq!(reward(&node, "by-bob", &of_bob).await.unwrap(), EventStatus::Accepted);
    let last = decide_for(&node, subject("ann", "ann-2")).await;
    node.forget_subject(&subject("ann", ""), ChangeReason::new("dpo", "ticket 7")).await.unwrap();
    // Later a decision of the forgotten subject is rewarded, and the subject comes back as a stranger.
    assert_eq!(reward(&node, "late", &last).await.unwrap(), EventStatus::Accepted);
    let again = decide_for(&node, subject("ann", "ann-9")).await;
    node.shutdown();
    drop(node);

    let (folder, place) = (world.folder.path(), tempfile::tempdir().unwrap());
    let (before, target) = (image(folder), place.path().join("target"));
    let refolded = refold(folder, &target, Beginning::Whole, &mut |_| ()).unwrap();
    assert!(image(folder) == before, "the source is only read");
    // One record of the subject, and one of each of its three sessions.
    assert_eq!(refolded.subjects, 4);
    let counts = refolded.left_out.into_iter().collect::<Vec<_>>();
    assert_eq!(counts, [("decided", 13), ("rewarded", 10), ("shopper", 4)]);

    // The oracle knows the events by what the test sent, and applies the others.
    let forgotten = last.subject.id.clone();
    let mut never_saw = State::default();
    let (mut decisions, mut rest) = (Vec::new(), 0);
    for event in events(folder) {
        let gone = if let Body::Decided(decided) = &event.body {
            decisions.extend((decided.subject.id == forgotten).then_some(decided.id));
            decided.subject.id == forgotten
        } else if let Body::Rewarded(reward) = &event.body {
            reward.event_id.starts_with("ann-") || reward.event_id == "late"
        } else if let Body::Shopper(event) = &event.body {
            event.event_id.starts_with("ann-")
        } else {
            false
        };
        if !gone {
            never_saw.apply(&event);
            rest += 1;
        }
    }
    assert_eq!(decisions.len(), 13);
    assert_ne!(again.subject.id, forgotten);
    let state = recover_state(&target, None, 2).unwrap();
    assert_eq!(state.position(), rest);
    assert!(snapshot::encode(&state).unwrap() == snapshot::encode(&never_saw).unwrap());
    assert!(snapshot::encode(&fold(&target, 1).unwrap()).unwrap() == snapshot::encode(&never_saw).unwrap());
    assert!(audit(&target, true, &mut |_| ()).unwrap().snapshots.iter().all(|snapshot| snapshot.compared));

    // The new folder goes on, and knows the others.
    let continued = start(&target, LossPolicy::Refused).unwrap();
    let decided = decide_for(&continued, subject("bob", "bob-2")).await;
    assert_eq!(reward(&continued, "on", &decided).await.unwrap(), EventStatus::Accepted);
    assert_eq!(click_by(&continued, "bob-0", subject("bob", ""), &decided.chosen[0].arm).await, EventStatus::Duplicate);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_refolded_exactly_is_refused() {
    let world = TestNode::new();
    let node = world.open();
    traffic(&node, &world.clock).await;
    let (folder, place) = (world.folder.path(), tempfile::tempdir().unwrap());
    let target = place.path().join("target");
    let refused = |beginning| refold(folder, &target, beginning, &mut |_| ()).unwrap_err().to_string();
    assert!(refused(Beginning::Whole).contains("in use"));
    node.shutdown();
    drop(node);
    assert!(refused(Beginning::Whole).contains("no subject was forgotten"));
    let node = world.open();
    node.forget_subject(&subject("cid", ""), ChangeReason::default()).await.unwrap();
    node.shutdown();
    drop(node);
    let whole = refold(folder, &place.path().join("whole"), Beginning::Whole, &mut |_| ()).unwrap();
    // Retention drops the first decisions.
    let trimmed = copy(folder);
    let mut journal = SqliteJournal::open(trimmed.path(), LossPolicy::Refused).unwrap();
    while journal.trim(&TRAFFIC, i64::MAX, 20, 50).unwrap() {}
    drop(journal);
    let refused = refold(trimmed.path(), &target, Beginning::Whole, &mut |_| ()).unwrap_err().to_string();
    assert!(refused.contains("up to position 20") && refused.contains("--as-retained"), "{refused}");
    assert!(!target.exists());
    let rest = refold(trimmed.path(), &target, Beginning::AsRetained, &mut |_| ()).unwrap();
    assert!(rest.trimmed == 20 && rest.audit.last < whole.audit.last, "{rest:?}");
    assert!(recover_state(&target, None, 1).unwrap().slot("offers").is_some());
}
