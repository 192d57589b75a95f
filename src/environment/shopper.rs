//! Shoppers and their visits, and the context that the shop sends.

use std::sync::Arc;

use crate::{
    bandit::{Features, Value},
    engine::Subject,
    slot::Consent,
};

use super::coin::{Coins, Purpose};
use super::spec::{Shoppers, TraitSpec, names::ShopperFactor, time::Moment};

const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
/// An hour in microseconds.
const HOUR: f64 = 3_600e6;

/// A trait's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TraitValue {
    /// The word of this index.
    Word(usize),
    /// A number.
    Number(f64),
}

/// The shopper of a session. Everything but the intent stays the same over the session.
#[derive(Debug, Clone, PartialEq)]
pub struct Shopper {
    /// Index of the segment.
    pub segment: usize,
    /// Values of the traits, in the order of their names.
    pub traits: Vec<TraitValue>,
    /// True if the shopper has been here before.
    pub returning: bool,
    /// Price sensitivity, 0 to 1.
    pub price_sensitivity: f64,
    /// The shopper's consent.
    pub consent: Consent,
    /// The subject's and the session's ids, before consent.
    pub subject: Subject,
    /// True if the visitor is a bot.
    pub bot: bool,
}

/// A visit: one decision for a shopper.
#[derive(Debug, Clone, PartialEq)]
pub struct Visit {
    /// The moment of the visit.
    pub now: Moment,
    /// The shopper.
    pub shopper: Arc<Shopper>,
    /// Index of the intent.
    pub intent: usize,
    /// Number of the session, from 0.
    pub session: u64,
    /// Number of the decision in the session, from 1.
    pub step: u32,
    /// The coins of this decision.
    pub coins: Coins,
}

/// Returns an id. It is built without a format because every session needs one.
pub(super) fn numbered_id(kind: char, number: u64) -> String {
    let mut id = number.to_string();
    id.insert(0, kind);
    id
}

/// Returns the id of a session that has a device of its own.
fn session_id(session: u64) -> String {
    numbered_id('s', session)
}

impl Shopper {
    /// Returns the shopper of a session. A returning shopper is a member of the pool and always the same.
    pub fn of_session(shoppers: &Shoppers, environment: [u64; 2], session: u64) -> Self {
        let [seed, replication] = environment;
        let coins = Coins::new("simulated session", &[seed, replication, session]);
        let segment = coins.pick(Purpose::Who, 0, shoppers.segments.iter().map(|segment| segment.share));
        let spec = &shoppers.segments[segment];
        let returning = coins.flip(Purpose::Who, 1, spec.returning);
        let (who, id) = if returning {
            // Each segment has a part of the pool.
            let whole: f64 = shoppers.segments.iter().map(|segment| segment.share).sum();
            let size = (shoppers.pool as f64 * spec.share / whole).max(1.0);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below the pool's size")]
            let member = (coins.fraction(Purpose::Who, 2) * size) as u64;
            let coins = Coins::new("simulated member", &[seed, replication, segment as u64, member]);
            (coins, format!("{}-{member}", spec.name))
        } else {
            (coins, numbered_id('n', session))
        };
        let traits = (0_u64..).zip(shoppers.traits.values()).map(|(item, of)| match of {
            TraitSpec::Words(words) => TraitValue::Word(who.pick(Purpose::Trait, 2 * item, words.values().copied())),
            TraitSpec::Normal { mean, std } => TraitValue::Number(mean + std * who.normal(Purpose::Trait, item)),
            TraitSpec::Uniform { from, until } => {
                TraitValue::Number(from + (until - from) * who.fraction(Purpose::Trait, 2 * item))
            }
        });
        let price = spec.price_sensitivity + spec.price_spread * (2.0 * who.fraction(Purpose::Who, 3) - 1.0);
        let consent = match who.fraction(Purpose::Who, 4) {
            u if u < spec.opt_out => Consent::None,
            u if u < spec.opt_out + spec.session_only => Consent::SessionOnly,
            _ => Consent::Full,
        };
        Self {
            segment,
            traits: traits.collect(),
            returning,
            price_sensitivity: price.clamp(0.0, 1.0),
            consent,
            subject: Subject { id, session_id: session_id(session) },
            bot: false,
        }
    }
}

