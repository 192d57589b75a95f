//! Expansions: features made of features, with which a linear model follows nonlinear rewards.

mod consistent;

use std::f64::consts::TAU;

use rand::{RngExt as _, SeedableRng as _, rngs::Xoshiro256PlusPlus};
use serde::{Deserialize, Serialize};

use super::{
    encoder::{EncodedRow, Encoder},
    normal::standard_normal,
};
use crate::stats::{SparseVector, math::cos};

/// Maximum total variance of the encoded features of a row under a prior of precision 1. Rows of more features are
/// scaled down to it, as with tens of features of variance 1 the prior would expect rewards far beyond all real ones.
const LINEAR_VARIANCE: f64 = 16.0;
/// Maximum total variance of all products of a row.
const PRODUCT_VARIANCE: f64 = 5.0;
/// Total variance of all Fourier features.
const FOURIER_VARIANCE: f64 = 9.0;
/// Maximum number of Fourier features, as a posterior costs their square.
const FOURIER_FEATURES: u32 = 160;
/// Index that marks a base feature that was not met yet.
const NONE: u32 = u32::MAX;

/// Expansion of the encoded features. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Expansion {
    /// No expansion, which is linear.
    #[default]
    None,
    /// Products of two features of a row, and squares of numbers.
    Interactions,
    /// Random Fourier features of the numbers: cosines along random directions.
    Fourier,
}

/// Origin of a term of a model's row, by the encoder's indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowTerm {
    /// Feature; index 0 is the constant.
    Base(u32),
    /// Product of two features, or of a number with itself.
    Product(u32, u32),
    /// Fourier feature of all numbers.
    Fourier,
}

/// Expander of encoded rows to rows of a model, which assigns indices as features are met. *Persisted.*
///
/// Each base feature has an index of its own. The products met first have their own indices until seven eighths of the
/// budget are used; the others share the last eighth by a hash. A row gives the same features ever after, so an
/// observation can be revised.
///
/// # Source
///
/// Fourier features: Rahimi and Recht, "Random Features for Large-Scale Kernel Machines" (2007),
/// algorithm 1, for the Gaussian kernel. The length scale is √n for n standardised numbers: two rows of independent
/// numbers are √(2n) apart, so the kernel tells rows apart and still sees neighbours, whatever the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Expander {
    expansion: Expansion,
    budget: u32,
    next: u32,
    /// Model's index of each of the encoder's indices.
    base: Vec<u32>,
    /// Products of each feature: the other features, ascending, with the product's index, or [`NONE`] if it lost it.
    products: Vec<Vec<(u32, u32)>>,
    /// Index of each bucket.
    buckets: Vec<u32>,
    /// Index of the first Fourier feature.
    fourier: Option<u32>,
    /// Number of the encoder's retired indices whose terms were taken out.
    #[serde(default)]
    taken_out: usize,
    /// Model's indices that no term has any more, ascending.
    #[serde(default)]
    free: Vec<u32>,
    /// Component of every Fourier feature's direction for each of the encoder's indices that is a number, and an empty
    /// list for the others. It follows from the index.
    #[serde(skip)]
    directions: Vec<Vec<f64>>,
    /// Phase of each Fourier feature.
    #[serde(skip)]
    phases: Vec<f64>,
}

impl Expander {
    /// Creates an expander that has met nothing.
    ///
    /// `budget` ≥ 8 limits the products together with the base features met before the budget is used up. Base features
    /// met later come on top; the encoder's own budget bounds those.
    pub(super) fn new(expansion: Expansion, budget: u32) -> Self {
        Self {
            expansion,
            budget,
            next: 0,
            base: Vec::new(),
            products: Vec::new(),
            buckets: Vec::new(),
            fourier: None,
            taken_out: 0,
            free: Vec::new(),
            directions: Vec::new(),
            phases: Vec::new(),
        }
    }

    /// Dimensions in use.
    pub(super) fn dim(&self) -> u32 {
        self.next
    }

    /// Returns whether the rows met so far gave the expansion anything to add.
    pub(super) fn adds(&self) -> bool {
        match self.expansion {
            Expansion::None => true,
            Expansion::Interactions => !self.products.is_empty() || !self.buckets.is_empty(),
            Expansion::Fourier => self.fourier.is_some(),
        }
    }

    fn fourier_features(&self) -> u32 {
        (self.budget / 2).min(FOURIER_FEATURES)
    }

    fn new_index(&mut self) -> u32 {
        self.next += 1;
        self.next - 1
    }

