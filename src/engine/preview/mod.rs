//! Preview of a change of a slot, estimated from its past decisions without making the change.
//!
//! Each past decision is repeated under the slot before and after the change, with the present models and by the code
//! that decides ([`ForecastInput`]). If one arm is shown, its probability is exact for the request; slates of several arms
//! are drawn by a seed. Standard errors cover the sampling of past decisions and the drawing. They do not cover errors of
//! the models.
//!
//! Equal requests are computed once, and so is all that does not depend on the change. The work is split into parts for
//! several threads.
//!
//! Invariant: the result has the same bits however the parts are distributed over threads.
//!
//! Deliberately not here: caps and stickiness, whose histories would differ after the change; threads; the search for the
//! past decisions.

mod groups;
mod segments;
mod sides;
mod sums;
mod tally;
mod unknown;
mod warnings;

use std::sync::Arc;

use super::{
    decide::{
        Request, RequestCandidate,
        forecast::{
            ArmCorrespondence, ChangeSide, ForecastInput, RequestForecast, ScoreCache, baseline_probability,
            shows_policy,
        },
    },
    decision_record::DecisionRecord,
    ids::hash,
    subject::Subject,
    view::SlotView,
};
use crate::slot::{ArmId, Consent, Definition};
use groups::{RequestGroup, group_requests};
pub use segments::PreviewSegment;
use sides::{GroupForecast, SideForecast};
pub use tally::PreviewTally;
pub use unknown::UnknownReward;

/// Past decisions that a preview uses at most.
pub const PREVIEW_DECISIONS_MAX: usize = 10_000;
/// Candidates that a preview scores at most, over all decisions and positions: about a second of one core. If there are
/// more, only every second decision is used, or every third and so on.
const SCORED_CANDIDATES_MAX: usize = 250_000;
/// Number of parts that the work is split into.
const PARTS: usize = 16;
/// Draws of a slate at most for a group of equal requests.
const DRAWS_MAX: usize = 32;
const DAY_US: f64 = 24.0 * 3600.0 * 1e6;

/// Mean over past decisions.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Estimate {
    /// Mean.
    pub value: f64,
    /// Standard error of the mean.
    pub standard_error: f64,
}

/// Pair of values from before and after the change.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct BeforeAfter<T> {
    /// Value before the change.
    pub before: T,
    /// Value after the change.
    pub after: T,
}

impl<T> BeforeAfter<T> {
    fn map<U>(&self, mut convert: impl FnMut(&T) -> U) -> BeforeAfter<U> {
        BeforeAfter { before: convert(&self.before), after: convert(&self.after) }
    }
}

/// Showings of an arm per decision. If each decision shows one arm, they are the arm's share.
#[derive(Debug, Clone, PartialEq)]
pub struct PreviewArm {
    /// Id of the arm.
    pub arm: ArmId,
    /// Showings to all subjects, as they will be observed.
    pub all: BeforeAfter<Estimate>,
    /// Showings to the subjects who get the policy's choice. In shadow mode: who would get it.
    pub policy: BeforeAfter<Estimate>,
    /// The arm was never shown, so what it earns is unknown.
    pub never_shown: bool,
}

/// Effects of a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct PreviewRule {
    /// Name of the rule.
    pub name: String,
    /// Share of decisions in which the rule has an effect, or `None` if the slot has no such rule.
    pub fires: BeforeAfter<Option<f64>>,
    /// Number of candidates that the rule excludes per decision.
    pub keeps_out: BeforeAfter<f64>,
}

