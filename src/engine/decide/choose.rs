//! From scores to a slate: by the policy, by the baseline, or as before.

use std::collections::HashMap;

use rand::{SeedableRng as _, rngs::Xoshiro256PlusPlus};
use smallvec::SmallVec;

use super::{candidates::Candidate, steering::Steering};
use crate::{
    bandit::{
        Candidates, ClickModel, DrawHooks, DrawnPosition, DrawnSlate, Exploration, Features, Mixture, MixturePart,
        ModelSpec, ObservedDraw, Policy, PositionObserver, Ranking, Scores, Scoring,
    },
    engine::{
        decision_record::{ChosenArm, Fallback, Reason},
        ids::hash,
        slot_state::ExposureEntry,
        view::SlotView,
    },
    slot::{ArmId, Baseline},
    stats::NormalScore,
};

/// What was decided, before it becomes an event.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) chosen: Vec<ChosenArm>,
    pub(super) fallback: Option<Fallback>,
    pub(super) model: String,
    /// Of candidates, by their index: mean, spread, probability of the first position.
    pub(super) known: Vec<(usize, f64, f64, f64)>,
    /// The largest expected reward.
    pub(super) best_expected: f64,
}

/// How many positions are drawn, with what randomness, and who looks on: at places among the eligible.
pub(super) struct Drawing<'a> {
    pub(super) count: usize,
    pub(super) seed: u64,
    pub(super) observer: &'a mut PositionObserver<'a>,
    /// Says whether the caller's deadline has passed meanwhile.
    pub(super) interrupted: &'a dyn Fn() -> bool,
}

/// For candidates without features.
static NOTHING: Features = Features::new();

/// The model that decides, or that its numbers could not be used and the mean rewards could.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Model,
    MeanReward,
}

/// How wide scores are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// As the slot's controls say.
    Controls,
    /// As the posterior is.
    Plain,
}

/// The scores of some candidates.
#[derive(Debug, Clone)]
pub(super) struct Scored {
    /// The candidates, by their index.
    pub(super) of: Vec<usize>,
    pub(super) mixture: Mixture,
    pub(super) by: By,
}

impl Scored {
    /// Of those at these places only.
    pub(super) fn only(self, kept: &[usize]) -> Self {
        let of = kept.iter().map(|&at| self.of[at]).collect();
        Self { of, mixture: self.mixture.only(kept), by: self.by }
    }
}

/// One for each, or none at all where none has any.
pub(super) fn each<'a>(list: impl Iterator<Item = Option<&'a Features>> + Clone) -> Option<Vec<&'a Features>> {
    let some = list.clone().any(|features| features.is_some_and(|features| !features.is_empty()));
    some.then(|| list.map(|features| features.unwrap_or(&NOTHING)).collect())
}

