//! Decisions of the past and the recovery of slots that take their arms from the item catalogue.

use super::*;
use crate::{
    engine::{SlotShard, preview, recall},
    slot::{Effect, OnError, ProbabilityBounds, Rule},
};

#[test]
fn a_decision_is_explained_also_when_its_items_are_gone() {
    let rule = Rule {
        name: "no second shelf".into(),
        when: "arm.shelf == 2".into(),
        effect: Effect::Exclude,
        on_error: OnError::Ignore,
        paused: false,
    };
    for count in [3, 300] {
        let mut excluding = Definition { rules: vec![rule.clone()], ..taking("true") };
        // The likeliest arms are not the first ones.
        let floor = ProbabilityBounds { floor: Some(0.05), ceiling: None };
        excluding.controls.arm_bounds = many("x", 300)[290..].iter().map(|arm| (arm.id.clone(), floor)).collect();
        let mut world = StateHarness::new(excluding);
        let mut items = many("x", count);
        items.push(on_shelf("b-excluded", 2.0));
        world.change_items(upsert(items)).unwrap();
        let explained = world.would_decide(Request { explain: true, ..request() }, &[]);
        world.apply(Body::Decided(Arc::new(explained.decided.clone())));
        let (decided, then) = (explained.decided, explained.explanation.unwrap());
        assert!(decided.candidates.is_empty() && decided.catalogue_arms.len() <= 200, "{count}");
        let all: Vec<ArmId> = world.state.items().iter().map(|item| item.id.clone()).collect();
        world.change_items(ItemRequest::Remove(all)).unwrap();
        world.change_items(upsert(many("a", 4))).unwrap();
        let now = recall(Some(&world.state.slot("offers").unwrap().view()), &decided).explanation;
        assert_eq!(now.matched_rules, ["no second shelf"]);
        let then: BTreeMap<&ArmId, _> = then.candidates.iter().map(|one| (&one.arm, one)).collect();
        let mut with_scores = 0;
        for one in &now.candidates {
            let was = then[&one.arm];
            assert_eq!(one.ineligible_because, was.ineligible_because, "{}", one.arm);
            // Of many candidates the likeliest have their scores recorded.
            if one.propensity > 0.0 {
                let same = (one.propensity - was.propensity).abs() < 1e-6 && (one.mean - was.mean).abs() < 1e-6;
                assert!(same, "{}", one.arm);
                with_scores += 1;
            }
        }
        assert_eq!(with_scores, count.min(64), "{count}");
        assert!(now.candidates.iter().any(|one| one.arm == arm_id("b-excluded") && one.ineligible_because.is_some()));
    }
}

/// Decides the same in two worlds. In one of them each decision is applied after an item came that stands before all others.
#[test]
fn a_decision_counts_for_its_own_arms_also_if_items_come_before_it_is_applied() {
    let (mut early, mut late) = (StateHarness::new(taking("true")), StateHarness::new(taking("true")));
    for world in [&mut early, &mut late] {
        world.change_items(upsert(many("x", 4))).unwrap();
    }
    for i in 0..40 {
        let new = || upsert(vec![on_shelf(&format!("a{:02}", 40 - i), 1.0)]);
        let mut decisions = Vec::new();
        for (world, items_first) in [(&mut early, false), (&mut late, true)] {
            world.at_us += 1_000_000;
            let decided = Arc::new(world.would_decide(request(), &[]).decided);
            if items_first {
                world.change_items(new()).unwrap();
            }
            world.apply(Body::Decided(Arc::clone(&decided)));
            if !items_first {
                world.change_items(new()).unwrap();
            }
            if i % 3 == 0 {
                world.reward(&format!("e{i}"), &decided, "click", None);
            }
            decisions.push(decided);
        }
        assert_eq!(decisions[0], decisions[1], "decision {i}");
    }
    let [early, late] = [early, late].map(|world| world.state.slot("offers").unwrap().view());
    assert!(early.evaluation == late.evaluation);
    assert_eq!(report(&early).arms, report(&late).arms);
}

