//! Learner: everything that a slot has learned.

mod consistent;
mod contributions;
mod fading;
mod notes;

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize};
use smallvec::{SmallVec, smallvec};

use super::{
    encoder::{EncodedRow, RowFeatures},
    feature_encoder::{EncodedRows, FeatureEncoder, find_or_add_encoder},
    features::Features,
    linear::{Linear, PooledRewards, Scoring, Sharing},
    mixture::{Mixture, MixturePart},
    model::{Model, RewardRevision},
    portfolio::{EncodedObservation, ObservationReceipt, ObservationRevision, Portfolio},
    spec::{ModelSpec, SlotTraits},
    summary::ArmSummary,
};
use crate::stats::{ArmMean, PooledPrior, SparseVector, WinnerCache, math};

/// Number of arms per observation since the last estimate of their priors, so that estimating costs little.
const POOL_PART: usize = 16;
/// Weight of all observations per observation since then: a five-hundredth more hardly moves the estimates.
const POOL_WEIGHT: f64 = 512.0;

/// Candidates of a decision. Each list has one entry per candidate.
#[derive(Debug, Clone, Copy)]
pub struct Candidates<'a> {
    /// Indices of the arms, or `None` for an arm that was never shown.
    pub arms: &'a [Option<u32>],
    /// Features of the request.
    pub context: &'a Features,
    /// Candidates' own features, or `None` if no candidate has any.
    pub own: Option<&'a [&'a Features]>,
    /// Attributes of the arms, or `None` if no arm has any.
    pub attributes: Option<&'a [&'a Features]>,
}

impl<'a> Candidates<'a> {
    fn parts(&self, i: usize) -> RowFeatures<'a> {
        let of = |list: Option<&'a [&'a Features]>| list.and_then(|list| list.get(i).copied());
        RowFeatures { context: self.context, candidate: of(self.own), arm: of(self.attributes) }
    }
}

/// Reward of a shown arm that a learner learns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// Arm that was shown.
    pub arm: u32,
    /// Reward of the arm.
    pub reward: f64,
    /// Probability that the arm was seen, above 0, in units of the first position's.
    pub weight: f64,
    /// Time of learning, microseconds since 1970.
    pub at_us: i64,
    /// Half-life of the slot, microseconds.
    pub half_life_us: i64,
    /// Number of decisions that were made since the arm was shown.
    pub decisions_since_shown: u64,
    /// Says that the arm got no event, so the reward is that of silence.
    pub silent: bool,
}

/// Learner of a slot: every model that the slot was ever given, and a summary per arm. *Persisted.*
///
/// All models learn from every event, whichever decide. So neither a change of the model nor the change back loses
/// anything.
///
/// # Examples
///
/// ```
/// use slotwise::bandit::{
///     Candidates, Features, Learner, ModelSpec, Observation, RowFeatures, Scoring, SlotTraits,
/// };
///
/// let traits = SlotTraits { unit_rewards: true, large_catalogue: false };
/// let mut learner = Learner::new(ModelSpec::beta_bernoulli(None, None), traits);
/// let context = Features::new();
/// for (arm, reward) in [(0, 1.0), (0, 1.0), (1, 0.0), (1, 1.0)] {
///     let rows = learner.meet(&[RowFeatures::from_context(&context)]).remove(0);
///     let observation = Observation {
///         arm,
///         reward,
///         weight: 1.0,
///         at_us: 0,
///         half_life_us: 1_000_000,
///         decisions_since_shown: 0,
///         silent: false,
///     };
///     let receipt = learner.observe(observation, &rows);
///     if arm == 1 && reward > 0.0 {
///         // The purchase is refunded.
///         learner.revise(arm, &rows, reward, -1.0, &receipt);
///     }
/// }
/// let candidates = Candidates { arms: &[Some(0), Some(1)], context: &context, own: None, attributes: None };
/// let mixture = learner.scores(candidates, Scoring::new(1.0, 1, 0)).unwrap();
/// // The means are those of Beta(3, 1) and Beta(1, 3).
/// assert!((mixture.mean(0) - 0.75).abs() < 1e-12 && (mixture.mean(1) - 0.25).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Learner {
    spec: ModelSpec,
    traits: SlotTraits,
    feature_encoders: Vec<FeatureEncoder>,
    portfolio: Portfolio,
    arms: Vec<ArmSummary>,
    /// Weight of the observations of all arms.
    weight: f64,
    /// Arm whose observations fade next, whether or not it is shown.
    cursor: u32,
    /// Time of the last observation, microseconds since 1970.
    learned_at_us: i64,
    /// Variance of a reward about its arm's mean, reward², or 0 if nothing is known.
    within: f64,
    /// Number of observations since the arms' priors were estimated.
    since_pooled: u32,
}

