//! Evaluation against a small world whose true values are computed: two kinds of shoppers, three arms.

mod corners;

use std::{num::NonZeroUsize, sync::Arc};

use slotwise::{
    bandit::{Features, ModelSpec, Policy, Value},
    engine::Subject,
    environment::SplitMix64,
    evaluate::off_policy::{LoggedTerm, OffPolicyEstimates},
    slot::{ArmId, Definition},
};

use super::{
    EvaluatedPolicy, EvaluationOptions, LearningSource, NoEvaluationProgress, PolicyKind,
    calibration::Calibration,
    evaluate,
    walk::{EvaluationInputs, PolicyWalk, RewardForecasts},
};
use crate::{
    evaluate::logged::{FileFormat, LeftOutCounts, Log, LoggedArm, LoggedRow, OfferedArms},
    report::IntervalEstimate,
    run::episode::EngineService,
};

const ARMS: usize = 3;
/// Probability of a reward, by kind of shopper and arm.
const TRUTH: [[f64; ARMS]; 2] = [[0.1, 0.3, 0.5], [0.6, 0.2, 0.05]];
/// The log's propensities, by kind of shopper and arm.
const LOGGED: [[f64; ARMS]; 2] = [[0.6, 0.3, 0.1], [0.25, 0.25, 0.5]];
const UNIFORM: [[f64; ARMS]; 2] = [[1.0 / 3.0; ARMS]; 2];

/// The true value of a policy that depends on the kind of shopper alone. Both kinds are equally frequent.
fn worth(policy: &[[f64; ARMS]; 2]) -> f64 {
    (0..2).map(|kind| (0..ARMS).map(|arm| 0.5 * policy[kind][arm] * TRUTH[kind][arm]).sum::<f64>()).sum()
}

fn draw(pmf: &[f64; ARMS], random: &mut SplitMix64) -> usize {
    let mut left = random.fraction();
    pmf.iter()
        .position(|p| {
            left -= p;
            left < 0.0
        })
        .unwrap_or(ARMS - 1)
}

/// A log of the world under a policy. The logged propensities are the true ones times `factor`.
fn log(rows: usize, policy: &[[f64; ARMS]; 2], factor: f64, seed: u64) -> Log {
    let contexts = [0, 1].map(|kind| Arc::new(Features::from([("kind".to_owned(), Value::Flag(kind == 1))])));
    let mut random = SplitMix64::new(seed);
    let rows = (1..=i64::try_from(rows).unwrap()).map(|i| {
        let kind = random.below(2);
        let arm = draw(&policy[kind], &mut random);
        let at_us = 1_000_000 * i;
        LoggedRow {
            at_us,
            subject: Subject::default(),
            context: Arc::clone(&contexts[kind]),
            offered: OfferedArms::All,
            arm,
            propensity: (factor * policy[kind][arm]).min(1.0),
            reward: if random.fraction() < TRUTH[kind][arm] { 1.0 } else { 0.0 },
            known_us: Some(at_us),
            position: 1,
        }
    });
    Log {
        name: "world".to_owned(),
        form: FileFormat::Journal,
        arms: ["a", "b", "c"]
            .map(|id| LoggedArm { id: ArmId::parse("id", id).unwrap(), attributes: Features::new() })
            .into(),
        rows: rows.collect(),
        left_out: LeftOutCounts::default(),
        incomplete: 0,
        slates: 0,
        default_reward: 0.0,
    }
}

fn kind_of(row: &LoggedRow) -> usize {
    usize::from(row.context["kind"] == Value::Flag(true))
}

fn holds(estimate: &IntervalEstimate, truth: f64) -> bool {
    (estimate.low.unwrap()..=estimate.high.unwrap()).contains(&truth)
}

