//! Goal: the rule by which the reward events of a shown arm become one number.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    JoinRule, RewardKind, SilenceRule,
    id::{FieldError, shorten},
    limits::{KINDS_MAX, NAME_BYTES_MAX, NUMBER_MAX, WEIGHT_MAX},
};
use crate::bandit::ClickModel;

const SECOND_US: i64 = 1_000_000;
const DAY_US: i64 = 24 * 3600 * SECOND_US;

/// Least default of the grace period, as queues and retries of a caller hold an event back for minutes.
const GRACE_US_MIN: i64 = 10 * 60 * SECOND_US;
/// Greatest grace period, as a decision waits in memory for it.
const GRACE_US_MAX: i64 = DAY_US;
/// Default of the reversal window, as goods come back within weeks.
const REVERSAL_WINDOW_US_DEFAULT: i64 = 60 * DAY_US;
/// Default of the confirmation window, as most emails are opened within days.
const CONFIRMATION_WINDOW_US_DEFAULT: i64 = 7 * DAY_US;
/// Greatest confirmation window, as a deferred decision waits in memory for it.
const CONFIRMATION_WINDOW_US_MAX: i64 = 90 * DAY_US;
/// Greatest window and reversal window, as the outcome of a decision is remembered for it.
const WINDOW_US_MAX: i64 = 400 * DAY_US;

/// Part of the sizes of all events up to which their sum is a residue of rounding.
const RESIDUE: f64 = 1e-13;

/// Aggregation of several events of a shown arm to its reward. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Aggregation {
    /// Sum of the default reward and all contributions.
    #[default]
    Sum,
    /// Largest contribution.
    Max,
    /// Contribution that happened last.
    Last,
}

/// Time at which a reward is learned. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Learning {
    /// Learned on arrival, with revisions by later events. The missing reward of a decision without events is learned once 95 % of
    /// the slot's rewards would have arrived.
    #[default]
    Eager,
    /// Learned once, at the end of the window.
    AtClose,
}

/// Goal of a slot: the rule by which reward events become one number, in "reward units". *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    /// Kinds of events that count.
    pub kinds: Vec<RewardKind>,
    /// Reward of a shown arm without events.
    pub default_reward: f64,
    /// Time after a decision within which its rewards count, microseconds.
    pub window_us: i64,
    /// Aggregation of several events to one reward.
    pub aggregation: Aggregation,
    /// Time at which a reward is learned.
    #[serde(default)]
    pub learning: Learning,
    /// Click model of the slot's slates.
    #[serde(default)]
    pub click_model: ClickModel,
    /// Grace period, microseconds: the time after the window within which an event that happened in the window still
    /// counts. `None` stands for a tenth of the window, at least ten minutes and at most a day.
    #[serde(default)]
    pub grace_period_us: Option<i64>,
    /// Time after a decision within which its rewards may be reversed, microseconds, or `None` for 60 days.
    #[serde(default)]
    pub reversal_window_us: Option<i64>,
    /// Currency of the rewards, three letters as in ISO 4217, or `None` if they are no money.
    #[serde(default)]
    pub currency: Option<String>,
    /// Silence that is learned.
    #[serde(default)]
    pub silence: SilenceRule,
    /// Time after a deferred decision within which it may be confirmed, microseconds, or `None` for 7 days.
    #[serde(default)]
    pub confirmation_window_us: Option<i64>,
}

impl Default for Goal {
    /// Returns the goal under which one click within a day counts 1.
    fn default() -> Self {
        Self {
            kinds: vec![RewardKind {
                kind: "click".into(),
                weight: 1.0,
                use_value: false,
                cap: Some(1.0),
                winsorize: None,
                role: None,
                joins: None,
            }],
            default_reward: 0.0,
            window_us: DAY_US,
            aggregation: Aggregation::Sum,
            learning: Learning::Eager,
            click_model: ClickModel::None,
            grace_period_us: None,
            reversal_window_us: None,
            currency: None,
            silence: SilenceRule::Every,
            confirmation_window_us: None,
        }
    }
}

/// Event that counts towards a shown arm's reward.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Contribution<'a> {
    /// Name of the kind.
    pub kind: &'a str,
    /// Value of the event.
    pub value: Option<f64>,
    /// Time of the event, microseconds since 1970.
    pub time_us: i64,
}

impl Goal {
    /// Kind of this name, or `None` if there is none.
    pub fn kind(&self, name: &str) -> Option<&RewardKind> {
        self.kinds.iter().find(|kind| kind.kind == name)
    }

    /// Grace period, microseconds: the time after the window within which events of the window may be reported.
    pub fn grace_period_us(&self) -> i64 {
        self.grace_period_us.unwrap_or((self.window_us / 10).clamp(GRACE_US_MIN, GRACE_US_MAX))
    }

    /// Time for which a decision waits for reports, microseconds: its window and the grace period.
    pub fn patience_us(&self) -> i64 {
        self.window_us.saturating_add(self.grace_period_us())
    }

    /// Time after a decision within which its rewards may be reversed, microseconds.
    pub fn reversal_window_us(&self) -> i64 {
        self.reversal_window_us.unwrap_or(REVERSAL_WINDOW_US_DEFAULT)
    }