/// Preview of a change.
#[derive(Debug, Clone, PartialEq)]
pub struct SlotPreview {
    /// Number of past decisions that were used.
    pub decisions_used: u64,
    /// Number of decisions per day over the time that the past decisions span, or 0 if they span less than a day.
    pub decisions_per_day: f64,
    /// Arms after the change in their order, then those that it removes, then other candidates.
    pub arms: Vec<PreviewArm>,
    /// Expected reward per decision over all subjects, in the goal's units.
    pub expected_reward: BeforeAfter<Estimate>,
    /// Change of the expected reward. Its standard error is much smaller than that of the difference of two estimates.
    pub expected_reward_change: Estimate,
    /// Arms that were never shown, as far as the expected reward rests on them.
    pub unknown: BeforeAfter<UnknownReward>,
    /// Cost of exploring per 1,000 decisions: the expected reward of the best guesses less that of the arms shown, over the subjects
    /// who get the policy's choice. It includes all else that keeps the policy from the best guesses, such as rules.
    pub exploration_cost_per_1000: BeforeAfter<Estimate>,
    /// Rules after the change in their order, then those that it removes.
    pub rules: Vec<PreviewRule>,
    /// Effects by the values of the features that the slot follows.
    pub segments: Vec<PreviewSegment>,
    /// Warnings in plain words.
    pub warnings: Vec<String>,
}

/// Previews a change by past decisions, each with its time in microseconds since 1970.
///
/// Uses the newest [`PREVIEW_DECISIONS_MAX`] decisions. Schedules are evaluated at `now_us`.
pub fn preview(
    before: &SlotView,
    after: &SlotView,
    decisions: &[(i64, Arc<DecisionRecord>)],
    now_us: i64,
) -> SlotPreview {
    let previewer = Previewer::new(before, after, decisions, now_us);
    let tallies = (0..previewer.parts()).map(|part| previewer.part(part)).collect();
    previewer.finish(tallies)
}

/// Computation of a preview in parts.
#[derive(Debug)]
pub struct Previewer<'a> {
    views: BeforeAfter<&'a SlotView>,
    arm_correspondence: ArmCorrespondence,
    now_us: i64,
    decisions: &'a [(i64, Arc<DecisionRecord>)],
    groups: Vec<RequestGroup>,
    used: usize,
    /// Subjects as the conditions of rules see them, by the decision's index. Empty if those are the recorded subjects.
    rule_subjects: Vec<Subject>,
}

impl<'a> Previewer<'a> {
    /// Prepares a preview; see [`preview`].
    pub fn new(
        before: &'a SlotView,
        after: &'a SlotView,
        decisions: &'a [(i64, Arc<DecisionRecord>)],
        now_us: i64,
    ) -> Self {
        let decisions = &decisions[decisions.len().saturating_sub(PREVIEW_DECISIONS_MAX)..];
        let views = BeforeAfter { before, after };
        let (groups, used) = group_requests(views, decisions, SCORED_CANDIDATES_MAX);
        let arm_correspondence = ArmCorrespondence::new(before, after);
        Self { views, arm_correspondence, now_us, decisions, groups, used, rule_subjects: Vec::new() }
    }

    /// Sets the subjects as the conditions of rules see them, for decisions that were recorded under pseudonyms. `name`
    /// is called only if the slot has rules.
    #[must_use]
    pub fn with_names(mut self, name: impl Fn(&Subject) -> Subject) -> Self {
        let BeforeAfter { before, after } = self.views;
        if !before.rules.is_empty() || !after.rules.is_empty() {
            self.rule_subjects = self.decisions.iter().map(|(_, decided)| name(&decided.subject)).collect();
        }
        self
    }

    /// Number of parts.
    pub fn parts(&self) -> usize {
        PARTS
    }

    /// Computes one part.
    pub fn part(&self, part: usize) -> PreviewTally {
        let bound = |part: usize| (self.groups.len() * part.min(PARTS)).div_ceil(PARTS);
        let mut tally = PreviewTally::new(&self.views);
        for group in &self.groups[bound(part)..bound(part + 1)] {
            self.add_group(group, &mut tally);
        }
        tally
    }

