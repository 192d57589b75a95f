//! Definitions for tests that write and read them: all models, all controls, and random ids and texts.

use std::sync::Arc;

use proptest::prelude::*;

use super::{
    Aggregation, Approval, Arm, ArmId, Baseline, Comparand, Controls, Definition, Effect, ExplorationPreset, Goal,
    HeadStart, JoinRule, KindRole, Learning, Mode, OnError, ProbabilityBounds, ProfileFeatures, RewardKind, Rule,
    Schedule, SilenceRule, SlotId, Stickiness, Unavailable, WarmUp,
};
use crate::bandit::{ClickModel, Expansion, LinearSpec, Link, ModelSpec, Sharing};

fn kind(use_value: bool, cap: Option<f64>, winsorize: Option<f64>) -> RewardKind {
    RewardKind { kind: "buy".into(), weight: 1.5, use_value, cap, winsorize, role: None, joins: None }
}

fn money_goal() -> Goal {
    let kinds = KindRole::ALL.iter().enumerate().map(|(i, &role)| RewardKind {
        kind: format!("kind{i}"),
        role: Some(role),
        joins: Some(JoinRule::ALL[i % 2]),
        ..kind(true, None, None)
    });
    Goal { kinds: kinds.collect(), currency: Some("EUR".to_owned()), ..Goal::default() }
}

fn arm_id(id: &str) -> ArmId {
    ArmId::parse("arm_id", id).unwrap()
}

fn arm(id: &str, because: Option<Unavailable>, schedule: Schedule) -> Arc<Arm> {
    let (id, attributes) = (arm_id(id), crate::bandit::Features::new());
    Arc::new(Arm { id, attributes, available: because.is_none(), payload: None, because, schedule })
}

/// Returns controls with each control at each of its settings.
fn controls_examples() -> Vec<Controls> {
    let mut controls_examples = vec![
        Controls {
            holdout: Some(0.1),
            arm_bounds: [
                (arm_id("a"), ProbabilityBounds { floor: Some(0.05), ceiling: None }),
                (arm_id("b"), ProbabilityBounds { floor: Some(0.1), ceiling: Some(0.6) }),
            ]
            .into(),
            warm_up: Some(WarmUp { views: 100, rewards: 7, patience: Some(3) }),
            head_start: Some(HeadStart { views: 50, floor: 0.125, limit: 0.25 }),
            salt: Some("spring".into()),
            experiment: Some("season".into()),
            analysis: Some(0.05),
            simulated: Some(true),
            ..Controls::default()
        },
        Controls {
            safe_choice: Some(true),
            freeze_learning: Some(true),
            exploration: Some(0.25),
            ..Controls::default()
        },
        Controls { subject_limit: Some(7), ..Controls::default() },
        Controls { subject_limit: Some(0), ..Controls::default() },
        Controls { approval: Some(Approval::default()), ..Controls::default() },
        Controls {
            approval: Some(Approval {
                changes: vec!["goal".into(), "controls.floor".into()],
                draft_lifetime_us: Some(3_600_000_000),
            }),
            ..Controls::default()
        },
    ];
    for features in ProfileFeatures::ALL {
        controls_examples.push(Controls { profile_features: Some(features), ..Controls::default() });
    }
    for preset in [
        ExplorationPreset::Cautious,
        ExplorationPreset::Balanced,
        ExplorationPreset::Curious,
        ExplorationPreset::EvenSplit,
    ] {
        controls_examples.push(Controls { preset: Some(preset), ..Controls::default() });
    }
    for mode in [Mode::On, Mode::Shadow, Mode::Test(0.3)] {
        controls_examples.push(Controls { mode: Some(mode), ..Controls::default() });
    }
    for baseline in [Baseline::CallersOrder, Baseline::Arm(arm_id("b")), Baseline::Uniform] {
        controls_examples.push(Controls { baseline: Some(baseline), ..Controls::default() });
    }
    for stickiness in [Stickiness::Never, Stickiness::Session, Stickiness::For(36 * 3600 * 1_000_000)] {
        controls_examples.push(Controls { stickiness: Some(stickiness), ..Controls::default() });
    }
    controls_examples
}

/// Returns one rule per effect.
fn rules() -> Vec<Rule> {
    let quota =
        |min_values, max_per_value| Effect::Quota { attribute: "brand".into(), top: 10, min_values, max_per_value };
    let effects = [
        Effect::Exclude,
        Effect::Evidence { confidence: 0.95, than: Comparand::Others },
        Effect::Evidence { confidence: 0.75, than: Comparand::Reward(-0.5) },
        Effect::Pin { position: 2 },
        Effect::Boost { factor: 1.25 },
        Effect::ProbabilityBounds { floor: Some(0.125), ceiling: None },
        Effect::ProbabilityBounds { floor: None, ceiling: Some(0.5) },
        Effect::SubjectCap { count: 3, window_us: 86_400_000_000, together: true },
        Effect::DayCap { count: 1_000, together: false },
        quota(Some(3), None),
        quota(None, Some(2)),
        Effect::MaxMoves { positions: 4 },
    ];
    let rule = |(i, effect): (usize, Effect)| Rule {
        name: format!("rule {i}"),
        when: if i == 4 { String::new() } else { "context.loyalty == \"gold\" && arm.discount > 0.2".into() },
        effect,
        on_error: if i % 2 == 0 { OnError::Exclude } else { OnError::Ignore },
        paused: i % 3 == 1,
    };
    effects.into_iter().enumerate().map(rule).collect()
}

