//! Affinities: how much of what a shopper did lately concerned each value of an item attribute.

use serde::{Deserialize, Serialize};

use super::attribute::ValueKey;

/// Values that a profile remembers, the heaviest ones.
pub(super) const AFFINITIES_MAX: usize = 24;
/// Weight below which nothing is left of an affinity.
const NEGLIGIBLE: f32 = 1e-3;

/// Affinity to one value. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct ValueAffinity(ValueKey, f32);

/// Affinities to the values of item attributes, with one fading for all of them. *Persisted.*
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Affinities {
    /// Weight of all items.
    mass: f32,
    /// Weight of the items with each value, in the order of the keys.
    values: Vec<ValueAffinity>,
}

#[expect(clippy::cast_possible_truncation, reason = "seven digits are enough for an affinity")]
fn rounded(weight: f64) -> f32 {
    weight as f32
}

impl Affinities {
    /// Weight of all items.
    pub(super) fn mass(&self) -> f64 {
        f64::from(self.mass)
    }

    /// Weight of the items with this value.
    pub(super) fn weight(&self, key: ValueKey) -> f64 {
        let found = self.values.binary_search_by_key(&key, |value| value.0);
        found.ok().and_then(|at| self.values.get(at)).map_or(0.0, |value| f64::from(value.1))
    }

    /// Value with the greatest weight, the first of several equal ones.
    pub(super) fn greatest(&self) -> Option<ValueKey> {
        let greatest = self.values.iter().reduce(|best, value| if value.1 > best.1 { value } else { best });
        greatest.map(|value| value.0)
    }

    /// Multiplies every weight by `factor`.
    pub(super) fn fade(&mut self, factor: f64) {
        let factor = rounded(factor);
        self.mass *= factor;
        for value in &mut self.values {
            value.1 *= factor;
        }
        self.values.retain(|value| value.1 > NEGLIGIBLE);
    }

    /// Adds an item of this weight. A negative weight takes one back. An item without values says nothing.
    pub(super) fn add(&mut self, weight: f64, keys: &[ValueKey]) {
        if keys.is_empty() {
            return;
        }
        self.mass = (self.mass + rounded(weight)).max(0.0);
        for &key in keys {
            match self.values.binary_search_by_key(&key, |value| value.0) {
                Ok(at) => self.values[at].1 = (self.values[at].1 + rounded(weight)).max(0.0),
                Err(at) if weight > 0.0 => self.values.insert(at, ValueAffinity(key, rounded(weight))),
                Err(_) => {}
            }
        }
        self.values.retain(|value| value.1 > NEGLIGIBLE);
        while self.values.len() > AFFINITIES_MAX {
            let lightest = self.values.iter().enumerate().min_by(|(_, a), (_, b)| a.1.total_cmp(&b.1));
            let Some(at) = lightest.map(|(at, _)| at) else { break };
            self.values.remove(at);
        }
        self.values.shrink_to(AFFINITIES_MAX);
    }

    /// Adds what another profile knows.
    pub(super) fn merge(&mut self, other: &Self) {
        for value in &other.values {
            self.add(f64::from(value.1), &[value.0]);
            self.mass -= value.1;
        }
        self.mass = self.mass.max(0.0) + other.mass;
    }

    /// Memory beside the struct itself, bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        self.values.capacity() * size_of::<ValueAffinity>()
    }
}
