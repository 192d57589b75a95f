//! The simulated shop: its slot, its requests, and its shoppers' clicks.
//!
//! The shop is a scenario, `shop.toml`, whose shoppers are those of [`slotwise::environment`]. Everything about decision
//! k follows from a hash of k, so the order of answers does not matter.
//!
//! Invariant: words, sessions and arms are from closed lists. The memory that a server needs for them therefore stops
//! growing.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use serde::Deserialize;
use slotwise::{
    bandit::{self, ModelSpec},
    environment::{
        Coins, Environment, Purpose, Shopper, Truth, Visit,
        spec::{Behaviour, CatalogueSpec, EnvironmentSpec, Problem, Shoppers, TrafficSpec, time::Moment},
    },
    slot::{Controls, Definition, FieldError, Goal, RewardKind, SlotId, SlotKind},
    wire::proto::{self, DecideRequest, FeatureValue, TextList, Vector, feature_value::Value},
};

/// Reward kind of a click.
const CLICK: &str = "click";
/// Longest time from an answer to its click, as in `shop.toml`.
pub const CLICK_DELAY_MAX: Duration = Duration::from_secs(3);
/// Number of sessions at the same time, as many as a large shop has in a window of five minutes.
const SESSIONS: u64 = 100_000;
/// Number of elements of the vector feature.
const TASTES: u64 = 4;
/// Words of the feature that is a list of words.
const CATEGORIES: [&str; 10] =
    ["shoes", "coats", "bags", "hats", "belts", "shirts", "skirts", "socks", "scarves", "gloves"];

/// The scenario of the shop.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SoakScenario {
    traffic: TrafficSpec,
    shoppers: Shoppers,
    catalogue: CatalogueSpec,
    behaviour: Behaviour,
}

static SCENARIO: LazyLock<Result<SoakScenario, String>> =
    LazyLock::new(|| toml::from_str(include_str!("shop.toml")).map_err(|why| why.to_string()));

/// Goal of the slot: a click is worth 1.
static GOAL: LazyLock<Goal> = LazyLock::new(|| {
    let click = RewardKind {
        kind: CLICK.to_owned(),
        weight: 1.0,
        use_value: false,
        cap: Some(1.0),
        winsorize: None,
        role: None,
        joins: None,
    };
    Goal { kinds: vec![click], ..Goal::default() }
});

/// The shop, with the true click probabilities of its shoppers.
#[derive(Debug)]
pub struct SoakShop {
    spec: EnvironmentSpec<'static>,
    environment: Environment<'static>,
    in_stock: Vec<bool>,
}

impl SoakShop {
    /// Reads the shop's scenario.
    ///
    /// # Errors
    ///
    /// Returns the problem of a scenario that is invalid. A test makes sure that it is not.
    pub fn new() -> Result<Self, Problem> {
        let scenario = SCENARIO.as_ref().map_err(|why| Problem::new("shop.toml", why.clone()))?;
        let SoakScenario { traffic, shoppers, catalogue, behaviour } = scenario;
        let spec = EnvironmentSpec { horizon: u64::MAX, shoppers, catalogue, traffic, behaviour, drift: &[] };
        let environment = Environment::new(spec, &GOAL, 0, 0)?;
        let in_stock = vec![true; environment.arms().len()];
        Ok(Self { spec, environment, in_stock })
    }

    /// Definition of the slot: an offer whose goal is a click, with defaults for everything else.
    ///
    /// # Errors
    ///
    /// Returns an error if the slot's id, window or model is invalid.
    pub fn definition(&self, slot: &str, window: Duration, model: ModelSpec) -> Result<Definition, FieldError> {
        // The slot's check rejects a window that is too long. One that does not fit into `i64` is longer still.
        let window_us = i64::try_from(window.as_micros()).unwrap_or(i64::MAX);
        let definition = Definition {
            display_name: "Soak".to_owned(),
            kind: SlotKind::Offer,
            arms: self.environment.arms().iter().map(|arm| Arc::clone(&arm.arm)).collect(),
            goal: Goal { window_us, ..GOAL.clone() },
            model,
            controls: Controls { holdout: Some(0.0), ..Controls::default() },
            ..Definition::new(SlotId::parse("--slot", slot)?)
        };
        definition.check()?;
        Ok(definition)
    }

    /// The visit of decision `k`: one of the sessions, drawn for each decision.
    pub fn visit(&self, k: u64) -> Visit {
        let coins = Coins::new("soak decision", &[k]);
        let session = coins.word(Purpose::Session, 0) % SESSIONS;
        let shopper = Arc::new(Shopper::of_session(self.spec.shoppers, [0, 0], session));
        Visit { now: Moment { index: 0, horizon: u64::MAX, at_us: 0.0 }, shopper, intent: 0, session, step: 1, coins }
    }

