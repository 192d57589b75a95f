//! Chapelle and Li (2011), *An Empirical Evaluation of Thompson Sampling*, table 1: regret with delayed rewards.
//!
//! There are ten items. At each of a million steps, with probability 0.001, one of the ten retires and a new one takes
//! its place, with a reward rate from Beta(4, 4) and a posterior that equals the prior. Rewards arrive in batches, every
//! δ steps. Two things the paper leaves open. Here the pending rewards of a retired item are dropped, and the prior is
//! flat. The table has means of 10 to 30 runs for other readings, with errors of 1 to 2 % (more at 316):
//!
//! | reading | δ = 1 | 10 | 32 | 100 | 316 |
//! | --- | --: | --: | --: | --: | --: |
//! | the paper's table | 9,105 | 9,049 | 9,451 | 11,550 | 21,594 |
//! | this test | 9,560 | 9,570 | 9,760 | 11,090 | 16,310 |
//! | a retired item's rewards go to its successor | 9,560 | 9,760 | 9,810 | 11,950 | 19,190 |
//! | likewise, each reward δ steps late, no batches | 9,560 | 9,700 | 10,820 | 15,120 | 30,130 |
//! | prior Beta(4, 4), dropped | 9,130 | 9,140 | 9,260 | 9,880 | 12,080 |
//! | prior Beta(4, 4), to the successor, no batches | 9,130 | 9,410 | 9,880 | 12,550 | 21,790 |
//!
//! The reading of this test is within 6 % of the paper up to δ = 100, which is what it asserts. Beyond that the figure
//! depends on what happens to a retired item's rewards, and the last reading is closest. The reading in which each of
//! the ten items retires with probability 0.001 per step is wrong: it loses 45,000 at δ = 1.

//!
//! Two learners play this environment. The reference is the paper's algorithm, a plain loop of some lines; it must lose
//! what the table says. The other is the service's engine with `at_close`, whose decisions of a batch all close at the
//! same moment; it must lose what the reference loses over the same items.

use std::sync::Arc;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rand_distr::{Beta as BetaDraw, Distribution as _};
use slotwise::{
    bandit::{ModelSpec, Policy},
    engine::{
        Body, Change, DecideOptions, DecisionId, DecisionRecord, Event, Request, RewardEvent, State, Subject, decide,
        hash, plan,
    },
    slot::{Arm, ArmId, ChangeReason, Controls, Definition, Goal, Learning, SlotId},
    stats::Beta,
};

use super::{mean_and_error, runs};

const ITEMS: usize = 10;
const STEPS: u32 = 1_000_000;
const RETIRES: f64 = 1e-3;
const PRIOR: f64 = 1.0;

/// Learner that shows one item per step and gets its rewards in batches.
trait BatchLearner {
    fn choose(&mut self) -> usize;
    /// Takes the reward of the item that was chosen last. It may be learned only at the end of the batch.
    fn reward(&mut self, item: usize, rewarded: bool);
    fn end_batch(&mut self);
    /// Replaces an item by a new one. Its pending rewards are dropped.
    fn replace(&mut self, item: usize);
}

/// Returns the expected reward that a learner lost. Items and rewards depend on the seed alone, not on the learner.
fn regret(learner: &mut dyn BatchLearner, steps: u32, delay: u32, seed: u64) -> f64 {
    let mut rng = StdRng::seed_from_u64(seed);
    let fresh = BetaDraw::new(4.0, 4.0).unwrap();
    let mut rates: Vec<f64> = (0..ITEMS).map(|_| fresh.sample(&mut rng)).collect();
    let mut lost = 0.0;
    for step in 1..=steps {
        if rng.random_bool(RETIRES) {
            let item = rng.random_range(0..ITEMS);
            rates[item] = fresh.sample(&mut rng);
            learner.replace(item);
        }
        let shown = learner.choose();
        lost += rates.iter().copied().fold(0.0, f64::max) - rates[shown];
        learner.reward(shown, rng.random::<f64>() < rates[shown]);
        if step % delay == 0 {
            learner.end_batch();
        }
    }
    lost
}

