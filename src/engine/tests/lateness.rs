//! Tests of events at the edges of time and identity: which decision they join, until when they count, and what is
//! answered.

use super::*;
use crate::{
    engine::{FirstEvent, Lateness, RewardNote},
    slot::WarmUp,
};

const MINUTE_US: i64 = 60_000_000;
const DAY_US: i64 = 24 * HOUR_US;

fn of(id: &str, session_id: &str) -> Subject {
    Subject { id: id.into(), session_id: session_id.into() }
}

fn for_subject(subject: Subject) -> Request {
    Request { subject, ..request() }
}

/// Returns a click on arm a at the world's present time.
fn click(world: &StateHarness, event_id: &str, subject: Subject) -> RewardEvent {
    RewardEvent { subject, arm: Some(arm_id("a")), time_us: world.at_us, ..rewarded(event_id, None, "click", None) }
}

/// Decisions that an event was accepted for.
fn joined(world: &StateHarness, event_id: &str) -> Option<DecisionId> {
    let slot = world.state.slot("offers").unwrap();
    let key = crate::engine::event_key(event_id);
    let at = slot.decisions.find(|queue| queue.find_event(key).map(|known| known.0));
    at.and_then(|at| slot.decisions.get(at)).map(|decision| decision.id)
}

#[test]
fn an_event_joins_by_the_subject_s_id_before_its_session() {
    let mut world = StateHarness::new(definition(&["a"]));
    let ann = world.decide(for_subject(of("ann", "tab1")));
    let bob = world.decide(for_subject(of("bob", "tab1")));
    let event = click(&world, "e1", of("ann", "tab1"));
    assert_eq!(world.send(event), EventStatus::Accepted);
    assert_eq!(joined(&world, "e1"), Some(ann.id), "bob's decision in the same tab is newer");
    let stranger = click(&world, "e2", of("eve", "tab1"));
    assert_eq!(world.send(stranger), EventStatus::Unmatched(UnmatchedReason::Subject), "eve is neither");
    let nameless = click(&world, "e3", of("", "tab1"));
    assert_eq!(world.send(nameless), EventStatus::Accepted);
    assert_eq!(joined(&world, "e3"), Some(bob.id), "the event has no id");
    let before_login = world.decide(for_subject(of("", "tab2")));
    let logged_in = click(&world, "e4", of("eve", "tab2"));
    assert_eq!(world.send(logged_in), EventStatus::Accepted);
    assert_eq!(joined(&world, "e4"), Some(before_login.id), "the decision has no id");
}

#[test]
fn an_event_within_the_window_counts_until_the_grace_period_is_over() {
    let mut world = StateHarness::new(definition(&["a"]));
    let decided = world.decide(request());
    let (at_us, minutes) = (world.at_us, |n: i64| n * MINUTE_US);
    let event =
        |id: &str, happened_us| RewardEvent { time_us: happened_us, ..rewarded(id, Some(decided.id), "click", None) };
    world.at_us = at_us + HOUR_US + minutes(9);
    assert_eq!(world.send(event("e1", at_us + minutes(59))), EventStatus::Accepted);
    let late = world.ask(event("e2", at_us + minutes(61)));
    let Some(RewardNote::Late(lateness)) = late.note.as_deref() else { panic!("{late:?}") };
    assert_eq!(late.status, EventStatus::Late);
    let want = Lateness {
        decided_us: Some(at_us),
        happened_us: at_us + minutes(61),
        came_us: world.at_us,
        window_us: HOUR_US,
        grace_period_us: minutes(10),
        reversal_window_us: None,
    };
    assert_eq!(*lateness, want);
    world.at_us = at_us + HOUR_US + minutes(10) + 1;
    let late = world.ask(event("e3", at_us + minutes(30)));
    assert!(late.status == EventStatus::Late && late.note.is_some(), "{late:?}");
    assert_eq!((world.counters().rewards, world.counters().late), (1, 2));
}

