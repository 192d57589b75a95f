//! Tests of slots that get another id: they keep everything.

use super::*;
use crate::engine::{ChangeError, SlotShard};

fn id(text: &str) -> SlotId {
    SlotId::parse("slot_id", text).unwrap()
}

fn rename(world: &mut StateHarness, slot: &str, to: &str) -> Result<(), ChangeError> {
    let why = ChangeReason::new("ann", "a better name");
    let body = plan(&world.state, &id(slot), Change::Rename(id(to)), &why)?;
    world.apply(body.unwrap());
    Ok(())
}

/// Subjects among a hundred that are in the holdout of a slot.
fn held_out(world: &StateHarness, slot: &str) -> Vec<usize> {
    let view = world.state.slot(slot).unwrap().view();
    let is_held = |n: &usize| {
        let mut request = Request::new(id(slot));
        request.subject.id = format!("s{n}");
        decide(&view, request, DecideOptions::new(DecisionId::new(view.number, 1, 1), 7)).decided.holdout
    };
    (0..100).filter(is_held).collect()
}

#[test]
fn a_renamed_slot_is_the_same_slot() {
    let mut world = busy_world(5);
    world.update(|definition| definition.controls.holdout = Some(0.3));
    let open = world.decide(request());
    let (before, groups) = (world.state.slot("offers").unwrap().clone(), held_out(&world, "offers"));
    assert!(groups.len() > 10, "{groups:?}");
    world.at_us += 1;
    rename(&mut world, "offers", "home").unwrap();
    assert!(world.state.slot("offers").is_none());
    let after = world.state.slot("home").unwrap();
    assert_eq!((after.learner(), after.view().counters), (before.learner(), before.view().counters));
    assert_eq!((after.revision_number(), after.former_ids()), (before.revision_number() + 1, &[id("offers")][..]));
    let last = after.revisions().last().unwrap();
    assert_eq!((last.change.as_str(), last.why.author.as_str()), ("renamed from offers", "ann"));
    assert!(after.revisions().iter().all(|revision| revision.definition.id == id("home")));
    assert_eq!(world.state.slot_of_number(open.id.slot()), Some(&id("home")));
    assert_eq!(held_out(&world, "home"), groups, "the groups stay");
    let reward = RewardEvent { slot: id("home"), ..rewarded("late", Some(open.id), "buy", Some(2.0)) };
    let arm = open.chosen.first().map(|chosen| chosen.arm.clone());
    assert_eq!(world.send(RewardEvent { arm, ..reward }), EventStatus::Accepted);
    // A rollback to a revision from before keeps the new id.
    let body = plan(&world.state, &id("home"), Change::Rollback(1), &ChangeReason::default()).unwrap().unwrap();
    assert_eq!(body.slot(), Some(&id("home")));
    world.apply(body);
    assert!(world.state.slot("offers").is_none());
}

#[test]
fn the_former_id_is_free_and_leads_to_the_slot_until_another_has_it() {
    let mut world = StateHarness::new(definition(&["a", "b"]));
    rename(&mut world, "offers", "home").unwrap();
    assert_eq!(world.state.present_id(&id("offers")), Some(&id("home")));
    let decided = DecisionRecord::empty(id("offers"), DecisionId::new(1, world.at_us, 1));
    assert_eq!(world.state.under_present_id(Arc::new(decided)).slot, id("home"));
    world.change(Change::Create(definition(&["c"]))).unwrap();
    assert_eq!(world.state.present_id(&id("offers")), Some(&id("offers")));
    let (new, old) = (world.state.slot("offers").unwrap(), world.state.slot("home").unwrap());
    assert!(new.view().number != old.view().number && new.former_ids().is_empty());
    assert_eq!(rename(&mut world, "home", "offers").unwrap_err(), ChangeError::Exists(id("offers")));
    let same = rename(&mut world, "home", "home").unwrap_err().to_string();
    assert!(same.starts_with("new_slot_id: "), "{same}");
    assert!(matches!(rename(&mut world, "nowhere", "x").unwrap_err(), ChangeError::NotFound { .. }));
    for n in 1..20 {
        rename(&mut world, &if n == 1 { "home".to_owned() } else { format!("home{n}") }, &format!("home{}", n + 1))
            .unwrap();
    }
    let full = rename(&mut world, "home20", "again").unwrap_err().to_string();
    assert!(full.contains("20 times"), "{full}");
    // An event that makes no sense changes nothing.
    let before = world.state.clone();
    let why = ChangeReason::default();
    world.apply(Body::SlotRenamed { slot: id("nowhere"), to: id("x"), why: why.clone() });
    world.apply(Body::SlotRenamed { slot: id("home20"), to: id("offers"), why });
    assert!(world.state.slots().eq(before.slots()));
}

#[test]
fn the_fold_of_a_rename_is_the_same_for_any_number_of_shards_and_after_a_snapshot() {
    let mut world = busy_world(9);
    rename(&mut world, "offers", "home").unwrap();
    world.change(Change::Create(definition(&["c"]))).unwrap();
    world.decide(request());
    rename(&mut world, "home", "page").unwrap();
    let whole = snapshot::encode(&world.state).unwrap();
    assert!(snapshot::encode(&snapshot::decode(&whole).unwrap()).unwrap() == whole);
    for shards in 2..5 {
        let (mut ledger, mut parts) = State::default().split(shards);
        let index = |slot: &SlotId| SlotShard::index_of(slot.as_str(), shards);
        for event in &world.events {
            let step = ledger.step(event.at_us, &event.body);
            if let Body::SlotRenamed { slot, to, why } = &event.body {
                let state = parts[index(slot)].take_renamed(step, slot).unwrap();
                parts[index(to)].put_renamed(step, state, to, why);
            } else {
                parts[index(event.body.slot().unwrap())].apply(step, &event.body, None);
            }
            for part in &mut parts {
                part.sweep(step, None);
            }
        }
        assert!(snapshot::encode(&State::join(ledger, parts)).unwrap() == whole, "{shards} shards");
    }
}
