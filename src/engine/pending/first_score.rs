//! Score of the arm at the first position of a pending decision, as it was when the arm was drawn.

use crate::stats::{DecisionWeight, ScoredArm};

/// Score of a decision's first position, until the decision leaves. The figures "if everybody got it" need it when the
/// reward is known. *Persisted* in the head of a decision, in this order, numbers little endian.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::engine) struct FirstScore {
    /// The reward counts in the figures already.
    pub(in crate::engine) settled: bool,
    /// Arm, by its index in the learner.
    pub(in crate::engine) arm: u32,
    /// Group of the decision's subject.
    pub(in crate::engine) group: u8,
    /// Expected reward.
    pub(in crate::engine) expected: f32,
    /// Propensity.
    pub(in crate::engine) propensity: f32,
    /// Stabilised weight.
    pub(in crate::engine) stabilised: f32,
    /// Base-2 logarithm of the weight by time.
    pub(in crate::engine) log_weight: f64,
}

/// First byte of a decision without a score, of one whose score waits for the reward, and of one whose reward is known.
const NONE: u8 = 0;
const OPEN: u8 = 1;
const SETTLED: u8 = 2;

impl FirstScore {
    /// Number of bytes.
    pub(super) const BYTES: usize = 26;

    /// Returns the bytes of a score or of none.
    pub(super) fn to_bytes(score: Option<&Self>) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let Some(Self { settled, arm, group, expected, propensity, stabilised, log_weight }) = score else {
            return bytes;
        };
        bytes[0] = if *settled { SETTLED } else { OPEN };
        bytes[1] = *group;
        bytes[2..6].copy_from_slice(&expected.to_le_bytes());
        bytes[6..10].copy_from_slice(&propensity.to_le_bytes());
        bytes[10..14].copy_from_slice(&stabilised.to_le_bytes());
        bytes[14..18].copy_from_slice(&arm.to_le_bytes());
        bytes[18..].copy_from_slice(&log_weight.to_le_bytes());
        bytes
    }

    /// Reads bytes, or returns `None` if they hold no score.
    pub(super) fn from_bytes(bytes: &[u8; Self::BYTES]) -> Option<Self> {
        let single = |at: usize| Some(f32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        (bytes[0] != NONE).then_some(())?;
        Some(Self {
            settled: bytes[0] == SETTLED,
            arm: u32::from_le_bytes(*bytes.get(14..)?.first_chunk()?),
            group: bytes[1],
            expected: single(2)?,
            propensity: single(6)?,
            stabilised: single(10)?,
            log_weight: f64::from_le_bytes(*bytes.last_chunk()?),
        })
    }

    /// Writes into the first of these bytes that the reward is known.
    pub(super) fn mark_settled(bytes: &mut [u8]) {
        if let Some(first) = bytes.first_mut().filter(|first| **first == OPEN) {
            *first = SETTLED;
        }
    }

    /// Arm as it was scored. Its spread is not kept.
    pub(in crate::engine) fn scored(&self) -> ScoredArm {
        ScoredArm { expected: self.expected.into(), spread: 0.0, propensity: self.propensity.into() }
    }

    /// Weight of the decision, where decisions of the base-2 logarithm `unit` weigh 1.
    pub(in crate::engine) fn weight(&self, unit: f64) -> DecisionWeight {
        DecisionWeight { stabilised: self.stabilised.into(), fading: crate::stats::math::exp2(self.log_weight - unit) }
    }
}