/// What the models say; where that cannot be used, the mean rewards; where those cannot either, none decides.
#[expect(clippy::too_many_arguments, reason = "what a score depends on; each is its own")]
pub(super) fn scores(
    view: &SlotView,
    context: &Features,
    candidates: &[Candidate<'_>],
    of: Vec<usize>,
    width: Width,
    places: usize,
    seed: u64,
    boosts: Option<&[f64]>,
) -> Option<Scored> {
    let arms: SmallVec<[Option<u32>; 16]> = of.iter().map(|&i| candidates[i].learned).collect();
    let (own, attributes, seed) = if view.learner.has_features() {
        let own = each(of.iter().map(|&i| candidates[i].features));
        let attributes = each(of.iter().map(|&i| candidates[i].attributes));
        // A stream of its own, so that the draw of the positions does not depend on how many draws the scores took.
        (own, attributes, hash("scores", &[&seed.to_be_bytes()]).word())
    } else {
        (None, None, 0)
    };
    let scoring = match width {
        Width::Controls => Scoring { boosts, ..Scoring::new(view.definition.controls.exploration(), places, seed) },
        Width::Plain => Scoring { plain: true, ..Scoring::new(1.0, places, seed) },
    };
    let asked = Candidates { arms: &arms, context, own: own.as_deref(), attributes: attributes.as_deref() };
    if let Some(mixture) = view.learner.scores(asked, scoring) {
        return Some(Scored { of, mixture, by: By::Model });
    }
    let mixture = view.learner.summary_scores(&arms, scoring)?;
    Some(Scored { of, mixture, by: By::MeanReward })
}

/// Whether the slot warms up: some of these arms had too little of a chance yet.
fn warms_up(view: &SlotView, candidates: &[Candidate<'_>], of: &[usize]) -> bool {
    let Some(warm_up) = view.definition.controls.warm_up else { return false };
    of.iter().any(|&i| {
        let tally =
            candidates[i].learned.and_then(|arm| view.arm_counters.get(arm as usize)).copied().unwrap_or_default();
        warm_up.lasts(tally.shown, tally.rewarded)
    })
}

/// The policy's slate, or `None` if the deadline passed meanwhile.
pub(super) fn by_model(
    view: &SlotView,
    candidates: &[Candidate<'_>],
    scored: &Scored,
    steering: &mut Steering,
    boosts: Option<&[f64]>,
    drawing: Drawing<'_>,
) -> Option<Outcome> {
    let controls = &view.definition.controls;
    let Scored { of, mixture, by } = scored;
    let constraints = steering.constraints(view, candidates, of);
    steering.fire_boosts(view, candidates);
    let exploration = Exploration { floor: controls.floor(), ceiling: controls.ceiling() };
    let with_swap_probabilities = view.definition.goal.click_model == ClickModel::PositionBased;
    let warms_up = warms_up(view, candidates, of);
    let policy = if warms_up { Policy::Uniform } else { controls.policy() };
    let ranking = Ranking { policy, exploration, with_swap_probabilities, constraints: &constraints };
    let boosted = boosts.map(|factors| mixture.boosted(factors));
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(drawing.seed);
    let Drawing { count, observer, interrupted, .. } = drawing;
    let hooks = DrawHooks { observer, interrupted };
    let DrawnSlate { positions: places, first_pmf: first } =
        ranking.draw(boosted.as_ref().unwrap_or(mixture), count, &mut rng, Some(hooks))?;
    let (model, fallback) = match by {
        By::Model => (name(view, mixture), None),
        By::MeanReward => ("mean_reward".to_owned(), Some(Fallback::Model)),
    };
    // A slate may end early where only capped arms are left.
    let kept = steering.within_caps(places.iter().map(|place| of[place.candidate]));
    let chosen = places
        .iter()
        .take(kept)
        .map(|place| {
            let candidate = &candidates[of[place.candidate]];
            ChosenArm {
                arm: candidate.arm.clone(),
                propensity: place.propensity,
                expected_reward: mixture.mean(place.candidate),
                baseline_position: candidate.baseline_position,
                swap_probability: place.swap_probability,
                reason: if fallback.is_some() { Reason::Fallback } else { reason(place) },
            }
        })
        .collect();
    let known: Vec<_> =
        first.iter().enumerate().map(|(at, &p)| (of[at], mixture.mean(at), mixture.std(at), p)).collect();
    Some(Outcome { chosen, fallback, model, best_expected: best(&known), known })
}

/// The largest mean, and 0 where there is none.
fn best(known: &[(usize, f64, f64, f64)]) -> f64 {
    known.iter().map(|k| k.1).reduce(f64::max).unwrap_or(0.0)
}

/// The model that decided: a portfolio with its heaviest member.
fn name(view: &SlotView, mixture: &Mixture) -> String {
    let model = view.definition.model;
    match (model, mixture.parts().first()) {
        (ModelSpec::Portfolio(_), Some(part)) => format!("{}/{}", model.name(), part.name),
        _ => model.name().to_owned(),
    }
}

fn reason(place: &DrawnPosition) -> Reason {
    if place.by_rule {
        Reason::Rule
    } else if place.best_guess {
        Reason::BestGuess
    } else if place.by_floor {
        Reason::Floor
    } else {
        Reason::Exploring
    }
}

/// What an arm brought so far, whatever the context; 0 where it was never shown.
pub(super) fn mean_reward(view: &SlotView, learned: Option<u32>) -> f64 {
    learned.and_then(|arm| view.learner.summary(arm)).map_or(0.0, |summary| summary.value.mean())
}

/// The baseline of the `eligible`: the caller's order or one arm before it, each with certainty, or all orders alike;
/// the default arm where nothing is eligible.
pub(super) fn baseline(
    view: &SlotView,
    candidates: &[Candidate<'_>],
    eligible: &[usize],
    reason: Reason,
    scored: Option<&Scored>,
    drawing: Drawing<'_>,
    steering: &Steering,
) -> Outcome {
    let mean_of = |learned: Option<u32>| mean_reward(view, learned);
    let expected =
        |at: usize| scored.map_or_else(|| mean_of(candidates[eligible[at]].learned), |scored| scored.mixture.mean(at));
    let (order, first) = order(view, candidates, eligible, drawing, steering);
    let mut chosen: Vec<ChosenArm> = order
        .into_iter()
        .map(|(at, propensity)| ChosenArm {
            arm: candidates[eligible[at]].arm.clone(),
            propensity,
            expected_reward: expected(at),
            baseline_position: candidates[eligible[at]].baseline_position,
            swap_probability: 0.0,
            reason,
        })
        .collect();
    if let (true, Some(default)) = (eligible.is_empty(), &view.definition.default_arm) {
        chosen.push(ChosenArm {
            arm: default.clone(),
            propensity: 1.0,
            expected_reward: mean_of(view.arms.learned(default.as_str())),
            baseline_position: 0,
            swap_probability: 0.0,
            reason,
        });
    }
    let known: Vec<_> = eligible
        .iter()
        .enumerate()
        .map(|(at, &i)| {
            let (mean, std) = scored.map_or((0.0, 0.0), |scored| (scored.mixture.mean(at), scored.mixture.std(at)));
            (i, mean, std, first[at])
        })
        .collect();
    Outcome { chosen, fallback: None, model: "baseline".to_owned(), best_expected: best(&known), known }
}

/// The baseline's order, each with its propensity given those above, and the probability of each to stand first.
fn order(
    view: &SlotView,
    candidates: &[Candidate<'_>],
    eligible: &[usize],
    drawing: Drawing<'_>,
    steering: &Steering,
) -> (Vec<(usize, f64)>, Vec<f64>) {
    let Drawing { count, seed, observer, .. } = drawing;
    let mut certain = |order: Vec<usize>| {
        let place: HashMap<usize, usize> = order.iter().map(|&at| (eligible[at], at)).collect();
        let order: Vec<usize> = steering
            .through_caps(order.into_iter().map(|at| eligible[at]).collect())
            .into_iter()
            .filter_map(|i| place.get(&i).copied())
            .collect();
        let mut first = vec![0.0; eligible.len()];
        if let Some(&leader) = order.first() {
            first[leader] = 1.0;
        }
        order.iter().take(count).enumerate().for_each(|(position, &at)| {
            observer(ObservedDraw { position, left: &[at], pmf: &[1.0], drawn: 0 });
        });
        (order.into_iter().take(count).map(|at| (at, 1.0)).collect(), first)
    };
    match view.definition.controls.baseline() {
        Baseline::CallersOrder => certain((0..eligible.len()).collect()),
        Baseline::Arm(arm) => {
            let (mut order, rest): (Vec<usize>, Vec<usize>) =
                (0..eligible.len()).partition(|&at| candidates[eligible[at]].arm == arm);
            order.extend(rest);
            certain(order)
        }
        Baseline::Uniform => {
            let equal = Scores::Normal(vec![NormalScore { mean: 0.0, std: 0.0 }; eligible.len()]);
            let part = MixturePart { weight: 1.0, name: "baseline", scores: equal };
            let Some(mixture) = Mixture::new(vec![part]) else { return certain(Vec::new()) };
            let exploration = Exploration { floor: 0.0, ceiling: 1.0 };
            let constraints = steering.rooms_of(eligible);
            let ranking = Ranking {
                policy: Policy::Uniform,
                exploration,
                with_swap_probabilities: false,
                constraints: &constraints,
            };
            // A stream of its own: the policy's draw must not depend on it.
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(hash("baseline", &[&seed.to_be_bytes()]).word());
            let hooks = DrawHooks { observer, interrupted: &|| false };
            let DrawnSlate { positions: places, first_pmf: first } =
                ranking.draw(&mixture, count, &mut rng, Some(hooks)).unwrap_or_default();
            let first = if first.is_empty() { vec![0.0; eligible.len()] } else { first };
            let kept = steering.within_caps(places.iter().map(|place| eligible[place.candidate]));
            (places.into_iter().take(kept).map(|place| (place.candidate, place.propensity)).collect(), first)
        }
    }
}

/// The slate that a subject sticks to, with the propensities of its first draw; none: not all of it may be shown now.
pub(super) fn stuck(
    view: &SlotView,
    candidates: &[Candidate<'_>],
    eligible: &[usize],
    count: usize,
    past: &ExposureEntry,
    scored: Option<&Scored>,
    steering: &Steering,
) -> Option<Outcome> {
    let places = count.min(eligible.len());
    if past.shown.len() != places {
        return None;
    }
    let place_of = |arm: &ArmId| eligible.iter().position(|&i| candidates[i].arm == arm);
    let slate: Vec<usize> = past.shown.iter().map(|shown| place_of(&shown.arm)).collect::<Option<_>>()?;
    // What rules say of places today holds for it too.
    let constraints = steering.slate_of(view, candidates, eligible);
    if !constraints.allows(&slate, eligible.len())
        || steering.within_caps(slate.iter().map(|&at| eligible[at])) < places
    {
        return None;
    }
    let mut chosen = Vec::with_capacity(past.shown.len());
    for (shown, &at) in past.shown.iter().zip(&slate) {
        chosen.push(ChosenArm {
            arm: shown.arm.clone(),
            propensity: shown.propensity,
            expected_reward: scored.map_or(0.0, |scored| scored.mixture.mean(at)),
            baseline_position: candidates[eligible[at]].baseline_position,
            swap_probability: 0.0,
            reason: Reason::Sticky,
        });
    }
    let leads = |i: usize| past.shown.first().is_some_and(|first| first.arm == *candidates[i].arm);
    let known: Vec<_> = eligible
        .iter()
        .enumerate()
        .map(|(at, &i)| {
            let (mean, std) = scored.map_or((0.0, 0.0), |scored| (scored.mixture.mean(at), scored.mixture.std(at)));
            (i, mean, std, if leads(i) { past.shown[0].propensity } else { 0.0 })
        })
        .collect();
    Some(Outcome { chosen, fallback: None, model: "sticky".to_owned(), best_expected: best(&known), known })
}
