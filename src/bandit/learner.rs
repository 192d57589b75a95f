//! All that a slot has learned.

use serde::{Deserialize, Serialize};

use super::{
    features::Features,
    model::{Model, ModelSpec, Scores},
};
use crate::stats::{Beta, NormalInverseGamma, SparseVector};

/// Observations fade in steps of at least this part of their weight.
const FADE_STEP: f64 = 1e-3;

/// A step costs O(d³) per arm: beyond this many dimensions steps grow with that cost, up to [`FADE_STEP_MAX`].
const FADE_DIM: f64 = 64.0;

/// No step is longer: weights must not jump.
const FADE_STEP_MAX: f64 = 0.1;

/// What is left of an observation is never taken for less: a posterior divides by it.
const RETAINED_MIN: f64 = 1e-12;

/// One row per model of a learner, in the learner's order; empty for a model without features. *Persisted.*
pub type Rows = Vec<SparseVector>;

/// What is known of an arm whatever the context. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ArmSummary {
    /// How often it was observed.
    pub shown: u64,
    /// The sum of its rewards.
    pub reward_sum: f64,
    /// Its mean reward, for rewards in [0, 1].
    pub rate: Beta,
    /// Its mean reward, for any reward.
    pub value: NormalInverseGamma,
    /// When its observations last faded, microseconds since 1970.
    faded_at_us: i64,
    /// The product of all fading so far, as a logarithm.
    ln_retained: f64,
}

impl Default for ArmSummary {
    /// An arm that was never shown: flat over rates, weak over values.
    fn default() -> Self {
        Self {
            shown: 0,
            reward_sum: 0.0,
            rate: Beta::new(1.0, 1.0),
            value: NormalInverseGamma::new(0.0, 0.1, 1.0, 0.25),
            faded_at_us: 0,
            ln_retained: 0.0,
        }
    }
}

impl ArmSummary {
    /// The weight of its observations that fading has left.
    fn weight(&self) -> f64 {
        self.rate.a() + self.rate.b() - 2.0
    }
}

/// Every model that a slot was ever given, and a summary per arm. *Persisted.*
///
/// All models learn from every event, whichever decides: so a change of model, and
/// the change back, lose nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Learner {
    models: Vec<(ModelSpec, Model)>,
    active: usize,
    arms: Vec<ArmSummary>,
    /// The weight of all arms' observations.
    weight: f64,
    /// Whose observations fade next, though it is not being shown.
    cursor: u32,
}

impl Learner {
    /// A learner with one model, at its prior.
    pub fn new(spec: ModelSpec) -> Self {
        Self { models: vec![(spec, Model::new(spec))], active: 0, arms: Vec::new(), weight: 0.0, cursor: 0 }
    }

    /// Lets the model of this specification decide; one that the learner does not have yet starts from its prior.
    pub fn activate(&mut self, spec: ModelSpec) {
        self.active = self.models.iter().position(|(have, _)| *have == spec).unwrap_or_else(|| {
            self.models.push((spec, Model::new(spec)));
            self.models.len() - 1
        });
    }

