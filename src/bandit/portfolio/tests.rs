use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use statrs::distribution::{Continuous as _, Normal};

use super::*;
use crate::bandit::{
    Candidates, Exploration, Features, Learner, Lesson, Policy,
    learner::tests::{HALF_LIFE_US, context, lesson, show},
    rank,
};

const UNIT: Setting = Setting { unit: true, catalogue: false };
const WORDS: [&str; 3] = ["a", "b", "c"];

impl Portfolio {
    /// Of the member of this name, nats.
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

/// The predictive density of the reward `y` after `past`, weighted by what `retained` per step has left of each: by
/// the batch formula of ridge regression on one constant feature, λ = 1, with an inverse gamma noise of (1, ¼).
fn ln_predictive(past: &[f64], retained: f64, y: f64) -> f64 {
    let weighted = || (1..).zip(past.iter().rev()).map(|(age, y)| (retained.powi(age), *y));
    let (n, sum, squares) = weighted().fold((0.0, 0.0, 0.0), |(n, s, q), (w, y)| (n + w, s + w * y, q + w * y * y));
    let mean = sum / (1.0 + n);
    let scale = 0.25 + 0.5 * (squares - (1.0 + n) * mean * mean);
    let noise = scale / (1.0 + 0.5 * n);
    Normal::new(mean, (noise * (1.0 + 1.0 / (1.0 + n))).sqrt()).unwrap().ln_pdf(y)
}

/// Without features two models have something to say: a linear one, and one that forgets eight times faster. A
/// sixth of a half-life passes between observations, so both fade, and their evidence with them.
#[test]
fn weights_are_the_softmax_of_the_faded_log_predictive_densities() {
    let mut learner = Learner::new(ModelSpec::default(), Setting::default());
    let slow = f64::exp2(-1.0 / 6.0);
    let (mut past, mut gap) = (Vec::new(), 0.0);
    let mut rng = StdRng::seed_from_u64(81);
    for i in 0..60 {
        let level = if i % 20 < 10 { 2.0 } else { 3.0 };
        let y = level + rng.random_range(-0.6..0.6);
        gap = slow * gap + ln_predictive(&past, slow.powi(8), y) - ln_predictive(&past, slow, y);
        past.push(y);
        let lesson = Lesson { at_us: (i + 1) * HALF_LIFE_US / 6, ..lesson(0, y) };
        show(&mut learner, &Features::new(), lesson);
        let got = learner.portfolio().evidence("fast_linear") - learner.portfolio().evidence("linear");
        // The half-life is no multiple of six microseconds: times are off by 1e-12 of it.
        assert!((got - gap).abs() < 1e-6, "{i}: {got} against {gap}");
        let want = 1.0 / (1.0 + (-gap).exp());
        assert!(
            (weight(&learner, &["fast_linear"]) - want).abs() < 1e-6
                || !(NEGLIGIBLE..=1.0 - NEGLIGIBLE).contains(&want)
        );
    }
    assert!(gap.abs() > 0.1, "one of them was better: {gap}");
}

/// What is right for arm 0 where the words agree, and for arm 1 where they do not, no linear model can learn.
#[test]
fn the_weight_goes_to_the_models_that_can_learn_it() {
    let products = ["interactions", "interactions_identity", "opposed"];
    let mut rng = StdRng::seed_from_u64(82);
    let mut learner = Learner::new(ModelSpec::default(), UNIT);
    for _ in 0..400 {
        let (i, j, arm) = (rng.random_range(0..2), rng.random_range(0..2), rng.random_range(0..2_u32));
        let rate = if (i == j) == (arm == 0) { 0.85 } else { 0.15 };
        show(&mut learner, &context(&[WORDS[i], WORDS[j]]), lesson(arm, success(&mut rng, rate)));
    }
    assert!(weight(&learner, &products) > 0.99, "{:?}", learner.weights().collect::<Vec<_>>());
    // What is negligible is not asked.
    assert!(learner.weights().all(|(name, weight)| products.contains(&name) && weight >= NEGLIGIBLE));
    assert!((learner.weights().map(|(_, weight)| weight).sum::<f64>() - 1.0).abs() < 1e-12);

    // Five words that each move the log odds a little, for three arms: the products are noise.
    let mut learner = Learner::new(ModelSpec::default(), UNIT);
    for _ in 0..1_500 {
        let picks: Vec<usize> = (0..5).map(|_| rng.random_range(0..3)).collect();
        let arm = rng.random_range(0..3_u32);
        let odds: f64 = picks.iter().enumerate().map(|(i, &p)| [1.0, 0.0, -1.0][(p + i * arm as usize) % 3]).sum();
        let words: Vec<&str> = picks.iter().map(|&p| WORDS[p]).collect();
        show(&mut learner, &context(&words), lesson(arm, success(&mut rng, 1.0 / (1.0 + (-odds).exp()))));
    }
    assert!(weight(&learner, &["linear", "fast_linear"]) > 0.99, "{:?}", learner.weights().collect::<Vec<_>>());
}

/// Wrong for thousands of observations, a model is thirty nats behind and no more, so that it needs few to return.
#[test]
fn no_model_falls_further_behind_than_the_gap() {
    let mut learner = Learner::new(ModelSpec::portfolio(None, None, Some(false)), UNIT);
    let mut rng = StdRng::seed_from_u64(83);
    for _ in 0..3_000 {
        let (i, j, arm) = (rng.random_range(0..2), rng.random_range(0..2), rng.random_range(0..2_u32));
        let rate = if (i == j) == (arm == 0) { 0.95 } else { 0.05 };
        show(&mut learner, &context(&[WORDS[i], WORDS[j]]), lesson(arm, success(&mut rng, rate)));
        let evidence: Vec<f64> = learner.portfolio().members.iter().map(|member| member.evidence).collect();
        assert!(evidence.iter().all(|e| (-GAP_MAX..=0.0).contains(e)), "{evidence:?}");
        assert!(evidence.iter().any(|e| *e >= 0.0), "{evidence:?}");
    }
    // At the floor, but for what the last few surprises gave back: each is one in twenty, and worth ln 10.
    let last = learner.portfolio().evidence("linear");
    assert!(last < 3.0 - GAP_MAX, "{last}");
}

/// Two arms and two kinds of visitors: what each arm gives to each, before and after the world changed.
struct World {
    learner: Learner,
    rng: StdRng,
    rates: [[f64; 2]; 2],
    lag: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let learner = Learner::new(ModelSpec::default(), UNIT);
        Self { learner, rng: StdRng::seed_from_u64(seed), rates: [[0.75, 0.2], [0.15, 0.6]], lag: 0 }
    }