impl Visit {
    /// Returns the value of a factor of the odds for this visit.
    pub fn factor(&self, factor: ShopperFactor) -> f64 {
        let yes = |applies: bool| f64::from(u8::from(applies));
        let shopper = &self.shopper;
        match factor {
            ShopperFactor::Always => 1.0,
            ShopperFactor::Segment(segment) => yes(shopper.segment == segment),
            ShopperFactor::Intent(intent) => yes(self.intent == intent),
            ShopperFactor::Word(of, word) => yes(shopper.traits.get(of) == Some(&TraitValue::Word(word))),
            ShopperFactor::Number(of) => match shopper.traits.get(of) {
                Some(TraitValue::Number(number)) => *number,
                Some(TraitValue::Word(_)) | None => 0.0,
            },
            ShopperFactor::Returning => yes(shopper.returning),
            ShopperFactor::New => yes(!shopper.returning),
            ShopperFactor::PriceSensitivity => shopper.price_sensitivity,
        }
    }

    /// Returns the subject that the shop knows at this visit: without a subject id until the shopper logs in.
    pub fn known_subject(&self, shoppers: &Shoppers) -> Subject {
        let shopper = &self.shopper;
        let logged_in = |after: u32| shopper.returning && self.step > after;
        let known = shopper.bot || shoppers.login_after.is_none_or(logged_in);
        Subject {
            id: if known { shopper.subject.id.clone() } else { String::new() },
            session_id: shopper.subject.session_id.clone(),
        }
    }

    /// Returns the session id that the visit has if no two sessions share a device.
    pub fn own_session_id(&self) -> String {
        session_id(self.session)
    }

    /// Returns the context that the shop sends, within the shopper's consent.
    pub fn context(&self, shoppers: &Shoppers) -> Features {
        let names = match self.shopper.consent {
            Consent::None => &shoppers.context_without_consent,
            Consent::Full | Consent::SessionOnly => &shoppers.context,
        };
        let mut context = Features::new();
        for name in names {
            if let Some(value) = self.feature(shoppers, name) {
                context.insert(name.clone(), value);
            }
        }
        context
    }

    fn feature(&self, shoppers: &Shoppers, name: &str) -> Option<Value> {
        let shopper = &self.shopper;
        // The first day is a Monday.
        let hours = (self.now.at_us / HOUR).floor();
        Some(match name {
            "segment" => Value::Text(shoppers.segments.get(shopper.segment)?.name.clone()),
            "intent" => Value::Text(shoppers.intents.get(self.intent)?.name.clone()),
            "returning" => Value::Flag(shopper.returning),
            "price_sensitivity" => Value::Number(shopper.price_sensitivity),
            "step" => Value::Number(f64::from(self.step)),
            "hour" => Value::Number(hours % 24.0),
            "weekday" => {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 6")]
                let day = ((hours / 24.0).floor() % 7.0) as usize;
                Value::Text(DAYS[day.min(6)].to_owned())
            }
            name => {
                let (i, (_, of)) = shoppers.traits.iter().enumerate().find(|(_, (known, _))| *known == name)?;
                match (shopper.traits.get(i)?, of) {
                    (TraitValue::Word(word), TraitSpec::Words(words)) => Value::Text(words.keys().nth(*word)?.clone()),
                    (TraitValue::Number(number), _) => Value::Number(*number),
                    (TraitValue::Word(_), TraitSpec::Normal { .. } | TraitSpec::Uniform { .. }) => return None,
                }
            }
        })
    }
}
