//! Checks and their results in words.

use crate::{
    report::{CheckOutcome, CheckReport},
    scenario::{ArmState, Check, IntentStart, Metric},
};

/// Returns `true` for a metric that is shown in percent.
fn in_percent(metric: Metric) -> bool {
    match metric {
        Metric::Lift
        | Metric::Share
        | Metric::IntervalCoverage
        | Metric::PopulationCoverage
        | Metric::FiguresShown
        | Metric::WhoWantsWhat
        | Metric::RightArm
        | Metric::FalseConfidence
        | Metric::CountedError
        | Metric::FallbackShare => true,
        Metric::RewardPerDecision
        | Metric::RegretPerDecision
        | Metric::RegretLastTenth
        | Metric::DecisionsToAdapt
        | Metric::ClicksToAdapt
        | Metric::PropensityCalibration
        | Metric::P99Latency => false,
    }
}

fn number(metric: Metric, value: f64) -> String {
    if in_percent(metric) {
        let text = format!("{:.2}", 100.0 * value);
        let text = text.trim_end_matches('0').trim_end_matches('.');
        return format!("{} %", if text == "-0" { "0" } else { text });
    }
    match metric {
        Metric::DecisionsToAdapt => format!("{value:.0}"),
        Metric::ClicksToAdapt => format!("{value:.2}"),
        Metric::P99Latency => format!("{value:.3} ms"),
        Metric::RewardPerDecision
        | Metric::RegretPerDecision
        | Metric::RegretLastTenth
        | Metric::PropensityCalibration
        | Metric::Lift
        | Metric::Share
        | Metric::IntervalCoverage
        | Metric::PopulationCoverage
        | Metric::FiguresShown
        | Metric::WhoWantsWhat
        | Metric::RightArm
        | Metric::FalseConfidence
        | Metric::CountedError
        | Metric::FallbackShare => format!("{value:.5}"),
    }
}

/// The subject of a check in words: its own name, or one made of its parts. `first` is the first policy.
pub(crate) fn name(check: &Check, first: &str) -> String {
    if let Some(name) = &check.name {
        return name.clone();
    }
    let mut of = String::new();
    if let Some(arm) = &check.arm {
        of = format!(" of {arm}");
    } else if let Some(attribute) = &check.attribute {
        of = format!(" of {attribute}");
    } else if let Some(state) = check.state {
        let state = match state {
            ArmState::OutOfStock => "out of stock",
            ArmState::Retired => "retired",
            ArmState::New => "new",
        };
        of = format!(" of what is {state}");
    }
    let metric = match check.metric {
        Metric::RewardPerDecision => "reward per decision",
        Metric::Lift => "lift",
        Metric::RegretPerDecision => "regret per decision",
        Metric::RegretLastTenth => "regret in the last tenth",
        Metric::DecisionsToAdapt => "decisions to adapt",
        Metric::ClicksToAdapt if check.since == Some(IntentStart::Shift) => "clicks to adapt after a shift",
        Metric::ClicksToAdapt => "clicks to adapt",
        Metric::Share => "share",
        Metric::IntervalCoverage => "coverage of the 95 % intervals",
        Metric::PopulationCoverage => "coverage of the figures if everybody got it",
        Metric::PropensityCalibration => "calibration of propensities",
        Metric::FiguresShown => "figures if everybody got it that are shown",
        Metric::WhoWantsWhat => "who wants what is said",
        Metric::RightArm => "the right arm is said",
        Metric::FalseConfidence => "false confidence",
        Metric::CountedError => "error of what was counted",
        Metric::FallbackShare => "share of fallbacks",
        Metric::P99Latency => "99th percentile of latency",
    };
    let segment = check.segment.as_ref().map_or(String::new(), |segment| format!(" for {segment}"));
    let touchpoint = check.touchpoint.as_ref().map_or(String::new(), |touchpoint| format!(" at {touchpoint}"));
    let over = check.over.as_ref().map_or(String::new(), |over| {
        if check.metric == Metric::Lift { format!(" over {over}") } else { format!(" less that of {over}") }
    });
    let policy = check.policy.as_deref().unwrap_or(first);
    format!("{metric}{of}{segment}{touchpoint}, {policy}{over}")
}

fn bound(check: &Check) -> String {
    let of = |value| number(check.metric, value);
    match (check.min, check.max) {
        (Some(min), Some(max)) if min.total_cmp(&max).is_eq() => format!("exactly {}", of(min)),
        (Some(min), Some(max)) => format!("from {} to {}", of(min), of(max)),
        (Some(min), None) => format!("at least {}", of(min)),
        (None, Some(max)) => format!("at most {}", of(max)),
        (None, None) => "true".to_owned(),
    }
}

/// The result of a check as one sentence.
pub(crate) fn sentence(check: &Check, report: &CheckReport) -> String {
    let name = &report.name;
    if check.metric == Metric::PropensityCalibration && report.estimate.is_some() {
        let p = report.p_value.unwrap_or(1.0);
        return if report.outcome == CheckOutcome::Fail {
            format!("{name}: what was promised did not happen as often (p = {p:.2e})")
        } else {
            format!("{name}: what was promised happened as often, as far as chance lets one see (p = {p:.3})")
        };
    }
    let Some(estimate) = report.estimate else {
        return if report.outcome == CheckOutcome::Skipped {
            format!("{name}: only a live server has one; run with --target")
        } else {
            format!("{name}: there was nothing to measure it on")
        };
    };
    let of = |value| number(check.metric, value);
    let interval = match (report.low, report.high) {
        (Some(low), Some(high)) => format!(" [{}, {}]", of(low), of(high)),
        _ => String::new(),
    };
    let verdict = match report.outcome {
        CheckOutcome::Pass => format!("{} holds", bound(check)),
        CheckOutcome::Fail => format!("{} fails", bound(check)),
        CheckOutcome::Inconclusive | CheckOutcome::Skipped => {
            let needed = report.replications_needed.map_or_else(
                || "no number of replications would decide it".to_owned(),
                |needed| format!("about {needed} replications would decide it"),
            );
            format!("{} is undecided; {needed}", bound(check))
        }
    };
    format!("{name} is {}{interval}: {verdict}", of(estimate))
}
