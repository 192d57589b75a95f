//! Reduction of replications to the report's numbers about policies.

use std::collections::BTreeMap;

use super::following::{adaptation, deferred, touchpoints};
use crate::{
    load::tally::CallCounts,
    report::{
        ArmShare, Bucket, CalibrationBin, EventCounts, IntervalEstimate, Latency, Point, PolicyReport, PropensityBin,
        SegmentReport, TimelineMark,
    },
    run::check::{Measured, lift, mean},
    run::episode::{BUCKETS, LiveCalls, PROPENSITIES, PolicyTally, Replication, RewardSum, Setup},
    scenario::Scenario,
};

/// Confidence of estimates that no check asks for.
const CONFIDENCE: f64 = 0.95;
/// Maximum of arms whose shares are reported one by one.
const SHARES_MAX: usize = 8;
/// Number of calibration bins.
const BINS: usize = 10;
const DAY_US: f64 = 86_400e6;

/// The parts of a report that come from replications, apart from the checks.
pub(super) struct Reduced {
    pub(super) arms: u64,
    pub(super) days: f64,
    pub(super) buckets: Vec<Bucket>,
    pub(super) marks: Vec<TimelineMark>,
    pub(super) baseline: Option<String>,
    pub(super) policies: Vec<PolicyReport>,
}

pub(super) fn reduce(setup: &Setup<'_>, replications: &[Replication]) -> Reduced {
    let scenario = setup.scenario;
    let n = replications.len().max(1) as f64;
    let day = |at: usize| replications.iter().map(|r| r.ends_us[at] / DAY_US).sum::<f64>() / n;
    let baseline = baseline(scenario);
    let policies =
        (0..scenario.policies.len()).map(|policy| policy_report(setup, replications, policy, baseline)).collect();
    let generated = scenario.catalogue.generated.as_ref().map_or(0, |generated| u64::from(generated.count));
    Reduced {
        arms: scenario.catalogue.arms.len() as u64 + generated,
        days: day(BUCKETS - 1),
        buckets: buckets(scenario.horizon)
            .into_iter()
            .enumerate()
            .map(|(i, b)| Bucket { ends_day: day(i), ..b })
            .collect(),
        marks: marks(setup, replications),
        baseline: baseline.map(|baseline| scenario.policies[baseline].name.clone()),
        policies,
    }
}

fn buckets(horizon: u64) -> Vec<Bucket> {
    // The first decision of bucket i is the least index with ⌊100·index/horizon⌋ = i.
    let first = |i: usize| (i as u64 * horizon).div_ceil(BUCKETS as u64);
    (0..BUCKETS).map(|i| Bucket { from: first(i), until: first(i + 1), ends_day: 0.0 }).collect()
}

fn marks(setup: &Setup<'_>, replications: &[Replication]) -> Vec<TimelineMark> {
    let mut marks: Vec<TimelineMark> = setup
        .marks
        .iter()
        .enumerate()
        .filter_map(|(i, (_, what))| {
            let at: Vec<f64> = replications.iter().filter_map(|r| r.marks[i]).map(|index| index as f64).collect();
            (!at.is_empty()).then(|| TimelineMark { at: mean(&at).mean, what: what.clone() })
        })
        .collect();
    marks.sort_by(|a, b| a.at.total_cmp(&b.at));
    marks
}

/// Returns the policy that lifts are relative to, or `None` if there is only one policy.
fn baseline(scenario: &Scenario) -> Option<usize> {
    let named = |name: &str| scenario.policies.iter().position(|policy| policy.name == name);
    let chosen = scenario.baseline.as_deref().and_then(named).or_else(|| named("uniform"));
    (scenario.policies.len() > 1).then(|| chosen.unwrap_or(scenario.policies.len() - 1))
}

pub(super) fn estimate(measured: Measured) -> IntervalEstimate {
    let interval = measured.interval(CONFIDENCE);
    IntervalEstimate {
        mean: measured.mean,
        standard_error: measured.error,
        low: interval.map(|(low, _)| low),
        high: interval.map(|(_, high)| high),
        confidence: CONFIDENCE,
    }
}

pub(super) fn point(values: &[f64]) -> Point {
    let measured = mean(values);
    Point { mean: (!values.is_empty()).then_some(measured.mean), standard_error: measured.error }
}

pub(super) fn per(sum: f64, count: u64) -> f64 {
    if count > 0 { sum / count as f64 } else { 0.0 }
}

