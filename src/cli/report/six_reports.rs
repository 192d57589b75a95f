//! Six slots whose truth is known, read as a marketer reads them: the whole text, and its first sentence.

use std::sync::Arc;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rand_distr::{Distribution as _, LogNormal};

use super::table;
use crate::{
    bandit::{Features, Value},
    client::PeriodReport,
    engine::{
        Body, Change, DecideOptions, DecisionId, Event, Request, RewardEvent, State, Subject, decide, hash,
        period_figures, plan, report,
    },
    slot::{Arm, ArmId, ChangeReason, Definition, Goal, Mode, RewardKind, Schedule, SlotId},
};

const DAY_US: i64 = 86_400_000_000;
/// Time between decisions: ten thousand a day.
const STEP_US: i64 = DAY_US / 10_000;

/// Shop with a slot on one page.
struct Shop {
    arms: &'static [&'static str],
    decisions: u32,
    mode: Option<Mode>,
    money: bool,
    /// Chance that a shopper who is new, or not, buys or clicks when the arm of this place is shown.
    chance: fn(bool, usize) -> f64,
}

impl Shop {
    fn definition(&self) -> Definition {
        let arm = |id: &&str| {
            Arc::new(Arm {
                id: ArmId::parse("arm_id", id).unwrap(),
                attributes: Features::new(),
                available: true,
                payload: None,
                because: None,
                schedule: Schedule::default(),
            })
        };
        let click = RewardKind {
            kind: "click".into(),
            weight: 1.0,
            use_value: false,
            cap: Some(1.0),
            winsorize: None,
            role: None,
            joins: None,
        };
        let purchase = RewardKind { kind: "purchase".into(), use_value: true, cap: None, ..click.clone() };
        let goal = Goal {
            kinds: vec![if self.money { purchase } else { click }],
            currency: self.money.then(|| "EUR".into()),
            window_us: DAY_US,
            ..Goal::default()
        };
        let slot = SlotId::parse("slot_id", "offers").unwrap();
        let mut definition = Definition { arms: self.arms.iter().map(arm).collect(), goal, ..Definition::new(slot) };
        definition.controls.mode = self.mode;
        definition
    }

    /// Returns the report after all decisions, as text.
    fn text(&self, seed: u64) -> String {
        let mut rng = StdRng::seed_from_u64(seed);
        let values = LogNormal::new(3.4, 1.0).unwrap();
        let definition = self.definition();
        let slot = definition.id.clone();
        let mut state = State::default();
        let mut at_us = 1_793_000_000_000_000;
        let created = plan(&state, &slot, Change::Create(definition), &ChangeReason::default()).unwrap().unwrap();
        state.apply(&Event { at_us, body: created });
        for i in 0..self.decisions {
            at_us += STEP_US;
            let new = rng.random_bool(0.5);
            let mut request = Request::new(slot.clone());
            let segment = if new { "new" } else { "loyal" };
            request.context.insert("segment".into(), Value::Text(segment.into()));
            request.subject.id = format!("shopper-{i}");
            let view = state.slot("offers").unwrap().view();
            let count = u64::from(i) + 1;
            let random = hash("six reports", &[&seed.to_be_bytes(), &count.to_be_bytes()]).word();
            let options = DecideOptions::new(DecisionId::new(view.number, at_us, count), random);
            let decided = Arc::new(decide(&view, request, options).decided);
            state.apply(&Event { at_us, body: Body::Decided(Arc::clone(&decided)) });
            let place = self.arms.iter().position(|arm| *arm == decided.chosen[0].arm.as_str()).unwrap();
            if rng.random_bool((self.chance)(new, place)) {
                let reward = RewardEvent {
                    slot: slot.clone(),
                    event_id: format!("e{i}"),
                    decision: Some(decided.id),
                    subject: Subject::default(),
                    arm: None,
                    kind: if self.money { "purchase" } else { "click" }.into(),
                    value: self.money.then(|| values.sample(&mut rng)),
                    time_us: 0,
                    reverses: None,
                };
                state.apply(&Event { at_us, body: Body::Rewarded(Box::new(reward)) });
            }
        }
        let view = state.slot("offers").unwrap().view();
        let week_us = 7 * DAY_US;
        let text = table(&PeriodReport {
            report: report(&view),
            period: period_figures(&view, at_us - week_us, at_us + 1),
            previous: period_figures(&view, at_us - 2 * week_us, at_us - week_us),
        });
        println!("{text}\n");
        text
    }
}

const OFFERS: Shop =
    Shop { arms: &["boots", "coats"], decisions: 6_000, mode: None, money: false, chance: |_, _| 0.05 };

#[test]
fn a_clear_winner_is_named() {
    let text = Shop { chance: |_, place| [0.05, 0.1][place], ..OFFERS }.text(1);
    let first = text.lines().next().unwrap();
    assert!(first.starts_with("Confident: ") || first.starts_with("Leading: "), "{first}");
    assert!(first.contains("'coats'") && !first.contains("boots"), "{first}");
}

/// One look calls one of two equal arms leading in a tenth of slots, and finds that segments want different ones in at most a tenth.
/// Five of eight would come once in a hundred times.
#[test]
fn no_winner_is_not_made_up() {
    let made_up = |seed: &u64| {
        let text = OFFERS.text(*seed);
        let first = text.lines().next().unwrap();
        assert!(!first.starts_with("Confident"), "{first}");
        !["No difference", "Learning", "Settled"].iter().any(|stage| first.starts_with(stage))
    };
    let count = (2..10).filter(made_up).count();
    assert!(count <= 4, "{count} of 8");
}

#[test]
fn two_segments_get_what_each_wants() {
    let chance = |new: bool, place: usize| if new { [0.02, 0.18][place] } else { [0.6, 0.45][place] };
    let text = Shop { chance, decisions: 10_000, ..OFFERS }.text(3);
    let first = text.lines().next().unwrap();
    assert!(
        ["'boots' for segment = loyal", "'coats' for segment = new"].iter().all(|part| first.contains(part)),
        "{first}"
    );
    // If all got the same, coats would have 31.5 % and boots 31 %: that is too close to tell.
    assert!(first.contains("('boots' or 'coats')") || first.contains("('coats' or 'boots')"), "{first}");
}

#[test]
fn scarce_decisions_are_called_that() {
    const ARMS: [&str; 20] =
        ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t"];
    let text = Shop { arms: &ARMS, decisions: 500, chance: |_, _| 0.01, ..OFFERS }.text(4);
    let first = text.lines().next().unwrap();
    assert!(first.starts_with("Learning") || first.starts_with("Warming up"), "{first}");
    // A click in a hundred cannot lose tens of per cent, so nothing but the width of the beliefs could say so.
    assert!(first.contains("too early to tell") && !text.contains("value remaining"), "{text}");
}

#[test]
fn money_is_said_in_its_currency() {
    let text = Shop { money: true, chance: |_, place| [0.03, 0.05][place], ..OFFERS }.text(5);
    assert!(text.contains(" EUR per decision"), "{text}");
    assert!(!text.contains("confident that 'boots'"), "{text}");
}

#[test]
fn shadow_mode_says_what_would_have_been_shown() {
    let text = Shop { mode: Some(Mode::Shadow), chance: |_, place| [0.05, 0.1][place], ..OFFERS }.text(6);
    let first = text.lines().next().unwrap();
    assert!(first.starts_with("Shadow mode"), "{first}");
    assert!(text.contains("would have shown") && !text.contains("value remaining"), "{text}");
    let boots = text.lines().find(|line| line.contains("boots ")).unwrap();
    assert!(!boots.contains("not shown yet"), "{boots}");
}
