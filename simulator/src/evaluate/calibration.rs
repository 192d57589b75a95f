//! Check of the logged propensities.
//!
//! If the propensities are right, the weights of every policy average 1, provided that the log could show all that the
//! policy would. Three policies are checked:
//!
//! * uniform choice;
//! * each arm alone: the sum of 1/p over the decisions that showed the arm is about the number of those that could
//!   have;
//! * the log's own shares: a policy that shows each arm as often as the log did so far. It resembles the log, so its
//!   weights are of moderate size and their mean is known well even if some propensities are tiny.
//!
//! Only propensities that are too small can push a mean above 1, since decisions that did not happen add nothing to it.
//! A mean below 1 has several possible causes: propensities that are too large; arms that could not be shown at times
//! (retired, excluded by a rule, or never chosen by a greedy policy); or weights so large and rare that none of them
//! occurred. A log does not tell these apart, so only a mean above 1 is reported as an error.

use serde::{Deserialize, Serialize};

use crate::evaluate::logged::{Log, LoggedRow, OfferedArms};
use slotwise::evaluate::off_policy::WeightSummary;

/// Number of standard errors beyond which a mean counts as wrong. A right mean lies beyond it in 6 of 100,000 cases.
const ERRORS_MIN: f64 = 4.0;
/// Deviation of a mean from 1 that is accepted whatever its error, because logs write propensities with few digits.
const TOLERANCE: f64 = 2e-3;
/// Effective decisions that an arm's weights must have before the arm is checked.
const SHOWN_MIN: f64 = 30.0;
/// Number of decisions spread over the arms on offer before the log's own shares are known.
const PRIOR: f64 = 1.0;

/// Names of the checked policies in warnings.
const OWN_SHARES: &str = "the log's own shares";
const UNIFORM: &str = "a uniform policy";

/// Summary of the logged propensities and of the checks on them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Smallest propensity.
    pub smallest: f64,
    /// Largest propensity.
    pub largest: f64,
    /// Part of the decisions that were certain although there was a choice. The log says nothing of what the other arms
    /// would have earned there.
    pub certain: f64,
    /// Weights of uniform choice.
    pub uniform: WeightMean,
    /// Weights of the log's own shares.
    pub own_shares: WeightMean,
    /// Weights of every arm that was shown.
    pub arms: Vec<ArmWeights>,
    /// Warnings for the reader of the report.
    pub warnings: Vec<String>,
}

/// Mean of a policy's weights, which is 1 if the propensities are right.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WeightMean {
    /// The mean.
    pub mean: f64,
    /// Standard error of the mean.
    pub standard_error: f64,
    /// Number of the policy's own decisions that carry as much information.
    pub effective: f64,
}

/// Weights of one arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmWeights {
    /// Id of the arm.
    pub arm: String,
    /// Number of decisions that showed the arm.
    pub shown: u64,
    /// Number of decisions that could have shown the arm.
    pub offered: u64,
    /// Sum of 1/p over the decisions that showed the arm, divided by the number that could have.
    pub weights: WeightMean,
}

impl WeightMean {
    fn new(weights: impl Iterator<Item = f64> + Clone) -> Self {
        let WeightSummary { mean, standard_error, effective, .. } =
            // Draws are independent, also those for one subject.
            WeightSummary::new(weights.map(|weight| (0, weight)));
        Self { mean, standard_error, effective }
    }

    /// Deviation of the mean from 1 if chance cannot explain it, else 0.
    fn deviation(self) -> f64 {
        let off = self.mean - 1.0;
        let allowed = f64::max(ERRORS_MIN * self.standard_error, TOLERANCE);
        if off.abs() > allowed { off } else { 0.0 }
    }
}

impl Calibration {
    /// Checks a log's rows from `first` on, of which there must be at least one.
    pub fn new(log: &Log, first: usize) -> Self {
        let rows = &log.rows[first..];
        let each = |row: &LoggedRow| 1.0 / (log.offered(row) as f64 * row.propensity);
        let own = own_shares(log, rows);
        let certain = rows.iter().filter(|row| row.propensity >= 1.0 && log.offered(row) > 1).count();
        let mut calibration = Self {
            smallest: rows.iter().map(|row| row.propensity).fold(1.0, f64::min),
            largest: rows.iter().map(|row| row.propensity).fold(0.0, f64::max),
            certain: certain as f64 / rows.len() as f64,
            uniform: WeightMean::new(rows.iter().map(each)),
            own_shares: WeightMean::new(own.iter().copied()),
            arms: arms(log, rows),
            warnings: Vec::new(),
        };
        calibration.warnings = calibration.warn();
        calibration
    }

