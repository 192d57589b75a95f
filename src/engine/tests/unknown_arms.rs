//! Tests of previews of arms that were never shown, and of reports in shadow mode.

use super::*;
use crate::{
    engine::{SlotStage, preview},
    slot::Mode,
};

/// Baseline a, which half of the shoppers click, in shadow mode.
fn watched() -> (StateHarness, Vec<(i64, Arc<DecisionRecord>)>) {
    let mut definition = definition(&["a", "b"]);
    definition.goal = Goal { window_us: HOUR_US, ..Goal::default() };
    definition.controls.mode = Some(Mode::Shadow);
    let mut world = StateHarness::new(definition);
    let mut made = Vec::new();
    for i in 0..400 {
        world.at_us += 1_000_000;
        let mut request = request();
        request.context.insert("segment".into(), Value::Text(["loyal", "new"][i % 2].into()));
        let decided = world.decide(request);
        if i % 4 < 2 {
            world.reward(&format!("e{i}"), &decided, "click", None);
        }
        made.push((world.at_us, decided));
    }
    (world, made)
}

/// Switching a slot on that only ever showed the baseline does not foretell a fall: what the other arm earns is unknown, and the
/// range says between what.
#[test]
fn arms_that_were_never_shown_are_unknown_and_not_worthless() {
    let (mut world, made) = watched();
    let before = world.state.slot("offers").unwrap().view();
    world.update(|d| d.controls.mode = None);
    let after = world.state.slot("offers").unwrap().view();
    let said = preview(&before, &after, &made, world.at_us);
    assert!(said.unknown.before.range.is_none() && said.unknown.before.share.abs() < 1e-12, "{said:?}");
    let share = said.unknown.after.share;
    let b = said.arms.iter().find(|arm| arm.arm.as_str() == "b").unwrap();
    assert!(b.never_shown && (b.all.after.value - share).abs() < 1e-9, "{said:?}");
    let (low, high) = said.unknown.after.range.unwrap();
    // The known arm earns one half wherever it is shown; the unknown one from nothing to what a may at most.
    assert!((low - 0.5 * (1.0 - share)).abs() < 0.06, "{low} {share}");
    assert!((high - low) > 0.4 * share && high < 0.65, "{low} {high} {share}");
    assert!(said.warnings.iter().any(|warning| warning.contains("never shown before")), "{:?}", said.warnings);
    assert!(!said.warnings.iter().any(|warning| warning.contains("fall")), "{:?}", said.warnings);
}

/// The report of a slot in shadow mode has what would have been shown, and what the model expects of it.
#[test]
fn a_watched_slot_says_what_it_would_have_shown() {
    let (world, made) = watched();
    let view = world.state.slot("offers").unwrap().view();
    let report = report(&view);
    assert_eq!(report.status.stage, SlotStage::Shadow);
    let shadow = report.shadow.unwrap();
    assert_eq!(shadow.decisions, 400);
    let first = |arm: &str| made.iter().filter(|(_, decided)| decided.shadow_slate[0].arm.as_str() == arm).count();
    for (arm, share) in &shadow.arms {
        assert!((share - first(arm.as_str()) as f64 / 400.0).abs() < 1e-12, "{shadow:?}");
    }
    assert!((shadow.agreed - first("a") as f64 / 400.0).abs() < 1e-12, "{shadow:?}");
    let expected: f64 = made.iter().map(|(_, decided)| decided.shadow_slate[0].expected_reward).sum();
    assert!((shadow.expected - expected / 400.0).abs() < 1e-9, "{shadow:?}");
    assert!(report.status.sentence.contains("not measured"), "{}", report.status.sentence);
}
