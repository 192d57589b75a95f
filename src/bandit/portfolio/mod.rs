//! Several models of one slot, each weighted by how well it predicted the rewards.

mod challenge;
mod challenger;
mod change_detector;
mod consistent;
mod member;
mod observation;
mod published;
mod thinning;

use serde::{Deserialize, Serialize};
use smallvec::{SmallVec, smallvec};

use super::{
    encoder::EncodedRow,
    feature_encoder::FeatureEncoder,
    linear::PooledRewards,
    model::{Design, Model, RewardRevision, SeenReward},
    score::{Forecast, RewardScale},
    spec::{MemberSpec, ModelSpec, SlotTraits},
};
use crate::stats::math::exp;
use challenger::{Challenger, ChallengerModel};
use change_detector::ChangeDetector;
use member::{GAP_MAX, SquaredError, ln_mixture};
pub(super) use member::{NEGLIGIBLE, PortfolioMember};
use observation::MemberSet;
pub use observation::ObservationReceipt;
pub(super) use observation::{EncodedObservation, ObservationRevision};

/// Distance from the best at which a model that is given to a slot later starts, nats.
const LATE: f64 = 5.0;
/// Number of observations over which the lag is averaged when it rises, and when it falls.
const LAG_OBSERVATIONS: (f64, f64) = (20.0, 2_000.0);
/// All models of a slot, which of them decide, and a challenger. *Persisted.*
///
/// Evidence is prequential: the sum of the log predictive density of each reward before it is learned, faded by the
/// slot's half-life and never more than [`GAP_MAX`] apart. A model's weight is proportional to the exponential of its
/// evidence.
///
/// Page's test finds abrupt changes: rewards that stay far below the least expectation of the deciding models. An alarm
/// creates a challenger: fresh models that learn from later observations only. Challenger and incumbents divide the
/// decisions by how well each predicts, and once one is far ahead the other is dropped. If the incumbents are dropped,
/// their outdated beliefs are gone; after a false alarm nothing is lost.
///
/// # Source
///
/// Dawid, "The Prequential Approach" (1984), §4.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Portfolio {
    pub(super) members: Vec<PortfolioMember>,
    deciding: Vec<usize>,
    challenger: Option<Challenger>,
    /// Detector of abrupt changes. It restarts when other models decide and when a challenger is born.
    change_detector: ChangeDetector,
    takeovers: u32,
    challengers: u32,
    /// Number of observations learned.
    observations: u64,
    /// Number of decisions since an observation's arm was shown, lately.
    lag: f64,
}

impl Portfolio {
    /// Creates a portfolio without models.
    pub(super) fn new() -> Self {
        Self {
            members: Vec::new(),
            deciding: Vec::new(),
            challenger: None,
            change_detector: ChangeDetector::default(),
            takeovers: 0,
            challengers: 0,
            observations: 0,
            lag: 0.0,
        }
    }

    /// Lets the models of a specification decide. Models that the portfolio does not have yet start from their priors.
    /// `find_encoder` returns the index of a model's feature encoder.
    pub(super) fn decide_by(
        &mut self,
        spec: &ModelSpec,
        traits: SlotTraits,
        mut find_encoder: impl FnMut(Design) -> usize,
    ) {
        let wanted = spec.members(traits);
        let first = self.members.is_empty();
        let mut deciding = Vec::with_capacity(wanted.len());
        for spec in wanted {
            let have = self.members.iter().position(|member| member.spec == spec);
            deciding.push(have.unwrap_or_else(|| {
                self.members.push(PortfolioMember {
                    spec,
                    feature_encoder: find_encoder(spec.design),
                    model: Model::new(spec.design),
                    evidence: if first { 0.0 } else { -LATE },
                    takeover: self.takeovers,
                    was: 0,
                    error: SquaredError::default(),
                    ground: 0.0,
                    withheld: false,
                });
                self.members.len() - 1
            }));
        }
        if deciding != self.deciding {
            // Models that have learned little are not yet tested against their expectations.
            (self.challenger, self.change_detector) = (None, ChangeDetector::default());
            self.deciding = deciding;
        }
    }

