//! The simulated shop: its slot, its requests, and its shoppers' clicks.
//!
//! Everything about decision k follows from a hash of k, so the order of answers does not matter.
//!
//! Invariant: words, sessions and arms are from closed lists. The memory that a server needs for them therefore stops
//! growing.

use std::{collections::HashMap, sync::Arc, time::Duration};

use slotwise::{
    bandit::{Features, ModelSpec},
    engine::hash,
    slot::{Arm, ArmId, Controls, Definition, FieldError, Goal, RewardKind, SlotId, SlotKind},
    wire::proto::{self, DecideRequest, FeatureValue, TextList, Vector, feature_value::Value},
};

use crate::order::SplitMix64;

/// Number of arms of the slot.
const ARMS: usize = 20;
/// Reward kind of a click.
const CLICK: &str = "click";
/// Probability of a click on the first arm and on the last. The others lie between.
const CLICK_PROBABILITY: [f64; 2] = [0.1, 0.3];
/// Longest time from an answer to its click. A longer time would only prolong the end of a run.
pub const CLICK_DELAY_MAX: Duration = Duration::from_secs(3);
/// Number of sessions at the same time, as many as a large shop has in a window of five minutes.
const SESSIONS: usize = 100_000;
/// Number of elements of the vector feature.
const TASTES: usize = 4;

const DEVICES: [&str; 3] = ["phone", "desktop", "tablet"];
const COUNTRIES: [&str; 8] = ["at", "be", "ch", "de", "fr", "it", "nl", "pl"];
const CHANNELS: [&str; 5] = ["search", "email", "direct", "social", "affiliate"];
const CATEGORIES: [&str; 10] =
    ["shoes", "coats", "bags", "hats", "belts", "shirts", "skirts", "socks", "scarves", "gloves"];

/// Definition of the slot: an offer whose goal is a click, with defaults for everything else.
pub fn definition(slot: &str, window: Duration, model: ModelSpec) -> Result<Definition, FieldError> {
    let arm = |i| {
        let id = ArmId::parse("arm_id", &arm(i))?;
        Ok(Arc::new(Arm {
            id,
            attributes: Features::new(),
            available: true,
            payload: None,
            because: None,
            schedule: slotwise::slot::Schedule::default(),
        }))
    };
    let click = RewardKind { kind: CLICK.to_owned(), weight: 1.0, use_value: false, cap: Some(1.0), winsorize: None };
    // The slot's check rejects a window that is too long. One that does not fit into `i64` is longer still.
    let window_us = i64::try_from(window.as_micros()).unwrap_or(i64::MAX);
    let definition = Definition {
        display_name: "Soak".to_owned(),
        kind: SlotKind::Offer,
        arms: (0..ARMS).map(arm).collect::<Result<_, FieldError>>()?,
        goal: Goal { kinds: vec![click], window_us, ..Goal::default() },
        model,
        controls: Controls { holdout: Some(0.0), ..Controls::default() },
        ..Definition::new(SlotId::parse("--slot", slot)?)
    };
    definition.check()?;
    Ok(definition)
}

fn arm(i: usize) -> String {
    format!("arm-{i:02}")
}

/// Random numbers for decision `k` and this purpose.
fn random(of: &str, k: u64) -> SplitMix64 {
    SplitMix64::new(hash(of, &[&k.to_be_bytes()]).word())
}

