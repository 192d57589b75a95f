//! What a slot's rules make of the candidates of one request.
//!
//! First who may be chosen at all (exclusions, caps, evidence), which holds for everybody; then, for what the
//! policy chooses, the constraints of the slate and what expected rewards count for.

use std::collections::{BTreeSet, HashMap};

use super::{
    Request,
    candidates::{Candidate, Ineligible},
    choose::{self, Scored},
    shares::Shares,
};
use crate::{
    bandit::{Constraints, Quota},
    engine::{slot_state::Exposure, view::SlotView},
    slot::{ArmId, Comparand, Effect, OnError, RequestFacts, Rule, RuleTarget, Verdict, Verdicts},
};

/// The verdicts of one request's rules.
#[derive(Debug, Default)]
pub(super) struct Steering {
    /// Over the candidates in `judged`; none: the slot has no rules.
    verdicts: Option<Verdicts>,
    /// Where each candidate stands among those that were judged.
    judged: Vec<Option<usize>>,
    /// The rules that had something to say, ascending.
    pub(super) fired: Vec<u32>,
    /// The rules that could not be evaluated.
    pub(super) failed: Vec<u32>,
    /// What caps that arms share leave.
    rooms: Vec<Room>,
}

/// So many more of these candidates may be shown.
#[derive(Debug)]
struct Room {
    /// By their index.
    of: Vec<usize>,
    left: usize,
}

/// What was shown so far.
#[derive(Clone, Copy)]
struct Showings<'a> {
    request: &'a Request,
    past: &'a Exposure,
    now_us: i64,
    /// Arms that were shown and are no candidates, and where each stands among the targets.
    others: &'a [(usize, &'a ArmId)],
}

