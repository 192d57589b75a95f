//! Tests of the change detector and of challengers.

use super::*;

/// Two arms and two kinds of visitors: what each arm gives to each, before and after the world changed.
struct ChangingWorld {
    learner: Learner,
    rng: StdRng,
    rates: [[f64; 2]; 2],
    /// Decisions since an arm was shown when its silence is learned, and when its reward is.
    lags: [u64; 2],
}

impl ChangingWorld {
    fn new(seed: u64) -> Self {
        let learner = Learner::new(ModelSpec::default(), UNIT);
        Self { learner, rng: StdRng::seed_from_u64(seed), rates: [[0.75, 0.2], [0.15, 0.6]], lags: [0, 0] }
    }

    /// Makes that many decisions by the learner's own mixture. Returns the mean reward.
    fn run(&mut self, decisions: u32) -> f64 {
        let mut sum = 0.0;
        for _ in 0..decisions {
            let kind = self.rng.random_range(0..2);
            let words = context(&[WORDS[kind]]);
            let candidates = Candidates { arms: &[Some(0), Some(1)], context: &words, own: None, attributes: None };
            let scoring = crate::bandit::Scoring::new(1.0, 1, 0);
            let mixture = self.learner.scores(candidates, scoring).unwrap();
            let exploration = Exploration { floor: 0.01, ceiling: 1.0 };
            let places = Ranking::new(Policy::ThompsonSampling, exploration)
                .draw(&mixture, 1, &mut self.rng, None)
                .unwrap()
                .positions;
            let arm = places[0].candidate;
            let y = success(&mut self.rng, self.rates[arm][kind]);
            sum += y;
            let observation = Observation {
                decisions_since_shown: self.lags[usize::from(y > 0.0)],
                silent: false,
                ..observation(u32::try_from(arm).unwrap(), y)
            };
            show(&mut self.learner, &words, observation);
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
        let mut world = ChangingWorld::new(seed);
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
fn a_stationary_environment_causes_no_takeover() {
    for seed in 100..120 {
        let mut world = ChangingWorld::new(seed);
        world.run(3_000);
        assert_eq!(world.learner.takeovers(), 0, "seed {seed}");
    }
}

/// The rates swap as above, but the rewards belong to decisions that are a thousand decisions old.
#[test]
fn late_rewards_raise_no_alarm() {
    let mut world = ChangingWorld::new(7);
    world.lags = [1_000, 1_000];
    world.run(2_000);
    world.swap();
    world.run(600);
    let portfolio = world.learner.portfolio();
    assert_eq!((portfolio.challengers, portfolio.takeovers), (0, 0));
    assert!(portfolio.change_detector.alarm <= 0.0, "{}", portfolio.change_detector.alarm);
}

/// Under load, rewards lag behind some hundred decisions and silence behind few, or the other way round. A detector that tests one
/// of the two alone takes what is left for a change.
#[test]
fn rewards_that_lag_behind_more_than_silence_raise_no_alarm() {
    for lags in [[5, 400], [5, 60], [400, 5]] {
        for seed in 200..205 {
            let mut world = ChangingWorld::new(seed);
            world.lags = lags;
            world.run(3_000);
            let portfolio = world.learner.portfolio();
            assert_eq!((portfolio.challengers, portfolio.takeovers), (0, 0), "{lags:?}, seed {seed}");
        }
    }
}

#[test]
fn changes_go_unnoticed_without_change_detection() {
    let mut world = ChangingWorld::new(7);
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
    let mut world = ChangingWorld::new(1);
    world.run(1_000);
    let words = context(&["a"]);
    let (rows, old) = show(&mut world.learner, &words, observation(0, 1.0));
    world.swap();
    while world.learner.takeovers() == 0 {
        world.run(50);
    }
    let (_, new) = show(&mut world.learner, &words, observation(0, 1.0));
    let models = |learner: &Learner| -> Vec<Model> {
        learner.portfolio().members.iter().map(|member| member.model.clone()).collect()
    };
    let before = models(&world.learner);
    world.learner.revise(0, &rows, 1.0, -1.0, &old);
    assert_eq!(models(&world.learner), before);
    world.learner.revise(0, &rows, 1.0, -1.0, &new);
    assert!(models(&world.learner).iter().zip(&before).any(|(now, before)| now != before));
}

/// A decision from before the encoder of a challenger's models teaches them nothing and breaks nothing.
#[test]
fn a_challenger_does_not_learn_rows_of_an_earlier_encoder() {
    let mut world = ChangingWorld::new(3);
    world.run(2_000);
    world.swap();
    while world.learner.portfolio().challenger.is_none() {
        world.run(1);
    }
    let before = world.learner.portfolio().clone();
    let receipt = world.learner.observe(observation(0, 1.0), &[]);
    world.learner.revise(0, &[], 1.0, -1.0, &receipt);
    let now = world.learner.portfolio();
    assert_eq!((&now.members, &now.challenger), (&before.members, &before.challenger));
}

/// A third arm comes while a challenger of two competes: none is another's opposite any longer, so the model that takes
/// them for that learns nothing, decides nothing, and stands where the first does.
#[test]
fn a_challenger_s_model_that_does_not_apply_is_left_out() {
    let mut learner = Learner::new(ModelSpec::portfolio(None, None, Some(false)), UNIT);
    let words = context(&["a", "b"]);
    let (rows, _) = (0..4).map(|i| show(&mut learner, &words, observation(i % 2, 1.0))).last().unwrap();
    let mut portfolio = learner.portfolio().clone();
    let all = 0..portfolio.members.len();
    portfolio.challenger = Some(Challenger::new(1, &portfolio.members, all));
    let is_opposed = |member: &PortfolioMember| member.spec.name() == "opposed";
    let decides = |portfolio: &Portfolio, arms| portfolio.deciders(arms).iter().any(|d| is_opposed(d.1));
    assert!(decides(&portfolio, 2) && !decides(&portfolio, 3));
    let opposed = portfolio.members.iter().position(is_opposed).unwrap();
    portfolio.meet(learner.feature_encoders(), &rows, |_| true);
    let expects = |portfolio: &Portfolio, i: usize, arm| {
        let (fresh, feature_encoder) =
            (&portfolio.challenger.as_ref().unwrap().models[i], portfolio.members[i].feature_encoder);
        let x = fresh.model.expand(&learner.feature_encoders()[feature_encoder].encoder, &rows[feature_encoder]);
        (fresh.model.expect(arm, &x, RewardScale::Unit).mean, fresh.evidence)
    };
    let before = [expects(&portfolio, 0, 2).0, expects(&portfolio, opposed, 0).0, expects(&portfolio, opposed, 1).0];
    let (retained, detect) = (1.0, true);
    let seen = EncodedObservation {
        arm: 2,
        arms: 3,
        rows: &rows,
        y: 1.0,
        weight: 1.0,
        unit: true,
        decisions_since_shown: 0,
        detect,
        retained,
        within: 0.0,
        silence_after: None,
    };
    portfolio.observe(learner.feature_encoders(), seen);
    assert!(!decides(&portfolio, 3));
    let (first, evidence) = expects(&portfolio, 0, 2);
    assert_ne!(first, before[0], "the first learned it");
    for arm in 0..2 {
        let (expected, of_opposed) = expects(&portfolio, opposed, arm);
        assert_eq!(expected, before[1 + arm as usize]);
        assert!((of_opposed - evidence).abs() < 1e-12, "{of_opposed} {evidence}");
    }
}

/// A challenger's models forget as fast as those whose places they would take, and take back no more than is left: a
/// rate of one success from the flat prior, halved twice over.
#[test]
fn a_challenger_s_models_forget_as_fast_as_those_they_would_replace() {
    let design = Design::BetaBernoulli { prior_a: 1.0, prior_b: 1.0 };
    let spec = MemberSpec { design, half_life_divisor: 2, half_life_factor: 1 };
    let member = PortfolioMember {
        spec,
        feature_encoder: 0,
        model: Model::new(design),
        evidence: 0.0,
        takeover: 0,
        was: 0,
        error: SquaredError::default(),
        ground: 0.0,
        withheld: false,
    };
    let learner = Learner::new(ModelSpec::default(), UNIT);
    let mut portfolio = Portfolio { members: vec![member], deciding: vec![0], ..Portfolio::new() };
    portfolio.challenger = Some(Challenger::new(1, &portfolio.members, 0..1));
    let rows = [EncodedRow::default()];
    let seen = EncodedObservation {
        arm: 0,
        arms: 1,
        rows: &rows,
        y: 1.0,
        weight: 1.0,
        unit: true,
        decisions_since_shown: 0,
        detect: true,
        retained: 1.0,
        within: 0.0,
        silence_after: None,
    };
    let receipt = portfolio.observe(learner.feature_encoders(), seen);
    portfolio.forget(0, 0.5, 1.0);
    let rates = |portfolio: &Portfolio| -> Vec<(f64, f64)> {
        let fresh = &portfolio.challenger.as_ref().unwrap().models[0].model;
        let models = [&portfolio.members[0].model, fresh].into_iter();
        models
            .map(|model| {
                let Model::BetaBernoulli { arms, .. } = model else { unreachable!() };
                (arms[0].a(), arms[0].b())
            })
            .collect()
    };
    assert_eq!(rates(&portfolio), [(1.25, 1.0); 2]);
    let change = ObservationRevision { arms: 1, y: 1.0, delta: -1.0, receipt: &receipt, retained: 0.5 };
    portfolio.revise(learner.feature_encoders(), 0, &rows, change);
    assert_eq!(rates(&portfolio), [(1.0, 1.25); 2]);
}

/// Two arms have a rate of three per cent for thousands of decisions, and fifteen new arms have the same rate. The
/// prior's higher expectation of the new arms is no evidence of a change.
#[test]
fn new_arms_of_a_mature_slot_raise_no_alarm() {
    for (seed, rate) in (0..10).flat_map(|seed| [(seed, 0.03), (seed, 0.1)]) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut learner = Learner::new(ModelSpec::default(), UNIT);
        let show_one_of = |learner: &mut Learner, rng: &mut StdRng, arms: u32| {
            let words = context(&[WORDS[rng.random_range(0..3)]]);
            show(learner, &words, observation(rng.random_range(0..arms), success(rng, rate)));
        };
        (0..3_000).for_each(|_| show_one_of(&mut learner, &mut rng, 2));
        (0..4_000).for_each(|_| show_one_of(&mut learner, &mut rng, 17));
        assert_eq!(learner.portfolio().challengers, 0, "seed {seed} rate {rate}");
    }
}

/// Models that decide later are tested against their expectations only once they had time to learn: the change detector
/// restarts, but not for a change of anything else.
#[test]
fn another_model_of_a_mature_slot_raises_no_alarm() {
    for seed in 0..10 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut learner = Learner::new(ModelSpec::default(), UNIT);
        let mut run = |learner: &mut Learner, decisions: u32| {
            for _ in 0..decisions {
                let words = context(&[WORDS[rng.random_range(0..3)]]);
                show(learner, &words, observation(rng.random_range(0..8), success(&mut rng, 0.03)));
            }
        };
        run(&mut learner, 3_000);
        learner.decide_by(ModelSpec::portfolio(None, Some(1_000), None), UNIT);
        assert_ne!(learner.portfolio().change_detector, ChangeDetector::default());
        learner.decide_by(ModelSpec::portfolio(Some(64), None, None), UNIT);
        assert_eq!(learner.portfolio().change_detector, ChangeDetector::default());
        run(&mut learner, 3_000);
        assert_eq!(learner.portfolio().challengers, 0, "seed {seed}");
    }
}

/// A pending decision has no rows for the features of models that were added after it, so a challenger of those models
/// does not learn it.
#[test]
fn a_decision_from_before_a_model_s_features_is_learned_without_it() {
    let mut world = ChangingWorld::new(3);
    let words = context(&["a"]);
    let old = world.learner.meet(&[crate::bandit::RowFeatures::from_context(&words)]).remove(0);
    world.run(50);
    world.learner.decide_by(ModelSpec::portfolio(Some(64), None, None), UNIT);
    world.run(2_000);
    world.swap();
    let challenged = (0..500).any(|_| {
        world.run(1);
        world.learner.portfolio().challenger.is_some()
    });
    assert!(challenged && old.len() == 1, "there is a challenger of models with another encoder");
    let receipt = world.learner.observe(observation(0, 0.0), &old);
    world.learner.revise(0, &old, 0.0, 1.0, &receipt);
}

/// A silence that is revised to a reward leaves challenger and lead as the reward itself would have left them.
#[test]
fn a_late_reward_counts_in_the_lead_as_a_prompt_one() {
    let mut world = ChangingWorld::new(3);
    world.run(2_000);
    world.swap();
    while world.learner.portfolio().challenger.is_none() {
        world.run(1);
    }
    world.run(5);
    let words = context(&["a"]);
    let (mut prompt, mut late) = (world.learner.clone(), world.learner);
    show(&mut prompt, &words, observation(0, 1.0));
    let (rows, receipt) = show(&mut late, &words, observation(0, 0.0));
    let lead = |learner: &Learner| learner.portfolio().challenger.as_ref().unwrap().lead;
    assert!((lead(&prompt) - lead(&late)).abs() > 0.01, "{} {}", lead(&prompt), lead(&late));
    late.revise(0, &rows, 0.0, 1.0, &receipt);
    assert!((lead(&prompt) - lead(&late)).abs() < 1e-9, "{} {}", lead(&prompt), lead(&late));
}

#[test]
fn a_late_reward_is_evidence_about_the_models_of_a_challenger() {
    let mut world = ChangingWorld::new(3);
    let (_, receipt) = show(&mut world.learner, &context(&["a"]), observation(0, 0.0));
    let forecast = |at| Some(Forecast { at, variance: None });
    let receipt = ObservationReceipt { fresh: vec![forecast(0.1), forecast(0.4)], ..receipt };
    let mut challenger = Challenger::new(1, &world.learner.portfolio().members, 0..2);
    let change = ObservationRevision { arms: 2, y: 0.0, delta: 1.0, receipt: &receipt, retained: 1.0 };
    challenger.revise_lead(change, 0.7_f64.ln(), 0.3_f64.ln());
    let [first, second] = [0, 1].map(|i: usize| challenger.models[i].evidence);
    // The score of the reward takes the place of that of its silence.
    let exact = (0.4_f64 / 0.1).ln() - (0.6_f64 / 0.9).ln();
    assert!((second - first - exact).abs() < 1e-9, "{first} {second}, {exact}");
    // Forecasts of .25 together, against .3 of the incumbents.
    let lead = (0.25_f64 / 0.3).ln() - (0.75_f64 / 0.7).ln();
    assert!((challenger.lead - lead).abs() < 1e-9, "{} {lead}", challenger.lead);
}

/// Silence of a tenth of the observations whose rewards come later is no drop.
#[test]
fn the_detector_takes_late_rewards_back() {
    let forecast = Forecast { at: 0.1, variance: None };
    let mut detector = ChangeDetector::default();
    (0..1_000).for_each(|_| detector.count_observation());
    (0..10).for_each(|_| assert!(!detector.observe(forecast, 0.0)));
    let before = detector.alarm;
    assert!(before > 0.5, "{before}");
    detector.revise(forecast, 0.0, 1.0);
    assert!(detector.alarm <= 0.0, "{}", detector.alarm);
    // A reward that is taken back is no drop.
    detector.revise(forecast, 1.0, -1.0);
    assert!(detector.alarm <= 0.0);
}
