//! Profile of one session or customer.

use serde::{Deserialize, Serialize};

use super::{
    affinity::Affinities,
    attribute::{VALUES_MAX, ValueKey},
};
use crate::slot::limits::SESSION_US;

/// Time in seconds since 1970, which fits until 2106.
pub(super) type Seconds = u32;

/// Converts microseconds to seconds, both since 1970.
pub(super) fn seconds(at_us: i64) -> Seconds {
    u32::try_from(at_us.max(0) / 1_000_000).unwrap_or(u32::MAX)
}

/// Item that a shopper looked at. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct RecentItem {
    #[serde(rename = "i")]
    pub(super) item: u32,
    /// Low bits of the event's key, by which a reversal finds it.
    #[serde(rename = "e")]
    pub(super) event: u32,
    /// Weight that is left of it in the affinities.
    #[serde(rename = "w")]
    pub(super) weight: f32,
    #[serde(rename = "v")]
    pub(super) values: [ValueKey; VALUES_MAX],
}

/// Purchase of an item. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct BoughtItem {
    #[serde(rename = "i")]
    pub(super) item: u32,
    #[serde(rename = "e")]
    pub(super) event: u32,
    #[serde(rename = "v")]
    pub(super) value: f32,
}

/// Profile of a session or of a customer. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShopperProfile {
    /// `true` for a session, `false` for a customer.
    pub(super) session: bool,
    /// Time of the first event.
    pub(super) first_s: Seconds,
    /// Time of the latest event.
    pub(super) last_s: Seconds,
    /// Time without an event after which the profile is dropped, seconds.
    pub(super) keep_s: u32,
    pub(super) events: u32,
    pub(super) affinities: Affinities,
    /// Text of the value with the greatest affinity, or empty if it is not known.
    pub(super) interest: Box<str>,
    /// Weight and mean of the logarithms of prices.
    pub(super) price: (f32, f32),
    pub(super) query: Box<str>,
    pub(super) recent: Vec<RecentItem>,
    pub(super) cart: Vec<u32>,
    pub(super) bought: Vec<BoughtItem>,
    pub(super) purchases: u32,
    pub(super) last_purchase_s: Seconds,
    pub(super) spent: f64,
    /// Key of the customer that the session belongs to, or 0 for none.
    pub(super) customer: u64,
}

impl ShopperProfile {
    /// Creates a profile that nothing happened to yet.
    pub(super) fn new(session: bool, at_s: Seconds) -> Self {
        Self {
            session,
            first_s: at_s,
            last_s: at_s,
            keep_s: seconds(SESSION_US),
            events: 0,
            affinities: Affinities::default(),
            interest: Box::default(),
            price: (0.0, 0.0),
            query: Box::default(),
            recent: Vec::new(),
            cart: Vec::new(),
            bought: Vec::new(),
            purchases: 0,
            last_purchase_s: 0,
            spent: 0.0,
            customer: 0,
        }
    }

    /// Time of the latest event, seconds since 1970.
    pub(super) fn last_s(&self) -> Seconds {
        self.last_s
    }

    /// Returns `true` if the profile is over at this time.
    pub(super) fn is_over(&self, now_s: Seconds) -> bool {
        now_s > self.last_s.saturating_add(self.keep_s)
    }

    /// Returns `true` if the shopper bought something.
    pub(super) fn is_buyer(&self) -> bool {
        self.purchases > 0
    }

    /// Number of purchases.
    pub fn purchases(&self) -> u32 {
        self.purchases
    }

    /// Money that was spent, in the currency of the events.
    pub fn spent(&self) -> f64 {
        self.spent
    }

    /// Returns `true` for the profile of a session, and `false` for that of a customer.
    pub fn is_session(&self) -> bool {
        self.session
    }

    /// Number of events.
    pub fn events(&self) -> u32 {
        self.events
    }

    pub(super) fn affinities(&self) -> &Affinities {
        &self.affinities
    }

    pub(super) fn interest(&self) -> Option<&str> {
        (!self.interest.is_empty()).then_some(&*self.interest)
    }

    pub(super) fn query_words(&self) -> impl Iterator<Item = &str> {
        self.query.split(' ').filter(|word| !word.is_empty())
    }

    pub(super) fn has_cart(&self) -> bool {
        !self.cart.is_empty()
    }

    pub(super) fn last_purchase_s(&self) -> Seconds {
        self.last_purchase_s
    }

    /// Logarithm of the usual price with its weight, or `None` if no price is known.
    pub(super) fn ln_price(&self) -> Option<(f64, f64)> {
        (self.price.0 > 0.0).then_some((f64::from(self.price.0), f64::from(self.price.1)))
    }

    pub(super) fn has_seen(&self, item: u32) -> bool {
        self.recent.iter().any(|recent| recent.item == item)
    }

    pub(super) fn has_bought(&self, item: u32) -> bool {
        self.bought.iter().any(|bought| bought.item == item)
    }

    /// Memory that the profile takes, bytes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.affinities.heap_bytes()
            + self.interest.len()
            + self.query.len()
            + self.recent.capacity() * size_of::<RecentItem>()
            + self.bought.capacity() * size_of::<BoughtItem>()
            + self.cart.capacity() * size_of::<u32>()
    }
}
