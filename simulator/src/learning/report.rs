//! A row per set and variant, each with its verdict.
//!
//! The JSON is one object, with these keys:
//!
//! | key | what it is |
//! | --- | --- |
//! | `model`, `exploration`, `policy` | the slots' model; their width multiplier, `null` where it was left at its default; how scores became probabilities |
//! | `at_close` | rounds after which a reward was learned; `null`: on arrival |
//! | `silent_zeros` | whether a reward of 0 was no event |
//! | `seeds`, `tolerance` | runs of each row; standard errors by which a loss may lie above a peer's |
//! | `rows` | an object per set and variant, see below |
//! | `regressions` | the rows that are one, as `"<dataset> <variant>"` |
//!
//! and of each row:
//!
//! | key | what it is |
//! | --- | --- |
//! | `dataset`, `variant`, `rounds`, `arms` | the set's name, the variant's, rows of the set, its classes |
//! | `loss`, `loss_last_20_percent` | over the seeds: `mean`, and `standard_error`, which is `null` for one seed |
//! | `loss_by_tenth` | over all seeds, of each tenth of the rounds, `null` for an empty one |
//! | `uniform_loss` | what uniform choice expects, 1 − 1/arms |
//! | `best_tuned`, `best_untuned`, `best_reference` | the peers: `learner`, `loss`, `standard_error`; `null` where there is none |
//! | `difference` | the mean loss less the best peer's, tuned or not; `null` without peers |
//! | `verdict` | `"holds"`, `"regression"` or `"no_peers"` |
//! | `missed` | the best peer that was missed, as above, `null` where none was |
//! | `runs` | an object per seed, in order, as in a replay's report |
//!
//! Deliberately not in the JSON: times, which are not the same twice; the program adds those of
//! [`super::times`] under a key of their own when it is asked to.

use serde::Serialize;

use super::{
    BenchOptions,
    peers::{Class, Peer, Peers},
};
use crate::{
    dataset::Dataset,
    learning::replay::{ReplayRun, Spread, Tenths, Variant},
};

/// How a row stands to its peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BenchVerdict {
    /// No peer was missed.
    Holds,
    /// At least one was.
    Regression,
    /// None were measured on this stream.
    NoPeers,
}

/// A set in a variant; its keys are documented with the module.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BenchRow {
    /// The set's name.
    pub dataset: String,
    /// What changed on the way, and when rewards arrived.
    pub variant: Variant,
    /// Rows of the set.
    pub rounds: usize,
    /// Its classes.
    pub arms: usize,
    /// Over the seeds.
    pub loss: Spread,
    /// Over the seeds.
    pub loss_last_20_percent: Spread,
    /// Over all seeds.
    pub loss_by_tenth: Tenths,
    /// What uniform choice expects.
    pub uniform_loss: f64,
    /// The best peer of its class.
    pub best_tuned: Option<Peer>,
    /// The best peer of its class.
    pub best_untuned: Option<Peer>,
    /// The best plain learner of ours.
    pub best_reference: Option<Peer>,
    /// The mean loss less the best peer's.
    pub difference: Option<f64>,
    /// How it stands to its peers.
    pub verdict: BenchVerdict,
    /// The best peer that was missed.
    pub missed: Option<Peer>,
    /// A run per seed.
    pub runs: Vec<ReplayRun>,
    /// Wall time of a round, µs, while the other threads ran.
    #[serde(skip)]
    pub round_us: f64,
}

/// What came of all runs; its keys are documented with the module.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BenchReport {
    /// The slots' model.
    pub model: &'static str,
    /// The slots' width multiplier, if one was given.
    pub exploration: Option<f64>,
    /// How their scores became probabilities.
    pub policy: &'static str,
    /// A reward of 0 was no event.
    pub silent_zeros: bool,
    /// Rounds after which a reward was learned, if not on arrival.
    pub at_close: Option<u32>,
    /// Runs of each row.
    pub seeds: usize,
    /// In standard errors.
    pub tolerance: f64,
    /// By set, then by variant.
    pub rows: Vec<BenchRow>,
    /// The rows that are one.
    pub regressions: Vec<String>,
}

/// Whether a loss misses a peer's: it is not at most a tuned one's, or not below an untuned one's,
/// even when taken `tolerance` standard errors of their difference lower.
///
/// The difference of two independent means has the standard error √(e₁² + e₂²); that of a single
/// seed is not known and counts as 0.
fn misses(loss: Spread, peer: &Peer, tolerance: f64) -> bool {
    let error = loss.standard_error.unwrap_or(0.0).hypot(peer.standard_error);
    let at_best = loss.mean - tolerance * error;
    match peer.class() {
        Class::Tuned => at_best > peer.loss,
        Class::Untuned => at_best >= peer.loss,
        Class::Reference | Class::Skyline | Class::Random => false,
    }
}

