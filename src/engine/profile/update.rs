//! Changes of a profile by shopper events.

use super::{
    attribute::{VALUES_MAX, ValueKey, item_key, value_keys, value_text},
    behaviour::{BasketEffect, KindBehaviour},
    record::{BoughtItem, RecentItem, Seconds, ShopperProfile, seconds},
};
use crate::{
    bandit::Features,
    engine::{
        ids::hash,
        shopper_event::{ShopperEvent, ShopperItem, price_of},
    },
    slot::limits::SESSION_US,
    stats::math::{exp2, ln},
};

/// Items that a profile remembers for reversals and for `match.seen`, the latest ones.
const RECENT_MAX: usize = 10;
/// Purchases of items that a profile remembers, the latest ones.
const BOUGHT_MAX: usize = 10;
/// Items of a cart that are remembered, the latest ones.
const CART_MAX: usize = 10;
/// Words of a query that are remembered.
const QUERY_WORDS_MAX: usize = 6;
/// Bytes of a query that are remembered.
const QUERY_BYTES_MAX: usize = 48;
/// Fraction that one item leaves of the session's earlier interest, so that a new intent takes over within a few clicks.
const SESSION_FADE: f64 = 0.7;
/// Half-life of a session's interest, seconds.
const SESSION_HALF_LIFE_S: f64 = 20.0 * 60.0;
/// Half-life of a customer's interest, seconds.
const CUSTOMER_HALF_LIFE_S: f64 = 14.0 * 86_400.0;
/// Greatest weight of the price level, purchases and clicks together, so that it follows a shopper who changes.
const PRICE_WEIGHT_MAX: f64 = 20.0;

#[expect(clippy::cast_possible_truncation, reason = "the low bits tell the few events of a profile apart")]
fn event_word(event_id: &str) -> u32 {
    hash("event", &[event_id.as_bytes()]).word() as u32
}

#[expect(clippy::cast_possible_truncation, reason = "seven digits are enough for a profile")]
fn single(number: f64) -> f32 {
    number as f32
}

/// Pushes an entry, and drops the oldest one beyond `most`.
fn push_bounded<T>(entries: &mut Vec<T>, entry: T, most: usize) {
    if entries.len() >= most {
        entries.remove(0);
    }
    entries.push(entry);
    entries.shrink_to(most);
}

impl ShopperProfile {
    /// Takes in an event that came at `now_s`.
    pub(super) fn add(&mut self, now_s: Seconds, event: &ShopperEvent) {
        let at_s = seconds(event.time_us).min(now_s);
        self.fade_until(self.last_s.max(at_s));
        self.last_s = self.last_s.max(at_s);
        self.first_s = self.first_s.min(at_s);
        self.keep_s = if self.session { seconds(SESSION_US) } else { seconds(event.keep_us) };
        self.events = self.events.saturating_add(1);
        let word = event_word(&event.event_id);
        if let Some(reversed) = &event.reverses {
            return self.reverse(event_word(reversed));
        }
        let KindBehaviour { weight, effect } = KindBehaviour::of_kind(&event.kind);
        // An event that comes late counts as much as it would if it had come in time.
        let weight = weight * exp2(-f64::from(self.last_s - at_s) / self.half_life_s());
        for item in &event.items {
            self.add_item(word, item, weight);
            self.change_basket(word, item, event, effect);
        }
        if event.items.is_empty() && !event.attributes.is_empty() && weight > 0.0 {
            self.add_interest(weight, &event.attributes, &value_keys(&event.attributes));
        }
        match effect {
            BasketEffect::Buy => {
                self.purchases = self.purchases.saturating_add(1);
                self.last_purchase_s = self.last_purchase_s.max(at_s);
                if event.items.is_empty() {
                    self.cart.clear();
                    self.spent += event.value.unwrap_or(0.0);
                }
            }
            BasketEffect::GiveBack if event.items.is_empty() => self.spent -= event.value.unwrap_or(0.0),
            BasketEffect::GiveBack | BasketEffect::None | BasketEffect::Add | BasketEffect::Remove => {}
        }
        if !event.query.is_empty() {
            self.query = normal_query(&event.query).into();
        }
    }

    fn half_life_s(&self) -> f64 {
        if self.session { SESSION_HALF_LIFE_S } else { CUSTOMER_HALF_LIFE_S }
    }

    fn fade_until(&mut self, at_s: Seconds) {
        let passed = at_s.saturating_sub(self.last_s);
        if passed > 0 {
            self.fade(exp2(-f64::from(passed) / self.half_life_s()));
        }
    }

    fn fade(&mut self, factor: f64) {
        self.affinities.fade(factor);
        for recent in &mut self.recent {
            recent.weight *= single(factor);
        }
    }

