//! ChallengerModel models that compete with those of a slot.

use serde::{Deserialize, Serialize};

use super::{
    member::{GAP_MAX, NEGLIGIBLE, PortfolioMember, ln_mixture},
    observation::{EncodedObservation, ObservationRevision},
};
use crate::bandit::{
    encoder::EncodedRow,
    feature_encoder::FeatureEncoder,
    model::{Model, RewardRevision},
};

/// What one observation may speak for or against a challenger, nats.
const STEP: f64 = 2.0;
/// A challenger has won, or lost, when it is so far ahead or behind, nats.
const DECIDED: f64 = 15.0;

/// What has become of a challenger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChallengeStatus {
    Open,
    Won,
    Lost,
}

/// One of its models. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ChallengerModel {
    /// Whose place it would take: the member's index.
    pub(super) member: usize,
    pub(super) model: Model,
    /// Log evidence, nats, relative to the best: 0 or below.
    pub(super) evidence: f64,
}

/// ChallengerModel models that learn from what is new only, since the world seems to have changed. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Challenger {
    pub(super) id: u32,
    /// How much better than the incumbents it foresaw since its birth, nats.
    pub(super) lead: f64,
    pub(super) models: Vec<ChallengerModel>,
}

impl Challenger {
    /// With a fresh model for each of these members.
    pub(super) fn new(id: u32, members: &[PortfolioMember], of: impl Iterator<Item = usize>) -> Self {
        let fresh =
            |member: usize| ChallengerModel { member, model: Model::new(members[member].spec.design), evidence: 0.0 };
        Self { id, lead: 0.0, models: of.map(fresh).collect() }
    }

    /// Its models learn the observation. Returns the log score of what they foresaw together, nats; none: none of
    /// them was told. Whoever was not goes with the first that was: it neither gains nor loses by its silence.
    pub(super) fn observe(
        &mut self,
        members: &[PortfolioMember],
        feature_encoders: &[FeatureEncoder],
        seen: EncodedObservation<'_>,
    ) -> Option<f64> {
        let learn = |fresh: &mut ChallengerModel| {
            let member = &members[fresh.member];
            // A decision from before the feature_encoder has no row of it.
            let row = seen.rows.get(member.feature_encoder).filter(|_| member.applies(seen.arms))?;
            let x = fresh.model.expand(&feature_encoders[member.feature_encoder].encoder, row);
            let score = fresh.model.expect(seen.arm, &x, seen.unit).mean.seen(seen.weight).ln_score(seen.y);
            fresh.model.observe(seen.arm, &x, seen.y, seen.weight);
            Some(score)
        };
        let scores: Vec<Option<f64>> = self.models.iter_mut().map(learn).collect();
        let told: Vec<_> =
            self.models.iter().zip(&scores).filter_map(|(f, score)| Some((f.evidence, (*score)?))).collect();
        let &(_, first) = told.first()?;
        for (fresh, score) in self.models.iter_mut().zip(scores) {
            fresh.evidence += score.unwrap_or(first);
        }
        let top = self.models.iter().map(|fresh| fresh.evidence).fold(f64::NEG_INFINITY, f64::max);
        for fresh in &mut self.models {
            fresh.evidence = (fresh.evidence - top).max(-GAP_MAX);
        }
        ln_mixture(&told)
    }

    /// Whether it is settled who foresees better, once it foresaw a reward so much better than the incumbents, nats.
    pub(super) fn compare(&mut self, better: f64) -> ChallengeStatus {
        self.lead += better.clamp(-STEP, STEP);
        match self.lead {
            lead if lead >= DECIDED => ChallengeStatus::Won,
            lead if lead <= -DECIDED => ChallengeStatus::Lost,
            _ => ChallengeStatus::Open,
        }
    }

    /// The reward of an observation that it learned changed.
    pub(super) fn revise(
        &mut self,
        members: &[PortfolioMember],
        feature_encoders: &[FeatureEncoder],
        (arm, rows): (u32, &[EncodedRow]),
        change: ObservationRevision<'_>,
    ) {
        let ObservationRevision { y, delta, receipt, retained, .. } = change;
        for ChallengerModel { member, model, .. } in &mut self.models {
            let member = &members[*member];
            let Some(row) = rows.get(member.feature_encoder) else { continue };
            let x = model.expand(&feature_encoders[member.feature_encoder].encoder, row);
            model.revise(
                arm,
                &x,
                RewardRevision { y, delta, weight: receipt.weight, retained: member.retained(retained) },
            );
        }
    }

    /// See [`Model::forget`].
    pub(super) fn forget(&mut self, members: &[PortfolioMember], arm: u32, retained: f64, portion: f64) {
        for ChallengerModel { member, model, .. } in &mut self.models {
            model.forget(arm, members[*member].retained(retained), portion);
        }
    }

    /// Its share of the decisions; one that is not worth its cost has none.
    pub(super) fn share(&self) -> f64 {
        let share = crate::stats::math::logistic(self.lead);
        if share < NEGLIGIBLE { 0.0 } else { share }
    }
}
