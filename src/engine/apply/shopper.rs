//! Application of a shopper event to one slot: the reward events that it stands for.

use super::{deferred::SHOWN, reward::unmatched};
use crate::{
    engine::{
        answer::{EventStatus, RewardAnswer, UnmatchedReason},
        event::RewardEvent,
        ids::DecisionId,
        outcome::OutcomeObserver,
        pending::{CountedEvent, DecisionPlace, EventRole, event_key},
        shopper_effect::{JoinedReward, SlotJoin},
        shopper_event::{ShopperEvent, ShopperItem, part_id},
        slot_state::SlotState,
        subject::Subject,
    },
    slot::{ArmId, Contribution, JoinRule, RewardKind},
};

impl SlotState {
    /// Applies a shopper event. Returns `None` if it does not concern the slot, which is then as it was.
    ///
    /// `parts` is the number of items of the event that it reverses.
    pub(in crate::engine) fn apply_shopper(
        &mut self,
        at_us: i64,
        event: &ShopperEvent,
        parts: usize,
        observer: Option<&mut OutcomeObserver<'_>>,
    ) -> Option<SlotJoin> {
        let named = self.named_decisions(event)?;
        let rewards = self.rewards_of_shopper(at_us, event, &named, parts);
        let seen = if says_shown(event, &named) { self.apply_shown(at_us, event, &named) } else { None };
        if rewards.is_empty() && seen.is_none() {
            return None;
        }
        self.expire_decisions(at_us, observer);
        let mut join = seen.unwrap_or_default();
        for mut reward in rewards {
            if event.reverses.is_none() {
                reward.event_id = part_id(&event.event_id, join.accepted.len());
            }
            let before = self.place_of_reward(at_us, &reward);
            let earned = before.map(|(at, arm)| self.reward_at(at, arm));
            let answer = self.apply_reward(at_us, &reward);
            let is_duplicate = answer.status == EventStatus::Duplicate;
            if let (EventStatus::Accepted, Some((at, arm)), Some(earned)) = (answer.status, before, earned) {
                let change = self.reward_at(at, arm) - earned;
                join.joined.extend(self.joined_reward(at, arm, change));
                join.accepted.push(reward.clone());
            }
            if answer.status != EventStatus::Accepted || answer.note.is_some() {
                join.remarks.push((reward.arm, answer));
            }
            if is_duplicate {
                // The slot counted an event of this id before, so none of its items counts again.
                break;
            }
        }
        self.learn_silence(at_us);
        Some(join)
    }

    /// Returns the effect that [`apply_shopper`](Self::apply_shopper) would have.
    pub(in crate::engine) fn preview_shopper(
        &self,
        at_us: i64,
        event: &ShopperEvent,
        parts: usize,
    ) -> Option<SlotJoin> {
        let named = self.named_decisions(event)?;
        let rewards = self.rewards_of_shopper(at_us, event, &named, parts);
        let seen = if says_shown(event, &named) { self.preview_shown(event, &named) } else { None };
        if rewards.is_empty() && seen.is_none() {
            return None;
        }
        let mut join = seen.unwrap_or_default();
        for reward in rewards {
            if let Some(duplicate) = self.duplicate(event_key(&reward.event_id), &reward) {
                join.remarks.push((reward.arm, duplicate));
                break;
            }
            let found = match &reward.reverses {
                Some(_) => self.place_of_reward(at_us, &reward).ok_or_else(|| unmatched(UnmatchedReason::Reversed)),
                None => self.locate(at_us, &reward).map(|found| (found.at, found.arm())),
            };
            match found {
                Ok((at, arm)) => {
                    let change = self.change_by(at, arm, &reward);
                    join.joined.extend(self.joined_reward(at, arm, change));
                    join.accepted.push(reward);
                }
                Err(answer) => join.remarks.push((reward.arm, answer)),
            }
        }
        Some(join)
    }

    /// Returns the decisions of this slot that an event names, or `None` if the event does not reach the slot.
    fn named_decisions(&self, event: &ShopperEvent) -> Option<Vec<DecisionId>> {
        let named: Vec<DecisionId> = event.decisions.iter().copied().filter(|id| id.slot() == self.number).collect();
        let simulated = self.design.definition.controls.simulated();
        // Real traffic may name decisions of a slot for simulated traffic, as reward events may.
        let reaches = simulated == event.simulated || (!event.simulated && !named.is_empty());
        reaches.then_some(named)
    }

