//! The truth about an arm, faded as the slot fades its observations.

/// True expected reward of an arm over the times it was shown, faded as the slot fades its observations.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FadedTruth {
    /// Faded sum of the true expected rewards.
    pub(super) sum: f64,
    /// Faded number of showings.
    pub(super) weight: f64,
    /// Time of the last showing.
    last_us: f64,
    /// Number of showings, without fading.
    pub(super) showings: u64,
}

impl FadedTruth {
    /// Adds the true expected reward of a decision at `at_us`.
    pub(super) fn add(&mut self, at_us: f64, half_life_us: f64, expected: f64) {
        // Answers can arrive out of order.
        let kept = (-(at_us - self.last_us).max(0.0) / half_life_us).exp2();
        self.sum = self.sum * kept + expected;
        self.weight = self.weight * kept + 1.0;
        self.last_us = self.last_us.max(at_us);
        self.showings += 1;
    }
}