#[test]
fn a_preview_of_another_filter_decides_the_past_requests_with_its_items() {
    let mut world = StateHarness::new(taking("item.shelf == 1"));
    world.change_items(upsert(vec![on_shelf("a", 1.0), on_shelf("b", 1.0), on_shelf("c", 2.0)])).unwrap();
    let mut decisions = Vec::new();
    for _ in 0..60 {
        world.at_us += 60_000_000;
        let decided = world.decide(request());
        decisions.push((world.at_us, decided));
    }
    let before = world.state.slot("offers").unwrap().view();
    world.update(|d| d.from_catalogue = "item.shelf == 2".into());
    let after = world.state.slot("offers").unwrap().view();
    let found = preview(&before, &after, &decisions, world.at_us);
    let share = |id: &str| found.arms.iter().find(|arm| arm.arm == arm_id(id)).unwrap().all;
    assert!(share("c").before.value.abs() < 1e-9 && (share("c").after.value - 1.0).abs() < 1e-9);
    assert!(
        (share("a").before.value + share("b").before.value - 1.0).abs() < 1e-9 && share("a").after.value.abs() < 1e-9
    );
}

/// A random run of a slot that takes items, with decisions, rewards, changes of items, of the filter and of the id.
fn busy_catalogue(seed: u64) -> StateHarness {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut world = StateHarness::new(taking("item.shelf < 3"));
    let mut decisions: Vec<Arc<DecisionRecord>> = Vec::new();
    for i in 0..300_u32 {
        world.at_us += rng.random_range(0..HOUR_US / 20);
        if i % 6 == 0 {
            let id = format!("i{}", rng.random_range(0..30));
            let request = match rng.random_range(0..4) {
                0 if world.state.items().get(&id).is_some() => ItemRequest::Remove(vec![arm_id(&id)]),
                1 if world.state.items().get(&id).is_some() => {
                    ItemRequest::SetAvailable(vec![(arm_id(&id), i % 4 == 0)])
                }
                _ => upsert(vec![on_shelf(&id, f64::from(rng.random_range(0..5)))]),
            };
            world.change_items(request).unwrap();
        }
        if i == 100 {
            world.update(|d| d.from_catalogue = "item.shelf != 2 && item.id != 'i7'".into());
        }
        if i == 150 {
            world.change(Change::Rollback(1)).unwrap();
        }
        if i == 200 {
            world.change(Change::Reset).unwrap();
            decisions.clear();
        }
        let mut asked = request();
        asked.count = rng.random_range(0..3);
        asked.context.insert("age".into(), Value::Number(rng.random_range(18.0..80.0)));
        // Items may change between a decision and its application.
        let decided = Arc::new(world.would_decide(asked, &[]).decided);
        if i % 10 == 3 {
            world.change_items(upsert(vec![on_shelf(&format!("h{i}"), 1.0)])).unwrap();
        }
        world.apply(Body::Decided(Arc::clone(&decided)));
        decisions.push(decided);
        let old = Arc::clone(&decisions[rng.random_range(0..decisions.len())]);
        let mut event = rewarded(&format!("e{i}"), Some(old.id), "buy", Some(0.7));
        event.arm = old.chosen.first().map(|chosen| chosen.arm.clone());
        world.send(event);
    }
    world
}

#[test]
fn a_snapshot_at_any_moment_and_the_events_after_it_give_the_state_of_all_events() {
    let world = busy_catalogue(23);
    let want = snapshot::encode(&world.state).unwrap();
    let names = world.state.slot("offers").unwrap().view().arms.names().to_vec();
    assert!(world.state.slot("offers").unwrap().arms_in_effect().len() > 5 && names.len() > 20);
    let mut state = State::default();
    for (at, event) in world.events.iter().enumerate() {
        state.apply(event);
        if at % 97 == 0 {
            state = snapshot::decode(&snapshot::encode(&state).unwrap()).unwrap();
        }
    }
    assert!(snapshot::encode(&state).unwrap() == want, "through snapshots");
    assert!(state == world.state, "and what follows from the rest is the same");
    for shards in [1, 3] {
        let (mut ledger, mut parts) = State::default().split(shards);
        for event in &world.events {
            let step = ledger.step(event.at_us, &event.body);
            for (at, part) in parts.iter_mut().enumerate() {
                let own = event.body.slot().is_none_or(|slot| SlotShard::index_of(slot.as_str(), shards) == at);
                if own {
                    part.apply(step, &event.body, None);
                }
                part.sweep(step, None);
            }
        }
        assert!(snapshot::encode(&State::join(ledger, parts)).unwrap() == want, "{shards} shards");
    }
    // An account of the same events counts the same arms under the same indices.
    let mut accounts = State::accounting();
    world.events.iter().for_each(|event| drop(accounts.apply(event)));
    assert_eq!(accounts.slot("offers").unwrap().view().arms.names(), names);
    let counters = |state: &State| state.slot("offers").unwrap().view().arm_counters;
    assert_eq!(counters(&accounts), counters(&world.state));
}