impl Learner {
    /// Creates a learner at its prior.
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
            within: 0.0,
            since_pooled: 0,
        };
        learner.decide_by(spec, traits);
        learner
    }

    /// Lets this specification decide. Models that the learner does not have yet start from their priors.
    pub fn decide_by(&mut self, spec: ModelSpec, traits: SlotTraits) {
        (self.spec, self.traits) = (spec, traits);
        let feature_encoders = &mut self.feature_encoders;
        self.portfolio
            .decide_by(&spec, traits, |design| find_or_add_encoder(feature_encoders, design, spec.dimension_budget()));
        self.follow();
    }

    /// Specification that decides, and the traits of the slot.
    pub fn decides(&self) -> (ModelSpec, SlotTraits) {
        (self.spec, self.traits)
    }

    /// Number of models that would learn side by side if this specification decided.
    pub fn models_with(&self, spec: &ModelSpec, traits: SlotTraits) -> usize {
        self.portfolio.count_with(spec, traits)
    }

    /// Returns a copy for decisions alone, without the posteriors of large models that have no part in them, or `None` if
    /// all models have a part. Decisions from the copy are those from the original. It must not learn.
    ///
    /// The copy shares nothing with the original that learning changes at every observation and that is large.
    pub fn for_decisions(&self) -> Option<Self> {
        Some(Self {
            portfolio: self.portfolio.for_decisions()?,
            feature_encoders: self.feature_encoders.clone(),
            arms: self.arms.clone(),
            ..*self
        })
    }

    /// Rebuilds the fields that snapshots leave out.
    pub fn rebuild(&mut self) {
        self.portfolio.rebuild(&self.feature_encoders);
    }

    /// Summary of an arm, or `None` if it was never shown.
    pub fn summary(&self, arm: u32) -> Option<&ArmSummary> {
        self.arms.get(arm as usize)
    }

    /// Number of abrupt changes that were found and confirmed.
    pub fn takeovers(&self) -> u32 {
        self.portfolio.takeovers()
    }

    /// Names and weights of the deciding models, heaviest first.
    pub fn weights(&self) -> impl Iterator<Item = (&'static str, f64)> + '_ {
        let deciders = self.portfolio.deciders(self.arms.len());
        let total: f64 = deciders.iter().map(|d| d.0).sum();
        deciders.into_iter().map(move |(weight, member, _)| (member.spec.name(), weight / total))
    }

    /// Largest number of dimensions of the deciding models, or 0 without features.
    pub fn dimensions(&self) -> u32 {
        let dim = |(_, _, model): &(f64, _, &Model)| model.linear().map_or(0, Linear::dim);
        self.portfolio.deciders(self.arms.len()).iter().map(dim).max().unwrap_or(0)
    }

    /// Returns the scores of the candidates by the deciding models within their compute budget, or `None` if no model has
    /// finite scores.
    ///
    /// The heaviest models come first, and a model that exceeds the remaining budget is left out. The cheapest model is used
    /// if no other fits.
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

    /// Returns the scores of the first model alone, for candidates that no deciding model can score.
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

    /// Returns scores by the arms' mean rewards without the context, for decisions in which no model has finite scores.
    pub fn summary_scores(&self, arms: &[Option<u32>], scoring: Scoring<'_>) -> Option<Mixture> {
        let prior = ArmSummary::default().value;
        let posteriors = arms.iter().map(|arm| arm.and_then(|a| self.summary(a)).map_or(prior, |s| s.value)).collect();
        let arms: Vec<Option<u32>> = (0..arms.len()).map(|i| u32::try_from(i).ok()).collect();
        let model = Model::NormalInverseGamma { prior, arms: posteriors, cache: WinnerCache::default() };
        Mixture::single(model.scores(&arms, &[], scoring), "mean_reward")
    }

    /// Learns the features of the shown arms before their rewards. Pass one entry per arm, or one for all if they have the
    /// same features. Returns the rows of each entry.
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

    /// Returns whether any of the models uses features.
    pub fn has_features(&self) -> bool {
        self.portfolio.members.iter().any(|member| member.model.has_features())
    }

    /// Returns empty rows, for models that [use no features](Self::has_features).
    pub fn no_rows(&self) -> EncodedRows {
        vec![EncodedRow::default(); self.feature_encoders.len()]
    }

    /// Learns a reward at `rows`. Returns the receipt that [`revise`](Self::revise) needs.
    pub fn observe(&mut self, observation: Observation, rows: &[EncodedRow]) -> ObservationReceipt {
        let Observation { arm, reward: y, weight, at_us, half_life_us, decisions_since_shown: _, silent } = observation;
        if self.arms.len() <= arm as usize {
            self.arms.resize(arm as usize + 1, ArmSummary::new(at_us));
        }
        self.fade(arm, at_us, half_life_us);
        // One more arm fades in turn, so that arms that are not shown fade too.
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
            within: self.within,
            silence_after: silent.then(|| self.arms[arm as usize].weight()),
        };
        let receipt = self.portfolio.observe(&self.feature_encoders, seen);
        self.weight += weight;
        let summary = &mut self.arms[arm as usize];
        summary.observe(y, weight);
        let receipt = receipt.faded(summary.ln_retained);
        self.since_pooled += 1;
        let few = (self.arms.len() / POOL_PART) as f64;
        if f64::from(self.since_pooled) >= few.max(self.weight / POOL_WEIGHT) {
            self.since_pooled = 0;
            self.follow();
        }
        receipt
    }

    /// Gives the arms the priors that follow from level and spread of all arms.
    fn follow(&mut self) {
        if self.traits.large_catalogue {
            return;
        }
        let arms = self.arms.iter().map(|arm| arm.value.observed());
        let pooled = if self.traits.unit_rewards {
            PooledRewards::Rates(PooledPrior::from_rates(arms))
        } else {
            let of = |(weight, sum), arm: ArmMean| (weight + arm.weight, sum + arm.weight * arm.mean);
            let (weight, sum) = arms.clone().fold((0.0, 0.0), of);
            // Until rewards differ, their size says how much they may.
            let guess = if weight > 0.0 { math::square(sum / weight) } else { 0.0 };
            self.within = ArmMean::variance_within(arms.clone(), guess);
            PooledRewards::Values(PooledPrior::estimate(arms, self.within, self.within), self.within)
        };
        self.portfolio.follow(&pooled);
    }

    /// Changes the reward `y` of an observation at `rows` by `delta`.
    ///
    /// `receipt` is the one that [`observe`](Self::observe) returned. A model that was added later did not learn the
    /// observation and does not learn the revision.
    pub fn revise(&mut self, arm: u32, rows: &[EncodedRow], y: f64, delta: f64, receipt: &ObservationReceipt) {
        let Some(summary) = self.arms.get_mut(arm as usize) else { return };
        let retained = math::exp(summary.ln_retained - receipt.ln_retained);
        summary.revise(RewardRevision { y, delta, weight: receipt.weight, retained });
        let change = ObservationRevision { arms: self.arms.len(), y, delta, receipt, retained };
        self.portfolio.revise(&self.feature_encoders, arm, rows, change);
        self.follow();
    }
}

/// Returns the arms in the form that a model scores, or `None` if it cannot score these arms.
fn applied<'a>(model: &Model, arms: &'a [Option<u32>]) -> Option<Cow<'a, [Option<u32>]>> {
    let opposed = matches!(model, Model::Linear(linear) if linear.design().sharing == Sharing::Opposed);
    match arms {
        _ if !opposed => Some(Cow::Borrowed(arms)),
        // The second of two arms was never shown and will get the next index.
        [Some(0), None | Some(1)] => Some(Cow::Borrowed(&[Some(0), Some(1)])),
        [None | Some(1), Some(0)] => Some(Cow::Borrowed(&[Some(1), Some(0)])),
        _ => None,
    }
}

/// Cost of a model's scores of that many candidates, multiplications.
fn cost(model: &Model, candidates: usize) -> u64 {
    model.linear().map_or(candidates as u64, |linear| linear.cost(candidates))
}

#[cfg(test)]
pub(in crate::bandit) mod tests;