/// Asserts that at most 5 % of `runs` intervals miss, plus five binomial standard deviations. With fresh seeds this
/// would be a false alarm once in 3.5 million; the seeds are fixed.
#[track_caller]
fn few_missed(what: &str, missed: usize, runs: usize) {
    let n = runs as f64;
    let most = 0.05 * n + 5.0 * (0.05 * 0.95 * n).sqrt();
    assert!((missed as f64) < most, "{what}: {missed} of {runs} intervals miss, at most {most:.0} may");
}

/// Asserts that the mean of runs lies within five standard errors of the truth. With fresh seeds it would not once in
/// 1.7 million.
#[track_caller]
fn unbiased(what: &str, values: &[f64], truth: f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let error = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt();
    assert!((mean - truth).abs() < 5.0 * error, "{what}: {mean} ± {error} against {truth}");
}

/// The terms of a policy that depends on the kind alone. The reward model is the running mean of each kind and arm.
fn terms(log: &Log, policy: &[[f64; ARMS]; 2]) -> Vec<LoggedTerm> {
    let mut seen = [[(1.0, 2.0); ARMS]; 2];
    log.rows
        .iter()
        .map(|row| {
            let kind = kind_of(row);
            let forecast = |arm: usize| seen[kind][arm].0 / seen[kind][arm].1;
            let term = LoggedTerm {
                subject: 0,
                weight: policy[kind][row.arm] / row.propensity,
                reward: row.reward,
                direct: (0..ARMS).map(|arm| policy[kind][arm] * forecast(arm)).sum(),
                forecast: forecast(row.arm),
                accepted: false,
            };
            seen[kind][row.arm].0 += row.reward;
            seen[kind][row.arm].1 += 1.0;
            term
        })
        .collect()
}

#[test]
fn intervals_of_frozen_policies_cover_the_truth() {
    const RUNS: usize = 600;
    let sharp = [[0.05, 0.05, 0.9], [0.9, 0.05, 0.05]];
    for (name, policy) in [("uniform", UNIFORM), ("sharp", sharp), ("always b", [[0.0, 1.0, 0.0]; 2])] {
        let truth = worth(&policy);
        let mut missed = [0; 3];
        let (mut ips, mut robust) = (Vec::new(), Vec::new());
        for seed in 0..RUNS {
            let of = OffPolicyEstimates::new(terms(&log(400, &LOGGED, 1.0, seed as u64), &policy).iter(), 1.0, 0.95);
            for (missed, estimate) in missed.iter_mut().zip([of.ips, of.self_normalised, of.doubly_robust]) {
                *missed += usize::from(!holds(&estimate, truth));
            }
            ips.push(of.ips.mean);
            robust.push(of.doubly_robust.mean);
        }
        for (what, missed) in ["IPS", "self-normalised", "doubly robust"].into_iter().zip(missed) {
            few_missed(&format!("{name}, {what}"), missed, RUNS);
        }
        unbiased(&format!("{name}, IPS"), &ips, truth);
        unbiased(&format!("{name}, doubly robust"), &robust, truth);
    }
}

/// A policy that learns as it goes: 80 % for the arm whose mean of weighted rewards is largest so far, by kind. Its
/// value over a run is the mean of the known values of its states at the kinds that came.
#[test]
fn intervals_of_a_policy_that_learns_cover_what_it_was_worth_on_the_way() {
    const RUNS: usize = 600;
    let mut missed = [0; 3];
    let (mut ips, mut robust) = (Vec::new(), Vec::new());
    for seed in 0..RUNS {
        let log = log(400, &LOGGED, 1.0, seed as u64);
        let mut learned = [[0.0_f64; ARMS]; 2];
        let (mut truth, mut terms) = (0.0, terms(&log, &UNIFORM));
        for (row, term) in log.rows.iter().zip(&mut terms) {
            let kind = kind_of(row);
            let best = (0..ARMS).max_by(|&a, &b| learned[kind][a].total_cmp(&learned[kind][b])).unwrap();
            let pmf: [f64; ARMS] = std::array::from_fn(|arm| if arm == best { 0.8 } else { 0.1 });
            truth += (0..ARMS).map(|arm| pmf[arm] * TRUTH[kind][arm]).sum::<f64>() / 400.0;
            *term = LoggedTerm { weight: pmf[row.arm] / row.propensity, direct: 0.3, forecast: 0.3, ..*term };
            learned[kind][row.arm] += row.reward / row.propensity;
        }
        let of = OffPolicyEstimates::new(terms.iter(), 1.0, 0.95);
        for (missed, estimate) in missed.iter_mut().zip([of.ips, of.self_normalised, of.doubly_robust]) {
            *missed += usize::from(!holds(&estimate, truth));
        }
        ips.push(of.ips.mean - truth);
        robust.push(of.doubly_robust.mean - truth);
    }
    for (what, missed) in ["IPS", "self-normalised", "doubly robust"].into_iter().zip(missed) {
        few_missed(what, missed, RUNS);
    }
    unbiased("IPS", &ips, 0.0);
    unbiased("doubly robust", &robust, 0.0);
}

