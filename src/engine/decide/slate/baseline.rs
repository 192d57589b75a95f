//! Slate of the baseline: the caller's order, one arm before the others, or a random order. It shows the default arm if
//! nothing is eligible.

use std::collections::HashMap;

use rand::{SeedableRng as _, rngs::Xoshiro256PlusPlus};

use super::{SlateChoice, chosen_arm, estimates};
use crate::{
    bandit::{
        DrawHooks, DrawnSlate, Exploration, Mixture, MixturePart, ObservedDraw, Policy, PositionObserver, Ranking,
        Scores,
    },
    engine::{
        decide::{
            constraints::cap_constraints,
            eligible::{EligibleSet, ScoredSet},
            input::DecisionInput,
            scores::mean_reward,
        },
        decision_record::{ChosenArm, Reason},
        ids::hash,
    },
    slot::Baseline,
    stats::NormalScore,
};

/// Order of the eligible candidates, by their places in the set.
struct BaselineOrder {
    /// Places that are shown, best position first, each with its propensity given those above.
    shown: Vec<(usize, f64)>,
    /// Probability of each place to be first.
    first_pmf: Vec<f64>,
}

/// Chooses the baseline's slate. `reason` is the reason that its arms record.
pub(in crate::engine::decide) fn baseline_slate(
    input: &DecisionInput<'_>,
    scored: &ScoredSet<'_>,
    reason: Reason,
    observer: &mut PositionObserver<'_>,
) -> SlateChoice {
    let (view, set) = (input.view, &scored.set);
    let expected_reward = |place: usize| match &scored.scores {
        Some(scores) => scores.mixture.mean(place),
        None => mean_reward(view, set.candidates[set.indices[place]].learned),
    };
    let BaselineOrder { shown, first_pmf } = baseline_order(input, set, observer);
    let chosen = shown.into_iter().map(|(place, propensity)| {
        chosen_arm(&set.candidates[set.indices[place]], propensity, expected_reward(place), reason)
    });
    let mut chosen: Vec<ChosenArm> = chosen.collect();
    if let (true, Some(default)) = (set.indices.is_empty(), &view.definition.default_arm) {
        chosen.push(ChosenArm {
            arm: default.clone(),
            propensity: 1.0,
            expected_reward: mean_reward(view, view.arms.learned(default.as_str())),
            baseline_position: 0,
            swap_probability: 0.0,
            reason,
        });
    }
    let estimates = estimates(scored, &first_pmf);
    SlateChoice {
        chosen,
        fallback: None,
        model: "baseline".to_owned(),
        estimates,
        rules: Vec::new(),
        scaled_floors: false,
    }
}

/// Returns the order that the controls ask for.
fn baseline_order(
    input: &DecisionInput<'_>,
    set: &EligibleSet<'_>,
    observer: &mut PositionObserver<'_>,
) -> BaselineOrder {
    let places = 0..set.indices.len();
    match input.view.definition.controls.baseline() {
        Baseline::CallersOrder => certain_order(input, set, places.collect(), observer),
        Baseline::Arm(arm) => {
            let (mut order, rest): (Vec<usize>, Vec<usize>) =
                places.partition(|&place| set.candidates[set.indices[place]].arm == arm);
            order.extend(rest);
            certain_order(input, set, order, observer)
        }
        Baseline::Uniform => random_order(input, set, observer),
    }
}

/// Shows the places in this order with certainty, except those that reached a shared cap.
fn certain_order(
    input: &DecisionInput<'_>,
    set: &EligibleSet<'_>,
    order: Vec<usize>,
    observer: &mut PositionObserver<'_>,
) -> BaselineOrder {
    let place_of: HashMap<usize, usize> = order.iter().map(|&place| (set.indices[place], place)).collect();
    let allowed = set.caps.allowed_in_order(order.into_iter().map(|place| set.indices[place]).collect());
    let order: Vec<usize> = allowed.into_iter().filter_map(|i| place_of.get(&i).copied()).collect();
    let mut first_pmf = vec![0.0; set.indices.len()];
    if let Some(&leader) = order.first() {
        first_pmf[leader] = 1.0;
    }
    order.iter().take(input.count).enumerate().for_each(|(position, &place)| {
        observer(ObservedDraw { position, left: &[place], pmf: &[1.0], drawn: 0 });
    });
    BaselineOrder { shown: order.into_iter().take(input.count).map(|place| (place, 1.0)).collect(), first_pmf }
}

/// Draws an order in which all orders within the shared caps have equal probabilities.
fn random_order(
    input: &DecisionInput<'_>,
    set: &EligibleSet<'_>,
    observer: &mut PositionObserver<'_>,
) -> BaselineOrder {
    let equal = Scores::Normal(vec![NormalScore { mean: 0.0, std: 0.0 }; set.indices.len()]);
    let part = MixturePart { weight: 1.0, name: "baseline", scores: equal };
    let Some(mixture) = Mixture::new(vec![part]) else { return certain_order(input, set, Vec::new(), observer) };
    let constraints = cap_constraints(set);
    let ranking = Ranking {
        policy: Policy::Uniform,
        exploration: Exploration { floor: 0.0, ceiling: 1.0 },
        with_swap_probabilities: false,
        constraints: &constraints,
    };
    // The baseline has a random stream of its own, so that the policy's draw does not depend on it.
    let seed = hash("baseline", &[&input.options.seed.to_be_bytes()]).word();
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let hooks = DrawHooks { observer, interrupted: &|| false };
    let drawn = ranking.draw(&mixture, input.count, &mut rng, Some(hooks)).unwrap_or_default();
    let DrawnSlate { positions, first_pmf } = drawn;
    let first_pmf = if first_pmf.is_empty() { vec![0.0; set.indices.len()] } else { first_pmf };
    let allowed = set.caps.allowed_prefix(positions.iter().map(|position| set.indices[position.candidate]));
    let shown = positions.into_iter().take(allowed).map(|position| (position.candidate, position.propensity));
    BaselineOrder { shown: shown.collect(), first_pmf }
}
