//! Numbers only: the posteriors and the integrals that everything else rests on.
//!
//! * [`Cholesky`]: the factor of a precision matrix that grows and takes rank-one updates.
//! * [`Gaussian`]: posterior over the weights of a linear reward, with `observe`, `revise`, `forget`.
//! * [`Noise`]: the pooled noise variance beside it (inverse gamma).
//! * [`Beta`], [`NormalInverseGamma`]: the conjugate posteriors without features.
//! * [`Winners`]: the probability that each of several independent scores is the largest, by quadrature.
//! * [`WinnerCache`]: the same for one place, where most scores are as they were the last time.
//! * [`RewardSample`], [`mean_difference`], [`PairwiseTest`]: intervals and evidence that hold however often one looks.
//! * [`best`]: what a choice among them loses on average, and what another could still add.
//! * [`Moments`]: running mean and deviation.
//! * [`compact`]: numbers as few bytes, bit for bit.
//! * [`math`]: elementary functions that give the same bits on every processor.
//!
//! Invariants: everything here is a plain value and a pure function of its
//! arguments; a number that is not finite never enters a posterior; a posterior
//! that was updated stays positive definite.
//!
//! Deliberately not here: names of features, arms, time, randomness.

pub mod best;
mod beta;
mod cached_winners;
mod cholesky;
pub mod compact;
mod confidence;
mod gaussian;
mod lanes;
mod legendre;
mod marginal;
pub mod math;
mod moments;
mod nig;
mod noise;
mod quantiles;
mod special;
mod winners;

pub use beta::Beta;
pub use cached_winners::WinnerCache;
pub use cholesky::{Cholesky, NotPositiveDefinite};
pub use confidence::{Interval, PairwiseTest, REWARDS_MIN, RewardSample, mean_difference};
pub use gaussian::{Gaussian, Prediction, SparseVector};
#[cfg(test)]
pub(crate) use lanes::{SimdWidth, limit::with_width_limit};
pub use marginal::{BetaScore, Marginal, NormalScore, StudentScore};
pub use moments::Moments;
pub use nig::NormalInverseGamma;
pub use noise::Noise;
pub use quantiles::QuantileSketch;
pub use winners::Winners;