/// The arms that were shown and are not among the candidates, where a cap that arms share is about them.
fn others(rules: &[Rule], request: &Request, candidates: &[Candidate<'_>], past: &Exposure, now_us: i64) -> Vec<ArmId> {
    let mut shown: BTreeSet<&ArmId> = BTreeSet::new();
    for rule in rules.iter().filter(|rule| !rule.paused) {
        match rule.effect {
            Effect::SubjectCap { window_us, together: true, .. } => {
                shown.extend(past.count_by_arm(&request.subject, now_us - window_us).into_keys());
            }
            Effect::DayCap { together: true, .. } => shown.extend(past.arms_shown_today(now_us)),
            Effect::SubjectCap { .. }
            | Effect::DayCap { .. }
            | Effect::Exclude
            | Effect::Evidence { .. }
            | Effect::Pin { .. }
            | Effect::Boost { .. }
            | Effect::ProbabilityBounds { .. }
            | Effect::Quota { .. }
            | Effect::MaxMoves { .. } => {}
        }
    }
    for candidate in candidates {
        shown.remove(candidate.arm);
    }
    shown.into_iter().cloned().collect()
}

/// All boosts of an arm together are within this, and its inverse.
const BOOSTS_MAX: f64 = 100.0;

fn index(i: usize) -> u32 {
    u32::try_from(i).unwrap_or(u32::MAX)
}

impl Steering {
    fn of(&self, rule: usize, candidate: usize) -> Verdict {
        match (&self.verdicts, self.judged.get(candidate).copied().flatten()) {
            (Some(verdicts), Some(target)) => verdicts.of(rule, target),
            _ => Verdict::No,
        }
    }

    fn fires(&mut self, rule: usize) {
        let rule = index(rule);
        if let Err(at) = self.fired.binary_search(&rule) {
            self.fired.insert(at, rule);
        }
    }

    /// The eligible candidates that a rule matches.
    fn matched<'a>(&'a self, rule: usize, candidates: &'a [Candidate<'_>]) -> impl Iterator<Item = usize> + 'a {
        let any = self.verdicts.as_ref().is_some_and(|verdicts| verdicts.concerns(rule));
        let all = if any { 0..candidates.len() } else { 0..0 };
        all.filter(move |&i| candidates[i].eligible() && self.of(rule, i) == Verdict::Yes)
    }

    /// Judges the candidates that are eligible so far, and keeps out whom exclusions and caps keep out.
    pub(super) fn new(
        view: &SlotView,
        request: &Request,
        candidates: &mut [Candidate<'_>],
        past: &Exposure,
        now_us: i64,
    ) -> Self {
        let book = &view.rules;
        if book.is_empty() {
            return Self::default();
        }
        // Caps that arms share count what was shown of those that are not candidates now, too.
        let others = others(book.rules(), request, candidates, past, now_us);
        let mut targets = Vec::with_capacity(candidates.len() + others.len());
        let judged: Vec<Option<usize>> = candidates
            .iter()
            .map(|candidate| {
                let Candidate { arm, position, features, .. } = *candidate;
                targets.push(RuleTarget { arm, position, own: features });
                Some(targets.len() - 1)
            })
            .collect();
        let first_other = targets.len();
        targets.extend(others.iter().map(|arm| RuleTarget {
            arm,
            position: view.arms.position(arm.as_str()),
            own: None,
        }));
        let named = request.named.as_ref().unwrap_or(&request.subject);
        let facts = RequestFacts { context: &request.context, subject_id: &named.id, session_id: &named.session_id };
        let verdicts = Some(book.judge(&facts, &targets));
        let mut steering = Self { verdicts, judged, fired: Vec::new(), failed: Vec::new(), rooms: Vec::new() };
        let others: Vec<(usize, &ArmId)> = (first_other..).zip(others.iter()).collect();
        for (rule, of) in book.rules().iter().enumerate().filter(|(_, of)| !of.paused) {
            steering.fail(rule, of, candidates);
            let showings = Showings { request, past, now_us, others: &others };
            steering.keep_out(rule, of, candidates, &showings);
        }
        steering
    }

    fn fail(&mut self, rule: usize, of: &Rule, candidates: &mut [Candidate<'_>]) {
        if !self.verdicts.as_ref().is_some_and(|verdicts| verdicts.concerns(rule)) {
            return;
        }
        let failed: Vec<usize> = (0..candidates.len()).filter(|&i| self.of(rule, i) == Verdict::Failed).collect();
        if failed.is_empty() {
            return;
        }
        self.failed.push(index(rule));
        if of.on_error == OnError::Exclude {
            for i in failed {
                candidates[i].ineligible.get_or_insert(Ineligible::FailedRule(index(rule)));
            }
            self.fires(rule);
        }
    }

    fn keep_out(&mut self, rule: usize, of: &Rule, candidates: &mut [Candidate<'_>], showings: &Showings<'_>) {
        let matched: Vec<usize> = self.matched(rule, candidates).collect();
        let Showings { request, past, now_us, others: _ } = *showings;
        let out = match of.effect {
            Effect::Exclude => matched,
            Effect::SubjectCap { count, window_us, together } => {
                let shown: HashMap<&ArmId, u64> = past.count_by_arm(&request.subject, now_us - window_us);
                let counts = |arm: &ArmId| shown.get(arm).copied().unwrap_or(0);
                self.cap(rule, matched, candidates, showings, counts, (u64::from(count), together))
            }
            Effect::DayCap { count, together } => {
                let counts = |arm: &ArmId| past.count_today(arm, now_us);
                self.cap(rule, matched, candidates, showings, counts, (count, together))
            }
            Effect::Evidence { .. }
            | Effect::Pin { .. }
            | Effect::Boost { .. }
            | Effect::ProbabilityBounds { .. }
            | Effect::Quota { .. }
            | Effect::MaxMoves { .. } => return,
        };
        if !out.is_empty() {
            self.fires(rule);
        }
        for i in out {
            candidates[i].ineligible = Some(Ineligible::Rule(index(rule)));
        }
    }

    /// Whom a cap keeps out: `most` showings of each, or of all of them together.
    fn cap(
        &mut self,
        rule: usize,
        matched: Vec<usize>,
        candidates: &[Candidate<'_>],
        showings: &Showings<'_>,
        counts: impl Fn(&ArmId) -> u64,
        (most, together): (u64, bool),
    ) -> Vec<usize> {
        if !together {
            return matched.into_iter().filter(|&i| counts(candidates[i].arm) >= most).collect();
        }
        let yes = |target: usize| self.verdicts.as_ref().is_some_and(|v| v.of(rule, target) == Verdict::Yes);
        let here: u64 = (0..candidates.len())
            .filter(|&i| self.of(rule, i) == Verdict::Yes)
            .map(|i| counts(candidates[i].arm))
            .sum();
        let elsewhere: u64 = showings.others.iter().filter(|(at, _)| yes(*at)).map(|(_, arm)| counts(arm)).sum();
        let left = most.saturating_sub(here + elsewhere);
        if left == 0 {
            return matched;
        }
        if left < matched.len() as u64 {
            self.rooms.push(Room { of: matched, left: usize::try_from(left).unwrap_or(usize::MAX) });
        }
        Vec::new()
    }

    /// What shared caps leave, of a slate of the `eligible`.
    pub(super) fn rooms_of(&self, eligible: &[usize]) -> Constraints {
        let spread = |room: &Room| Quota {
            values: eligible.iter().map(|i| room.of.contains(i).then_some(0)).collect(),
            top: usize::MAX,
            min_values: None,
            max_per_value: Some(room.left),
        };
        Constraints { quotas: self.rooms.iter().map(spread).collect(), ..Constraints::default() }
    }

    /// How many of the slate `chosen`, of candidates by their index, shared caps leave standing.
    pub(super) fn within_caps(&self, chosen: impl Iterator<Item = usize>) -> usize {
        let mut left: Vec<usize> = self.rooms.iter().map(|room| room.left).collect();
        let mut kept = 0;
        for candidate in chosen {
            for (room, left) in self.rooms.iter().zip(&mut left).filter(|(room, _)| room.of.contains(&candidate)) {
                debug_assert!(room.left > 0);
                let Some(one_less) = left.checked_sub(1) else { return kept };
                *left = one_less;
            }
            kept += 1;
        }
        kept
    }

    /// The eligible whom shared caps let through in this order, for an order that is not drawn.
    pub(super) fn through_caps(&self, eligible: Vec<usize>) -> Vec<usize> {
        let mut left: Vec<usize> = self.rooms.iter().map(|room| room.left).collect();
        let mut through = Vec::with_capacity(eligible.len());
        for candidate in eligible {
            let mut of = (0..self.rooms.len()).filter(|&at| self.rooms[at].of.contains(&candidate)).collect::<Vec<_>>();
            if of.iter().all(|&at| left[at] > 0) {
                of.drain(..).for_each(|at| left[at] -= 1);
                through.push(candidate);
            }
        }
        through
    }

    /// Keeps out those that the posterior is not sure enough of; `scored` are the scores of the eligible.
    pub(super) fn ask_for_evidence(
        &mut self,
        view: &SlotView,
        request: &Request,
        candidates: &mut [Candidate<'_>],
        scored: Option<&Scored>,
        seed: u64,
    ) {
        for (rule, of) in view.rules.rules().iter().enumerate().filter(|(_, of)| !of.paused) {
            let Effect::Evidence { confidence, than } = of.effect else { continue };
            let matched: Vec<usize> = self.matched(rule, candidates).collect();
            if matched.is_empty() {
                continue;
            }
            let sure = sure(view, request, candidates, &matched, than, scored, seed);
            for (&i, sure) in matched.iter().zip(sure) {
                if sure.is_none_or(|sure| sure < confidence) {
                    candidates[i].ineligible = Some(Ineligible::Rule(index(rule)));
                    self.fires(rule);
                }
            }
        }
    }

    /// Whether any rule asks for evidence of one of these.
    pub(super) fn wants_evidence(&self, view: &SlotView, candidates: &[Candidate<'_>]) -> bool {
        let evidence = |(_, of): &(usize, &Rule)| !of.paused && matches!(of.effect, Effect::Evidence { .. });
        let mut rules = view.rules.rules().iter().enumerate().filter(evidence);
        rules.any(|(rule, _)| self.matched(rule, candidates).next().is_some())
    }

    /// What the expected reward of each of the `eligible` counts for; none: for itself.
    pub(super) fn boosts(
        &mut self,
        view: &SlotView,
        candidates: &[Candidate<'_>],
        eligible: &[usize],
    ) -> Option<Vec<f64>> {
        let mut factors: Option<Vec<f64>> = None;
        for (rule, of) in view.rules.rules().iter().enumerate().filter(|(_, of)| !of.paused) {
            let Effect::Boost { factor } = of.effect else { continue };
            if self.matched(rule, candidates).next().is_none() {
                continue;
            }
            let factors = factors.get_or_insert_with(|| vec![1.0; eligible.len()]);
            for (have, &i) in factors.iter_mut().zip(eligible) {
                if self.of(rule, i) == Verdict::Yes {
                    *have = (*have * factor).clamp(1.0 / BOOSTS_MAX, BOOSTS_MAX);
                }
            }
        }
        factors
    }

    /// Whether any rule has a say in who stands where.
    pub(super) fn places(&self, view: &SlotView, candidates: &[Candidate<'_>]) -> bool {
        let about_places = |of: &Rule| match of.effect {
            Effect::Pin { .. } | Effect::Quota { .. } | Effect::MaxMoves { .. } | Effect::Evidence { .. } => !of.paused,
            Effect::Exclude
            | Effect::Boost { .. }
            | Effect::ProbabilityBounds { .. }
            | Effect::SubjectCap { .. }
            | Effect::DayCap { .. } => false,
        };
        let mut rules = view.rules.rules().iter().enumerate().filter(|(_, of)| about_places(of));
        !self.rooms.is_empty() || rules.any(|(rule, _)| self.matched(rule, candidates).next().is_some())
    }

    /// The rules that changed what the policy reckons with fire.
    pub(super) fn fire_boosts(&mut self, view: &SlotView, candidates: &[Candidate<'_>]) {
        for (rule, of) in view.rules.rules().iter().enumerate().filter(|(_, of)| !of.paused) {
            if matches!(of.effect, Effect::Boost { .. }) && self.matched(rule, candidates).next().is_some() {
                self.fires(rule);
            }
        }
    }

    /// What the slate of the `eligible` must obey; the rules that say so fire.
    pub(super) fn constraints(
        &mut self,
        view: &SlotView,
        candidates: &[Candidate<'_>],
        eligible: &[usize],
    ) -> Constraints {
        for (rule, of) in view.rules.rules().iter().enumerate().filter(|(_, of)| !of.paused) {
            let shapes = match of.effect {
                Effect::Pin { .. }
                | Effect::ProbabilityBounds { .. }
                | Effect::Quota { .. }
                | Effect::MaxMoves { .. } => true,
                Effect::Exclude
                | Effect::Evidence { .. }
                | Effect::Boost { .. }
                | Effect::SubjectCap { .. }
                | Effect::DayCap { .. } => false,
            };
            if shapes && self.matched(rule, candidates).next().is_some() {
                self.fires(rule);
            }
        }
        self.slate_of(view, candidates, eligible)
    }

    /// What the slate of the `eligible` must obey.
    pub(super) fn slate_of(&self, view: &SlotView, candidates: &[Candidate<'_>], eligible: &[usize]) -> Constraints {
        let controls = &view.definition.controls;
        let mut constraints = Constraints::default();
        let shares = Shares { view, candidates, eligible };
        shares.of_arms(controls, &mut constraints);
        for (rule, of) in view.rules.rules().iter().enumerate().filter(|(_, of)| !of.paused) {
            let yes: Vec<bool> = match of.effect {
                Effect::Exclude
                | Effect::Evidence { .. }
                | Effect::Boost { .. }
                | Effect::SubjectCap { .. }
                | Effect::DayCap { .. } => continue,
                Effect::Pin { .. }
                | Effect::ProbabilityBounds { .. }
                | Effect::Quota { .. }
                | Effect::MaxMoves { .. } => {
                    if self.matched(rule, candidates).next().is_none() {
                        continue;
                    }
                    eligible.iter().map(|&i| self.of(rule, i) == Verdict::Yes).collect()
                }
            };
            shares.obey(&of.effect, yes, controls, &mut constraints);
        }
        shares.head_start(controls, &mut constraints);
        constraints.quotas.extend(self.rooms_of(eligible).quotas);
        constraints
    }
}

/// How sure the posterior is that each of the `matched` pays; none: it cannot be said.
fn sure(
    view: &SlotView,
    request: &Request,
    candidates: &[Candidate<'_>],
    matched: &[usize],
    than: Comparand,
    scored: Option<&Scored>,
    seed: u64,
) -> Vec<Option<f64>> {
    let Some(scored) = scored else { return vec![None; matched.len()] };
    // The best of the others by what is expected of it; those that are matched and it are scored anew, by the
    // posterior as it is: the width multiplier is about exploring, not about being sure.
    let rival = match than {
        Comparand::Reward(_) => None,
        Comparand::Others => {
            let others =
                scored.of.iter().enumerate().filter(|(_, i)| !matched.contains(i) && candidates[**i].eligible());
            let best = others.map(|(at, &i)| (scored.mixture.mean(at), i)).max_by(|a, b| a.0.total_cmp(&b.0));
            // There is nothing that it would have to be better than.
            let Some((_, rival)) = best else { return vec![Some(1.0); matched.len()] };
            Some(rival)
        }
    };
    let of: Vec<usize> = matched.iter().copied().chain(rival).collect();
    let Some(scored) = choose::scores(view, &request.context, candidates, of, choose::Width::Plain, 1, seed, None)
    else {
        return vec![None; matched.len()];
    };
    (0..matched.len())
        .map(|at| {
            Some(match than {
                Comparand::Reward(reward) => scored.mixture.exceeds(at, reward),
                Comparand::Others => scored.mixture.beats(at, matched.len()),
            })
        })
        .collect()
}
