//! Tests of evaluation data: lift, pairwise tests and status. Above all, equal arms are hardly ever called different.

use super::*;
use crate::{
    engine::{ArmReport, SlotReport, SlotStage},
    slot::{Mode, WarmUp},
};

const SECOND_US: i64 = 1_000_000;

fn report_of(world: &StateHarness) -> SlotReport {
    report(&world.state.slot("offers").unwrap().view())
}

/// Result of one simulated slot.
#[derive(Debug, Clone, Copy, Default)]
struct SlotRun {
    /// `true` if the report was confident at some look.
    confident: bool,
    /// `true` if, at some look, some arm was better than every other by two standard errors: what a reader of fixed
    /// tests would accept.
    significant: bool,
    /// `true` if the second arm was the one most likely to be best at the last look.
    second_leads: bool,
}

/// Simulates a slot whose report is read after every hundred decisions. `reward` returns the reward of a decision from
/// the arm's place, whether the context is the good one, and the time.
fn simulate(
    definition: &Definition,
    seed: u64,
    decisions: u32,
    with_context: bool,
    reward: impl Fn(&mut StdRng, usize, bool, u32) -> f64,
) -> SlotRun {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut world = StateHarness::new(definition.clone());
    world.count = seed << 32;
    let mut run = SlotRun::default();
    for i in 0..decisions {
        world.at_us += SECOND_US;
        let good = rng.random_bool(0.5);
        let mut request = request();
        if with_context {
            request.context.insert("device".into(), Value::Text(if good { "laptop" } else { "phone" }.into()));
        }
        let decided = world.decide(request);
        let place = definition.arms.iter().position(|arm| arm.id == decided.chosen[0].arm).unwrap();
        let earned = reward(&mut rng, place, good, i);
        if earned > 0.0 {
            let event = format!("e{i}");
            let kind = if definition.goal.within_unit() { "click" } else { "buy" };
            assert_eq!(world.reward(&event, &decided, kind, Some(earned)), EventStatus::Accepted);
        }
        world.events.clear();
        if (i + 1) % 100 == 0 {
            let report = report_of(&world);
            run.confident |= report.status.stage == SlotStage::Confident;
            run.significant |=
                report.arms.iter().any(|a| report.arms.iter().all(|b| a.arm == b.arm || standard_errors(a, b) > 1.96));
            run.second_leads = report.arms[1].chance_best > 0.5;
        }
    }
    run
}

/// Returns by how many standard errors the mean of `a` exceeds that of `b`, for two samples of rates.
fn standard_errors(a: &ArmReport, b: &ArmReport) -> f64 {
    let rate = |arm: &ArmReport| arm.reward_sum / arm.shown as f64;
    let var = |arm: &ArmReport| rate(arm) * (1.0 - rate(arm)) / arm.shown as f64;
    (rate(a) - rate(b)) / (var(a) + var(b)).sqrt()
}

fn simulate_all(slots: u64, one: impl Fn(u64) -> SlotRun) -> Vec<SlotRun> {
    (0..slots).map(one).collect()
}

fn share(runs: &[SlotRun], of: impl Fn(&SlotRun) -> bool) -> f64 {
    runs.iter().filter(|run| of(run)).count() as f64 / runs.len() as f64
}

fn rates(arms: &[&str]) -> Definition {
    let mut definition = Definition { goal: Goal::default(), ..definition(arms) };
    definition.goal.window_us = HOUR_US;
    definition.controls.holdout = Some(0.1);
    definition.model = ModelSpec::beta_bernoulli(None, None);
    definition
}

/// Proof by A/A tests: the arms of four hundred slots are all equal, and at most 5 % of them are called confident. Two
/// standard errors, looked at as often, are wrong in many more slots.
#[test]
fn equal_arms_are_called_confident_in_at_most_one_slot_of_twenty() {
    let definition = rates(&["a", "b", "c"]);
    let runs = simulate_all(240, |seed| {
        simulate(&definition, seed, 2_000, false, |rng, _, _, _| f64::from(u8::from(rng.random_bool(0.05))))
    });
    let (confident, significant) = (share(&runs, |run| run.confident), share(&runs, |run| run.significant));
    println!("A/A: confident {confident}, significant at some look {significant}");
    assert!(confident <= 0.05, "{confident}");
    assert!(significant > 0.08, "the setting must be one in which it is easy to be wrong: {significant}");
}

