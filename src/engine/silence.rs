//! What time does to a slot: silence becomes a lesson, windows close, and what is known of positions fades.

use super::{closed::Told, finished::PENDING_ROOM, packed, state::SlotState};
use crate::{
    bandit::ClickModel,
    slot::Learning,
    stats::{QuantileSketch, math},
};

/// Of the delays of rewards so far, this share must have been shorter for silence to count as the default reward.
const SILENCE_SHARE: f64 = 0.95;

/// Decisions that one event closes, or whose silence it learns, at most: what is left waits for the next event, so
/// that none takes seconds.
const AT_ONCE_MAX: usize = 64;

/// Positions fade in steps of at least this part.
const FADE_STEP: f64 = 1e-3;

impl SlotState {
    /// Drops the decisions whose window and grace period are over, and the oldest where there are too many; what was not
    /// learned of them yet is learned now. Those that were rewarded are kept for their reversals.
    pub(super) fn close(&mut self, at_us: i64, mut told: Option<&mut Told<'_>>) {
        self.close_finished(at_us, told.as_deref_mut());
        let horizon_us = at_us.saturating_sub(self.definition.goal.patience_us());
        for _ in 0..AT_ONCE_MAX {
            let Some(ordinal) = self.pending.next_expired(horizon_us, PENDING_ROOM) else { return };
            self.learn(at_us, ordinal);
            if let Some(packed) = self.pending.drop_oldest(horizon_us) {
                self.forgotten.pending_decisions += u64::from(packed::at_us(&packed) >= horizon_us);
                self.finish(at_us, &packed, told.as_deref_mut());
            }
        }
    }

    /// Learns the silence that has lasted long enough: longer than 95 % of the delays there were, or overtaken
    /// by rewards of later decisions further than 95 % of rewards ever were (so where rewards are reported in
    /// batches, a batch tells of all that it covers).
    pub(super) fn learn_silence(&mut self, at_us: i64) {
        if self.accounting || self.definition.controls.freeze_learning() {
            return;
        }
        let quantile = |of: &QuantileSketch| self.most(of);
        let before_us = match self.definition.goal.learning {
            Learning::Eager => {
                at_us.saturating_sub(quantile(&self.delays)).max(self.watermark_us.saturating_sub(quantile(&self.lags)))
            }
            Learning::AtClose => at_us.saturating_sub(self.definition.goal.patience_us()),
        };
        for _ in 0..AT_ONCE_MAX {
            let Some(ordinal) = self.pending.next_waiting(before_us) else { return };
            self.learn(at_us, ordinal);
        }
    }

    /// 95 % of these microseconds were fewer; the window where none is known.
    #[expect(clippy::cast_possible_truncation, reason = "a quantile of microseconds is one")]
    fn most(&self, of: &QuantileSketch) -> i64 {
        let window_us = self.definition.goal.window_us;
        of.quantile(SILENCE_SHARE).map_or(window_us, |us| (us.ceil() as i64).min(window_us))
    }

    /// Rewards most often come within this time, microseconds.
    pub(super) fn patience_us(&self) -> i64 {
        self.most(&self.delays)
    }

    /// Lets what is known of the positions fade, once that is worth a step.
    pub(super) fn fade_positions(&mut self, at_us: i64) {
        let half_life_us = self.definition.controls.half_life_us();
        let retained = math::exp2(-((at_us - self.positions_faded_us) as f64 / half_life_us as f64));
        if retained < 1.0 - FADE_STEP {
            let retained = retained.max(f64::MIN_POSITIVE);
            self.positions.forget(retained);
            self.positions_ln_retained += math::ln(retained);
            self.positions_faded_us = at_us;
        }
    }

    pub(super) fn exposures(&self) -> Vec<f64> {
        let known = if self.definition.goal.click_model == ClickModel::PositionBased {
            self.definition.count() as usize
        } else {
            0
        };
        (0..known).map(|place| self.positions.exposure(place)).collect()
    }
}
