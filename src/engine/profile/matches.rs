//! Match of a shopper with each candidate, as a decision uses and records it.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::{
    bandit::{Features, Value},
    slot::{ArmId, limits::FEATURES_MAX},
};

/// Steps of an affinity from 0 to 1.
pub(super) const AFFINITY_STEPS: f64 = 16.0;
/// Steps of a price's distance per factor of e.
pub(super) const PRICE_STEPS: f64 = 4.0;
/// Greatest distance of a price, in steps: a factor of 20.
pub(super) const PRICE_MAX: i8 = 12;

/// Match of one candidate. The numbers are rounded to steps, so that few values recur often. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct CandidateMatch {
    /// Index of the candidate in the request's candidates, or in the slot's arms if the request names none, from 0.
    pub candidate: u32,
    /// Affinity to the candidate's attribute values, sixteenths.
    pub affinity: u8,
    /// Logarithm of the candidate's price over the shopper's usual price, quarters, if both are known.
    pub price: Option<i8>,
    /// The shopper looked at the item lately.
    pub seen: bool,
    /// The shopper bought the item lately.
    pub bought: bool,
}

impl CandidateMatch {
    /// Returns `true` if the match differs from that of a candidate about which the profile says nothing.
    pub(super) fn is_notable(&self) -> bool {
        *self != Self { candidate: self.candidate, ..Self::default() }
    }

    /// Packs everything but the index into a number.
    pub fn to_bits(self) -> u32 {
        let price = self.price.map_or(0, |price| u32::from(price.unsigned_abs()) << 1 | u32::from(price < 0));
        u32::from(self.affinity)
            | u32::from(self.seen) << 8
            | u32::from(self.bought) << 9
            | u32::from(self.price.is_some()) << 10
            | price << 11
    }

    /// Inverse of [`to_bits`](Self::to_bits).
    pub fn from_bits(candidate: u32, bits: u32) -> Self {
        let size = i8::try_from(bits >> 12 & 0x7f).unwrap_or(0);
        let price = if bits >> 11 & 1 == 1 { -size } else { size };
        Self {
            candidate,
            affinity: u8::try_from(bits & 0xff).unwrap_or(0),
            seen: bits >> 8 & 1 == 1,
            bought: bits >> 9 & 1 == 1,
            price: (bits >> 10 & 1 == 1).then_some(price),
        }
    }

    /// Adds the match to a candidate's own features, which win on a name clash.
    fn add_to(self, own: &mut Features) {
        let mut add = |name: &str, value: Value| {
            if own.len() < FEATURES_MAX {
                own.entry(name.to_owned()).or_insert(value);
            }
        };
        add("match.affinity", Value::Number(f64::from(self.affinity) / AFFINITY_STEPS));
        if let Some(price) = self.price {
            add("match.price", Value::Number(f64::from(price) / PRICE_STEPS));
        }
        if self.seen {
            add("match.seen", Value::Flag(true));
        }
        if self.bought {
            add("match.bought", Value::Flag(true));
        }
    }
}

/// Matches of all candidates of a request.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CandidateMatches {
    /// Candidates that match in some way, in ascending order. All others have an affinity of 0.
    notable: Vec<CandidateMatch>,
    /// Features of each candidate: its own and its match.
    features: Vec<Features>,
    /// Place of each arm in `features`, if the candidates may stand in another order by now.
    places: Option<HashMap<ArmId, usize>>,
    /// Features of a candidate that is not among them.
    plain: Features,
}

impl CandidateMatches {
    /// Combines matches, in ascending order, with the own features of each candidate.
    pub fn new<'a>(notable: Vec<CandidateMatch>, own: impl Iterator<Item = Option<&'a Features>>) -> Self {
        let features = own.zip(0_u32..).map(|(own, candidate)| matched_features(&notable, candidate, own)).collect();
        let plain = matched_features(&[], 0, None);
        Self { notable, features, places: None, plain }
    }

    /// Recalls the matches of a past decision, whose candidates were these.
    pub(in crate::engine) fn recall<'a>(
        notable: Vec<CandidateMatch>,
        candidates: impl Iterator<Item = (&'a ArmId, Option<&'a Features>)> + Clone,
    ) -> Self {
        let places = candidates.clone().enumerate().map(|(at, (arm, _))| (arm.clone(), at)).collect();
        Self { places: Some(places), ..Self::new(notable, candidates.map(|(_, own)| own)) }
    }

    /// Features of a candidate by its index and its arm.
    pub(in crate::engine) fn features(&self, candidate: usize, arm: &ArmId) -> &Features {
        let place = self.places.as_ref().map_or(Some(candidate), |places| places.get(arm).copied());
        place.and_then(|place| self.features.get(place)).unwrap_or(&self.plain)
    }

    /// Candidates that match in some way, in ascending order.
    pub fn into_notable(self) -> Vec<CandidateMatch> {
        self.notable
    }
}

/// Returns the features of one candidate: its own, which win on a name clash, and its match among the notable ones.
pub(in crate::engine) fn matched_features(
    notable: &[CandidateMatch],
    candidate: u32,
    own: Option<&Features>,
) -> Features {
    let mut features = own.cloned().unwrap_or_default();
    let found = notable.binary_search_by_key(&candidate, |found| found.candidate).ok();
    found.and_then(|at| notable.get(at)).copied().unwrap_or_default().add_to(&mut features);
    features
}