fn slot(log: &Log, policy: Policy) -> EvaluatedPolicy {
    EvaluatedPolicy::plain(log, ModelSpec::beta_bernoulli(None, None), policy, None).unwrap()
}

/// A walk without a reward model, which takes most of the time.
fn walk(log: &Log, candidate: &EvaluatedPolicy, options: &EvaluationOptions) -> PolicyWalk {
    let forecast = RewardForecasts::zero(log);
    let first = options.learned_only(log.rows.len());
    EvaluationInputs::new(log, &forecast, options, first).walk(candidate, &NoEvaluationProgress).unwrap()
}

/// The mean reward of the slot when it runs in the world for `decisions` decisions and learns from its own.
fn run(definition: &Definition, decisions: usize, seed: u64) -> f64 {
    let mut random = SplitMix64::new(seed);
    let mut service = EngineService::new(definition.clone(), 0).unwrap();
    let contexts = log(1, &UNIFORM, 1.0, 0);
    let mut worth = 0.0;
    for i in 1..=i64::try_from(decisions).unwrap() {
        let (kind, at_us) = (random.below(2), 1_000_000 * i);
        let mut request = contexts.request(&contexts.rows[0], &definition.id);
        request.context = Features::from([("kind".to_owned(), Value::Flag(kind == 1))]);
        let decided = service.decide(request, at_us, [random.next_word(), random.next_word()]).unwrap().decided;
        let arm = ["a", "b", "c"].iter().position(|id| *id == decided.chosen[0].arm.as_str()).unwrap();
        worth += TRUTH[kind][arm];
        let earned = random.fraction() < TRUTH[kind][arm];
        let event = slotwise::engine::RewardEvent {
            slot: decided.slot.clone(),
            event_id: i.to_string(),
            decision: Some(decided.id),
            subject: Subject::default(),
            arm: None,
            kind: if earned { super::setup::REWARD } else { super::setup::NOTHING }.to_owned(),
            value: None,
            time_us: at_us,
            reverses: None,
        };
        service.apply_decision(decided, at_us);
        service.reward(event, at_us).unwrap();
    }
    worth / decisions as f64
}

