//! Losses of other learners on the same streams, read from `peers.csv`.
//!
//! They were measured with Vowpal Wabbit 9.11 (`vw`), `MABWiser`, `River`, `contextualbandits` and
//! `bayesianbandits` on the UCI sets Mushroom, Pen-Based Recognition and Adult (20,000 of its rows).
//! Each line of the file is the mean loss over the seeds 0 to 4 of [`crate::order`], with its standard error,
//! to four decimals. `lin` is linear, `quad` has all pairs of features. The peers were given standardised
//! numbers and a vocabulary known beforehand; the service gets the values that stand in the data set.
//!
//! Deliberately not here: the verdict, which is [`super::report`]'s.

use std::sync::LazyLock;

/// The measurements: one line per stream and learner, the lines of a stream together.
const CSV: &str = include_str!("peers.csv");

/// Kind of learner that a peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The best of a grid of explorers, rates and encodings, for this set (`tuned-*`) or over all sets (`single-*`).
    Tuned,
    /// One configuration with its default settings.
    Untuned,
    /// A plain learner of ours, which shows what can be done.
    Reference,
    /// A supervised learner that is given the right label every time.
    Skyline,
    /// Uniform choice.
    Random,
}

/// Another learner's loss on a stream.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Peer {
    /// The learner's name: package, then configuration.
    pub learner: &'static str,
    /// Mean of 1 − reward, over five seeds.
    pub loss: f64,
    /// Standard error of that mean.
    pub standard_error: f64,
}

/// Losses of other learners on one stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Peers {
    /// The set's name.
    pub dataset: &'static str,
    /// Number of rows. Another number makes it another stream.
    pub rows: usize,
    /// Number of classes.
    pub arms: usize,
    /// The variant's name.
    pub variant: &'static str,
    /// The learners, in the order of the file.
    pub peers: Vec<Peer>,
}

impl Peer {
    /// Returns the kind of learner that the name says.
    pub fn class(&self) -> Class {
        let (package, configuration) = self.learner.split_once('/').unwrap_or((self.learner, ""));
        match package {
            "ref" => Class::Reference,
            "skyline" => Class::Skyline,
            "random" => Class::Random,
            _ if configuration.starts_with("tuned-") || configuration.starts_with("single-") => Class::Tuned,
            _ => Class::Untuned,
        }
    }
}

impl Peers {
    /// Returns the learners measured on this stream, or `None` if none were or the set is another of the same name.
    pub fn of_stream(dataset: &str, rows: usize, arms: usize, variant: &str) -> Option<&'static Self> {
        all().iter().find(|p| p.dataset == dataset && p.variant == variant && p.rows == rows && p.arms == arms)
    }

    /// Returns the best learner of a class, or `None` if the class has none.
    pub fn best(&self, class: Class) -> Option<Peer> {
        self.in_class(class).min_by(|a, b| a.loss.total_cmp(&b.loss))
    }

    /// Returns the best of the learners to beat: tuned or untuned, but neither ours nor supervised.
    pub fn best_to_beat(&self) -> Option<Peer> {
        self.in_class(Class::Tuned).chain(self.in_class(Class::Untuned)).min_by(|a, b| a.loss.total_cmp(&b.loss))
    }

    /// Returns all learners of a class.
    pub fn in_class(&self, class: Class) -> impl Iterator<Item = Peer> + '_ {
        self.peers.iter().copied().filter(move |peer| peer.class() == class)
    }
}

/// Returns every stream that was measured, in the order of the file.
pub fn all() -> &'static [Peers] {
    static ALL: LazyLock<Vec<Peers>> = LazyLock::new(|| {
        let mut streams: Vec<Peers> = Vec::new();
        for (stream, peer) in CSV.lines().skip(1).filter_map(line) {
            match streams.last_mut() {
                Some(last) if (last.dataset, last.variant) == (stream.dataset, stream.variant) => last.peers.push(peer),
                _ => streams.push(Peers { peers: vec![peer], ..stream }),
            }
        }
        streams
    });
    &ALL
}

/// Reads a line of the file: its stream, still without peers, and its peer. Returns `None` if the line is malformed;
/// a test counts the lines that are read.
fn line(text: &'static str) -> Option<(Peers, Peer)> {
    let fields: Vec<&'static str> = text.split(',').collect();
    let &[dataset, rows, arms, variant, learner, loss, standard_error] = fields.as_slice() else { return None };
    let peer = Peer { learner, loss: loss.parse().ok()?, standard_error: standard_error.parse().ok()? };
    Some((Peers { dataset, rows: rows.parse().ok()?, arms: arms.parse().ok()?, variant, peers: Vec::new() }, peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_file_is_read() {
        let read: usize = all().iter().map(|stream| stream.peers.len()).sum();
        assert_eq!(read, CSV.lines().count() - 1);
    }
}
