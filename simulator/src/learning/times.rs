//! Cost of a decision and of an update, for each model and number of features, without a service around them.
//!
//! A decision is [`Learner::scores`] and [`Ranking::draw`] of one position by Thompson sampling. An update is
//! [`Learner::observe`] of one reward with its rows. Every learner is warmed up first by rewards of all arms, so that
//! each posterior has all its dimensions. The clock moves by a second with each reward, so that fading has its part.
//!
//! Invariants:
//!
//! * There is one thread.
//! * Rewards and decisions are the same every time. Only the stopwatch's readings differ, so none of them is in the
//!   losses' report.
//!
//! Deliberately not here: opposed arms, of which there are never more than two, and the cost of journal and transport.

use std::hint::black_box;

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde::Serialize;
use slotwise::bandit::{
    Candidates, EncodedRows, Expansion, Exploration, Features, Learner, LinearSpec, Link, ModelSpec, Observation,
    Policy, Ranking, RowFeatures, Scoring, Sharing, SlotTraits, Value,
};
use slotwise::cli::table::fitted;

use crate::clock::RunStopwatch;

/// Number of features that are attributes of the arm if arms share a posterior.
const ATTRIBUTES: usize = 4;
/// Time between two observations, µs.
const STEP_US: i64 = 1_000_000;
/// The default half-life of a slot, µs.
const HALF_LIFE_US: i64 = 14 * 86_400 * STEP_US;
/// Weight of an observation so small that no model gains on another by it.
const SLIVER: f64 = 1e-6;

/// The sizes to time, and the number of calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimingPlan {
    /// Numbers of encoded features, the constant 1 included. Each is at least 8.
    pub dimensions: Vec<usize>,
    /// Candidates of each decision, at least 3.
    pub arms: u32,
    /// Observations before anything is timed.
    pub warm_up: usize,
    /// Calls whose mean is one reading of the stopwatch, at least 1.
    pub calls: usize,
    /// Readings whose median counts, at least 1.
    pub repetitions: usize,
}

impl Default for TimingPlan {
    /// Returns a plan of twenty arms, 16 to 145 dimensions, and 5 times 200 calls.
    fn default() -> Self {
        Self { dimensions: vec![16, 32, 64, 145], arms: 20, warm_up: 3_000, calls: 200, repetitions: 5 }
    }
}

/// Times of a model for one number of features.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Time {
    /// The model.
    pub model: &'static str,
    /// Number of encoded features, the constant 1 included.
    pub dimensions: usize,
    /// Largest dimension of the posteriors that decide, or 0 without features.
    pub dimensions_of_model: u32,
    /// Number of models whose scores make a decision.
    pub deciding: usize,
    /// Time of one decision, µs.
    pub decision_us: f64,
    /// Time of one update, µs.
    pub update_us: f64,
}

/// A learner to time.
struct Contender {
    name: &'static str,
    spec: ModelSpec,
    /// True if the arms have attributes.
    attributes: bool,
    /// Weight of each reward as an observation.
    weight: f64,
}

fn contenders() -> Vec<Contender> {
    let one = |name, spec| Contender { name, spec, attributes: false, weight: 1.0 };
    let linear =
        |link, expansion| ModelSpec::Linear(LinearSpec { link: Some(link), expansion, ..LinearSpec::default() });
    let shared = LinearSpec { sharing: Some(Sharing::Shared), ..LinearSpec::default() };
    vec![
        one("beta_bernoulli", ModelSpec::beta_bernoulli(None, None)),
        one("normal_inverse_gamma", ModelSpec::normal_inverse_gamma(None, None, None, None)),
        one("linear, identity", linear(Link::Identity, Expansion::None)),
        one("linear, logit", linear(Link::Logit, Expansion::None)),
        one("interactions", linear(Link::Logit, Expansion::Interactions)),
        one("fourier", linear(Link::Logit, Expansion::Fourier)),
        Contender { attributes: true, ..one("shared", ModelSpec::Linear(shared)) },
        one("portfolio", ModelSpec::default()),
        // Before there is evidence each of the portfolio's models decides. It costs more only while a challenger
        // learns.
        Contender { weight: SLIVER, ..one("portfolio, undecided", ModelSpec::default()) },
    ]
}

/// Times every model for every number of features. `done` is called with each result.
pub fn measure(plan: &TimingPlan, mut done: impl FnMut(&Time)) -> Vec<Time> {
    let mut times = Vec::new();
    for contender in contenders() {
        for &dimensions in &plan.dimensions {
            let time = contender.time(dimensions, plan);
            done(&time);
            times.push(time);
        }
    }
    times
}

