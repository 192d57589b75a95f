//! Documents as people write them.

use super::*;
use crate::bandit::Value;

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
fn a_document_says_what_the_contract_says() {
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
    let text = toml::to_string_pretty(&SlotDocument::of(&definition)).unwrap();
    assert_eq!(parse(&text).definition().unwrap(), definition, "{text}");
}

#[test]
fn every_way_to_learn_and_every_lever_survives_its_document() {
    for definition in crate::slot::examples() {
        let text = toml::to_string_pretty(&SlotDocument::of(&definition)).unwrap();
        assert_eq!(parse(&text).definition().unwrap(), definition, "{text}");
    }
}

proptest::proptest! {
    // A hundred would parse for seconds.
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_ids_and_texts_survive_the_document(ids in crate::slot::any_ids(), text in crate::slot::any_text()) {
        let definition = crate::slot::odd_definition(&ids, &text);
        let document = toml::to_string_pretty(&SlotDocument::of(&definition)).unwrap();
        assert_eq!(parse(&document).definition().unwrap(), definition, "{document}");
        let json = serde_json::to_string_pretty(&SlotDocument::of(&definition)).unwrap();
        assert_eq!(serde_json::from_str::<SlotDocument>(&json).unwrap().definition().unwrap(), definition, "{json}");
    }
}

#[test]
fn every_form_that_the_contract_suggests_is_taken() {
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
fn payloads_are_what_the_service_keeps() {
    let text =
        "slot_id = \"a\"\n[[arms]]\narm_id = \"x\"\npayload = { rank = 1, until = 2026-12-01, deep = [{ n = 2 }] }";
    let mut definition = parse(text).definition().unwrap();
    let payload = definition.arms[0].payload.clone().unwrap();
    assert_eq!(payload["rank"], serde_json::json!(1.0));
    assert_eq!(payload["until"], "2026-12-01");
    assert_eq!(payload["deep"][0]["n"], serde_json::json!(2.0));
    let with_null = serde_json::from_str("{\"a\": null, \"b\": [null, 1.0]}").unwrap();
    Arc::make_mut(&mut definition.arms[0]).payload = Some(with_null);
    assert!(toml::to_string_pretty(&SlotDocument::of(&definition)).is_ok());
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
fn times_are_taken_as_toml_has_them_and_as_texts() {
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
fn an_arm_says_why_it_is_not_available_and_only_then() {
    let because = |text: &str| {
        let text = format!("slot_id = \"a\"\n[[arms]]\narm_id = \"x\"\nunavailable_because = \"paused\"\n{text}");
        parse(&text).definition().unwrap().arms[0].because
    };
    assert_eq!(because("available = false"), Some(Unavailable::Paused));
    assert_eq!(because(""), None);
}

/// Everybody who follows the README's first example sees a choice: nobody of it is in the holdout, which is shown the
/// baseline with certainty.
#[test]
fn the_readme_s_first_decision_is_a_choice() {
    use crate::{
        engine::{Body, Change, DecisionId, Draw, Event, Request, State, decide, hash, plan},
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
        // By turns as with grpcurl, and as from Python, where nobody is named.
        if n % 2 == 0 {
            (request.subject.id, request.subject.session_id) = ("customer-17".into(), "s-4711".into());
        }
        let random = hash("readme", &[&n.to_be_bytes()]);
        let id = DecisionId::new(view.number, at_us, random.other_word());
        let draw = Draw { id, seed: random.word(), taken: &[], deadline_passed: false };
        let decided = decide(&view, request, draw).decided;
        assert!(!decided.holdout && decided.chosen.len() == 1);
        let propensity = decided.chosen[0].propensity;
        assert!((0.01..0.99).contains(&propensity), "{propensity}");
    }
}

/// A misspelt word of every choice there is names the one that was meant.
#[test]
fn a_misspelt_word_is_answered_with_the_one_that_was_meant() {
    let told = |text: &str| {
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
        ("controls.mode = \"wacth\"", "watch"),
        ("controls.baseline = \"uniforn\"", "uniform"),
        ("[[arms]]\narm_id = \"a\"\nunavailable_because = \"pausd\"", "paused"),
    ] {
        let line = told(text);
        assert!(line.contains(&format!("did you mean '{meant}'")) && !line.contains('\n'), "{text}: {line}");
    }
    assert!(told("controls.policy = 3").contains("by name, or as a table"), "{}", told("controls.policy = 3"));
    for (text, language) in [("slot_id: offers\nkind: offer\n", "YAML"), ("{\"slot_id\": \"offers\"}", "JSON")] {
        let line = unreadable(&toml::from_str::<SlotDocument>(text).unwrap_err(), text);
        assert!(line.contains(language) && line.contains("slots are TOML") && !line.contains('\n'), "{line}");
    }
}
