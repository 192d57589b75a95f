//! Tests of fields that operations own, and of the size of changes.

use super::*;
use crate::{
    engine::{ArmDraft, Piece},
    slot::{
        Controls, Mode, Payload, Schedule, Unavailable,
        limits::{REVISIONS_BYTES_MAX, SLOT_BYTES_MAX},
    },
};

fn with_payload(id: &str, bytes: usize) -> Arm {
    let payload: Payload = [("text".to_owned(), serde_json::Value::from("x".repeat(bytes)))].into_iter().collect();
    Arm { payload: Some(payload), ..Arm::new(arm_id(id)) }
}

fn now(world: &StateHarness) -> &Definition {
    world.state.slot("offers").unwrap().definition()
}

fn operate(world: &mut StateHarness) -> Schedule {
    let schedule = Schedule { from_us: Some(5), until_us: None };
    let out = Availability { available: Some(false), because: Some(Unavailable::OutOfStock), schedule: Some(schedule) };
    world.change(Change::SetAvailability(vec![(arm_id("a"), out)])).unwrap();
    world.change(Change::SetSafeChoice(true)).unwrap();
    world.update(|d| (d.controls.mode, d.controls.freeze_learning) = (Some(Mode::Test(0.25)), Some(true)));
    schedule
}

#[test]
fn a_rollback_leaves_what_operations_own() {
    let mut world = StateHarness::new(definition(&["a", "b", "c"]));
    world.update(|d| d.display_name = "changed".into());
    world.change(Change::RemoveArms(vec![arm_id("c")])).unwrap();
    let schedule = operate(&mut world);
    world.change(Change::Rollback(1)).unwrap();
    let Definition { controls, arms, display_name, .. } = now(&world);
    let Controls { safe_choice, mode, freeze_learning, .. } = controls;
    assert_eq!((*safe_choice, *mode, *freeze_learning), (Some(true), Some(Mode::Test(0.25)), Some(true)));
    assert_eq!((display_name.as_str(), arms.len()), ("", 3));
    let stock = (arms[0].available, arms[0].because, arms[0].schedule);
    assert_eq!(stock, (false, Some(Unavailable::OutOfStock), schedule));
    assert!(arms[2].available, "an arm that comes back is as it was");
}

#[test]
fn a_rollback_does_not_bring_back_what_operations_took_back() {
    let mut world = StateHarness::new(definition(&["a", "b"]));
    operate(&mut world);
    let operated = world.state.slot("offers").unwrap().revision_number();
    world.change(Change::SetSafeChoice(false)).unwrap();
    world.change(Change::SetAvailability(vec![(arm_id("a"), Availability::new(true))])).unwrap();
    world.update(|d| d.display_name = "changed".into());
    world.change(Change::Rollback(operated)).unwrap();
    assert!(!now(&world).controls.safe_choice() && now(&world).arms[0].available);
    assert_eq!(now(&world).display_name, "");
}

#[test]
fn an_arm_that_is_replaced_keeps_what_its_draft_does_not_name() {
    let mut world = StateHarness::new(definition(&["a", "b"]));
    let schedule = operate(&mut world);
    let unnamed = |arm| ArmDraft { arm, names_availability: false, names_schedule: false };
    let new = with_payload("new", 10);
    world.change(Change::MergeArms(vec![unnamed(with_payload("a", 10)), unnamed(new.clone())])).unwrap();
    let arms = &now(&world).arms;
    assert_eq!((arms[0].available, arms[0].because), (false, Some(Unavailable::OutOfStock)));
    assert_eq!((arms[0].schedule, &arms[0].payload), (schedule, &with_payload("a", 10).payload));
    assert!(arms[2].available);
    world.change(Change::MergeArms(vec![with_payload("a", 10).into()])).unwrap();
    assert!(now(&world).arms[0].available, "one that is named changes");
}

