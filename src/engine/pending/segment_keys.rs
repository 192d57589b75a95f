//! Values of context features by which the rewards of a pending decision are summed.

use crate::stats::WeightLevel;

/// Greatest number of features by which rewards are summed at a time.
pub const SEGMENT_FEATURES_MAX: usize = 8;

/// Values of the followed features of one decision: for each the feature's number, from 1, the place of its value, and the level of
/// the weight that the shown arm has among the decisions with that value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::engine) struct SegmentKeys([u8; SegmentKeys::BYTES]);

impl SegmentKeys {
    /// Number of bytes.
    pub(in crate::engine) const BYTES: usize = 3 * SEGMENT_FEATURES_MAX;

    /// Bytes of the keys.
    pub(in crate::engine) fn to_bytes(self) -> [u8; Self::BYTES] {
        self.0
    }

    /// Takes bytes.
    pub(in crate::engine) fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// Sets number and place at this index.
    pub(in crate::engine) fn set(&mut self, index: usize, feature: u8, place: u8) {
        (self.0[3 * index], self.0[3 * index + 1]) = (feature, place);
    }

    /// Sets the level of the shown arm's weight for the value at this index.
    pub(in crate::engine) fn set_level(&mut self, index: usize, level: WeightLevel) {
        self.0[3 * index + 2] = level.0;
    }

    /// Level of the shown arm's weight for the value at this index.
    pub(in crate::engine) fn level(self, index: usize) -> WeightLevel {
        WeightLevel(self.0[3 * index + 2])
    }

    /// Pairs of a feature's number and the place of its value.
    pub(in crate::engine) fn iter(self) -> impl Iterator<Item = (u8, u8)> {
        (0..SEGMENT_FEATURES_MAX)
            .map(move |i| (self.0[3 * i], self.0[3 * i + 1]))
            .take_while(|(feature, _)| *feature > 0)
    }
}