/// A/A proof for a slot that reads the context, in a world where the context and the time of day change the
/// rewards of all arms.
#[test]
fn equal_arms_in_a_changing_world_are_not_called_confident_either() {
    let mut definition = rates(&["a", "b", "c"]);
    definition.model = ModelSpec::linear(None, None);
    let runs = simulate_all(120, |seed| {
        simulate(&definition, 7_000 + seed, 1_000, true, |rng, _, good, i| {
            let rate = if good { 0.3 } else { 0.1 } * if i % 500 < 250 { 1.0 } else { 0.5 };
            f64::from(u8::from(rng.random_bool(rate)))
        })
    });
    let confident = share(&runs, |run| run.confident);
    println!("A/A in context: confident {confident}");
    // The bound is three standard errors above 5 %, for 120 slots.
    assert!(confident <= 0.05 + 3.0 * (0.05_f64 * 0.95 / 120.0).sqrt(), "{confident}");
}

/// A/A proof for money with a heavy tail.
#[test]
fn equal_arms_that_earn_money_are_not_called_confident_either() {
    let mut definition = rates(&["a", "b"]);
    definition.goal.kinds = vec![RewardKind {
        kind: "buy".into(),
        weight: 1.0,
        use_value: true,
        cap: None,
        winsorize: None,
        role: None,
        joins: None,
    }];
    definition.model = ModelSpec::normal_inverse_gamma(None, None, None, None);
    let runs = simulate_all(200, |seed| {
        simulate(&definition, 9_000 + seed, 2_000, false, |rng, _, _, _| {
            if rng.random_bool(0.1) { 30.0 * rng.random::<f64>().powi(-1).min(40.0).sqrt() } else { 0.0 }
        })
    });
    let confident = share(&runs, |run| run.confident);
    println!("A/A of money: confident {confident}");
    assert!(confident <= 0.05 + 3.0 * (0.05_f64 * 0.95 / 200.0).sqrt(), "{confident}");
}

/// The report is confident where it should be, and does not withhold the word from everybody.
#[test]
fn a_better_arm_is_found_with_confidence() {
    let definition = rates(&["a", "b"]);
    let runs = simulate_all(50, |seed| {
        simulate(&definition, 50_000 + seed, 3_000, false, |rng, place, _, _| {
            f64::from(u8::from(rng.random_bool([0.05, 0.12][place])))
        })
    });
    let found = share(&runs, |run| run.confident);
    let wrong = share(&runs, |run| run.confident && !run.second_leads);
    println!("A/B: confident {found}, of the wrong one {wrong}");
    assert!(found > 0.5, "{found}");
    assert!(wrong <= 0.05, "{wrong}");
}

