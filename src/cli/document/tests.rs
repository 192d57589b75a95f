//! Documents as people write them, and as the program writes them.

use std::sync::Arc;

use super::*;
use crate::{
    bandit::{ModelSpec, Policy, Value},
    slot::{
        ArmId, Baseline, Comparand, Controls, Effect, ExplorationPreset, HeadStart, Mode, ProbabilityBounds, Rule,
        Schedule, SlotKind, Stickiness, Unavailable, WarmUp,
    },
};

const WHOLE: &str = r#"
slot_id = "offers"
display_name = "Offers on the home page"
kind = "SLOT_KIND_BLOCK"
count = 2
default_arm_id = "none"
default_consent = "session_only"

[goal]
window = "36h"
aggregation = "max"
kinds = [{ kind = "buy", weight = 1.5, use_value = true, cap = 500 }]

[model.linear]
dimension_budget = 64

[controls]
exploration = 0.5
half_life = "3days"

[[arms]]
arm_id = "none"

[[arms]]
arm_id = "gift"
available = false
attributes = { price = 3, brand = "acme", new = true, tags = ["a", "b"], taste = [0.5, 1.0], colour = { text = "red" } }
payload = { title = "A gift", rank = 1.5, deep = { list = [1.0, "x"] } }
"#;

fn parse(text: &str) -> SlotDocument {
    toml::from_str(text).unwrap()
}

#[test]
fn a_document_sets_the_fields_of_the_api() {
    let definition = parse(WHOLE).definition().unwrap();
    assert_eq!((definition.kind, definition.count()), (SlotKind::Block, 2));
    assert_eq!(definition.goal.window_us, 36 * 3_600_000_000);
    assert_eq!(definition.controls.half_life_us, Some(3 * 86_400_000_000));
    assert_eq!(definition.model, ModelSpec::linear(None, Some(64)));
    let gift = &definition.arms[1];
    assert!(!gift.available);
    assert_eq!(gift.attributes["price"], Value::Number(3.0));
    assert_eq!(gift.attributes["colour"], Value::Text("red".into()));
    assert_eq!(gift.attributes["taste"], Value::Vector(vec![0.5, 1.0]));
    assert_eq!(gift.attributes["tags"], Value::Texts(vec!["a".into(), "b".into()]));
}

#[test]
fn a_definition_survives_its_document() {
    let definition = parse(WHOLE).definition().unwrap();
    let text = toml::to_string_pretty(&SlotDocument::from_definition(&definition)).unwrap();
    assert_eq!(parse(&text).definition().unwrap(), definition, "{text}");
}

#[test]
fn every_model_and_every_control_survives_its_document() {
    for definition in crate::slot::examples() {
        let text = toml::to_string_pretty(&SlotDocument::from_definition(&definition)).unwrap();
        assert_eq!(parse(&text).definition().unwrap(), definition, "{text}");
    }
}

proptest::proptest! {
    // A hundred cases would take seconds.
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_ids_and_texts_survive_the_document(ids in crate::slot::any_ids(), text in crate::slot::any_text()) {
        let definition = crate::slot::odd_definition(&ids, &text);
        let document = toml::to_string_pretty(&SlotDocument::from_definition(&definition)).unwrap();
        assert_eq!(parse(&document).definition().unwrap(), definition, "{document}");
        let json = serde_json::to_string_pretty(&SlotDocument::from_definition(&definition)).unwrap();
        assert_eq!(serde_json::from_str::<SlotDocument>(&json).unwrap().definition().unwrap(), definition, "{json}");
    }
}

#[test]
fn every_form_of_a_choice_is_accepted() {
    for (text, want) in [
        ("model = \"beta_bernoulli\"", ModelSpec::beta_bernoulli(None, None)),
        ("model = {}", ModelSpec::default()),
        ("[model.beta_bernoulli]\nprior_a = 2.0", ModelSpec::beta_bernoulli(Some(2.0), None)),
        ("kind = \"OFFER\"\ndefault_consent = \"FULL\"\n[goal]\nwindow = 86400", ModelSpec::default()),
    ] {
        let definition = parse(&format!("slot_id = \"a\"\n{text}")).definition().unwrap();
        assert_eq!((definition.model, definition.goal.window_us), (want, 86_400_000_000), "{text}");
    }
}

