//! Scores of all models of a portfolio together.

use super::score::Scores;
use crate::stats::math;

/// Scores of one model with the model's weight.
#[derive(Debug, Clone, PartialEq)]
pub struct MixturePart {
    /// Probability that this model decides. The weights of all parts add up to 1.
    pub weight: f64,
    /// Name of the model.
    pub name: &'static str,
    /// Scores of the model.
    pub scores: Scores,
}

/// Mixture of models, each of which decides with its weight. All parts score the same candidates.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture {
    parts: Vec<MixturePart>,
}

impl Mixture {
    /// Creates a mixture of these parts, heaviest first, and scales their weights to add up to 1.
    ///
    /// Parts with numbers that are not finite are left out. Parts with equal scores are one part with the name of the first, as
    /// models that differ in their forgetting only have at the start. Returns `None` if no part remains.
    pub fn new(mut parts: Vec<MixturePart>) -> Option<Self> {
        parts.retain(|part| part.scores.finite() && part.weight > 0.0);
        let mut merged: Vec<MixturePart> = Vec::with_capacity(parts.len());
        for part in parts {
            match merged.iter_mut().find(|known| known.scores == part.scores) {
                Some(known) => known.weight += part.weight,
                None => merged.push(part),
            }
        }
        let mut parts = merged;
        parts.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        let total: f64 = parts.iter().map(|part| part.weight).sum();
        for part in &mut parts {
            part.weight /= total;
        }
        (!parts.is_empty() && total.is_finite()).then_some(Self { parts })
    }

    /// Creates a mixture of one model, or returns `None` if its scores are not finite.
    pub fn single(scores: Scores, name: &'static str) -> Option<Self> {
        Self::new(vec![MixturePart { weight: 1.0, name, scores }])
    }

    /// Parts, heaviest first.
    pub fn parts(&self) -> &[MixturePart] {
        &self.parts
    }

    /// Number of candidates.
    pub fn len(&self) -> usize {
        self.parts.first().map_or(0, |part| part.scores.len())
    }

    /// Returns whether there are no candidates.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the mixture over these candidates only, in this order.
    #[must_use]
    pub fn only(&self, kept: &[usize]) -> Self {
        let only = |part: &MixturePart| MixturePart { scores: part.scores.only(kept), ..*part };
        Self { parts: self.parts.iter().map(only).collect() }
    }

    /// Returns the mixture with each candidate's expected reward multiplied by its factor; see [`Scores::boosted`].
    #[must_use]
    pub fn boosted(&self, factors: &[f64]) -> Self {
        let boost = |part: &MixturePart| MixturePart { scores: part.scores.boosted(factors), ..*part };
        Self { parts: self.parts.iter().map(boost).collect() }
    }

    /// Returns whether some of the scores are joint draws.
    pub fn has_joint_draws(&self) -> bool {
        self.parts.iter().any(|part| matches!(part.scores, Scores::Joint(_)))
    }

    /// Returns the mixture with its spread multiplied by `factor`, as another width multiplier would give it, or `None` if
    /// scores of this kind have to be computed again.
    pub fn widened(&self, factor: f64) -> Option<Self> {
        let widen = |part: &MixturePart| Some(MixturePart { scores: part.scores.widened(factor)?, ..*part });
        Some(Self { parts: self.parts.iter().map(widen).collect::<Option<_>>()? })
    }

    /// Probability that candidate `i` scores above `reward`.
    pub fn exceeds(&self, i: usize, reward: f64) -> f64 {
        self.parts.iter().map(|part| part.weight * part.scores.exceeds(i, reward)).sum()
    }

    /// Probability that candidate `i` scores above candidate `j`.
    pub fn beats(&self, i: usize, j: usize) -> f64 {
        self.parts.iter().map(|part| part.weight * part.scores.beats(i, j)).sum()
    }

    /// Expected reward of candidate `i`.
    pub fn mean(&self, i: usize) -> f64 {
        if let [part] = self.parts.as_slice() {
            return part.weight * part.scores.mean(i);
        }
        self.parts.iter().map(|part| part.weight * part.scores.mean(i)).sum()
    }

    /// Standard deviation of the expected reward within the models and between them, after the width multiplier.
    pub fn std(&self, i: usize) -> f64 {
        if let [part] = self.parts.as_slice() {
            return part.scores.std(i);
        }
        let mean = self.mean(i);
        let part = |part: &MixturePart| {
            part.weight * (math::square(part.scores.std(i)) + math::square(part.scores.mean(i) - mean))
        };
        self.parts.iter().map(part).sum::<f64>().sqrt()
    }
}

#[cfg(test)]
mod tests;