    /// Takes out the terms of words that lost their indices since the last call. Returns the model's indices of these terms,
    /// ascending.
    fn take_out_retired(&mut self, encoder: &Encoder) -> Vec<u32> {
        let retired = encoder.retired().get(self.taken_out..).unwrap_or_default();
        if retired.is_empty() {
            return Vec::new();
        }
        self.taken_out = encoder.retired().len();
        let mut out = Vec::new();
        for &index in retired {
            let i = index as usize;
            out.extend(self.base.get_mut(i).map(|own| std::mem::replace(own, NONE)).filter(|&own| own != NONE));
            for (first, of_first) in self.products.iter_mut().enumerate().take(i + 1) {
                let taken = of_first.iter_mut().filter(|entry| first == i || entry.0 == index);
                out.extend(taken.map(|(_, own)| std::mem::replace(own, NONE)).filter(|&own| own != NONE));
            }
        }
        out.sort_unstable();
        self.free.extend(&out);
        self.free.sort_unstable();
        out
    }

    /// Returns whether [`meet`](Self::meet) would change nothing.
    pub(super) fn knows(&self, encoder: &Encoder, row: &EncodedRow) -> bool {
        let base = |&(index, _): &(u32, f64)| match self.base.get(index as usize) {
            Some(&own) => own != NONE || is_retired(encoder, index),
            None => false,
        };
        if encoder.retired().len() > self.taken_out || !row.vector.entries.iter().all(base) {
            return false;
        }
        match self.expansion {
            Expansion::None => true,
            Expansion::Interactions => products(encoder, row).into_iter().all(|(pair, _)| {
                self.product(pair).is_some() || is_retired(encoder, pair.0) || is_retired(encoder, pair.1)
            }),
            Expansion::Fourier if self.fourier.is_none() => row.numbers == 0,
            Expansion::Fourier => self.directions.len() >= encoder.indices() as usize,
        }
    }

    /// Gives indices to the terms of a row that were never met. A word that lost its index gets none.
    ///
    /// Returns the indices of terms that were taken out, ascending. New terms may have them by now, so a posterior must take
    /// them out before it learns the row.
    pub(super) fn meet(&mut self, encoder: &Encoder, row: &EncodedRow) -> Vec<u32> {
        let taken_out = self.take_out_retired(encoder);
        let first_new = self.base.len();
        for &(index, _) in &row.vector.entries {
            let i = index as usize;
            if i >= self.base.len() {
                self.base.resize(i + 1, NONE);
            }
            if self.base[i] == NONE && !is_retired(encoder, index) {
                self.base[i] = self.free.pop().unwrap_or_else(|| self.new_index());
            }
        }
        match self.expansion {
            Expansion::None => {}
            Expansion::Interactions => {
                let limit = self.budget - self.budget / 8;
                for (pair, _) in products(encoder, row) {
                    if is_retired(encoder, pair.0) || is_retired(encoder, pair.1) {
                        continue;
                    }
                    // A pair with a term that was never met has no rows in its bucket yet, so it may get an index of its own.
                    let new = (pair.1 as usize) >= first_new;
                    let free = self.free.first().copied().filter(|&index| new && index < limit);
                    if free.is_none() && self.product(pair).is_some() {
                        continue;
                    }
                    let index = free.unwrap_or_else(|| self.new_index());
                    if free.is_some() {
                        self.free.remove(0);
                    }
                    if index < limit {
                        let (first, second) = (pair.0 as usize, pair.1);
                        if self.products.len() <= first {
                            self.products.resize(first + 1, Vec::new());
                        }
                        let at = self.products[first].partition_point(|&(other, _)| other < second);
                        self.products[first].insert(at, (second, index));
                    } else {
                        let bucket = self.bucket(pair);
                        self.buckets.resize(self.buckets.len().max(bucket + 1), NONE);
                        self.buckets[bucket] = index;
                    }
                }
            }
            Expansion::Fourier => {
                if self.fourier.is_none() && row.numbers > 0 {
                    self.fourier = Some(self.next);
                    self.next += self.fourier_features();
                }
                self.rebuild(encoder);
            }
        }
        taken_out
    }

    /// Rebuilds the fields that are not persisted.
    pub(super) fn rebuild(&mut self, encoder: &Encoder) {
        if self.fourier.is_none() {
            return;
        }
        let features = self.fourier_features() as usize;
        if self.phases.is_empty() {
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(u64::MAX);
            self.phases = (0..features).map(|_| TAU * rng.random::<f64>()).collect();
        }
        while self.directions.len() < encoder.indices() as usize {
            let index = self.directions.len();
            let number = u32::try_from(index).ok().and_then(|i| encoder.column(i)).is_some_and(|c| c.number);
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(index as u64);
            self.directions.push(if number {
                (0..features).map(|_| standard_normal(&mut rng)).collect()
            } else {
                Vec::new()
            });
        }
    }

