//! Texts on a terminal: control characters in a caller's text are shown, never carried out.
//!
//! A context word, a display name or a reason may hold control characters: an escape sequence clears the screen of
//! the person who lists slots, and a line break forges a line of a history. They are written as JSON writes them (`\u001b`).
//!
//! * [`printable`] is for a text within a line or a cell: it escapes all control characters.
//! * `say` and [`Escaping`] are the last step before a terminal: line breaks and tabs stay. `say` also wraps sentences that
//!   are wider than the terminal, as [`fit`] and [`entry`] do for what is written by other means.

use std::{
    borrow::Cow,
    io::{self, IsTerminal as _, Write},
};

use console::measure_text_width;

use super::table;
use crate::slot::{push_escaped, reorders_or_controls};

/// Characters of which a line of a table has at least one.
const TABLE_LINES: [char; 4] = ['│', '─', '┆', '═'];

/// Number with its noun: "1 decision", "2 decisions".
pub(crate) fn counted(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// The text with every control character escaped, line breaks and tabs among them.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

fn escaped(text: &str, stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    let obeyed = |character: char| reorders_or_controls(character) && !stays(character);
    if !text.contains(obeyed) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if obeyed(character) {
            push_escaped(&mut shown, character);
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// The text of several lines with every control character escaped but line breaks and tabs.
fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |character| matches!(character, '\n' | '\t'))
}

/// The text with every sentence that is wider than `limit` broken at spaces, as far as it has any. Lines of tables stay as
/// they are; further lines of a sentence are indented as its first line is.
fn wrapped(text: &str, limit: Option<usize>) -> Cow<'_, str> {
    let Some(limit) = limit else { return Cow::Borrowed(text) };
    let is_wide = |line: &str| !line.contains(TABLE_LINES) && measure_text_width(line) > limit;
    if !text.lines().any(is_wide) {
        return Cow::Borrowed(text);
    }
    let wrap = |line: &str| {
        let indent = " ".repeat(line.len() - line.trim_start_matches(' ').len());
        let options = textwrap::Options::new(limit)
            .subsequent_indent(&indent)
            .break_words(false)
            .word_splitter(textwrap::WordSplitter::NoHyphenation);
        textwrap::fill(line, options)
    };
    let lines = text.lines().map(|line| if is_wide(line) { Cow::Owned(wrap(line)) } else { Cow::Borrowed(line) });
    Cow::Owned(lines.collect::<Vec<_>>().join("\n"))
}

/// The text of sentences and tables, with every sentence that is wider than the program's output wrapped.
pub fn fit(text: &str) -> Cow<'_, str> {
    wrapped(text, table::limit())
}

/// Entry of a list: a name in a column of `width`, and a text that is wrapped beside it.
pub fn entry(name: &str, width: usize, text: &str) -> String {
    entry_within(name, width, text, table::limit())
}

fn entry_within(name: &str, width: usize, text: &str, limit: Option<usize>) -> String {
    let gap = " ".repeat(width.saturating_sub(measure_text_width(name)) + 2);
    let line = format!("{name}{gap}{text}");
    let Some(limit) = limit else { return line };
    let indent = " ".repeat(width + 2);
    let options = textwrap::Options::new(limit)
        .subsequent_indent(&indent)
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::fill(&line, options)
}

/// Prints sentences or a table to standard output, wrapped to the terminal's width. A closed pipe is no error.
pub(crate) fn say(text: impl std::fmt::Display) {
    let text = text.to_string();
    print(&wrapped(&lines(&text), table::limit()));
}

/// Prints sentences or a table with colours of our own, wrapped to the terminal's width. Texts of callers go through
/// [`printable`] before.
pub(crate) fn say_styled(text: impl std::fmt::Display) {
    print(&wrapped(&text.to_string(), table::limit()));
}

/// Prints a document that another program may read: as it is, unless it goes to a terminal.
pub(crate) fn say_document(text: &str) {
    print(&if io::stdout().is_terminal() { lines(text) } else { Cow::Borrowed(text) });
}

fn print(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// A writer for a terminal, through which control characters go escaped; line breaks and tabs stay.
///
/// Every write is text by itself, as [`write!`] makes it.
#[derive(Debug)]
pub struct Escaping<W>(pub W);

impl<W: Write> Write for Escaping<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(lines(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        assert_eq!(printable("crème – ✓ 日本"), "crème – ✓ 日本");
        assert_eq!(printable("\u{1b}[2J\n\t\u{7f}\u{9b}1m"), r"\u001b[2J\u000a\u0009\u007f\u009b1m");
        assert_eq!(printable("a\u{202e}b"), r"a\u202eb");
        assert_eq!(lines("┌\t─┐\n│\u{1b}│"), "┌\t─┐\n│\\u001b│");
    }

    #[test]
    fn what_is_escaped_is_the_same_text_in_json() {
        let text = "\u{1b}[2J\u{9b}\u{7f}\u{202e}\u{2028} \"é\" \\";
        let json = serde_json::to_string(text).unwrap();
        assert_eq!(serde_json::from_str::<String>(&lines(&json)).unwrap(), text);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn nothing_that_is_printed_is_obeyed(text in crate::slot::any_text()) {
            assert!(!printable(&text).contains(reorders_or_controls));
            let kept = |c: char| reorders_or_controls(c) && !matches!(c, '\n' | '\t');
            assert!(!lines(&text).contains(kept));
            let json = serde_json::to_string(&text).unwrap();
            assert_eq!(serde_json::from_str::<String>(&lines(&json)).unwrap(), text);
        }
    }

    #[test]
    fn a_sentence_that_is_too_wide_is_wrapped_and_a_table_is_not() {
        let text =
            "  - The slot shows two arms, and a third on request.\n│ a row of a table that is as wide as it is │\nEnd.";
        let expected = "  - The slot shows two\n  arms, and a third on\n  request.\n\
                        │ a row of a table that is as wide as it is │\nEnd.";
        assert_eq!(wrapped(text, Some(24)), expected);
        assert_eq!(wrapped(text, None), text);
        assert_eq!(
            wrapped("a-word-that-is-longer-than-the-line b", Some(10)),
            "a-word-that-is-longer-than-the-line\nb"
        );
    }

    #[test]
    fn the_text_of_an_entry_is_wrapped_beside_its_name() {
        let expected = "shop    Offers of a shop\n        whose arms\n        change";
        assert_eq!(entry_within("shop", 6, "Offers of a shop whose arms change", Some(24)), expected);
        assert_eq!(entry_within("simpson", 7, "Two segments", None), "simpson  Two segments");
    }

    #[test]
    fn a_writer_escapes_what_goes_through_it() {
        let mut out = Escaping(Vec::new());
        let arm = "\u{1b}]0;x\u{7}";
        writeln!(out, "arm {arm}: {}", 3).unwrap();
        assert_eq!(String::from_utf8(out.0).unwrap(), "arm \\u001b]0;x\\u0007: 3\n");
    }
}
