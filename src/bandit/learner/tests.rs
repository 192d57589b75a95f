use super::*;
use crate::{
    bandit::{LinearSpec, Link, Value},
    stats::math,
};

pub(in crate::bandit) const HALF_LIFE_US: i64 = 14 * 24 * 3_600_000_000;

impl Learner {
    /// Members of the portfolio.
    pub(in crate::bandit) fn portfolio(&self) -> &Portfolio {
        &self.portfolio
    }

    /// Feature encoders.
    pub(in crate::bandit) fn feature_encoders(&self) -> &[FeatureEncoder] {
        &self.feature_encoders
    }

    /// First model of this name.
    fn model(&self, name: &str) -> &Model {
        &self.portfolio.members.iter().find(|member| member.spec.name() == name).unwrap().model
    }
}

/// Returns a context of words, one per feature.
pub(in crate::bandit) fn context(words: &[&str]) -> Features {
    let name = |i: usize| format!("f{i}");
    words.iter().enumerate().map(|(i, word)| (name(i), Value::Text((*word).to_owned()))).collect()
}

pub(in crate::bandit) fn observation(arm: u32, y: f64) -> Observation {
    Observation {
        arm,
        reward: y,
        weight: 1.0,
        at_us: 0,
        half_life_us: HALF_LIFE_US,
        decisions_since_shown: 0,
        silent: false,
    }
}

/// Learns the context and the observation.
pub(in crate::bandit) fn show(
    learner: &mut Learner,
    context: &Features,
    observation: Observation,
) -> (EncodedRows, ObservationReceipt) {
    let rows = learner.meet(&[RowFeatures::from_context(context)]).remove(0);
    let receipt = learner.observe(observation, &rows);
    (rows, receipt)
}

fn identity() -> ModelSpec {
    ModelSpec::Linear(LinearSpec { prior_precision: 1.3, ..LinearSpec::default() })
}

#[test]
fn a_model_that_does_not_decide_continues_to_learn() {
    let (linear, beta) = (identity(), ModelSpec::beta_bernoulli(Some(2.0), None));
    let traits = SlotTraits::default();
    let mut switched = Learner::new(linear, traits);
    let mut steady = switched.clone();
    for i in 0..300_u32 {
        match i {
            100 => switched.decide_by(beta, traits),
            200 => switched.decide_by(linear, traits),
            _ => {}
        }
        let observation =
            Observation { at_us: i64::from(i) * HALF_LIFE_US / 50, ..observation(i % 3, f64::from(i % 7)) };
        let words = context(&[["a", "b", "c"][(i % 5) as usize % 3]]);
        let ((rows, receipt), (plain_rows, plain_mark)) =
            (show(&mut switched, &words, observation), show(&mut steady, &words, observation));
        if i % 4 == 0 {
            switched.revise(observation.arm, &rows, observation.reward, 2.5, &receipt);
            steady.revise(observation.arm, &plain_rows, observation.reward, 2.5, &plain_mark);
        }
    }
    assert_eq!(switched.decides(), (linear, traits));
    assert_eq!(switched.model("linear"), steady.model("linear"));
    assert_eq!(switched.portfolio.members.len(), 2);
    assert_eq!(switched.models_with(&beta, traits), 2);
    assert_eq!(switched.models_with(&ModelSpec::linear(Some(9.0), None), traits), 3);
    // The other came a hundred observations late and learned the two hundred since, a third of them for each arm:
    // four half-lives leave at least 15 of each.
    let Model::BetaBernoulli { arms, .. } = switched.model("beta_bernoulli") else { unreachable!() };
    assert!(arms.iter().all(|arm| arm.weight() > 15.0), "{arms:?}");
}