/// A clock that is ahead says that a click happened after the window, but its arrival within the window proves
/// otherwise. A clock that is behind says that the click happened before anything was shown.
#[test]
fn clocks_that_are_hours_off_lose_no_event_of_a_window_of_a_day() {
    let mut world = StateHarness::new(definition(&["a"]));
    world.update(|d| d.goal.window_us = DAY_US);
    world.decide(for_subject(of("ann", "")));
    world.at_us += 23 * HOUR_US;
    let ahead = RewardEvent { time_us: world.at_us + 2 * HOUR_US, ..click(&world, "e1", of("ann", "")) };
    assert_eq!(world.send(ahead), EventStatus::Accepted);
    world.decide(for_subject(of("bob", "")));
    let behind = RewardEvent { time_us: world.at_us - 2 * HOUR_US, ..click(&world, "e2", of("bob", "")) };
    assert_eq!(world.send(behind), EventStatus::Accepted);
}

#[test]
fn a_purchase_is_refunded_weeks_after_its_window_closed() {
    let mut world = StateHarness::new(definition(&["a"]));
    let bought = world.decide(request());
    let kept = world.decide(request());
    assert_eq!(world.reward("e1", &bought, "buy", Some(80.0)), EventStatus::Accepted);
    assert_eq!(world.reward("e2", &kept, "buy", Some(20.0)), EventStatus::Accepted);
    let mean = |world: &StateHarness| report(&world.state.slot("offers").unwrap().view()).arms[0].mean;
    for _ in 0..30 {
        world.at_us += DAY_US;
        world.decide(request());
    }
    assert!(world.counters().reward_sum > 49.0);
    let before = mean(&world);
    // The test goes through a snapshot, because what may be reversed is part of the state.
    world.state = snapshot::decode(&snapshot::encode(&world.state).unwrap()).unwrap();
    assert_eq!(world.reverse("r1", &bought, "e1"), EventStatus::Accepted);
    assert!((world.counters().reward_sum - 10.0).abs() < 1e-9, "{}", world.counters().reward_sum);
    assert!(mean(&world) < before, "the posterior gives it back too");
    assert_eq!(world.reverse("r2", &bought, "e1"), EventStatus::Rejected(Rejection::AlreadyReversed));
    assert_eq!(world.reverse("r1", &bought, "e1"), EventStatus::Duplicate);
    world.at_us += 31 * DAY_US;
    let late = world.ask(RewardEvent { reverses: Some("e2".into()), ..rewarded("r3", Some(kept.id), "undo", None) });
    assert!(late.status == EventStatus::Late && late.note.is_some(), "{late:?}");
    let restored = snapshot::decode(&snapshot::encode(&world.state).unwrap()).unwrap();
    assert!(restored == world.state);
}

/// One event drops at most 64 finished decisions. A decision that is still there for that reason alone is as late as one
/// that is not.
#[test]
fn a_reversal_after_its_window_is_late_although_its_decision_is_still_there() {
    let mut world = StateHarness::new(definition(&["a"]));
    let bought: Vec<_> = (0..300).map(|_| world.decide(request())).collect();
    for (i, decided) in bought.iter().enumerate() {
        assert_eq!(world.reward(&format!("e{i}"), decided, "click", None), EventStatus::Accepted);
    }
    for _ in 0..20 {
        world.at_us += DAY_US;
        world.decide(request());
    }
    assert_eq!(world.state.slot("offers").unwrap().remembered().finished_decisions, 300);
    world.at_us += 61 * DAY_US;
    assert_eq!(world.reverse("r1", &bought[299], "e299"), EventStatus::Late);
    assert_eq!(joined(&world, "e299"), Some(bought[299].id), "it is still there");
}

#[test]
fn a_refund_of_part_of_the_money_counts_as_long_as_a_reversal_does() {
    let mut world = StateHarness::new(definition(&["a"]));
    world.update(|d| {
        d.goal.kinds.push(RewardKind {
            kind: "refund".into(),
            weight: -0.5,
            use_value: true,
            cap: None,
            winsorize: None,
            role: None,
            joins: None,
        });
    });
    let bought = world.decide(for_subject(of("ann", "")));
    assert_eq!(world.reward("e1", &bought, "buy", Some(80.0)), EventStatus::Accepted);
    world.at_us += 20 * DAY_US;
    world.decide(request());
    let refund = RewardEvent { kind: "refund".into(), value: Some(30.0), ..click(&world, "e2", of("ann", "")) };
    assert_eq!(world.send(refund), EventStatus::Accepted);
    assert!((world.counters().reward_sum - 25.0).abs() < 1e-9, "{}", world.counters().reward_sum);
    assert_eq!(world.reward("e3", &bought, "buy", Some(1.0)), EventStatus::Late, "more money does not come any more");
}

