//! Tests of deferred decisions, and of silence that is learned only of what was seen.

use super::*;
use crate::{
    engine::{DeferredCounts, SHOWN, ShopperEvent, ShopperItem},
    slot::SilenceRule,
};

const DAY_US: i64 = 24 * HOUR_US;

impl StateHarness {
    /// Makes a decision that may be confirmed for a day.
    fn defer(&mut self, subject: &Subject) -> Arc<DecisionRecord> {
        let request = Request { subject: subject.clone(), deferred: true, ..request() };
        let decided = self.would_decide(request, &[]).decided;
        let deferred = Arc::new(DecisionRecord { expire_us: Some(self.at_us + DAY_US), ..decided });
        self.apply(Body::Deferred(Arc::clone(&deferred)));
        deferred
    }

    fn deferred_counts(&self) -> DeferredCounts {
        self.state.slot("offers").unwrap().deferred_counts()
    }

    fn position_of(&self, decided: &DecisionRecord) -> Option<u64> {
        self.state.slot("offers").unwrap().deferred_position(decided.id, self.at_us)
    }

    fn showings_learned(&self) -> Vec<f64> {
        let slot = self.state.slot("offers").unwrap();
        (0..3).map(|arm| slot.learner().summary(arm).map_or(0.0, crate::bandit::ArmSummary::weight)).collect()
    }

    fn shown(&mut self, event_id: &str, of: &DecisionRecord, items: &[&ArmId], viewed_through: Option<u32>) -> usize {
        let item = |arm: &&ArmId| ShopperItem {
            item: (*arm).clone(),
            quantity: None,
            value: None,
            attributes: Features::new(),
        };
        let event = ShopperEvent {
            event_id: event_id.into(),
            kind: SHOWN.into(),
            subject: Subject::default(),
            consent: Consent::None,
            withdrawn: Subject::default(),
            simulated: false,
            items: items.iter().map(item).collect(),
            attributes: Features::new(),
            query: String::new(),
            value: None,
            currency: None,
            viewed_through,
            decisions: vec![of.id],
            time_us: self.at_us,
            reverses: None,
            keep_us: 0,
        };
        match self.apply(Body::Shopper(Arc::new(event))) {
            EventEffect::Shopper(effect) => effect.slots.values().map(|join| join.joined.len()).sum(),
            other @ (EventEffect::Change | EventEffect::Decision | EventEffect::Reward(_)) => panic!("{other:?}"),
        }
    }
}

fn subject(n: u32) -> Subject {
    Subject { id: format!("shopper-{n}"), session_id: format!("session-{n}") }
}

#[test]
fn a_deferred_decision_is_remembered_until_it_is_confirmed_or_expires() {
    let mut world = StateHarness::new(definition(&["a", "b"]));
    let first = world.defer(&subject(1));
    let position = world.position_of(&first);
    assert_eq!(position, Some(world.state.position()));
    let second = world.defer(&subject(1));
    let slot = |world: &StateHarness| world.state.slot("offers").unwrap().clone();
    let of = |world: &StateHarness, who: &Subject| slot(world).deferred_of_subject(who, world.at_us);
    let both: Vec<u64> = [&second, &first].map(|decided| world.position_of(decided).unwrap()).to_vec();
    assert_eq!(of(&world, &subject(1)), both, "newest first");
    assert_eq!(of(&world, &Subject { id: String::new(), ..subject(1) }), both, "by the session");
    assert!(of(&world, &subject(2)).is_empty() && of(&world, &Subject::default()).is_empty());
    assert_eq!(world.counters().decisions, 0);
    assert_eq!(world.reward("e1", &first, "click", None), EventStatus::Unmatched(UnmatchedReason::Decision));

    world.at_us += HOUR_US;
    world.apply(Body::Decided(Arc::clone(&first)));
    assert_eq!((world.counters().decisions, world.position_of(&first)), (1, None));
    assert_eq!(world.reward("e1", &first, "click", None), EventStatus::Accepted);
    // A snapshot keeps what waits, and what was confirmed stays so.
    let bytes = snapshot::encode(&world.state).unwrap();
    let restored = snapshot::decode(&bytes).unwrap();
    assert!(restored == world.state);
    world.state = restored;
    assert_eq!((world.position_of(&first), world.position_of(&second)), (None, Some(both[0])));

    world.at_us += DAY_US - HOUR_US;
    assert!(world.position_of(&second).is_some(), "until the very end of its time");
    world.at_us += 1;
    assert_eq!(world.position_of(&second), None);
    assert!(of(&world, &subject(1)).is_empty());
    world.decide(request());
    assert_eq!(world.deferred_counts(), DeferredCounts { made: 2, confirmed: 1, expired: 1 });
    assert_eq!(slot(&world).remembered().deferred_decisions, 0);
}

