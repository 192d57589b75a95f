//! Tables that fit the terminal: less important columns go first.
//!
//! On a terminal, its width is the limit. Elsewhere `COLUMNS` is, if it is set; without it there is no limit, so that what
//! reads a pipe gets every column.

use std::sync::OnceLock;

use comfy_table::{ColumnConstraint, Row, Table};
use console::{Term, measure_text_width};

use crate::config::columns;

/// Smallest width of a terminal that is respected.
const WIDTH_MIN: usize = 20;
/// Smallest width of a name that is cut.
const CUT_MIN: usize = 8;
/// Width of a name for which no column goes.
const NAME_MAX: usize = 32;

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
    fitted_to(table, least, &[0], limit())
}

/// The table as text, fitted to the limit. `least` lists the columns that may go, the least important first, and `names` those
/// whose texts may be cut in their middle.
pub fn fitted_cutting(table: Table, least: &[usize], names: &[usize]) -> String {
    fitted_to(table, least, names, limit())
}

/// The table as text, no line of which is wider than `limit`.
///
/// First, names are cut to 32 columns; then columns go in the order of `least`, and a line below names them; then names
/// are cut further. A cut keeps both ends of a name, because ids of one kind often differ in their last characters only.
pub fn fitted_to(mut table: Table, least: &[usize], names: &[usize], limit: Option<usize>) -> String {
    let Some(limit) = limit.map(|limit| limit.max(WIDTH_MIN)) else { return table.to_string() };
    let headings: Vec<String> =
        table.header().map(|header| header.cell_iter().map(comfy_table::Cell::content).collect()).unwrap_or_default();
    if width(&table) > limit {
        for &column in names {
            table = with_cut(&table, column, NAME_MAX);
        }
    }
    let mut gone = Vec::new();
    for &column in least {
        if width(&table) <= limit {
            break;
        }
        if let Some(hidden) = table.column_mut(column) {
            hidden.set_constraint(ColumnConstraint::Hidden);
            gone.extend(
                headings.get(column).map(|name| name.trim().replace('\n', " ")).filter(|name| !name.is_empty()),
            );
        }
    }
    loop {
        let over = width(&table).saturating_sub(limit);
        let widths = table.column_max_content_widths();
        let of = |column: usize| widths.get(column).map_or(0, |width| usize::from(*width));
        let Some(&widest) = names.iter().max_by_key(|&&column| of(column)) else { break };
        if over == 0 || of(widest) <= CUT_MIN {
            break;
        }
        // Each column gives a part, so that none is cut to nothing while another stays.
        let most = of(widest).saturating_sub(over.min(4)).max(CUT_MIN);
        table = with_cut(&table, widest, most);
    }
    let mut text = table.to_string();
    if !gone.is_empty() {
        text.push('\n');
        text.push_str(&textwrap::fill(&format!("(no room for: {})", gone.join(", ")), limit));
    }
    text
}

/// Returns the table with the texts of a column cut to `most` characters.
fn with_cut(table: &Table, column: usize, most: usize) -> Table {
    let cut = |row: &Row| {
        Row::from(
            row.cell_iter()
                .enumerate()
                .map(|(i, cell)| if i == column { cut_middle(&cell.content(), most) } else { cell.content() })
                .collect::<Vec<String>>(),
        )
    };
    let mut shorter = table.clone();
    if let Some(header) = table.header() {
        shorter.set_header(cut(header));
    }
    shorter.row_iter_mut().for_each(|row| *row = cut(row));
    shorter
}

/// Returns a text of at most `most` columns, without its middle if it is longer.
fn cut_middle(text: &str, most: usize) -> String {
    if measure_text_width(text) <= most {
        return text.to_owned();
    }
    let room = most.saturating_sub(1);
    let head = console::truncate_str(text, room - room / 2, "").into_owned();
    let mut tail = String::new();
    for character in text.chars().rev() {
        let longer = format!("{character}{tail}");
        if measure_text_width(&longer) > room / 2 {
            break;
        }
        tail = longer;
    }
    format!("{head}…{tail}")
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
                    let text = fitted_to(table, &[2, 4, 3], &[0], Some(limit));
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
    fn all_columns_that_went_are_named() {
        let names = ["arm", "effective n", "largest weight", "self-normalised", "doubly robust"];
        let mut table = Table::new();
        table.load_style(UTF8_BORDERS_ONLY).set_header(names).add_row(["a", "1", "2", "3", "4"]);
        let text = fitted_to(table, &[4, 3, 2, 1], &[0], Some(30));
        assert!(text.lines().all(|line| measure_text_width(line) <= 30), "{text}");
        let note = text.split_once('(').unwrap().1.replace('\n', " ");
        assert!(names[2..].iter().all(|name| note.contains(name)), "{text}");
    }

    #[test]
    fn a_cut_keeps_both_ends_of_a_name() {
        let mut table = Table::new();
        table.load_style(UTF8_BORDERS_ONLY).set_header(["time", "arm", "value"]);
        for end in ["224", "225"] {
            table.add_row(["2026-11-30T13:00:00Z", &format!("gid://shopify/ProductVariant/43729076{end}"), "1"]);
        }
        let text = fitted_to(table, &[2], &[1], Some(60));
        assert!(text.contains("gid://shopify/Pr…") && text.contains("6224") && text.contains("6225"), "{text}");
        assert!(text.contains("2026-11-30T13:00:00Z") && text.contains("value"), "{text}");
        assert_eq!(cut_middle("商品商品商品", 7), "商…品");
        assert_eq!(cut_middle("abc", 3), "abc");
    }

    #[test]
    fn without_a_limit_every_column_is_there() {
        let mut table = Table::new();
        table.load_style(UTF8_BORDERS_ONLY).set_header(["x".repeat(90), "y".repeat(90)]);
        assert!(fitted_to(table, &[1], &[0], None).lines().all(|line| measure_text_width(line) > 180));
    }
}
