//! The demo's output: a dashboard for a terminal, lines for a pipe, and a summary.
//!
//! The functions that draw are pure: they turn a [`Board`] into lines that fit the width and the height asked for.
//! [`Screen`] puts them into the terminal's alternate screen and restores the terminal when it is dropped.

use std::{fmt::Write as _, time::Duration};

use console::{Alignment, StyledObject, Term, measure_text_width, pad_str, style, truncate_str};

use super::{
    catalogue::{DemoPlace, THINGS, places},
    tally::{Board, DecisionSums, LATELY, PlaceTally},
};
use crate::slot::SlotKind;

/// Width above which a dashboard is hard to read.
const WIDTH_MAX: usize = 110;

/// Width below which the lines are cut.
const WIDTH_MIN: usize = 72;

/// Width from which on there is room for whole words.
const WIDE: usize = 96;

/// Columns beside a bar: the mark, the title, two shares.
const BESIDE_BAR: usize = 4 + 31 + 9 + 16;

/// Eighths of a cell, for bars.
const EIGHTHS: [char; 9] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];

/// Eighths of a line, for sparklines.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Maximum of cells in a sparkline.
const SPARKS: usize = 30;

/// Contents of the dashboard's head.
#[derive(Debug, Clone)]
pub(super) struct DashboardHead {
    /// The gRPC address as a URL.
    pub(super) target: String,
    /// The HTTP address as a URL.
    pub(super) http: String,
    /// The seed of the shoppers.
    pub(super) seed: u64,
    /// The duration of the demo.
    pub(super) length: Duration,
}

/// A terminal in its alternate screen, with the cursor hidden.
#[derive(Debug)]
pub(super) struct Screen {
    term: Term,
}

impl Screen {
    /// Returns the terminal of standard output, or `None` if it is not a terminal.
    pub(super) fn open() -> Option<Self> {
        let term = Term::buffered_stdout();
        term.features().is_attended().then(|| {
            let screen = Self { term };
            screen.send("\x1b[?1049h\x1b[?25l");
            screen
        })
    }

    /// Draws a frame over the previous one.
    pub(super) fn draw(&self, head: &DashboardHead, elapsed: Duration, board: &Board) {
        let (rows, columns) = self.term.size();
        let lines = dashboard(head, elapsed, board, usize::from(columns), usize::from(rows));
        let mut frame = String::from("\x1b[H");
        for (i, line) in lines.iter().enumerate() {
            let _ = write!(frame, "{}{line}\x1b[K", if i == 0 { "" } else { "\r\n" });
        }
        frame.push_str("\x1b[J");
        self.send(&frame);
    }

    /// Sends text to the terminal. A closed terminal is not an error of the demo.
    fn send(&self, text: &str) {
        let _ = self.term.write_str(text).and_then(|()| self.term.flush());
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.send("\x1b[?25h\x1b[?1049l");
    }
}

/// Returns a whole number with its thousands separated.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Returns the kind of a slot in a few words.
fn kind(place: &DemoPlace) -> String {
    let (shows, things) = (place.looks.len(), THINGS);
    match place.kind {
        SlotKind::Ranking => format!("ranking, {shows} of {things} products"),
        SlotKind::Offer => format!("offer, {shows} of {things}"),
        SlotKind::Block => format!("block, {shows} of {things}"),
    }
}

/// Returns a lift as text, as in "+88.3 % ± 4.1".
pub(super) fn lift(sums: &DecisionSums) -> String {
    let lift = sums.lift();
    format!("{:+.1} % ± {:.1}", 100.0 * lift.mean, 100.0 * lift.half_width)
}

/// Returns the progress from uniform to best, second by second, newest last.
fn sparkline(tally: &PlaceTally, cells: usize) -> String {
    let mut line: Vec<char> = tally
        .seconds()
        .rev()
        .take(cells)
        .map(|second| {
            let height = (second.way().clamp(0.0, 1.0) * HEIGHTS.len() as f64).floor();
            (1..HEIGHTS.len()).rev().find(|&h| height >= h as f64).map_or(HEIGHTS[0], |h| HEIGHTS[h])
        })
        .collect();
    line.reverse();
    line.into_iter().collect()
}