fn policy_report(
    setup: &Setup<'_>,
    replications: &[Replication],
    policy: usize,
    baseline: Option<usize>,
) -> PolicyReport {
    let spec = &setup.scenario.policies[policy];
    let tallies: Vec<&PolicyTally> = replications.iter().map(|r| &r.policies[policy]).collect();
    let wholes: Vec<RewardSum> = tallies.iter().map(|tally| tally.total()).collect();
    let each = |of: &dyn Fn(&PolicyTally, RewardSum) -> f64| {
        let values: Vec<f64> = tallies.iter().zip(&wholes).map(|(tally, whole)| of(tally, *whole)).collect();
        estimate(mean(&values))
    };
    let by_bucket = |of: fn(RewardSum) -> f64| -> Vec<Point> {
        let at = |i: usize| tallies.iter().map(move |tally| tally.buckets[i]).filter(|sum| sum.decisions > 0).map(of);
        (0..BUCKETS).map(|i| point(&at(i).collect::<Vec<f64>>())).collect()
    };
    let so_far = |i: usize| tallies.iter().map(move |tally| tally.part(0..i + 1).regret).collect::<Vec<f64>>();
    let all = |of: fn(&PolicyTally) -> u64| tallies.iter().map(|tally| of(tally)).sum::<u64>();
    let decisions = all(|tally| tally.decisions);
    PolicyReport {
        name: spec.name.clone(),
        overrides: spec.changes(),
        reward_per_decision: each(&|_, whole| per(whole.reward, whole.decisions)),
        given_per_decision: each(&|tally, whole| per(tally.given, whole.decisions)),
        regret_per_decision: each(&|_, whole| per(whole.regret, whole.decisions)),
        regret_total: each(&|_, whole| whole.regret),
        lift: over(replications, policy, baseline, PolicyTally::total),
        reward_by_bucket: by_bucket(|sum| per(sum.reward, sum.decisions)),
        regret_by_bucket: by_bucket(|sum| per(sum.regret, sum.decisions)),
        regret_so_far: (0..BUCKETS).map(|i| point(&so_far(i))).collect(),
        shares: shares(setup, &tallies),
        uniform_regret_per_decision: each(&|tally, whole| per(tally.uniform_regret, whole.decisions)).mean,
        calibration: calibration(&tallies),
        propensity: propensity(&tallies),
        segments: segments(setup, replications, policy, baseline),
        touchpoints: touchpoints(setup, replications, policy, baseline),
        adaptation: adaptation(setup, &tallies),
        deferred: deferred(&tallies),
        events: events(&tallies),
        exploring: per(all(|tally| tally.exploring) as f64, decisions),
        fallbacks: per(all(|tally| tally.fallbacks) as f64, decisions),
        holdout: per(all(|tally| tally.holdout) as f64, decisions),
        latency: latency(&tallies, |calls| &calls.decide),
        event_latency: latency(&tallies, |calls| &calls.record),
        failures: failures(&tallies),
    }
}

/// Returns the latencies of one kind of call over all replications, or `None` if none was measured.
pub(crate) fn latency(tallies: &[&PolicyTally], of: fn(&LiveCalls) -> &CallCounts) -> Option<Latency> {
    let mut each = tallies.iter().filter_map(|tally| tally.calls.as_deref()).map(of);
    let mut all = each.next()?.clone();
    each.for_each(|counted| all.add(counted));
    let ms = |us: u64| us as f64 / 1e3;
    let quantile = |part| ms(all.quantile_us(part));
    (all.count() > 0).then(|| Latency {
        count: all.count(),
        p50_ms: quantile(0.5),
        p90_ms: quantile(0.9),
        p99_ms: quantile(0.99),
        p999_ms: quantile(0.999),
        max_ms: ms(all.max_us()),
    })
}

fn failures(tallies: &[&PolicyTally]) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for calls in tallies.iter().filter_map(|tally| tally.calls.as_deref()) {
        for (why, count) in calls.decide.failures().iter().chain(calls.record.failures()) {
            *all.entry(why.clone()).or_default() += count;
        }
    }
    all
}

/// Returns the lift of a policy over the baseline in some part of the decisions, or `None` for the baseline itself.
pub(super) fn over(
    replications: &[Replication],
    policy: usize,
    baseline: Option<usize>,
    part: impl Fn(&PolicyTally) -> RewardSum,
) -> Option<IntervalEstimate> {
    let baseline = baseline.filter(|&baseline| baseline != policy)?;
    let pairs: Vec<(f64, f64)> = replications
        .iter()
        .map(|r| (part(&r.policies[policy]), part(&r.policies[baseline])))
        .filter(|(own, _)| own.decisions > 0)
        .map(|(own, other)| (per(own.reward, own.decisions), per(other.reward, other.decisions)))
        .collect();
    let measured = lift(&pairs);
    measured.mean.is_finite().then(|| estimate(measured))
}

fn events(tallies: &[&PolicyTally]) -> EventCounts {
    let mut sum = EventCounts::default();
    for tally in tallies {
        sum.add(tally.events);
    }
    sum
}

