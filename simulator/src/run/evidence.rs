//! Evidence of the replications for each check.

use crate::{
    run::check::Evidence,
    run::episode::{BUCKETS, PolicyTally, REPORTED_PROBES, Replication, RewardSum, change, click_probe, share},
    scenario::{Check, Metric, Scenario},
};

/// Variance below which a bin's statistic is not normal.
const VARIANCE_MIN: f64 = 5.0;

fn per(sum: f64, count: u64) -> Option<f64> {
    (count > 0).then(|| sum / count as f64)
}

/// Returns a policy's number in one replication, or `None` if it had no occasion.
fn value(scenario: &Scenario, check: &Check, tally: &PolicyTally) -> Option<f64> {
    let whole = || {
        if let Some(name) = &check.touchpoint {
            let at = scenario.touchpoints.iter().position(|touchpoint| touchpoint.name == *name);
            return at.and_then(|at| tally.touchpoints.get(at)).copied().unwrap_or_default();
        }
        let segment = check.segment.as_ref();
        let at = segment.and_then(|name| scenario.shoppers.segments.iter().position(|segment| segment.name == *name));
        at.map_or_else(|| tally.total(), |at| tally.segments[at])
    };
    let regret = |sum: RewardSum| per(sum.regret, sum.decisions);
    match check.metric {
        Metric::RewardPerDecision | Metric::Lift => per(whole().reward, whole().decisions),
        Metric::RegretPerDecision => regret(whole()),
        Metric::RegretLastTenth => regret(tally.part(BUCKETS * 9 / 10..BUCKETS)),
        Metric::DecisionsToAdapt => {
            let at = place(scenario, check, |check| change(scenario, check).is_some());
            tally.adapted.get(at).copied()
        }
        Metric::ClicksToAdapt => {
            let probe = click_probe(scenario, check)?;
            let at = place(scenario, check, |check| click_probe(scenario, check).is_some());
            tally.clicks.get(REPORTED_PROBES.len().saturating_add(at))?.clicks_to_adapt(probe.within)
        }
        Metric::Share => {
            let at = place(scenario, check, |check| share(scenario, check).is_some());
            tally.shares.get(at).and_then(|&(shown, all)| per(shown as f64, all))
        }
        Metric::CountedError => Some(tally.counted_error),
        Metric::FallbackShare => per(tally.fallbacks as f64, tally.decisions),
        Metric::P99Latency => tally.calls.as_ref().map(|calls| calls.decide.quantile_us(0.99) as f64 / 1e3),
        Metric::IntervalCoverage
        | Metric::PopulationCoverage
        | Metric::FiguresShown
        | Metric::WhoWantsWhat
        | Metric::RightArm
        | Metric::PropensityCalibration
        | Metric::FalseConfidence => None,
    }
}

/// Returns the position of a check among those of its kind.
fn place(scenario: &Scenario, check: &Check, kind: impl Fn(&Check) -> bool) -> usize {
    let mut of_kind = scenario.check.iter().filter(|check| kind(check));
    of_kind.position(|known| std::ptr::eq(known, check)).unwrap_or(usize::MAX)
}

/// Returns the evidence of the replications for a check of the scenario.
pub(super) fn evidence(scenario: &Scenario, check: &Check, replications: &[Replication]) -> Evidence {
    let of_name = |name: &Option<String>| {
        name.as_ref().and_then(|name| scenario.policies.iter().position(|policy| policy.name == *name))
    };
    let policy = of_name(&check.policy).unwrap_or(0);
    let tallies = || replications.iter().map(|replication| &replication.policies[policy]);
    let count = replications.len() as u64;
    if replications.is_empty() {
        return Evidence::Nothing;
    }
    match check.metric {
        Metric::P99Latency if tallies().all(|tally| tally.calls.is_none()) => Evidence::NotApplicable,
        Metric::P99Latency => Evidence::Mean(tallies().filter_map(|tally| value(scenario, check, tally)).collect()),
        Metric::IntervalCoverage => {
            let (pending, all) = tallies().fold((0, 0), |(a, b), t| (a + t.covered.0, b + t.covered.1));
            proportion(pending, all, count)
        }
        Metric::PopulationCoverage => {
            let (held, all) = tallies().fold((0, 0), |(a, b), t| (a + t.figures_held.0, b + t.figures_held.1));
            proportion(held, all, count)
        }
        Metric::FiguresShown => {
            let (shown, all) = tallies().fold((0, 0), |(a, b), t| (a + t.figures_held.1, b + t.figures));
            proportion(shown, all, count)
        }
        Metric::WhoWantsWhat => proportion(tallies().filter(|t| t.says_who_wants_what).count() as u64, count, count),
        Metric::RightArm => proportion(tallies().filter(|t| t.says_right_arm).count() as u64, count, count),
        Metric::FalseConfidence => proportion(tallies().filter(|t| t.falsely_sure).count() as u64, count, count),
        Metric::PropensityCalibration => promises(tallies()),
        Metric::RewardPerDecision
        | Metric::Lift
        | Metric::RegretPerDecision
        | Metric::RegretLastTenth
        | Metric::DecisionsToAdapt
        | Metric::ClicksToAdapt
        | Metric::Share
        | Metric::CountedError
        | Metric::FallbackShare => {
            let Some(over) = of_name(&check.over) else {
                return Evidence::Mean(tallies().filter_map(|tally| value(scenario, check, tally)).collect());
            };
            let pairs = replications.iter().filter_map(|replication| {
                let of = |policy: usize| value(scenario, check, &replication.policies[policy]);
                of(policy).zip(of(over))
            });
            if check.metric == Metric::Lift {
                Evidence::Lift(pairs.collect())
            } else {
                Evidence::Mean(pairs.map(|(own, other)| own - other).collect())
            }
        }
    }
}

fn proportion(successes: u64, trials: u64, replications: u64) -> Evidence {
    if trials == 0 { Evidence::Nothing } else { Evidence::Proportion { successes, trials, replications } }
}

fn promises<'a>(tallies: impl Iterator<Item = &'a PolicyTally> + Clone) -> Evidence {
    let bins = tallies.clone().next().map_or(0, |tally| tally.propensity.len());
    let (mut chi_squared, mut degrees) = (0.0, 0);
    for bin in 0..bins {
        let (mut promised, mut variance, mut happened) = (0.0, 0.0, 0);
        for of in tallies.clone().map(|tally| tally.propensity[bin]) {
            promised += of.promised;
            variance += of.variance;
            happened += of.happened;
        }
        if variance >= VARIANCE_MIN {
            chi_squared += (happened as f64 - promised).powi(2) / variance;
            degrees += 1;
        }
    }
    // Certainties have no variance: probabilities of 0 and 1 must have come true.
    let mismatches = tallies.map(|tally| tally.mismatches).sum();
    Evidence::PropensityTest { chi_squared, degrees, mismatches }
}
