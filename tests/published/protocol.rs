//! Riquelme, Tucker, Snoek (2018), *Deep Bayesian Bandits Showdown*, §5 and appendix A: linear Thompson sampling on
//! real data.
//!
//! Each arm has one posterior over its weights and noise, with prior precision 0.25 and a = b = 6. Each arm is pulled
//! twice before the first draw. Regret is in per cent of what uniform choice loses.
//!
//! The data sets are not part of this repository. Set `SLOTWISE_DATA` to a folder with `mushroom.csv.gz` (UCI Mushroom)
//! or `statlog.csv.gz` (UCI Statlog Shuttle): a header, then the label (an index from 0) and columns `n_…` of numbers
//! and `c_…` of words. Without them the tests print that they are skipped.

use std::{collections::HashMap, ffi::OsString, fs::File, io::Read as _, path::Path};

use flate2::read::MultiGzDecoder;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rand_distr::{Distribution as _, Gamma, StandardNormal};
use slotwise::stats::{Gaussian, Noise, SparseVector};

use super::{mean_and_error, runs};

const PRIOR_PRECISION: f64 = 0.25;
const SHAPE: f64 = 6.0;
const SCALE: f64 = 6.0;
const FORCED_PULLS: usize = 2;

/// The rows of a data set, each with an intercept first, and their labels.
struct DataSet {
    rows: Vec<SparseVector>,
    labels: Vec<usize>,
}

