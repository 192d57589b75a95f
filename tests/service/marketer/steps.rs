//! The steps of the day: each has a change of the slot and an expectation.

use slotwise::wire::proto::{
    DayCapEffect, DecideResponse, ExcludeEffect, ExplorationPreset, PinEffect, PreviewSlotChangeResponse, Reason, Rule,
    Slot, rule::Effect,
};

/// Decisions from which a step is previewed and observed.
pub(crate) const SHOPPERS: usize = 1_500;

/// Change of the slot that a step makes.
pub(crate) enum StepAction {
    /// Previews and applies an edit of the slot.
    Edit(fn(&mut Slot)),
    /// Goes back by this many revisions.
    RollBack(u64),
    /// Switches the safe choice of all slots on or off.
    SafeChoice(bool),
}

/// The slot after a step, the step's preview, and the decisions that shoppers got.
pub(crate) struct StepOutcome {
    pub(crate) slot: Slot,
    pub(crate) preview: PreviewSlotChangeResponse,
    pub(crate) decisions: Vec<DecideResponse>,
}

impl StepOutcome {
    fn decisions_led_by<'a>(&'a self, arm: &'a str) -> impl Iterator<Item = &'a DecideResponse> {
        self.decisions.iter().filter(move |decision| decision.arms[0].arm_id == arm)
    }
}

/// A step of the day.
pub(crate) struct DayStep {
    pub(crate) reason: &'static str,
    pub(crate) action: StepAction,
    /// Shoppers that come afterwards.
    pub(crate) shoppers: usize,
    /// The shares of the arms must be those of the preview.
    pub(crate) compare_shares: bool,
    pub(crate) expect: fn(&StepOutcome) -> Result<(), String>,
}

fn ensure(holds: bool, failure: impl std::fmt::Display) -> Result<(), String> {
    if holds { Ok(()) } else { Err(failure.to_string()) }
}

fn rule(name: &str, when: &str, effect: Effect) -> Rule {
    Rule { name: name.into(), when: when.into(), effect: Some(effect), ..Rule::default() }
}

pub(crate) const STEPS: [DayStep; 9] = [
    DayStep {
        reason: "dial down",
        action: StepAction::Edit(|slot| {
            let controls = slot.controls.get_or_insert_default();
            controls.exploration_preset = ExplorationPreset::Cautious.into();
            (controls.exploration, controls.warm_up) = (None, None);
        }),
        shoppers: SHOPPERS,
        compare_shares: true,
        expect: |_| Ok(()),
    },
    DayStep {
        reason: "pin",
        action: StepAction::Edit(|slot| {
            let when = "arm.id == 'free-shipping' && context.loyalty == 'gold'";
            slot.rules.push(rule("gold sees free shipping", when, Effect::Pin(PinEffect { position: 1 })));
        }),
        shoppers: SHOPPERS,
        compare_shares: true,
        expect: |outcome| {
            // A quarter of the shoppers are gold customers, and a part of them is held out.
            let by_rule = |decision: &&DecideResponse| decision.arms[0].reason() == Reason::Rule;
            let pinned = outcome.decisions_led_by("free-shipping").filter(by_rule).count();
            ensure(pinned > SHOPPERS / 8, format!("{pinned} decisions were pinned"))?;
            let rules = &outcome.preview.rules;
            let previewed = rules.iter().find(|rule| rule.name == "gold sees free shipping").unwrap();
            let tolerance = 5.0 * (0.25 * 0.75 / SHOPPERS as f64).sqrt();
            ensure((previewed.matched_after.unwrap() - 0.25).abs() < tolerance, format!("{previewed:?}"))
        },
    },
    DayStep {
        reason: "exclude",
        action: StepAction::Edit(|slot| {
            slot.rules.push(rule("no quarter", "arm.discount > 0.2", Effect::Exclude(ExcludeEffect {})));
        }),
        shoppers: SHOPPERS,
        compare_shares: true,
        expect: |outcome| ensure(outcome.decisions_led_by("quarter-off").count() == 0, "an excluded arm was shown"),
    },
    DayStep {
        reason: "roll back",
        action: StepAction::RollBack(2),
        shoppers: 0,
        compare_shares: false,
        expect: |outcome| ensure(outcome.slot.rules.len() == 1, "not only the template's rule is left"),
    },
    DayStep {
        reason: "cap",
        action: StepAction::Edit(|slot| {
            let effect = Effect::DayCap(DayCapEffect { count: 25, together: false });
            slot.rules.push(rule("a budget", "arm.id == 'free-shipping'", effect));
        }),
        shoppers: SHOPPERS,
        // A preview leaves caps out.
        compare_shares: false,
        expect: |outcome| {
            let warned = |warning: &String| warning.contains("Caps are taken for not reached");
            ensure(outcome.preview.warnings.iter().any(warned), format!("{:?}", outcome.preview.warnings))?;
            let shown = outcome.decisions_led_by("free-shipping").count();
            ensure(shown <= 25, format!("the capped arm was shown {shown} times"))
        },
    },
    DayStep {
        reason: "even split",
        action: StepAction::Edit(|slot| {
            slot.rules.pop();
            slot.controls.get_or_insert_default().exploration_preset = ExplorationPreset::EvenSplit.into();
        }),
        shoppers: SHOPPERS,
        compare_shares: true,
        expect: |_| Ok(()),
    },
    DayStep {
        reason: "safe",
        action: StepAction::SafeChoice(true),
        shoppers: 200,
        compare_shares: false,
        expect: |outcome| {
            ensure(outcome.decisions_led_by("no-offer").count() == 200, "not only the baseline was shown")
        },
    },
    DayStep {
        reason: "back on",
        action: StepAction::SafeChoice(false),
        shoppers: 200,
        compare_shares: false,
        expect: |outcome| ensure(outcome.decisions_led_by("no-offer").count() < 150, "the baseline is still shown"),
    },
    DayStep {
        reason: "balanced again",
        action: StepAction::Edit(|slot| {
            slot.controls.get_or_insert_default().exploration_preset = ExplorationPreset::Balanced.into();
        }),
        shoppers: SHOPPERS,
        compare_shares: true,
        expect: |_| Ok(()),
    },
];
