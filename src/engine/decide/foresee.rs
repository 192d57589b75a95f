//! What a request would be answered with, before anything is drawn: for previews.
//!
//! Where one arm is shown its probability is exact. A slate of several is drawn: how often each arm is part of it is
//! right on average.
//!
//! Deliberately not here: caps that were reached and what subjects stick to; both are as if nothing was shown yet.

use std::cell::RefCell;

use super::{
    Draw, Request,
    candidates::{Candidate, Ineligible, candidates},
    choose::{self, Outcome, Scored, Width, mean_reward},
    placing::{Asked, Field, in_control},
    steering::Steering,
};
use crate::{
    bandit::{ObservedDraw, PositionObserver},
    engine::{
        decision_record::{Fallback, Reason},
        event::Subject,
        ids::DecisionId,
        slot_state::Exposure,
        view::SlotView,
    },
    slot::{ArmId, Mode},
};

/// A sum of thousands of floors may be off by this much.
const FLOORS_ROUNDING: f64 = 1e-9;

/// What somebody would be shown.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::engine) struct Slate {
    /// How often each candidate that may be shown is, by its index: a probability where one is shown, else what was
    /// drawn.
    pub(in crate::engine) showings: Vec<(usize, f64)>,
    /// The expected reward.
    pub(in crate::engine) expected: f64,
}

/// What a request would be answered with.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::engine) struct Foreseen<'a> {
    /// The candidates.
    pub(in crate::engine) arms: Vec<&'a ArmId>,
    /// What those get who get what the policy chooses: as many draws as were asked for, one where they are all alike.
    pub(in crate::engine) policy: Vec<Slate>,
    /// What those get who do not; where the slot only watches, everybody does.
    pub(in crate::engine) baseline: Slate,
    /// The default arm is shown, since nothing is eligible.
    pub(in crate::engine) default: Option<&'a ArmId>,
    /// The expected reward of the slate of the largest means.
    pub(in crate::engine) best: f64,
    /// Why everybody gets the baseline.
    pub(in crate::engine) forced: Option<Fallback>,
    /// The rules that have an effect whoever it is for, by their place in the slot.
    pub(in crate::engine) fired: Vec<u32>,
    /// Those that have one where the policy chooses, the others among them.
    pub(in crate::engine) fired_by_policy: Vec<u32>,
    /// The rules that could not be evaluated.
    pub(in crate::engine) failed: Vec<u32>,
    /// The request names an arm that the slot does not know.
    pub(in crate::engine) unknown: bool,
    /// For each candidate that a rule keeps out, which.
    pub(in crate::engine) kept_out: Vec<u32>,
    /// The least probabilities of the eligible come to more than 1 and are scaled down in proportion.
    pub(in crate::engine) scales_floors: bool,
}

/// Whether two views score alike, and how their arms correspond.
#[derive(Debug)]
pub(in crate::engine) struct Twins {
    /// For each of the second's arms its place among the first's; none: the views do not score alike.
    places: Option<Vec<Option<usize>>>,
}

impl Twins {
    /// Of the two views of a change.
    pub(in crate::engine) fn new(first: &SlotView, second: &SlotView) -> Self {
        let same = |place: usize, id: &str| {
            let (old, new) = (first.arm(id)?, &second.definition.arms[place]);
            (old.attributes == new.attributes).then_some(first.arms.position(id)).flatten()
        };
        let arms = &second.definition.arms;
        let places: Vec<Option<usize>> =
            arms.iter().enumerate().map(|(place, arm)| same(place, arm.id.as_str())).collect();
        let altered = |(place, arm): (usize, &std::sync::Arc<crate::slot::Arm>)| {
            places[place].is_none() && first.arms.position(arm.id.as_str()).is_some()
        };
        let alike = std::sync::Arc::ptr_eq(&first.learner, &second.learner) && !arms.iter().enumerate().any(altered);
        Self { places: alike.then_some(places) }
    }
}

/// The scores of one request's candidates under the first of two views, for the second.
#[derive(Debug, Default)]
pub(in crate::engine) struct Memo(RefCell<Option<Kept>>);

#[derive(Debug)]
struct Kept {
    width: f64,
    places: usize,
    boosts: Option<Vec<f64>>,
    scored: Scored,
}

/// Which of the two views of a change is looked at.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) enum Side<'a> {
    /// The first: what it scores is kept.
    Before,
    /// The second: what the first scored is used where it holds.
    After(&'a Twins),
}