/// Returns one definition per model, per setting of the goal and per control.
pub(crate) fn examples() -> Vec<Definition> {
    let of =
        |goal: Goal, model| Definition { goal, model, ..Definition::new(SlotId::parse("slot_id", "offers").unwrap()) };
    let mut examples = Vec::new();
    let linear = |link, expansion, sharing| {
        ModelSpec::Linear(LinearSpec { link, expansion, sharing, prior_precision: 0.3, dimension_budget: 100 })
    };
    for model in [
        ModelSpec::default(),
        ModelSpec::portfolio(Some(99), Some(12_345), Some(false)),
        linear(None, Expansion::None, None),
        linear(Some(Link::Identity), Expansion::Interactions, Some(Sharing::Disjoint)),
        linear(Some(Link::Logit), Expansion::Fourier, Some(Sharing::Opposed)),
        linear(Some(Link::Logit), Expansion::None, Some(Sharing::Shared)),
        ModelSpec::beta_bernoulli(Some(2.0), Some(0.5)),
        ModelSpec::normal_inverse_gamma(Some(-1.0), Some(0.2), Some(3.0), Some(4.0)),
    ] {
        examples.push(of(Goal::default(), model));
    }
    for learning in [Learning::Eager, Learning::AtClose] {
        for click_model in [ClickModel::None, ClickModel::PositionBased, ClickModel::Cascade] {
            for aggregation in [Aggregation::Sum, Aggregation::Max, Aggregation::Last] {
                let kinds = vec![kind(true, None, Some(0.99))];
                let goal = Goal { kinds, learning, click_model, aggregation, default_reward: -0.5, ..Goal::default() };
                examples.push(of(goal, ModelSpec::default()));
            }
        }
    }
    examples.push(of(money_goal(), ModelSpec::default()));
    examples.push(of(Goal { kinds: vec![kind(false, Some(3.0), None)], ..Goal::default() }, ModelSpec::default()));
    let waits =
        Goal { grace_period_us: Some(90_000_000), reversal_window_us: Some(30 * 86_400_000_000), ..Goal::default() };
    examples.push(of(waits, ModelSpec::default()));
    let seen =
        Goal { silence: SilenceRule::Shown, confirmation_window_us: Some(3 * 86_400_000_000), ..Goal::default() };
    examples.push(of(seen, ModelSpec::default()));
    let from_catalogue = "item.category == \"shoes\" && item.price < 100.0".to_owned();
    examples.push(Definition { from_catalogue, ..of(Goal::default(), ModelSpec::default()) });
    let always = Schedule::default();
    let (from_us, until_us) = (Some(1_793_000_000_000_000), Some(1_793_086_400_123_456));
    let arms = vec![
        arm("a", None, Schedule { from_us, until_us }),
        arm("b", Some(Unavailable::Paused), Schedule { from_us, until_us: None }),
        arm("c", Some(Unavailable::OutOfStock), Schedule { from_us: None, until_us }),
        arm("d", None, always),
    ];
    for controls in controls_examples() {
        let plain = of(Goal::default(), ModelSpec::default());
        examples.push(Definition { controls, arms: arms.clone(), rules: rules(), ..plain });
    }
    examples
}

/// Strategy of ids that the API allows for arms, subjects and events, rich in characters that quoting often gets wrong.
pub(crate) fn any_id() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        4 => any::<char>().prop_filter("no control characters", |c| !c.is_control()),
        3 => prop::sample::select("\"'\\`,;=:/&<>{}[]()|#?%$ -+@\u{2028}\u{202e}\u{301}".chars().collect::<Vec<_>>()),
        2 => prop::char::range('a', 'z'),
    ];
    prop::collection::vec(character, 1..64).prop_map(|characters| characters.into_iter().collect())
}

/// Strategy of texts, including control characters.
pub(crate) fn any_text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop_oneof![any::<char>(), prop::char::range('\0', '\u{a0}')], 1..60)
        .prop_map(|characters| characters.into_iter().collect())
}

/// Returns a definition that has these ids, of which the first two differ, in all fields of ids, and `text` in all
/// fields of texts.
pub(crate) fn odd_definition(ids: &[String], text: &str) -> Definition {
    let word = crate::bandit::Value::Text(text.into());
    let arm = |id: &String| {
        let mut arm = Arm::new(arm_id(id));
        arm.attributes = [(text.chars().take(30).collect(), word.clone()), ("plain".into(), word.clone())].into();
        arm.payload = Some([(text.to_owned(), text.into()), (id.clone(), id.as_str().into())].into_iter().collect());
        Arc::new(arm)
    };
    let mut definition = Definition::new(SlotId::parse("slot_id", "offers").unwrap());
    definition.display_name = text.to_owned();
    definition.arms = ids.iter().map(arm).collect();
    definition.default_arm = Some(arm_id(&ids[0]));
    let share = ProbabilityBounds { floor: Some(0.05), ceiling: Some(0.6) };
    definition.controls.arm_bounds = [(arm_id(&ids[1]), share)].into();
    definition.controls.baseline = Some(Baseline::Arm(arm_id(&ids[0])));
    definition.rules = vec![Rule {
        name: format!("not {}", ids[0].chars().take(30).collect::<String>()),
        when: format!("context.x == 1.0 && arm.id == {}", serde_json::to_string(&ids[0]).unwrap()),
        effect: Effect::Exclude,
        on_error: OnError::Ignore,
        paused: false,
    }];
    definition
}

/// Strategy of two or more different ids.
pub(crate) fn any_ids() -> impl Strategy<Value = Vec<String>> {
    prop::collection::btree_set(any_id(), 2..6).prop_map(|ids| ids.into_iter().collect())
}
