//! Tests of a fold that only keeps accounts, and of reported outcomes.

use std::collections::BTreeMap;

use super::*;
use crate::engine::{Counters, DecisionOutcome, EventStatus, event_key};

const MINUTE_US: i64 = 60_000_000;

/// A random run of everything that can happen to a slot.
fn busy() -> StateHarness {
    let mut rng = StdRng::seed_from_u64(5);
    let mut world = StateHarness::new(Definition { count: Some(2), ..definition(&["a", "b", "c"]) });
    let mut recent: Vec<Arc<DecisionRecord>> = Vec::new();
    let mut sent: Vec<(String, Arc<DecisionRecord>)> = Vec::new();
    for i in 0..3_000_u32 {
        world.at_us += rng.random_range(0..MINUTE_US);
        match rng.random_range(0..100) {
            0..45 => {
                let subject = Subject { id: format!("s{}", rng.random_range(0..9)), session_id: String::new() };
                recent.push(world.decide(Request { subject, ..request() }));
            }
            // Some rewards are late, some are sent twice, some name a subject.
            45..85 if !recent.is_empty() => {
                let decided = Arc::clone(&recent[recent.len().saturating_sub(rng.random_range(1..200))]);
                let again = rng.random_range(0..10) == 0 && !sent.is_empty();
                let event_id = if again { sent[rng.random_range(0..sent.len())].0.clone() } else { format!("e{i}") };
                let kind = ["click", "buy", "look"][rng.random_range(0..3)];
                let mut event = rewarded(&event_id, Some(decided.id), kind, Some(f64::from(i % 7)));
                event.arm = Some(decided.chosen[rng.random_range(0..decided.chosen.len())].arm.clone());
                event.time_us = world.at_us;
                if rng.random_range(0..3) == 0 {
                    (event.decision, event.subject) = (None, decided.subject.clone());
                }
                world.send(event);
                sent.push((event_id, decided));
            }
            85..97 if !sent.is_empty() => {
                let (event_id, decided) = &sent[sent.len().saturating_sub(rng.random_range(1..50))];
                let event = rewarded(&format!("r{i}"), Some(decided.id), "undo", None);
                world.send(RewardEvent { reverses: Some(event_id.clone()), ..event });
            }
            97 => world.update(|definition| definition.goal.kinds[1].weight += 0.25),
            98 => world.update(|definition| definition.goal.window_us = HOUR_US + i64::from(i)),
            99 if i % 3 == 0 => drop(world.change(Change::Reset)),
            _ => {}
        }
    }
    world
}

/// Folds the events without learning. Returns the state and the outcomes of all decisions.
fn accounts(events: &[Event]) -> (State, Vec<DecisionOutcome>) {
    let (mut ledger, mut parts) = State::accounting().split(1);
    let mut closed = Vec::new();
    for event in events {
        let step = ledger.step(event.at_us, &event.body);
        parts[0].apply(step, &event.body, Some(&mut |outcome| closed.push(outcome)));
    }
    let state = State::join(ledger, parts);
    for (_, slot) in state.slots() {
        closed.extend(slot.open_decisions(state.at_us()));
    }
    (state, closed)
}

#[test]
fn accounting_counts_the_same() {
    let world = busy();
    let (state, closed) = accounts(&world.events);
    let counters = |state: &State| state.slot("offers").unwrap().view().counters;
    let Counters { duplicates, late, rewards, rejected, .. } = counters(&world.state);
    assert!(duplicates > 0 && late > 0 && rewards > 0 && rejected > 0, "all of it happened");
    assert_eq!(counters(&state), counters(&world.state));
    assert_eq!(
        state.slot("offers").unwrap().view().arm_counters,
        world.state.slot("offers").unwrap().view().arm_counters
    );

    // Every decision is reported once, and those since the last reset add up to the slot's counters.
    let decided = world.events.iter().filter(|event| matches!(event.body, Body::Decided(_))).count();
    let by_id: BTreeMap<DecisionId, &DecisionOutcome> = closed.iter().map(|closed| (closed.id, closed)).collect();
    assert_eq!((by_id.len(), closed.len()), (decided, decided));
    let number = state.slot("offers").unwrap().view().number;
    assert!(number > 2, "it was reset");
    let own = || closed.iter().filter(|closed| closed.id.slot() == number);
    let sum: f64 = own().flat_map(|closed| closed.rewards.iter().flatten()).sum();
    // Some thousand sums of numbers below a hundred are each rounded to 1e-16 of their value.
    assert!((sum - counters(&state).reward_sum).abs() < 1e-9, "{sum}");
    let events: usize = own().map(|closed| closed.events.len()).sum();
    assert_eq!(events as u64, counters(&state).rewards);
}

#[test]
fn a_decision_is_complete_when_window_and_grace_period_are_over() {
    let mut world = StateHarness::new(definition(&["a"]));
    let first = world.decide(request());
    assert_eq!(world.reward("e1", &first, "buy", Some(8.0)), EventStatus::Accepted);
    assert_eq!(world.reward("e2", &first, "buy", Some(2.0)), EventStatus::Accepted);
    assert_eq!(world.reward("e3", &first, "look", None), EventStatus::Accepted);
    assert_eq!(world.reverse("e4", &first, "e1"), EventStatus::Accepted);
    // The window is an hour, and reports may come ten minutes later.
    world.at_us += HOUR_US + HOUR_US / 6;
    let second = world.decide(request());
    let (_, closed) = accounts(&world.events);
    assert_eq!(closed.iter().map(|closed| closed.complete).collect::<Vec<_>>(), [false, false], "to the microsecond");
    world.at_us += 1;
    let third = world.decide(request());
    let (_, closed) = accounts(&world.events);
    let fates = [
        ("e1", EventStatus::Reversed),
        ("e2", EventStatus::Accepted),
        ("e3", EventStatus::Accepted),
        ("e4", EventStatus::Accepted),
    ];
    let events = fates.map(|(event, fate)| (event_key(event), fate)).to_vec();
    let want = DecisionOutcome { id: first.id, rewards: Some(vec![1.0]), events, complete: true };
    assert_eq!(closed[0], want, "0.5 for each of 2, and nothing for a look");
    assert_eq!(closed[1..].iter().map(|closed| closed.id).collect::<Vec<_>>(), [second.id, third.id]);
}

#[test]
fn decisions_leave_with_their_slot_and_later_ones_are_not_counted() {
    for change in [Change::Reset, Change::Delete] {
        let mut world = StateHarness::new(definition(&["a"]));
        let decided = world.decide(request());
        world.reward("e1", &decided, "click", None);
        let late = Arc::new(world.would_decide(request(), &[]).decided);
        world.change(change).unwrap();
        world.apply(Body::Decided(Arc::clone(&late)));
        let (_, closed) = accounts(&world.events);
        let of_first = (decided.id, Some(vec![1.0]), 1, false);
        let of_late = (late.id, None, 0, false);
        let brief = |outcome: DecisionOutcome| (outcome.id, outcome.rewards, outcome.events.len(), outcome.complete);
        assert_eq!(closed.into_iter().map(brief).collect::<Vec<_>>(), [of_first, of_late]);
    }
}

#[test]
fn a_decision_that_showed_nothing_is_complete_at_once() {
    let mut world = StateHarness::new(definition(&[]));
    let decided = world.decide(request());
    let (_, closed) = accounts(&world.events);
    let want = DecisionOutcome { id: decided.id, rewards: Some(Vec::new()), events: Vec::new(), complete: true };
    assert_eq!(closed, [want]);
}
