//! Profiles: what they keep, of whom, and for how long.

use std::sync::Arc;

use slotwise::{
    bandit::Value,
    engine::{Body, DecisionRecord, Event, ProfileStore, ShopperEvent, State, Subject},
    slot::{Consent, Controls, Definition, ProfileFeatures, SlotKind, limits::PROFILE_BYTES_MAX},
};

use super::shop::{DAY_US, PlayedShop, SECOND_US, arm_id, product, slot_id, subject};

fn shop() -> PlayedShop {
    let mut shop = PlayedShop::new(7);
    let arms = [("boots", "shoes"), ("clogs", "shoes"), ("cap", "hats"), ("parka", "coats")];
    let arms = arms.iter().map(|(arm, category)| product(arm, category)).collect();
    shop.create(Definition { kind: SlotKind::Block, arms, ..Definition::new(slot_id("page")) });
    shop
}

/// Affinity of a decision's shopper to an arm, or `None` if no profile was used.
fn affinity(shop: &PlayedShop, decided: &DecisionRecord, arm: &str) -> Option<f64> {
    let definition = Arc::clone(shop.state.slot("page").unwrap().definition());
    match decided.matched_features(&arm_id(arm), Some(&definition))?.get("match.affinity")? {
        Value::Number(affinity) => Some(*affinity),
        other @ (Value::Text(_) | Value::Flag(_) | Value::Texts(_) | Value::Vector(_)) => panic!("{other:?}"),
    }
}

fn text(decided: &DecisionRecord, name: &str) -> Option<String> {
    match decided.context.get(name)? {
        Value::Text(text) => Some(text.clone()),
        other @ (Value::Number(_) | Value::Flag(_) | Value::Texts(_) | Value::Vector(_)) => panic!("{other:?}"),
    }
}

#[test]
fn a_new_intent_takes_over_within_two_clicks() {
    let (mut shop, anna) = (shop(), subject("", "s1"));
    for _ in 0..5 {
        shop.click(&anna, "boots");
        shop.at_us += 10 * SECOND_US;
    }
    let before = shop.decide("page", &anna);
    assert!(affinity(&shop, &before, "clogs") > affinity(&shop, &before, "cap"));
    for _ in 0..2 {
        shop.click(&anna, "cap");
        shop.at_us += 10 * SECOND_US;
    }
    let after = shop.decide("page", &anna);
    assert!(affinity(&shop, &after, "cap") > affinity(&shop, &after, "clogs"));
    assert_eq!(text(&after, "session.interest").as_deref(), Some("category=hats"));
}

#[test]
fn a_session_ends_after_half_an_hour_and_a_customer_after_the_setting() {
    let (mut shop, anna) = (shop(), subject("anna", "s1"));
    shop.click(&anna, "boots");
    shop.at_us += 29 * 60 * SECOND_US;
    assert_eq!(text(&shop.decide("page", &anna), "session.stage").as_deref(), Some("browsing"));
    shop.at_us += 2 * 60 * SECOND_US;
    let later = shop.decide("page", &anna);
    assert_eq!((text(&later, "session.stage"), text(&later, "customer.kind").as_deref()), (None, Some("visitor")));
    shop.at_us += 179 * DAY_US;
    assert_eq!(text(&shop.decide("page", &anna), "customer.kind").as_deref(), Some("visitor"));
    shop.at_us += 2 * DAY_US;
    assert!(shop.decide("page", &anna).matches.is_none());
    // The store drops what is over with the next event.
    shop.click(&subject("", "s9"), "cap");
    let counts = shop.state.profiles().unwrap().counts();
    assert_eq!((counts.sessions, counts.visitors, counts.buyers), (1, 0, 0));
}