/// A change writes only what it changes, however many arms it names.
#[test]
fn a_change_holds_no_more_than_what_changes() {
    let ids: Vec<String> = (0..500).map(|i| format!("arm{i}")).collect();
    let mut world = StateHarness::new(definition(&ids.iter().map(String::as_str).collect::<Vec<_>>()));
    world.update(|d| d.display_name = "changed".into());
    let Body::SlotPatched { patch, .. } = &world.events.last().unwrap().body else { panic!("no patch") };
    assert_eq!(patch.arms, [Piece::Kept { start: 0, length: 500 }]);

    let mut arms: Vec<Arm> = now(&world).arms.iter().map(|arm| (**arm).clone()).collect();
    arms[7] = with_payload("arm7", 10);
    world.change(Change::UpsertArms(arms.clone())).unwrap();
    let Body::ArmsUpserted { arms: told, .. } = &world.events.last().unwrap().body else { panic!("no upsert") };
    assert_eq!(told.iter().map(|arm| arm.id.as_str()).collect::<Vec<_>>(), ["arm7"]);

    let all = arms.iter().map(|arm| (arm.id.clone(), Availability::new(arm.id.as_str() != "arm9"))).collect();
    world.change(Change::SetAvailability(all)).unwrap();
    let Body::AvailabilitySet { available, .. } = &world.events.last().unwrap().body else { panic!("no availability") };
    assert_eq!(available.iter().map(|(arm, _)| arm.as_str()).collect::<Vec<_>>(), ["arm9"]);
    let count = world.events.len();
    world.change(Change::UpsertArms(Vec::new())).unwrap();
    assert_eq!(world.events.len(), count, "nothing is no change");
}

/// A feed that replaces every payload each night does not make memory and snapshots grow without end.
#[test]
fn the_bytes_of_kept_revisions_are_bounded() {
    let mut world = StateHarness::new(definition(&["a"]));
    let bytes = 15_000;
    let arms = |n: usize| (0..150).map(move |i| with_payload(&format!("arm{i}"), bytes - n)).collect::<Vec<_>>();
    let per_revision = 150 * bytes as u64;
    for n in 0..40 {
        world.change(Change::UpsertArms(arms(n))).unwrap();
    }
    let kept = world.state.slot("offers").unwrap().revisions();
    let own: u64 = kept.iter().map(|revision| revision.own_bytes).sum();
    assert!(own <= REVISIONS_BYTES_MAX && own + 2 * per_revision > REVISIONS_BYTES_MAX, "{own}");
    assert!((25..31).contains(&kept.len()), "{}", kept.len());
    let bytes = snapshot::encode(&world.state).unwrap();
    assert!((bytes.len() as u64) < REVISIONS_BYTES_MAX + per_revision, "{}", bytes.len());
    assert_eq!(snapshot::decode(&bytes).unwrap(), world.state);
}

#[test]
fn a_slot_that_takes_too_much_is_refused_however_it_grows() {
    let mut world = StateHarness::new(Definition { open_catalogue: true, ..definition(&[]) });
    let arms = |from: usize| (from..from + 600).map(|i| with_payload(&format!("arm{i}"), 16_000)).collect::<Vec<_>>();
    for part in 0..3 {
        world.change(Change::UpsertArms(arms(600 * part))).unwrap();
    }
    let have = now(&world).bytes();
    assert!(have < SLOT_BYTES_MAX, "{have}");
    let error = world.change(Change::UpsertArms(arms(1_800))).unwrap_err().to_string();
    assert!(error.starts_with("arms: the slot has 36.7 MiB with its 2400 arms; at most 32 MiB"), "{error}");
    let mut definition = now(&world).clone();
    definition.arms.extend(arms(1_800).into_iter().map(Arc::new));
    let error = world.change(Change::Update { definition, revision: 0 }).unwrap_err().to_string();
    assert!(error.starts_with("slot.arms: "), "{error}");
    world.change(Change::SetAvailability(vec![(arm_id("arm0"), Availability::new(false))])).unwrap();
}
