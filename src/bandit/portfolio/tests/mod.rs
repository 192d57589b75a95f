//! Tests of the weights of models, of revisions and of receipts.

mod changes;
mod published;
mod thinning;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use statrs::distribution::{Continuous as _, Normal};

use super::*;
use crate::bandit::{
    Candidates, Exploration, Features, Learner, Observation, Policy, Ranking,
    learner::tests::{HALF_LIFE_US, context, observation, show},
};

const UNIT: SlotTraits = SlotTraits { unit_rewards: true, large_catalogue: false };
const WORDS: [&str; 3] = ["a", "b", "c"];

impl Portfolio {
    /// Returns the evidence of the member of this name, nats.
    fn evidence(&self, name: &str) -> f64 {
        self.members.iter().find(|member| member.spec.name() == name).unwrap().evidence
    }
}

fn weight(learner: &Learner, names: &[&str]) -> f64 {
    learner.weights().filter(|(name, _)| names.contains(name)).map(|(_, weight)| weight).sum()
}

fn success(rng: &mut StdRng, rate: f64) -> f64 {
    f64::from(u8::from(rng.random_bool(rate)))
}

/// Mean of rewards of which `retained` per step is left.
fn faded_mean(past: &[f64], retained: f64) -> f64 {
    let weighted = (1..).zip(past.iter().rev()).map(|(age, y)| (retained.powi(age), *y));
    let (n, sum) = weighted.fold((0.0, 0.0), |(n, s), (w, y)| (n + w, s + w * y));
    sum / n
}

/// Models of money can score without features: linear ones, of which one forgets eight times faster and one eight times
/// more slowly, and the rate times the value. A sixth of a half-life passes between observations, so all fade, and their
/// evidence with them. The evidence is that of the log densities of the receipts' forecasts, which all have one variance
/// of the noise, and the linear model of a single arm forecasts the mean: its prior is at the level of all arms.
#[test]
fn weights_are_the_softmax_of_the_faded_log_predictive_densities() {
    let mut learner = Learner::new(ModelSpec::default(), SlotTraits::default());
    let slow = f64::exp2(-1.0 / 6.0);
    let (mut past, mut gap) = (Vec::new(), 0.0);
    let mut rng = StdRng::seed_from_u64(81);
    let index = |name: &str, learner: &Learner| {
        learner.portfolio().members.iter().position(|member| member.spec.name() == name).unwrap()
    };
    for i in 0..60 {
        let level = if i % 20 < 10 { 2.0 } else { 3.0 };
        let y = level + rng.random_range(-0.6..0.6);
        let observation = Observation { at_us: (i + 1) * HALF_LIFE_US / 6, ..observation(0, y) };
        let (_, receipt) = show(&mut learner, &Features::new(), observation);
        let forecast = |name: &str| receipt.forecasts[index(name, &learner)].unwrap();
        if i > 0 {
            let (got, want) = (forecast("linear").at, faded_mean(&past, slow));
            assert!((got - want).abs() < 1e-6, "{i}: {got} against {want}");
        }
        let ln_density = |name: &str| {
            let Forecast { at, variance } = forecast(name);
            Normal::new(at, variance.unwrap().sqrt()).unwrap().ln_pdf(y)
        };
        if i > 0 {
            gap = slow * gap + ln_density("fast_linear") - ln_density("linear");
        }
        past.push(y);
        let got = learner.portfolio().evidence("fast_linear") - learner.portfolio().evidence("linear");
        // The half-life is no multiple of six microseconds: times are off by 1e-12 of it.
        assert!((got - gap).abs() < 1e-6, "{i}: {got} against {gap}");
        let (fast, linear) = (weight(&learner, &["fast_linear"]), weight(&learner, &["linear"]));
        if fast >= NEGLIGIBLE && linear >= NEGLIGIBLE {
            assert!(((fast / linear).ln() - gap).abs() < 1e-6, "{i}: {fast} {linear} {gap}");
        }
    }
    assert!(gap.abs() > 0.1, "one of them was better: {gap}");
}