/// Returns a bar of `value` with a tick at `tick`, both as parts of its `width` cells.
fn bar(value: f64, tick: f64, width: usize) -> String {
    let cells = width as f64;
    let filled = value.clamp(0.0, 1.0) * cells;
    let full = (0..width).take_while(|&i| (i + 1) as f64 <= filled).count();
    let eighth = (0..8_usize).rev().find(|&e| (filled - full as f64) * 8.0 >= e as f64).unwrap_or(0);
    let at = (0..width).take_while(|&i| (i + 1) as f64 <= tick.clamp(0.0, 1.0) * cells).count().min(width - 1);
    let cell = |i: usize| if i < full { '█' } else { EIGHTHS[if i == full { eighth } else { 0 }] };
    let part = |from: usize, to: usize| style((from..to).map(cell).collect::<String>()).cyan().to_string();
    if tick <= 0.0 {
        return part(0, width);
    }
    let mark = style('┃').yellow();
    let mark = if at < full { mark.on_cyan() } else { mark };
    format!("{}{mark}{}", part(0, at), part(at + 1, width))
}

/// Returns a star if a thing is truly among the best.
fn star(total: &DecisionSums, thing: usize) -> StyledObject<char> {
    if total.truly_good(thing) { style('★').yellow() } else { style(' ') }
}

fn place_lines(place: &DemoPlace, tally: &PlaceTally, width: usize, things: usize) -> Vec<String> {
    let (total, lately, wide) = (&tally.total, tally.lately(), width >= WIDE);
    let name = format!("{}  {}", style(place.id.to_uppercase()).bold(), style(kind(place)).dim());
    let caption = if wide { "from uniform to best" } else { "uniform to best" };
    let beside = measure_text_width(&name) + caption.len() + 12;
    let spark = style(sparkline(tally, width.saturating_sub(beside).clamp(1, SPARKS))).cyan();
    let way = format!("{} {spark}{:>5.0} %", style(caption).dim(), 100.0 * lately.way());
    let gap = width.saturating_sub(measure_text_width(&name) + measure_text_width(&way) + 1);
    let mut lines = vec![format!(" {name}{}{way}", " ".repeat(gap))];
    lines.push(format!(
        "  {} {}  uniform {:.3}  best {:.3}  lift {}  exploring {:>3.0} %",
        if wide { "reward per decision" } else { "reward" },
        style(format!("{:.3}", total.reward())).bold(),
        total.uniform(),
        total.best(),
        style(pad_str(&lift(total), 15, Alignment::Left, None)).green().bold(),
        100.0 * lately.exploring(),
    ));
    let room = width.saturating_sub(BESIDE_BAR).max(10);
    let shares = (0..THINGS).map(|thing| total.best_share(thing) * 1.15);
    let scale = shares.fold(0.01_f64, f64::max);
    for &thing in lately.most_shown().iter().take(things) {
        let (share, ideal) = (lately.share(thing), total.best_share(thing));
        lines.push(format!(
            "   {} {} {} {:>5.1} %  {}",
            star(total, thing),
            pad_str(&place.things[thing].title, 30, Alignment::Left, Some("…")),
            bar(share / scale, ideal / scale, room),
            100.0 * share,
            style(format!("best {:>5.1} %", 100.0 * ideal)).dim(),
        ));
    }
    lines
}