/// A campaign of which a part is opened, beside a journal that holds the opened part alone.
#[test]
fn what_a_slot_learns_follows_from_confirmed_decisions_alone() {
    let mut rng = StdRng::seed_from_u64(21);
    let mut world = StateHarness::new(definition(&["a", "b", "c"]));
    let mut alone = State::default();
    for event in &world.events {
        alone.apply(event);
    }
    let deferred: Vec<Arc<DecisionRecord>> = (0..500).map(|n| world.defer(&subject(n))).collect();
    for (n, decided) in deferred.iter().enumerate() {
        world.at_us += 30_000_000;
        if rng.random_bool(0.3) {
            let confirmed = Event { at_us: world.at_us, body: Body::Decided(Arc::clone(decided)) };
            alone.apply(&confirmed);
            world.state.apply(&confirmed);
            if rng.random_bool(0.4) {
                let event = rewarded(&format!("e{n}"), Some(decided.id), "buy", Some(rng.random_range(0.0..9.0)));
                let event = Event { at_us: world.at_us, body: Body::Rewarded(Box::new(event)) };
                alone.apply(&event);
                world.state.apply(&event);
            }
        }
    }
    let counts = world.deferred_counts();
    assert!(counts.confirmed > 100 && counts.made == 500, "{counts:?}");
    let (with, without) = (world.state.slot("offers").unwrap(), alone.slot("offers").unwrap());
    assert!(with.learner() == without.learner());
    assert_eq!(with.view().counters, without.view().counters);
    assert!(with.view().counters.rewards > 20);
}

#[test]
fn silence_is_learned_of_what_was_seen_alone_where_the_goal_says_so() {
    let mut definition = definition(&["a", "b", "c"]);
    definition.goal.silence = SilenceRule::Shown;
    definition.count = Some(3);
    let mut world = StateHarness::new(definition);
    let unseen = world.decide(request());
    let partly = world.decide(request());
    let rewarded_only = world.decide(request());
    let by_item = world.decide(request());
    assert_eq!(world.shown("s1", &partly, &[], Some(2)), 2);
    let last = by_item.chosen[2].arm.clone();
    assert_eq!(world.shown("s2", &by_item, &[&last], None), 1);
    let mut click = rewarded("c1", Some(rewarded_only.id), "click", None);
    click.arm = Some(rewarded_only.chosen[1].arm.clone());
    assert_eq!(world.send(click), EventStatus::Accepted);
    world.at_us += 2 * HOUR_US;
    world.decide(request());
    let mut wanted: BTreeMap<&ArmId, f64> = BTreeMap::new();
    let seen = [&partly.chosen[0], &partly.chosen[1], &by_item.chosen[2], &rewarded_only.chosen[1]];
    for chosen in seen {
        *wanted.entry(&chosen.arm).or_default() += 1.0;
    }
    let slot = world.state.slot("offers").unwrap();
    for (arm, learned) in slot.view().definition.arms.iter().zip(world.showings_learned()) {
        let wanted = wanted.get(&arm.id).copied().unwrap_or(0.0);
        assert!((learned - wanted).abs() < 0.01, "{}: {learned} of {wanted}", arm.id);
    }
    assert_eq!(world.shown("s3", &unseen, &[], None), 0, "its window is over");
}

#[test]
fn a_report_that_comes_after_the_time_of_silence_is_learned_at_once() {
    let mut definition = definition(&["a", "b"]);
    definition.goal.silence = SilenceRule::Shown;
    let mut world = StateHarness::new(definition);
    // Quick rewards make silence certain within seconds.
    for n in 0..60 {
        let decided = world.decide(request());
        world.at_us += 1_000_000;
        world.reward(&format!("e{n}"), &decided, "click", None);
    }
    let late = world.decide(request());
    world.at_us += 20 * 60 * 1_000_000;
    world.decide(request());
    let before: f64 = world.showings_learned().iter().sum();
    assert_eq!(world.shown("s", &late, &[], None), 1);
    let after: f64 = world.showings_learned().iter().sum();
    // Earlier observations fade a little meanwhile.
    assert!((0.85..1.01).contains(&(after - before)), "{before} to {after}");
    // The narrower service says the same.
    let again = world.decide(request());
    world.at_us += 20 * 60 * 1_000_000;
    world.decide(request());
    assert_eq!(world.reward("s2", &again, SHOWN, None), EventStatus::Accepted);
    let last: f64 = world.showings_learned().iter().sum();
    assert!((0.85..1.01).contains(&(last - after)), "{after} to {last}");
}
