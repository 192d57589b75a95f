//! Copy of a portfolio for decisions, without what decisions do not read.

use super::{NEGLIGIBLE, Portfolio, PortfolioMember};
use crate::stats::math::exp;

/// Least number of dimensions of a model that is withheld. The posterior of a smaller one takes some kilobytes.
const WITHHELD_DIM: u32 = 64;
/// Fraction of the evidence that may fade before a model that is withheld could decide.
const FADED: f64 = 0.5;

impl Portfolio {
    /// Returns whether decisions can do without this model: its weight is negligible, and stays so if half of the evidence
    /// fades.
    fn can_withhold(&self, member: &PortfolioMember) -> bool {
        let large = member.model.linear().is_some_and(|linear| linear.dim() >= WITHHELD_DIM);
        let weight = |member: &PortfolioMember| exp(FADED * member.evidence);
        large && weight(member) < NEGLIGIBLE * self.deciding.iter().map(|&i| weight(&self.members[i])).sum::<f64>()
    }

    /// Returns a copy without the posteriors of models that have no part in decisions, or `None` if all have.
    ///
    /// State and published views share posteriors, and a posterior that is shared is copied before it learns. What decisions
    /// do not read must therefore not be published. While a challenger competes, all is published.
    pub(in crate::bandit) fn for_decisions(&self) -> Option<Self> {
        if self.challenger.is_some() || !self.members.iter().any(|member| self.can_withhold(member)) {
            return None;
        }
        let published = |member: &PortfolioMember| PortfolioMember {
            withheld: self.can_withhold(member),
            model: if self.can_withhold(member) { member.model.without_posteriors() } else { member.model.clone() },
            spec: member.spec,
            ..*member
        };
        Some(Self {
            members: self.members.iter().map(published).collect(),
            deciding: self.deciding.clone(),
            challenger: None,
            change_detector: self.change_detector.clone(),
            ..*self
        })
    }
}