#[test]
fn a_refund_joins_the_subject_s_purchase_before_its_session_s_later_showing() {
    let mut world = StateHarness::new(definition(&["a"]));
    world.update(|d| {
        let refund = RewardKind {
            kind: "refund".into(),
            weight: -0.5,
            use_value: true,
            cap: None,
            winsorize: None,
            role: None,
            joins: None,
        };
        d.goal.kinds.push(refund);
    });
    let bought = world.decide(for_subject(of("ann", "tab1")));
    assert_eq!(world.reward("e1", &bought, "buy", Some(80.0)), EventStatus::Accepted);
    world.at_us += DAY_US;
    world.decide(for_subject(of("", "tab1")));
    let refund = RewardEvent { kind: "refund".into(), value: Some(30.0), ..click(&world, "e2", of("ann", "tab1")) };
    assert_eq!(world.send(refund), EventStatus::Accepted);
    assert_eq!(joined(&world, "e2"), Some(bought.id), "the other waits, but has no id");
}

#[test]
fn a_reversal_window_of_zero_ends_with_the_window() {
    let mut world = StateHarness::new(definition(&["a"]));
    world.update(|d| (d.goal.reversal_window_us, d.goal.grace_period_us) = (Some(0), Some(0)));
    let decided = world.decide(request());
    assert_eq!(world.reward("e1", &decided, "click", None), EventStatus::Accepted);
    assert_eq!(world.reverse("r1", &decided, "e1"), EventStatus::Accepted);
    assert_eq!(world.reward("e2", &decided, "click", None), EventStatus::Accepted);
    world.at_us += HOUR_US + 1;
    assert_eq!(world.reverse("r2", &decided, "e2"), EventStatus::Late);
    assert_eq!(world.state.slot("offers").unwrap().view().remembered.finished_decisions, 0);
}

#[test]
fn a_duplicate_with_other_content_says_what_the_first_was_about() {
    let mut world = StateHarness::new(definition(&["a"]));
    let (one, two) = (world.decide(request()), world.decide(request()));
    let event = |decision: &DecisionRecord, kind: &str, value| rewarded("e1", Some(decision.id), kind, value);
    assert_eq!(world.send(event(&one, "buy", Some(5.0))), EventStatus::Accepted);
    let same = world.ask(event(&one, "buy", Some(5.0)));
    assert_eq!((same.status, same.note), (EventStatus::Duplicate, None));
    let want = FirstEvent {
        decision: Some(one.id),
        kind: Some("buy".into()),
        value: Some(5.0),
        arm: Some(arm_id("a")),
        reversal: false,
        came_us: None,
    };
    for other in [event(&two, "buy", Some(5.0)), event(&one, "click", Some(5.0)), event(&one, "buy", Some(6.0))] {
        let reply = world.ask(other);
        assert_eq!(reply.status, EventStatus::Duplicate);
        assert_eq!(reply.note, Some(Box::new(RewardNote::DifferentEvent(want.clone()))));
    }
    assert_eq!(world.reverse("r1", &one, "e1"), EventStatus::Accepted);
    let reversed = world.ask(event(&two, "buy", Some(5.0)));
    assert!(
        matches!(reversed.note.as_deref(), Some(RewardNote::DifferentEvent(first)) if first.kind.as_deref() == Some("buy"))
    );
    let other = world.ask(rewarded("r1", Some(one.id), "click", None));
    assert!(matches!(other.note.as_deref(), Some(RewardNote::DifferentEvent(first)) if first.reversal), "{other:?}");
}

#[test]
fn an_event_without_a_decision_is_distinguished_from_another_after_its_decision_is_gone() {
    let mut world = StateHarness::new(definition(&["a"]));
    world.decide(for_subject(of("ann", "")));
    let hover = RewardEvent { kind: "hover".into(), ..click(&world, "e1", of("ann", "")) };
    assert_eq!(world.send(hover.clone()), EventStatus::Accepted);
    let came_us = world.at_us;
    world.at_us += 3 * HOUR_US;
    world.decide(for_subject(of("ann", "")));
    assert_eq!(world.ask(hover.clone()).note, None, "the same");
    let note = world.ask(RewardEvent { kind: "click".into(), ..hover }).note;
    let want = FirstEvent { came_us: Some(came_us), ..FirstEvent::default() };
    assert_eq!(note, Some(Box::new(RewardNote::DifferentEvent(want))));
}