/// One feature that is always 1: after one half-life half of forty observations is left, after ten a thousandth. The
/// precision is what is left and the thousandth that is kept for a constant, before its prior applies.
#[test]
fn observations_fade_by_the_clock_towards_the_prior() {
    let mut learner = Learner::new(identity(), SlotTraits::default());
    let empty = Features::new();
    (0..40).for_each(|_| drop(show(&mut learner, &empty, observation(0, 3.0))));
    for (half_lives, left) in [(1, 20.0), (3, 5.0), (10, 40.0 / 1024.0)] {
        let mut later = learner.clone();
        later.fade(0, half_lives * HALF_LIFE_US, HALF_LIFE_US);
        let Model::Linear(linear) = later.model("linear") else { unreachable!() };
        let constant = SparseVector { entries: vec![(0, 1.0)], unseen: 0.0 };
        let got = linear.posterior(0).unwrap().predict(&constant, &mut Vec::new());
        assert!((got.leverage - 1.0 / (0.001 + left)).abs() < 1e-9, "{half_lives}: {got:?}");
        assert!((got.mean - 3.0 * left / (0.001 + left)).abs() < 1e-9, "{half_lives}: {got:?}");
        let summary = later.summary(0).unwrap();
        assert!((summary.weight() - left).abs() < 1e-12 && (summary.reward_sum - 120.0).abs() < 1e-12);
        assert!((later.weight - left).abs() < 1e-12);
    }
}

/// Fading gives equal results in small steps of the clock and in one.
#[test]
fn fading_in_many_steps_equals_fading_once() {
    let mut often = Learner::new(identity(), SlotTraits::default());
    (0..40).for_each(|i| drop(show(&mut often, &context(&[["a", "b"][i % 2]]), observation(0, 3.0 + i as f64))));
    let mut once = often.clone();
    for step in 1..=100 {
        often.fade(0, step * HALF_LIFE_US / 100, HALF_LIFE_US);
    }
    once.fade(0, HALF_LIFE_US, HALF_LIFE_US);
    let score = |learner: &Learner| {
        let words = context(&["a"]);
        let candidates = Candidates { arms: &[Some(0)], context: &words, own: None, attributes: None };
        let scores = learner.scores(candidates, SCORING).unwrap();
        [scores.mean(0), scores.std(0)]
    };
    for (often, once) in score(&often).into_iter().zip(score(&once)) {
        assert!((often - once).abs() < 1e-9, "{often} against {once}");
    }
}

/// While one arm learns, the others fade once for all copies of the learner that are read. The copies have the bits of
/// posteriors that forget by themselves.
#[test]
fn copies_of_a_learner_share_the_faded_posteriors_of_arms_that_did_not_learn() {
    let linear = |learner: &Learner| match learner.model("linear") {
        Model::Linear(linear) => linear.clone(),
        Model::Hurdle(_) | Model::BetaBernoulli { .. } | Model::NormalInverseGamma { .. } => unreachable!(),
    };
    let mut learner = Learner::new(identity(), SlotTraits::default());
    let words = context(&["a", "b"]);
    (0..40).for_each(|i| drop(show(&mut learner, &words, observation(i % 6, 3.0))));
    let mut seen = Vec::new();
    for _ in 0..2 {
        show(&mut learner, &words, Observation { at_us: HALF_LIFE_US / 4, ..observation(1, 2.0) });
        let read = learner.faded(HALF_LIFE_US / 2, HALF_LIFE_US);
        seen.push((learner.clone(), linear(&learner), linear(&read)));
    }
    let [(first, before, read), (second, later, read_later)] = seen.as_slice() else { unreachable!() };
    let mut unchanged = 0;
    for arm in 0..6 {
        let same = |a: &Linear, b: &Linear| std::ptr::eq(a.posterior(arm).unwrap(), b.posterior(arm).unwrap());
        assert_eq!(same(before, later), same(read, read_later), "arm {arm}");
        unchanged += usize::from(same(before, later));
        for (learner, before, read) in [(first, before, read), (second, later, read_later)] {
            let mut alone = before.posterior(arm).unwrap().clone();
            let half_lives = 0.5 - learner.summary(arm).unwrap().faded_at_us as f64 / HALF_LIFE_US as f64;
            alone.forget(math::exp2(-half_lives));
            assert_eq!(read.posterior(arm).unwrap(), &alone);
        }
    }
    // One arm learned, and one more faded with it.
    assert!((4..6).contains(&unchanged), "{unchanged}");
}

const SCORING: Scoring<'_> = Scoring::new(1.0, 1, 3);