/// Arm 0 is right if the words agree and arm 1 if they do not, which no linear model can learn.
#[test]
fn the_weight_goes_to_the_models_that_can_learn_it() {
    let products = ["interactions", "interactions_identity", "opposed"];
    let mut rng = StdRng::seed_from_u64(82);
    let mut learner = Learner::new(ModelSpec::default(), UNIT);
    for _ in 0..400 {
        let (i, j, arm) = (rng.random_range(0..2), rng.random_range(0..2), rng.random_range(0..2_u32));
        let rate = if (i == j) == (arm == 0) { 0.85 } else { 0.15 };
        show(&mut learner, &context(&[WORDS[i], WORDS[j]]), observation(arm, success(&mut rng, rate)));
    }
    assert!(weight(&learner, &products) > 0.99, "{:?}", learner.weights().collect::<Vec<_>>());
    // Models with negligible weights do not decide.
    assert!(learner.weights().all(|(name, weight)| products.contains(&name) && weight >= NEGLIGIBLE));
    assert!((learner.weights().map(|(_, weight)| weight).sum::<f64>() - 1.0).abs() < 1e-12);

    // Five words that each move the log odds a little, for three arms: the products are noise.
    let mut learner = Learner::new(ModelSpec::default(), UNIT);
    for _ in 0..1_500 {
        let picks: Vec<usize> = (0..5).map(|_| rng.random_range(0..3)).collect();
        let arm = rng.random_range(0..3_u32);
        let odds: f64 = picks.iter().enumerate().map(|(i, &p)| [1.0, 0.0, -1.0][(p + i * arm as usize) % 3]).sum();
        let words: Vec<&str> = picks.iter().map(|&p| WORDS[p]).collect();
        show(&mut learner, &context(&words), observation(arm, success(&mut rng, 1.0 / (1.0 + (-odds).exp()))));
    }
    let linear = ["linear", "fast_linear", "slow_linear"];
    assert!(weight(&learner, &linear) > 0.99, "{:?}", learner.weights().collect::<Vec<_>>());
}

/// Wrong for thousands of observations, a model is thirty nats behind and no more, so that it needs few to return.
#[test]
fn no_model_falls_further_behind_than_the_gap() {
    let mut learner = Learner::new(ModelSpec::portfolio(None, None, Some(false)), UNIT);
    let mut rng = StdRng::seed_from_u64(83);
    for _ in 0..3_000 {
        let (i, j, arm) = (rng.random_range(0..2), rng.random_range(0..2), rng.random_range(0..2_u32));
        let rate = if (i == j) == (arm == 0) { 0.95 } else { 0.05 };
        show(&mut learner, &context(&[WORDS[i], WORDS[j]]), observation(arm, success(&mut rng, rate)));
        let evidence: Vec<f64> = learner.portfolio().members.iter().map(|member| member.evidence).collect();
        assert!(evidence.iter().all(|e| (-GAP_MAX..=0.0).contains(e)), "{evidence:?}");
        assert!(evidence.iter().any(|e| *e >= 0.0), "{evidence:?}");
    }
    // The evidence is at the floor, except for what the last few surprises gave back. Each of them is one in twenty,
    // and worth ln 10.
    let last = learner.portfolio().evidence("linear");
    assert!(last < 3.0 - GAP_MAX, "{last}");
}

/// Silence is learned first and all rewards come later, as in a nightly upload: every revision is upward, and speaks
/// against the models that predicted no reward. Until the last observation there were neither numbers nor two words to multiply:
/// those who had nothing to say of the others stand to the first as they did.
#[test]
fn revisions_neither_favour_nor_harm_models_without_a_forecast() {
    let mut rng = StdRng::seed_from_u64(84);
    let mut learner = Learner::new(ModelSpec::portfolio(None, None, Some(false)), UNIT);
    let mut shown = Vec::new();
    for _ in 0..1_500 {
        let (i, arm) = (rng.random_range(0..3_usize), rng.random_range(0..2_u32));
        let (rows, receipt) = show(&mut learner, &context(&[WORDS[i]]), observation(arm, 0.0));
        shown.push((arm, rows, receipt, rng.random_bool(if i == arm as usize { 0.7 } else { 0.2 })));
    }
    let mut words = context(&["a", "b"]);
    words.insert("age".into(), crate::bandit::Value::Number(30.0));
    show(&mut learner, &words, observation(0, 0.0));
    words.insert("age".into(), crate::bandit::Value::Number(40.0));
    show(&mut learner, &words, observation(1, 0.0));
    let silent = ["interactions", "fourier", "interactions_identity", "opposed"];
    let gaps = |learner: &Learner| {
        assert!(learner.portfolio().members.iter().all(|member| member.applies(2)));
        silent.map(|name| learner.portfolio().evidence(name) - learner.portfolio().evidence("linear"))
    };
    let before = gaps(&learner);
    for (arm, rows, receipt, _) in shown.iter().filter(|shown| shown.3) {
        learner.revise(*arm, rows, 0.0, 1.0, receipt);
    }
    for (now, before) in gaps(&learner).into_iter().zip(before) {
        assert!((now - before).abs() < 1e-9, "{now} against {before}");
    }
}