impl Contender {
    fn time(&self, dimensions: usize, plan: &TimingPlan) -> Time {
        let mut traffic = TimedTraffic::new(self, dimensions, plan.arms);
        let mut learner = Learner::new(self.spec, SlotTraits { unit_rewards: true, large_catalogue: false });
        for _ in 0..plan.warm_up {
            let (observation, rows) = traffic.reward(&mut learner);
            learner.observe(observation, &rows);
        }
        let (dimensions_of_model, deciding) = (learner.dimensions(), learner.weights().count());

        let contexts: Vec<Features> = (0..plan.calls).map(|_| traffic.context()).collect();
        let arms: Vec<Option<u32>> = (0..plan.arms).map(Some).collect();
        let attributes: Vec<&Features> = traffic.attributes.iter().collect();
        let attributes = (!attributes.is_empty()).then_some(attributes.as_slice());
        let mut rng = StdRng::seed_from_u64(0);
        let decision_us = median_us(plan, |call| {
            let context = &contexts[call % contexts.len()];
            let scoring = Scoring::new(1.0, 1, call as u64);
            let mixture = learner.scores(Candidates { arms: &arms, context, own: None, attributes }, scoring);
            let exploration = Exploration { floor: 0.0, ceiling: 1.0 };
            let places =
                mixture.map(|m| Ranking::new(Policy::ThompsonSampling, exploration).draw(&m, 1, &mut rng, None));
            let _ = black_box(places);
        });

        let rewards: Vec<(Observation, EncodedRows)> =
            (0..plan.calls * plan.repetitions).map(|_| traffic.reward(&mut learner)).collect();
        let update_us = median_us(plan, |call| {
            let (observation, rows) = &rewards[call];
            let _ = black_box(learner.observe(*observation, rows));
        });
        Time { model: self.name, dimensions, dimensions_of_model, deciding, decision_us, update_us }
    }
}

/// Returns the median of the readings, µs. Each is the mean over the plan's calls.
fn median_us(plan: &TimingPlan, mut call: impl FnMut(usize)) -> f64 {
    let mut readings: Vec<f64> = (0..plan.repetitions)
        .map(|repetition| {
            let stopwatch = RunStopwatch::start();
            (0..plan.calls).for_each(|i| call(repetition * plan.calls + i));
            stopwatch.seconds() * 1e6 / plan.calls as f64
        })
        .collect();
    readings.sort_by(f64::total_cmp);
    readings[readings.len() / 2]
}

/// Contexts and rewards: numbers, one of which determines each arm's reward rate.
struct TimedTraffic {
    rng: StdRng,
    numbers: usize,
    /// Attributes of each arm, or empty.
    attributes: Vec<Features>,
    arms: u32,
    weight: f64,
    /// Number of rewards so far.
    rewards: u32,
}

impl TimedTraffic {
    fn new(contender: &Contender, dimensions: usize, arms: u32) -> Self {
        let mut rng = StdRng::seed_from_u64(dimensions as u64);
        let (own, of) = if contender.attributes { (ATTRIBUTES, arms) } else { (0, 0) };
        let attributes = (0..of).map(|_| numbers(own, &mut rng)).collect();
        Self { rng, numbers: dimensions - 1 - own, attributes, arms, weight: contender.weight, rewards: 0 }
    }

    fn context(&mut self) -> Features {
        numbers(self.numbers, &mut self.rng)
    }

    /// Returns the next reward, of each arm in turn, at rows that the learner has seen.
    fn reward(&mut self, learner: &mut Learner) -> (Observation, EncodedRows) {
        let context = self.context();
        let arm = self.rewards % self.arms;
        self.rewards += 1;
        let rate = match context.values().nth(arm as usize % self.numbers) {
            Some(Value::Number(number)) => 1.0 / (1.0 + (-2.0 * number).exp()),
            _ => 0.5,
        };
        let y = f64::from(u8::from(self.rng.random_bool(rate)));
        let parts = RowFeatures { context: &context, candidate: None, arm: self.attributes.get(arm as usize) };
        let rows = learner.meet(&[parts]).pop().unwrap_or_default();
        let at_us = i64::from(self.rewards) * STEP_US;
        (
            Observation {
                arm,
                reward: y,
                weight: self.weight,
                at_us,
                half_life_us: HALF_LIFE_US,
                decisions_since_shown: 0,
                silent: false,
            },
            rows,
        )
    }
}

/// Returns `count` numbers from −1 to 1, by name.
fn numbers(count: usize, rng: &mut StdRng) -> Features {
    (0..count).map(|i| (format!("n{i:03}"), Value::Number(rng.random_range(-1.0..1.0)))).collect()
}

const HEADER: [&str; 6] = ["model", "d", "d of the\nmodel", "models\ndeciding", "µs per\ndecision", "µs per\nupdate"];

/// Returns the times as a table with a row for each. No two tables are the same.
pub fn text(plan: &TimingPlan, times: &[Time]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(HEADER);
    for time in times {
        let Time { model, dimensions, dimensions_of_model, deciding, decision_us, update_us } = time;
        table.add_row([
            (*model).to_owned(),
            dimensions.to_string(),
            dimensions_of_model.to_string(),
            deciding.to_string(),
            format!("{decision_us:.1}"),
            format!("{update_us:.1}"),
        ]);
    }
    for at in 1..HEADER.len() {
        if let Some(column) = table.column_mut(at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let TimingPlan { arms, warm_up, calls, repetitions, .. } = plan;
    format!(
        "{arms} arms, after {warm_up} rewards, the median of {repetitions} times {calls} calls\n{}",
        fitted(table, &[2, 3, 1])
    )
}
