//! An evaluation as text for a terminal.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use slotwise::{cli::table::fitted, wire::time_text};

use super::report::{EFFECTIVE_MIN, EvaluationReport, LearningSourceName, PolicyEstimates, PolicyEvaluation};
use crate::{evaluate::logged::FileFormat, report::IntervalEstimate};

/// Text of a cell without a value.
const UNKNOWN: &str = "–";

/// The whole report as text.
pub fn text(report: &EvaluationReport) -> String {
    let mut out = head(report);
    let header = [
        "policy",
        "IPS",
        "self-normalised",
        "doubly robust",
        "over the log",
        "replay",
        "effective n",
        "largest weight",
        "learned from",
    ];
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(header);
    for policy in &report.policies {
        let PolicyEvaluation { name, value, learned, .. } = policy;
        let learned = learned.map_or_else(|| UNKNOWN.to_owned(), |learned| learned.to_string());
        let estimates = estimates(value);
        let [ips, normalised, robust, over, replay] = &estimates;
        let (effective, largest) = (format!("{:.0}", value.effective), four_digits(value.largest_weight));
        table.add_row([name, ips, normalised, robust, over, replay, &effective, &largest, &learned]);
    }
    align_right(&mut table);
    // A narrow terminal keeps the estimates with the fewest assumptions longest.
    let table = fitted(table, &[7, 4, 1, 8, 5, 6, 2]);
    let _ = write!(out, "{table}");
    for policy in &report.policies {
        notes(&mut out, policy, report);
    }
    positions(&mut out, report);
    let confidence = 100.0 * report.log.reward.confidence;
    let _ = write!(
        out,
        "\n[…]: {confidence} % intervals, gamma (Fay and Feuer 1997) where no reward lies below 0, else normal; clicks without weights binomial (Clopper and Pearson 1934); over the log is doubly robust, paired by decision"
    );
    out
}