    /// Adds the forecast for a group of equal requests to the tally.
    fn add_group(&self, group: &RequestGroup, tally: &mut PreviewTally) {
        let decided = &*self.decisions[group.first].1;
        let rule_subject = self.rule_subjects.get(group.first).cloned();
        let request = Request { rule_subject, ..request_of(self.views.before, decided, group.count) };
        let cache = ScoreCache::default();
        let forecast = |view: &'a SlotView, side| {
            ForecastInput {
                view,
                request: &request,
                already_shown: &decided.already_shown,
                now_us: self.now_us,
                seed: hash("preview", &[decided.id.as_bytes()]).word(),
                draws: group.draws(),
                cache: &cache,
                side,
            }
            .forecast()
        };
        // The first forecast fills the cache that the second one uses.
        let before = forecast(self.views.before, ChangeSide::Before);
        let after = forecast(self.views.after, ChangeSide::After(&self.arm_correspondence));
        let forecasts = GroupForecast {
            before: self.side_forecast(self.views.before, group, before),
            after: self.side_forecast(self.views.after, group, after),
        };
        tally.add(&forecasts, &decided.context);
    }

    fn side_forecast<'f>(
        &self,
        view: &SlotView,
        group: &RequestGroup,
        forecast: RequestForecast<'f>,
    ) -> SideForecast<'f> {
        let subjects = group.members.iter().map(|&member| &self.decisions[member].1.subject);
        let control = subjects.map(|subject| baseline_probability(view, subject)).collect();
        SideForecast { forecast, control, shows_policy: shows_policy(view) }
    }

    /// Combines the tallies of all parts, in the order of the parts.
    pub fn finish(&self, tallies: Vec<PreviewTally>) -> SlotPreview {
        let mut all = PreviewTally::new(&self.views);
        for tally in tallies {
            all.merge(tally);
        }
        let (arms, rules) = (all.arms(&self.views), all.rules(&self.views));
        let decisions_per_day = self.decisions_per_day();
        let cost = all.cost().map(|estimate| Estimate {
            value: 1_000.0 * estimate.value,
            standard_error: 1_000.0 * estimate.standard_error,
        });
        let mut preview = SlotPreview {
            decisions_used: self.used as u64,
            decisions_per_day,
            arms,
            expected_reward: all.reward(),
            expected_reward_change: all.change(),
            unknown: all.unknown(&self.views),
            exploration_cost_per_1000: cost,
            rules,
            segments: all.segments(),
            warnings: Vec::new(),
        };
        preview.warnings = warnings::warnings(&self.views, &preview, &all);
        preview
    }

    fn decisions_per_day(&self) -> f64 {
        let times = || self.decisions.iter().map(|(at_us, _)| *at_us);
        let span_us = times().max().zip(times().min()).map_or(0, |(last, first)| last - first);
        if span_us as f64 >= DAY_US { (self.decisions.len() - 1) as f64 * DAY_US / span_us as f64 } else { 0.0 }
    }
}

/// Returns the definition that a decision was made by, or that of today if it is no longer kept.
fn definition_of<'a>(view: &'a SlotView, decided: &DecisionRecord) -> &'a Definition {
    let revision = view.revisions.iter().find(|revision| revision.number == decided.revision);
    revision.map_or(&view.definition, |revision| &revision.definition)
}

/// Returns the request that a decision was made for, with this number of arms to show.
fn request_of(view: &SlotView, decided: &DecisionRecord, count: u32) -> Request {
    let candidate =
        |(arm, features): &(ArmId, _)| RequestCandidate { arm: arm.clone(), features: Clone::clone(features) };
    Request {
        subject: decided.subject.clone(),
        context: decided.context.clone(),
        candidates: decided.candidates.iter().map(candidate).collect(),
        count,
        matches: decided.recall_matches(Some(definition_of(view, decided))),
        // The recorded subject already lacks the ids that the request's consent excludes.
        consent: Some(Consent::Full),
        ..Request::new(decided.slot.clone())
    }
}