/// A learning policy earns where its draws match the log what it earns when it runs by itself, over as many decisions
/// (Li et al. 2011). The log is not uniform, so that the coin matters. Thompson sampling learns a lot within some 60
/// decisions, so learning from the wrong decisions, or from all, would show. Both are averaged over 120 seeds. The
/// difference exceeds five standard errors once in 1.7 million fresh seeds.
#[test]
fn replay_earns_what_a_learning_policy_earns_when_it_is_run() {
    const RUNS: u64 = 120;
    let skewed = [[0.5, 0.3, 0.2]; 2];
    let (mut differences, mut accepted_in_all) = (Vec::new(), 0);
    for seed in 0..RUNS {
        let log = log(300, &skewed, 1.0, seed);
        let candidate = slot(&log, Policy::Greedy);
        let PolicyKind::Slot(definition) = &candidate.how else { panic!() };
        let walk = walk(&log, &candidate, &EvaluationOptions { seed, ..EvaluationOptions::default() });
        let replayed = OffPolicyEstimates::new(walk.terms.iter(), 1.0, 0.95);
        assert_eq!(walk.learned, Some(replayed.accepted), "it learns from what is accepted");
        accepted_in_all += replayed.accepted;
        let decisions = usize::try_from(replayed.accepted).unwrap();
        differences.push(replayed.replay.unwrap().mean - run(definition, decisions, 1_000 + seed));
    }
    unbiased("replay less running it", &differences, 0.0);
    // Each of 300 decisions is accepted with the least propensity, 0.2, so their number is binomial.
    let (n, p) = (300.0 * RUNS as f64, 0.2);
    assert!((accepted_in_all as f64 - n * p).abs() < 5.0 * (n * p * (1.0 - p)).sqrt(), "{accepted_in_all}");
}

/// One slot, which learns a rate per arm, with three sources of learning from the same log.
#[test]
fn what_a_policy_learns_from_is_what_was_asked_for() {
    let log = log(300, &UNIFORM, 1.0, 5);
    let candidate = slot(&log, Policy::ThompsonSampling);
    let with = |learning| walk(&log, &candidate, &EvaluationOptions { learning, ..EvaluationOptions::default() });
    assert_eq!(with(LearningSource::All).learned, Some(300));
    let matched = with(LearningSource::Matched).learned.unwrap();
    assert!((60..140).contains(&matched), "a third of 300, ± 5 · 8: {matched}");
    let first = with(LearningSource::First(0.5));
    assert_eq!((first.learned, first.terms.len()), (Some(150), 150));
    // The slot is frozen, with a rate per arm and no context. Its probabilities stay the same, so each arm has one
    // weight.
    let mut weights: Vec<String> = first.terms.iter().map(|term| format!("{:.6}", term.weight)).collect();
    weights.sort_unstable();
    weights.dedup();
    assert_eq!(weights.len(), ARMS, "{weights:?}");
}

/// A slot with a uniform policy has the engine's exact propensities, 1/3 each, and therefore the weights of uniform
/// choice.
#[test]
fn the_engine_s_propensities_give_the_weights() {
    let log = log(200, &UNIFORM, 1.0, 1);
    let [by_engine, by_hand] = [slot(&log, Policy::Uniform), EvaluatedPolicy::uniform()]
        .map(|candidate| walk(&log, &candidate, &EvaluationOptions::default()).terms);
    for (a, b) in by_engine.iter().zip(&by_hand) {
        assert!((a.weight - 1.0).abs() < 1e-12 && (b.weight - 1.0).abs() < 1e-12, "{a:?} {b:?}");
    }
    let always = walk(&log, &EvaluatedPolicy::arm(&log, "b").unwrap(), &EvaluationOptions::default()).terms;
    for (row, term) in log.rows.iter().zip(&always) {
        assert!((term.weight - if row.arm == 1 { 3.0 } else { 0.0 }).abs() < 1e-12);
    }
    let unknown = EvaluatedPolicy::arm(&log, "bb").unwrap_err().to_string();
    assert_eq!(unknown, "--arm: the log has no arm 'bb'; did you mean 'b'?");
}