    /// Returns the reward events that a shopper event stands for in this slot. They are empty if it does not concern the
    /// slot.
    fn rewards_of_shopper(
        &self,
        at_us: i64,
        event: &ShopperEvent,
        named: &[DecisionId],
        parts: usize,
    ) -> Vec<RewardEvent> {
        if let Some(reversed) = &event.reverses {
            return self.reversals(event, reversed, parts);
        }
        let Some(kind) = self.design.definition.goal.kind(&event.kind) else { return Vec::new() };
        if !event.decisions.is_empty() {
            return if named.is_empty() { Vec::new() } else { self.rewards_by_decision(event, kind, named) };
        }
        match event.joining_subject() {
            Some(subject) => self.rewards_by_subject(at_us, event, kind, subject),
            None => Vec::new(),
        }
    }

    fn reversals(&self, event: &ShopperEvent, reversed: &str, parts: usize) -> Vec<RewardEvent> {
        let is_known = |id: &str| {
            let key = event_key(id);
            self.decisions.find(|queue| queue.find_event(key).map(|known| known.0)).is_some()
        };
        let known = (0..parts.max(1)).map(|part| (part, part_id(reversed, part))).filter(|(_, id)| is_known(id));
        known
            .map(|(part, reversed)| RewardEvent {
                event_id: part_id(&event.event_id, part),
                reverses: Some(reversed),
                ..self.reward_event(event, None, None, event.value)
            })
            .collect()
    }

    /// Rewards of a shopper event that names decisions of this slot.
    fn rewards_by_decision(&self, event: &ShopperEvent, kind: &RewardKind, named: &[DecisionId]) -> Vec<RewardEvent> {
        let shown = |id: DecisionId| {
            let at = self.decisions.find(|queue| queue.find(id))?;
            self.decisions.get(at).map(|decision| decision.shown.iter().map(|shown| shown.arm).collect::<Vec<u32>>())
        };
        let by_item = |item: &ShopperItem| {
            let learned = self.design.arms.learned(item.item.as_str());
            let shows = |id: &&DecisionId| shown(**id).zip(learned).is_some_and(|(arms, arm)| arms.contains(&arm));
            named.iter().find(shows).copied()
        };
        let rewards = event.items.iter().filter_map(|item| {
            let decision = by_item(item);
            // A decision that is unknown or did not show the item is answered as one that a reward event names.
            let decision = decision.or((kind.joins() == JoinRule::Item).then_some(named[0]))?;
            Some(self.reward_event(event, Some(decision), Some(item.item.clone()), value_of(event, item)))
        });
        let rewards: Vec<RewardEvent> = rewards.collect();
        if !rewards.is_empty() {
            return rewards;
        }
        let of_first = |&id: &DecisionId| {
            let arms = shown(id).unwrap_or_default();
            // An event without an item is about the only arm, or about the first one if any will do.
            let first = arms.first().filter(|_| kind.joins() == JoinRule::Any || arms.len() == 1);
            let arm = first.and_then(|&arm| self.arm_name(arm));
            self.reward_event(event, Some(id), arm, whole_value(event))
        };
        named.iter().take(1).map(of_first).collect()
    }

    /// Rewards of a shopper event that joins by subject. Items that the slot did not show are left out.
    fn rewards_by_subject(
        &self,
        at_us: i64,
        event: &ShopperEvent,
        kind: &RewardKind,
        subject: &Subject,
    ) -> Vec<RewardEvent> {
        let matches = |reward: &RewardEvent| match self.find_decision(at_us, reward) {
            Ok(_) => true,
            Err(RewardAnswer { status, .. }) => !matches!(status, EventStatus::Unmatched(_) | EventStatus::Late),
        };
        let rewards = event.items.iter().filter(|item| self.design.arms.learned(item.item.as_str()).is_some());
        let rewards = rewards
            .map(|item| self.reward_event(event, None, Some(item.item.clone()), value_of(event, item)))
            .filter(matches);
        let rewards: Vec<RewardEvent> = rewards.collect();
        if !rewards.is_empty() || kind.joins() == JoinRule::Item {
            return rewards;
        }
        let latest =
            self.decisions.pending.find_latest_of_subject(subject, event.time_us.saturating_add(self.clock_skew_us()));
        let Some(decision) = latest.and_then(|ordinal| self.decisions.pending.get(ordinal)) else { return rewards };
        let first = decision.shown.first().and_then(|shown| self.arm_name(shown.arm));
        vec![self.reward_event(event, Some(decision.id), first, whole_value(event))]
    }