fn shares(setup: &Setup<'_>, tallies: &[&PolicyTally]) -> Vec<ArmShare> {
    let groups = setup.groups.len();
    let at = |bucket: usize, group: usize| -> u64 {
        tallies.iter().map(|tally| u64::from(tally.groups[bucket * groups + group])).sum()
    };
    let all_of = |bucket: usize| (0..groups).map(|group| at(bucket, group)).sum::<u64>();
    let all: Vec<u64> = (0..BUCKETS).map(all_of).collect();
    let whole: u64 = all.iter().sum();
    let mut order: Vec<(usize, u64)> =
        (0..groups).map(|group| (group, (0..BUCKETS).map(|bucket| at(bucket, group)).sum())).collect();
    // Groups come most shown first, and tied groups in the slot's order.
    order.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    let rest: Vec<usize> = order.iter().skip(SHARES_MAX).map(|(group, _)| *group).collect();
    let line = |name: &str, members: &[usize]| {
        let sum = |bucket: usize| members.iter().map(|&group| at(bucket, group)).sum::<u64>();
        let total: u64 = (0..BUCKETS).map(sum).sum();
        ArmShare {
            arm: name.to_owned(),
            share: per(total as f64, whole),
            by_bucket: (0..BUCKETS).map(|b| (all[b] > 0).then(|| per(sum(b) as f64, all[b]))).collect(),
        }
    };
    let mut lines: Vec<ArmShare> =
        order.iter().take(SHARES_MAX).map(|&(group, _)| line(&setup.groups[group], &[group])).collect();
    if !rest.is_empty() {
        lines.push(line("other", &rest));
    }
    lines
}

/// Returns bins of equal size, ordered by the predicted reward.
fn calibration(tallies: &[&PolicyTally]) -> Vec<CalibrationBin> {
    let mut pairs: Vec<(f64, f64)> = tallies.iter().flat_map(|tally| tally.calibration.iter().copied()).collect();
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let n = pairs.len();
    let bins = BINS.min(n);
    (0..bins)
        .map(|i| {
            let part = &pairs[i * n / bins..(i + 1) * n / bins];
            let count = part.len() as u64;
            let sum = part.iter().fold((0.0, 0.0), |(x, y), (a, b)| (x + a, y + b));
            CalibrationBin { count, predicted: per(sum.0, count), truth: per(sum.1, count) }
        })
        .collect()
}

fn propensity(tallies: &[&PolicyTally]) -> Vec<PropensityBin> {
    let bin = |i: usize| {
        let (mut count, mut promised, mut variance, mut happened) = (0, 0.0, 0.0, 0);
        for of in tallies.iter().map(|tally| tally.propensity[i]) {
            count += of.count;
            promised += of.promised;
            variance += of.variance;
            happened += of.happened;
        }
        (count > 0).then(|| PropensityBin {
            from: PROPENSITIES[i],
            until: PROPENSITIES.get(i + 1).copied().unwrap_or(1.0),
            count,
            promised: per(promised, count),
            happened: per(happened as f64, count),
            standard_error: variance.max(0.0).sqrt() / count as f64,
        })
    };
    (0..PROPENSITIES.len()).filter_map(bin).collect()
}

fn segments(
    setup: &Setup<'_>,
    replications: &[Replication],
    policy: usize,
    baseline: Option<usize>,
) -> Vec<SegmentReport> {
    let tallies = || replications.iter().map(|r| &r.policies[policy]);
    let all: u64 = tallies().map(|tally| tally.total().decisions).sum();
    let names = setup.scenario.shoppers.segments.iter().enumerate();
    names
        .map(|(i, segment)| {
            let sums = || tallies().map(|tally| tally.segments[i]).filter(|sum| sum.decisions > 0);
            let each = |of: fn(RewardSum) -> f64| {
                estimate(mean(&sums().map(|sum| per(of(sum), sum.decisions)).collect::<Vec<f64>>()))
            };
            SegmentReport {
                segment: segment.name.clone(),
                share: per(sums().map(|sum| sum.decisions).sum::<u64>() as f64, all),
                reward_per_decision: each(|sum| sum.reward),
                regret_per_decision: each(|sum| sum.regret),
                lift: over(replications, policy, baseline, |tally| tally.segments[i]),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::episode::bucket;

    #[test]
    fn buckets_begin_where_decisions_are_counted() {
        for horizon in [100, 101, 250, 999, 12_345] {
            let buckets = buckets(horizon);
            for index in 0..horizon {
                let of = buckets[bucket(index, horizon)];
                assert!((of.from..of.until).contains(&index), "{index} of {horizon}: {of:?}");
            }
            assert_eq!((buckets[0].from, buckets[BUCKETS - 1].until), (0, horizon));
        }
    }
}
