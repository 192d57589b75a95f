//! All that a slot has learned.

mod contributions;

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize};
use smallvec::{SmallVec, smallvec};

use super::{
    encoder::{EncodedRow, RowFeatures},
    feature_encoder::{EncodedRows, FeatureEncoder, find_or_add_encoder},
    features::Features,
    linear::{Scoring, Sharing},
    mixture::{Mixture, MixturePart},
    model::{Model, RewardRevision},
    portfolio::{EncodedObservation, ObservationReceipt, ObservationRevision, Portfolio},
    spec::{ModelSpec, SlotTraits},
    summary::ArmSummary,
};
use crate::stats::{SparseVector, WinnerCache, math};

/// Observations fade in steps of at least this part of their weight.
const FADE_STEP: f64 = 1e-3;

/// A step costs O(d³) per arm: beyond this many dimensions steps grow with that cost, up to [`FADE_STEP_MAX`].
const FADE_DIM: f64 = 64.0;

/// No step is longer: weights must not jump.
const FADE_STEP_MAX: f64 = 0.1;

/// What is left of an observation is never taken for less: a posterior divides by it.
const RETAINED_MIN: f64 = 1e-12;

/// Candidates as a learner sees them: one entry per candidate in each list that there is.
#[derive(Debug, Clone, Copy)]
pub struct Candidates<'a> {
    /// The arms' indices; none: it was never shown.
    pub arms: &'a [Option<u32>],
    /// The request's features.
    pub context: &'a Features,
    /// The candidates' own features, where any has some.
    pub own: Option<&'a [&'a Features]>,
    /// The arms' attributes, where any has some.
    pub attributes: Option<&'a [&'a Features]>,
}

impl<'a> Candidates<'a> {
    fn parts(&self, i: usize) -> RowFeatures<'a> {
        let of = |list: Option<&'a [&'a Features]>| list.and_then(|list| list.get(i).copied());
        RowFeatures { context: self.context, candidate: of(self.own), arm: of(self.attributes) }
    }
}

/// A reward to learn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// The arm that was shown.
    pub arm: u32,
    /// Its reward.
    pub reward: f64,
    /// The probability that what was shown was seen, above 0, in units of the first position's.
    pub weight: f64,
    /// When it is learned, microseconds since 1970.
    pub at_us: i64,
    /// The slot's half-life, microseconds.
    pub half_life_us: i64,
    /// Decisions that were made since the arm was shown.
    pub decisions_since_shown: u64,
}

/// Every model that a slot was ever given, and a summary per arm. *Persisted.*
///
/// All models learn from every event, whichever decide: so a change of model, and
/// the change back, lose nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Learner {
    spec: ModelSpec,
    traits: SlotTraits,
    feature_encoders: Vec<FeatureEncoder>,
    portfolio: Portfolio,
    arms: Vec<ArmSummary>,
    /// The weight of all arms' observations.
    weight: f64,
    /// Whose observations fade next, though it is not being shown.
    cursor: u32,
    /// When it last learned, microseconds since 1970.
    learned_at_us: i64,
}

impl Learner {
    /// A learner at its prior.
    pub fn new(spec: ModelSpec, traits: SlotTraits) -> Self {
        let mut learner = Self {
            spec,
            traits,
            feature_encoders: Vec::new(),
            portfolio: Portfolio::new(),
            arms: Vec::new(),
            weight: 0.0,
            cursor: 0,
            learned_at_us: 0,
        };
        learner.decide_by(spec, traits);
        learner
    }

    /// Lets this model decide; what the learner does not have yet of it starts from its prior.
    pub fn decide_by(&mut self, spec: ModelSpec, traits: SlotTraits) {
        (self.spec, self.traits) = (spec, traits);
        let feature_encoders = &mut self.feature_encoders;
        self.portfolio
            .decide_by(&spec, traits, |design| find_or_add_encoder(feature_encoders, design, spec.dimension_budget()));
    }

    /// The model that decides, and for what traits.
    pub fn decides(&self) -> (ModelSpec, SlotTraits) {
        (self.spec, self.traits)
    }

