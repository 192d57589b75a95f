//! Tests of the alerts about floors that come to more than 1, and about clients whose decisions get no events.

use super::*;
use crate::{
    engine::{Alert, AlertKind, alerts},
    slot::{Effect, OnError, Rule},
};

fn found(world: &StateHarness, kind: AlertKind) -> Option<Alert> {
    alerts(&world.state.slot("offers").unwrap().view()).into_iter().find(|alert| alert.kind == kind)
}

fn set_available(world: &mut StateHarness, arm: &str, available: bool) {
    world.change(Change::SetAvailability(vec![(arm_id(arm), Availability::new(available))])).unwrap();
}

/// Three arms with a floor of 40 % each, of which one was out of stock when the floor was set.
#[test]
fn an_arm_that_is_resumed_may_make_floors_come_to_more_than_one() {
    let mut world = StateHarness::new(definition(&["a", "b", "c"]));
    set_available(&mut world, "c", false);
    world.update(|d| d.controls.floor = Some(0.4));
    assert_eq!(found(&world, AlertKind::FloorsAboveOne), None);
    set_available(&mut world, "c", true);
    let alert = found(&world, AlertKind::FloorsAboveOne).unwrap();
    assert!(alert.sentence.contains("add up to 1.20, more than 1"), "{alert:?}");
    assert!(report(&world.state.slot("offers").unwrap().view()).alerts.contains(&alert));
    set_available(&mut world, "a", false);
    assert_eq!(found(&world, AlertKind::FloorsAboveOne), None);
}

/// Two rules whose conditions hold for different requests pass the check of the definition. Where both hold their
/// floors come to 1.2.
#[test]
fn a_rule_that_is_resumed_may_make_floors_come_to_more_than_one() {
    let bounds = |name: &str, when: &str, paused| Rule {
        name: name.into(),
        when: when.into(),
        effect: Effect::ProbabilityBounds { floor: Some(0.6), ceiling: None },
        on_error: OnError::Ignore,
        paused,
    };
    let rules = |paused| {
        let vip = bounds("vip", "arm.id == 'a' && context.vip", false);
        vec![vip, bounds("berlin", "arm.id == 'b' && context.city == 'berlin'", paused)]
    };
    let mut world = StateHarness::new(definition(&["a", "b", "c"]));
    world.update(|d| d.rules = rules(true));
    let play = |world: &mut StateHarness, city: &str, times: u32| {
        for _ in 0..times {
            let mut request = request();
            request.context.insert("vip".into(), Value::Flag(true));
            request.context.insert("city".into(), Value::Text(city.into()));
            world.decide(request);
        }
    };
    play(&mut world, "berlin", 30);
    assert_eq!(found(&world, AlertKind::FloorsAboveOne), None);
    world.update(|d| d.rules = rules(false));
    play(&mut world, "paris", 30);
    assert_eq!(found(&world, AlertKind::FloorsAboveOne), None, "only one of them holds");
    play(&mut world, "berlin", 12);
    let alert = found(&world, AlertKind::FloorsAboveOne).unwrap();
    let revision = world.state.slot("offers").unwrap().revision_number();
    assert!(
        alert.sentence.contains(&format!("in 12 of the 42 decisions since revision {revision} the floors")),
        "{alert:?}"
    );
    world.update(|d| d.rules = rules(true));
    assert_eq!(found(&world, AlertKind::FloorsAboveOne), None);
}

/// The decisions of two clients get clicks, and those of a third get none from some moment on.
#[test]
fn a_client_whose_decisions_get_no_events_is_an_alert() {
    let mut world = StateHarness::new(definition(&["a", "b"]));
    let mut rng = StdRng::seed_from_u64(91);
    let mut play = |world: &mut StateHarness, decisions: u32, broken: bool| {
        for i in 0..decisions {
            world.at_us += 20_000_000;
            let client = ["web", "app", "email"][rng.random_range(0..3)];
            let decided = world.decide(Request { client: client.into(), ..request() });
            if rng.random_bool(0.1) && !(broken && client == "app") {
                world.reward(&format!("{}-{i}", world.at_us), &decided, "click", None);
            }
            world.events.clear();
        }
    };
    play(&mut world, 4_000, false);
    assert_eq!(found(&world, AlertKind::ClientWithoutEvents), None);
    play(&mut world, 300, true);
    assert_eq!(found(&world, AlertKind::ClientWithoutEvents), None, "ten were to be expected");
    play(&mut world, 600, true);
    let alert = found(&world, AlertKind::ClientWithoutEvents).unwrap();
    assert_eq!(alert.about, "app");
    assert!(alert.sentence.contains("decisions of the client 'app'"), "{alert:?}");
    let again = snapshot::decode(&snapshot::encode(&world.state).unwrap()).unwrap();
    assert_eq!(alerts(&again.slot("offers").unwrap().view()), alerts(&world.state.slot("offers").unwrap().view()));
    play(&mut world, 300, false);
    assert_eq!(found(&world, AlertKind::ClientWithoutEvents), None, "its decisions get clicks again");
}
