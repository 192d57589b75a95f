//! The benchmark's report as text for people: one table, then a line for each regression.

use std::fmt::Write as _;

use slotwise::{bandit::Policy, cli::table::fitted};

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};

use super::{
    peers::Peer,
    replay::RowTiming,
    report::{BenchReport, BenchRow, BenchVerdict},
};

const HEADER: [&str; 9] = [
    "set, variant",
    "loss ± s.e.\nlast 20 %",
    "loss by tenth",
    "µs per\nround",
    "best tuned",
    "best untuned",
    "best reference\nor uniform",
    "less the\nbest peer",
    "verdict",
];

/// Columns that are dropped if there is no room, the least important first.
const LEAST: [usize; 7] = [3, 2, 5, 6, 4, 7, 1];

/// Returns the report as a table, then a line for each regression. The times in it are not the same twice.
pub fn text(report: &BenchReport) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(HEADER);
    for row in &report.rows {
        table.add_row(cells(row));
    }
    for at in [1, 3, 4, 5, 6, 7] {
        if let Some(column) = table.column_mut(at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let exploration = report.exploration.map_or(String::new(), |x| format!(", exploration {x}"));
    let zeros = if report.silent_zeros { ", silent zeros" } else { "" };
    let policy = if report.policy == Policy::default().name() { "" } else { report.policy };
    let policy = if policy.is_empty() { String::new() } else { format!(", policy {policy}") };
    let when = report.at_close.map_or(String::new(), |rounds| format!(", learned {rounds} rounds later"));
    let order = if report.timing == RowTiming::Shuffled { String::new() } else { format!(", rows {}", report.timing) };
    let BenchReport { model, seeds, .. } = report;
    let mut text =
        format!("model {model}{exploration}{policy}{zeros}{when}{order}, {seeds} seeds\n{}", fitted(table, &LEAST));
    for row in &report.rows {
        let fallbacks: usize = row.runs.iter().map(|run| run.fallbacks).sum();
        if fallbacks > 0 {
            let _ = write!(text, "\n{}: {fallbacks} decisions were fallbacks, not the slot's model's", row.name());
        }
        if let Some(missed) = &row.missed {
            let (name, loss) = (row.name(), row.loss);
            let _ = write!(text, "\nregression: {name}: {loss} against {:.4} of {}", missed.loss, missed.learner);
        }
    }
    let with_peers = report.rows.iter().filter(|row| row.verdict != BenchVerdict::NoPeers).count();
    let hold = with_peers - report.regressions.len();
    let tolerance = match report.tolerance {
        x if x > 0.0 => format!(" (tolerance: {x} standard errors)"),
        _ => String::new(),
    };
    let _ = write!(text, "\n{hold} of {with_peers} rows with peers hold{tolerance}");
    text
}

fn cells(row: &BenchRow) -> [String; 9] {
    let peer = |peer: &Option<Peer>| {
        peer.map_or("–".to_owned(), |Peer { learner, loss, standard_error }| {
            format!("{loss:.4} ± {standard_error:.4}\n{learner}")
        })
    };
    let reference = match row.best_reference {
        Some(_) => peer(&row.best_reference),
        None => format!("{:.4}\nuniform", row.uniform_loss),
    };
    let verdict = match row.verdict {
        BenchVerdict::Holds => "holds",
        BenchVerdict::Regression => "REGRESSION",
        BenchVerdict::NoPeers => "no peers",
    };
    [
        format!("{}\n{}", row.dataset, row.variant),
        format!("{}\n{}", row.loss, row.loss_last_20_percent),
        row.loss_by_tenth.sparkline(),
        format!("{:.1}", row.round_us),
        peer(&row.best_tuned),
        peer(&row.best_untuned),
        reference,
        row.difference.map_or("–".to_owned(), |difference| format!("{difference:+.5}")),
        verdict.to_owned(),
    ]
}
