//! Phrases that all outputs share.

use super::metric_unit::{show_estimate, unit_of};
use std::fmt::Write as _;

use crate::{
    report::{CheckOutcome, CheckReport, IntervalEstimate, PolicyReport, RunReport, RunTarget, RunVerdict},
    scenario::Metric,
};

use super::number::{UNKNOWN, Unit, count, counted};

/// An outcome in one word.
pub(super) fn outcome(outcome: CheckOutcome) -> &'static str {
    match outcome {
        CheckOutcome::Pass => "holds",
        CheckOutcome::Fail => "fails",
        CheckOutcome::Inconclusive => "inconclusive",
        CheckOutcome::Skipped => "skipped",
    }
}

/// A verdict in one word.
pub(super) fn verdict(verdict: RunVerdict) -> &'static str {
    match verdict {
        RunVerdict::Holds => "holds",
        RunVerdict::Fails => "fails",
        RunVerdict::Inconclusive => "inconclusive",
    }
}

/// Counts of the checks' outcomes: "2 of 4 checks hold, 1 fails, 1 skipped".
pub(super) fn tally(checks: &[CheckReport]) -> String {
    if checks.is_empty() {
        return "no checks".to_owned();
    }
    let of = |which: CheckOutcome| checks.iter().filter(|check| check.outcome == which).count();
    let hold = of(CheckOutcome::Pass);
    let verb = if hold == 1 { "holds" } else { "hold" };
    let mut text = format!("{hold} of {} {verb}", counted(checks.len(), "check"));
    for (which, one, many) in [
        (CheckOutcome::Fail, "fails", "fail"),
        (CheckOutcome::Inconclusive, "inconclusive", "inconclusive"),
        (CheckOutcome::Skipped, "skipped", "skipped"),
    ] {
        let n = of(which);
        if n > 0 {
            let _ = write!(text, ", {n} {}", if n == 1 { one } else { many });
        }
    }
    text
}

/// Size and place of the run: "20 replications of 20,000 decisions, in process".
pub(super) fn extent(report: &RunReport) -> String {
    let replications = count(u64::from(report.replications));
    let s = if report.replications == 1 { "" } else { "s" };
    format!("{replications} replication{s} of {} decisions, {}", count(report.horizon), place(report.target))
}

/// The place of the run.
pub(super) fn place(target: RunTarget) -> &'static str {
    match target {
        RunTarget::InProcess => "in process",
        RunTarget::Live => "against a live server",
    }
}

/// The measured value with its interval.
pub(super) fn measured(check: &CheckReport) -> String {
    let interval = check.low.zip(check.high);
    match check.estimate {
        None => UNKNOWN.to_owned(),
        Some(statistic) if check.metric == Metric::PropensityCalibration.name() => {
            format!("χ² {} per degree of freedom", Unit::Plain.show(statistic))
        }
        Some(mean) => unit_of(&check.metric).show_interval(mean, interval),
    }
}

/// The bounds of a check.
pub(super) fn bounds(check: &CheckReport) -> String {
    let unit = unit_of(&check.metric);
    match (check.min, check.max) {
        (Some(min), Some(max)) => format!("{} to {}", unit.show(min), unit.show(max)),
        (Some(min), None) => format!("≥ {}", unit.show(min)),
        (None, Some(max)) => format!("≤ {}", unit.show(max)),
        (None, None) => UNKNOWN.to_owned(),
    }
}

/// A check's sentence without the name at its start: "is 5 %: at least 3 % holds".
pub(super) fn after_name(check: &CheckReport) -> &str {
    let rest = check.sentence.strip_prefix(&check.name).map(|rest| rest.trim_start_matches([':', ' ']));
    rest.filter(|rest| !rest.is_empty()).unwrap_or(&check.sentence)
}

/// An estimate, or the text of an unknown number.
pub(super) fn estimate(unit: Unit, estimate: Option<&IntervalEstimate>) -> String {
    estimate.map_or(UNKNOWN.to_owned(), |estimate| show_estimate(unit, estimate))
}

/// A policy's lift, or that it is the baseline.
pub(super) fn lift(report: &RunReport, policy: &PolicyReport) -> String {
    if report.baseline.as_deref() == Some(policy.name.as_str()) {
        return "baseline".to_owned();
    }
    estimate(Unit::Part, policy.lift.as_ref())
}

/// The policy's regret as a part of uniform choice's, or `None` if there is nothing to learn.
pub(super) fn regret_left(policy: &PolicyReport) -> Option<f64> {
    let uniform = policy.uniform_regret_per_decision;
    (uniform > 0.0).then(|| policy.regret_per_decision.mean / uniform)
}

