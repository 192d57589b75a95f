//! Fold of shopper events: the rewards that they give, and what takes them back.

use std::collections::BTreeMap;

use slotwise::{
    engine::{
        Body, EventEffect, EventStatus, RewardEvent, ShopperEffect, ShopperEvent, ShopperItem, SlotShard, State,
        Subject, report, snapshot,
    },
    slot::{Controls, Definition, Goal, JoinRule, RewardKind, SlotKind},
};

use super::shop::{DAY_US, PlayedShop, SECOND_US, arm_id, product, slot_id, subject};

fn kind(kind: &str, weight: f64, use_value: bool, joins: Option<JoinRule>) -> RewardKind {
    RewardKind { kind: kind.into(), weight, use_value, cap: None, winsorize: None, role: None, joins }
}

/// Slot of three products that counts clicks, purchases and sign-ups.
fn definition(id: &str) -> Definition {
    let arms = [("boots", "shoes"), ("cap", "hats"), ("parka", "coats")];
    let kinds = vec![
        kind("click", 1.0, false, None),
        kind("purchase", 1.0, true, None),
        kind("sign_up", 5.0, false, Some(JoinRule::Any)),
    ];
    Definition {
        kind: SlotKind::Block,
        arms: arms.iter().map(|(arm, category)| product(arm, category)).collect(),
        goal: Goal { kinds, currency: Some("EUR".into()), window_us: DAY_US, ..Goal::default() },
        ..Definition::new(slot_id(id))
    }
}

fn two_slots() -> PlayedShop {
    let mut shop = PlayedShop::new(1);
    shop.create(definition("page"));
    shop.create(definition("email"));
    shop
}

/// Rewards that an event gave, by slot and arm.
fn joined(effect: &ShopperEffect) -> BTreeMap<(String, String), f64> {
    let of_slots = effect.slots.iter().flat_map(|(slot, join)| join.joined.iter().map(move |one| (slot, one)));
    of_slots.map(|(slot, one)| ((slot.to_string(), one.arm.to_string()), one.reward)).collect()
}

/// Sum of the rewards that a slot reports.
fn earned(shop: &PlayedShop, slot: &str) -> f64 {
    report(&shop.state.slot(slot).unwrap().view()).arms.iter().map(|arm| arm.reward_sum).sum()
}

fn bought(item: &str, value: f64) -> ShopperItem {
    ShopperItem {
        item: arm_id(item),
        quantity: None,
        value: Some(value),
        attributes: slotwise::bandit::Features::new(),
    }
}

#[test]
fn one_order_of_several_items_rewards_every_slot_that_showed_them_and_a_refund_takes_all_of_it_back() {
    let (mut shop, anna) = (two_slots(), subject("anna", "s1"));
    shop.decide("page", &anna);
    shop.decide("email", &anna);
    shop.at_us += SECOND_US;
    let mut order = shop.event("purchase", &anna, &[]);
    order.items = vec![bought("boots", 80.0), bought("cap", 20.0), bought("unknown", 5.0)];
    order.currency = Some("EUR".into());
    let effect = shop.report(order.clone());
    let of = |slot: &str, arm: &str| (slot.to_owned(), arm.to_owned());
    let wanted = BTreeMap::from([
        (of("page", "boots"), 80.0),
        (of("page", "cap"), 20.0),
        (of("email", "boots"), 80.0),
        (of("email", "cap"), 20.0),
    ]);
    assert_eq!(joined(&effect), wanted);
    assert!(effect.profiles.updated);
    assert_eq!((earned(&shop, "page"), earned(&shop, "email")), (100.0, 100.0));

    let again = shop.report(order.clone());
    assert!(again.repeats.is_some_and(|first| first.same) && again.slots.is_empty());
    assert_eq!(earned(&shop, "page"), 100.0, "it counts once");

    let mut refund = shop.event("purchase", &anna, &[]);
    refund.reverses = Some(order.event_id.clone());
    let effect = shop.report(refund);
    assert_eq!(joined(&effect).values().sum::<f64>(), -200.0);
    assert_eq!((earned(&shop, "page"), earned(&shop, "email")), (0.0, 0.0));
}

