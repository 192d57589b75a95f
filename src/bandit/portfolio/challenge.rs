//! Competition of a portfolio's models with a challenger, from the alarm of the change detector to its end.

use super::{
    EncodedObservation, LATE, ObservationRevision, Portfolio,
    challenger::{ChallengeStatus, Challenger, ChallengerModel},
    change_detector::ChangeDetector,
    member::NEGLIGIBLE,
};
use crate::{
    bandit::{
        encoder::EncodedRow,
        feature_encoder::FeatureEncoder,
        model::Model,
        score::{Forecast, RewardScale},
    },
    stats::math::exp,
};

/// Greatest number of decisions since an observation's arm was shown for the change detector to test observations: 20, plus
/// one per 10,000 observations.
///
/// While rewards are delayed the policy acts on stale beliefs, so a late batch looks like a sudden drop although nothing
/// has changed. And rewards come before the silence of the decisions around them: when decisions wait to be written, only those that
/// are rewarded go ahead, and the others are a long silence once they are written. So whether an observation is tested must not
/// depend on its reward: the lag of all observations decides, which rises at once and falls slowly.
const LAG: (f64, f64) = (20.0, 10_000.0);

impl Portfolio {
    /// Tests for a change, or lets the challenger learn and compete while there is one. Returns the forecasts of its models if
    /// they counted.
    pub(super) fn challenge(
        &mut self,
        feature_encoders: &[FeatureEncoder],
        seen: EncodedObservation<'_>,
        (least, scale): (&[Option<Forecast>], RewardScale),
        of_incumbents: Option<f64>,
    ) -> Vec<Option<Forecast>> {
        let prompt = self.is_prompt();
        let Some(challenger) = &mut self.challenger else {
            if prompt {
                self.detect_change(seen, least);
            } else {
                self.change_detector.alarm = 0.0;
            }
            return Vec::new();
        };
        let (forecasts, score) = challenger.observe(&self.members, feature_encoders, seen, scale);
        let (true, Some(score), Some(of_incumbents)) = (prompt, score, of_incumbents) else { return Vec::new() };
        challenger.compare(score - of_incumbents);
        self.end_challenge();
        forecasts
    }

    /// Returns whether observations come soon after their decisions, so that they are tested for a change; see [`LAG`].
    fn is_prompt(&self) -> bool {
        self.lag <= LAG.0 + self.observations as f64 / LAG.1
    }

    /// Ends the competition with a challenger that has won or lost.
    fn end_challenge(&mut self) {
        match self.challenger.as_ref().map(Challenger::status) {
            None | Some(ChallengeStatus::Open) => {}
            Some(ChallengeStatus::Won) => self.take_over(),
            Some(ChallengeStatus::Lost) => self.challenger = None,
        }
    }

    /// Runs Page's test against the mean of the deciding models' least expectations.
    fn detect_change(&mut self, seen: EncodedObservation<'_>, least: &[Option<Forecast>]) {
        let told = self.deciding.iter().filter_map(|&i| Some((exp(self.members[i].evidence), least[i]?)));
        let Some(expected) = Forecast::mixture(told) else { return };
        if !self.change_detector.observe(expected, seen.y) {
            return;
        }
        self.change_detector = ChangeDetector::default();
        self.challengers += 1;
        let worth = |&(i, weight): &(usize, f64)| weight >= NEGLIGIBLE || Some(&i) == self.deciding.first();
        let of = self.weights(seen.arms).into_iter().filter(worth).map(|(i, _)| i);
        self.challenger = Some(Challenger::new(self.challengers, &self.members, of));
    }

    /// Replaces the incumbents by the challenger's models. Incumbents without one restart from their priors.
    fn take_over(&mut self) {
        let Some(challenger) = self.challenger.take() else { return };
        self.takeovers += 1;
        for &i in &self.deciding {
            let member = &mut self.members[i];
            (member.takeover, member.was) = (self.takeovers, 0);
            (member.model, member.evidence) = (Model::new(member.spec.design), -LATE);
        }
        for ChallengerModel { member, model, evidence } in challenger.models {
            let member = &mut self.members[member];
            (member.model, member.evidence, member.was) = (model, evidence, challenger.id);
        }
    }

    /// Revises the part that an observation had in the change detector, or in the challenger and its lead.
    pub(super) fn revise_challenge(
        &mut self,
        feature_encoders: &[FeatureEncoder],
        (arm, rows): (u32, &[EncodedRow]),
        change: ObservationRevision<'_>,
    ) {
        let ObservationRevision { y, delta, receipt, .. } = change;
        let of_incumbents = |y| self.joint_score(&receipt.forecasts, y);
        match self.challenger.as_ref().map(|challenger| challenger.id) {
            None => self.revise_alarm(change),
            Some(id) if id == receipt.challenger => {
                let incumbents = of_incumbents(y).zip(of_incumbents(y + delta));
                let Some(challenger) = &mut self.challenger else { return };
                challenger.revise(&self.members, feature_encoders, (arm, rows), change);
                if let Some((before, after)) = incumbents {
                    challenger.revise_lead(change, before, after);
                    self.end_challenge();
                }
            }
            Some(_) => {}
        }
    }

    /// Takes a reward that came after its silence back from the change detector: there was no drop.
    fn revise_alarm(&mut self, change: ObservationRevision<'_>) {
        let ObservationRevision { y, delta, receipt, .. } = change;
        if !self.is_prompt() || receipt.takeovers != self.takeovers {
            return;
        }
        let told = |&i: &usize| Some((exp(self.members[i].evidence), receipt.forecasts.get(i).copied().flatten()?));
        if let Some(expected) = Forecast::mixture(self.deciding.iter().filter_map(told)) {
            self.change_detector.revise(expected, y, delta);
        }
    }
}
