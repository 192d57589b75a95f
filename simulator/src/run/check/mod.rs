//! Checks: evidence over replications, Holm's correction over all checks, and one sentence each.
//!
//! * [`Evidence`]: measurements, with their p-value against bounds.
//! * [`holm_adjusted`]: p-values corrected for the number of checks.
//! * [`check_outcomes`]: outcomes of checks from their evidence.
//!
//! Invariant: an outcome is a pass or a fail only if chance is ruled out with the check's confidence after Holm's
//! correction. The probability that any outcome of a run is wrong is therefore at most 1 − confidence.

mod evidence;

pub use evidence::{Bounds, Evidence, Measured, lift, mean};

use crate::{
    report::{
        CheckOutcome, CheckReport,
        sentence::{name, sentence},
    },
    scenario::{Check, Metric, Scenario},
};

/// Returns each p-value as it counts among all of them: Holm, "A simple sequentially rejective multiple test
/// procedure" (1979).
pub fn holm_adjusted(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut most: f64 = 0.0;
    for (rank, &i) in order.iter().enumerate() {
        most = most.max((p.len() - rank) as f64 * p[i]).min(1.0);
        adjusted[i] = most;
    }
    adjusted
}

/// Returns the outcomes of checks from their evidence, in order.
pub fn check_outcomes(scenario: &Scenario, checks: &[Check], evidence: &[Evidence]) -> Vec<CheckReport> {
    let bounds = |check: &Check| Bounds { min: check.min, max: check.max };
    let p: Vec<Option<f64>> = checks.iter().zip(evidence).map(|(check, of)| of.p_value(bounds(check))).collect();
    let known: Vec<f64> = p.iter().flatten().copied().collect();
    let mut adjusted = holm_adjusted(&known).into_iter();
    let checks = checks.iter().zip(evidence).zip(p);
    checks
        .map(|((check, evidence), p_value)| {
            let p_adjusted = p_value.and_then(|_| adjusted.next());
            let tail = 1.0 - check.confidence;
            let decided = p_adjusted.is_some_and(|p| p <= tail);
            let estimate = evidence.estimate();
            let outcome = match (estimate, check.metric) {
                (None, _) if *evidence == Evidence::NotApplicable => CheckOutcome::Skipped,
                (None, _) => CheckOutcome::Inconclusive,
                // Propensities count as right until they are shown to be wrong.
                (Some(_), Metric::PropensityCalibration) if decided => CheckOutcome::Fail,
                (Some(_), Metric::PropensityCalibration) => CheckOutcome::Pass,
                (Some(_), _) if !decided => CheckOutcome::Inconclusive,
                (Some(estimate), _) if bounds(check).hold(estimate) => CheckOutcome::Pass,
                (Some(_), _) => CheckOutcome::Fail,
            };
            let interval = evidence.interval(check.confidence);
            let needed = (outcome == CheckOutcome::Inconclusive)
                .then(|| evidence.replications_needed(bounds(check), tail / known.len().max(1) as f64));
            let first = scenario.policies.first().map_or("", |policy| policy.name.as_str());
            let mut report = CheckReport {
                name: name(check, first),
                metric: check.metric.name().to_owned(),
                policy: check.policy.clone().unwrap_or_else(|| first.to_owned()),
                over: check.over.clone(),
                min: check.min,
                max: check.max,
                confidence: check.confidence,
                outcome,
                estimate,
                low: interval.map(|(low, _)| low),
                high: interval.map(|(_, high)| high),
                p_value,
                p_adjusted,
                replications_needed: needed.flatten(),
                sentence: String::new(),
            };
            report.sentence = sentence(check, &report);
            report
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by hand with the paper's rule: 0.01·4, 0.02·3, 0.03·2 = 0.06 as before, 0.5·1.
    #[test]
    fn holm_multiplies_by_the_remaining_checks_and_never_falls() {
        let adjusted = holm_adjusted(&[0.5, 0.01, 0.03, 0.02]);
        for (got, want) in adjusted.iter().zip([0.5, 0.04, 0.06, 0.06]) {
            assert!((got - want).abs() < 1e-12, "{adjusted:?}");
        }
        assert_eq!(holm_adjusted(&[0.9, 0.8]), [1.0, 1.0]);
        assert_eq!(holm_adjusted(&[]), [0.0; 0]);
    }

    fn outcomes(checks: &str, evidence: &[Evidence]) -> Vec<(CheckOutcome, Option<u64>)> {
        #[derive(serde::Deserialize)]
        struct Checks {
            check: Vec<Check>,
        }
        let checks: Checks = toml::from_str(checks).unwrap();
        let scenario = crate::scenario::load("offer", &crate::scenario::Changes::default()).unwrap().scenario;
        let reports = check_outcomes(&scenario, &checks.check, evidence);
        reports.into_iter().map(|report| (report.outcome, report.replications_needed)).collect()
    }

    /// Twenty numbers around 1 ± 0.1 are distinguishable from 0.95 alone (t = 2.2, p = 0.02), but not as one of six
    /// such checks.
    #[test]
    fn each_of_many_checks_needs_stronger_evidence() {
        let values: Vec<f64> = (0..20).map(|i| 1.0 + if i % 2 == 0 { 0.1 } else { -0.1 }).collect();
        let check = "[[check]]\nmetric = \"reward_per_decision\"\nmin = 0.95\n";
        let one = outcomes(check, &[Evidence::Mean(values.clone())]);
        assert_eq!(one, [(CheckOutcome::Pass, None)]);
        let six = outcomes(&check.repeat(6), &vec![Evidence::Mean(values); 6]);
        assert!(
            six.iter().all(|(outcome, needed)| *outcome == CheckOutcome::Inconclusive && needed.is_some()),
            "{six:?}"
        );
    }

    #[test]
    fn values_beyond_a_bound_fail_and_checks_without_measurements_are_skipped() {
        let checks = "[[check]]\nmetric = \"share\"\narm = \"none\"\nmax = 0\n[[check]]\nmetric = \"p99_latency\"\nmax = 5\n\
                      [[check]]\nmetric = \"propensity_calibration\"";
        let shown = Evidence::Mean(vec![0.1, 0.11, 0.09, 0.1]);
        let kept = Evidence::PropensityTest { chi_squared: 9.0, degrees: 10, mismatches: 0 };
        let got = outcomes(checks, &[shown, Evidence::NotApplicable, kept]);
        assert_eq!(
            got.iter().map(|g| g.0).collect::<Vec<_>>(),
            [CheckOutcome::Fail, CheckOutcome::Skipped, CheckOutcome::Pass]
        );
    }

    /// The run finished no replication, so not even propensities are known to be right.
    #[test]
    fn checks_without_evidence_are_inconclusive() {
        let checks = "[[check]]\nmetric = \"p99_latency\"\nmax = 5\n[[check]]\nmetric = \"propensity_calibration\"";
        let got = outcomes(checks, &[Evidence::Nothing, Evidence::Nothing]);
        assert_eq!(got, [(CheckOutcome::Inconclusive, None); 2]);
    }
}