/// Returns the dashboard, no wider and no higher than the terminal.
pub(super) fn dashboard(
    head: &DashboardHead,
    elapsed: Duration,
    board: &Board,
    columns: usize,
    rows: usize,
) -> Vec<String> {
    let width = columns.clamp(WIDTH_MIN, WIDTH_MAX);
    let clock = format!("{} s of {} s", elapsed.as_secs().min(head.length.as_secs()), head.length.as_secs());
    let title = format!(" {}  seed {}  HTTP {}", style("slotwise demo").bold(), head.seed, head.http);
    let gap = width.saturating_sub(measure_text_width(&title) + clock.len());
    let lately: u64 = board.tallies.iter().map(|tally| tally.lately().decisions).sum();
    let seconds = board.tallies.first().map_or(0, |tally| tally.seconds().count().min(LATELY));
    let rate = if seconds == 0 { "–".to_owned() } else { grouped(lately / seconds as u64) };
    let mut lines = vec![
        format!("{title}{}{clock}", " ".repeat(gap)),
        format!(
            " {} decisions, {rate}/s   Decide p50 {} µs, p99 {} µs   {} rewards",
            style(grouped(board.decisions())).bold(),
            grouped(board.latencies.value_at_quantile(0.5)),
            grouped(board.latencies.value_at_quantile(0.99)),
            grouped(board.counted),
        ),
    ];
    // Beside the head and the foot, each place has two lines and, if there is room, an empty one.
    let room = rows.saturating_sub(lines.len() + 3) / places().len().max(1);
    let (spaced, things) = if room >= 6 { (true, room - 3) } else { (false, room.saturating_sub(2)) };
    for (place, tally) in places().iter().zip(&board.tallies) {
        if spaced {
            lines.push(String::new());
        }
        lines.extend(place_lines(place, tally, width, things.clamp(1, 7)));
    }
    if spaced {
        lines.push(String::new());
    }
    lines.push(format!(
        " {} {} {} {}",
        style(format!("bars: share, last {LATELY} s  ")).dim(),
        style('┃').yellow(),
        style(format!("the best policy's   {}", style('★').yellow())).dim(),
        style("truly good   Ctrl-C ends early").dim(),
    ));
    lines.push(
        style(format!(" meanwhile, elsewhere: slotwise report offers --target {}", head.target)).dim().to_string(),
    );
    let height = rows.max(1);
    lines.truncate(height);
    lines.iter().map(|line| truncate_str(line, columns.max(1), "").into_owned()).collect()
}

/// Returns one line per place, for a pipe.
pub(super) fn plain(elapsed: Duration, board: &Board) -> Vec<String> {
    let line = |(place, tally): (&DemoPlace, &PlaceTally)| {
        let (total, lately) = (&tally.total, tally.lately());
        let top = lately.most_shown();
        let top = top.iter().take(3).map(|&t| format!("{} {:.0} %", place.things[t].id, 100.0 * lately.share(t)));
        format!(
            "{:>4} s  {:<7} reward/decision {:.3}  uniform {:.3}  best {:.3}  lift {:<16}  exploring {:>3.0} %  lately most: {}",
            elapsed.as_secs(),
            place.id,
            total.reward(),
            total.uniform(),
            total.best(),
            lift(total),
            100.0 * lately.exploring(),
            top.collect::<Vec<_>>().join(", "),
        )
    };
    places().iter().zip(&board.tallies).map(line).collect()
}

/// Columns of the summary: the least that terminals have.
const SUMMARY_WIDTH: usize = 80;

/// Returns the summary, at most 80 columns wide.
pub(super) fn summary(elapsed: Duration, board: &Board) -> Vec<String> {
    let seconds = elapsed.as_secs_f64();
    let rewards = match &board.complaint {
        None => "all of them counted".to_owned(),
        Some(why) => format!("{} more were not counted, the last: {why}", grouped(board.not_counted)),
    };
    let mut lines = vec![
        format!(
            "{seconds:.0} s, {} decisions ({:.0} per second), {} reward events ({rewards}).",
            grouped(board.decisions()),
            board.decisions() as f64 / seconds.max(1e-3),
            grouped(board.counted),
        ),
        format!(
            "Decide took {} µs at the median and {} µs at p99, as its caller sees it.",
            grouped(board.latencies.value_at_quantile(0.5)),
            grouped(board.latencies.value_at_quantile(0.99)),
        ),
        String::new(),
        "                    reward per decision".to_owned(),
        "slot     decisions  uniform  fixed  slotwise  possible  lift over uniform".to_owned(),
    ];
    for (place, PlaceTally { total, .. }) in places().iter().zip(&board.tallies) {
        lines.push(format!(
            "{:<7} {:>10} {:>8.3} {:>6.3} {:>9} {:>9.3}  {}",
            place.id,
            grouped(total.decisions),
            total.uniform(),
            total.fixed(place),
            style(pad_str(&format!("{:.3}", total.reward()), 9, Alignment::Right, None)).bold(),
            total.best(),
            style(lift(total)).green().bold(),
        ));
    }
    lines.push("fixed: always the best single choice; possible: the best choice for each shopper".to_owned());
    lines.push(String::new());
    lines.push(format!("Shown most in the last {LATELY} s (★ among the best; in brackets, the best policy's share):"));
    for (place, tally) in places().iter().zip(&board.tallies) {
        let lately = tally.lately();
        let top = lately.most_shown().into_iter().take(3).map(|thing| {
            let (id, mark) = (&place.things[thing].id, star(&tally.total, thing));
            let (share, ideal) = (100.0 * lately.share(thing), 100.0 * tally.total.best_share(thing));
            format!("{mark} {id} {share:.0} % ({ideal:.0} %)")
        });
        // Entries that have no room go, because a broken one cannot be read.
        let mut line = format!("  {:<7}", place.id);
        for entry in top {
            if measure_text_width(&line) + 1 + measure_text_width(&entry) <= SUMMARY_WIDTH {
                line.extend([" ", &entry, " "]);
            }
        }
        lines.push(line.trim_end().to_owned());
    }
    for (place, PlaceTally { total, .. }) in
        places().iter().zip(&board.tallies).filter(|(_, tally)| tally.total.fallbacks > 0)
    {
        lines.push(format!("  {}: {} decisions were not made by the model", place.id, grouped(total.fallbacks)));
    }
    lines.iter().flat_map(|line| wrapped(line, SUMMARY_WIDTH)).collect()
}