#[test]
fn an_arm_that_is_not_shown_returns_to_its_prior() {
    for spec in [identity(), ModelSpec::beta_bernoulli(None, None), ModelSpec::default()] {
        let mut learner = Learner::new(spec, SlotTraits { unit_rewards: true, large_catalogue: false });
        let words = context(&["a"]);
        (0..200).for_each(|_| drop(show(&mut learner, &words, observation(0, 1.0))));
        // The slowest model has eight half-lives in one.
        for i in 1..60 {
            show(&mut learner, &words, Observation { at_us: 8 * i * HALF_LIFE_US, ..observation(1, 0.0) });
        }
        let candidates = |arms| Candidates { arms, context: &words, own: None, attributes: None };
        let scores = learner.scores(candidates(&[Some(0), None]), SCORING).unwrap();
        assert!((scores.mean(0) - scores.mean(1)).abs() < 1e-6, "{spec:?}: {scores:?}");
        assert!(learner.summary(0).unwrap().weight() < 1e-9);
    }
}

/// Two opposed arms of which only the second is ever shown: their posterior is the second's, and fades with it.
#[test]
fn an_opposed_pair_fades_whichever_is_shown() {
    for arm in 0..2 {
        let spec = LinearSpec { link: Some(Link::Identity), sharing: Some(Sharing::Opposed), ..LinearSpec::default() };
        let mut learner =
            Learner::new(ModelSpec::Linear(spec), SlotTraits { unit_rewards: true, large_catalogue: false });
        let empty = Features::new();
        (0..200).for_each(|_| drop(show(&mut learner, &empty, observation(arm, 1.0))));
        for i in 1..3 {
            show(&mut learner, &empty, Observation { at_us: 30 * i * HALF_LIFE_US, ..observation(arm, 1.0) });
        }
        let Model::Linear(linear) = learner.model("opposed") else { unreachable!() };
        let constant = SparseVector { entries: vec![(0, 1.0)], unseen: 0.0 };
        let got = linear.posterior(0).unwrap().predict(&constant, &mut Vec::new());
        // The last observation, on a prior of precision 1.
        assert!((got.leverage - 0.5).abs() < 1e-6, "arm {arm}: {got:?}");
    }
}

/// The first observation has half its weight when its reward comes: Beta(1 + ½, 1 + 1); a refund later still takes
/// what is left then.
#[test]
fn a_reward_after_fading_counts_with_the_retained_weight() {
    let mut learner =
        Learner::new(ModelSpec::beta_bernoulli(None, None), SlotTraits { unit_rewards: true, large_catalogue: false });
    let empty = Features::new();
    let (rows, receipt) = show(&mut learner, &empty, observation(0, 0.0));
    show(&mut learner, &empty, Observation { at_us: HALF_LIFE_US, ..observation(0, 0.0) });
    learner.revise(0, &rows, 0.0, 1.0, &receipt);
    let rate = |learner: &Learner| {
        let Model::BetaBernoulli { arms, .. } = learner.model("beta_bernoulli") else { unreachable!() };
        (arms[0].a(), arms[0].b(), learner.summary(0).unwrap().rate.a())
    };
    let (a, b, summary) = rate(&learner);
    assert!((a - 1.5).abs() < 1e-12 && (b - 2.0).abs() < 1e-12 && (summary - 1.5).abs() < 1e-12, "{a} {b} {summary}");
    show(&mut learner, &empty, Observation { at_us: 2 * HALF_LIFE_US, ..observation(0, 0.0) });
    learner.revise(0, &rows, 1.0, -1.0, &receipt);
    let (a, b, _) = rate(&learner);
    assert!((a - 1.0).abs() < 1e-12 && (b - 2.75).abs() < 1e-12, "{a} {b}");
}

/// A purchase and its refund, with fading and other observations between: as if neither had been, in every model
/// of a portfolio of the identity link, and in the summary.
#[test]
fn a_refund_undoes_its_reward_across_fading() {
    check_refunds(1);
    check_refunds(2);
}

