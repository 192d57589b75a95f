//! Forecast of a decision before anything is drawn, for previews.
//!
//! If one arm is shown, its probability is exact. Slates of several arms are drawn, and the frequency of each arm is right
//! on average.
//!
//! Deliberately not here: caps that were reached and slates that subjects stick to. The forecast is made as if nothing had
//! been shown yet.

pub(in crate::engine) use super::score_cache::{ArmCorrespondence, ScoreCache};
use super::{
    DecideOptions, Request,
    assignment::holdout_probability,
    candidates::{CandidateArm, Exclusion, candidates},
    constraints::{floors_exceed_one, slate_constraints},
    eligible::{EligibleSet, ScoredSet},
    input::DecisionInput,
    merge_rules,
    rules::MatchedRules,
    scores::{CandidateScores, ScoreTask, mean_reward, model_scores},
    scoring::score_eligible,
    slate::{SlateChoice, baseline_slate, policy_slate},
};
use crate::{
    bandit::{ObservedDraw, PositionObserver},
    engine::{
        Exposure,
        decision_record::{Fallback, Reason},
        ids::DecisionId,
        subject::Subject,
        view::SlotView,
    },
    slot::{ArmId, Mode},
};

/// Forecast of a slate.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::engine) struct ForecastSlate {
    /// Eligible candidates by their indices, and how often each is shown: a probability if one arm is shown, else whether
    /// it was drawn.
    pub(in crate::engine) showings: Vec<(usize, f64)>,
    /// Expected reward of the slate.
    pub(in crate::engine) expected_reward: f64,
    /// Showings of arms that were never shown before, each as far as its position is looked at.
    pub(in crate::engine) unknown: f64,
    /// Part of the expected reward that rests on those arms.
    pub(in crate::engine) unknown_reward: f64,
}

/// Forecast of the answer to a request.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::engine) struct RequestForecast<'a> {
    /// Arms of the candidates.
    pub(in crate::engine) arms: Vec<&'a ArmId>,
    /// Slates of the policy, one per draw. It is one slate if all draws are alike.
    pub(in crate::engine) policy: Vec<ForecastSlate>,
    /// Slate of the baseline.
    pub(in crate::engine) baseline: ForecastSlate,
    /// Default arm, if it is shown because nothing is eligible.
    pub(in crate::engine) default_arm: Option<&'a ArmId>,
    /// Expected reward of the slate of the best guesses.
    pub(in crate::engine) best_reward: f64,
    /// Reason why everybody gets the baseline, or `None` if the policy decides.
    pub(in crate::engine) fallback: Option<Fallback>,
    /// Indices of the rules that have an effect whether or not the policy decides, ascending.
    pub(in crate::engine) rules_for_everybody: Vec<u32>,
    /// Indices of the rules that have an effect if the policy decides, ascending. They include the others.
    pub(in crate::engine) rules_for_policy: Vec<u32>,
    /// Indices of the rules that could not be evaluated.
    pub(in crate::engine) failed_rules: Vec<u32>,
    /// Index of the rule that excludes it, for each candidate that a rule excludes.
    pub(in crate::engine) exclusions: Vec<u32>,
    /// The request names an arm that the slot does not know.
    pub(in crate::engine) unknown_arm: bool,
    /// The floors of the eligible candidates add up to more than 1 and are scaled down in proportion.
    pub(in crate::engine) scales_floors: bool,
}

/// Side of a change that a forecast is made for.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) enum ChangeSide<'a> {
    /// View before the change. Its scores are cached.
    Before,
    /// View after the change. The cached scores are used as far as they hold.
    After(&'a ArmCorrespondence),
}

/// Inputs of a forecast.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct ForecastInput<'a> {
    pub(in crate::engine) view: &'a SlotView,
    pub(in crate::engine) request: &'a Request,
    /// Arms that earlier requests of the batch show.
    pub(in crate::engine) already_shown: &'a [ArmId],
    /// Time at which schedules are evaluated, microseconds since 1970.
    pub(in crate::engine) now_us: i64,
    pub(in crate::engine) seed: u64,
    /// Number of draws of a slate of several arms.
    pub(in crate::engine) draws: usize,
    pub(in crate::engine) cache: &'a ScoreCache,
    pub(in crate::engine) side: ChangeSide<'a>,
}