/// Breaks a line between words, so that no part is wider than `width`. Further parts are indented.
fn wrapped(line: &str, width: usize) -> Vec<String> {
    if measure_text_width(line) <= width {
        return vec![line.to_owned()];
    }
    let mut lines = vec![String::new()];
    for word in line.split(' ') {
        let last = lines.last_mut().map(|last| (measure_text_width(last), last));
        match last {
            Some((0, last)) => last.push_str(word),
            Some((taken, last)) if taken + 1 + measure_text_width(word) <= width => {
                last.push(' ');
                last.push_str(word);
            }
            _ => lines.push(format!("    {word}")),
        }
    }
    lines.iter().map(|line| truncate_str(line, width, "…").into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::tally::tests::board;

    fn head() -> DashboardHead {
        let (target, http) = ("http://127.0.0.1:50051".to_owned(), "http://127.0.0.1:8080".to_owned());
        DashboardHead { target, http, seed: 7, length: Duration::from_secs(30) }
    }

    #[test]
    fn a_dashboard_fits_its_terminal_whatever_its_size() {
        let full = board(1_200, |expected, _| expected.best_things.clone());
        let empty = Board::new().unwrap();
        for (board, columns, rows) in
            [&full, &empty].into_iter().flat_map(|b| [(b, 100, 36), (b, 80, 24), (b, 40, 10), (b, 250, 90), (b, 1, 1)])
        {
            let lines = dashboard(&head(), Duration::from_secs(4), board, columns, rows);
            assert!(lines.len() <= rows, "{} lines in {rows} rows", lines.len());
            for line in &lines {
                assert!(measure_text_width(line) <= columns, "{columns}: {line}");
            }
        }
    }

    #[test]
    fn a_bar_has_its_length_and_its_tick() {
        let plain = |text: String| console::strip_ansi_codes(&text).into_owned();
        assert_eq!(plain(bar(0.5, 0.0, 8)), "████    ");
        assert_eq!(plain(bar(0.4, 0.8, 8)), "███▏  ┃ ");
        assert_eq!(plain(bar(1.7, 0.25, 8)), "██┃█████");
        assert_eq!(plain(bar(0.0, 1.0, 8)), "       ┃");
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn a_summary_names_every_slot_with_its_lift() {
        let board = board(1_200, |expected, _| expected.best_things.clone());
        let lines = summary(Duration::from_secs(12), &board);
        for (place, tally) in places().iter().zip(&board.tallies) {
            let lift = lift(&tally.total);
            assert!(lines.iter().any(|line| line.starts_with(&place.id) && line.contains(&lift)), "{lines:#?}");
            assert!(lines.iter().all(|line| measure_text_width(line) <= 80), "{lines:#?}");
        }
    }
}