/// All sums are those of the present rewards, as counted again from the decisions themselves.
#[test]
fn sums_are_those_of_the_decisions_rewards() {
    let mut definition = definition(&["a", "b", "c"]);
    definition.controls.holdout = Some(0.3);
    definition.goal.default_reward = 0.5;
    let mut world = StateHarness::new(definition);
    let mut rng = StdRng::seed_from_u64(8);
    let mut made: Vec<Arc<DecisionRecord>> = Vec::new();
    let mut sent: Vec<(String, Arc<DecisionRecord>)> = Vec::new();
    for i in 0..600 {
        world.at_us += SECOND_US;
        made.push(world.decide(request()));
        let decided = Arc::clone(&made[rng.random_range(made.len().saturating_sub(50)..made.len())]);
        let event = format!("e{i}");
        world.reward(&event, &decided, "buy", Some(rng.random_range(0.0..9.0)));
        sent.push((event, decided));
        if rng.random_bool(0.3) {
            let (event, decided) = sent[rng.random_range(0..sent.len())].clone();
            world.reverse(&format!("r{i}"), &decided, &event);
        }
    }
    let slot = world.state.slot("offers").unwrap();
    let rewards: BTreeMap<DecisionId, Vec<f64>> =
        slot.open_decisions(world.at_us).map(|closed| (closed.id, closed.rewards.unwrap())).collect();
    assert_eq!(rewards.len(), 600);
    let (mut groups, mut pairs) = ([(0, 0.0, 0.0); 2], BTreeMap::<(&str, &str), u64>::new());
    for decided in &made {
        let reward = rewards[&decided.id][0];
        let group = &mut groups[usize::from(decided.holdout)];
        *group = (group.0 + 1, group.1 + reward, group.2 + reward * reward);
        let own = decided.chosen[0].arm.as_str();
        for other in ["a", "b", "c"].into_iter().filter(|other| !decided.holdout && *other != own) {
            *pairs.entry((own.min(other), own.max(other))).or_default() += 1;
        }
    }
    let view = slot.view();
    let comparison = view.evaluation.comparison(0.3).unwrap();
    for (sample, (count, sum, sum_sq)) in [comparison.policy.sample, comparison.holdout.sample].iter().zip(groups) {
        assert_eq!(sample.count, count);
        assert!((sample.sum - sum).abs() < 1e-8 && (sample.sum_sq - sum_sq).abs() < 1e-6, "{sample:?} {sum} {sum_sq}");
    }
    let index = |arm: &str| view.arms.learned(arm).unwrap();
    for ((a, b), count) in &pairs {
        let test = view.evaluation.pairwise_test(index(a), index(b)).unwrap();
        assert_eq!(test.count, *count);
        let reversed = view.evaluation.pairwise_test(index(b), index(a)).unwrap();
        assert!((test.sum + reversed.sum).abs() < 1e-12);
    }
    // A snapshot holds all of it, and pending decisions continue to count.
    let bytes = snapshot::encode(&world.state).unwrap();
    let again = snapshot::decode(&bytes).unwrap();
    assert_eq!(again.slot("offers").unwrap().view().evaluation, view.evaluation);
    world.change(Change::Reset).unwrap();
    assert_eq!(*world.state.slot("offers").unwrap().view().evaluation, crate::engine::EvaluationData::default());
}

/// A refund removes exactly what the reward added, also from the pairwise tests.
#[test]
fn a_reversed_reward_leaves_no_trace() {
    let play = |reversed: bool| {
        let mut world = StateHarness::new(rates(&["a", "b"]));
        let mut decided = Vec::new();
        for _ in 0..40 {
            world.at_us += SECOND_US;
            decided.push(world.decide(request()));
        }
        if reversed {
            for (i, decision) in decided.iter().enumerate() {
                world.reward(&format!("e{i}"), decision, "click", None);
            }
            for (i, decision) in decided.iter().enumerate() {
                world.reverse(&format!("r{i}"), decision, &format!("e{i}"));
            }
        }
        let view = world.state.slot("offers").unwrap().view();
        (view.evaluation.comparisons.clone(), view.evaluation.pairwise_test(0, 1).unwrap())
    };
    let ((plain, test), (back, back_test)) = (play(false), play(true));
    assert!((plain[0].policy.sample.sum - back[0].policy.sample.sum).abs() < 1e-12);
    assert!(test.count > 30 && test.count == back_test.count, "{test:?} {back_test:?}");
    assert!((test.sum - back_test.sum).abs() < 1e-12 && (test.sum_sq - back_test.sum_sq).abs() < 1e-12);
}

/// A holdout of another share starts another comparison, and returning to the first share continues the first
/// comparison.
#[test]
fn comparisons_are_kept_by_the_holdout_s_share() {
    let mut world = StateHarness::new(rates(&["a", "b"]));
    let mut go = |share: f64, decisions: u32| {
        world.update(|d| d.controls.holdout = Some(share));
        for _ in 0..decisions {
            world.decide(request());
        }
        let lift = report_of(&world).lift.unwrap();
        lift.decisions + lift.holdout_decisions
    };
    assert_eq!(go(0.1, 100), 100);
    assert_eq!(go(0.4, 50), 50);
    assert_eq!(go(0.1, 20), 120);
}