    fn bucket(&self, (i, j): (u32, u32)) -> usize {
        let mixed = (u64::from(i) << 32 | u64::from(j)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        usize::try_from((mixed >> 32) % u64::from((self.budget / 8).max(1))).unwrap_or(0)
    }

    /// Index of a product, either its own or its bucket's, or `None` if it has none yet. A product that lost its own index
    /// has [`NONE`].
    fn product(&self, pair: (u32, u32)) -> Option<u32> {
        if let Some(of_first) = self.products.get(pair.0 as usize)
            && let Ok(at) = of_first.binary_search_by_key(&pair.1, |&(second, _)| second)
        {
            return Some(of_first[at].1);
        }
        self.buckets.get(self.bucket(pair)).copied().filter(|&index| index != NONE)
    }

    /// Returns the model's row. Terms without an index count as unseen.
    pub(super) fn expand(&self, encoder: &Encoder, row: &EncodedRow) -> SparseVector {
        let scale = linear_scale(row);
        let mut out = SparseVector { entries: Vec::new(), unseen: row.vector.unseen * scale * scale };
        self.each_term(encoder, row, &mut |index, value, _| match index {
            Some(own) => out.entries.push((own, value)),
            None => out.unseen += value * value,
        });
        out.entries.sort_unstable_by_key(|&(index, _)| index);
        // Products that share a bucket add up.
        out.entries.dedup_by(|later, first| {
            let same = later.0 == first.0;
            if same {
                first.1 += later.1;
            }
            same
        });
        out
    }

    /// Calls `put` with every term of the model's row: its index or `None`, its value and its origin.
    pub(super) fn each_term(
        &self,
        encoder: &Encoder,
        row: &EncodedRow,
        put: &mut impl FnMut(Option<u32>, f64, RowTerm),
    ) {
        let scale = linear_scale(row);
        for &(index, value) in &row.vector.entries {
            let value = if index == 0 { value } else { value * scale };
            let own = self.base.get(index as usize).copied().filter(|&own| own != NONE);
            if own.is_some() || !is_retired(encoder, index) {
                put(own, value, RowTerm::Base(index));
            }
        }
        match self.expansion {
            Expansion::None => {}
            Expansion::Interactions => {
                let pairs = products(encoder, row);
                let scale = (PRODUCT_VARIANCE / pairs.len().max(1) as f64).min(1.0).sqrt();
                for (pair, product) in pairs {
                    let own = self.product(pair);
                    if own != Some(NONE) {
                        put(own, product * scale, RowTerm::Product(pair.0, pair.1));
                    }
                }
            }
            Expansion::Fourier => self.each_cosine(row, put),
        }
    }

    fn each_cosine(&self, row: &EncodedRow, put: &mut impl FnMut(Option<u32>, f64, RowTerm)) {
        if row.numbers == 0 {
            return;
        }
        let Some(first) = self.fourier else {
            return put(None, FOURIER_VARIANCE.sqrt(), RowTerm::Fourier);
        };
        let mut angles = self.phases.clone();
        let inverse_length = 1.0 / f64::from(row.numbers).sqrt();
        for &(index, value) in &row.vector.entries {
            let direction = self.directions.get(index as usize).map_or(&[][..], Vec::as_slice);
            for (angle, part) in angles.iter_mut().zip(direction) {
                *angle += value * inverse_length * part;
            }
        }
        let scale = (2.0 * FOURIER_VARIANCE / angles.len() as f64).sqrt();
        for (index, angle) in (first..).zip(angles) {
            put(Some(index), scale * cos(angle), RowTerm::Fourier);
        }
    }
}

fn is_retired(encoder: &Encoder, index: u32) -> bool {
    encoder.column(index).is_some_and(|column| column.retired)
}

/// Scale of the encoded features of a row.
fn linear_scale(row: &EncodedRow) -> f64 {
    let count = row.vector.entries.len().saturating_sub(1).max(1) as f64;
    (LINEAR_VARIANCE / count).min(1.0).sqrt()
}

/// Returns the products of a row: pairs of features (never two of one feature) and the squares of numbers.
fn products(encoder: &Encoder, row: &EncodedRow) -> Vec<((u32, u32), f64)> {
    let columns: Vec<_> =
        row.vector.entries.iter().filter_map(|&(i, value)| Some((i, value, encoder.column(i)?))).skip(1).collect();
    let mut pairs = Vec::with_capacity(columns.len() * (columns.len() + 1) / 2);
    for (n, &(i, a, first)) in columns.iter().enumerate() {
        if first.number {
            pairs.push(((i, i), a * a));
        }
        for &(j, b, second) in &columns[n + 1..] {
            if first.number || first.feature != second.feature {
                pairs.push(((i, j), a * b));
            }
        }
    }
    pairs
}

#[cfg(test)]
mod tests;