#[test]
fn shopper_events_and_reward_events_have_one_space_of_ids() {
    let (mut shop, anna) = (two_slots(), subject("anna", "s1"));
    let shown = shop.decide("page", &anna);
    shop.at_us += SECOND_US;
    let reward = |event_id: &str, slot: &str, reverses: Option<&str>| RewardEvent {
        slot: slot_id(slot),
        event_id: event_id.into(),
        decision: (slot == "page").then_some(shown.id),
        subject: anna.clone(),
        arm: Some(arm_id("boots")),
        kind: "click".into(),
        value: None,
        time_us: shown.id.at_us() + SECOND_US,
        reverses: reverses.map(str::to_owned),
    };
    let status = |shop: &mut PlayedShop, event: RewardEvent| match shop.apply(Body::Rewarded(Box::new(event))) {
        EventEffect::Reward(answer) => answer.status,
        other @ (EventEffect::Change | EventEffect::Decision | EventEffect::Shopper(_)) => panic!("{other:?}"),
    };
    // A shopper event, and then reward events of the same id: for the slot that it joined, and for another one.
    let click = shop.click(&anna, "boots");
    assert_eq!(joined(&click).len(), 1);
    assert_eq!(status(&mut shop, reward("e1", "page", None)), EventStatus::Duplicate);
    assert_eq!(status(&mut shop, reward("e1", "email", None)), EventStatus::Duplicate);
    // A reward event, and then a shopper event of the same id.
    assert_eq!(status(&mut shop, reward("e2", "page", None)), EventStatus::Accepted);
    let repeated = shop.click(&anna, "cap");
    let answers: Vec<_> = repeated.slots.values().flat_map(|join| &join.remarks).collect();
    assert!(answers.iter().all(|(_, answer)| answer.status == EventStatus::Duplicate), "{answers:?}");
    assert_eq!((answers.len(), earned(&shop, "page")), (1, 2.0));
    // A reward event may take back an order of several items.
    let mut order = shop.event("purchase", &anna, &[]);
    order.items = vec![bought("boots", 80.0), bought("cap", 20.0)];
    let id = order.event_id.clone();
    shop.report(order);
    assert_eq!(earned(&shop, "page"), 102.0);
    assert_eq!(status(&mut shop, reward("undo", "page", Some(&id))), EventStatus::Accepted);
    assert_eq!(earned(&shop, "page"), 2.0);
}

#[test]
fn events_join_by_decision_by_session_before_a_login_and_by_any_decision_where_the_goal_says_so() {
    let (mut shop, visitor, anna) = (two_slots(), subject("", "s1"), subject("anna", "s1"));
    let shown = shop.decide("page", &visitor);
    shop.at_us += SECOND_US;
    assert_eq!(joined(&shop.click(&anna, "boots")).len(), 1, "the session was anonymous when it was shown");
    shop.decide("email", &subject("eve", "s1"));
    assert!(joined(&shop.click(&anna, "cap")).keys().all(|(slot, _)| slot == "page"), "not what Eve was shown");
    // A decision that is named needs no subject, and no other slot is asked.
    let mut event = shop.event("click", &Subject::default(), &["parka"]);
    event.decisions = vec![shown.id];
    let effect = shop.report(event);
    assert_eq!(joined(&effect).len(), 1);
    assert!(!effect.profiles.updated);
    // A sign-up joins the latest decision, and its first position.
    shop.at_us += SECOND_US;
    let latest = shop.decide("page", &visitor);
    shop.at_us += SECOND_US;
    let sign_up = shop.event("sign_up", &visitor, &[]);
    let effect = shop.report(sign_up);
    let of_page = &effect.slots[&slot_id("page")].joined;
    assert_eq!((of_page.len(), of_page[0].decision, of_page[0].reward), (1, latest.id, 5.0));
    assert_eq!(of_page[0].arm, latest.chosen[0].arm);
}

/// Returns a shop in which a slot for real traffic and one for simulated traffic have decided for a subject.
fn real_and_simulated(who: &Subject) -> PlayedShop {
    let mut shop = two_slots();
    let controls = Controls { simulated: Some(true), ..Controls::default() };
    shop.create(Definition { controls, ..definition("simulated") });
    for slot in ["page", "simulated"] {
        shop.decide(slot, who);
    }
    shop.at_us += SECOND_US;
    shop
}

#[test]
fn late_events_other_currencies_and_simulated_shoppers_reward_nothing() {
    let anna = subject("anna", "s1");
    let mut shop = real_and_simulated(&anna);
    let mut dollars = shop.event("purchase", &anna, &[]);
    dollars.items = vec![bought("boots", 80.0)];
    dollars.currency = Some("USD".into());
    let effect = shop.report(dollars);
    assert_eq!(joined(&effect).values().sum::<f64>(), 0.0, "it is counted and not learned");
    assert!(effect.slots.values().any(|join| !join.remarks.is_empty()));
    let mut robot = shop.event("click", &anna, &["boots"]);
    robot.simulated = true;
    let effect = shop.report(robot);
    assert_eq!(joined(&effect).keys().map(|(slot, _)| slot.as_str()).collect::<Vec<_>>(), ["simulated"]);
    let real = shop.click(&anna, "cap");
    assert_eq!(joined(&real).keys().map(|(slot, _)| slot.as_str()).collect::<Vec<_>>(), ["page"]);
    let before = earned(&shop, "page");
    shop.at_us += 3 * DAY_US;
    let late = shop.click(&anna, "parka");
    assert!(joined(&late).is_empty() && late.profiles.updated);
    assert_eq!(earned(&shop, "page"), before);
}