impl BenchRow {
    /// From a stream's runs, at least one, which took so many seconds together.
    pub(super) fn new(dataset: &Dataset, variant: Variant, runs: Vec<ReplayRun>, seconds: f64, tolerance: f64) -> Self {
        let (rounds, arms) = (dataset.rows(), dataset.classes().len());
        let peers = Peers::on(dataset.name(), rounds, arms, &variant.to_string());
        let spread = |of: fn(&ReplayRun) -> f64| Spread::of(&runs.iter().map(of).collect::<Vec<_>>());
        let loss = spread(|run| run.loss);
        let missed = peers.and_then(|peers| {
            let missed = peers.peers.iter().filter(|peer| misses(loss, peer, tolerance));
            missed.min_by(|a, b| a.loss.total_cmp(&b.loss)).copied()
        });
        let best = |class| peers.and_then(|peers| peers.best(class));
        Self {
            dataset: dataset.name().to_owned(),
            variant,
            rounds,
            arms,
            loss,
            loss_last_20_percent: spread(|run| run.loss_last_20_percent),
            loss_by_tenth: Tenths::sum(runs.iter().map(|run| &run.loss_by_tenth)),
            uniform_loss: 1.0 - 1.0 / arms as f64,
            best_tuned: best(Class::Tuned),
            best_untuned: best(Class::Untuned),
            best_reference: best(Class::Reference),
            difference: peers.and_then(Peers::best_to_beat).map(|best| loss.mean - best.loss),
            verdict: match (peers, missed) {
                (None, _) => BenchVerdict::NoPeers,
                (Some(_), None) => BenchVerdict::Holds,
                (Some(_), Some(_)) => BenchVerdict::Regression,
            },
            missed,
            round_us: seconds * 1e6 / (rounds * runs.len()) as f64,
            runs,
        }
    }

    /// `<dataset> <variant>`.
    pub fn name(&self) -> String {
        format!("{} {}", self.dataset, self.variant)
    }
}

impl BenchReport {
    pub(super) fn new(options: &BenchOptions, rows: Vec<BenchRow>) -> Self {
        let regressions =
            rows.iter().filter(|row| row.verdict == BenchVerdict::Regression).map(BenchRow::name).collect();
        Self {
            model: options.model.name(),
            exploration: options.exploration,
            policy: options.policy.name(),
            silent_zeros: options.silent_zeros,
            at_close: options.at_close,
            seeds: options.seeds.len(),
            tolerance: options.tolerance,
            rows,
            regressions,
        }
    }

    /// As one line of JSON.
    ///
    /// # Errors
    ///
    /// None that we know of: the report is plain numbers and strings.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: the errors 0.003 and 0.004 make 0.005, so 0.11 is two of them above 0.10.
    #[test]
    fn a_loss_misses_what_it_is_above_by_more_than_the_tolerance() {
        let peer = |learner| Peer { learner, loss: 0.10, standard_error: 0.004 };
        let (tuned, untuned) = (peer("vw/tuned-quad"), peer("vw/lin/greedy"));
        let loss = |mean| Spread { mean, standard_error: Some(0.003) };
        for (mean, tolerance, want) in
            [(0.11, 0.0, true), (0.11, 1.9, true), (0.11, 2.1, false), (0.101, 0.0, true), (0.09, 0.0, false)]
        {
            assert_eq!(misses(loss(mean), &tuned, tolerance), want, "{mean} {tolerance}");
            assert_eq!(misses(loss(mean), &untuned, tolerance), want, "{mean} {tolerance}");
        }
        assert!(!misses(loss(0.10), &tuned, 0.0), "as good as a tuned one is enough");
        assert!(misses(loss(0.10), &untuned, 0.0), "as good as an untuned one is not");
        let single = Spread { mean: 0.11, standard_error: None };
        assert!(misses(single, &tuned, 2.4) && !misses(single, &tuned, 2.6), "0.01 is 2.5 of the peer's own");
        for learner in ["ref/linucb-a0.1", "skyline/vw-oaa", "random"] {
            assert!(!misses(loss(0.99), &peer(learner), 0.0), "{learner} is shown, not beaten");
        }
    }
}