    /// Time after a deferred decision within which it may be confirmed, microseconds.
    pub fn confirmation_window_us(&self) -> i64 {
        self.confirmation_window_us.unwrap_or(CONFIRMATION_WINDOW_US_DEFAULT)
    }

    /// Returns whether a shopper event of some kind joins whatever the slot showed last.
    pub fn joins_any(&self) -> bool {
        self.kinds.iter().any(|kind| kind.joins() == JoinRule::Any)
    }

    /// Returns whether events of this kind reduce the reward, as a refund does.
    pub fn takes_back(&self, kind: &str) -> bool {
        self.kind(kind).is_some_and(|kind| kind.weight < 0.0)
    }

    /// Returns whether both goals give equal rewards for equal events, so that their rewards may be added up.
    pub fn pays_as(&self, other: &Self) -> bool {
        let pay = |kind: &RewardKind| (kind.kind.clone(), kind.weight, kind.use_value, kind.cap);
        self.kinds.len() == other.kinds.len()
            && self.kinds.iter().zip(&other.kinds).all(|(a, b)| pay(a) == pay(b))
            && self.default_reward.total_cmp(&other.default_reward).is_eq()
            && self.aggregation == other.aggregation
    }

    /// Returns the reward of a shown arm with these events, in the order of their arrival.
    ///
    /// Contributions of kinds that the goal no longer has count nothing. Each call uses all events, so removing one leaves
    /// exactly the reward of the others.
    pub fn reward<'a>(&self, events: impl Iterator<Item = Contribution<'a>> + Clone) -> f64 {
        let amount = |event: &Contribution<'_>| {
            self.kind(event.kind).map(|k| k.weight * if k.use_value { event.value.unwrap_or(0.0) } else { 1.0 })
        };
        match self.aggregation {
            Aggregation::Sum => {
                let (mut sum, mut size) = (self.default_reward, self.default_reward.abs());
                for kind in &self.kinds {
                    let of_kind = events.clone().filter(|e| e.kind == kind.kind).filter_map(|e| amount(&e));
                    size += of_kind.clone().map(f64::abs).sum::<f64>();
                    sum += kind.capped(of_kind.sum());
                }
                // 0.1 + 0.2 − 0.3 is not 0, and what rounding leaves of a full refund must not count as a purchase.
                if sum.abs() <= RESIDUE * size { 0.0 } else { sum }
            }
            Aggregation::Max => events
                .filter_map(|e| Some(self.kind(e.kind)?.capped(amount(&e)?)))
                .reduce(f64::max)
                .unwrap_or(self.default_reward),
            Aggregation::Last => events
                .filter_map(|e| Some((e.time_us, self.kind(e.kind)?.capped(amount(&e)?))))
                // The later arrival counts if two events have the same time.
                .reduce(|last, next| if next.0 >= last.0 { next } else { last })
                .map_or(self.default_reward, |(_, amount)| amount),
        }
    }

    /// Returns whether no reward can be below 0.
    pub fn rewards_cannot_be_negative(&self) -> bool {
        self.default_reward >= 0.0 && self.kinds.iter().all(|kind| kind.weight >= 0.0 && !kind.use_value)
    }

    /// Returns whether every reward lies in [0, 1], so that a mean reward is a rate.
    pub fn within_unit(&self) -> bool {
        // The greatest amount that one kind can add, or `None` without a limit.
        let most = |kind: &RewardKind| match (kind.cap, kind.use_value, self.aggregation) {
            _ if kind.weight == 0.0 => Some(0.0),
            (Some(cap), ..) => Some(cap),
            (None, false, Aggregation::Max | Aggregation::Last) => Some(kind.weight),
            (None, ..) => None,
        };
        if !(0.0..=1.0).contains(&self.default_reward) || self.kinds.iter().any(|k| k.weight < 0.0 || k.use_value) {
            return false;
        }
        match self.aggregation {
            Aggregation::Sum => {
                self.kinds.iter().map(most).sum::<Option<f64>>().is_some_and(|most| self.default_reward + most <= 1.0)
            }
            Aggregation::Max | Aggregation::Last => {
                self.kinds.iter().all(|kind| most(kind).is_some_and(|most| most <= 1.0))
            }
        }
    }

    pub(super) fn check(&self) -> Result<(), FieldError> {
        let fail = |field: String, message: String| Err(FieldError::new(field, message));
        if self.kinds.len() > KINDS_MAX {
            return fail(
                "goal.kinds".into(),
                format!("has {} kinds; at most {KINDS_MAX} are allowed", self.kinds.len()),
            );
        }
        let mut seen = BTreeSet::new();
        for (i, kind) in self.kinds.iter().enumerate() {
            let field = |name: &str| format!("goal.kinds[{i}].{name}");
            if kind.kind.is_empty() || kind.kind.len() > NAME_BYTES_MAX {
                return fail(field("kind"), format!("must have 1 to {NAME_BYTES_MAX} bytes"));
            }
            if !seen.insert(&kind.kind) {
                return fail(field("kind"), format!("'{}' stands in the goal twice", kind.kind));
            }
            if !kind.weight.is_finite() || kind.weight.abs() > WEIGHT_MAX {
                return fail(field("weight"), format!("must be a number from -{WEIGHT_MAX} to {WEIGHT_MAX}"));
            }
            if kind.winsorize.is_some_and(|share| !(0.5..1.0).contains(&share)) {
                return fail(
                    field("winsorize"),
                    "must be from 0.5 to below 1; leave it out to learn values as they are".into(),
                );
            }
            if kind.winsorize.is_some() && !kind.use_value {
                return fail(
                    field("winsorize"),
                    "is for kinds with use_value; without it there is no value to winsorize".into(),
                );
            }
            if kind.cap.is_some_and(|cap| !(cap > 0.0 && cap <= NUMBER_MAX)) {
                return fail(field("cap"), format!("must be above 0 and at most {NUMBER_MAX}"));
            }
        }
        if let Some(currency) = &self.currency
            && (currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_uppercase()))
        {
            let message =
                format!("is '{}'; must be three capital letters as in ISO 4217, such as EUR", shorten(currency));
            return fail("goal.currency".into(), message);
        }
        if !self.default_reward.is_finite() || self.default_reward.abs() > NUMBER_MAX {
            return fail("goal.default_reward".into(), format!("must be a number from -{NUMBER_MAX} to {NUMBER_MAX}"));
        }
        if !(SECOND_US..=WINDOW_US_MAX).contains(&self.window_us) {
            return fail("goal.window".into(), "must be from 1 second to 400 days".into());
        }
        if !(0..=GRACE_US_MAX).contains(&self.grace_period_us()) {
            return fail("goal.grace_period".into(), "must be from 0 seconds to 1 day".into());
        }
        if !(0..=WINDOW_US_MAX).contains(&self.reversal_window_us()) {
            return fail("goal.reversal_window".into(), "must be from 0 seconds to 400 days".into());
        }
        if !(SECOND_US..=CONFIRMATION_WINDOW_US_MAX).contains(&self.confirmation_window_us()) {
            return fail("goal.confirmation_window".into(), "must be from 1 second to 90 days".into());
        }
        Ok(())
    }
}

