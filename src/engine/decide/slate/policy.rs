//! Slate of the policy: drawn from the scores, within the rules and controls.

use rand::{SeedableRng as _, rngs::Xoshiro256PlusPlus};

use super::{SlateChoice, baseline_slate, chosen_arm, estimates};
use crate::{
    bandit::{
        ClickModel, Constraints, DrawHooks, DrawnPosition, DrawnSlate, Exploration, Mixture, ModelSpec, Policy,
        PositionObserver, Ranking, Scores,
    },
    engine::{
        decide::{
            constraints::{floors_exceed_one, policy_rules, slate_constraints},
            eligible::{EligibleSet, ScoredSet},
            input::DecisionInput,
            scores::{CandidateScores, ScoreSource},
        },
        decision_record::{ChosenArm, Fallback, Reason},
        view::SlotView,
    },
    stats::NormalScore,
};

/// Draws the policy's slate by `seed`. Falls back to the baseline without scores, or if the deadline passes meanwhile.
pub(in crate::engine::decide) fn policy_slate(
    input: &DecisionInput<'_>,
    scored: &ScoredSet<'_>,
    seed: u64,
    observer: &mut PositionObserver<'_>,
) -> SlateChoice {
    let baseline = |fallback, observer: &mut PositionObserver<'_>| SlateChoice {
        fallback: Some(fallback),
        ..baseline_slate(input, scored, Reason::Fallback, observer)
    };
    let Some(scores) = &scored.scores else { return baseline(Fallback::Model, observer) };
    let rules = policy_rules(&scored.set);
    let constraints = slate_constraints(input.view, &scored.set);
    let scaled_floors = floors_exceed_one(input.view, &scored.set, &constraints);
    let slate = match draw_slate(input, scored, (scores, &constraints), seed, &mut *observer) {
        Some(drawn) => drawn_choice(input.view, scored, scores, drawn),
        None => baseline(Fallback::Deadline, observer),
    };
    SlateChoice { rules, scaled_floors, ..slate }
}

/// Draws a slate, or returns `None` if the deadline passed meanwhile.
fn draw_slate(
    input: &DecisionInput<'_>,
    scored: &ScoredSet<'_>,
    (scores, constraints): (&CandidateScores, &Constraints),
    seed: u64,
    observer: &mut PositionObserver<'_>,
) -> Option<DrawnSlate> {
    let view = input.view;
    let controls = &view.definition.controls;
    let boosted = scored.boosts.as_ref().map(|factors| scores.mixture.boosted(factors));
    let mixture = boosted.as_ref().unwrap_or(&scores.mixture);
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let hooks = DrawHooks { observer, interrupted: input.options.interrupted };
    if input.options.best_guess {
        return draw_best_guess(constraints.clone(), mixture, input.count, &mut rng, hooks);
    }
    let ranking = Ranking {
        policy: if warms_up(view, &scored.set) { Policy::Uniform } else { controls.policy() },
        exploration: Exploration {
            floor: view.definition.floor(scored.set.indices.len(), 1.0),
            ceiling: controls.ceiling(),
        },
        with_swap_probabilities: view.definition.goal.click_model == ClickModel::PositionBased,
        constraints,
    };
    ranking.draw(mixture, input.count, &mut rng, Some(hooks))
}

/// Returns the slate of the largest expected rewards that rules and caps allow, or `None` if the deadline passed
/// meanwhile. Probability bounds do not count. Arms with equal expected rewards are chosen by the generator.
fn draw_best_guess(
    constraints: Constraints,
    mixture: &Mixture,
    count: usize,
    rng: &mut Xoshiro256PlusPlus,
    hooks: DrawHooks<'_, '_>,
) -> Option<DrawnSlate> {
    let constraints = Constraints { floors: Vec::new(), ceilings: Vec::new(), ..constraints };
    let exploration = Exploration { floor: 0.0, ceiling: 1.0 };
    let ranking = Ranking { constraints: &constraints, ..Ranking::new(Policy::Greedy, exploration) };
    // One model with the mixture's means leaves no model to draw.
    let means = (0..mixture.len()).map(|i| NormalScore { mean: mixture.mean(i), std: 0.0 }).collect();
    let name = mixture.parts().first().map_or("", |part| part.name);
    ranking.draw(&Mixture::single(Scores::Normal(means), name)?, count, rng, Some(hooks))
}

/// Converts a drawn slate.
fn drawn_choice(view: &SlotView, scored: &ScoredSet<'_>, scores: &CandidateScores, drawn: DrawnSlate) -> SlateChoice {
    let (set, mixture) = (&scored.set, &scores.mixture);
    let DrawnSlate { positions, first_pmf } = drawn;
    let (model, fallback) = match scores.source {
        ScoreSource::Models => (model_name(view, mixture), None),
        ScoreSource::MeanRewards => ("mean_reward".to_owned(), Some(Fallback::Model)),
    };
    // A slate can end early if all arms that are left reached a shared cap.
    let allowed = set.caps.allowed_prefix(positions.iter().map(|position| set.indices[position.candidate]));
    let chosen = positions.iter().take(allowed).map(|position| {
        let candidate = &set.candidates[set.indices[position.candidate]];
        let reason = if fallback.is_some() { Reason::Fallback } else { reason(position) };
        let chosen = chosen_arm(candidate, position.propensity, mixture.mean(position.candidate), reason);
        ChosenArm { swap_probability: position.swap_probability, ..chosen }
    });
    let chosen = chosen.collect();
    let estimates = estimates(scored, &first_pmf);
    SlateChoice { chosen, fallback, model, estimates, rules: Vec::new(), scaled_floors: false }
}

/// Returns whether the slot warms up, because some eligible arm was not shown or rewarded often enough yet.
fn warms_up(view: &SlotView, set: &EligibleSet<'_>) -> bool {
    let Some(warm_up) = view.definition.controls.warm_up else { return false };
    set.indices.iter().any(|&i| {
        let learned = set.candidates[i].learned;
        let tally = learned.and_then(|arm| view.arm_counters.get(arm as usize)).copied().unwrap_or_default();
        warm_up.lasts(tally.shown, tally.rewarded)
    })
}

/// Returns the name of the model that decides. For a portfolio it includes the heaviest member.
fn model_name(view: &SlotView, mixture: &Mixture) -> String {
    let model = view.definition.model;
    match (model, mixture.parts().first()) {
        (ModelSpec::Portfolio(_), Some(part)) => format!("{}/{}", model.name(), part.name),
        _ => model.name().to_owned(),
    }
}

fn reason(position: &DrawnPosition) -> Reason {
    if position.by_rule {
        Reason::Rule
    } else if position.best_guess {
        Reason::BestGuess
    } else if position.by_floor {
        Reason::Floor
    } else {
        Reason::Exploring
    }
}