    fn add_item(&mut self, event: u32, item: &ShopperItem, weight: f64) {
        let ShopperItem { item, attributes, .. } = item;
        let keys = value_keys(attributes);
        if weight > 0.0 {
            self.add_interest(weight, attributes, &keys);
            if let Some(price) = price_of(attributes) {
                let total = (f64::from(self.price.0) + weight).min(PRICE_WEIGHT_MAX);
                let mean = f64::from(self.price.1);
                self.price = (single(total), single(mean + weight.min(total) / total * (ln(price) - mean)));
            }
            let mut values = [0; VALUES_MAX];
            values[..keys.len()].copy_from_slice(&keys);
            let recent = RecentItem { item: item_key(item.as_str()), event, weight: single(weight), values };
            push_bounded(&mut self.recent, recent, RECENT_MAX);
        } else if weight < 0.0 {
            self.affinities.add(weight, &keys);
            self.interest = Box::default();
        }
    }

    /// Adds interest in these values.
    fn add_interest(&mut self, weight: f64, attributes: &Features, keys: &[ValueKey]) {
        if self.session {
            self.fade(SESSION_FADE);
        }
        self.affinities.add(weight, keys);
        // The values of this item have grown, and no others. So the greatest value is one of them, or the one from before.
        if let Some(text) = self.affinities.greatest().and_then(|key| value_text(attributes, key)) {
            self.interest = text.into();
        }
    }

    fn change_basket(&mut self, event: u32, item: &ShopperItem, whole: &ShopperEvent, effect: BasketEffect) {
        let key = item_key(item.item.as_str());
        let value = || item.value.or(whole.value.filter(|_| whole.items.len() == 1)).unwrap_or(0.0);
        match effect {
            BasketEffect::None => {}
            BasketEffect::Add => {
                self.cart.retain(|&have| have != key);
                push_bounded(&mut self.cart, key, CART_MAX);
            }
            BasketEffect::Remove => self.cart.retain(|&have| have != key),
            BasketEffect::Buy => {
                self.cart.retain(|&have| have != key);
                self.spent += value();
                let bought = BoughtItem { item: key, event, value: single(value()) };
                push_bounded(&mut self.bought, bought, BOUGHT_MAX);
            }
            BasketEffect::GiveBack => {
                self.spent -= value();
                if let Some(at) = self.bought.iter().rposition(|bought| bought.item == key) {
                    let event = self.bought.remove(at).event;
                    self.end_purchase(event);
                }
            }
        }
    }

    /// Takes a purchase back once none of its items is left.
    fn end_purchase(&mut self, event: u32) {
        if self.bought.iter().all(|bought| bought.event != event) {
            self.purchases = self.purchases.saturating_sub(1);
        }
    }

    /// Takes back what an event gave, as far as it is remembered.
    fn reverse(&mut self, event: u32) {
        let (recent, kept) = std::mem::take(&mut self.recent).into_iter().partition(|recent| recent.event == event);
        self.recent = kept;
        let recent: Vec<RecentItem> = recent;
        for RecentItem { weight, values, .. } in &recent {
            let known: Vec<ValueKey> = values.iter().copied().filter(|&key| key != 0).collect();
            self.affinities.add(-f64::from(*weight), &known);
        }
        if !recent.is_empty() {
            self.interest = Box::default();
        }
        let returned: f64 =
            self.bought.iter().filter(|bought| bought.event == event).map(|bought| f64::from(bought.value)).sum();
        let had = self.bought.len();
        self.bought.retain(|bought| bought.event != event);
        if self.bought.len() < had {
            self.spent -= returned;
            self.purchases = self.purchases.saturating_sub(1);
        }
    }

    /// Takes in what a session knew before its shopper logged in.
    pub(super) fn take_in(&mut self, session: &Self) {
        self.fade_until(session.last_s);
        self.last_s = self.last_s.max(session.last_s);
        self.first_s = self.first_s.min(session.first_s);
        self.affinities.merge(&session.affinities);
        if !session.interest.is_empty() {
            self.interest = session.interest.clone();
        }
        if let (None, Some(_)) = (self.ln_price(), session.ln_price()) {
            self.price = session.price;
        }
        for recent in &session.recent {
            push_bounded(&mut self.recent, *recent, RECENT_MAX);
        }
        for bought in &session.bought {
            push_bounded(&mut self.bought, *bought, BOUGHT_MAX);
        }
        for &item in &session.cart {
            self.cart.retain(|&have| have != item);
            push_bounded(&mut self.cart, item, CART_MAX);
        }
        self.purchases = self.purchases.saturating_add(session.purchases);
        self.last_purchase_s = self.last_purchase_s.max(session.last_purchase_s);
        self.spent += session.spent;
        self.events = self.events.saturating_add(session.events);
    }
}

/// Returns the words of a query in lower case, each once and in their order, as far as they are remembered.
fn normal_query(query: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut bytes = 0;
    for word in query.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let word = word.to_lowercase();
        if bytes + word.len() < QUERY_BYTES_MAX && words.len() < QUERY_WORDS_MAX && !words.contains(&word) {
            bytes += word.len() + 1;
            words.push(word);
        }
    }
    words.join(" ")
}
