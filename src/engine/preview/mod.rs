//! What a change of a slot would do, computed from its past decisions, without making it.
//!
//! Each past decision is looked at again, under the slot as it is and under the slot as it would be, with what the
//! models know *now*, by the very code that decides ([`Look`]): where one arm is shown its probability is exact for the
//! context, slates of several are drawn by a seed. Standard errors are those of taking these decisions for the ones
//! that will come, and of drawing; that the models may be wrong is not in them.
//!
//! Requests that are alike are looked at once, and what does not depend on the change is computed once. The work is in
//! parts that may be done at the same time, and gives the same bits however it is shared.
//!
//! Deliberately not here: caps and stickiness, whose pasts would be others; threads; where the decisions come from.

mod alike;
mod tally;
mod warnings;

use std::sync::Arc;

use super::{
    decide::{
        Request, RequestCandidate,
        foresee::{Look, Memo, Side, Twins, control, shows},
    },
    decision_record::DecisionRecord,
    event::Subject,
    ids::hash,
    view::SlotView,
};
use crate::slot::{ArmId, Consent};
use alike::{Group, grouped};
pub use tally::PreviewTally;
use tally::{Half, Seen};

/// Past decisions that a preview looks at, at most.
pub const PREVIEW_DECISIONS_MAX: usize = 10_000;
/// Candidates that it weighs at most, over all decisions and positions: about a second of one core. Of more only every
/// second decision is looked at, or every third and so on.
const WEIGHED_MAX: usize = 250_000;
/// Into so many parts the work falls.
const PARTS: usize = 16;
/// How often requests that are alike draw their slates, at most.
const DRAWS_MAX: usize = 32;
const DAY_US: f64 = 24.0 * 3600.0 * 1e6;

/// A mean over past decisions.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Estimate {
    /// The mean.
    pub value: f64,
    /// Its standard error.
    pub standard_error: f64,
}

/// Something before the change and after it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct BeforeAfter<T> {
    /// As it is.
    pub before: T,
    /// As it would be.
    pub after: T,
}

impl<T> BeforeAfter<T> {
    fn map<U>(&self, mut of: impl FnMut(&T) -> U) -> BeforeAfter<U> {
        BeforeAfter { before: of(&self.before), after: of(&self.after) }
    }
}

/// How often an arm is shown, per decision: where one arm is, its share.
#[derive(Debug, Clone, PartialEq)]
pub struct PreviewArm {
    /// The arm.
    pub arm: ArmId,
    /// To all subjects: what will be observed.
    pub all: BeforeAfter<Estimate>,
    /// To those who get what the policy chooses; where the slot only watches, would get.
    pub policy: BeforeAfter<Estimate>,
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq)]
pub struct PreviewRule {
    /// Its name.
    pub name: String,
    /// The share of decisions in which it has an effect; none: the slot has no such rule.
    pub fires: BeforeAfter<Option<f64>>,
    /// How many candidates it keeps out per decision.
    pub keeps_out: BeforeAfter<f64>,
}

/// What a change would do.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    /// How many past decisions were looked at.
    pub decisions_used: u64,
    /// How many there are per day, by the time that the past decisions span; 0 where that cannot be said.
    pub decisions_per_day: f64,
    /// The arms of the slot as it would be in its order, those that would go, then others that were candidates.
    pub arms: Vec<PreviewArm>,
    /// The expected reward of what all subjects are shown, per decision, in the goal's units.
    pub expected_reward: BeforeAfter<Estimate>,
    /// By how much it would change: much surer than the difference of the two.
    pub expected_reward_change: Estimate,
    /// What exploring, and whatever else keeps the policy from the largest expected rewards, costs per day: the
    /// expected reward of the best guesses less that of what is shown, over the subjects who get what the policy chooses.
    pub exploration_cost_per_day: BeforeAfter<Estimate>,
    /// The rules of the slot as it would be in their order, then those that would go.
    pub rules: Vec<PreviewRule>,
    /// What to think twice about, in plain words.
    pub warnings: Vec<String>,
}

/// What `after` would do instead of `before`, by these past decisions and when each was made, microseconds since 1970:
/// the newest [`PREVIEW_DECISIONS_MAX`] of them. Schedules are looked at as of `now_us`.
pub fn preview(before: &SlotView, after: &SlotView, decisions: &[(i64, Arc<DecisionRecord>)], now_us: i64) -> Preview {
    let previewer = Previewer::new(before, after, decisions, now_us);
    let tallies = (0..previewer.parts()).map(|part| previewer.part(part)).collect();
    previewer.finish(tallies)
}

