//! Report of the benchmark: a row per set and variant, each with its verdict.
//!
//! The JSON is one object with these keys:
//!
//! | key | meaning |
//! | --- | --- |
//! | `model`, `exploration`, `policy` | the slots' model, width multiplier (`null` for the default) and policy |
//! | `at_close` | rounds after which a reward was learned, or `null` for on arrival |
//! | `silent_zeros` | whether a reward of 0 sent no event |
//! | `timing` | `"shuffled"`, `"every 30m"` or `"by COLUMN"`; with the last two no peers are compared |
//! | `seeds`, `tolerance` | runs of each row; standard errors by which a loss may lie above a peer's |
//! | `rows` | an object per set and variant, see below |
//! | `regressions` | the rows with a regression, as `"<dataset> <variant>"` |
//!
//! Each row has these keys:
//!
//! | key | meaning |
//! | --- | --- |
//! | `dataset`, `variant`, `rounds`, `arms` | the set's name, the variant's name, rows of the set, its classes |
//! | `loss`, `loss_last_20_percent` | over the seeds: `mean`, and `standard_error`, which is `null` for one seed |
//! | `loss_by_tenth` | over all seeds, the loss of each tenth of the rounds, or `null` for an empty one |
//! | `uniform_loss` | the expected loss of uniform choice, 1 − 1/arms |
//! | `best_tuned`, `best_untuned`, `best_reference` | the best peers: `learner`, `loss`, `standard_error`; `null` if
//! there is none |
//! | `difference` | the mean loss minus the best peer's, tuned or not; `null` without peers |
//! | `verdict` | `"holds"`, `"regression"` or `"no_peers"` |
//! | `missed` | the best peer that was missed, as above, or `null` if none was |
//! | `runs` | an object per seed, in order, as in a replay's report |
//!
//! Deliberately not in the JSON: times, which are not the same twice. The program adds those of [`super::times`] under
//! a key of their own on request.

use serde::Serialize;

use super::{
    BenchOptions,
    peers::{Class, Peer, Peers},
};
use crate::{
    dataset::Dataset,
    learning::replay::{ReplayRun, RowTiming, Spread, Tenths, Variant},
};

/// Verdict of a row's comparison with its peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BenchVerdict {
    /// All peers are reached.
    Holds,
    /// One or more peers are missed.
    Regression,
    /// Peers were not measured on this stream.
    NoPeers,
}

/// Row of a set in a variant. The module documents its keys.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BenchRow {
    /// The set's name.
    pub dataset: String,
    /// The variant.
    pub variant: Variant,
    /// Number of rows of the set.
    pub rounds: usize,
    /// Number of classes.
    pub arms: usize,
    /// Loss over the seeds.
    pub loss: Spread,
    /// Loss of the last 20 % of the rounds, over the seeds.
    pub loss_last_20_percent: Spread,
    /// Loss by tenth of the rounds, over all seeds.
    pub loss_by_tenth: Tenths,
    /// Expected loss of uniform choice.
    pub uniform_loss: f64,
    /// The best tuned peer, or `None`.
    pub best_tuned: Option<Peer>,
    /// The best untuned peer, or `None`.
    pub best_untuned: Option<Peer>,
    /// The best plain learner of ours, or `None`.
    pub best_reference: Option<Peer>,
    /// The mean loss minus the best peer's, or `None` without peers.
    pub difference: Option<f64>,
    /// The verdict.
    pub verdict: BenchVerdict,
    /// The best peer that was missed, or `None`.
    pub missed: Option<Peer>,
    /// The runs, one per seed.
    pub runs: Vec<ReplayRun>,
    /// Wall time of a round, µs, measured while the other threads ran.
    #[serde(skip)]
    pub round_us: f64,
}

/// Report of all runs. The module documents its keys.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BenchReport {
    /// The slots' model.
    pub model: &'static str,
    /// The slots' width multiplier, or `None` for the default.
    pub exploration: Option<f64>,
    /// The slots' policy.
    pub policy: &'static str,
    /// True if a reward of 0 sent no event.
    pub silent_zeros: bool,
    /// Rounds after which a reward was learned, or `None` for on arrival.
    pub at_close: Option<u32>,
    /// Order and times of the rows. Peers were measured on shuffled rows.
    pub timing: RowTiming,
    /// Number of runs of each row.
    pub seeds: usize,
    /// The tolerance, in standard errors.
    pub tolerance: f64,
    /// Rows by set, then by variant.
    pub rows: Vec<BenchRow>,
    /// Names of the rows with a regression.
    pub regressions: Vec<String>,
}

/// Returns whether a loss misses a peer's: it is above a tuned one's, or not below an untuned one's, even if taken
/// `tolerance` standard errors of their difference lower.
///
/// The difference of two independent means has the standard error √(e₁² + e₂²). The error of a single seed is unknown
/// and counts as 0.
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
    /// Returns the row of a stream's runs, at least one, which took this many seconds together.
    pub(super) fn new(
        dataset: &Dataset,
        variant: Variant,
        runs: Vec<ReplayRun>,
        seconds: f64,
        options: &BenchOptions,
    ) -> Self {
        let (rounds, arms) = (dataset.rows(), dataset.classes().len());
        let peers = Peers::of_stream(dataset.name(), rounds, arms, &variant.to_string());
        let peers = peers.filter(|_| options.timing == RowTiming::Shuffled);
        let spread = |of: fn(&ReplayRun) -> f64| Spread::new(&runs.iter().map(of).collect::<Vec<_>>());
        let loss = spread(|run| run.loss);
        let missed = peers.and_then(|peers| {
            let missed = peers.peers.iter().filter(|peer| misses(loss, peer, options.tolerance));
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

    /// Returns the row's name, `<dataset> <variant>`.
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
            timing: options.timing.clone(),
            seeds: options.seeds.len(),
            tolerance: options.tolerance,
            rows,
            regressions,
        }
    }

    /// Returns the report as one line of JSON.
    ///
    /// # Errors
    ///
    /// Returns no known error: the report is plain numbers and strings.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by hand: the errors 0.003 and 0.004 make 0.005, so 0.11 is two of them above 0.10.
    #[test]
    fn a_loss_misses_a_peer_if_it_is_higher_by_more_than_the_tolerance() {
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
