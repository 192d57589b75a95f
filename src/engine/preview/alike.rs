//! Which requests are alike, so that they need to be looked at once.

use std::{collections::HashMap, hash::Hasher as _, sync::Arc};

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use super::{BeforeAfter, DRAWS_MAX};
use crate::{
    bandit::{Features, Value},
    engine::{
        decision_record::{DecisionRecord, Fallback, SCORED_MAX},
        view::SlotView,
    },
};

/// Requests that are alike, by their places among the decisions.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Group {
    /// The first.
    pub(super) first: usize,
    /// All of them.
    pub(super) members: Vec<usize>,
    /// How many arms they ask for; 0: the slot's own number.
    pub(super) count: u32,
}

impl Group {
    /// How often its slates are drawn.
    pub(super) fn draws(&self) -> usize {
        self.members.len().min(DRAWS_MAX)
    }
}

/// The decisions in groups, and how many they are: all, or every n-th where more than `most` candidates would have to be
/// weighed, each once per position that is drawn.
pub(super) fn grouped(
    views: BeforeAfter<&SlotView>,
    decisions: &[(i64, Arc<DecisionRecord>)],
    most: usize,
) -> (Vec<Group>, usize) {
    let mut step = 1;
    loop {
        let (groups, cost) = every(step, views, decisions);
        if cost <= most || step >= decisions.len() {
            return (groups, decisions.len().div_ceil(step));
        }
        step = (step * cost.div_ceil(most)).max(step + 1);
    }
}

/// Groups of every `step`-th decision, and how many candidates have to be weighed for them.
fn every(step: usize, views: BeforeAfter<&SlotView>, decisions: &[(i64, Arc<DecisionRecord>)]) -> (Vec<Group>, usize) {
    let by_subject = !(views.before.rules.is_empty() && views.after.rules.is_empty());
    let arms = views.before.definition.arms.len().max(views.after.definition.arms.len());
    let mut places: HashMap<u128, usize> = HashMap::new();
    let mut groups = Vec::<Group>::new();
    for (i, (_, decided)) in decisions.iter().enumerate().rev().step_by(step) {
        let count = count(views.before, decided);
        let place = *places.entry(digest(decided, count, by_subject)).or_insert_with(|| {
            groups.push(Group { first: i, members: Vec::new(), count });
            groups.len() - 1
        });
        groups[place].members.push(i);
    }
    let own = views.before.definition.count().max(views.after.definition.count());
    let cost = |group: &Group| {
        let candidates = decisions[group.first].1.candidates.len();
        let candidates = if candidates == 0 { arms } else { candidates };
        let places = if group.count == 0 { own } else { group.count } as usize;
        candidates * if places > 1 { group.draws() * places.min(candidates) } else { 1 }
    };
    let cost = groups.iter().map(cost).sum();
    (groups, cost)
}

/// How many arms a request asked for; 0: the slot's own number, which the change may be about.
fn count(view: &SlotView, decided: &DecisionRecord) -> u32 {
    let shown = u32::try_from(decided.chosen.len()).unwrap_or(u32::MAX);
    let revision = view.revisions.iter().find(|revision| revision.number == decided.revision);
    let own = revision.map_or(&view.definition, |revision| &revision.definition).count();
    let all = decided.scored.len() < SCORED_MAX && decided.scored.len() <= decided.chosen.len();
    if shown == own || decided.fallback == Some(Fallback::NoEligibleArm) || (shown < own && all) { 0 } else { shown }
}

/// A hash of all that a request's answer may depend on, but for the holdout.
fn digest(decided: &DecisionRecord, count: u32, by_subject: bool) -> u128 {
    let mut hasher = SipHasher13::new();
    let text = |hasher: &mut SipHasher13, text: &str| {
        hasher.write_u64(text.len() as u64);
        hasher.write(text.as_bytes());
    };
    hasher.write_u32(count);
    features(&mut hasher, &decided.context);
    hasher.write_u64(decided.candidates.len() as u64);
    for (arm, own) in &decided.candidates {
        text(&mut hasher, arm.as_str());
        features(&mut hasher, own);
    }
    hasher.write_u64(decided.already_shown.len() as u64);
    for arm in &decided.already_shown {
        text(&mut hasher, arm.as_str());
    }
    if by_subject {
        text(&mut hasher, &decided.subject.id);
        text(&mut hasher, &decided.subject.session_id);
    }
    hasher.finish128().as_u128()
}

fn features(hasher: &mut SipHasher13, features: &Features) {
    let text = |hasher: &mut SipHasher13, text: &str| {
        hasher.write_u64(text.len() as u64);
        hasher.write(text.as_bytes());
    };
    hasher.write_u64(features.len() as u64);
    for (name, value) in features {
        text(hasher, name);
        match value {
            Value::Number(number) => {
                hasher.write_u8(0);
                hasher.write_u64(number.to_bits());
            }
            Value::Text(word) => {
                hasher.write_u8(1);
                text(hasher, word);
            }
            Value::Flag(flag) => hasher.write_u8(2 + u8::from(*flag)),
            Value::Texts(words) => {
                hasher.write_u8(4);
                hasher.write_u64(words.len() as u64);
                for word in words {
                    text(hasher, word);
                }
            }
            Value::Vector(numbers) => {
                hasher.write_u8(5);
                hasher.write_u64(numbers.len() as u64);
                for number in numbers {
                    hasher.write_u32(number.to_bits());
                }
            }
        }
    }
}
