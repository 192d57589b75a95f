//! Fresh models that compete with the models of a slot.

use serde::{Deserialize, Serialize};

use super::{
    member::{GAP_MAX, NEGLIGIBLE, PortfolioMember, ln_mixture},
    observation::{EncodedObservation, ObservationRevision},
};
use crate::bandit::{
    encoder::EncodedRow,
    feature_encoder::FeatureEncoder,
    linear::PooledRewards,
    model::{Model, RewardRevision, SeenReward},
    score::{Forecast, RewardScale},
};

/// Greatest change of a challenger's lead by one observation, nats.
const STEP: f64 = 2.0;
/// Lead at which a challenger has won, or has lost if it is negative, nats.
const DECIDED: f64 = 15.0;

/// State of the competition between a challenger and the incumbents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChallengeStatus {
    Open,
    Won,
    Lost,
}

/// Model of a challenger. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ChallengerModel {
    /// Index of the member that the model would replace.
    pub(super) member: usize,
    pub(super) model: Model,
    /// Log evidence relative to the best model, nats, 0 or below.
    pub(super) evidence: f64,
}

/// Fresh models that learn from new observations only, born when the change detector raised an alarm. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Challenger {
    pub(super) id: u32,
    /// Log score since birth minus that of the incumbents, nats.
    pub(super) lead: f64,
    pub(super) models: Vec<ChallengerModel>,
}

impl Challenger {
    /// Creates a challenger with a fresh model for each of these members.
    pub(super) fn new(id: u32, members: &[PortfolioMember], of: impl Iterator<Item = usize>) -> Self {
        let fresh =
            |member: usize| ChallengerModel { member, model: Model::new(members[member].spec.design), evidence: 0.0 };
        Self { id, lead: 0.0, models: of.map(fresh).collect() }
    }

    /// Lets the models learn the observation.
    ///
    /// Returns their forecasts, and the log score of the joint forecast, nats, or `None` if none of them learned it. A model
    /// that did not learn it gets the score of the first that did, so it neither gains nor loses.
    pub(super) fn observe(
        &mut self,
        members: &[PortfolioMember],
        feature_encoders: &[FeatureEncoder],
        seen: EncodedObservation<'_>,
        scale: RewardScale,
    ) -> (Vec<Option<Forecast>>, Option<f64>) {
        let learn = |fresh: &mut ChallengerModel| {
            let member = &members[fresh.member];
            // A decision from before the encoder existed has no row of it.
            let row = seen.rows.get(member.feature_encoder).filter(|_| member.applies(seen.arms))?;
            let x = fresh.model.expand(&feature_encoders[member.feature_encoder].encoder, row);
            let reward = SeenReward { y: seen.y, weight: seen.weight, count: 1.0, scale };
            let forecast = fresh.model.learn(seen.arm, &x, reward).mean;
            Some(forecast.seen(seen.weight))
        };
        let forecasts: Vec<Option<Forecast>> = self.models.iter_mut().map(learn).collect();
        let score = self.joint_score(&forecasts, seen.y);
        self.weigh(&forecasts, |forecast| forecast.ln_score(seen.y));
        (forecasts, score)
    }

    /// Log score of the models' joint forecast, nats.
    fn joint_score(&self, forecasts: &[Option<Forecast>], y: f64) -> Option<f64> {
        let told = self.models.iter().zip(forecasts);
        ln_mixture(&told.filter_map(|(fresh, f)| Some((fresh.evidence, (*f)?.ln_score(y)))).collect::<Vec<_>>())
    }

    /// Adds the score of each forecast, nats, to the evidence of its model.
    fn weigh(&mut self, forecasts: &[Option<Forecast>], score: impl Fn(Forecast) -> f64) {
        let Some(first) = forecasts.iter().flatten().next().map(|&forecast| score(forecast)) else { return };
        for (fresh, forecast) in self.models.iter_mut().zip(forecasts) {
            fresh.evidence += forecast.map_or(first, &score);
        }
        let top = self.models.iter().map(|fresh| fresh.evidence).fold(f64::NEG_INFINITY, f64::max);
        for fresh in &mut self.models {
            fresh.evidence = (fresh.evidence - top).max(-GAP_MAX);
        }
    }

    /// Adds the log score by which the challenger beat the incumbents on one reward, nats.
    pub(super) fn compare(&mut self, better: f64) {
        self.lead += better.clamp(-STEP, STEP);
    }

    /// Revises the lead and the models' evidence by the changed reward of an observation that counted. `before` and `after` are
    /// the log scores of the incumbents for the reward before and after, nats.
    pub(super) fn revise_lead(&mut self, change: ObservationRevision<'_>, before: f64, after: f64) {
        let ObservationRevision { y, delta, receipt, .. } = change;
        let scores = self.joint_score(&receipt.fresh, y).zip(self.joint_score(&receipt.fresh, y + delta));
        let Some((own_before, own_after)) = scores else { return };
        self.lead += (own_after - after).clamp(-STEP, STEP) - (own_before - before).clamp(-STEP, STEP);
        self.weigh(&receipt.fresh, |forecast| forecast.ln_score(y + delta) - forecast.ln_score(y));
    }

    /// State of the competition.
    pub(super) fn status(&self) -> ChallengeStatus {
        match self.lead {
            lead if lead >= DECIDED => ChallengeStatus::Won,
            lead if lead <= -DECIDED => ChallengeStatus::Lost,
            _ => ChallengeStatus::Open,
        }
    }

    /// Revises an observation that the models learned.
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

    /// See [`Model::follow`].
    pub(super) fn follow(&mut self, pooled: &PooledRewards) {
        for fresh in &mut self.models {
            fresh.model.follow(pooled);
        }
    }

    /// See [`Model::forget`].
    pub(super) fn forget(&mut self, members: &[PortfolioMember], arm: u32, retained: f64, portion: f64) {
        for ChallengerModel { member, model, .. } in &mut self.models {
            model.forget(arm, members[*member].retained(retained), portion);
        }
    }

    /// Fraction of the decisions that the challenger makes, or 0 if it is too small to be worth the cost.
    pub(super) fn share(&self) -> f64 {
        let share = crate::stats::math::logistic(self.lead);
        if share < NEGLIGIBLE { 0.0 } else { share }
    }
}