fn check_refunds(arms: u32) {
    let mut bought = Learner::new(ModelSpec::default(), SlotTraits::default());
    let mut plain = bought.clone();
    let words = ["a", "b", "c"];
    let mut kept = Vec::new();
    for i in 0..120_u32 {
        let (first, second) = (words[i as usize % 3], words[i as usize / 3 % 3]);
        let (words, observation) = (context(&[first, second]), observation(i % arms, f64::from(i % 5)));
        let observation = Observation { at_us: i64::from(i) * HALF_LIFE_US / 30, ..observation };
        show(&mut plain, &words, observation);
        let (rows, receipt) = show(&mut bought, &words, observation);
        if i % 7 == 3 {
            bought.revise(observation.arm, &rows, observation.reward, 4.0, &receipt);
            kept.push((observation, rows, receipt));
        }
        if i % 7 == 1 && !kept.is_empty() {
            let (observation, rows, receipt) = kept.remove(0);
            bought.revise(observation.arm, &rows, observation.reward + 4.0, -4.0, &receipt);
        }
    }
    for (observation, rows, receipt) in kept {
        bought.revise(observation.arm, &rows, observation.reward + 4.0, -4.0, &receipt);
    }
    for name in ["linear", "interactions_identity", "fast_linear"] {
        let (Model::Linear(got), Model::Linear(want)) = (bought.model(name), plain.model(name)) else { unreachable!() };
        // A single arm knows its part of the pooled noise. Several arms know only their shares approximately.
        let tolerance = if arms == 1 { 1e-9 } else { 0.05 * want.noise_variance() };
        let (noise, plain) = (got.noise_variance(), want.noise_variance());
        assert!((noise - plain).abs() < tolerance, "{name}: {noise} against {plain}");
        for arm in 0..arms {
            let (got, want) = (got.posterior(arm).unwrap().mean(), want.posterior(arm).unwrap().mean());
            assert_eq!(got.len(), want.len());
            assert!(got.iter().zip(want).all(|(got, want)| (got - want).abs() < 1e-9), "{name}: {got:?} {want:?}");
        }
    }
    let (got, want) = (bought.summary(0).unwrap(), plain.summary(0).unwrap());
    assert!((got.value.mean() - want.value.mean()).abs() < 1e-9);
    assert!((got.value.spread() - want.value.spread()).abs() < 1e-9);
    assert!((got.reward_sum - want.reward_sum).abs() < 1e-9);
}

/// A budget of one multiplication asks the cheapest model; one that fits the heaviest asks that; without a limit
/// all decide. The costs are counted by hand from the dimensions: per arm d²/2 + d.
#[test]
fn models_beyond_the_compute_budget_are_left_out() {
    let traits = SlotTraits { unit_rewards: true, large_catalogue: false };
    let with = |compute_budget| ModelSpec::portfolio(None, Some(compute_budget), Some(false));
    let mut learner = Learner::new(with(u64::MAX), traits);
    for i in 0..12_u32 {
        let (a, b) = (["a", "b"][i as usize % 2], ["a", "b", "c"][i as usize % 3]);
        // Time passes, so that models that forget at different rates have different scores.
        let at_us = i64::from(i) * HALF_LIFE_US / 12;
        show(&mut learner, &context(&[a, b]), Observation { at_us, ..observation(i % 2, f64::from(i % 2)) });
    }
    let asked = |learner: &mut Learner, budget: u64| -> Vec<&'static str> {
        learner.decide_by(with(budget), traits);
        let words = context(&["a", "b"]);
        let candidates = Candidates { arms: &[Some(0), Some(1)], context: &words, own: None, attributes: None };
        let mixture = learner.scores(candidates, SCORING).unwrap();
        assert!((mixture.parts().iter().map(|part| part.weight).sum::<f64>() - 1.0).abs() < 1e-12);
        mixture.parts().iter().map(|part| part.name).collect()
    };
    let all: Vec<&str> = learner.weights().map(|weight| weight.0).collect();
    assert!(all.len() > 2 && asked(&mut learner, u64::MAX) == all, "{all:?}");
    let cost = |learner: &Learner, name: &str| {
        let Model::Linear(linear) = learner.model(name) else { unreachable!() };
        let dim = u64::from(linear.dim());
        2 * (dim * dim / 2 + dim)
    };
    let costs: Vec<u64> = all.iter().map(|name| cost(&learner, name)).collect();
    let cheapest = *costs.iter().min().unwrap();
    let tiny = asked(&mut learner, 1);
    assert_eq!(tiny.len(), 1);
    assert_eq!(cost(&learner, tiny[0]), cheapest);
    for budget in [cheapest, costs[0], costs[0] + costs[1], costs[0] + cheapest, costs.iter().sum::<u64>() - 1] {
        let (mut left, mut want) = (budget, Vec::new());
        for (name, cost) in all.iter().zip(&costs).filter(|(_, cost)| **cost <= budget) {
            if *cost <= left {
                left -= cost;
                want.push(*name);
            }
        }
        assert_eq!(asked(&mut learner, budget), want, "{budget} of {costs:?}");
    }
}
