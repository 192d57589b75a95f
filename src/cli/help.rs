//! Help texts of the command line, fitted to a width.
//!
//! Deliberately not here: the texts, which stand with the flags.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{ArgMatches, Command, error::ErrorKind};

use super::{table, terminal::say};

/// Width without a terminal, columns.
const WIDTH: usize = 80;
/// Length beyond which a line without indent goes on in the next one.
const LONG: usize = 90;
/// Indent of an explanation that stands on a line of its own, below a flag that is too wide for one beside it.
const BELOW: usize = 10;

/// Parses the arguments of the process. Help goes to standard output, fitted to the terminal; the exit code is that of a
/// program that has nothing else to do.
///
/// Usage errors end the process, as they do in `clap`.
pub fn matches(command: Command) -> Result<ArgMatches, ExitCode> {
    let width = table::limit().unwrap_or(WIDTH);
    command.try_get_matches().map_err(|why| {
        let kind = why.kind();
        if kind == ErrorKind::DisplayHelp {
            say(fitted(&why.to_string(), width));
            return ExitCode::SUCCESS;
        }
        if kind == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            // A closed standard error is no error of this program.
            let _ = writeln!(io::stderr(), "{}", fitted(&why.to_string(), width));
            return ExitCode::from(2);
        }
        why.exit()
    })
}

/// Part of a help text: a paragraph, or a flag or key with its explanation.
struct HelpEntry {
    /// Columns before the first line.
    indent: usize,
    /// Columns before further lines.
    hang: usize,
    text: String,
    /// Length of the last line that was added.
    last: usize,
}

impl HelpEntry {
    fn new(line: &str, width: usize) -> Vec<Self> {
        let indent = line.len() - line.trim_start().len();
        let entry = |indent, hang, text: &str| Self { indent, hang, text: text.to_owned(), last: line.len() };
        let body = line.trim();
        match body.find("  ").filter(|_| indent > 0) {
            Some(end) => {
                let (key, text) = (&body[..end], body[end..].trim_start());
                let hang = line.len() - text.len();
                if hang <= width / 2 {
                    vec![entry(indent, hang, body)]
                } else {
                    vec![entry(indent, indent, key), entry(BELOW, BELOW, text)]
                }
            }
            None => vec![entry(indent, indent, body)],
        }
    }

    /// Returns whether a line belongs to this entry.
    fn goes_on(&self, line: &str) -> bool {
        let indent = line.len() - line.trim_start().len();
        let explains = self.hang > self.indent || self.last > LONG;
        !self.text.is_empty()
            && !line.trim().is_empty()
            && indent == self.hang
            && explains
            && !line.trim_start().starts_with('-')
    }

    fn fitted(&self, width: usize) -> String {
        let (first, further) = (" ".repeat(self.indent), " ".repeat(self.hang));
        let options = textwrap::Options::new(width)
            .initial_indent(&first)
            .subsequent_indent(&further)
            .break_words(false)
            .word_splitter(textwrap::WordSplitter::NoHyphenation);
        textwrap::fill(&self.text, options)
    }
}

/// Returns a help text in which every line has at most `width` columns, as far as its words have.
///
/// Paragraphs are broken again. The explanation of a flag or key stays in its column, or moves below a flag that leaves less
/// than half of the width.
pub fn fitted(text: &str, width: usize) -> String {
    let mut entries: Vec<HelpEntry> = Vec::new();
    for line in text.lines() {
        match entries.last_mut().filter(|entry| entry.goes_on(line)) {
            Some(entry) => {
                entry.text.push(' ');
                entry.text.push_str(line.trim());
                entry.last = line.len();
            }
            None => entries.extend(HelpEntry::new(line, width)),
        }
    }
    let lines: Vec<String> = entries.iter().map(|entry| entry.fitted(width).trim_end().to_owned()).collect();
    lines.join("\n").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// Calls `each` with the short and the long help of a command and of all below it.
    fn each_help(command: &mut Command, each: &mut impl FnMut(&str, String)) {
        let name = command.get_name().to_owned();
        each(&name, command.render_help().to_string());
        each(&name, command.render_long_help().to_string());
        for below in command.get_subcommands_mut() {
            each_help(below, each);
        }
    }

    /// Every help text fits 80 columns, and has the same words in the same order.
    #[test]
    fn every_help_fits_eighty_columns() {
        let (mut command, mut texts) = (crate::cli::Args::command(), 0);
        command.build();
        each_help(&mut command, &mut |name, text| {
            let fitted = fitted(&text, 80);
            texts += 1;
            for line in fitted.lines() {
                let one_word = line.split_whitespace().count() <= 1;
                assert!(line.chars().count() <= 80 || one_word, "{name}: {line}");
            }
            assert!(fitted.split_whitespace().eq(text.split_whitespace()), "{name}: {fitted}");
        });
        assert!(texts > 40, "{texts}");
    }

    #[test]
    fn explanations_stay_in_their_column_and_paragraphs_are_broken_again() {
        let text = "Keys:\n  mean, error   the mean over all of the seeds; its standard error, which is null for a single seed\n                and more\n  seeds         seeds\n\n      --a-very-long-flag-of-a-command <AND-ITS-VALUE>  What the flag does";
        let want = "Keys:\n  mean, error   the mean over all of the seeds; its standard\n                error, which is null for a single seed and\n                more\n  seeds         seeds\n\n      --a-very-long-flag-of-a-command <AND-ITS-VALUE>\n          What the flag does";
        assert_eq!(fitted(text, 60), want);
    }
}
