//! Groups of equal requests among the past decisions. A forecast for one request of a group holds for all.

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

/// Group of equal requests.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RequestGroup {
    /// Index of the decision whose request stands for the group.
    pub(super) first: usize,
    /// Indices of all decisions of the group.
    pub(super) members: Vec<usize>,
    /// Number of arms that each request asks for, or 0 for the slot's own number.
    pub(super) count: u32,
}

impl RequestGroup {
    /// Number of draws of the group's slates.
    pub(super) fn draws(&self) -> usize {
        self.members.len().min(DRAWS_MAX)
    }
}

/// Groups the requests of the decisions. Returns the groups and the number of decisions in them.
///
/// Uses all decisions if at most `cost_max` candidates have to be scored, counted once per position drawn. Else it uses
/// every n-th decision.
pub(super) fn group_requests(
    views: BeforeAfter<&SlotView>,
    decisions: &[(i64, Arc<DecisionRecord>)],
    cost_max: usize,
) -> (Vec<RequestGroup>, usize) {
    let mut step = 1;
    loop {
        let (groups, cost) = group_every(step, views, decisions);
        if cost <= cost_max || step >= decisions.len() {
            return (groups, decisions.len().div_ceil(step));
        }
        step = (step * cost.div_ceil(cost_max)).max(step + 1);
    }
}

/// Groups the requests of every `step`-th decision. Returns the groups and the number of candidates to score for them.
fn group_every(
    step: usize,
    views: BeforeAfter<&SlotView>,
    decisions: &[(i64, Arc<DecisionRecord>)],
) -> (Vec<RequestGroup>, usize) {
    let by_subject = !(views.before.rules.is_empty() && views.after.rules.is_empty());
    let arms = views.before.arms_in_effect().len().max(views.after.arms_in_effect().len());
    let mut group_by_digest: HashMap<u128, usize> = HashMap::new();
    let mut groups = Vec::<RequestGroup>::new();
    for (i, (_, decided)) in decisions.iter().enumerate().rev().step_by(step) {
        let count = requested_count(views.before, decided);
        let group = *group_by_digest.entry(digest(decided, count, by_subject)).or_insert_with(|| {
            groups.push(RequestGroup { first: i, members: Vec::new(), count });
            groups.len() - 1
        });
        groups[group].members.push(i);
    }
    let own_count = views.before.definition.count().max(views.after.definition.count());
    let cost = |group: &RequestGroup| {
        let candidates = decisions[group.first].1.candidates.len();
        let candidates = if candidates == 0 { arms } else { candidates };
        let places = if group.count == 0 { own_count } else { group.count } as usize;
        candidates * if places > 1 { group.draws() * places.min(candidates) } else { 1 }
    };
    let cost = groups.iter().map(cost).sum();
    (groups, cost)
}

/// Returns the number of arms that a request asked for, or 0 for the slot's own number, which the change may alter.
///
/// The number is not recorded. It is inferred from the number of arms shown and the slot's revision at the time.
fn requested_count(view: &SlotView, decided: &DecisionRecord) -> u32 {
    let shown = u32::try_from(decided.chosen.len()).unwrap_or(u32::MAX);
    let revision = view.revisions.iter().find(|revision| revision.number == decided.revision);
    let own = revision.map_or(&view.definition, |revision| &revision.definition).count();
    let all = decided.scored.len() < SCORED_MAX && decided.scored.len() <= decided.chosen.len();
    if shown == own || decided.fallback == Some(Fallback::NoEligibleArm) || (shown < own && all) { 0 } else { shown }
}

/// Hashes everything that the answer to a request may depend on, except the holdout.
fn digest(decided: &DecisionRecord, count: u32, by_subject: bool) -> u128 {
    let mut hasher = SipHasher13::new();
    hasher.write_u32(count);
    hash_features(&mut hasher, &decided.context);
    hasher.write_u64(decided.candidates.len() as u64);
    for (arm, own) in &decided.candidates {
        hash_text(&mut hasher, arm.as_str());
        hash_features(&mut hasher, own);
    }
    if let Some(matches) = &decided.matches {
        // Matches name candidates by their index, which among all arms depends on the revision.
        hasher.write_u64(if decided.candidates.is_empty() { decided.revision } else { u64::MAX });
        for found in matches {
            hasher.write_u32(found.candidate);
            // Arms from the catalogue depend on the decision.
            if let Some(arm) = decided.catalogue_arms.get(found.candidate as usize) {
                hash_text(&mut hasher, arm.as_str());
            }
            hasher.write_u32(found.to_bits());
        }
    }
    hasher.write_u64(decided.already_shown.len() as u64);
    for arm in &decided.already_shown {
        hash_text(&mut hasher, arm.as_str());
    }
    if by_subject {
        hash_text(&mut hasher, &decided.subject.id);
        hash_text(&mut hasher, &decided.subject.session_id);
    }
    hasher.finish128().as_u128()
}

fn hash_text(hasher: &mut SipHasher13, text: &str) {
    hasher.write_u64(text.len() as u64);
    hasher.write(text.as_bytes());
}

fn hash_features(hasher: &mut SipHasher13, features: &Features) {
    hasher.write_u64(features.len() as u64);
    for (name, value) in features {
        hash_text(hasher, name);
        match value {
            Value::Number(number) => {
                hasher.write_u8(0);
                hasher.write_u64(number.to_bits());
            }
            Value::Text(word) => {
                hasher.write_u8(1);
                hash_text(hasher, word);
            }
            Value::Flag(flag) => hasher.write_u8(2 + u8::from(*flag)),
            Value::Texts(words) => {
                hasher.write_u8(4);
                hasher.write_u64(words.len() as u64);
                for word in words {
                    hash_text(hasher, word);
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