    /// Number of models if this specification decided.
    pub(super) fn count_with(&self, spec: &ModelSpec, traits: SlotTraits) -> usize {
        let fresh = |wanted: &MemberSpec| self.members.iter().all(|member| member.spec != *wanted);
        self.members.len() + spec.members(traits).iter().filter(|wanted| fresh(wanted)).count()
    }

    /// Gives indices to the new entries of the rows of all feature encoders, in the models of the members that learn them.
    fn meet(&mut self, feature_encoders: &[FeatureEncoder], rows: &[EncodedRow], learns: impl Fn(usize) -> bool) {
        let meet = |model: &mut Model, feature_encoder: usize| {
            if let (Some(linear), Some(feature_encoder), Some(row)) =
                (model.linear_mut(), feature_encoders.get(feature_encoder), rows.get(feature_encoder))
            {
                linear.meet(&feature_encoder.encoder, row);
            }
        };
        for (_, member) in self.members.iter_mut().enumerate().filter(|(i, _)| learns(*i)) {
            meet(&mut member.model, member.feature_encoder);
        }
        for fresh in self.challenger.iter_mut().flat_map(|challenger| &mut challenger.models) {
            meet(&mut fresh.model, self.members[fresh.member].feature_encoder);
        }
    }

    /// Rebuilds the fields that snapshots leave out.
    pub(super) fn rebuild(&mut self, feature_encoders: &[FeatureEncoder]) {
        let of: Vec<usize> = self.members.iter().map(|member| member.feature_encoder).collect();
        let challenger = self.challenger.iter_mut().flat_map(|c| &mut c.models).map(|f| (f.member, &mut f.model));
        for (i, model) in self.members.iter_mut().map(|member| &mut member.model).enumerate().chain(challenger) {
            if let (Some(linear), Some(feature_encoder)) = (model.linear_mut(), feature_encoders.get(of[i])) {
                linear.rebuild(&feature_encoder.encoder);
            }
        }
    }

    /// Lets every model learn the observation. Returns its receipt without the arm's fading.
    pub(super) fn observe(
        &mut self,
        feature_encoders: &[FeatureEncoder],
        seen: EncodedObservation<'_>,
    ) -> ObservationReceipt {
        let EncodedObservation { arm, rows, y, weight, unit, .. } = seen;
        let copies = self.copies(&seen);
        self.meet(feature_encoders, rows, |i| copies[i] > 0);
        // A challenger that this observation creates does not learn it, so the receipt has the earlier numbers.
        let (takeovers, challenger) = (self.takeovers, self.challenger.as_ref().map_or(0, |c| c.id));
        let variance = self.error_variance(seen.within);
        let scale = if unit { RewardScale::Unit } else { RewardScale::Values(variance) };
        let (mut forecasts, mut least) = (vec![None; self.members.len()], vec![None; self.members.len()]);
        let mut thinned = MemberSet::default();
        for (i, member) in self.members.iter_mut().enumerate() {
            if !member.applies(seen.arms) || member.feature_encoder >= rows.len() {
                continue;
            }
            if copies[i] == 0 {
                thinned.insert(i);
                continue;
            }
            let count = f64::from(copies[i]);
            let x =
                member.model.expand(&feature_encoders[member.feature_encoder].encoder, &rows[member.feature_encoder]);
            let reward = SeenReward { y: count * y, weight: count * weight, count, scale };
            let expected = member.model.learn(arm, &x, reward);
            let [mean, least_mean] = [expected.mean, expected.least].map(|forecast| forecast.seen(weight));
            (forecasts[i], least[i]) = (Some(mean), Some(least_mean));
            member.error.observe(y, mean, count);
        }
        let spoke = |i: usize| forecasts[i].map(|f: Forecast| f.ln_score(y));
        // The incumbents' score is only needed for the comparison with a challenger.
        let of_incumbents = self.challenger.as_ref().and_then(|_| self.joint_score(&forecasts, y));
        self.fade(seen.retained);
        self.fade_ground();
        self.weigh(seen.arms, spoke, |i| copies[i]);
        self.observations += 1;
        let more = seen.decisions_since_shown as f64 - self.lag;
        self.lag += more / if more > 0.0 { LAG_OBSERVATIONS.0 } else { LAG_OBSERVATIONS.1 };
        let fresh = if seen.detect {
            self.challenge(feature_encoders, seen, (&least, scale), of_incumbents)
        } else {
            self.challenger = None;
            Vec::new()
        };
        self.change_detector.count_observation();
        ObservationReceipt { ln_retained: 0.0, weight, takeovers, challenger, forecasts, thinned, fresh }
    }

