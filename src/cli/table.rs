//! Tables that fit the terminal: less important columns go first.
//!
//! On a terminal, its width is the limit. Elsewhere `COLUMNS` is, if it is set; without it there is no limit, so that what
//! reads a pipe gets every column.

use std::sync::OnceLock;

use comfy_table::{ColumnConstraint, Table, Width};
use console::{Term, measure_text_width};

use crate::config::columns;

/// Smallest width of a terminal that is respected.
const WIDTH_MIN: usize = 20;
/// Smallest width of a column that is cut.
const CUT_MIN: usize = 8;

/// Limit of the program's tables; unset in tests and libraries, which have no limit.
static LIMIT: OnceLock<Option<usize>> = OnceLock::new();

/// Sets the limit of all later tables to the terminal's width.
pub fn limit_to_terminal() {
    LIMIT.get_or_init(|| match Term::stdout().size_checked() {
        Some((_, columns)) if columns > 0 => Some(usize::from(columns)),
        _ => columns(),
    });
}

/// Width of the program's output, columns, or `None` if it has no limit.
pub(super) fn limit() -> Option<usize> {
    LIMIT.get().copied().flatten()
}

/// The table as text, fitted to the limit. `least` lists the columns that may go, the least important first.
pub fn fitted(table: Table, least: &[usize]) -> String {
    fitted_to(table, least, limit())
}

/// The table as text, no line of which is wider than `limit`.
///
/// Columns go in the order of `least`, and a line below names them. If it is still too wide, the first column is cut.
pub fn fitted_to(mut table: Table, least: &[usize], limit: Option<usize>) -> String {
    let Some(limit) = limit.map(|limit| limit.max(WIDTH_MIN)) else { return table.to_string() };
    let names: Vec<String> =
        table.header().map(|header| header.cell_iter().map(comfy_table::Cell::content).collect()).unwrap_or_default();
    let mut gone = Vec::new();
    for &column in least {
        if width(&table) <= limit {
            break;
        }
        if let Some(hidden) = table.column_mut(column) {
            hidden.set_constraint(ColumnConstraint::Hidden);
            gone.extend(names.get(column).map(|name| name.trim().replace('\n', " ")).filter(|name| !name.is_empty()));
        }
    }
    let mut rest = table.column_max_content_widths().first().map_or(0, |width| usize::from(*width));
    loop {
        let over = width(&table).saturating_sub(limit);
        if over == 0 || rest <= CUT_MIN {
            break;
        }
        rest = rest.saturating_sub(over).max(CUT_MIN);
        table.row_iter_mut().for_each(|row| {
            row.max_height(1);
        });
        if let Some(first) = table.column_mut(0) {
            // The padding counts.
            let all = u16::try_from(rest + 2).unwrap_or(u16::MAX);
            first.set_constraint(ColumnConstraint::Absolute(Width::Fixed(all)));
        }
    }
    let mut text = table.to_string();
    if !gone.is_empty() {
        text.push('\n');
        text.push_str(&console::truncate_str(&format!("(no room for: {})", gone.join(", ")), limit, "…"));
    }
    text
}

fn width(table: &Table) -> usize {
    table.to_string().lines().map(measure_text_width).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use comfy_table::presets::{UTF8_BORDERS_ONLY, UTF8_FULL_CONDENSED};

    use super::*;

    #[test]
    fn no_line_is_wider_than_the_terminal_and_the_least_columns_go_first() {
        for style in [UTF8_BORDERS_ONLY, UTF8_FULL_CONDENSED] {
            for id in [
                "a",
                "an-arm-with-a-name-that-is-longer-than-any-terminal-would-ever-like-it-to-be-at-eighty",
                "商品🎁商品🎁商品🎁商品🎁商品🎁商品🎁商品🎁商品🎁商品🎁商品🎁商品🎁商品🎁",
            ] {
                for limit in [40, 80, 100, 200] {
                    let mut table = Table::new();
                    table.load_style(style).set_header(["arm", "shown", "", "95 % interval", "effective n"]);
                    table.add_row([id, "12345678", "████████████████████", "0.1234 to 0.5678", "123456"]);
                    table.add_row(["short", "1", "", "", ""]);
                    let text = fitted_to(table, &[2, 4, 3], Some(limit));
                    let widest = text.lines().map(measure_text_width).max().unwrap();
                    assert!(widest <= limit, "{widest} columns at {limit}:\n{text}");
                    assert!(text.contains("shown") && text.contains("short"), "{text}");
                    assert_eq!(text.lines().filter(|line| line.contains('│')).count(), 3, "one line a row:\n{text}");
                    if id == "a" && limit == 40 {
                        assert!(
                            text.contains("95 % interval") && text.ends_with("(no room for: effective n)"),
                            "{text}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn without_a_limit_every_column_is_there() {
        let mut table = Table::new();
        table.load_style(UTF8_BORDERS_ONLY).set_header(["x".repeat(90), "y".repeat(90)]);
        assert!(fitted_to(table, &[1], None).lines().all(|line| measure_text_width(line) > 180));
    }
}
