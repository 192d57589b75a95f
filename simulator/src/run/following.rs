//! Numbers about shoppers who meet several slots: each touchpoint's rewards, and how soon the slots follow a shopper.

use super::reduce::{estimate, over, per, point};
use crate::{
    report::{AdaptationCurve, DeferredReport, IntervalEstimate, TouchpointReport},
    run::{
        check::mean,
        episode::{CLICKS_MAX, ClickCurve, PolicyTally, REPORTED_PROBES, Replication, RewardSum, Setup},
    },
    scenario::IntentStart,
};

/// Returns the numbers of each touchpoint, in the scenario's order.
pub(super) fn touchpoints(
    setup: &Setup<'_>,
    replications: &[Replication],
    policy: usize,
    baseline: Option<usize>,
) -> Vec<TouchpointReport> {
    let tallies = || replications.iter().map(|r| &r.policies[policy]);
    let all: u64 = tallies().map(|tally| tally.total().decisions).sum();
    let of = |tally: &PolicyTally, i: usize| tally.touchpoints.get(i).copied().unwrap_or_default();
    let touchpoints = setup.scenario.touchpoints.iter().enumerate();
    touchpoints
        .map(|(i, touchpoint)| {
            let sums = || tallies().map(|tally| of(tally, i)).filter(|sum| sum.decisions > 0);
            let each = |part: fn(RewardSum) -> f64| {
                estimate(mean(&sums().map(|sum| per(part(sum), sum.decisions)).collect::<Vec<f64>>()))
            };
            TouchpointReport {
                touchpoint: touchpoint.name.clone(),
                share: per(sums().map(|sum| sum.decisions).sum::<u64>() as f64, all),
                reward_per_decision: each(|sum| sum.reward),
                regret_per_decision: each(|sum| sum.regret),
                lift: over(replications, policy, baseline, |tally| of(tally, i)),
            }
        })
        .collect()
}

/// Returns the regret by clicks since the start of sessions, and since changes of the intent if there are any.
pub(super) fn adaptation(setup: &Setup<'_>, tallies: &[&PolicyTally]) -> Vec<AdaptationCurve> {
    let curve = |(i, since): (usize, &IntentStart)| {
        let probe = setup.clicks.get(i)?;
        let curves = || tallies.iter().filter_map(move |tally| tally.clicks.get(i));
        let clicks: Vec<f64> = curves().filter_map(|curve| curve.clicks_to_adapt(probe.within)).collect();
        let parts = |k: usize| curves().filter_map(move |curve: &ClickCurve| curve.part(k)).collect::<Vec<f64>>();
        let clicks_to_adapt: IntervalEstimate = estimate(mean(&clicks));
        (!clicks.is_empty()).then(|| AdaptationCurve {
            since: *since,
            within: probe.within,
            clicks_to_adapt,
            regret_by_clicks: (0..CLICKS_MAX).map(|k| point(&parts(k))).collect(),
            decisions_by_clicks: (0..CLICKS_MAX).map(|k| curves().map(|curve| curve.decisions(k)).sum()).collect(),
        })
    };
    REPORTED_PROBES.iter().enumerate().filter_map(curve).collect()
}

/// Returns the numbers of deferred decisions, or `None` if there were none.
pub(super) fn deferred(tallies: &[&PolicyTally]) -> Option<DeferredReport> {
    let sum = |of: fn(&PolicyTally) -> u64| tallies.iter().map(|tally| of(tally)).sum::<u64>();
    let report = DeferredReport { made: sum(|tally| tally.deferred.0), confirmed: sum(|tally| tally.deferred.1) };
    (report.made > 0).then_some(report)
}
