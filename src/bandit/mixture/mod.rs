//! What the models of a portfolio say together.

use super::score::Scores;
use crate::stats::math;

/// A model's part in a decision.
#[derive(Debug, Clone, PartialEq)]
pub struct MixturePart {
    /// The probability that this model decides; all parts' add up to 1.
    pub weight: f64,
    /// The model's name.
    pub name: &'static str,
    /// What it says.
    pub scores: Scores,
}

/// A mixture of models: each decides with its weight. The same candidates in all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture {
    parts: Vec<MixturePart>,
}

impl Mixture {
    /// Of these parts, whose weights are brought to add up to 1. RowFeatures with numbers that cannot be used are left
    /// out; none: there was no other.
    pub fn new(mut parts: Vec<MixturePart>) -> Option<Self> {
        parts.retain(|part| part.scores.finite() && part.weight > 0.0);
        let total: f64 = parts.iter().map(|part| part.weight).sum();
        for part in &mut parts {
            part.weight /= total;
        }
        (!parts.is_empty() && total.is_finite()).then_some(Self { parts })
    }

    /// Of one model.
    pub fn single(scores: Scores, name: &'static str) -> Option<Self> {
        Self::new(vec![MixturePart { weight: 1.0, name, scores }])
    }

    /// The parts, heaviest first.
    pub fn parts(&self) -> &[MixturePart] {
        &self.parts
    }

    /// Number of candidates.
    pub fn len(&self) -> usize {
        self.parts.first().map_or(0, |part| part.scores.len())
    }

    /// No candidates.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Of these candidates only, in this order.
    #[must_use]
    pub fn only(&self, kept: &[usize]) -> Self {
        let only = |part: &MixturePart| MixturePart { scores: part.scores.only(kept), ..*part };
        Self { parts: self.parts.iter().map(only).collect() }
    }

    /// The same with each candidate's expected reward times its factor; see [`Scores::boosted`].
    #[must_use]
    pub fn boosted(&self, factors: &[f64]) -> Self {
        let boost = |part: &MixturePart| MixturePart { scores: part.scores.boosted(factors), ..*part };
        Self { parts: self.parts.iter().map(boost).collect() }
    }

    /// Whether some of its scores are joint draws.
    pub fn has_joint_draws(&self) -> bool {
        self.parts.iter().any(|part| matches!(part.scores, Scores::Joint(_)))
    }

    /// The same with so many times the spread, as another width multiplier would make it; none: scores of this kind
    /// have to be formed anew.
    pub fn widened(&self, factor: f64) -> Option<Self> {
        let widen = |part: &MixturePart| Some(MixturePart { scores: part.scores.widened(factor)?, ..*part });
        Some(Self { parts: self.parts.iter().map(widen).collect::<Option<_>>()? })
    }

    /// The probability that candidate `i` scores above `reward`.
    pub fn exceeds(&self, i: usize, reward: f64) -> f64 {
        self.parts.iter().map(|part| part.weight * part.scores.exceeds(i, reward)).sum()
    }

    /// The probability that candidate `i` scores above candidate `j`.
    pub fn beats(&self, i: usize, j: usize) -> f64 {
        self.parts.iter().map(|part| part.weight * part.scores.beats(i, j)).sum()
    }

    /// The expected reward of candidate `i`.
    pub fn mean(&self, i: usize) -> f64 {
        if let [part] = self.parts.as_slice() {
            return part.weight * part.scores.mean(i);
        }
        self.parts.iter().map(|part| part.weight * part.scores.mean(i)).sum()
    }

    /// The standard deviation of that expectation, after the width multiplier: within the models and between them.
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