/// A preview in parts.
#[derive(Debug)]
pub struct Previewer<'a> {
    views: BeforeAfter<&'a SlotView>,
    twins: Twins,
    now_us: i64,
    decisions: &'a [(i64, Arc<DecisionRecord>)],
    groups: Vec<Group>,
    used: usize,
    /// Subjects as the conditions of rules see them, by the decision's place; empty: as they are recorded.
    named: Vec<Subject>,
}

impl<'a> Previewer<'a> {
    /// See [`preview`].
    pub fn new(
        before: &'a SlotView,
        after: &'a SlotView,
        decisions: &'a [(i64, Arc<DecisionRecord>)],
        now_us: i64,
    ) -> Self {
        let decisions = &decisions[decisions.len().saturating_sub(PREVIEW_DECISIONS_MAX)..];
        let views = BeforeAfter { before, after };
        let (groups, used) = grouped(views, decisions, WEIGHED_MAX);
        Self { views, twins: Twins::new(before, after), now_us, decisions, groups, used, named: Vec::new() }
    }

    /// Sets the subjects as the conditions of rules see them, where they are recorded by another name. Only slots with
    /// rules ask for them.
    #[must_use]
    pub fn with_names(mut self, name: impl Fn(&Subject) -> Subject) -> Self {
        let BeforeAfter { before, after } = self.views;
        if !before.rules.is_empty() || !after.rules.is_empty() {
            self.named = self.decisions.iter().map(|(_, decided)| name(&decided.subject)).collect();
        }
        self
    }

    /// Into how many parts it falls.
    pub fn parts(&self) -> usize {
        PARTS
    }

    /// Does one of them.
    pub fn part(&self, part: usize) -> PreviewTally {
        let bound = |part: usize| (self.groups.len() * part.min(PARTS)).div_ceil(PARTS);
        let mut tally = PreviewTally::new(&self.views);
        for group in &self.groups[bound(part)..bound(part + 1)] {
            self.look(group, &mut tally);
        }
        tally
    }

    fn look(&self, group: &Group, tally: &mut PreviewTally) {
        let decided = &*self.decisions[group.first].1;
        let request = Request { named: self.named.get(group.first).cloned(), ..request(decided, group.count) };
        let memo = Memo::default();
        let look = |view: &'a SlotView, side| {
            Look {
                view,
                request: &request,
                taken: &decided.already_shown,
                now_us: self.now_us,
                seed: hash("preview", &[decided.id.as_bytes()]).word(),
                draws: group.draws(),
                memo: &memo,
                side,
            }
            .foresee()
        };
        let before = look(self.views.before, Side::Before);
        let after = look(self.views.after, Side::After(&self.twins));
        let who = |view: &SlotView| -> Vec<f64> {
            group.members.iter().map(|&member| control(view, &self.decisions[member].1.subject)).collect()
        };
        let half = |view: &SlotView, seen| Half { seen, control: who(view), shows: shows(view) };
        tally.add(&Seen { before: half(self.views.before, before), after: half(self.views.after, after) });
    }

    /// Puts the parts together, in their order.
    pub fn finish(&self, tallies: Vec<PreviewTally>) -> Preview {
        let mut all = PreviewTally::new(&self.views);
        for tally in tallies {
            all.merge(tally);
        }
        let (arms, rules) = (all.arms(&self.views), all.rules(&self.views));
        let decisions_per_day = self.decisions_per_day();
        let cost = all.cost().map(|estimate| Estimate {
            value: decisions_per_day * estimate.value,
            standard_error: decisions_per_day * estimate.standard_error,
        });
        let mut preview = Preview {
            decisions_used: self.used as u64,
            decisions_per_day,
            arms,
            expected_reward: all.reward(),
            expected_reward_change: all.change(),
            exploration_cost_per_day: cost,
            rules,
            warnings: Vec::new(),
        };
        preview.warnings = warnings::warnings(&self.views, &preview, &all);
        preview
    }

    fn decisions_per_day(&self) -> f64 {
        let times = || self.decisions.iter().map(|(at_us, _)| *at_us);
        let span_us = times().max().zip(times().min()).map_or(0, |(last, first)| last - first);
        if span_us > 0 { (self.decisions.len() - 1) as f64 * DAY_US / span_us as f64 } else { 0.0 }
    }
}

/// The request that a decision was made for.
fn request(decided: &DecisionRecord, count: u32) -> Request {
    let candidate =
        |(arm, features): &(ArmId, _)| RequestCandidate { arm: arm.clone(), features: Clone::clone(features) };
    Request {
        subject: decided.subject.clone(),
        context: decided.context.clone(),
        candidates: decided.candidates.iter().map(candidate).collect(),
        count,
        // What consent leaves of the subject is what was recorded.
        consent: Some(Consent::Full),
        ..Request::new(decided.slot.clone())
    }
}
