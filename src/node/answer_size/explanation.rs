//! Bytes of explanations, bounded before anything is decided.

use super::delimited;
use crate::{
    bandit::{Features, Value},
    engine::{Request, SCORED_MAX, SlotView},
    slot::limits::EXPLAINED_MAX,
};

/// Features that an explanation names for a candidate, at most.
const MOVED_BY_MAX: usize = 5;
/// Bytes of a candidate's numbers, and of its feature's number, with their tags.
const NUMBERS: usize = 32;
/// Bytes of a sentence beside the names in it, at most.
const SENTENCE: usize = 256;
/// Bytes that "candidate." and "arm." add to a feature's name, and that join the two names of a product.
const NAME_FRAME: usize = 16;
/// Bytes of the longest name of an effect that is not a feature's own.
const OTHER_EFFECT: usize = 32;

/// Returns the maximum number of bytes of the explanation of a request's decision, or 0 if it asks for none.
///
/// The bound must not depend on what is drawn, so every candidate counts with the longest names that the request and the
/// slot have.
pub(super) fn explanation_bytes(view: &SlotView, request: &Request) -> usize {
    if !request.explain {
        return 0;
    }
    let definition = &view.definition;
    let arms: Vec<&str> = if request.candidates.is_empty() {
        view.arms_in_effect().iter().map(|arm| arm.id.as_str()).collect()
    } else {
        request.candidates.iter().map(|candidate| candidate.arm.as_str()).collect()
    };
    let of_rules = definition.rules.iter().map(|rule| delimited(rule.name.len()) + NAME_FRAME);
    let longest_rule = definition.rules.iter().map(|rule| rule.name.len()).max().unwrap_or(0);
    let longest_arm = arms.iter().map(|arm| arm.len()).max().unwrap_or(0);
    let of_requests = [&request.context].into_iter().chain(request.candidates.iter().map(|one| &one.features));
    let features = of_requests.chain(view.arms_in_effect().iter().map(|arm| &arm.attributes));
    let longest_feature = features.map(longest_name).max().unwrap_or(0) + NAME_FRAME;
    // A product has the names of two features.
    let effect = delimited(delimited((2 * longest_feature).max(OTHER_EFFECT)) + NUMBERS);
    let explained = arms.len().min(EXPLAINED_MAX);
    let reasons = explained * (delimited(longest_rule + SENTENCE) + delimited(longest_arm) + NUMBERS + NAME_FRAME);
    let effects = arms.len().min(SCORED_MAX) * MOVED_BY_MAX * effect;
    let sentences = 4 * SENTENCE + 2 * longest_arm;
    // Rules are named in a list and in the summary.
    sentences + 2 * of_rules.sum::<usize>() + reasons + effects
}

/// Returns the bytes of the longest name that an effect of these features has.
fn longest_name(features: &Features) -> usize {
    let of_value = |value: &Value| match value {
        Value::Text(word) => word.len(),
        Value::Texts(words) => words.iter().map(String::len).max().unwrap_or(0),
        Value::Number(_) | Value::Flag(_) | Value::Vector(_) => NAME_FRAME,
    };
    features.iter().map(|(name, value)| name.len() + 1 + of_value(value)).max().unwrap_or(0)
}
