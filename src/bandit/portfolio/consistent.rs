//! Consistency of a portfolio that was read from outside.

use super::{Portfolio, observation::MemberSet};
use crate::{
    bandit::{feature_encoder::FeatureEncoder, spec::MemberSpec},
    stats::{Inconsistency, ensure},
};

/// Largest size of a log evidence, nats. Its exponential is finite.
const EVIDENCE_MAX: f64 = 100.0;
/// Largest number of challengers, far from overflow.
const CHALLENGERS_MAX: u32 = 1 << 30;
/// Largest factor between the half-lives of two models.
const HALF_LIVES_MAX: u32 = 1_000;

impl MemberSpec {
    fn is_consistent(&self) -> bool {
        let factors = [self.half_life_divisor, self.half_life_factor];
        self.design.is_consistent() && factors.iter().all(|factor| (1..=HALF_LIVES_MAX).contains(factor))
    }
}

impl Portfolio {
    /// Checks that the portfolio may have learned rows of the encoders, for at most this number of arms.
    pub(in crate::bandit) fn check_consistency(
        &self,
        feature_encoders: &[FeatureEncoder],
        arms: usize,
    ) -> Result<(), Inconsistency> {
        let members = self.members.len();
        ensure((1..=MemberSet::MAX).contains(&members), "the number of models is none that a slot can have")?;
        let deciding = !self.deciding.is_empty() && self.deciding.iter().all(|&member| member < members);
        ensure(deciding, "a model decides that is not there")?;
        let is_evidence = |evidence: f64| evidence.abs() <= EVIDENCE_MAX;
        for member in &self.members {
            ensure(member.spec.is_consistent(), "a model has parameters that no model can have")?;
            let Some(of_rows) = feature_encoders.get(member.feature_encoder) else {
                return ensure(false, "a model has no encoder");
            };
            let evidence = is_evidence(member.evidence) && member.ground.is_finite() && member.error.is_consistent();
            ensure(evidence, "the evidence of a model is no number")?;
            ensure(member.takeover <= self.takeovers && member.was <= self.challengers, "a model took over too late")?;
            member.model.check_consistency(&member.spec.design, &of_rows.encoder, arms)?;
        }
        let counts = self.takeovers <= CHALLENGERS_MAX
            && self.challengers <= CHALLENGERS_MAX
            && self.observations <= 1 << 60
            && self.lag >= 0.0
            && self.lag.is_finite()
            && self.change_detector.is_consistent();
        ensure(counts, "a count of the models is no number")?;
        let Some(challenger) = &self.challenger else { return Ok(()) };
        let known = challenger.id <= self.challengers && challenger.lead.is_finite();
        ensure(known && challenger.models.len() <= members, "the challenger of the models is unknown")?;
        for fresh in &challenger.models {
            let Some(member) = self.members.get(fresh.member) else {
                return ensure(false, "the challenger would replace a model that is not there");
            };
            ensure(is_evidence(fresh.evidence), "the evidence of a challenger is no number")?;
            let of_rows = &feature_encoders[member.feature_encoder];
            fresh.model.check_consistency(&member.spec.design, &of_rows.encoder, arms)?;
        }
        Ok(())
    }
}