/// The paper's algorithm: a draw from the Beta posterior of each item, and the largest wins.
struct Reference {
    posteriors: Vec<Beta>,
    pending: Vec<(usize, bool)>,
    rng: StdRng,
}

impl Reference {
    fn new(seed: u64) -> Self {
        let rng = StdRng::seed_from_u64(!seed);
        Self { posteriors: vec![Beta::new(PRIOR, PRIOR); ITEMS], pending: Vec::new(), rng }
    }
}

impl BatchLearner for Reference {
    fn choose(&mut self) -> usize {
        let mut draw = |posterior: &Beta| BetaDraw::new(posterior.a(), posterior.b()).unwrap().sample(&mut self.rng);
        let draws: Vec<f64> = self.posteriors.iter().map(&mut draw).collect();
        (0..ITEMS).max_by(|&i, &j| draws[i].total_cmp(&draws[j])).unwrap()
    }

    fn reward(&mut self, item: usize, rewarded: bool) {
        self.pending.push((item, rewarded));
    }

    fn end_batch(&mut self) {
        for (item, rewarded) in self.pending.drain(..) {
            self.posteriors[item].observe(f64::from(u8::from(rewarded)));
        }
    }

    fn replace(&mut self, item: usize) {
        self.posteriors[item] = Beta::new(PRIOR, PRIOR);
        self.pending.retain(|(shown, _)| *shown != item);
    }
}

const SECOND_US: i64 = 1_000_000;

/// The service's engine: a slot with one arm per item, Thompson sampling, and a window of a second. The clock stands
/// still within a batch, and leaps over the window at its end.
struct EngineLearner {
    state: State,
    slot: SlotId,
    /// Id of each item's arm. A new item is a new arm.
    arms: Vec<ArmId>,
    made: usize,
    at_us: i64,
    count: u64,
    latest: Option<Arc<DecisionRecord>>,
}

impl EngineLearner {
    fn new() -> Self {
        let slot = SlotId::parse("slot_id", "items").unwrap();
        let arms: Vec<ArmId> = (0..ITEMS).map(arm_id).collect();
        let goal =
            Goal { window_us: SECOND_US, grace_period_us: Some(0), learning: Learning::AtClose, ..Goal::default() };
        // A half-life of ten years forgets nothing within a run.
        let controls = Controls {
            policy: Some(Policy::ThompsonSampling),
            holdout: Some(0.0),
            half_life_us: Some(3_650 * 86_400 * SECOND_US),
            ..Controls::default()
        };
        let definition = Definition {
            arms: arms.iter().map(|id| Arc::new(Arm::new(id.clone()))).collect(),
            goal,
            controls,
            model: ModelSpec::beta_bernoulli(Some(PRIOR), Some(PRIOR)),
            ..Definition::new(slot.clone())
        };
        let mut learner = Self { state: State::default(), slot, arms, made: ITEMS, at_us: 0, count: 0, latest: None };
        learner.apply(Body::SlotCreated { definition: Arc::new(definition), why: ChangeReason::default() });
        learner
    }

    fn apply(&mut self, body: Body) {
        self.state.apply(&Event { at_us: self.at_us, body });
    }

    fn change(&mut self, change: Change) {
        let body = plan(&self.state, &self.slot, change, &ChangeReason::default()).unwrap().unwrap();
        self.apply(body);
    }
}

fn arm_id(number: usize) -> ArmId {
    ArmId::parse("arm_id", &format!("item-{number}")).unwrap()
}

impl BatchLearner for EngineLearner {
    fn choose(&mut self) -> usize {
        self.count += 1;
        let view = self.state.slot(self.slot.as_str()).unwrap().view();
        let random = hash("items", &[&self.count.to_be_bytes()]);
        let options = DecideOptions::new(DecisionId::new(view.number, self.at_us, random.other_word()), random.word());
        let decided = Arc::new(decide(&view, Request::new(self.slot.clone()), options).decided);
        self.apply(Body::Decided(Arc::clone(&decided)));
        let item = self.arms.iter().position(|arm| *arm == decided.chosen[0].arm).unwrap();
        self.latest = Some(decided);
        item
    }