#[test]
fn a_kind_outside_the_goal_is_counted_and_reported() {
    let mut world = StateHarness::new(definition(&["a"]));
    let decided = world.decide(request());
    let reply = world.ask(rewarded("e1", Some(decided.id), "clik", None));
    assert_eq!(reply.status, EventStatus::Accepted);
    assert!(matches!(reply.note.as_deref(), Some(RewardNote::OtherKind { kind, .. }) if kind == "clik"), "{reply:?}");
    assert_eq!(world.ask(rewarded("e2", Some(decided.id), "click", None)).note, None);
    assert_eq!((world.counters().rewards, world.counters().other_kinds), (2, 1));
}

#[test]
fn a_warm_up_ends_for_an_arm_that_nobody_rewards() {
    let mut world = StateHarness::new(definition(&["a", "b"]));
    world.update(|d| d.controls.warm_up = Some(WarmUp { views: 4, rewards: 2, patience: None }));
    let mut after = None;
    for i in 0..100 {
        let decided = world.decide(request());
        if decided.chosen[0].arm == arm_id("a") {
            world.reward(&format!("e{i}"), &decided, "click", None);
        }
        let view = world.state.slot("offers").unwrap().view();
        let shown = view.arm_counters.get(1).map_or(0, |tally| tally.shown);
        let even = (world.would_decide(request(), &[]).decided.chosen[0].propensity - 0.5).abs() < 1e-12;
        if !even {
            after = Some(shown);
            break;
        }
    }
    assert_eq!(after, Some(20), "five times the views, of the arm without rewards");
}

/// Items beyond the limits of the whole process leave every slot, are counted, and are reported, into however many
/// shards the slots are split.
#[test]
fn a_sweep_forgets_in_every_slot() {
    use crate::engine::{
        horizons::{Horizons, MemoryCounts},
        ledger::Step,
    };
    let mut world = StateHarness::new(definition(&["a"]));
    world.update(|d| d.controls.stickiness = Some(crate::slot::Stickiness::For(DAY_US)));
    for i in 0..10 {
        world.at_us += 1_000;
        let ask = Request { request_id: Some(format!("r{i}")), ..for_subject(of(&format!("s{i}"), "")) };
        world.decide(ask);
        let event = click(&world, &format!("e{i}"), of(&format!("s{i}"), ""));
        assert_eq!(world.send(event), EventStatus::Accepted);
    }
    let at_us = world.at_us;
    let remembered = |state: &State| state.slot("offers").unwrap().remembered();
    let none = MemoryCounts::default();
    let (requests, exposures, learned_subjects) = (10, 10, 10);
    let ten = MemoryCounts { pending_decisions: 10, event_ids: 10, requests, exposures, learned_subjects, ..none };
    assert_eq!(remembered(&world.state), ten);
    let recent_us = at_us - 3_500;
    let horizons = Horizons { decisions_us: at_us - 6_500, recent_us, rewards_us: at_us - 8_500, deferred_us: 0 };
    let step = Step { position: 0, at_us, number: None, slots: 1, renames: false, sweep: Some(horizons) };
    let (ledger, mut parts) = world.state.clone().split(3);
    for part in &mut parts {
        part.sweep(step, None);
    }
    let mut left = Vec::new();
    world.state.slots.sweep(step, Some(&mut |slot, closed| left.push((slot.clone(), closed.id))));
    assert!(State::join(ledger, parts) == world.state);
    // Three of those that waited were rewarded and may be reversed, except the oldest of the three.
    let (requests, exposures, learned_subjects) = (4, 4, 4);
    let want = MemoryCounts {
        pending_decisions: 7,
        finished_decisions: 2,
        event_ids: 9,
        requests,
        exposures,
        learned_subjects,
        ..none
    };
    assert_eq!(remembered(&world.state), want);
    let (requests, exposures, learned_subjects) = (6, 6, 6);
    let forgotten = MemoryCounts {
        pending_decisions: 3,
        finished_decisions: 1,
        event_ids: 1,
        requests,
        exposures,
        learned_subjects,
        ..none
    };
    assert_eq!(world.state.slot("offers").unwrap().view().forgotten, forgotten);
    assert_eq!(left.len(), 1);
    let restored = snapshot::decode(&snapshot::encode(&world.state).unwrap());
    assert!(restored.unwrap() == world.state);
}