    fn warn(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let (uniform, own) = (self.uniform.deviation(), self.own_shares.deviation());
        let too_small: Vec<&ArmWeights> =
            self.arms.iter().filter(|arm| arm.is_known() && arm.weights.deviation() > 0.0).collect();
        if own > 0.0 || uniform > 0.0 || !too_small.is_empty() {
            let (what, of) = if own > 0.0 {
                (OWN_SHARES, self.own_shares)
            } else if uniform > 0.0 {
                (UNIFORM, self.uniform)
            } else {
                ("a single arm", too_small.first().map_or(self.uniform, |arm| arm.weights))
            };
            let arm = too_small.first().map_or_else(String::new, |arm| {
                format!(
                    " ('{}' was shown {} times, its propensities promise {:.0})",
                    arm.arm,
                    arm.shown,
                    arm.expected_count()
                )
            });
            warnings.push(format!(
                "the logged propensities are off: the weights of {what} average {:.3} ± {:.3} where it must be 1; they are too small by about that factor{arm}; \
                 do not trust what is estimated with them",
                of.mean, of.standard_error
            ));
        } else if own < 0.0 || uniform < 0.0 {
            let (what, of) = if own < 0.0 { (OWN_SHARES, self.own_shares) } else { (UNIFORM, self.uniform) };
            warnings.push(format!(
                "the weights of {what} average {:.3} ± {:.3}, less than 1: some arms could not be shown at times, or hardly ever, and what they would earn \
                 there this log cannot tell; or its propensities are too large, which it cannot tell either",
                of.mean, of.standard_error
            ));
        }
        if self.certain > 0.0 {
            warnings.push(format!(
                "{:.1} % of the decisions were certain although there was a choice: what else would have earned there, this log cannot tell",
                100.0 * self.certain
            ));
        }
        warnings
    }
}

impl ArmWeights {
    /// Returns `true` if the arm's weights are known well enough to be checked.
    fn is_known(&self) -> bool {
        self.weights.effective >= SHOWN_MIN
    }

    /// Number of times that the arm would have been shown if its propensities were right.
    fn expected_count(&self) -> f64 {
        self.shown as f64 / self.weights.mean
    }
}

/// The weights of a policy that shows the arms on offer as often as the log did before.
fn own_shares(log: &Log, rows: &[LoggedRow]) -> Vec<f64> {
    let mut shown = vec![0.0; log.arms.len()];
    let mut all = 0.0;
    let mut weights = Vec::with_capacity(rows.len());
    for row in rows {
        let offered = log.offered(row) as f64;
        let of_offered: f64 = match &row.offered {
            OfferedArms::All | OfferedArms::Affinities(_) => all,
            OfferedArms::Listed(listed) => listed.iter().map(|(arm, _)| shown[*arm]).sum(),
        };
        let share = (shown[row.arm] + PRIOR / offered) / (of_offered + PRIOR);
        weights.push(share / row.propensity);
        shown[row.arm] += 1.0;
        all += 1.0;
    }
    weights
}

/// Weights by arm, for each arm that was shown: the weights of a policy that shows it wherever it can, over the
/// decisions that could have.
fn arms(log: &Log, rows: &[LoggedRow]) -> Vec<ArmWeights> {
    #[derive(Clone, Copy, Default)]
    struct Sums {
        shown: u64,
        offered: u64,
        weight: f64,
        weight_sq: f64,
    }
    let mut sums = vec![Sums::default(); log.arms.len()];
    let mut everywhere = 0;
    for row in rows {
        match &row.offered {
            OfferedArms::All | OfferedArms::Affinities(_) => everywhere += 1,
            OfferedArms::Listed(listed) => listed.iter().for_each(|(arm, _)| sums[*arm].offered += 1),
        }
        let of = &mut sums[row.arm];
        of.shown += 1;
        of.weight += 1.0 / row.propensity;
        of.weight_sq += (1.0 / row.propensity).powi(2);
    }
    let shown = log.arms.iter().zip(sums).filter(|(_, of)| of.shown > 0);
    shown
        .map(|(arm, Sums { shown, offered, weight, weight_sq })| {
            let offered = offered + everywhere;
            let n = offered as f64;
            let mean = weight / n;
            let var = if offered > 1 { (weight_sq / n - mean * mean).max(0.0) / (n - 1.0) } else { 0.0 };
            let weights = WeightMean { mean, standard_error: var.sqrt(), effective: weight * weight / weight_sq };
            ArmWeights { arm: arm.id.to_string(), shown, offered, weights }
        })
        .collect()
}