    /// Log score of the joint forecast of the deciding models, nats.
    fn joint_score(&self, forecasts: &[Option<Forecast>], y: f64) -> Option<f64> {
        let told = |&i: &usize| Some((self.members[i].evidence, forecasts.get(i).copied().flatten()?.ln_score(y)));
        ln_mixture(&self.deciding.iter().filter_map(told).collect::<Vec<_>>())
    }

    /// Variance by which the forecasts of rewards that are no rates are scored, reward²: that of the deciding model with the
    /// smallest squared error, so that models of different kinds are compared by their expectations alone. `within` is the
    /// variance of a reward about its arm's mean.
    fn error_variance(&self, within: f64) -> f64 {
        let of = |&i: &usize| self.members[i].error.variance(within);
        self.deciding.iter().map(of).fold(f64::INFINITY, f64::min).clamp(f64::MIN_POSITIVE, f64::MAX)
    }

    /// See [`Model::follow`].
    pub(super) fn follow(&mut self, pooled: &PooledRewards) {
        for member in &mut self.members {
            member.model.follow(pooled);
        }
        if let Some(challenger) = &mut self.challenger {
            challenger.follow(pooled);
        }
    }

    /// Lets the evidence of all models fade to `retained`.
    pub(super) fn fade(&mut self, retained: f64) {
        for member in &mut self.members {
            member.evidence *= retained;
            member.error.fade(retained);
        }
    }

    /// Adds a reward's log score to each member's evidence, nats, and makes the evidence relative to the best deciding
    /// member, within the gap.
    ///
    /// A member without a score gets the first deciding member's, so it neither gains nor loses. If no deciding member has a
    /// score, no evidence changes. A score that stands for several observations counts as often.
    fn weigh(&mut self, arms: usize, of: impl Fn(usize) -> Option<f64>, copies: impl Fn(usize) -> u32) {
        let heaviest = |a: &&usize, b: &&usize| self.members[**a].evidence.total_cmp(&self.members[**b].evidence);
        let top = self.deciding.iter().filter(|&&i| of(i).is_some()).max_by(heaviest).and_then(|&i| of(i));
        let Some(top) = top else { return };
        let first = self.deciding.iter().filter(|&&i| copies(i) == 1).find_map(|&i| of(i)).unwrap_or(top);
        for (i, member) in self.members.iter_mut().enumerate() {
            let Some(own) = of(i) else {
                member.evidence += first;
                continue;
            };
            let copies = copies(i);
            member.evidence += if copies == 1 { own } else { first + f64::from(copies) * (own - first) };
            member.ground += f64::from(copies) * (own - top);
        }
        let able = self.deciding.iter().map(|&i| &self.members[i]).filter(|member| member.applies(arms));
        let top = able.map(|member| member.evidence).fold(f64::NEG_INFINITY, f64::max);
        let top = if top.is_finite() { top } else { self.members[self.deciding[0]].evidence };
        for member in &mut self.members {
            member.evidence = (member.evidence - top).clamp(-GAP_MAX, 0.0);
        }
    }