    /// So many decisions by the learner's own mixture; the mean reward.
    fn run(&mut self, decisions: u32) -> f64 {
        let mut sum = 0.0;
        for _ in 0..decisions {
            let kind = self.rng.random_range(0..2);
            let words = context(&[WORDS[kind]]);
            let candidates = Candidates { arms: &[Some(0), Some(1)], context: &words, own: None, attributes: None };
            let scoring = crate::bandit::Scoring::new(1.0, 1, 0);
            let mixture = self.learner.scores(candidates, scoring).unwrap();
            let exploration = Exploration { floor: 0.01, ceiling: 1.0 };
            let (places, _) = rank(&mixture, Policy::ThompsonSampling, 1, exploration, &mut self.rng);
            let arm = places[0].candidate;
            let y = success(&mut self.rng, self.rates[arm][kind]);
            sum += y;
            let lesson = Lesson { lag: self.lag, ..lesson(u32::try_from(arm).unwrap(), y) };
            show(&mut self.learner, &words, lesson);
        }
        sum / f64::from(decisions)
    }

    fn swap(&mut self) {
        self.rates.swap(0, 1);
    }
}

/// The best arm gives .675 of the time, the other .175. After the swap the alarm comes within tens of decisions, and
/// a learner of 3,000 observations would need as many again to unlearn them; a challenger does not. Of 500 decisions
/// with the best arm, the mean reward is off by √(.675·.325/500) = .021: .57 is five of those.
#[test]
fn after_an_abrupt_change_a_challenger_takes_over() {
    for seed in 0..5 {
        let mut world = World::new(seed);
        world.run(3_000);
        assert_eq!(world.learner.takeovers(), 0, "seed {seed}");
        world.swap();
        world.run(50);
        assert_eq!(world.learner.portfolio().challengers, 1, "seed {seed}");
        world.run(550);
        assert_eq!(world.learner.takeovers(), 1, "seed {seed}");
        let after = world.run(500);
        assert!(after > 0.57, "seed {seed}: {after}");
        assert_eq!(world.learner.takeovers(), 1, "seed {seed}: one change, one takeover");
    }
}

