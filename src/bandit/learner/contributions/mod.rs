//! Features that contribute most to an expected reward, by name.

use std::collections::BTreeMap;

use super::{Candidates, Learner, Model, applied};
use crate::bandit::expansion::RowTerm;

/// Name of an arm's own contribution: its intercept or its offset.
const OF_ARM: &str = "(arm)";
/// Name of the joint contribution of all random Fourier features, which cannot be divided among the numbers.
const NONLINEAR: &str = "numbers (nonlinear)";

fn name(term: Option<RowTerm>, names: &BTreeMap<u32, String>) -> String {
    let of = |index: u32| names.get(&index).map_or("?", String::as_str);
    match term {
        None | Some(RowTerm::Base(0)) => OF_ARM.to_owned(),
        Some(RowTerm::Base(index)) => of(index).to_owned(),
        Some(RowTerm::Product(first, second)) if first == second => format!("{}²", of(first)),
        Some(RowTerm::Product(first, second)) => {
            // The names are in alphabetical order, as the order of first appearance means nothing to people.
            let (first, second) = (of(first).min(of(second)), of(first).max(of(second)));
            format!("{first} × {second}")
        }
        Some(RowTerm::Fourier) => NONLINEAR.to_owned(),
    }
}

impl Learner {
    /// Returns the names and contributions of the features that moved the expected reward of each candidate most: at most
    /// `most` per candidate, the largest first.
    ///
    /// A contribution is in units of the reward on the identity link and in log odds on the logit link. The heaviest model
    /// with features gives them; the lists are empty if no model has features.
    ///
    /// Numbers appear by name, words as `loyalty=gold`, products as `age × loyalty=gold`, the arm's own contribution as
    /// `(arm)`, and random features of all numbers as `numbers (nonlinear)`.
    pub fn contributions(&self, candidates: Candidates<'_>, most: usize) -> Vec<Vec<(String, f64)>> {
        let nothing = || vec![Vec::new(); candidates.arms.len()];
        let deciders = self.portfolio.deciders(self.arms.len());
        let named = deciders.into_iter().find_map(|(_, member, model)| {
            let Model::Linear(linear) = model else { return None };
            Some((linear, applied(model, candidates.arms)?, self.feature_encoders.get(member.feature_encoder)?))
        });
        let Some((linear, arms, feature_encoder)) = named else { return nothing() };
        let contributions = |(i, &arm): (usize, &Option<u32>)| {
            let parts = feature_encoder.parts(candidates.parts(i));
            let (row, names) = (feature_encoder.encoder.encode_new(parts), feature_encoder.encoder.names(parts));
            let mut sums: BTreeMap<String, f64> = BTreeMap::new();
            linear.each_part(arm, &feature_encoder.encoder, &row, &mut |term, amount| {
                if amount != 0.0 {
                    *sums.entry(name(term, &names)).or_default() += amount;
                }
            });
            let mut sums: Vec<(String, f64)> = sums.into_iter().collect();
            sums.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
            sums.truncate(most);
            sums
        };
        arms.iter().enumerate().map(contributions).collect()
    }
}

#[cfg(test)]
mod tests;
