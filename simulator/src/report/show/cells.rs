//! Tables and numbers as text for a terminal.

use comfy_table::{CellAlignment, Table, presets::UTF8_BORDERS_ONLY};

use crate::report::IntervalEstimate;

/// A number with as many digits as its standard error allows.
pub fn with_error(estimate: &IntervalEstimate) -> String {
    match estimate.standard_error {
        Some(error) if error > 1e-9 * estimate.mean.abs() => {
            let digits = digits(error);
            format!("{:.digits$} ± {error:.digits$}", estimate.mean)
        }
        _ => format!("{:.4}", estimate.mean),
    }
}

/// Number of decimals that show two digits of `error`.
fn digits(error: f64) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 8")]
    let digits = (1.0 - error.log10().floor()).clamp(0.0, 8.0) as usize;
    digits
}

/// A part in percent, with its interval.
pub fn percent(estimate: &IntervalEstimate) -> String {
    let of = |value: f64| format!("{:+.1}", 100.0 * value);
    match (estimate.low, estimate.high) {
        (Some(low), Some(high)) => format!("{} % [{}, {}]", of(estimate.mean), of(low), of(high)),
        _ => format!("{} %", of(estimate.mean)),
    }
}

pub(super) fn table(header: &[&str], left: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header(header.to_vec());
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_cell_alignment(if left.contains(&i) { CellAlignment::Left } else { CellAlignment::Right });
    }
    table
}