#[test]
fn a_payload_is_read_as_the_service_keeps_it() {
    let text =
        "slot_id = \"a\"\n[[arms]]\narm_id = \"x\"\npayload = { rank = 1, until = 2026-12-01, deep = [{ n = 2 }] }";
    let mut definition = parse(text).definition().unwrap();
    let payload = definition.arms[0].payload.clone().unwrap();
    assert_eq!(payload["rank"], serde_json::json!(1.0));
    assert_eq!(payload["until"], "2026-12-01");
    assert_eq!(payload["deep"][0]["n"], serde_json::json!(2.0));
    let with_null = serde_json::from_str("{\"a\": null, \"b\": [null, 1.0]}").unwrap();
    Arc::make_mut(&mut definition.arms[0]).payload = Some(with_null);
    // TOML has no null: the document leaves it out.
    let text = toml::to_string_pretty(&SlotDocument::from_definition(&definition)).unwrap();
    let payload = parse(&text).definition().unwrap().arms[0].payload.clone().unwrap();
    assert_eq!(serde_json::Value::Object(payload), serde_json::json!({ "b": [1.0] }));
}

#[test]
fn an_unknown_key_and_a_wrong_value_are_refused() {
    assert!(toml::from_str::<SlotDocument>("slot_id = \"a\"\ncolour = 1").is_err());
    let error = parse("slot_id = \"a\"\n[controls]\nfloor = 2.0").definition().unwrap_err();
    assert_eq!(error.field, "controls.floor");
    let error = parse("slot_id = \"a\"\n[controls]\nhalf_life = \"soon\"").definition().unwrap_err();
    assert_eq!(error.field, "controls.half_life");
}

#[test]
fn times_are_accepted_as_toml_times_and_as_texts() {
    let schedule = |text: &str| {
        let text = format!("slot_id = \"a\"\n[[arms]]\narm_id = \"x\"\nschedule = {text}");
        parse(&text).definition().map(|definition| definition.arms[0].schedule)
    };
    let day_us = 86_400_000_000;
    let from = |from_us| Ok(Schedule { from_us: Some(from_us), until_us: None });
    assert_eq!(schedule("{ from = 1970-01-02 }"), from(day_us));
    assert_eq!(schedule("{ from = \"1970-01-02\" }"), from(day_us));
    assert_eq!(schedule("{ from = 1970-01-02T00:00:01.5Z }"), from(day_us + 1_500_000));
    assert_eq!(schedule("{ from = \"1970-01-02T00:00:01.5Z\" }"), from(day_us + 1_500_000));
    assert_eq!(schedule("{ from = \"tomorrow\" }").unwrap_err().field, "arms[0].schedule.from");
    assert_eq!(schedule("{ from = 1970-01-02, until = 1970-01-02 }").unwrap_err().field, "arms[0].schedule.until");
}

#[test]
fn an_arm_has_a_reason_only_while_it_is_not_available() {
    let because = |text: &str| {
        let text = format!("slot_id = \"a\"\n[[arms]]\narm_id = \"x\"\nunavailable_because = \"paused\"\n{text}");
        parse(&text).definition().unwrap().arms[0].because
    };
    assert_eq!(because("available = false"), Some(Unavailable::Paused));
    assert_eq!(because(""), None);
}

