//! Delays of rewards, and how long silence must last before it counts as the default reward.
//!
//! Rewards come early or late, and silence never ends by itself. If the silence of a decision were learned only once nearly all
//! rewards have had their time, the first minutes of a slot, or of a new arm, would consist of rewards: its rate would look
//! far too high. If it were learned at once, the rate would look far too low. So silence is learned at the pace of the
//! rewards: at any age, as many silent decisions are learned as keep the rate of rewards what it will be in the end. A reward that comes after its
//! silence was learned revises it.

use serde::{Deserialize, Serialize};

use crate::{
    engine::pending::{AGES, STRATA},
    stats::QuantileSketch,
};

/// Share of all delays so far that must be shorter than a silence before it counts as the default reward for certain.
const SILENCE_SHARE: f64 = 0.95;
/// Number of decisions beyond which both counts of the rate are halved, so that old rewards fade.
const MATURED_MAX: f64 = 10_000.0;
/// Greatest rate that is assumed, as no reward is certain.
const RATE_MAX: f64 = 0.99;

/// Quantiles of the delays of a slot's rewards, and of how far later decisions overtake them. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct DelayModel {
    /// Times from a decision to the first event that counts for an arm that it showed, microseconds.
    delays: QuantileSketch,
    /// Time of the newest decision that was ever rewarded, microseconds since 1970.
    watermark_us: i64,
    /// Times from a decision to the watermark at the moment its first event arrived, microseconds.
    lags: QuantileSketch,
    /// Arms that were shown and rewarded, faded.
    rewarded: f64,
    /// Arms that were shown, each counted by the share of rewards that would have come by its age, faded.
    matured: f64,
    /// Ages at which shown arms are counted in `matured`.
    ages: [SilenceAge; AGES],
    /// Ages at which the silence of each stratum is learned.
    strata: [SilenceAge; STRATA],
}

/// Age of a silence. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct SilenceAge {
    /// Time since the decision, microseconds.
    delay_us: i64,
    /// Time from the decision to the newest decision that was ever rewarded, microseconds.
    lag_us: i64,
}

impl SilenceAge {
    /// No silence has this age.
    const NEVER: Self = Self { delay_us: i64::MAX, lag_us: i64::MAX };
}

impl Default for DelayModel {
    fn default() -> Self {
        Self {
            delays: QuantileSketch::new(),
            watermark_us: i64::MIN,
            lags: QuantileSketch::new(),
            rewarded: 0.0,
            matured: 0.0,
            ages: [SilenceAge::NEVER; AGES],
            strata: [SilenceAge::NEVER; STRATA],
        }
    }
}

impl DelayModel {
    /// Returns whether the model may be that of rewards up to the time `until_us`, microseconds since 1970.
    pub(in crate::engine) fn is_consistent(&self, until_us: i64) -> bool {
        let is_age = |age: &SilenceAge| age.delay_us >= 0 && age.lag_us >= 0;
        let counts = [self.rewarded, self.matured];
        self.delays.is_consistent()
            && self.lags.is_consistent()
            && (self.watermark_us == i64::MIN || (0..=until_us).contains(&self.watermark_us))
            && counts.iter().all(|count| *count >= 0.0 && count.is_finite())
            && self.ages.iter().chain(&self.strata).all(is_age)
    }

    /// Observes the first event, at `at_us`, of an arm that a decision at `decided_us` showed.
    pub(in crate::engine) fn observe(&mut self, at_us: i64, decided_us: i64) {
        self.delays.observe((at_us - decided_us) as f64);
        self.lags.observe(self.watermark_us.saturating_sub(decided_us).max(0) as f64);
        self.watermark_us = self.watermark_us.max(decided_us);
        self.rewarded += 1.0;
        self.ages = std::array::from_fn(|k| self.age_of(middle(k, AGES)));
        let rate = self.rate();
        self.strata = std::array::from_fn(|k| {
            let part = middle(k, STRATA);
            self.age_of(part / (1.0 - rate + rate * part))
        });
    }

    /// Counts this many shown arms of decisions that reached the next of the [`AGES`].
    pub(in crate::engine) fn mature(&mut self, shown: f64) {
        self.matured += shown / AGES as f64;
        if self.matured > MATURED_MAX {
            (self.matured, self.rewarded) = (0.5 * self.matured, 0.5 * self.rewarded);
        }
    }

    /// Rate of rewards per shown arm: the rewards so far for the arms that were shown, of which each counts by the share of rewards
    /// that would have come by now.
    fn rate(&self) -> f64 {
        (self.rewarded / self.matured.max(self.rewarded).max(1.0)).min(RATE_MAX)
    }

    /// Returns the age by which this share of rewards have come, at most the 95 % quantile.
    fn age_of(&self, share: f64) -> SilenceAge {
        let of = |sketch: &QuantileSketch| most(sketch, share.min(SILENCE_SHARE), i64::MAX);
        SilenceAge { delay_us: of(&self.delays), lag_us: of(&self.lags) }
    }

