//! Decisions: from a request and a slot's view to the arms that are shown.
//!
//! A decision is a pipeline of values. Each step takes the value of the step before and never changes an earlier one:
//!
//! 1. [`Request`] and [`DecideOptions`] become a [`DecisionInput`];
//! 2. [`candidates`](mod@candidates) lists the arms that the request allows, with their availability;
//! 3. [`MatchedRules`] evaluates the slot's rules on them;
//! 4. [`EligibleSet`] applies exclusions and caps;
//! 5. [`scoring`] makes it a [`ScoredSet`](eligible::ScoredSet), and applies the rules that require evidence;
//! 6. [`Assignment`] chooses a [`slate`] by the policy, the baseline or an earlier decision;
//! 7. [`Decision`] records it and, if asked for, [explains](mod@explain) it.
//!
//! [`recall`](recall()) explains a decision of the past. A preview repeats the steps up to the slates; see [`forecast`].

mod assignment;
mod candidates;
mod caps;
mod catalogue_arms;
mod constraints;
mod decision;
mod eligible;
mod evidence;
mod explain;
pub(super) mod forecast;
mod input;
mod item_features;
mod recall;
mod request;
mod rules;
mod score_cache;
mod scores;
mod scoring;
mod shopper;
mod slate;

pub(super) use self::explain::percent;
use self::{
    assignment::{Assignment, assign},
    candidates::{CandidateArm, Exclusion, candidates},
    eligible::EligibleSet,
    explain::explain,
    input::DecisionInput,
    rules::MatchedRules,
    scoring::score_eligible,
    slate::CandidateEstimate,
};
pub use self::{
    decision::{CandidateExplanation, DecideOptions, Decision, Explanation},
    recall::{RecalledExplanation, recall},
    request::{Request, RequestCandidate},
};
use super::{
    CandidateMatches, Exposure,
    decision_record::{DecisionRecord, ExcludedCandidate, SCORED_MAX, ScoredCandidate},
    view::SlotView,
};

/// Decides a request.
///
/// The function reads only: the same view, request and options give the same decision, bit for bit.
///
/// A candidate that the slot does not know is not eligible; [`Request::leave_out_unknown`] removes such candidates
/// beforehand.
pub fn decide(view: &SlotView, mut request: Request, options: DecideOptions<'_>) -> Decision {
    let view = &*view.at(options.id.at_us());
    let consent = request.consent.unwrap_or(view.definition.default_consent);
    request.subject = request.subject.as_far_as(consent);
    request.rule_subject = request.rule_subject.map(|subject| subject.as_far_as(consent));
    let no_exposures = Exposure::new();
    let input = DecisionInput::new(view, &request, options, options.exposures.unwrap_or(&no_exposures));

    let candidates = candidates(view, &request, options.items, options.already_shown, input.now_us);
    let rules = MatchedRules::new(&input, &candidates);
    let eligible = EligibleSet::new(&input, candidates, rules);
    let scored = score_eligible(&input, eligible);
    let assignment = assign(&input, &scored);

    let policy_choice = assignment.policy_choice();
    let effective_rules = merge_rules(&scored.set.effective_rules, &policy_choice.rules);
    let matched_rules = rule_names(view, &effective_rules);
    let candidates = &scored.set.candidates;
    let explanation =
        request.explain.then(|| explain(view, &request.context, candidates, &assignment, matched_rules.clone()));
    let recorded = RecordedCandidates {
        estimates: recorded_estimates(&policy_choice.estimates),
        exclusions: recorded_exclusions(candidates, &effective_rules),
        best_expected: policy_choice.best_expected(),
        scaled_floors: policy_choice.scaled_floors,
    };
    let failed_rules = scored.set.failed_rules;
    let decided = record(view, request, options, assignment, recorded, matched_rules).with_catalogue_arms(view);
    Decision { decided, explanation, failed_rules }
}

/// Record of what was known about the candidates.
struct RecordedCandidates {
    estimates: Vec<ScoredCandidate>,
    exclusions: Vec<ExcludedCandidate>,
    best_expected: f64,
    scaled_floors: bool,
}

/// Returns the event that records a decision.
fn record(
    view: &SlotView,
    request: Request,
    options: DecideOptions<'_>,
    assignment: Assignment,
    candidates: RecordedCandidates,
    matched_rules: Vec<String>,
) -> DecisionRecord {
    let Assignment { slate, shadow_slate, holdout, analysis, repeats } = assignment;
    DecisionRecord {
        slot: view.definition.id.clone(),
        id: options.id,
        holdout,
        fallback: slate.fallback,
        revision: view.revision,
        model: slate.model,
        seed: options.seed,
        scored: candidates.estimates,
        excluded: candidates.exclusions,
        best_expected: candidates.best_expected,
        chosen: slate.chosen,
        shadow_slate: shadow_slate.map(|slate| slate.chosen).unwrap_or_default(),
        analysis,
        sticky: repeats,
        matched_rules,
        request_id: request.request_id,
        subject: request.subject,
        context: request.context,
        candidates: request.candidates.into_iter().map(|c| (c.arm, c.features)).collect(),
        already_shown: options.already_shown.to_vec(),
        request_fingerprint: 0,
        client: request.client,
        scaled_floors: candidates.scaled_floors,
        matches: request.matches.map(CandidateMatches::into_notable),
        expire_us: None,
        catalogue_arms: Vec::new(),
    }
}

/// Returns the union of two ascending lists of rules, ascending.
fn merge_rules(first: &[u32], second: &[u32]) -> Vec<u32> {
    let mut rules = [first, second].concat();
    rules.sort_unstable();
    rules.dedup();
    rules
}

fn rule_names(view: &SlotView, rules: &[u32]) -> Vec<String> {
    let all = view.rules.rules();
    rules.iter().filter_map(|&rule| all.get(rule as usize)).map(|rule| rule.name.clone()).collect()
}

/// Returns the estimates that a decision records: all, or those with the largest probabilities.
fn recorded_estimates(estimates: &[CandidateEstimate]) -> Vec<ScoredCandidate> {
    #[expect(clippy::cast_possible_truncation, reason = "seven digits are enough for people and estimators")]
    let recorded = |&CandidateEstimate { candidate, mean, std, propensity }: &CandidateEstimate| ScoredCandidate {
        candidate: u32::try_from(candidate).unwrap_or(u32::MAX),
        mean: mean as f32,
        std: std as f32,
        propensity: propensity as f32,
    };
    if estimates.len() <= SCORED_MAX {
        return estimates.iter().map(recorded).collect();
    }
    let mut likeliest: Vec<&CandidateEstimate> = estimates.iter().collect();
    likeliest.sort_by(|a, b| b.propensity.total_cmp(&a.propensity).then(a.candidate.cmp(&b.candidate)));
    likeliest.into_iter().take(SCORED_MAX).map(recorded).collect()
}

/// Returns the candidates that rules excluded, as a decision records them. Each names its rule by the place among the
/// rules that had an effect.
fn recorded_exclusions(candidates: &[CandidateArm<'_>], effective_rules: &[u32]) -> Vec<ExcludedCandidate> {
    let by_rule = candidates.iter().enumerate().filter_map(|(i, candidate)| {
        let (Exclusion::Rule(rule) | Exclusion::FailedRule(rule)) = candidate.exclusion? else {
            return None;
        };
        let rule = u32::try_from(effective_rules.binary_search(&rule).ok()?).ok()?;
        Some(ExcludedCandidate { candidate: u32::try_from(i).ok()?, rule })
    });
    by_rule.take(SCORED_MAX).collect()
}