impl<'a> ForecastInput<'a> {
    /// Forecasts the answer to the request.
    pub(in crate::engine) fn forecast(&self) -> RequestForecast<'a> {
        let Self { view, request, already_shown, now_us, seed, .. } = *self;
        let no_exposures = Exposure::new();
        let options =
            DecideOptions { already_shown, ..DecideOptions::new(DecisionId::new(view.number, now_us, 0), seed) };
        let scorer = |task: ScoreTask<'_>| self.score(task);
        let input = DecisionInput {
            now_us,
            scorer: Some(&scorer),
            ..DecisionInput::new(view, request, options, &no_exposures)
        };

        let candidates = candidates(view, request, None, already_shown, now_us);
        let arms = candidates.iter().map(|candidate| candidate.arm).collect();
        let rules = MatchedRules::new(&input, &candidates);
        let scored = score_eligible(&input, EligibleSet::new(&input, candidates, rules));
        let slates = SlateForecaster::new(&input, &scored);
        let baseline = slates.baseline();
        let mut rules_for_policy = scored.set.effective_rules.clone();
        let policy = if scored.fallback.is_some() {
            vec![baseline.clone()]
        } else {
            let drawn = slates.policy(self.draws);
            rules_for_policy = merge_rules(&rules_for_policy, &drawn.rules);
            drawn.slates
        };
        let best_reward = slates.best_reward();
        self.summarise(arms, scored, SlateForecasts { policy, baseline, best_reward, rules_for_policy })
    }

    /// Combines the slates with what is known without them.
    fn summarise(&self, arms: Vec<&'a ArmId>, scored: ScoredSet<'_>, slates: SlateForecasts) -> RequestForecast<'a> {
        let view = self.view;
        let constraints = slate_constraints(view, &scored.set);
        let scales_floors = scored.fallback.is_none() && floors_exceed_one(view, &scored.set, &constraints);
        let ScoredSet { set, fallback, .. } = scored;
        let SlateForecasts { policy, baseline, best_reward, rules_for_policy } = slates;
        RequestForecast {
            policy,
            baseline,
            default_arm: view.definition.default_arm.as_ref().filter(|_| set.indices.is_empty()),
            best_reward,
            fallback,
            rules_for_everybody: set.effective_rules,
            rules_for_policy,
            failed_rules: set.failed_rules,
            exclusions: set.candidates.iter().filter_map(excluding_rule).collect(),
            scales_floors,
            unknown_arm: set.candidates.iter().any(|candidate| candidate.exclusion == Some(Exclusion::UnknownArm)),
            arms,
        }
    }

    /// Scores candidates, from the cache if it holds their scores.
    fn score(&self, task: ScoreTask<'_>) -> Option<CandidateScores> {
        let compute = |task: ScoreTask<'_>| model_scores(self.view, &self.request.context, self.seed, task);
        let width = self.view.definition.controls.exploration();
        match self.side {
            ChangeSide::Before => self.cache.fill(task, width, compute),
            ChangeSide::After(correspondence) => {
                let listed = !self.request.candidates.is_empty();
                let cached = self.cache.get(&task, width, correspondence, listed);
                cached.or_else(|| compute(task))
            }
        }
    }
}

/// Slates of a forecast, and the rules that have an effect on them.
struct SlateForecasts {
    policy: Vec<ForecastSlate>,
    baseline: ForecastSlate,
    best_reward: f64,
    rules_for_policy: Vec<u32>,
}

/// Slates that the policy drew, and the rules that had an effect on them.
struct PolicySlates {
    slates: Vec<ForecastSlate>,
    rules: Vec<u32>,
}

/// Forecaster of the slates of one request.
struct SlateForecaster<'f, 'a> {
    input: &'f DecisionInput<'f>,
    scored: &'f ScoredSet<'a>,
    /// Expected rewards of the eligible candidates.
    means: Vec<f64>,
    /// Eligible candidates that were never shown.
    unknown: Vec<bool>,
}