/// What is to be foreseen.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct Look<'a> {
    pub(in crate::engine) view: &'a SlotView,
    pub(in crate::engine) request: &'a Request,
    pub(in crate::engine) taken: &'a [ArmId],
    /// The moment at which schedules are looked at, microseconds since 1970.
    pub(in crate::engine) now_us: i64,
    pub(in crate::engine) seed: u64,
    /// How often slates of several are drawn.
    pub(in crate::engine) draws: usize,
    pub(in crate::engine) memo: &'a Memo,
    pub(in crate::engine) side: Side<'a>,
}

impl<'a> Look<'a> {
    /// What would come of it.
    pub(in crate::engine) fn foresee(&self) -> Foreseen<'a> {
        let Self { view, request, taken, now_us, seed, .. } = *self;
        let past = Exposure::new();
        let mut candidates = candidates(view, request, taken, now_us);
        let mut steering = Steering::new(view, request, &mut candidates, &past, now_us);
        let count = if request.count == 0 { view.definition.count() } else { request.count } as usize;
        let draw = Draw { id: DecisionId::new(view.number, now_us, 0), seed, taken, deadline_passed: false };
        let scorer = |candidates: &[Candidate<'_>], of: Vec<usize>, places: usize, boosts: Option<&[f64]>| {
            self.scores(candidates, of, places, boosts)
        };
        let asked = Asked { view, request, draw, count, past: &past, interrupted: &|| false, scorer: Some(&scorer) };
        let field = asked.field(&mut candidates, &mut steering);
        let fired = steering.fired.clone();
        let means = Means::new(view, &candidates, &field);
        let watched = |drawn: &mut dyn FnMut(&mut PositionObserver<'_>) -> Outcome| -> Slate {
            let mut slate = Slate::default();
            let mut showings = vec![0.0; field.eligible.len()];
            let outcome = drawn(&mut |ObservedDraw { position, left, pmf, drawn }| {
                let exposure = view.position_exposures.get(position).copied().unwrap_or(1.0);
                let mut show = |at: usize, p: f64| {
                    showings[at] += p;
                    slate.expected += exposure * p * means.of[at];
                };
                if count > 1 {
                    // Their probabilities given the draws above add up to another number with each draw: an arm that
                    // is nearly always shown would seem to be shown now more, now less than once.
                    show(left[drawn], 1.0);
                } else {
                    left.iter().zip(pmf).for_each(|(&at, &p)| show(at, p));
                }
            });
            slate.showings = field.eligible.iter().copied().zip(showings).collect();
            if field.eligible.is_empty() {
                slate.expected = outcome.chosen.iter().map(|chosen| chosen.expected_reward).sum();
            }
            slate
        };
        let baseline =
            watched(&mut |observer| asked.baseline(&candidates, &field, Ok(Reason::Holdout), &steering, observer));
        let policy = if field.forced.is_some() {
            vec![baseline.clone()]
        } else {
            let draws = if count <= 1 || field.eligible.len() <= 1 { 1 } else { self.draws.max(1) };
            let seeds = (0..draws as u64).map(|n| seed.wrapping_add(n.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
            seeds
                .map(|seed| {
                    watched(&mut |observer| asked.by_policy(&candidates, &mut steering, &field, seed, observer))
                })
                .collect()
        };
        let kept_out = candidates.iter().filter_map(|candidate| match candidate.ineligible {
            Some(Ineligible::Rule(rule) | Ineligible::FailedRule(rule)) => Some(rule),
            Some(
                Ineligible::Unavailable(_)
                | Ineligible::Unscheduled
                | Ineligible::Taken
                | Ineligible::CatalogueFull
                | Ineligible::Unknown,
            )
            | None => None,
        });
        let scales_floors = field.forced.is_none() && {
            let floors = steering.slate_of(view, &candidates, &field.eligible).floors;
            floors.iter().sum::<f64>() > 1.0 + FLOORS_ROUNDING
        };
        let default = view.definition.default_arm.as_ref().filter(|_| field.eligible.is_empty());
        Foreseen {
            policy,
            baseline,
            default,
            best: means.best(view, count),
            forced: field.forced,
            fired,
            fired_by_policy: std::mem::take(&mut steering.fired),
            failed: std::mem::take(&mut steering.failed),
            kept_out: kept_out.collect(),
            scales_floors,
            unknown: candidates.iter().any(|candidate| candidate.ineligible == Some(Ineligible::Unknown)),
            arms: candidates.iter().map(|candidate| candidate.arm).collect(),
        }
    }

    /// The scores, from the other view's where they are the same.
    fn scores(
        &self,
        candidates: &[Candidate<'_>],
        of: Vec<usize>,
        places: usize,
        boosts: Option<&[f64]>,
    ) -> Option<Scored> {
        let fresh = |of: Vec<usize>| {
            let (view, context) = (self.view, &self.request.context);
            choose::scores(view, context, candidates, of, Width::Controls, places, self.seed, boosts)
        };
        let width = self.view.definition.controls.exploration();
        match self.side {
            Side::Before => {
                // All candidates, where that costs little: the other view may want those.
                let wide = boosts.is_none() && candidates.len() <= 2 * of.len();
                let all = if wide { (0..candidates.len()).collect() } else { of.clone() };
                let scored = fresh(all)?;
                let scored = if scored.has_joint_draws() && scored.of != of { fresh(of.clone())? } else { scored };
                let mine = scored.among(&of);
                let kept = Kept { width, places, boosts: boosts.map(<[f64]>::to_vec), scored };
                *self.memo.0.borrow_mut() = Some(kept);
                mine
            }
            Side::After(twins) => {
                let memo = self.memo.0.borrow();
                memo.as_ref()
                    .and_then(|kept| kept.serve(twins, self.request, &of, (width, places, boosts)))
                    .or_else(|| fresh(of))
            }
        }
    }
}

impl Kept {
    /// The scores of these candidates of the second view; none: they have to be formed anew.
    fn serve(
        &self,
        twins: &Twins,
        request: &Request,
        of: &[usize],
        (width, places, boosts): (f64, usize, Option<&[f64]>),
    ) -> Option<Scored> {
        let places_of = twins.places.as_ref()?;
        let listed = !request.candidates.is_empty();
        let there: Vec<usize> =
            of.iter().map(|&i| if listed { Some(i) } else { places_of[i] }).collect::<Option<_>>()?;
        let alike = |a: f64, b: f64| a.to_bits() == b.to_bits();
        if self.scored.has_joint_draws() {
            let same = self.scored.of == there && self.places == places && alike(self.width, width);
            if !same || self.boosts.as_deref() != boosts {
                return None;
            }
        }
        let own = request.candidates.iter().any(|candidate| !candidate.features.is_empty());
        if own && self.scored.of != there {
            // The width depends a little on who else is scored.
            return None;
        }
        let scored = self.scored.among(&there)?;
        let scored = if alike(self.width, width) { scored } else { scored.widened(width / self.width)? };
        Some(Scored { of: of.to_vec(), ..scored })
    }
}

impl Scored {
    fn has_joint_draws(&self) -> bool {
        self.mixture.has_joint_draws()
    }

    /// Of these candidates, if all of them were scored.
    fn among(&self, of: &[usize]) -> Option<Self> {
        if self.of == of {
            return Some(self.clone());
        }
        let kept: Vec<usize> = of.iter().map(|i| self.of.iter().position(|have| have == i)).collect::<Option<_>>()?;
        Some(Self { of: of.to_vec(), mixture: self.mixture.only(&kept), by: self.by })
    }

    /// With so many times the spread, where that can be said without forming the scores anew.
    fn widened(&self, factor: f64) -> Option<Self> {
        let mixture = (factor.is_finite()).then(|| self.mixture.widened(factor)).flatten()?;
        Some(Self { of: self.of.clone(), mixture, by: self.by })
    }
}

/// The expected rewards of the eligible.
struct Means {
    of: Vec<f64>,
}

impl Means {
    fn new(view: &SlotView, candidates: &[Candidate<'_>], field: &Field) -> Self {
        let mean = |(at, &i): (usize, &usize)| match &field.scored {
            Some(scored) => scored.mixture.mean(at),
            None => mean_reward(view, candidates[i].learned),
        };
        Self { of: field.eligible.iter().enumerate().map(mean).collect() }
    }

    /// The expected reward of the largest, best first.
    fn best(mut self, view: &SlotView, count: usize) -> f64 {
        self.of.sort_by(|a, b| b.total_cmp(a));
        let exposure = |position: usize| view.position_exposures.get(position).copied().unwrap_or(1.0);
        self.of.iter().take(count).enumerate().map(|(position, mean)| exposure(position) * mean).sum()
    }
}

/// The probability that the subject gets the baseline and is measured by.
pub(in crate::engine) fn control(view: &SlotView, subject: &Subject) -> f64 {
    in_control(view, subject)
}

/// Whether the policy's choice is shown to anybody.
pub(in crate::engine) fn shows(view: &SlotView) -> bool {
    view.definition.controls.mode() != Mode::Shadow
}
