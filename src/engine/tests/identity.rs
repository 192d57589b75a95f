//! Tests of the groups of subjects.

use super::*;

/// Returns which of 400 subjects are in the holdout of a slot.
fn holdout(slot: &str, edit: impl FnOnce(&mut crate::slot::Controls)) -> Vec<bool> {
    let mut definition = definition(&["a", "b"]);
    definition.controls.holdout = Some(0.3);
    edit(&mut definition.controls);
    // Groups follow from the id of the slot, so each has another.
    definition.id = SlotId::parse("slot_id", slot).unwrap();
    let mut state = State::default();
    let created = plan(&state, &definition.id.clone(), Change::Create(definition), &ChangeReason::default());
    state.apply(&Event { at_us: 1_793_000_000_000_000, body: created.unwrap().unwrap() });
    let view = state.slot(slot).unwrap().view();
    (0..400_u64)
        .map(|i| {
            let mut request = Request::new(SlotId::parse("slot_id", slot).unwrap());
            request.subject.id = format!("s{i}");
            let id = DecisionId::new(view.number, 1_793_000_000_000_000, i);
            decide(&view, request, DecideOptions::new(id, i)).decided.holdout
        })
        .collect()
}

/// Slots of one experiment have the same holdout, others have holdouts of their own, and a smaller holdout lies within a larger one.
#[test]
fn slots_of_an_experiment_share_their_holdout() {
    let named = |slot: &str| holdout(slot, |controls| controls.experiment = Some("season".into()));
    let shared = named("offers");
    assert_eq!(shared, named("banner"));
    let part = shared.iter().filter(|held| **held).count();
    // 120 of 400 are expected, with a standard deviation of 9.
    assert!((84..156).contains(&part), "{part}");
    assert_ne!(shared, holdout("offers", |_| {}), "a slot's own groups are others");
    assert_ne!(shared, holdout("season", |_| {}), "and so are those of a slot with that name");
    let smaller = holdout("search", |controls| {
        controls.experiment = Some("season".into());
        controls.holdout = Some(0.1);
    });
    assert!(smaller.iter().zip(&shared).all(|(small, large)| !small || *large));
    let salted = holdout("offers", |controls| {
        controls.experiment = Some("season".into());
        controls.salt = Some("again".into());
    });
    assert_ne!(shared, salted, "another salt draws new groups");
}

/// A session that came without an id keeps its group when its shopper logs in, and the shopper keeps it in later
/// sessions, also after a snapshot.
#[test]
fn a_shopper_who_logs_in_keeps_the_group() {
    let mut definition = definition(&["a", "b"]);
    definition.controls.holdout = Some(0.5);
    let mut world = StateHarness::new(definition);
    let mut groups = Vec::new();
    let ask = |world: &mut StateHarness, id: &str, session_id: &str| {
        world.at_us += 1_000_000;
        let subject = Subject { id: id.into(), session_id: session_id.into() };
        world.decide(Request { subject, ..request() }).holdout
    };
    let drawn_by_id: Vec<bool> = (0..200).map(|i| ask(&mut world, &format!("shopper{i}"), "")).collect();
    for i in 0..200 {
        let before = ask(&mut world, "", &format!("s{i}"));
        assert_eq!(ask(&mut world, &format!("shopper{i}"), &format!("s{i}")), before, "at login");
        assert_eq!(ask(&mut world, &format!("shopper{i}"), &format!("phone{i}")), before, "in a later session");
        groups.push(before);
    }
    let moved = groups.iter().zip(&drawn_by_id).filter(|(now, own)| now != own).count();
    assert!((60..140).contains(&moved), "half of the ids would be drawn into the other group: {moved}");
    world.state = snapshot::decode(&snapshot::encode(&world.state).unwrap()).unwrap();
    world.at_us += 30 * 24 * HOUR_US;
    let later: Vec<bool> = (0..200).map(|i| ask(&mut world, &format!("shopper{i}"), "")).collect();
    assert_eq!(later, groups, "weeks later");
    let remembered = world.state.slot("offers").unwrap().view().remembered;
    assert_eq!((remembered.logins, remembered.sessions), (200, 200), "forgotten by the next decision with a session");
}