/// A reader who follows the README's first example sees a choice, because its holdout is empty.
#[test]
fn the_readme_s_first_decision_is_a_choice() {
    use crate::{
        engine::{Body, Change, DecideOptions, DecisionId, Event, Request, State, decide, hash, plan},
        slot::ChangeReason,
    };
    let readme = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"));
    let (_, rest) = readme.split_once("```toml\n").unwrap();
    let (text, _) = rest.split_once("\n```").unwrap();
    let definition = parse(text).definition().unwrap();
    let slot = definition.id.clone();
    let mut state = State::default();
    let at_us = 1_793_000_000_000_000;
    let body = plan(&state, &slot, Change::Create(definition), &ChangeReason::default()).unwrap().unwrap();
    assert!(matches!(body, Body::SlotCreated { .. }));
    state.apply(&Event { at_us, body });
    let view = state.slot(slot.as_str()).unwrap().view();
    for n in 0..1_000_u64 {
        let mut request = Request::new(slot.clone());
        request.context = [
            ("device".to_owned(), Value::Text("phone".into())),
            ("basket_value".to_owned(), Value::Number(42.5)),
            ("returning".to_owned(), Value::Flag(true)),
        ]
        .into();
        // Every second request has a subject, as with grpcurl; the others are anonymous, as from Python.
        if n % 2 == 0 {
            (request.subject.id, request.subject.session_id) = ("customer-17".into(), "s-4711".into());
        }
        let random = hash("readme", &[&n.to_be_bytes()]);
        let id = DecisionId::new(view.number, at_us, random.other_word());
        let options = DecideOptions::new(id, random.word());
        let decided = decide(&view, request, options).decided;
        assert!(!decided.holdout && decided.chosen.len() == 1);
        let propensity = decided.chosen[0].propensity;
        assert!((0.01..0.99).contains(&propensity), "{propensity}");
    }
}

/// A misspelt word of each choice is answered with the word that was meant.
#[test]
fn a_misspelt_word_is_answered_with_a_suggestion() {
    let message = |text: &str| {
        let text = format!("slot_id = \"s\"\n{text}\n");
        unreadable(&toml::from_str::<SlotDocument>(&text).unwrap_err(), &text)
    };
    for (text, meant) in [
        ("controls.policy = \"tompson_sampling\"", "thompson_sampling"),
        ("controls.policy = \"greddy\"", "greedy"),
        ("[controls.policy.epsilon_gredy]\nepsilon = 0.1", "epsilon_greedy"),
        ("[controls.policy.epsilon_greedy]\nepsilonn = 0.1", "epsilon"),
        ("model = \"portfolo\"", "portfolio"),
        ("[model.linear]\nlink = \"logitt\"", "logit"),
        ("kind = \"ofer\"", "offer"),
        ("default_consent = \"ful\"", "full"),
        ("goal.aggregation = \"summ\"", "sum"),
        ("goal.learning = \"egaer\"", "eager"),
        ("goal.click_model = \"cascad\"", "cascade"),
        ("controls.mode = \"shadwo\"", "shadow"),
        ("controls.baseline = \"uniforn\"", "uniform"),
        ("[[arms]]\narm_id = \"a\"\nunavailable_because = \"pausd\"", "paused"),
    ] {
        let line = message(text);
        assert!(line.contains(&format!("did you mean '{meant}'")) && !line.contains('\n'), "{text}: {line}");
    }
    let line = message("controls.policy = 3");
    assert!(line.contains("by name, or as a table"), "{line}");
    for (text, language) in [("slot_id: offers\nkind: offer\n", "YAML"), ("{\"slot_id\": \"offers\"}", "JSON")] {
        let line = unreadable(&toml::from_str::<SlotDocument>(text).unwrap_err(), text);
        assert!(line.contains(language) && line.contains("slots are TOML") && !line.contains('\n'), "{line}");
    }
}

/// Parses a document that consists of an id and of controls.
fn controls_document(text: &str) -> Result<SlotDocument, toml::de::Error> {
    let text = text.replace("[mode.test]", "[controls.mode.test]").replace("[policy.", "[controls.policy.");
    let text = text.replace("[arm_bounds]", "[controls.arm_bounds]");
    toml::from_str(&format!("slot_id = \"s\"\nopen_catalogue = true\n[controls]\n{text}"))
}