/// Reads a data set, or prints that it is skipped and returns `None` if the file is missing.
fn read_set(name: &str) -> Option<DataSet> {
    let folder: Option<OsString> = std::env::var_os("SLOTWISE_DATA");
    let path = folder.map(|folder| Path::new(&folder).join(format!("{name}.csv.gz"))).filter(|path| path.exists());
    let Some(path) = path else {
        println!("skipped: SLOTWISE_DATA names no folder with {name}.csv.gz");
        return None;
    };
    let mut text = String::new();
    MultiGzDecoder::new(File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    let mut lines = text.lines();
    let columns: Vec<&str> = lines.next().unwrap().split(',').collect();
    let mut words: HashMap<(usize, &str), u32> = HashMap::new();
    let numbers = u32::try_from(columns.iter().filter(|column| column.starts_with("n_")).count()).unwrap();
    let mut set = DataSet { rows: Vec::new(), labels: Vec::new() };
    for line in lines.filter(|line| !line.is_empty()) {
        let mut cells = line.split(',');
        set.labels.push(cells.next().unwrap().parse().unwrap());
        let (mut entries, mut number) = (vec![(0, 1.0)], 0);
        for (column, cell) in cells.enumerate() {
            if columns[column + 1].starts_with("n_") {
                number += 1;
                entries.push((number, cell.parse().unwrap()));
            } else {
                let next = 1 + numbers + u32::try_from(words.len()).unwrap();
                entries.push((*words.entry((column, cell)).or_insert(next), 1.0));
            }
        }
        entries.sort_by_key(|(index, _)| *index);
        set.rows.push(SparseVector { entries, unseen: 0.0 });
    }
    Some(set)
}

/// Normal-inverse-gamma posterior of one arm's weights and noise.
struct ArmPosterior {
    weights: Gaussian,
    noise: Noise,
    pulls: usize,
}

impl ArmPosterior {
    fn new() -> Self {
        Self { weights: Gaussian::new(PRIOR_PRECISION), noise: Noise::new(SHAPE, SCALE), pulls: 0 }
    }

    /// Draws `xᵀθ`: first the variance, then the score given the variance.
    fn draw(&self, x: &SparseVector, work: &mut Vec<f64>, rng: &mut StdRng) -> f64 {
        let shape = SHAPE + 0.5 * self.pulls as f64;
        let precision = Gamma::new(shape, 1.0 / self.noise.scale()).unwrap().sample(rng);
        let at = self.weights.predict(x, work);
        let z: f64 = StandardNormal.sample(rng);
        at.mean + (at.leverage / precision).sqrt() * z
    }

    fn observe(&mut self, x: &SparseVector, y: f64, work: &mut Vec<f64>) {
        let at = self.weights.predict(x, work);
        self.noise.observe(1.0, y - at.mean, at.leverage);
        self.weights.observe(x, 1.0, y - at.mean);
        self.pulls += 1;
    }
}

/// Returns the regret over `rounds` contexts, drawn with replacement, in per cent of the regret of uniform choice.
///
/// `expected(label, arm)` is the mean reward, and `reward` draws one.
fn regret(
    set: &DataSet,
    arms: usize,
    rounds: u32,
    seed: u64,
    expected: fn(usize, usize) -> f64,
    reward: fn(usize, usize, &mut StdRng) -> f64,
) -> f64 {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut learners: Vec<ArmPosterior> = (0..arms).map(|_| ArmPosterior::new()).collect();
    let mut work = Vec::new();
    let (mut lost, mut lost_by_uniform) = (0.0, 0.0);
    for round in 0..rounds as usize {
        let row = rng.random_range(0..set.rows.len());
        let (x, label) = (&set.rows[row], set.labels[row]);
        let arm = if round < FORCED_PULLS * arms {
            round % arms
        } else {
            let scores: Vec<f64> = learners.iter().map(|learner| learner.draw(x, &mut work, &mut rng)).collect();
            (0..arms).max_by(|&i, &j| scores[i].total_cmp(&scores[j])).unwrap()
        };
        let best = (0..arms).map(|arm| expected(label, arm)).fold(f64::NEG_INFINITY, f64::max);
        lost += best - expected(label, arm);
        lost_by_uniform += best - (0..arms).map(|arm| expected(label, arm)).sum::<f64>() / arms as f64;
        let y = reward(label, arm, &mut rng);
        learners[arm].observe(x, y, &mut work);
    }
    100.0 * lost / lost_by_uniform
}

/// Returns the mean reward. Label 0 is edible, 1 poisonous; arm 0 skips, arm 1 eats.
fn mushroom_expected(label: usize, arm: usize) -> f64 {
    match (arm, label) {
        (0, _) => 0.0,
        (_, 0) => 5.0,
        _ => 0.5 * (5.0 - 35.0),
    }
}

fn mushroom_reward(label: usize, arm: usize, rng: &mut StdRng) -> f64 {
    match (arm, label) {
        (0, _) => 0.0,
        (_, 0) => 5.0,
        _ => [5.0, -35.0][usize::from(rng.random_bool(0.5))],
    }
}

/// Linear Thompson sampling under this protocol has 1.8 % in our earlier simulation, which was written elsewhere.
#[test]
fn on_mushroom_linear_thompson_loses_less_than_a_twentieth_of_uniform() {
    let Some(set) = read_set("mushroom") else { return };
    let lost: Vec<f64> =
        (0..runs(2)).map(|seed| regret(&set, 2, 50_000, seed, mushroom_expected, mushroom_reward)).collect();
    let (mean, error) = mean_and_error(&lost);
    println!("mushroom: {mean:.2} ± {error:.2} % of uniform's regret");
    assert!(mean < 5.0, "{lost:?}");
}

fn right(label: usize, arm: usize) -> f64 {
    f64::from(u8::from(label == arm))
}

fn right_reward(label: usize, arm: usize, _: &mut StdRng) -> f64 {
    right(label, arm)
}

#[test]
fn on_statlog_linear_thompson_loses_what_an_independent_simulation_says() {
    let Some(set) = read_set("statlog") else { return };
    let lost: Vec<f64> = (0..runs(5)).map(|seed| regret(&set, 7, 43_500, seed, right, right_reward)).collect();
    let (mean, error) = mean_and_error(&lost);
    println!("statlog: {mean:.2} ± {error:.2} % of uniform's regret");
    assert!((mean - 7.3).abs() < 0.3 + 2.0 * error, "{mean:.2} ± {error:.2}");
}