#[test]
fn a_status_names_the_problem() {
    let mut world = StateHarness::new(rates(&["a", "b", "c"]));
    let say = |world: &StateHarness| {
        let status = report_of(world).status;
        (status.stage, status.sentence)
    };
    assert_eq!(say(&world), (SlotStage::WarmingUp, "Warming up: nothing was decided yet.".into()));
    for i in 0..60 {
        world.at_us += SECOND_US;
        let decided = world.decide(request());
        if i % 5 == 0 {
            world.reward(&format!("e{i}"), &decided, "click", None);
        }
    }
    let (stage, sentence) = say(&world);
    assert_eq!(stage, SlotStage::Learning);
    assert!(
        sentence.contains("leads with") && sentence.contains("the holdout has") && sentence.contains("95 % sure"),
        "{sentence}"
    );
    world.update(|d| d.controls.warm_up = Some(WarmUp { views: 50, rewards: 5, patience: None }));
    let (stage, sentence) = say(&world);
    assert_eq!(stage, SlotStage::WarmingUp);
    assert!(sentence.contains("until each has 50 showings and 5 of them rewarded"), "{sentence}");
    world.update(|d| d.controls.mode = Some(Mode::Shadow));
    assert_eq!(say(&world).0, SlotStage::Shadow);
    world.update(|d| (d.controls.mode, d.controls.warm_up) = (None, None));
    let troubles = [
        (
            "safe choice",
            Box::new(|d: &mut Definition| d.controls.safe_choice = Some(true)) as Box<dyn Fn(&mut Definition)>,
        ),
        ("frozen", Box::new(|d| d.controls.freeze_learning = Some(true))),
        ("only one arm", Box::new(|d| d.arms.truncate(1))),
        ("no arm may", Box::new(|d| d.arms.clear())),
    ];
    for (word, edit) in troubles {
        let before = (**world.state.slot("offers").unwrap().definition()).clone();
        world.update(edit);
        let (stage, sentence) = say(&world);
        assert!(stage == SlotStage::NeedsAttention && sentence.contains(word), "{sentence}");
        world.update(|d| *d = before);
    }
    // More events match nothing than match something.
    for i in 0..120 {
        let nowhere = DecisionId::new(99, world.at_us, i);
        world.send(rewarded(&format!("x{i}"), Some(nowhere), "click", None));
    }
    let (stage, sentence) = say(&world);
    assert!(stage == SlotStage::NeedsAttention && sentence.contains("120 unmatched"), "{sentence}");
    // No more events arrive.
    let mut world = StateHarness::new(rates(&["a", "b"]));
    for i in 0..1_200 {
        world.at_us += 10 * SECOND_US;
        let decided = world.decide(request());
        if i < 100 && i % 5 == 0 {
            world.reward(&format!("e{i}"), &decided, "click", None);
        }
    }
    let (stage, sentence) = say(&world);
    assert!(
        stage == SlotStage::NeedsAttention && sentence.contains("no event that counts came for 1104 decisions"),
        "{sentence}"
    );
}

/// The cost of exploration is right: for two arms that are well known, it is the share of the worse one times its loss.
#[test]
fn the_cost_of_exploration_is_the_floor_s_share_of_the_gap() {
    let mut definition = rates(&["a", "b"]);
    definition.controls.floor = Some(0.2);
    definition.controls.holdout = Some(0.0);
    let mut world = StateHarness::new(definition);
    let mut rng = StdRng::seed_from_u64(4);
    for i in 0..6_000 {
        world.at_us += SECOND_US;
        let decided = world.decide(request());
        let rate = if decided.chosen[0].arm == arm_id("a") { 0.8 } else { 0.3 };
        if rng.random_bool(rate) {
            world.reward(&format!("e{i}"), &decided, "click", None);
        }
    }
    let report = report_of(&world);
    let cost = report.exploration_cost.unwrap();
    // 0.2 · 0.5; the last thousand draws have a standard error of 0.5·√(0.2·0.8/2000) = 0.0045, the means less.
    assert!((cost - 0.1).abs() < 0.025, "{cost}");
    assert_eq!(report.lift, None, "there is no holdout");
    assert!(report.value_remaining.unwrap() <= 0.0 && report.arms[0].expected_loss.unwrap() < 1e-6, "{report:?}");
    let gap = report.arms[0].best_known_mean() - report.arms[1].best_known_mean();
    assert!((report.arms[1].expected_loss.unwrap() - gap).abs() < 1e-6, "{gap}");
    assert!(
        (report.design_effect * report.arms[0].effective_observations - report.arms[0].shown as f64).abs()
            < 0.02 * report.arms[0].shown as f64
    );
}