    /// Time within which most rewards arrive, microseconds; at most the reward window.
    pub(in crate::engine) fn patience_us(&self, window_us: i64) -> i64 {
        most(&self.delays, SILENCE_SHARE, window_us)
    }

    /// Returns the time before which decisions without events have been silent for long enough: longer than 95 % of
    /// all delays so far, or overtaken by rewards of later decisions by more than 95 % of all lags so far. Where rewards
    /// are reported in batches, a batch thereby ends the silence of all decisions that it covers.
    pub(in crate::engine) fn silent_before_us(&self, at_us: i64, window_us: i64) -> i64 {
        let by_delay_us = at_us.saturating_sub(most(&self.delays, SILENCE_SHARE, window_us));
        by_delay_us.max(self.watermark_us.saturating_sub(most(&self.lags, SILENCE_SHARE, window_us)))
    }

    /// Returns the times before which the silence of the decisions of each stratum is learned.
    ///
    /// If a share F of the rewards comes by some age, and the rate is p, then p·F of the decisions of that age are rewarded
    /// so far, and (1 − p)·F must be learned as silent for the rate to be p. That is the share u = (1 − p)·F / (1 − p·F) of
    /// those that are silent, so the stratum u is learned once F is u / (1 − p + p·u).
    ///
    /// # Source
    ///
    /// Chapelle, "Modeling Delayed Feedback in Display Advertising" (2014), §3: a silence that has not lasted long says
    /// little. Strata in place of weights keep an observation whole, so that a late reward takes it back exactly.
    pub(in crate::engine) fn strata_before_us(&self, at_us: i64, window_us: i64) -> [i64; STRATA] {
        let certain_us = self.silent_before_us(at_us, window_us);
        self.strata.map(|age| certain_us.max(self.before_us(at_us, age)))
    }

    /// Returns the times before which decisions have reached each of the [`AGES`].
    pub(in crate::engine) fn ages_before_us(&self, at_us: i64, window_us: i64) -> [i64; AGES] {
        let certain_us = self.silent_before_us(at_us, window_us);
        self.ages.map(|age| certain_us.max(self.before_us(at_us, age)))
    }

    /// Returns the time before which decisions have reached an age. None is later than the newest decision that was ever
    /// rewarded: while rewards are collected for the next batch, their absence says nothing.
    fn before_us(&self, at_us: i64, age: SilenceAge) -> i64 {
        let by_delay_us = at_us.saturating_sub(age.delay_us).min(self.watermark_us);
        by_delay_us.max(self.watermark_us.saturating_sub(age.lag_us))
    }
}

/// Middle of the `k`th of `n` equal parts of the interval from 0 to 1.
fn middle(k: usize, n: usize) -> f64 {
    (k as f64 + 0.5) / n as f64
}

/// Returns the quantile of the sketch, at most the reward window, in microseconds. If the sketch is empty, returns the window.
#[expect(clippy::cast_possible_truncation, reason = "a quantile of microseconds is one")]
fn most(sketch: &QuantileSketch, share: f64, window_us: i64) -> i64 {
    sketch.quantile(share).map_or(window_us, |us| (us.ceil() as i64).min(window_us))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

    use super::*;

    /// Decisions of any age, with exponential delays: the rewards that have come make up the rate among all that is learned, up
    /// to the width of a stratum.
    #[test]
    fn rewards_make_up_their_rate_at_any_age() {
        let mut rng = StdRng::seed_from_u64(4);
        for rate in [0.02, 0.3, 0.8] {
            let mut delays = DelayModel { matured: 5_000.0, rewarded: 5_000.0 * rate, ..DelayModel::default() };
            let now_us = 1_000_000_000;
            for _ in 0..9_000 {
                let delay = Duration::from_secs_f64(-rng.random::<f64>().ln());
                let delay_us = i64::try_from(delay.as_micros()).unwrap();
                delays.observe(now_us, now_us - delay_us);
            }
            // The rewards above counted for the rate, so it is set again.
            (delays.matured, delays.rewarded) = (5_000.0, 5_000.0 * rate - 1.0);
            delays.observe(now_us, now_us - 700_000);
            let before_us = delays.strata.map(|age| now_us - age.delay_us);
            for age_us in [300_000, 700_000, 1_500_000] {
                let come = 1.0 - (-(age_us as f64) / 1e6).exp();
                let learned = before_us.iter().filter(|&&before| now_us - age_us < before).count() as f64;
                let silent = (1.0 - rate * come) * learned / STRATA as f64;
                let exact = (1.0 - rate) * come;
                // Half a stratum, and the bins of the quantiles, which are too large by up to a tenth.
                let width = (1.0 - rate * come) * (0.5 / STRATA as f64 + 0.07);
                assert!((silent - exact).abs() <= width, "rate {rate}, age {age_us}: {silent} for {exact} ± {width}");
            }
        }
    }
}