    /// How many models would learn side by side if this one decided.
    pub fn models_with(&self, spec: &ModelSpec, traits: SlotTraits) -> usize {
        self.portfolio.count_with(spec, traits)
    }

    /// Brings back what snapshots leave out.
    pub fn rebuild(&mut self) {
        self.portfolio.rebuild(&self.feature_encoders);
    }

    /// What is known of an arm whatever the context; none: it was never shown.
    pub fn summary(&self, arm: u32) -> Option<&ArmSummary> {
        self.arms.get(arm as usize)
    }

    /// How often the world was found to have changed.
    pub fn takeovers(&self) -> u32 {
        self.portfolio.takeovers()
    }

    /// The models that decide with the weight of each, heaviest first.
    pub fn weights(&self) -> impl Iterator<Item = (&'static str, f64)> + '_ {
        let deciders = self.portfolio.deciders(self.arms.len());
        let total: f64 = deciders.iter().map(|d| d.0).sum();
        deciders.into_iter().map(move |(weight, member, _)| (member.spec.name(), weight / total))
    }

    /// Dimensions that the models in use take at most; 0 without features.
    pub fn dimensions(&self) -> u32 {
        let dim = |(_, _, model): &(f64, _, &Model)| match model {
            Model::Linear(linear) => linear.dim(),
            Model::BetaBernoulli { .. } | Model::NormalInverseGamma { .. } => 0,
        };
        self.portfolio.deciders(self.arms.len()).iter().map(dim).max().unwrap_or(0)
    }

    /// Scores of the candidates by the models that decide, within their budget; none: no model's can be used.
    ///
    /// The heaviest models come first; one that does not fit into what is left of the budget is left out. The cheapest
    /// is asked if no other could be.
    pub fn scores(&self, candidates: Candidates<'_>, scoring: Scoring<'_>) -> Option<Mixture> {
        let n = candidates.arms.len();
        let mut rows: SmallVec<[Option<EncodedRows>; 2]> = smallvec![None; self.feature_encoders.len()];
        let mut left = self.spec.compute_budget().unwrap_or(u64::MAX);
        let deciders = self.portfolio.deciders(self.arms.len());
        let cheapest = deciders.iter().map(|(_, _, model)| cost(model, n)).min().unwrap_or(0);
        let mut parts = Vec::with_capacity(deciders.len());
        for (weight, member, model) in deciders {
            let Some(arms) = applied(model, candidates.arms) else { continue };
            let cost = cost(model, n);
            if cost > left && (cost > cheapest || !parts.is_empty()) {
                continue;
            }
            left = left.saturating_sub(cost);
            let feature_encoder = &self.feature_encoders[member.feature_encoder];
            let expanded: Vec<SparseVector> = if model.has_features() {
                let rows = rows[member.feature_encoder].get_or_insert_with(|| {
                    let one =
                        candidates.own.is_none() && (candidates.attributes.is_none() || !feature_encoder.attributes);
                    let count = if one { 1 } else { n };
                    (0..count)
                        .map(|i| feature_encoder.encoder.encode_new(feature_encoder.parts(candidates.parts(i))))
                        .collect()
                });
                rows.iter().map(|row| model.expand(&feature_encoder.encoder, row)).collect()
            } else {
                Vec::new()
            };
            let scoring = Scoring { compute_budget: self.spec.compute_budget(), ..scoring };
            parts.push(MixturePart {
                weight,
                name: member.spec.name(),
                scores: model.scores(&arms, &expanded, scoring),
            });
        }
        if parts.is_empty() { self.scores_by_first_model(candidates, scoring) } else { Mixture::new(parts) }
    }

    /// By the first model alone, where none of those that decide has anything to say of these candidates.
    fn scores_by_first_model(&self, candidates: Candidates<'_>, scoring: Scoring<'_>) -> Option<Mixture> {
        let member = self.portfolio.members.first()?;
        let feature_encoder = self.feature_encoders.get(member.feature_encoder)?;
        let rows: Vec<SparseVector> = (0..candidates.arms.len())
            .map(|i| {
                member.model.expand(
                    &feature_encoder.encoder,
                    &feature_encoder.encoder.encode_new(feature_encoder.parts(candidates.parts(i))),
                )
            })
            .collect();
        Mixture::single(member.model.scores(candidates.arms, &rows, scoring), member.spec.name())
    }

    /// Scores by the arms' mean rewards, context left aside: for when the models' cannot be used.
    pub fn summary_scores(&self, arms: &[Option<u32>], scoring: Scoring<'_>) -> Option<Mixture> {
        let prior = ArmSummary::default().value;
        let posteriors = arms.iter().map(|arm| arm.and_then(|a| self.summary(a)).map_or(prior, |s| s.value)).collect();
        let arms: Vec<Option<u32>> = (0..arms.len()).map(|i| u32::try_from(i).ok()).collect();
        let model = Model::NormalInverseGamma { prior, arms: posteriors, cache: WinnerCache::default() };
        Mixture::single(model.scores(&arms, &[], scoring), "mean_reward")
    }

    /// Meets the features of what was shown, before it is observed: each arm's parts, one for all where they
    /// are the same. Returns the rows of each.
    pub fn meet(&mut self, shown: &[RowFeatures<'_>]) -> Vec<EncodedRows> {
        for feature_encoder in &mut self.feature_encoders {
            let encoder = Arc::make_mut(&mut feature_encoder.encoder);
            for (i, &parts) in shown.iter().enumerate() {
                let parts = RowFeatures { arm: parts.arm.filter(|_| feature_encoder.attributes), ..parts };
                encoder.learn(parts, i == 0);
            }
        }
        let row = |feature_encoder: &FeatureEncoder, parts: RowFeatures<'_>| {
            feature_encoder.encoder.encode_met(feature_encoder.parts(parts))
        };
        shown.iter().map(|&parts| self.feature_encoders.iter().map(|c| row(c, parts)).collect()).collect()
    }

    /// Whether any of its models looks at the rows of what was shown.
    pub fn has_features(&self) -> bool {
        self.portfolio.members.iter().any(|member| member.model.has_features())
    }

    /// As many rows of nothing, for models that [look at none](Self::has_features).
    pub fn no_rows(&self) -> EncodedRows {
        vec![EncodedRow::default(); self.feature_encoders.len()]
    }

    /// Learns a reward at `rows`. Returns what [`revise`](Self::revise) wants back.
    pub fn observe(&mut self, observation: Observation, rows: &[EncodedRow]) -> ObservationReceipt {
        let Observation { arm, reward: y, weight, at_us, half_life_us, decisions_since_shown: _ } = observation;
        if self.arms.len() <= arm as usize {
            self.arms.resize(arm as usize + 1, ArmSummary::new(at_us));
        }
        self.fade(arm, at_us, half_life_us);
        // And one more in turn, so that arms nobody shows fade too.
        self.cursor = (self.cursor + 1) % u32::try_from(self.arms.len()).unwrap_or(u32::MAX);
        self.fade(self.cursor, at_us, half_life_us);
        let half_lives = (at_us - self.learned_at_us).max(0) as f64 / half_life_us as f64;
        self.learned_at_us = self.learned_at_us.max(at_us);
        let seen = EncodedObservation {
            arm,
            arms: self.arms.len(),
            rows,
            y,
            weight,
            unit: self.traits.unit_rewards,
            decisions_since_shown: observation.decisions_since_shown,
            detect: self.spec.detects_changes(),
            retained: math::exp2(-half_lives),
        };
        let receipt = self.portfolio.observe(&self.feature_encoders, seen);
        self.weight += weight;
        let summary = &mut self.arms[arm as usize];
        summary.observe(y, weight);
        receipt.faded(summary.ln_retained)
    }

    /// The reward of an observation at `rows` changed by `delta` from `y`; `receipt` is what
    /// [`observe`](Self::observe) returned. A model that came later was not told of the
    /// observation and is not told of its revision.
    pub fn revise(&mut self, arm: u32, rows: &[EncodedRow], y: f64, delta: f64, receipt: &ObservationReceipt) {
        let Some(summary) = self.arms.get_mut(arm as usize) else { return };
        let retained = math::exp(summary.ln_retained - receipt.ln_retained);
        summary.revise(RewardRevision { y, delta, weight: receipt.weight, retained });
        let change = ObservationRevision { arms: self.arms.len(), y, delta, receipt, retained };
        self.portfolio.revise(&self.feature_encoders, arm, rows, change);
    }

    /// The most dimensions that any of its models uses.
    fn dim(&self) -> f64 {
        let dim = |model: &Model| match model {
            Model::Linear(linear) => linear.dim(),
            Model::BetaBernoulli { .. } | Model::NormalInverseGamma { .. } => 1,
        };
        f64::from(self.portfolio.members.iter().map(|member| dim(&member.model)).max().unwrap_or(1))
    }

    /// The moment up to which all observations have faded, microseconds since 1970; `None` if there are none.
    pub fn faded_from_us(&self) -> Option<i64> {
        if self.weight > 0.0 { self.arms.iter().map(|arm| arm.faded_at_us).min() } else { None }
    }

    /// What it takes to fade all arms, multiplications.
    pub fn fading_cost(&self) -> f64 {
        let dim = self.dim();
        self.arms.len() as f64 * self.portfolio.members.len() as f64 * (dim * dim * dim)
    }

    /// A copy whose observations, and the evidence of whose models, have faded to what the half-life leaves of them at
    /// `at_us`.
    #[must_use]
    pub fn faded(&self, at_us: i64, half_life_us: i64) -> Self {
        let mut faded = self.clone();
        for arm in 0..u32::try_from(faded.arms.len()).unwrap_or(u32::MAX) {
            faded.fade(arm, at_us, half_life_us);
        }
        let half_lives = (at_us - faded.learned_at_us).max(0) as f64 / half_life_us as f64;
        faded.portfolio.fade(math::exp2(-half_lives));
        faded.learned_at_us = faded.learned_at_us.max(at_us);
        faded
    }

    /// Lets the arm's observations fade to what the half-life leaves of them at `at_us`, once that is worth a step.
    fn fade(&mut self, arm: u32, at_us: i64, half_life_us: i64) {
        let dim = self.dim();
        let step = (FADE_STEP * math::power(dim / FADE_DIM, 3)).clamp(FADE_STEP, FADE_STEP_MAX);
        let summary = &mut self.arms[arm as usize];
        let half_lives = (at_us - summary.faded_at_us) as f64 / half_life_us as f64;
        let retained = math::exp2(-half_lives).max(RETAINED_MIN);
        if retained > 1.0 - step {
            return;
        }
        let weight = summary.weight();
        summary.forget(at_us, retained);
        // An arm that was never learned of may still stand for a posterior that it shares with one that was.
        let portion = if weight > 0.0 { (weight / self.weight).min(1.0) } else { 0.0 };
        self.portfolio.forget(arm, retained, portion);
        self.weight -= weight * (1.0 - retained);
    }
}

/// The arms as a model takes them; none: it has nothing to say of these.
fn applied<'a>(model: &Model, arms: &'a [Option<u32>]) -> Option<Cow<'a, [Option<u32>]>> {
    let opposed = matches!(model, Model::Linear(linear) if linear.design().sharing == Sharing::Opposed);
    match arms {
        _ if !opposed => Some(Cow::Borrowed(arms)),
        // The other of two arms, which was never shown, will be the next to be learned of.
        [Some(0), None | Some(1)] => Some(Cow::Borrowed(&[Some(0), Some(1)])),
        [None | Some(1), Some(0)] => Some(Cow::Borrowed(&[Some(1), Some(0)])),
        _ => None,
    }
}

/// What a model's scores of so many candidates cost, multiplications.
fn cost(model: &Model, candidates: usize) -> u64 {
    match model {
        Model::Linear(linear) => linear.cost(candidates),
        Model::BetaBernoulli { .. } | Model::NormalInverseGamma { .. } => candidates as u64,
    }
}

#[cfg(test)]
pub(in crate::bandit) mod tests;