impl RewardKind {
    fn capped(&self, amount: f64) -> f64 {
        self.cap.map_or(amount, |cap| amount.clamp(-cap, cap))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goal(aggregation: Aggregation) -> Goal {
        let kind = |kind: &str, weight, use_value, cap| RewardKind {
            kind: kind.into(),
            weight,
            use_value,
            cap,
            winsorize: None,
            role: None,
            joins: None,
        };
        Goal {
            kinds: vec![
                kind("click", 0.5, false, Some(1.0)),
                kind("buy", 2.0, true, None),
                kind("refund", -2.0, true, None),
            ],
            default_reward: 0.25,
            aggregation,
            ..Goal::default()
        }
    }

    #[track_caller]
    fn check(aggregation: Aggregation, events: &[(&str, f64, i64)], want: f64) {
        let events = events.iter().map(|&(kind, value, time_us)| Contribution { kind, value: Some(value), time_us });
        let got = goal(aggregation).reward(events);
        assert!((got - want).abs() < 1e-12, "{got} against {want}");
    }

    /// A sum of rounded numbers would leave 5.6e−17 of three purchases that were all refunded.
    #[test]
    fn purchases_that_were_all_refunded_leave_nothing() {
        let goal = Goal { default_reward: 0.0, ..goal(Aggregation::Sum) };
        let events = [("buy", 0.1), ("buy", 0.2), ("refund", 0.3)];
        let reward =
            goal.reward(events.iter().map(|&(kind, value)| Contribution { kind, value: Some(value), time_us: 1 }));
        assert!(reward.total_cmp(&0.0).is_eq(), "{reward}");
    }

    #[test]
    fn rewards_follow_the_goal() {
        let events = [("click", 9.0, 1), ("click", 9.0, 2), ("click", 9.0, 3), ("buy", 10.0, 9), ("refund", 4.0, 5)];
        check(Aggregation::Sum, &events, 0.25 + 1.0 + 20.0 - 8.0);
        check(Aggregation::Max, &events, 20.0);
        check(Aggregation::Last, &events, 20.0);
        check(Aggregation::Last, &events[..2], 0.5);
        for aggregation in [Aggregation::Sum, Aggregation::Max, Aggregation::Last] {
            check(aggregation, &[], 0.25);
            check(aggregation, &[("unheard-of", 3.0, 1)], 0.25);
        }
    }

    #[test]
    fn a_rate_is_told_from_a_value() {
        assert!(Goal::default().within_unit());
        assert!(!goal(Aggregation::Sum).within_unit());
        let uncapped = RewardKind {
            kind: "click".into(),
            weight: 1.0,
            use_value: false,
            cap: None,
            winsorize: None,
            role: None,
            joins: None,
        };
        let clicks = |aggregation| Goal { kinds: vec![uncapped.clone()], aggregation, ..Goal::default() };
        assert!(!clicks(Aggregation::Sum).within_unit(), "two clicks are two");
        assert!(clicks(Aggregation::Last).within_unit());
    }
}