    /// The specifications of all models.
    pub fn specs(&self) -> impl Iterator<Item = ModelSpec> + '_ {
        self.models.iter().map(|(spec, _)| *spec)
    }

    /// The model that decides.
    pub fn model(&self) -> &Model {
        &self.models[self.active].1
    }

    /// Its specification.
    pub fn spec(&self) -> ModelSpec {
        self.models[self.active].0
    }

    /// What is known of an arm whatever the context; none: it was never shown.
    pub fn summary(&self, arm: u32) -> Option<&ArmSummary> {
        self.arms.get(arm as usize)
    }

    /// Scores of the candidates by the model that decides; `candidates` gives the features of each, where any has some.
    pub fn scores(
        &self,
        arms: &[Option<u32>],
        context: &Features,
        candidates: Option<&[&Features]>,
        width: f64,
    ) -> Scores {
        let rows = match self.model() {
            Model::Linear(linear) => match candidates {
                None => vec![linear.encoder().encode_new(context, None)],
                Some(each) => each.iter().map(|own| linear.encoder().encode_new(context, Some(own))).collect(),
            },
            Model::BetaBernoulli { .. } | Model::NormalInverseGamma { .. } => Vec::new(),
        };
        self.model().scores(arms, &rows, width)
    }

    /// Scores by the arms' mean rewards, context left aside: for when the model's cannot be used.
    pub fn summary_scores(&self, arms: &[Option<u32>], width: f64) -> Scores {
        let prior = ArmSummary::default().value;
        let posteriors = arms.iter().map(|arm| arm.and_then(|a| self.summary(a)).map_or(prior, |s| s.value)).collect();
        Model::NormalInverseGamma { prior, arms: posteriors }.scores(
            &(0..arms.len()).map(|i| u32::try_from(i).ok()).collect::<Vec<_>>(),
            &[],
            width,
        )
    }

    /// Meets the features of a decision, before its arms are observed.
    pub fn meet<'a>(&mut self, context: &Features, candidates: &(impl Iterator<Item = &'a Features> + Clone)) {
        for (_, model) in &mut self.models {
            if let Model::Linear(linear) = model {
                linear.meet(context, candidates.clone());
            }
        }
    }

    /// The rows of a context that was met, with a candidate's own features.
    pub fn rows(&self, context: &Features, candidate: Option<&Features>) -> Rows {
        let row = |(_, model): &(ModelSpec, Model)| match model {
            Model::Linear(linear) => linear.encoder().encode_met(context, candidate),
            Model::BetaBernoulli { .. } | Model::NormalInverseGamma { .. } => SparseVector::default(),
        };
        self.models.iter().map(row).collect()
    }

    /// The arm was shown at `rows`; `y` is the reward of silence. Returns the fading so far, as a
    /// logarithm, which [`revise`](Self::revise) wants back.
    pub fn observe(&mut self, arm: u32, rows: &[SparseVector], y: f64, at_us: i64, half_life_us: i64) -> f64 {
        while self.arms.len() <= arm as usize {
            self.arms.push(ArmSummary { faded_at_us: at_us, ..ArmSummary::default() });
        }
        self.fade(arm, at_us, half_life_us);
        // And one more in turn, so that arms nobody shows fade too.
        self.cursor = (self.cursor + 1) % u32::try_from(self.arms.len()).unwrap_or(u32::MAX);
        self.fade(self.cursor, at_us, half_life_us);
        for ((_, model), x) in self.models.iter_mut().zip(rows) {
            model.observe(arm, x, y);
        }
        self.weight += 1.0;
        let summary = &mut self.arms[arm as usize];
        summary.shown += 1;
        summary.reward_sum += y;
        summary.rate.observe(y.clamp(0.0, 1.0));
        summary.value.observe(y);
        summary.ln_retained
    }

    /// The reward of an observation at `rows` changed by `delta` from `y`; `ln_retained` is what
    /// [`observe`](Self::observe) returned. A model that came later was not told of the
    /// observation, has no row for it, and is not told of its revision.
    pub fn revise(&mut self, arm: u32, rows: &[SparseVector], y: f64, delta: f64, ln_retained: f64) {
        let Some(summary) = self.arms.get_mut(arm as usize) else { return };
        let weight = (summary.ln_retained - ln_retained).exp();
        summary.reward_sum += delta;
        summary.rate.revise(weight, (y + delta).clamp(0.0, 1.0) - y.clamp(0.0, 1.0));
        summary.value.revise(weight, y, delta);
        for ((_, model), x) in self.models.iter_mut().zip(rows) {
            model.revise(arm, x, weight, y, delta);
        }
    }

    /// The most dimensions that any of its models uses.
    fn dim(&self) -> f64 {
        let dim = |(_, model): &(ModelSpec, Model)| match model {
            Model::Linear(linear) => linear.encoder().dim(),
            Model::BetaBernoulli { .. } | Model::NormalInverseGamma { .. } => 1,
        };
        f64::from(self.models.iter().map(dim).max().unwrap_or(1))
    }

    /// Lets the arm's observations fade to what the half-life leaves of them at `at_us`, once that is worth a step.
    fn fade(&mut self, arm: u32, at_us: i64, half_life_us: i64) {
        let dim = self.dim();
        let step = (FADE_STEP * (dim / FADE_DIM).powi(3)).clamp(FADE_STEP, FADE_STEP_MAX);
        let summary = &mut self.arms[arm as usize];
        let half_lives = (at_us - summary.faded_at_us) as f64 / half_life_us as f64;
        let retained = (-half_lives).exp2().max(RETAINED_MIN);
        if retained > 1.0 - step {
            return;
        }
        let weight = summary.weight();
        summary.faded_at_us = at_us;
        summary.ln_retained += retained.ln();
        summary.rate.forget(retained);
        summary.value.forget(retained);
        if weight > 0.0 {
            let portion = (weight / self.weight).min(1.0);
            for (_, model) in &mut self.models {
                model.forget(arm, retained, portion);
            }
            self.weight -= weight * (1.0 - retained);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bandit::Value;

    const HOUR_US: i64 = 3_600_000_000;

    fn context(word: &str) -> Features {
        [("w".to_owned(), Value::Text(word.to_owned()))].into()
    }

    fn show(learner: &mut Learner, arm: u32, word: &str, y: f64, at_us: i64) {
        let context = context(word);
        learner.meet(&context, &std::iter::empty());
        let rows = learner.rows(&context, None);
        let mark = learner.observe(arm, &rows, 0.0, at_us, HOUR_US);
        learner.revise(arm, &rows, 0.0, y, mark);
    }

    #[test]
    fn a_model_that_was_set_aside_goes_on_learning() {
        let beta = ModelSpec::BetaBernoulli { prior_a: 1.0, prior_b: 1.0 };
        let mut switched = Learner::new(beta);
        let mut steady = Learner::new(beta);
        for i in 0..100_u32 {
            if i == 30 {
                switched.activate(ModelSpec::default());
            }
            if i == 70 {
                switched.activate(beta);
            }
            for learner in [&mut switched, &mut steady] {
                show(learner, i % 3, "a", f64::from(i % 2), 0);
            }
        }
        assert_eq!(switched.spec(), beta);
        assert_eq!(switched.model(), steady.model());
        assert_eq!(switched.specs().count(), 2);
    }

    #[test]
    fn an_arm_that_nobody_shows_falls_back_to_its_prior() {
        let mut learner = Learner::new(ModelSpec::default());
        (0..200).for_each(|_| show(&mut learner, 0, "a", 1.0, 0));
        let std = |learner: &Learner| learner.scores(&[Some(0)], &context("a"), None, 1.0).std(0);
        let (before, fresh) = (std(&learner), learner.scores(&[None], &context("a"), None, 1.0).std(0));
        for hour in 1..60 {
            show(&mut learner, 1, "a", 0.0, hour * HOUR_US);
        }
        let after = std(&learner);
        assert!(after > 5.0 * before, "{before} {after} {fresh}");
        assert!(learner.summary(0).unwrap().rate.a() < 1.0 + 1e-9, "what was seen 59 half-lives ago is gone");
        assert_eq!(learner.summary(0).unwrap().shown, 200, "but its count stays");
    }

    #[test]
    fn a_reward_that_comes_after_fading_counts_by_what_is_left() {
        let mut learner = Learner::new(ModelSpec::BetaBernoulli { prior_a: 1.0, prior_b: 1.0 });
        learner.meet(&Features::new(), &std::iter::empty());
        let rows = learner.rows(&Features::new(), None);
        let mark = learner.observe(0, &rows, 0.0, 0, HOUR_US);
        learner.observe(0, &rows, 0.0, HOUR_US, HOUR_US);
        learner.revise(0, &rows, 0.0, 1.0, mark);
        // The first observation has half its weight: Beta(1 + ½, 1 + 1).
        assert!((learner.scores(&[Some(0)], &Features::new(), None, 1.0).mean(0) - 1.5 / 3.5).abs() < 1e-12);
    }
}