/// One or two sentences on the first policy that is compared with another, or `None` if there is no policy.
pub(super) fn headline(report: &RunReport) -> Option<String> {
    let policy = report.policies.iter().find(|policy| policy.lift.is_some()).or(report.policies.first())?;
    let mut text = if let (Some(lift), Some(baseline)) = (&policy.lift, &report.baseline) {
        compared(&policy.name, lift, baseline)
    } else {
        let reward = show_estimate(Unit::Plain, &policy.reward_per_decision);
        format!("“{}” earns {reward} per decision.", policy.name)
    };
    if let Some(left) = regret_left(policy) {
        let left = percent_rounded(left);
        let _ = write!(text, " Its regret is {left} of what uniform choice would have.");
    }
    Some(text)
}

fn percent_rounded(part: f64) -> String {
    Unit::Part.show_fixed(part, usize::from(part < 0.1))
}

fn compared(name: &str, lift: &IntervalEstimate, baseline: &str) -> String {
    // A tenth of a percent is exact enough for a sentence.
    let amount = |lift: f64| Unit::Part.show_fixed(lift, 1);
    let interval = lift.low.zip(lift.high);
    if let Some((low, high)) = interval.filter(|(low, high)| *low <= 0.0 && *high >= 0.0) {
        let (mean, low, high) = (amount(lift.mean), amount(low), amount(high));
        return format!(
            "“{name}” and “{baseline}” show no clear difference: the lift of “{name}” is {mean} ({low} to {high})."
        );
    }
    let (word, interval) =
        if lift.mean < 0.0 { ("less", interval.map(|(low, high)| (-high, -low))) } else { ("more", interval) };
    let range = interval.map_or(String::new(), |(low, high)| format!(" ({} to {})", amount(low), amount(high)));
    format!("“{name}” earns {}{range} {word} per decision than “{baseline}”.", amount(lift.mean.abs()))
}

/// The confidence of the intervals: "95 %", or `None` if there are no intervals.
pub(super) fn confidence(report: &RunReport) -> Option<String> {
    let estimate = report.policies.first().map(|policy| policy.reward_per_decision)?;
    estimate.low.map(|_| Unit::Part.show(estimate.confidence))
}

#[cfg(test)]
mod tests {
    use super::{super::sample, *};
    use CheckOutcome::{Fail, Inconclusive, Pass, Skipped};

    fn lift(mean: f64, low: f64, high: f64) -> IntervalEstimate {
        IntervalEstimate { mean, standard_error: Some(0.01), low: Some(low), high: Some(high), confidence: 0.95 }
    }

    #[test]
    fn a_lift_is_told_as_more_or_less_or_as_chance() {
        let say = |lift: IntervalEstimate| compared("a", &lift, "b");
        assert_eq!(say(lift(0.0512, 0.0421, 0.0603)), "“a” earns 5.1 % (4.2 % to 6.0 %) more per decision than “b”.");
        assert_eq!(say(lift(-0.2, -0.25, -0.15)), "“a” earns 20.0 % (15.0 % to 25.0 %) less per decision than “b”.");
        assert_eq!(
            say(lift(0.01, -0.02, 0.04)),
            "“a” and “b” show no clear difference: the lift of “a” is 1.0 % (−2.0 % to 4.0 %)."
        );
        let alone = IntervalEstimate { low: None, high: None, ..lift(0.03, 0.0, 0.0) };
        assert_eq!(say(alone), "“a” earns 3.0 % more per decision than “b”.");
    }

    #[test]
    fn a_sentence_goes_on_after_the_name_and_stands_alone_without_it() {
        let after = |sentence: &str| {
            let check = CheckReport { name: "the floor".to_owned(), sentence: sentence.to_owned(), ..sample::check() };
            after_name(&check).to_owned()
        };
        assert_eq!(after("the floor is 2 %: at least 1 % holds"), "is 2 %: at least 1 % holds");
        assert_eq!(after("the floor: nothing to measure it on"), "nothing to measure it on");
        assert_eq!(after("Nothing was shown."), "Nothing was shown.");
        assert_eq!(after("the floor"), "the floor");
    }

    #[test]
    fn checks_are_counted_by_what_came_of_them() {
        let checks = |outcomes: &[CheckOutcome]| {
            let check = sample::check();
            outcomes.iter().map(|outcome| CheckReport { outcome: *outcome, ..check.clone() }).collect::<Vec<_>>()
        };
        assert_eq!(tally(&[]), "no checks");
        assert_eq!(tally(&checks(&[Pass])), "1 of 1 check holds");
        assert_eq!(tally(&checks(&[Pass, Pass, Fail])), "2 of 3 checks hold, 1 fails");
        assert_eq!(
            tally(&checks(&[Fail, Fail, Inconclusive, Skipped, Skipped])),
            "0 of 5 checks hold, 2 fail, 1 inconclusive, 2 skipped"
        );
    }
}