fn align_right(table: &mut Table) {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

fn head(report: &EvaluationReport) -> String {
    let (log, calibration) = (&report.log, &report.calibration);
    let form = match log.form {
        FileFormat::Classification => "classification",
        FileFormat::Journal => "journal export",
        FileFormat::OpenBandit => "Open Bandit",
        FileFormat::Dsjson => "dsjson",
        FileFormat::Csv => "CSV",
    };
    let mut out = format!(
        "{}, {form}: {} decisions of {} arms, {} to {}\n",
        log.name,
        log.decisions,
        log.arms,
        time_text(log.from_us),
        time_text(log.until_us)
    );
    let _ = writeln!(out, "logged: {} with a reward, {} per decision", log.rewarded, with_interval(&log.reward));
    let left_out = log.left_out.reasons();
    if !left_out.is_empty() {
        let _ = writeln!(out, "left out: {}", left_out.join(", "));
    }
    if log.slates > 0 {
        let _ = writeln!(out, "{} decisions showed several arms; the first position alone is evaluated", log.slates);
    }
    if log.incomplete > 0 {
        let _ = writeln!(out, "{} decisions still waited for rewards; leave them out with --complete", log.incomplete);
    }
    let learned = match report.learning {
        LearningSourceName::Matched => format!(
            "decisions that match their own draw, accepted with least propensity / propensity (least: {})",
            four_digits(report.least_propensity)
        ),
        LearningSourceName::All => "every logged decision".to_owned(),
        LearningSourceName::First => {
            format!("the first {} decisions, and are evaluated on the rest", log.learned_before)
        }
    };
    let _ = writeln!(out, "policies learn from {learned}; seed {}", report.seed);
    let _ = writeln!(
        out,
        "propensities: {} to {}; weights that must average 1: of uniform choice {:.3} ± {:.3}, of the log's own shares {:.3} ± {:.3}",
        four_digits(calibration.smallest),
        four_digits(calibration.largest),
        calibration.uniform.mean,
        calibration.uniform.standard_error,
        calibration.own_shares.mean,
        calibration.own_shares.standard_error
    );
    if log.zero_propensity > 0.0 {
        let _ = writeln!(
            out,
            "warning: {:.2} % of the decisions were logged with a propensity of 0: they happened, and cannot be weighed",
            100.0 * log.zero_propensity
        );
    }
    for warning in &calibration.warnings {
        let _ = writeln!(out, "warning: {warning}");
    }
    out
}

fn notes(out: &mut String, policy: &PolicyEvaluation, report: &EvaluationReport) {
    let PolicyEvaluation { name, value, fallbacks, set_aside, .. } = policy;
    if !set_aside.is_empty() {
        let _ = write!(out, "\n{name}: set aside, since the policy itself is evaluated: {}", set_aside.join(", "));
    }
    if let Some(refused) = &value.refused {
        let _ = write!(out, "\n{name}: not estimated: {refused}");
    }
    if let (Some(accepted), None) = (value.accepted.filter(|&n| (n as f64) < EFFECTIVE_MIN), &value.replay) {
        let _ = write!(out, "\n{name}: no replay: {accepted} decisions were accepted, fewer than {EFFECTIVE_MIN}");
        if report.least_propensity < 1.0 / report.log.arms as f64 {
            let _ = write!(out, "; a larger --least-propensity accepts more, with some bias");
        }
    }
    let expected = report.least_propensity * report.log.decisions as f64;
    // The number of accepted decisions is binomial. The note appears if it is five standard deviations too low.
    if let Some(acceptable) = value.acceptable.filter(|part| *part < 1.0 - 5.0 / expected.sqrt().max(1e-9)) {
        let _ = write!(
            out,
            "\n{name}: of the choices that replay should accept it could {:.0} %; the others are shown too rarely, and are learned of too little",
            100.0 * acceptable
        );
    }
    if *fallbacks > 0 {
        let _ = write!(out, "\n{name}: {fallbacks} decisions would have been fallbacks, which its model did not make");
    }
}

/// Appends a table of the policies at each position: the log's mean, IPS and the doubly robust estimate.
fn positions(out: &mut String, report: &EvaluationReport) {
    let Some(first) = report.policies.first().filter(|policy| !policy.positions.is_empty()) else { return };
    let header = std::iter::once("by position".to_owned())
        .chain(first.positions.iter().map(|at| format!("{} ({} decisions)", at.position, at.decisions)));
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(header);
    let logged = first.positions.iter().map(|at| with_interval(&at.log));
    table.add_row(std::iter::once("the log's mean".to_owned()).chain(logged));
    for policy in report.policies.iter().filter(|policy| policy.value.direct.is_some()) {
        for (what, of) in [
            ("IPS", (|value: &PolicyEstimates| value.ips) as fn(&PolicyEstimates) -> Option<IntervalEstimate>),
            ("doubly robust", |value: &PolicyEstimates| value.doubly_robust),
        ] {
            let cells = policy
                .positions
                .iter()
                .map(|at| of(&at.value).as_ref().map_or_else(|| UNKNOWN.to_owned(), with_interval));
            table.add_row(std::iter::once(format!("{}, {what}", policy.name)).chain(cells));
        }
    }
    align_right(&mut table);
    let columns: Vec<usize> = (1..=first.positions.len()).rev().collect();
    let _ = write!(out, "\n{}", fitted(table, &columns));
}

fn estimates(value: &PolicyEstimates) -> [String; 5] {
    [value.ips, value.self_normalised, value.doubly_robust, value.over_log, value.replay]
        .map(|estimate| estimate.as_ref().map_or_else(|| UNKNOWN.to_owned(), with_interval))
}

/// A number with its interval, to two digits of the interval's half width.
fn with_interval(estimate: &IntervalEstimate) -> String {
    let IntervalEstimate { mean, low: Some(low), high: Some(high), .. } = *estimate else {
        return four_digits(estimate.mean);
    };
    let half = 0.5 * (high - low);
    if half <= 0.0 {
        return format!("{} [{0}]", four_digits(mean));
    }
    let digits = decimals(half, 1.0);
    format!("{mean:.digits$} [{low:.digits$}, {high:.digits$}]")
}

/// A number with four significant digits.
fn four_digits(number: f64) -> String {
    let digits = if number == 0.0 { 0 } else { decimals(number.abs(), 3.0) };
    format!("{number:.digits$}")
}

/// Number of decimals that show `beyond` digits after the first significant one.
fn decimals(number: f64, beyond: f64) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 9")]
    let digits = (beyond - number.log10().floor()).clamp(0.0, 9.0) as usize;
    digits
}
