//! Distributions of single scores, in the form that the quadrature needs.

mod beta;
mod normal;
mod student;

use super::lanes::Nodes;

pub use beta::BetaScore;
pub(super) use beta::{rate_cdf, rate_support};
pub use normal::NormalScore;
pub use student::StudentScore;

/// Logarithm of the probability that lies outside a score's support on either side, 1e-10.
const LN_TAIL: f64 = -23.025_850_929_940_457;
/// Half-width of a normal's support, in standard deviations.
const NORMAL_TAIL: f64 = 6.4;
/// Spread relative to the magnitude of the mean below which a score is a point mass, as the spread is rounding error.
const POINT: f64 = 1e-13;

/// Continuous distribution over a line on which the scores of all candidates are compared.
///
/// The line need not be the reward's, as any monotone map keeps the order of the scores.
pub trait Marginal: Copy + PartialEq {
    /// Values at the nodes of a panel that all candidates' densities share, computed once.
    type Shared: Copy;

    /// Returns the shared values at `xs`.
    fn shared(xs: &Nodes) -> Self::Shared;
    /// Returns the densities at `xs`.
    fn densities(&self, xs: &Nodes, shared: &Self::Shared) -> Nodes;
    /// Returns the distribution function at `x`.
    fn cdf(&self, x: f64) -> f64;
    /// Interval that holds the mass except for a negligible rest on either side.
    fn support(&self) -> (f64, f64);
    /// Returns the length around `x` over which a polynomial of degree 15 follows the density well.
    fn panel_length(&self, x: f64) -> f64;
    /// Length of panels that suffices wherever there is mass.
    fn even_panel_length(&self) -> f64;
    /// Length by which a panel that begins above the support may reach into it, where hardly any mass lies.
    fn tail_reach(&self) -> f64 {
        0.45 * self.panel_length(self.support().1)
    }
    /// Value of a score without spread, or `None` if it has one.
    fn point_mass(&self) -> Option<f64>;
}