    pub(super) fn arm_name(&self, arm: u32) -> Option<ArmId> {
        self.design.arms.names().get(arm as usize).cloned()
    }

    fn reward_event(
        &self,
        event: &ShopperEvent,
        decision: Option<DecisionId>,
        arm: Option<ArmId>,
        value: Option<f64>,
    ) -> RewardEvent {
        RewardEvent {
            slot: self.design.definition.id.clone(),
            event_id: event.event_id.clone(),
            decision,
            subject: event.subject.clone(),
            arm,
            kind: self.kind_by_currency(event),
            value,
            time_us: event.time_us,
            reverses: None,
        }
    }

    /// Name of the kind that an event counts as. Money of another currency than the goal's is a kind of its own, which is
    /// counted and changes no reward.
    fn kind_by_currency(&self, event: &ShopperEvent) -> String {
        let goal = &self.design.definition.goal;
        let uses_value = goal.kind(&event.kind).is_some_and(|kind| kind.use_value);
        match (&event.currency, &goal.currency) {
            (Some(currency), Some(of_goal)) if currency != of_goal && uses_value => {
                format!("{} in {currency}", event.kind)
            }
            _ => event.kind.clone(),
        }
    }

    /// Returns the place and the arm that a reward event would change, or `None` if it would change none.
    fn place_of_reward(&self, at_us: i64, reward: &RewardEvent) -> Option<(DecisionPlace, u32)> {
        let Some(reversed) = &reward.reverses else {
            let found = self.locate(at_us, reward).ok()?;
            return Some((found.at, found.arm()));
        };
        let key = event_key(reversed);
        let at = self.decisions.find(|queue| queue.find_event(key).map(|known| known.0))?;
        let decision = self.decisions.get(at)?;
        let record = decision.events.iter().find(|record| record.event == key)?;
        match record.role {
            EventRole::Reward(arm) => Some((at, arm)),
            EventRole::Reversed | EventRole::Reversal => None,
        }
    }

    fn reward_at(&self, at: DecisionPlace, arm: u32) -> f64 {
        let decision = self.decisions.get(at);
        let shown = decision.as_ref().and_then(|decision| decision.shown.iter().find(|shown| shown.arm == arm));
        shown.map_or(0.0, |shown| shown.reward)
    }

    /// Returns the change of an arm's reward by a reward event, if it were applied now.
    fn change_by(&self, at: DecisionPlace, arm: u32, reward: &RewardEvent) -> f64 {
        let goal = &self.design.definition.goal;
        let decision = self.decisions.get(at);
        let Some(shown) = decision.as_ref().and_then(|decision| decision.shown.iter().find(|shown| shown.arm == arm))
        else {
            return 0.0;
        };
        let key = reward.reverses.as_deref().map(event_key);
        let left = shown.counted.iter().filter(|counted| Some(counted.event) != key);
        let added = Contribution { kind: &reward.kind, value: reward.value, time_us: reward.time_us };
        let added = key.is_none().then_some(added);
        goal.reward(left.map(CountedEvent::contribution).chain(added)) - shown.reward
    }

    fn joined_reward(&self, at: DecisionPlace, arm: u32, reward: f64) -> Option<JoinedReward> {
        let decision = self.decisions.get(at)?.id;
        Some(JoinedReward { decision, arm: self.arm_name(arm)?, reward })
    }
}

/// Returns `true` if an event reports that arms of a slot were seen. `named` are the decisions of the slot that it names.
fn says_shown(event: &ShopperEvent, named: &[DecisionId]) -> bool {
    event.kind == SHOWN && event.reverses.is_none() && (event.decisions.is_empty() || !named.is_empty())
}

/// Value of an event as a whole: its own, or that of all items together.
fn whole_value(event: &ShopperEvent) -> Option<f64> {
    let items: Vec<f64> = event.items.iter().filter_map(|item| item.value).collect();
    event.value.or((!items.is_empty()).then(|| items.iter().sum()))
}

/// Value of one item of an event.
fn value_of(event: &ShopperEvent, item: &ShopperItem) -> Option<f64> {
    item.value.or(event.value.filter(|_| event.items.len() == 1)).or(item.quantity)
}
