//! Contribution of each term of a row to the linear predictor.

use super::{Linear, Link, Sharing};
use crate::bandit::{
    encoder::{EncodedRow, Encoder},
    expansion::RowTerm,
};

impl Linear {
    /// Calls `put` with the contribution of each term of `row` to the linear predictor of `arm`, and with the arm's own
    /// contribution and no term.
    ///
    /// The contributions add up to the predictor's mean. On the identity link that is the expected reward; on the logit
    /// link it is the log odds, before the posterior's spread pulls the rate towards one half.
    pub(in crate::bandit) fn each_part(
        &self,
        arm: Option<u32>,
        encoder: &Encoder,
        row: &EncodedRow,
        put: &mut impl FnMut(Option<RowTerm>, f64),
    ) {
        let shared = self.design.sharing == Sharing::Shared;
        let reads = arm.map(|arm| self.posterior_index(arm)).or(shared.then_some((0, false)));
        let prior = self.prior();
        let posterior = reads.and_then(|(index, _)| self.arms.get(index)).map_or(&prior, AsRef::as_ref);
        let opposite = reads.is_some_and(|(_, opposite)| opposite);
        let sign = if opposite { -1.0 } else { 1.0 };
        self.expander.each_term(encoder, row, &mut |index, value, term| {
            let weight = index.map_or(0.0, |index| posterior.weight_with(self.constant, index as usize));
            put(Some(term), sign * value * weight);
        });
        match (self.design.sharing, self.design.link) {
            (Sharing::Shared, _) => put(None, self.offset(arm).mean),
            (Sharing::Opposed, Link::Identity) if opposite => put(None, 1.0),
            (Sharing::Opposed | Sharing::Disjoint, _) => {}
        }
    }
}