    /// Revises the reward of an observation.
    pub(super) fn revise(
        &mut self,
        feature_encoders: &[FeatureEncoder],
        arm: u32,
        rows: &[EncodedRow],
        change: ObservationRevision<'_>,
    ) {
        let ObservationRevision { arms, y, delta, receipt, retained } = change;
        let mut spoke = vec![None; self.members.len()];
        for (i, (member, forecast)) in self.members.iter_mut().zip(&receipt.forecasts).enumerate() {
            let Some(row) = rows.get(member.feature_encoder).filter(|_| member.knows(receipt)) else { continue };
            if forecast.is_none() && !receipt.thinned.contains(i) {
                continue;
            }
            let x = member.model.expand(&feature_encoders[member.feature_encoder].encoder, row);
            let left = member.retained(retained);
            member.model.revise(arm, &x, RewardRevision { y, delta, weight: receipt.weight, retained: left });
            let Some(forecast) = forecast else { continue };
            // The forecast of a model that was replaced since is no evidence about its successor.
            if member.expected(receipt) {
                spoke[i] = Some(retained * (forecast.ln_score(y + delta) - forecast.ln_score(y)));
                member.error.revise(retained, forecast, y, delta);
            }
        }
        self.weigh(arms, |i| spoke[i], |_| 1);
        self.revise_challenge(feature_encoders, (arm, rows), change);
    }

    /// See [`Model::forget`].
    pub(super) fn forget(&mut self, arm: u32, retained: f64, portion: f64) {
        for member in &mut self.members {
            member.model.forget(arm, member.retained(retained), portion);
        }
        if let Some(challenger) = &mut self.challenger {
            challenger.forget(&self.members, arm, retained, portion);
        }
    }

    /// Weights of the deciding models that can score the candidates. They add up to 1.
    fn weights(&self, arms: usize) -> Vec<(usize, f64)> {
        let can = self.deciding.iter().filter(|&&i| self.members[i].applies(arms));
        let mut weights: Vec<(usize, f64)> = can.map(|&i| (i, exp(self.members[i].evidence))).collect();
        if weights.is_empty() {
            weights.extend(self.deciding.first().map(|&i| (i, 1.0)));
        }
        let total: f64 = weights.iter().map(|w| w.1).sum();
        for (_, weight) in &mut weights {
            *weight /= total;
        }
        weights
    }

    /// Deciding models with their weights: members, and the challenger's models with the members that they would replace.
    /// Negligible weights are left out, so the weights need not add up to 1.
    pub(super) fn deciders(&self, arms: usize) -> SmallVec<[(f64, &PortfolioMember, &Model); 4]> {
        let challenger = self.challenger.as_ref();
        if let (None, &[only]) = (challenger, self.deciding.as_slice()) {
            return smallvec![(1.0, &self.members[only], &self.members[only].model)];
        }
        let share = challenger.map_or(0.0, Challenger::share);
        let mut deciders = SmallVec::<[(f64, &PortfolioMember, &Model); 4]>::new();
        for (i, weight) in self.weights(arms).into_iter().filter(|&(i, _)| !self.members[i].withheld) {
            deciders.push(((1.0 - share) * weight, &self.members[i], &self.members[i].model));
        }
        if let Some(challenger) = challenger.filter(|_| share > 0.0) {
            let able = challenger.models.iter().filter(|fresh| self.members[fresh.member].applies(arms));
            let total: f64 = able.clone().map(|fresh| exp(fresh.evidence)).sum();
            for ChallengerModel { member, model, evidence } in able {
                deciders.push((share * exp(*evidence) / total, &self.members[*member], model));
            }
        }
        deciders.sort_by(|a, b| b.0.total_cmp(&a.0));
        let negligible = deciders.iter().position(|d| d.0 < NEGLIGIBLE).unwrap_or(deciders.len());
        deciders.truncate(negligible.max(1));
        deciders
    }

    /// Number of takeovers by challengers.
    pub(super) fn takeovers(&self) -> u32 {
        self.takeovers
    }
}

#[cfg(test)]
mod tests;