#[test]
fn a_world_that_stays_as_it_is_sees_no_takeover() {
    for seed in 100..120 {
        let mut world = World::new(seed);
        world.run(3_000);
        assert_eq!(world.learner.takeovers(), 0, "seed {seed}");
    }
}

/// The same swap, told by rewards of decisions that are a thousand decisions old.
#[test]
fn late_rewards_raise_no_alarm() {
    let mut world = World::new(7);
    world.lag = 1_000;
    world.run(2_000);
    world.swap();
    world.run(600);
    let portfolio = world.learner.portfolio();
    assert_eq!((portfolio.challengers, portfolio.takeovers), (0, 0));
    assert!(portfolio.alarm <= 0.0, "{}", portfolio.alarm);
}

#[test]
fn who_does_not_watch_for_changes_sees_none() {
    let mut world = World::new(7);
    world.learner.decide_by(ModelSpec::portfolio(None, None, Some(false)), UNIT);
    world.run(2_000);
    world.swap();
    world.run(600);
    assert_eq!(world.learner.portfolio().challengers, 0);
}

/// An observation from before a takeover is unknown to the models that took over, so its refund changes none of
/// them; one from after does.
#[test]
fn a_refund_from_before_a_takeover_leaves_the_new_models_alone() {
    let mut world = World::new(1);
    world.run(1_000);
    let words = context(&["a"]);
    let (rows, old) = show(&mut world.learner, &words, lesson(0, 1.0));
    world.swap();
    while world.learner.takeovers() == 0 {
        world.run(50);
    }
    let (_, new) = show(&mut world.learner, &words, lesson(0, 1.0));
    let models = |learner: &Learner| -> Vec<Model> {
        learner.portfolio().members.iter().map(|member| member.model.clone()).collect()
    };
    let before = models(&world.learner);
    world.learner.revise(0, &rows, 1.0, -1.0, &old);
    assert_eq!(models(&world.learner), before);
    world.learner.revise(0, &rows, 1.0, -1.0, &new);
    assert!(models(&world.learner).iter().zip(&before).any(|(now, before)| now != before));
}

/// A decision that waits knows nothing of the features that models met which came after it: a challenger of those
/// models learns nothing of it.
#[test]
fn a_decision_from_before_a_model_s_features_is_learned_without_it() {
    let mut world = World::new(3);
    let words = context(&["a"]);
    let old = world.learner.meet(&[crate::bandit::Parts::of(&words)]).remove(0);
    world.run(50);
    world.learner.decide_by(ModelSpec::portfolio(Some(64), None, None), UNIT);
    world.run(2_000);
    world.swap();
    let challenged = (0..500).any(|_| {
        world.run(1);
        world.learner.portfolio().challenger.is_some()
    });
    assert!(challenged && old.len() == 1, "there is a challenger of models with another encoder");
    let mark = world.learner.observe(lesson(0, 0.0), &old);
    world.learner.revise(0, &old, 0.0, 1.0, &mark);
}