    /// The request of a visit, with twelve features that cover every type.
    pub fn request(&self, slot: &str, visit: &Visit) -> DecideRequest {
        let word = |item: u64| {
            let place = visit.coins.pick(Purpose::Trait, item, CATEGORIES.iter().map(|_| 1.0));
            CATEGORIES[place].to_owned()
        };
        #[expect(clippy::cast_possible_truncation, reason = "single precision is what a vector has")]
        let taste = |item: u64| visit.coins.fraction(Purpose::Trait, 2 + item) as f32 - 0.5;
        let shopper = visit.shopper.as_ref();
        let more = [
            ("member", Value::Flag(shopper.price_sensitivity < 0.5)),
            ("first_visit", Value::Flag(visit.coins.flip(Purpose::Trait, 2 + TASTES, 0.25))),
            ("viewed", Value::Texts(TextList { values: vec![word(0), word(1)] })),
            ("taste", Value::Vector(Vector { values: (0..TASTES).map(taste).collect() })),
        ];
        let context = visit.context(self.spec.shoppers).into_iter().map(|(name, value)| (name, feature(value)));
        let more = more.map(|(name, value)| (name.to_owned(), value));
        DecideRequest {
            slot_id: slot.to_owned(),
            subject: Some(proto::Subject { id: String::new(), session_id: shopper.subject.session_id.clone() }),
            context: context.chain(more).map(|(name, value)| (name, FeatureValue { value: Some(value) })).collect(),
            ..DecideRequest::default()
        }
    }

    /// The place of an arm in the slot, or `None` if the slot has no such arm.
    pub fn place(&self, arm: &str) -> Option<usize> {
        self.environment.arms().iter().position(|other| other.arm.id.as_str() == arm)
    }

    /// The click of a visit to which the arm at this place was shown, if there is one.
    pub fn click(&self, visit: &Visit, place: usize, decision: String) -> Option<Click> {
        let (mut truth, mut outcomes) = (Truth::default(), Vec::new());
        self.environment.truth(visit, &mut truth);
        self.environment.outcomes(visit, &truth, &[place], &self.in_stock, &mut outcomes);
        let delay_us = outcomes.first()?.delay_us;
        Some(Click { decision, after: Duration::from_secs_f64(delay_us / 1e6) })
    }
}

/// A feature's value as the API has it.
fn feature(value: bandit::Value) -> Value {
    match value {
        bandit::Value::Number(number) => Value::Number(number),
        bandit::Value::Text(text) => Value::Text(text),
        bandit::Value::Flag(flag) => Value::Flag(flag),
        bandit::Value::Texts(values) => Value::Texts(TextList { values }),
        bandit::Value::Vector(values) => Value::Vector(Vector { values }),
    }
}

/// A click that follows a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Click {
    /// Id of the decision.
    pub decision: String,
    /// Time from the answer to the click.
    pub after: Duration,
}

impl Click {
    /// The reward event of the click. Its id is unique because a decision has at most one click.
    pub fn event(self) -> proto::RewardEvent {
        proto::RewardEvent {
            event_id: format!("{}-{CLICK}", self.decision),
            decision_id: self.decision,
            kind: CLICK.to_owned(),
            ..proto::RewardEvent::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_features_of_every_type_and_follows_its_number() {
        let shop = SoakShop::new().unwrap();
        let request = |k| shop.request("soak", &shop.visit(k));
        let context = request(7).context;
        let count =
            |is: fn(&Value) -> bool| context.values().filter_map(|v| v.value.as_ref()).filter(|v| is(v)).count();
        assert_eq!(context.len(), 12);
        assert_eq!(count(|v| matches!(v, Value::Number(_))), 4);
        assert_eq!(count(|v| matches!(v, Value::Text(_))), 4);
        assert_eq!(count(|v| matches!(v, Value::Flag(_))), 2);
        assert_eq!(count(|v| matches!(v, Value::Texts(_))) + count(|v| matches!(v, Value::Vector(_))), 2);
        assert!(request(7) == request(7) && request(8).context != context);
        assert!(request(7).subject.unwrap().id.is_empty(), "shoppers are known by their session alone");
    }

    /// The share of 20,000 shoppers that clicks on one arm has the standard deviation √(p(1 − p)/20,000). Five of those
    /// is a false alarm once in 1.7 million fresh hashes, and the hash is fixed. The log odds in `shop.toml` have four
    /// decimals, which moves p by less than .00002.
    #[test]
    fn clicks_come_with_the_probability_of_their_arm() {
        let shop = SoakShop::new().unwrap();
        for (shown, p) in [("arm-00", 0.1_f64), ("arm-19", 0.3)] {
            let place = shop.place(shown).unwrap();
            let click = |k| shop.click(&shop.visit(k), place, format!("d{k}"));
            let clicks: Vec<Click> = (0..20_000).filter_map(click).collect();
            let share = clicks.len() as f64 / 20_000.0;
            assert!((share - p).abs() < 5.0 * (p * (1.0 - p) / 20_000.0).sqrt(), "{shown}: {share}");
            assert!(clicks.iter().all(|click| click.after < CLICK_DELAY_MAX));
        }
        assert_eq!(shop.place("arm-20"), None);
    }

    #[test]
    fn the_slot_can_be() {
        let shop = SoakShop::new().unwrap();
        let slot = |name, secs| shop.definition(name, Duration::from_secs(secs), ModelSpec::default());
        assert_eq!(slot("soak", 300).unwrap().arms.len(), 20);
        assert!(slot("a slot", 300).unwrap_err().to_string().starts_with("--slot: "));
        assert!(slot("soak", u64::MAX).is_err(), "longer than any window");
    }
}