impl<'f, 'a> SlateForecaster<'f, 'a> {
    fn new(input: &'f DecisionInput<'f>, scored: &'f ScoredSet<'a>) -> Self {
        let set = &scored.set;
        let mean = |(place, &i): (usize, &usize)| match &scored.scores {
            Some(scores) => scores.mixture.mean(place),
            None => mean_reward(input.view, set.candidates[i].learned),
        };
        let was_shown = |arm: u32| input.view.arm_counters.get(arm as usize).is_some_and(|counters| counters.shown > 0);
        let unknown = set.indices.iter().map(|&i| !set.candidates[i].learned.is_some_and(was_shown));
        Self { input, scored, means: set.indices.iter().enumerate().map(mean).collect(), unknown: unknown.collect() }
    }

    fn baseline(&self) -> ForecastSlate {
        self.observe(|observer| baseline_slate(self.input, self.scored, Reason::Holdout, observer)).0
    }

    fn policy(&self, draws: usize) -> PolicySlates {
        let one = self.input.count <= 1 || self.scored.set.indices.len() <= 1;
        let draws = if one { 1 } else { draws.max(1) };
        let mut drawn = PolicySlates { slates: Vec::with_capacity(draws), rules: Vec::new() };
        for n in 0..draws as u64 {
            let seed = self.input.options.seed.wrapping_add(n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let (forecast, choice) = self.observe(|observer| policy_slate(self.input, self.scored, seed, observer));
            drawn.slates.push(forecast);
            drawn.rules = choice.rules;
        }
        drawn
    }

    /// Observes the choice of a slate, and returns the slate's forecast with the choice.
    fn observe(&self, choose: impl FnOnce(&mut PositionObserver<'_>) -> SlateChoice) -> (ForecastSlate, SlateChoice) {
        let indices = &self.scored.set.indices;
        let (mut expected_reward, mut unknown, mut unknown_reward) = (0.0, 0.0, 0.0);
        let mut showings = vec![0.0; indices.len()];
        let choice = choose(&mut |ObservedDraw { position, left, pmf, drawn }| {
            let exposure = self.exposure(position);
            let mut show = |place: usize, p: f64| {
                showings[place] += p;
                expected_reward += exposure * p * self.means[place];
                if self.unknown[place] {
                    unknown += exposure * p;
                    unknown_reward += exposure * p * self.means[place];
                }
            };
            if self.input.count > 1 {
                // The probabilities of a position are given the draws above, so their sum over the positions differs from
                // draw to draw: an arm that is nearly always shown would seem to be shown more or less than once.
                show(left[drawn], 1.0);
            } else {
                left.iter().zip(pmf).for_each(|(&place, &p)| show(place, p));
            }
        });
        if indices.is_empty() {
            expected_reward = choice.chosen.iter().map(|chosen| chosen.expected_reward).sum();
        }
        let showings = indices.iter().copied().zip(showings).collect();
        (ForecastSlate { showings, expected_reward, unknown, unknown_reward }, choice)
    }

    /// Returns the expected reward of the slate of the largest means, best first.
    fn best_reward(&self) -> f64 {
        let mut means = self.means.clone();
        means.sort_by(|a, b| b.total_cmp(a));
        let rewards = means.iter().take(self.input.count).enumerate();
        rewards.map(|(position, mean)| self.exposure(position) * mean).sum()
    }

    /// Returns the probability that a shopper looks at a position, relative to the first.
    fn exposure(&self, position: usize) -> f64 {
        self.input.view.position_exposures.get(position).copied().unwrap_or(1.0)
    }
}

/// Returns the index of the rule that excludes a candidate, or `None` if no rule does.
fn excluding_rule(candidate: &CandidateArm<'_>) -> Option<u32> {
    match candidate.exclusion? {
        Exclusion::Rule(rule) | Exclusion::FailedRule(rule) => Some(rule),
        Exclusion::Unavailable(_)
        | Exclusion::Unscheduled
        | Exclusion::AlreadyShown
        | Exclusion::CatalogueFull
        | Exclusion::UnknownArm => None,
    }
}

/// Returns the probability that the subject gets the baseline as part of the holdout.
pub(in crate::engine) fn baseline_probability(view: &SlotView, subject: &Subject) -> f64 {
    holdout_probability(view, subject)
}

/// Returns whether the policy's choice is shown, which it is not in shadow mode.
pub(in crate::engine) fn shows_policy(view: &SlotView) -> bool {
    view.definition.controls.mode() != Mode::Shadow
}
