//! Logs that can barely tell what is asked, and documents that set more than a policy.

use slotwise::slot::{Controls, Goal, Mode, Stickiness};

use super::*;

/// Two arms have equal propensities for 1,000 rows, then one is retired. Nothing is wrong with the propensities of such
/// a log.
#[test]
fn a_log_whose_arm_was_retired_is_not_told_that_its_propensities_are_off() {
    let mut log = log(2_000, &[[0.5, 0.5, 0.0]; 2], 1.0, 4);
    log.arms.truncate(2);
    for row in &mut log.rows[1_000..] {
        (row.arm, row.propensity) = (0, 1.0);
    }
    let calibration = Calibration::new(&log, 0);
    // Computed by hand: 1 for a thousand rows, ½ for the others; arms are shown three to one by the end.
    assert!((calibration.uniform.mean - 0.75).abs() < 1e-12, "{calibration:?}");
    assert!((0.75..0.95).contains(&calibration.own_shares.mean), "{calibration:?}");
    let [unclear, certain] = calibration.warnings.as_slice() else { panic!("{calibration:?}") };
    assert!(unclear.contains("some arms could not be shown at times") && unclear.contains("cannot tell"), "{unclear}");
    assert!(certain.starts_with("50.0 % of the decisions were certain"), "{certain}");
}

/// Arm c is shown to one kind of shopper alone, so the accepted decisions say nothing about the other kind.
#[test]
fn replay_is_refused_too_where_the_log_shows_an_arm_in_one_context_only() {
    let log = log(500, &[[0.5, 0.5, 0.0], [0.2, 0.2, 0.6]], 1.0, 7);
    let candidates = [EvaluatedPolicy::arm(&log, "c").unwrap(), EvaluatedPolicy::arm(&log, "a").unwrap()];
    let report = evaluate(&log, &candidates, &EvaluationOptions::default(), &NoEvaluationProgress).unwrap();
    let c = &report.policy("always c").unwrap().value;
    assert!(c.refused.is_some() && c.ips.is_none() && c.replay.is_none(), "{c:?}");
    assert!(c.accepted.unwrap() >= 30, "enough were accepted: {c:?}");
    assert!(report.policy("always a").unwrap().value.replay.is_some(), "{report:?}");
    assert!(!super::super::text::text(&report).contains("always c: no replay"), "they were not too few");
}

/// Five hundred decisions without a click: by the rule of three the rate may well be 3/500.
#[test]
fn without_any_click_intervals_end_above_0() {
    let mut log = log(500, &UNIFORM, 1.0, 3);
    log.rows.iter_mut().for_each(|row| row.reward = 0.0);
    let candidates = [EvaluatedPolicy::logged(), EvaluatedPolicy::uniform(), EvaluatedPolicy::arm(&log, "b").unwrap()];
    let report = evaluate(&log, &candidates, &EvaluationOptions::default(), &NoEvaluationProgress).unwrap();
    let high = |estimate: Option<IntervalEstimate>| estimate.unwrap().high.unwrap();
    assert!(high(Some(report.log.reward)) >= 3.0 / 500.0, "{:?}", report.log);
    for policy in &report.policies {
        let value = &policy.value;
        assert!(high(value.ips) >= 3.0 / 500.0 && high(value.self_normalised) >= 3.0 / 500.0, "{policy:?}");
        for estimate in [value.doubly_robust, value.replay].into_iter().flatten() {
            assert!(estimate.high.unwrap() >= 3.0 / 500.0, "{policy:?}");
        }
    }
    // Always b matches a third as many decisions.
    assert!(high(report.policy("always b").unwrap().value.ips) > 9.0 / 500.0, "{report:?}");
}