#[test]
fn a_login_brings_what_the_session_did_and_a_shared_device_does_not_mix_two_customers() {
    let mut shop = shop();
    shop.click(&subject("", "s1"), "boots");
    shop.click(&subject("anna", "s1"), "clogs");
    shop.at_us += 40 * 60 * SECOND_US;
    let at_home = shop.decide("page", &subject("anna", "s2"));
    assert_eq!(text(&at_home, "customer.interest").as_deref(), Some("category=shoes"));
    let boots = shop.decide("page", &subject("anna", "s2"));
    let definition = Arc::clone(shop.state.slot("page").unwrap().definition());
    let seen = boots.matched_features(&arm_id("boots"), Some(&definition)).unwrap();
    assert_eq!(seen["match.seen"], Value::Flag(true), "before the login");

    // Eve sits down at Anna's tab.
    shop.click(&subject("anna", "s3"), "boots");
    let eve = shop.decide("page", &subject("eve", "s3"));
    assert!(eve.matches.is_none() && eve.context.is_empty(), "{:?}", eve.context);
    shop.click(&subject("eve", "s3"), "parka");
    let eve = shop.decide("page", &subject("eve", "s3"));
    assert_eq!(affinity(&shop, &eve, "boots"), Some(0.0));
    assert_eq!(text(&eve, "customer.interest").as_deref(), Some("category=coats"));
    let anna = shop.decide("page", &subject("anna", "s4"));
    assert_eq!(affinity(&shop, &anna, "parka"), Some(0.0));
}

#[test]
fn consent_decides_what_is_kept_and_its_withdrawal_drops_it_at_once() {
    let (mut shop, anna) = (shop(), subject("anna", "s1"));
    let with = |shop: &mut PlayedShop, consent: Consent, item: &str| -> ShopperEvent {
        let event = shop.event("click", &anna, &[item]);
        let allowed = anna.clone().as_far_as(consent);
        let withdrawn = match consent {
            Consent::Full => Subject::default(),
            Consent::SessionOnly => subject("anna", ""),
            Consent::None => anna.clone(),
        };
        ShopperEvent { subject: allowed, consent, withdrawn, ..event }
    };
    let event = with(&mut shop, Consent::Full, "boots");
    shop.report(event);
    let kept = |shop: &PlayedShop| {
        let counts = shop.state.profiles().unwrap().counts();
        (counts.sessions, counts.visitors + counts.buyers)
    };
    assert_eq!(kept(&shop), (1, 1));
    let event = with(&mut shop, Consent::SessionOnly, "cap");
    assert!(shop.report(event).profiles.dropped);
    assert_eq!(kept(&shop), (1, 0));
    let event = with(&mut shop, Consent::None, "cap");
    let effect = shop.report(event);
    assert!(effect.profiles.dropped && !effect.profiles.updated && effect.slots.is_empty());
    assert_eq!(kept(&shop), (0, 0));
    assert_eq!(shop.state.profiles().unwrap().counts().bytes, 0);
}

#[test]
fn purchases_carts_and_their_reversal_show_in_the_features() {
    let (mut shop, anna) = (shop(), subject("anna", "s1"));
    let stage = |shop: &mut PlayedShop| text(&shop.decide("page", &anna), "session.stage").unwrap();
    let put = shop.event("add_to_cart", &anna, &["boots", "cap"]);
    shop.report(put);
    assert_eq!(stage(&mut shop), "cart");
    let mut order = shop.event("purchase", &anna, &["boots", "cap"]);
    order.value = Some(100.0);
    let id = order.event_id.clone();
    shop.report(order);
    assert_eq!(stage(&mut shop), "bought");
    assert_eq!(text(&shop.decide("page", &anna), "customer.kind").as_deref(), Some("buyer"));
    let mut undo = shop.event("purchase", &anna, &[]);
    undo.reverses = Some(id);
    shop.report(undo);
    assert_eq!(stage(&mut shop), "browsing");
    assert_eq!(text(&shop.decide("page", &anna), "customer.kind").as_deref(), Some("visitor"));
    let key = ProfileStore::customer_key(&anna, false).unwrap();
    let profile = Arc::clone(shop.state.profiles().unwrap().get(key).unwrap());
    assert_eq!((profile.purchases(), profile.events()), (0, 3));
}