fn controls(text: &str) -> Controls {
    controls_document(text).unwrap().definition().unwrap().controls
}

#[test]
fn controls_are_given_by_name_or_by_their_parameters() {
    for (text, want) in [
        ("exploration = 0.7", Controls { exploration: Some(0.7), ..Controls::default() }),
        ("exploration = 2", Controls { exploration: Some(2.0), ..Controls::default() }),
        ("exploration = \"cautious\"", Controls { preset: Some(ExplorationPreset::Cautious), ..Controls::default() }),
        (
            "exploration_preset = \"even_split\"",
            Controls { preset: Some(ExplorationPreset::EvenSplit), ..Controls::default() },
        ),
        ("mode = {}", Controls::default()),
        ("mode = \"shadow\"", Controls { mode: Some(Mode::Shadow), ..Controls::default() }),
        ("mode = { shadow = {} }", Controls { mode: Some(Mode::Shadow), ..Controls::default() }),
        ("[mode.test]\nshare = 0.2", Controls { mode: Some(Mode::Test(0.2)), ..Controls::default() }),
        ("baseline = \"uniform\"", Controls { baseline: Some(Baseline::Uniform), ..Controls::default() }),
        ("stickiness = \"session\"", Controls { stickiness: Some(Stickiness::Session), ..Controls::default() }),
        (
            "stickiness = { for = \"7days\" }",
            Controls { stickiness: Some(Stickiness::For(7 * 86_400_000_000)), ..Controls::default() },
        ),
        ("subject_limit = 0", Controls { subject_limit: Some(0), ..Controls::default() }),
        (
            "head_start = { views = 9, floor = 0.1 }",
            Controls { head_start: Some(HeadStart { views: 9, floor: 0.1, limit: 0.5 }), ..Controls::default() },
        ),
        (
            "warm_up = { views = 9 }",
            Controls { warm_up: Some(WarmUp { views: 9, rewards: 0, patience: None }), ..Controls::default() },
        ),
    ] {
        assert_eq!(controls(text), want, "{text}");
    }
    let arm = ArmId::parse("arm_id", "a").unwrap();
    assert_eq!(controls("baseline = { arm_id = \"a\" }").baseline, Some(Baseline::Arm(arm.clone())));
    let shares = controls("[arm_bounds]\na = { floor = 0.2 }").arm_bounds;
    assert_eq!(shares, [(arm, ProbabilityBounds { floor: Some(0.2), ceiling: None })].into());
}

