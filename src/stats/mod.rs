//! Statistics without names or time: posteriors, and the integrals that propensities come from.
//!
//! * [`SymmetricMatrix`]: covariance that grows and takes rank-one updates, in tiles; [`Cholesky`]: factor of one.
//! * [`Gaussian`]: posterior over the weights of a linear reward, with `observe`, `revise` and `forget`.
//! * [`Noise`]: posterior of the noise variance that all Gaussians of a slot share (inverse gamma).
//! * [`Beta`], [`NormalInverseGamma`]: conjugate posteriors without features.
//! * [`Winners`]: probability that each of several independent scores is the largest, by quadrature.
//! * [`WinnerCache`]: the same probabilities for one position, with the work of earlier calls reused.
//! * [`RewardSample`], [`mean_difference`], [`PairwiseTest`]: intervals and evidence that stay valid however often
//!   one looks.
//! * [`RewardSums`], [`rate_interval`], [`reward_interval`]: interval of an arm's mean reward, for rates and for money.
//! * [`DoublyRobustSums`]: mean reward of an arm over all contexts, from a log with known propensities.
//! * [`GroupedSample`]: rewards by groups of subjects, and the design effect of subjects who come back.
//! * [`ratio_p_value`]: check of the ratio in which subjects were assigned to two groups.
//! * [`best`]: expected loss of choosing an arm, and the value that other arms could still add.
//! * [`PooledPrior`]: the prior of one arm's mean that all arms together suggest.
//! * [`Moments`]: running mean and deviation.
//! * [`Standardiser`]: robust, fading standardisation of a stream of numbers, with its sentinels.
//! * [`QuantileSketch`]: quantiles of a stream whose sizes differ by orders of magnitude.
//! * [`compact`]: encoding of numbers in few bytes, bit for bit.
//! * [`math`]: elementary functions that give the same bits on every processor.
//!
//! Invariants:
//!
//! * Everything here is a plain value or a pure function of its arguments.
//! * A number that is not finite never enters a posterior.
//! * A posterior stays positive definite after every update.
//!
//! Deliberately not here: names of features, arms, time and randomness.

pub mod best;
mod beta;
mod cached_winners;
mod cholesky;
pub mod compact;
mod confidence;
mod consistency;
mod doubly_robust;
mod gaussian;
mod grouped;
mod lanes;
mod legendre;
mod marginal;
pub mod math;
mod mean_interval;
mod mixing;
mod moments;
mod nig;
mod noise;
mod pairwise_test;
mod pooled;
mod quantiles;
mod ratio_check;
mod reward_sums;
mod special;
mod standardiser;
mod symmetric;
mod winners;

pub use beta::Beta;
pub use cached_winners::WinnerCache;
pub use cholesky::{Cholesky, NotPositiveDefinite};
pub use confidence::{Interval, REWARDS_MIN, RewardSample, mean_difference};
pub use consistency::{Inconsistency, ensure, is_positive};
pub use doubly_robust::{
    DecisionWeight, DoublyRobustFigure, DoublyRobustSums, FLOORS, GROUPS, RewardNoise, ScoredArm, WeightLevel,
};
pub use gaussian::{ConstantPrior, Gaussian, Prediction, SolvedRow, SparseVector};
pub use grouped::{GroupSum, GroupedSample};
#[cfg(test)]
pub(crate) use lanes::{SimdWidth, limit::with_width_limit};
pub use marginal::{BetaScore, Marginal, NormalScore, StudentScore};
pub use mean_interval::{REWARDED_MIN, RewardInterval, rate_interval, reward_interval};
pub use mixing::mixed;
pub use moments::Moments;
pub use nig::NormalInverseGamma;
pub use noise::Noise;
pub use pairwise_test::PairwiseTest;
pub use pooled::{ArmMean, PooledPrior};
pub use quantiles::QuantileSketch;
pub use ratio_check::{AssignedCounts, ratio_p_value};
pub use reward_sums::RewardSums;
pub use special::{normal_cdf, normal_quantile};
pub use standardiser::{StandardScore, Standardiser};
pub use symmetric::SymmetricMatrix;
pub use winners::Winners;