#[test]
fn a_slot_narrows_the_features_or_switches_them_off_and_the_callers_own_win() {
    let (mut shop, anna) = (shop(), subject("anna", "s1"));
    shop.click(&anna, "boots");
    let mut names = |features: Option<ProfileFeatures>| {
        let mut definition = (**shop.state.slot("page").unwrap().definition()).clone();
        definition.controls = Controls { profile_features: features, ..Controls::default() };
        let change = slotwise::engine::Change::Update { definition, revision: 0 };
        let why = slotwise::slot::ChangeReason::default();
        if let Some(body) = slotwise::engine::plan(&shop.state, &slot_id("page"), change, &why).unwrap() {
            shop.apply(body);
        }
        let decided = shop.decide("page", &anna);
        (decided.context.keys().cloned().collect::<Vec<_>>().join(" "), decided.matches.is_some())
    };
    assert_eq!(names(None), ("customer.interest customer.kind session.interest session.stage".to_owned(), true));
    assert_eq!(names(Some(ProfileFeatures::Session)), ("session.interest session.stage".to_owned(), true));
    assert_eq!(names(Some(ProfileFeatures::None)), (String::new(), false));
    names(Some(ProfileFeatures::All));
    let mut request = slotwise::engine::Request::new(slot_id("page"));
    request.subject = anna.clone();
    request.context.insert("session.stage".into(), Value::Text("mine".into()));
    assert_eq!(text(&shop.decide_request(request), "session.stage").as_deref(), Some("mine"));
}

/// Plays events of many shoppers into a store and returns the state.
fn crowd(store: usize, shoppers: impl Iterator<Item = (Subject, &'static str)>) -> State {
    let mut shop = PlayedShop::new(3);
    shop.state = State::with_room_for_profiles(store);
    for (who, kind) in shoppers {
        shop.at_us += SECOND_US / 100;
        let event = shop.event(kind, &who, &["boots"]);
        let at_us = shop.at_us;
        shop.state.apply(&Event { at_us, body: Body::Shopper(event.into()) });
    }
    shop.state
}

#[test]
fn a_flood_of_sessions_drives_out_the_least_recent_ones_and_no_customer_who_bought() {
    let buyers = (0..40).map(|i| (subject(&format!("buyer{i}"), ""), "purchase"));
    let flood = (0..5_000).map(|i| (subject("", &format!("s{i}")), "view"));
    let state = crowd(100, buyers.chain(flood));
    let profiles = state.profiles().unwrap();
    let counts = profiles.counts();
    assert_eq!((counts.buyers, counts.sessions, profiles.len()), (40, 60, 100));
    let session = |i: u32| ProfileStore::session_key(&subject("", &format!("s{i}")), false).unwrap();
    assert!(profiles.get(session(4_999)).is_some() && profiles.get(session(4_000)).is_none());
    // Buyers alone take at most three quarters.
    let buyers = (0..500).map(|i| (subject(&format!("buyer{i}"), ""), "purchase"));
    let flood = (0..500).map(|i| (subject("", &format!("s{i}")), "view"));
    let counts = crowd(100, buyers.chain(flood)).profiles().unwrap().counts();
    assert_eq!((counts.buyers, counts.sessions), (75, 25));
}

#[test]
fn a_profile_stays_within_its_bytes_whatever_a_shopper_does() {
    let (mut shop, anna) = (shop(), subject("anna", "s1"));
    for i in 0..300 {
        let what = ["click", "purchase", "add_to_cart", "search", "wishlist"][i % 5];
        let mut event = shop.event(what, &anna, &[]);
        let attributes = ["brand", "category", "colour", "size"]
            .map(|name| (name.to_owned(), Value::Text(format!("{:->36}", format!("{name}{}", i % 40)))));
        let item = |j: usize| slotwise::engine::ShopperItem {
            item: arm_id(&format!("item-{i}-{j}")),
            quantity: Some(1.0),
            value: Some(9.5),
            attributes: attributes.clone().into(),
        };
        event.items = (0..20).map(item).collect();
        event.query = "ein sehr langer Satz mit vielen Worten und noch mehr ".repeat(4);
        shop.report(event);
        for (_, profile) in shop.state.profiles().unwrap().iter() {
            assert!(profile.bytes() <= PROFILE_BYTES_MAX, "{} bytes after {i} events", profile.bytes());
        }
    }
}