/// The size of a reward is known from the whole log, even if the evaluated part has no reward.
#[test]
fn the_size_of_a_reward_is_that_of_the_whole_log() {
    let mut log = log(400, &UNIFORM, 1.0, 3);
    log.rows.iter_mut().for_each(|row| row.reward = 0.0);
    log.rows[0].reward = 50.0;
    let options = EvaluationOptions { learning: LearningSource::First(0.5), ..EvaluationOptions::default() };
    let report = evaluate(&log, &[EvaluatedPolicy::uniform()], &options, &NoEvaluationProgress).unwrap();
    let high = report.log.reward.high.unwrap();
    // The bound for 200 decisions without a reward is 1 − .025^(1/200) of its size.
    assert!((high - 50.0 * (1.0 - 0.025_f64.powf(1.0 / 200.0))).abs() < 1e-6, "{high}");
}

fn of_document(log: &Log, controls: Controls, goal: Goal) -> (EvaluatedPolicy, Definition) {
    let mut document = match slot(log, Policy::ThompsonSampling).how {
        PolicyKind::Slot(plain) => *plain,
        PolicyKind::Logged | PolicyKind::Uniform | PolicyKind::Arm(_) => panic!("it is a slot"),
    };
    let policy = document.controls.policy;
    document.controls = Controls { policy, ..controls };
    document.goal = goal;
    let candidate = EvaluatedPolicy::slot(log, "documented", document).unwrap();
    let PolicyKind::Slot(definition) = &candidate.how else { panic!("{candidate:?}") };
    let definition = (**definition).clone();
    (candidate, definition)
}

/// One shopper returns again and again. Settings that decide who gets the policy, and for how long, do not change the
/// policy's propensities at a decision: the walk is the same to the last bit, and the report lists the ignored
/// settings.
#[test]
fn who_gets_a_policy_and_for_how_long_is_set_aside() {
    let mut log = log(150, &UNIFORM, 1.0, 6);
    log.rows.iter_mut().for_each(|row| row.subject.id = "again".to_owned());
    let options = EvaluationOptions { learning: LearningSource::All, ..EvaluationOptions::default() };
    let (plain, _) = of_document(&log, Controls::default(), Goal::default());
    assert!(plain.set_aside.is_empty());
    let want = walk(&log, &plain, &options);
    let day = 24 * 3600 * 1_000_000;
    for (controls, field) in [
        (Controls { mode: Some(Mode::Shadow), ..Controls::default() }, "mode"),
        (Controls { mode: Some(Mode::Test(0.01)), ..Controls::default() }, "mode"),
        (Controls { holdout: Some(0.9), ..Controls::default() }, "holdout"),
        (Controls { analysis: Some(0.9), ..Controls::default() }, "analysis"),
        (Controls { stickiness: Some(Stickiness::For(day)), ..Controls::default() }, "stickiness"),
    ] {
        let (candidate, _) = of_document(&log, controls, Goal::default());
        assert!(walk(&log, &candidate, &options) == want, "{field} must not matter");
        assert_eq!(candidate.set_aside, [field]);
        if field == "stickiness" {
            let report = evaluate(&log, &[candidate], &options, &NoEvaluationProgress).unwrap();
            let text = super::super::text::text(&report);
            let note = "documented: set aside, since the policy itself is evaluated: stickiness";
            assert!(text.contains(note), "{text}");
        }
    }
}

/// The window is the document's, unless a reward of the log took longer. Without a document it is a day.
#[test]
fn a_window_is_the_document_s_or_as_long_as_the_log_needs() {
    let hour = 3600 * 1_000_000;
    let mut log = log(50, &UNIFORM, 1.0, 6);
    let window = |log: &Log, goal| of_document(log, Controls::default(), goal).1.goal.window_us;
    let goal_with = |window_us| Goal { window_us, ..Goal::default() };
    assert_eq!(window(&log, goal_with(hour)), hour);
    assert_eq!(window(&log, goal_with(7 * 24 * hour)), 7 * 24 * hour);
    assert_eq!(window(&log, Goal::default()), 24 * hour);
    log.rows[9].known_us = Some(log.rows[9].at_us + 2 * hour);
    assert_eq!(window(&log, goal_with(hour)), 2 * hour + 1_000_000, "the longest, and a second");
    assert_eq!(window(&log, Goal::default()), 24 * hour);
}