/// Ids of simulated events are none of the shop, and each of them counts once.
#[test]
fn a_simulated_event_leaves_its_id_to_a_real_one() {
    let anna = subject("anna", "s1");
    let mut shop = real_and_simulated(&anna);
    let real = shop.event("click", &anna, &["boots"]);
    let robot = ShopperEvent { simulated: true, ..real.clone() };
    let slots = |effect: &ShopperEffect| -> Vec<String> {
        joined(effect).keys().map(|(slot, _)| slot.as_str().to_owned()).collect()
    };
    assert_eq!(slots(&shop.report(robot.clone())), ["simulated"]);
    assert!(shop.report(robot).repeats.is_some(), "the simulator repeats itself");
    let foreseen = shop.state.preview_shopper(shop.at_us, &real);
    let effect = shop.report(real.clone());
    assert_eq!((slots(&effect), effect.repeats), (vec!["page".to_owned()], None));
    assert_eq!(foreseen.repeats, None);
    assert!(shop.report(real).repeats.is_some());
}

#[test]
fn a_preview_says_what_an_event_then_does_and_changes_nothing() {
    let (mut shop, anna) = (two_slots(), subject("anna", "s1"));
    shop.decide("page", &anna);
    shop.decide("email", &anna);
    shop.at_us += SECOND_US;
    let mut order = shop.event("purchase", &anna, &[]);
    order.items = vec![bought("boots", 80.0), bought("cap", 20.0)];
    let before = shop.state.clone();
    let foreseen = shop.state.preview_shopper(shop.at_us, &order);
    assert!(shop.state == before);
    let effect = shop.report(order.clone());
    assert_eq!(joined(&foreseen), joined(&effect));
    let mut undo = shop.event("purchase", &anna, &[]);
    undo.reverses = Some(order.event_id);
    let foreseen = shop.state.preview_shopper(shop.at_us, &undo);
    assert_eq!(joined(&foreseen), joined(&shop.report(undo)));
}

/// Plays a day of a few shoppers with every kind of event.
fn busy_day() -> PlayedShop {
    let mut shop = two_slots();
    let mut ids: Vec<String> = Vec::new();
    for i in 0..400_usize {
        shop.at_us += (1 + i as i64 % 7) * 20 * SECOND_US;
        let id = if i % 3 == 0 { String::new() } else { format!("c{}", i % 11) };
        let who = subject(&id, &format!("s{}", i % 17));
        shop.decide(["page", "email"][i % 2], &who);
        let items = [["boots"], ["cap"], ["parka"]][i % 3];
        let what = ["click", "view", "purchase", "add_to_cart", "sign_up", "search", "remove_from_cart"][i % 7];
        let mut event = shop.event(what, &who, &items);
        event.value = (what == "purchase").then_some(10.0 + i as f64);
        event.query = if what == "search" { format!("Red {} boots", i % 5) } else { String::new() };
        event.time_us -= (i as i64 % 4) * 30 * SECOND_US;
        if i % 13 == 12 {
            event.reverses = ids.get(i / 2).cloned();
        }
        if i % 29 == 28 {
            event.withdrawn = std::mem::take(&mut event.subject);
        }
        ids.push(event.event_id.clone());
        shop.report(event);
    }
    shop
}

#[test]
fn the_same_journal_gives_the_same_bytes_for_any_number_of_workers_and_across_a_snapshot() {
    let shop = busy_day();
    let whole = snapshot::encode(&shop.state).unwrap();
    for shards in [1, 2, 3] {
        let (mut ledger, mut parts) = State::default().split(shards);
        for event in &shop.journal {
            let step = ledger.step(event.at_us, &event.body);
            match event.body.slot() {
                Some(slot) => {
                    let part = SlotShard::index_of(slot.as_str(), shards);
                    parts[part].apply(step, &event.body, None);
                }
                None => parts.iter_mut().for_each(|part| drop(part.apply(step, &event.body, None))),
            }
            if step.sweeps() {
                for part in &mut parts {
                    part.sweep(step, None);
                }
            }
        }
        assert!(snapshot::encode(&State::join(ledger, parts)).unwrap() == whole, "{shards} shards");
    }
    // Half of the journal, a snapshot, and the other half.
    let mut state = State::default();
    for event in &shop.journal[..shop.journal.len() / 2] {
        state.apply(event);
    }
    let mut state = snapshot::decode(&snapshot::encode(&state).unwrap()).unwrap();
    for event in &shop.journal[shop.journal.len() / 2..] {
        state.apply(event);
    }
    assert!(snapshot::encode(&state).unwrap() == whole, "across a snapshot");
    assert_eq!(state.profiles().unwrap().counts().buyers, shop.state.profiles().unwrap().counts().buyers);
}

#[test]
fn a_slot_whose_shoppers_report_nothing_decides_as_if_there_were_no_profiles() {
    let mut shop = two_slots();
    let decided = shop.decide("page", &subject("anna", "s1"));
    assert!(decided.matches.is_none() && decided.context.is_empty());
    shop.click(&subject("anna", "s1"), "boots");
    let other = shop.decide("page", &subject("eve", "s2"));
    assert!(other.matches.is_none() && other.context.is_empty());
    let hers = shop.decide("page", &subject("anna", "s1"));
    assert_eq!(hers.context["session.interest"], slotwise::bandit::Value::Text("category=shoes".into()));
    let boots = hers.matched_features(&arm_id("boots"), Some(&definition("page"))).unwrap();
    assert_eq!(boots["match.seen"], slotwise::bandit::Value::Flag(true));
}