/// The request of decision `k`, with twelve features that cover every type.
pub fn request(slot: &str, k: u64) -> DecideRequest {
    let random = &mut random("soak request", k);
    let session = random.below(SESSIONS);
    let mut number = |scale: f64| Value::Number(random.fraction() * scale);
    let numbers = [
        ("basket_value", number(200.0)),
        ("days_since_visit", number(60.0)),
        ("hour", number(24.0)),
        ("pages_seen", number(15.0)),
    ];
    let mut word = |of: &[&str]| of[random.below(of.len())].to_owned();
    let words = [
        ("device", Value::Text(word(&DEVICES))),
        ("country", Value::Text(word(&COUNTRIES))),
        ("channel", Value::Text(word(&CHANNELS))),
        ("category", Value::Text(word(&CATEGORIES))),
        ("viewed", Value::Texts(TextList { values: vec![word(&CATEGORIES), word(&CATEGORIES)] })),
    ];
    #[expect(clippy::cast_possible_truncation, reason = "single precision is what a vector has")]
    let tastes = (0..TASTES).map(|_| random.fraction() as f32 - 0.5).collect();
    let others = [
        ("member", Value::Flag(random.below(2) == 1)),
        ("first_visit", Value::Flag(random.below(4) == 1)),
        ("taste", Value::Vector(Vector { values: tastes })),
    ];
    let features = numbers.into_iter().chain(words).chain(others);
    let context: HashMap<_, _> =
        features.map(|(name, value)| (name.to_owned(), FeatureValue { value: Some(value) })).collect();
    DecideRequest {
        slot_id: slot.to_owned(),
        subject: Some(proto::Subject { id: String::new(), session_id: format!("session-{session}") }),
        context,
        ..DecideRequest::default()
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

/// The probability of a click on an arm, or `None` if the slot has no such arm.
pub fn click_probability(shown: &str) -> Option<f64> {
    let place = (0..ARMS).find(|&i| arm(i) == shown)?;
    let [first, last] = CLICK_PROBABILITY;
    Some(first + (last - first) * place as f64 / (ARMS - 1) as f64)
}

/// The click of decision `k`'s shopper, who clicks with this probability.
pub fn click(k: u64, probability: f64, decision: String) -> Option<Click> {
    let random = &mut random("soak click", k);
    let clicks = random.fraction() < probability;
    clicks.then(|| Click { decision, after: CLICK_DELAY_MAX.mul_f64(random.fraction()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_features_of_every_type_and_follows_its_number() {
        let context = request("soak", 7).context;
        let count =
            |is: fn(&Value) -> bool| context.values().filter_map(|v| v.value.as_ref()).filter(|v| is(v)).count();
        assert_eq!(context.len(), 12);
        assert_eq!(count(|v| matches!(v, Value::Number(_))), 4);
        assert_eq!(count(|v| matches!(v, Value::Text(_))), 4);
        assert_eq!(count(|v| matches!(v, Value::Flag(_))), 2);
        assert_eq!(count(|v| matches!(v, Value::Texts(_))) + count(|v| matches!(v, Value::Vector(_))), 2);
        assert!(request("soak", 7) == request("soak", 7) && request("soak", 8).context != context);
    }

    /// The share of 20,000 shoppers that clicks on one arm has the standard deviation √(p(1 − p)/20,000). Five of those
    /// is a false alarm once in 1.7 million fresh hashes, and the hash is fixed.
    #[test]
    fn clicks_come_with_the_probability_of_their_arm() {
        for (shown, p) in [("arm-00", 0.1_f64), ("arm-19", 0.3)] {
            let probability = click_probability(shown).unwrap();
            let clicks: Vec<Click> = (0..20_000).filter_map(|k| click(k, probability, format!("d{k}"))).collect();
            let share = clicks.len() as f64 / 20_000.0;
            assert!((share - p).abs() < 5.0 * (p * (1.0 - p) / 20_000.0).sqrt(), "{shown}: {share}");
            assert!(clicks.iter().all(|click| click.after < CLICK_DELAY_MAX));
        }
        assert_eq!(click_probability("arm-20"), None);
    }

    #[test]
    fn the_slot_can_be() {
        let slot = |name, secs| definition(name, Duration::from_secs(secs), ModelSpec::default());
        assert_eq!(slot("soak", 300).unwrap().arms.len(), 20);
        assert!(slot("a slot", 300).unwrap_err().to_string().starts_with("--slot: "));
        assert!(slot("soak", u64::MAX).is_err(), "longer than any window");
    }
}