    fn reward(&mut self, _: usize, rewarded: bool) {
        let decided = self.latest.take().unwrap();
        if rewarded {
            self.apply(Body::Rewarded(Box::new(RewardEvent {
                slot: self.slot.clone(),
                event_id: format!("click-{}", self.count),
                decision: Some(decided.id),
                subject: Subject::default(),
                arm: None,
                kind: "click".into(),
                value: None,
                time_us: self.at_us,
                reverses: None,
            })));
        }
    }

    fn end_batch(&mut self) {
        self.at_us += 2 * SECOND_US;
        // Time passes with an event, and closes the decisions of the batch.
        let (slot, why) = (self.slot.clone(), ChangeReason::default());
        self.apply(Body::AvailabilitySet { slot, available: Vec::new(), why });
    }

    fn replace(&mut self, item: usize) {
        let arm = arm_id(self.made);
        self.made += 1;
        let retired = std::mem::replace(&mut self.arms[item], arm.clone());
        self.change(Change::RemoveArms(vec![retired]));
        self.change(Change::UpsertArms(vec![Arm::new(arm)]));
    }
}

/// Asserts that the reference's mean is within a tenth of the published figure. Runs differ by 5 to 6 % of their mean, so
/// the mean of four has an error of 3 %. The bias of up to 6 % (see above) leaves one standard error, so it is the fixed
/// seeds that make this no matter of chance.
#[track_caller]
fn assert_reference_near(delay: u32, published: f64) {
    let run = |run: u64| {
        let seed = 1_000 * u64::from(delay) + run;
        regret(&mut Reference::new(seed), STEPS, delay, seed)
    };
    let lost: Vec<f64> = (0..runs(4)).map(run).collect();
    let (mean, error) = mean_and_error(&lost);
    println!("δ = {delay}: regret {mean:.0} ± {error:.0} of {} runs, published {published:.0}", lost.len());
    assert!((mean / published - 1.0).abs() < 0.1, "δ = {delay}: {mean:.0} ± {error:.0} for {published}");
}

#[test]
fn the_reference_loses_what_the_table_says_without_delay() {
    assert_reference_near(1, 9_105.0);
}

#[test]
fn the_reference_loses_what_the_table_says_at_a_delay_of_ten() {
    assert_reference_near(10, 9_049.0);
}

#[test]
fn the_reference_loses_what_the_table_says_at_a_delay_of_thirty_two() {
    assert_reference_near(32, 9_451.0);
}

#[test]
fn the_reference_loses_what_the_table_says_at_a_delay_of_a_hundred() {
    assert_reference_near(100, 11_550.0);
}

/// Steps of a run through the engine.
const ENGINE_STEPS: u32 = 20_000;

/// Returns the mean regret of the engine, and the mean of its differences from the reference with their error. Both play
/// the same items.
fn engine_against_reference(delay: u32) -> (f64, f64, f64) {
    let run = |seed: u64| {
        let engine = regret(&mut EngineLearner::new(), ENGINE_STEPS, delay, seed);
        (engine, engine - regret(&mut Reference::new(seed), ENGINE_STEPS, delay, seed))
    };
    let (engine, more): (Vec<f64>, Vec<f64>) = (0..runs(3)).map(run).unzip();
    let ((engine, _), (more, error)) = (mean_and_error(&engine), mean_and_error(&more));
    println!("δ = {delay}: the engine loses {engine:.0}, {more:+.0} ± {error:.0} more than the reference");
    (engine, more, error)
}

/// The engine loses what the reference loses, within four standard errors of the paired difference, and a tenth.
#[test]
fn the_engine_loses_what_the_reference_loses_and_more_with_delay() {
    let mut lost = Vec::new();
    for delay in [1, 1_000] {
        let (engine, more, error) = engine_against_reference(delay);
        assert!(more.abs() < 4.0 * error + 0.1 * engine, "δ = {delay}: {engine} {more} ± {error}");
        lost.push(engine);
    }
    assert!(lost[1] > 1.5 * lost[0], "{lost:?}");
}