#[test]
fn an_unknown_control_is_refused_with_the_known_ones() {
    for (text, words) in [
        ("exploration = \"wild\"", "cautious, balanced, curious or even_split"),
        ("mode = \"off\"", "on, shadow, or a table"),
        ("baseline = \"best\"", "callers_order, uniform, or a table"),
        ("stickiness = 3", "never, session, or a table"),
        ("warm_up = { shows = 3 }", "shows"),
    ] {
        let error = controls_document(text).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let both = "exploration = \"cautious\"\nexploration_preset = \"curious\"";
    let error = controls_document(both).unwrap().definition().unwrap_err();
    assert_eq!(error.field, "controls.exploration_preset");
}

fn policy(text: &str) -> Option<Policy> {
    controls(text).policy
}

#[test]
fn a_policy_is_given_by_name_or_by_its_parameters() {
    for (text, want) in [
        ("", None),
        ("policy = {}", None),
        ("policy = \"uniform\"", Some(Policy::Uniform)),
        ("policy = { uniform = {} }", Some(Policy::Uniform)),
        ("policy = \"epsilon_greedy\"", Some(Policy::EpsilonGreedy { epsilon: 0.05 })),
        ("[policy.epsilon_greedy]", Some(Policy::EpsilonGreedy { epsilon: 0.05 })),
        ("[policy.epsilon_greedy]\nepsilon = 0.3", Some(Policy::EpsilonGreedy { epsilon: 0.3 })),
        ("policy = \"square_cb\"", Some(Policy::SquareCb { gamma: 1000.0 })),
        ("policy = { square_cb = { gamma = 20 } }", Some(Policy::SquareCb { gamma: 20.0 })),
    ] {
        assert_eq!(policy(text), want, "{text}");
    }
    for text in ["policy = \"ucb\"", "policy = { greedy = { epsilon = 0.1 } }", "policy = 3"] {
        let error = controls_document(text).unwrap_err().to_string();
        assert!(error.contains("lin_ucb or square_cb: by name"), "{error}");
    }
}

#[test]
fn every_policy_survives_its_document_under_its_name() {
    for wanted in [
        Policy::ThompsonSampling,
        Policy::Uniform,
        Policy::FixedOrder,
        Policy::Greedy,
        Policy::EpsilonGreedy { epsilon: 0.3 },
        Policy::LinUcb,
        Policy::SquareCb { gamma: 40.0 },
    ] {
        let mut definition = parse(WHOLE).definition().unwrap();
        definition.controls.policy = Some(wanted);
        let text = toml::to_string_pretty(&SlotDocument::from_definition(&definition)).unwrap();
        assert_eq!(parse(&text).definition().unwrap().controls.policy, Some(wanted), "{text}");
        assert!(text.contains(wanted.name()), "{text}");
    }
}

fn rule(text: &str) -> Result<Rule, FieldError> {
    let text = format!("slot_id = \"s\"\n[[rules]]\nname = \"r\"\n{text}");
    Ok(parse(&text).unchecked()?.rules.remove(0))
}

#[test]
fn each_effect_has_its_key() {
    let seven_days = 7 * 86_400_000_000;
    let quota = Effect::Quota { attribute: "brand".into(), top: 10, min_values: Some(3), max_per_value: None };
    for (text, effect) in [
        ("exclude = {}", Effect::Exclude),
        ("evidence = { confidence = 0.95 }", Effect::Evidence { confidence: 0.95, than: Comparand::Others }),
        ("evidence = { confidence = 0.9, others = {} }", Effect::Evidence { confidence: 0.9, than: Comparand::Others }),
        (
            "evidence = { confidence = 0.9, reward = 2 }",
            Effect::Evidence { confidence: 0.9, than: Comparand::Reward(2.0) },
        ),
        ("pin = { position = 1 }", Effect::Pin { position: 1 }),
        ("boost = { factor = 1.5 }", Effect::Boost { factor: 1.5 }),
        ("bounds = { ceiling = 0.5 }", Effect::ProbabilityBounds { floor: None, ceiling: Some(0.5) }),
        (
            "subject_cap = { count = 3, window = \"7days\", together = true }",
            Effect::SubjectCap { count: 3, window_us: seven_days, together: true },
        ),
        ("day_cap = { count = 1000 }", Effect::DayCap { count: 1_000, together: false }),
        ("quota = { attribute = \"brand\", top = 10, min_values = 3 }", quota),
        ("max_moves = { positions = 2 }", Effect::MaxMoves { positions: 2 }),
    ] {
        assert_eq!(rule(text).map(|rule| rule.effect), Ok(effect), "{text}");
    }
}

#[test]
fn a_rule_has_one_effect() {
    let none = rule("when = \"true\"").unwrap_err();
    assert!(none.field == "rules[0].effect" && none.message.contains("set one of exclude"), "{none}");
    let two = rule("exclude = {}\npin = { position = 1 }").unwrap_err();
    assert!(two.message.contains("exclude and pin"), "{two}");
    let both = rule("evidence = { confidence = 0.9, reward = 2.0, others = {} }").unwrap_err();
    assert_eq!(both.field, "rules[0].evidence");
    let unknown = "slot_id = \"s\"\n[[rules]]\nname = \"r\"\nbury = { factor = 0.5 }";
    assert!(toml::from_str::<SlotDocument>(unknown).is_err());
}
