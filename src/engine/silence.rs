//! Effects of time on a slot: silence is learned, windows close, and the position model fades.

use super::{closed::Told, finished::PENDING_ROOM, packed, state::SlotState};
use crate::{
    bandit::ClickModel,
    slot::Learning,
    stats::{QuantileSketch, math},
};

/// Share of all delays so far that must be shorter than a silence before it counts as the default reward.
const SILENCE_SHARE: f64 = 0.95;

/// Largest number of decisions that one event closes, or whose silence it learns, so that no event takes seconds. The
/// next event continues.
const AT_ONCE_MAX: usize = 64;

/// Smallest decay in which the position model fades.
const FADE_STEP: f64 = 1e-3;

impl SlotState {
    /// Drops the pending decisions whose window and grace period are over, and the oldest ones if there are too many.
    /// Each is learned first, if it was not before, and kept as finished if it was rewarded.
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

    /// Learns silence that has lasted long enough: longer than 95 % of all delays so far, or overtaken by rewards of
    /// later decisions by more than 95 % of all lags so far. Where rewards are reported in batches, a batch thereby
    /// ends the silence of all decisions that it covers.
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

    /// Returns the 95 % quantile of the sketch, at most the reward window, in microseconds. If the sketch is empty,
    /// returns the window.
    #[expect(clippy::cast_possible_truncation, reason = "a quantile of microseconds is one")]
    fn most(&self, of: &QuantileSketch) -> i64 {
        let window_us = self.definition.goal.window_us;
        of.quantile(SILENCE_SHARE).map_or(window_us, |us| (us.ceil() as i64).min(window_us))
    }

    /// Time within which most rewards arrive, microseconds.
    pub(super) fn patience_us(&self) -> i64 {
        self.most(&self.delays)
    }

    /// Fades the position model, once the decay is worth a step.
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