/// Each case has 300 logs. With the right propensities every warning is a false alarm: four standard errors leave one
/// in 16,000 per check, and a log is checked five times. With propensities a fifth too small, all logs are found.
/// Propensities a quarter too large could as well mean missing arms, and the warning says so.
#[test]
fn wrong_propensities_are_warned_of_and_right_ones_are_not() {
    let warned = |factor: f64, of: &'static str| {
        let with = |seed| Calibration::new(&log(3_000, &LOGGED, factor, seed), 0).warnings;
        (0..300).filter(|&seed| with(seed).iter().any(|warning| warning.contains(of))).count()
    };
    let (off, unclear) = ("propensities are off", "or its propensities are too large, which it cannot tell");
    assert!(warned(1.0, "the weights of") <= 2, "of 300 by chance: 0.1 on average");
    assert_eq!((warned(0.8, off), warned(0.8, unclear)), (300, 0));
    assert_eq!((warned(1.25, off), warned(1.25, unclear)), (0, 300));
    let uniform = Calibration::new(&log(300, &UNIFORM, 1.0, 3), 0);
    assert!(uniform.warnings.is_empty() && (uniform.uniform.mean - 1.0).abs() < 1e-12, "{uniform:?}");
    let wrong = Calibration::new(&log(300, &UNIFORM, 0.8, 3), 0);
    assert!((wrong.uniform.mean - 1.25).abs() < 1e-12 && wrong.warnings[0].contains("too small"), "{wrong:?}");
    // Computed by hand: each arm's sum of 1/p over all 300 decisions.
    for arm in &uniform.arms {
        assert!((arm.weights.mean - 3.0 * arm.shown as f64 / 300.0).abs() < 1e-12 && arm.offered == 300, "{arm:?}");
    }
}

#[test]
fn what_the_log_never_shows_is_refused() {
    let never = [[0.7, 0.3, 0.0]; 2];
    let log = log(200, &never, 1.0, 2);
    let candidates = [EvaluatedPolicy::logged(), EvaluatedPolicy::uniform(), EvaluatedPolicy::arm(&log, "c").unwrap()];
    let report = evaluate(&log, &candidates, &EvaluationOptions::default(), &NoEvaluationProgress).unwrap();
    let own = report.policy("logged").unwrap();
    assert_eq!(own.value.ips, Some(report.log.reward), "the log's policy has the log's mean");
    assert_eq!(own.value.self_normalised, own.value.ips);
    for name in ["uniform", "always c"] {
        let policy = report.policy(name).unwrap();
        assert!(policy.value.ips.is_none() && policy.value.doubly_robust.is_none(), "{policy:?}");
        assert!(policy.value.refused.as_ref().unwrap().contains("hardly ever shows"), "{policy:?}");
    }
    assert!(super::text::text(&report).contains("always c: not estimated: 100 % of what it would show"));
}

/// The default slot is the reward model and one of the policies, so that the whole evaluation runs once.
#[test]
fn threads_change_no_byte_and_a_good_policy_is_found_out() {
    let log = log(400, &UNIFORM, 1.0, 9);
    let plain = EvaluatedPolicy::plain(&log, ModelSpec::linear(None, None), Policy::Greedy, None).unwrap();
    let candidates =
        [EvaluatedPolicy::logged(), EvaluatedPolicy::uniform(), plain, EvaluatedPolicy::arm(&log, "a").unwrap()];
    let json = |threads, seed| {
        let threads = NonZeroUsize::new(threads).unwrap();
        let options =
            EvaluationOptions { learning: LearningSource::First(0.5), threads, seed, ..EvaluationOptions::default() };
        evaluate(&log, &candidates, &options, &NoEvaluationProgress).unwrap().json().unwrap()
    };
    let first = json(1, 0);
    assert!(json(2, 0) == first && json(4, 0) == first, "threads must not matter");
    assert_ne!(json(2, 1), first, "a seed must");
    let report: super::EvaluationReport = serde_json::from_str(&first).unwrap();
    assert_eq!((report.log.decisions, report.log.learned_before), (200, 200));
    let greedy = &report.policy("greedy").unwrap().value;
    // The best policy is worth .55 and uniform choice .29; 200 decisions leave both within .1.
    let (best, uniform) = (worth(&[[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]), worth(&UNIFORM));
    assert!(holds(&greedy.doubly_robust.unwrap(), best), "{greedy:?} against {best}");
    assert!(greedy.over_log.unwrap().low.unwrap() > 0.0 && uniform < best, "{greedy:?}");
    assert!(
        greedy.doubly_robust.unwrap().standard_error < greedy.ips.unwrap().standard_error,
        "what the model foresees helps"
    );
}