/// Models that were added later did not learn earlier observations. Revisions of those change no difference between
/// them and the others, nor between the others if none of them decides.
#[test]
fn revisions_of_observations_before_a_model_are_no_evidence_about_it() {
    let mut rng = StdRng::seed_from_u64(85);
    let mut learner = Learner::new(ModelSpec::portfolio(None, None, Some(false)), UNIT);
    let words = context(&["a", "b"]);
    let old: Vec<_> = (0..300).map(|i| (i % 2, show(&mut learner, &words, observation(i % 2, 0.0)))).collect();
    let evidence = |learner: &Learner| -> Vec<f64> { learner.portfolio().members.iter().map(|m| m.evidence).collect() };
    learner.decide_by(ModelSpec::linear(Some(3.0), Some(64)), UNIT);
    let before = evidence(&learner);
    for (arm, (rows, receipt)) in old.iter().filter(|_| rng.random_bool(0.3)) {
        learner.revise(*arm, rows, 0.0, 1.0, receipt);
    }
    assert_eq!(evidence(&learner), before, "the one that decides had nothing to say");
    // A decision from before the change that is learned now has no row for the new model's encoder.
    learner.observe(observation(0, 1.0), &old[0].1.0);
    assert_eq!(evidence(&learner), before);
}

/// The observation that creates a challenger is not learned by its models. The observation of the takeover is learned by
/// them, and not by the models that restart then. Products of five words are noise here, so their models are too far
/// behind to be challenged.
#[test]
fn a_receipt_identifies_the_models_that_learned_its_observation() {
    let mut rng = StdRng::seed_from_u64(86);
    let mut learner = Learner::new(ModelSpec::default(), UNIT);
    let mut at_us = 0;
    let mut step = |learner: &mut Learner, good: f64| {
        let picks: Vec<&str> = (0..5).map(|_| WORDS[rng.random_range(0..3)]).collect();
        let arm = rng.random_range(0..2);
        let y = success(&mut rng, if (picks[0] == "a") == (arm == 0) { good } else { 0.1 * good });
        at_us += HALF_LIFE_US / 8_000;
        (arm, y, show(learner, &context(&picks), Observation { at_us, ..observation(arm, y) }))
    };
    (0..1_500).for_each(|_| drop(step(&mut learner, 0.9)));
    let challenger = |learner: &Learner| learner.portfolio().challenger.clone();
    let (arm, y, (rows, birth)) = loop {
        let shown = step(&mut learner, 0.0);
        if challenger(&learner).is_some() {
            break shown;
        }
    };
    let born = challenger(&learner);
    let fresh = |f: &ChallengerModel| f.model == Model::new(learner.portfolio().members[f.member].spec.design);
    assert!(born.iter().flat_map(|c| &c.models).all(fresh));
    learner.revise(arm, &rows, y, 1.0, &birth);
    assert_eq!(challenger(&learner), born, "it did not learn what gave birth to it");
    let (arm, y, (rows, last)) = loop {
        let shown = step(&mut learner, 0.0);
        if learner.takeovers() == 1 {
            break shown;
        }
    };
    let before = learner.portfolio().members.clone();
    let spoke = |i: usize| last.forecasts[i].is_some();
    let took = |i: usize| before[i].was > 0;
    let count = |took_over: bool| (0..before.len()).filter(|&i| spoke(i) && took(i) == took_over).count();
    assert!(count(true) > 1 && count(false) > 0, "{} took over, {} start anew", count(true), count(false));
    learner.revise(arm, &rows, y, 1.0, &last);
    for (i, (now, before)) in learner.portfolio().members.iter().zip(&before).enumerate() {
        let name = before.spec.name();
        assert_eq!(now.model != before.model, took(i) && spoke(i), "{name}");
        assert!((now.evidence - before.evidence).abs() < 1e-12, "{name}: not by what another model expected");
    }
}
