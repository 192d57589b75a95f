//! The page "Rules", and the page on which a rule is written.

use slotwise::wire::proto::{Arm, DecideRequest, Rule, SetArmAvailabilityRequest, Slot, Subject, rule::Effect};

use super::{Browser, current, serde_urlencoded, traffic};
use crate::support::{context, decide, number, slot, started, text};

fn query(fields: &[(&str, &str)]) -> String {
    format!("/slots/offers/rule?{}", serde_urlencoded(fields))
}

fn names(slot: &Slot) -> Vec<String> {
    slot.rules.iter().map(|rule| format!("{}{}", rule.name, if rule.paused { "-" } else { "" })).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_is_written_tried_applied_edited_ordered_paused_and_removed() {
    let (_folder, server, mut clients) = started().await;
    let mut made = slot("offers", &["a", "b", "c"]);
    made.arms[0].attributes = context(&[("discount", number(0.3)), ("brand", text("acme"))]);
    clients.create(made).await.unwrap();
    traffic(&mut clients, "offers", 60).await;
    let browser = Browser::new(&server);
    assert!(browser.get("/slots/offers/rules").await.page.contains("The slot has no rule"));
    let kinds = browser.get("/slots/offers/rule").await.page;
    assert!(kinds.contains("What should the rule do?") && kinds.contains("effect=subject_cap"), "{kinds}");
    let form = browser.get("/slots/offers/rule?effect=exclude").await.page;
    for words in ["Of the context came: basket, device", "Arms have: brand, discount", "Check and preview"] {
        assert!(form.contains(words), "{words}: {form}");
    }
    assert!(!form.contains("Apply it"), "nothing is applied before it was previewed");

    // A mistake is named with its place, and nothing is changed.
    let mut draft = vec![
        ("revision", "1"),
        ("effect", "exclude"),
        ("name", "no discounts on phones"),
        ("when", "context.device == \"phone\" && arms.discount > 0.2"),
        ("preview", "1"),
    ];
    let wrong = browser.get(&query(&draft)).await.page;
    assert!(
        wrong.contains("Condition: line 1, column 29: ‘arms’ is not known") || wrong.contains("Condition: line 1"),
        "{wrong}"
    );
    draft[3].1 = "context.device == \"phone\" && arm.discount > 0.2";
    let tried = browser.get(&query(&draft)).await.page;
    for words in ["On the last request", "What it would have done", "50.0 %", "Apply it"] {
        assert!(tried.contains(words), "{words}: {tried}");
    }
    // The last request came from a desktop.
    assert!(tried.contains("The rule has no effect on it"), "{tried}");
    assert!(current(&mut clients, "offers").await.rules.is_empty());

    draft.push(("reason", "they do not pay"));
    let applied = browser.post("/slots/offers/rule", &draft).await;
    assert_eq!((applied.status, applied.location()), (303, "/slots/offers/rules"), "{}", applied.page);
    let pin = [
        ("revision", "2"),
        ("effect", "pin"),
        ("position", "1"),
        ("name", "b leads"),
        ("when", "arm.id == \"b\""),
        ("reason", "a campaign"),
    ];
    assert_eq!(browser.post("/slots/offers/rule", &pin).await.status, 303);
    let now = current(&mut clients, "offers").await;
    assert_eq!(names(&now), ["no discounts on phones", "b leads"]);
    assert!(matches!(now.rules[1].effect, Some(Effect::Pin(pin)) if pin.position == 1));

    let counted = browser.get("/slots/offers/rules?counts=1").await.page;
    assert!(counted.contains("Has an effect in 50.0 % of the last 60 decisions"), "{counted}");
    assert!(browser.get("/slots/offers/rules").await.page.contains("data-more=\"/slots/offers/rules?counts=1\""));

    // Editing begins with the rule as it is, and keeps its place.
    let edit = browser.get("/slots/offers/rule?rule=no+discounts+on+phones").await.page;
    assert!(edit.contains("Edit the rule") && edit.contains("value=\"3\""), "{edit}");
    let edited = [
        ("revision", "3"),
        ("original", "no discounts on phones"),
        ("name", "few discounts on phones"),
        ("when", "context.device == \"phone\" && arm.discount > 0.2"),
        ("effect", "boost"),
        ("factor", "0,5"),
        ("on_error", "exclude"),
        ("reason", "softer"),
    ];
    assert_eq!(browser.post("/slots/offers/rule", &edited).await.status, 303);
    for (revision, action) in [("4", "down"), ("5", "pause")] {
        let form =
            [("revision", revision), ("rule", "few discounts on phones"), ("action", action), ("reason", "order")];
        let done = browser.post("/slots/offers/rules", &form).await;
        assert_eq!(done.status, 303, "{action}: {}", done.page);
    }
    assert_eq!(names(&current(&mut clients, "offers").await), ["b leads", "few discounts on phones-"]);
    let remove = [("revision", "6"), ("rule", "b leads"), ("action", "remove"), ("reason", "over")];
    assert_eq!(browser.post("/slots/offers/rules", &remove).await.status, 303);
    assert_eq!(names(&current(&mut clients, "offers").await), ["few discounts on phones-"]);
    assert!(browser.get("/slots/offers/history").await.page.contains("softer"));
    assert_eq!(browser.get("/slots/offers/rule?rule=nothing").await.status, 404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_effect_of_a_rule_on_the_last_request_agrees_with_its_probabilities() {
    let (_folder, server, mut clients) = started().await;
    let mut made = slot("offers", &["a", "b"]);
    made.controls.get_or_insert_default().holdout = Some(0.5);
    made.default_arm_id = "a".into();
    clients.create(made).await.unwrap();
    let browser = Browser::new(&server);
    let push =
        [("revision", "1"), ("effect", "boost"), ("factor", "3"), ("name", "push b"), ("when", "arm.id == \"b\"")];
    let draft = query(&[&push[..], &[("preview", "1")]].concat());
    let mut seen = [false; 2];
    for number in 0..20 {
        let subject = Some(Subject { id: format!("shopper-{number}"), ..Subject::default() });
        let decided = clients.decide(DecideRequest { subject, ..decide("offers") }).await.unwrap();
        let page = browser.get(&draft).await.page;
        let (_, last) = page.split_once("On the last request").unwrap();
        let (last, _) = last.split_once("</section>").unwrap();
        assert!(!last.contains("The rule has no effect"), "the probabilities change: {last}");
        assert_eq!(last.contains("This shopper gets the baseline"), decided.holdout, "{last}");
        assert_eq!(last.contains("The rule has an effect on it"), !decided.holdout, "{last}");
        seen[usize::from(decided.holdout)] = true;
    }
    assert_eq!(seen, [true, true]);

    // A condition that holds no longer for the last request.
    assert_eq!(browser.post("/slots/offers/rule", &[&push[..], &[("reason", "x")]].concat()).await.status, 303);
    clients.decide(decide("offers")).await.unwrap();
    let edited = [
        ("revision", "2"),
        ("original", "push b"),
        ("effect", "boost"),
        ("factor", "3"),
        ("name", "push"),
        ("when", "arm.id == \"c\""),
        ("preview", "1"),
    ];
    let page = browser.get(&query(&edited)).await.page;
    assert!(page.contains("The rule no longer has an effect on it"), "{page}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_editors_of_rules_and_arms_never_overwrite_each_other_silently() {
    let (_folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a", "b", "c"])).await.unwrap();
    let browser = Browser::new(&server);
    let rule = |name: &'static str, revision: &'static str| {
        [("revision", revision), ("effect", "exclude"), ("name", name), ("when", "arm.id == \"a\""), ("reason", "x")]
    };
    assert_eq!(browser.post("/slots/offers/rule", &rule("first", "1")).await.status, 303);
    // The other editor opened the page before.
    let stale = browser.post("/slots/offers/rule", &rule("second", "1")).await;
    assert!(stale.status == 200 && stale.page.contains("changed it last"), "{}", stale.page);
    assert!(
        stale.page.contains("value=\"second\"") && stale.page.contains("name=\"revision\" value=\"2\""),
        "the draft stays"
    );
    assert_eq!(names(&current(&mut clients, "offers").await), ["first"]);
    assert_eq!(browser.post("/slots/offers/rule", &rule("second", "2")).await.status, 303, "knowingly");

    let pause = [("revision", "2"), ("rule", "first"), ("action", "pause"), ("reason", "x")];
    let refused = browser.post("/slots/offers/rules", &pause).await;
    assert!(refused.status == 200 && refused.page.contains("Nothing was changed"), "{}", refused.page);
    let gone = [("revision", "3"), ("rule", "third"), ("action", "pause"), ("reason", "x")];
    assert!(browser.post("/slots/offers/rules", &gone).await.page.contains("no longer there"));

    let arm =
        [("revision", "2"), ("original", "b"), ("attributes", "brand = acme"), ("action", "apply"), ("reason", "x")];
    let stale = browser.post("/slots/offers/arm", &arm).await;
    assert!(stale.status == 200 && stale.page.contains("changed it last"), "{}", stale.page);
    assert!(stale.page.contains("brand = acme"), "the form stays");
    assert!(clients.arms("offers").await.iter().all(|arm: &Arm| arm.attributes.is_empty()));

    // A stock feed does not stand in the way of somebody who edits.
    let off = SetArmAvailabilityRequest {
        slot_id: "offers".into(),
        available: [("c".to_owned(), false)].into(),
        ..SetArmAvailabilityRequest::default()
    };
    clients.slots.set_arm_availability(off).await.unwrap();
    assert_eq!(browser.post("/slots/offers/rule", &rule("third", "3")).await.status, 303);
    let rules: Vec<Rule> = current(&mut clients, "offers").await.rules;
    assert_eq!(rules.len(), 3);
    server.stop().await;
}
