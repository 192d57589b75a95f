//! One shopper in several slots: the shipped scenarios, what makes their checks fail, and the border between simulated
//! and real shoppers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first thing that is wrong")]

use std::{num::NonZeroUsize, process::Command, sync::Arc};

use slotwise::{
    bandit::{Features, Value},
    client::{CallOptions, Client, EventReport, ReportedItem},
    engine::{DecisionRecord, Request, ShopperEffect, ShopperEvent, ShopperItem, ShopperView, Subject},
    slot::{Arm, ArmId, ChangeReason, Consent, Controls, Definition, SlotId},
};
use slotwise_simulator::{
    report::{CheckOutcome, RunReport, RunVerdict},
    run::{
        episode::{EngineService, NoRunProgress, Setup},
        run,
    },
    scenario::{Changes, IntentStart, load, shipped},
};

use crate::support::server::with_server;

/// Model that learns as fast as the default one does here, in a tenth of the time.
const QUICK_MODEL: &str = "slot.model={ linear = { dimension_budget = 24 } }";

fn played(name: &str, set: &[&str], threads: usize) -> RunReport {
    let set = set.iter().map(ToString::to_string).collect();
    let loaded = load(name, &Changes { small: true, set, policies: Vec::new() }).unwrap_or_else(|why| panic!("{why}"));
    run(&loaded, None, NonZeroUsize::new(threads).unwrap(), &NoRunProgress).unwrap_or_else(|why| panic!("{why}"))
}

/// Each scenario with the change that takes away what it is about, and the metric that must notice.
#[test]
fn checks_fail_once_the_shop_does_without_the_thing_that_they_are_about() {
    let profiles_off = "slot.controls.profile_features=none";
    for (name, change, metric) in [
        ("one-shopper", format!("policies.unified.{profiles_off}"), "clicks_to_adapt"),
        ("gift-shift", format!("policies.unified.{profiles_off}"), "lift"),
        ("login", "policies.'logged in'.shop.customer_ids=false".to_owned(), "lift"),
        ("shared-device", "policies.'logged in'.shop.customer_ids=false".to_owned(), "lift"),
        ("email-campaign", "policies.deferred.shop.deferred=false".to_owned(), "interval_coverage"),
        ("crawler", format!("policies.crawled.{profiles_off}"), "clicks_to_adapt"),
    ] {
        let report = played(name, &[&change, QUICK_MODEL, "horizon=1600"], 2);
        assert_eq!(report.verdict, RunVerdict::Fails, "{name}");
        let failed = |check: &&slotwise_simulator::report::CheckReport| check.outcome == CheckOutcome::Fail;
        let failed: Vec<&str> = report.checks.iter().filter(failed).map(|check| check.metric.as_str()).collect();
        assert!(failed.contains(&metric), "{name}: {failed:?}");
    }
}

#[test]
fn several_slots_give_the_same_bytes_with_any_number_of_threads() {
    for name in ["one-shopper", "crawler"] {
        let json = |threads| played(name, &[QUICK_MODEL, "horizon=300", "replications=4"], threads).json().unwrap();
        let first = json(1);
        for threads in [2, 4] {
            assert!(json(threads) == first, "{name}, {threads} threads");
        }
    }
}

/// Profiles and deferred decisions are part of the state, so nothing of them is lost.
#[test]
fn a_restart_changes_nothing() {
    let set = [QUICK_MODEL, "horizon=500", "replications=2"];
    let before = played("one-shopper", &set, 2);
    let restarts = "faults=[{ at = 0.3, kind = \"restart\" }, { at = 0.7, kind = \"restart\" }]";
    let after = played("one-shopper", &[&set[..], &[restarts]].concat(), 2);
    assert_eq!(after.policies, before.policies);
}

#[test]
fn a_report_has_touchpoints_clicks_to_adapt_and_deferred_decisions() {
    let report = played("gift-shift", &["horizon=800", "replications=2"], 2);
    assert_eq!(report.baseline.as_deref(), Some("separate"));
    for policy in &report.policies {
        let shares: f64 = policy.touchpoints.iter().map(|touchpoint| touchpoint.share).sum();
        assert!((shares - 1.0).abs() < 1e-9, "{shares}");
        let since: Vec<IntentStart> = policy.adaptation.iter().map(|curve| curve.since).collect();
        assert_eq!(since, [IntentStart::Session, IntentStart::Shift]);
        assert!(policy.adaptation.iter().all(|curve| curve.decisions_by_clicks[0] > 20), "{:?}", policy.adaptation);
        assert!(policy.lift.is_some() == (policy.name == "unified") && policy.deferred.is_none());
    }
    let report = played("one-shopper", &[QUICK_MODEL, "horizon=800", "replications=2"], 2);
    let deferred = report.policies[0].deferred.unwrap();
    // 15 % of the visits are emails, of which 40 % are opened.
    let percent = 100 * deferred.confirmed / deferred.made;
    assert!((180..300).contains(&deferred.made) && (30..50).contains(&percent), "{deferred:?}");
    let json = report.json().unwrap();
    for key in ["\"touchpoints\"", "\"clicks_to_adapt\"", "\"deferred\""] {
        assert!(json.contains(key), "{key}");
    }
}

#[test]
fn a_live_server_is_not_asked_for_several_slots() {
    let arguments = ["run", "one-shopper", "--small", "--target", "http://127.0.0.1:1"];
    let output = Command::new(env!("CARGO_BIN_EXE_slotwise-simulator")).args(arguments).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("touchpoints") && error.contains("run it in process"), "{error}");
}

fn definition(id: &str, simulated: bool) -> Definition {
    let arm = |(id, category): (&str, &str)| {
        let mut arm = Arm::new(ArmId::parse("arm", id).unwrap());
        arm.attributes.insert("category".into(), Value::Text(category.into()));
        Arc::new(arm)
    };
    let controls = Controls { holdout: Some(0.0), simulated: Some(simulated), ..Controls::default() };
    let arms = [("boots", "shoes"), ("cap", "hats")].map(arm).to_vec();
    Definition { arms, controls, ..Definition::new(SlotId::parse("slot", id).unwrap()) }
}

fn anna() -> Subject {
    Subject { id: "anna".into(), session_id: "s1".into() }
}

/// Shows anna a slot of a service.
fn show(service: &mut EngineService, slot: &str, at_us: i64, deferred: bool) -> DecisionRecord {
    let request = Request { subject: anna(), deferred, ..Request::new(SlotId::parse("slot", slot).unwrap()) };
    let decided = service.decide(Request { consent: Some(Consent::Full), ..request }, at_us, [7, 9]).unwrap().decided;
    service.apply_decision(decided.clone(), at_us);
    decided
}

/// Reports that anna clicked what a decision showed.
fn click(service: &mut EngineService, of: &DecisionRecord, simulated: bool, at_us: i64) -> ShopperEffect {
    let item = of.chosen[0].arm.clone();
    let attributes = Features::from([("category".to_owned(), Value::Text("shoes".into()))]);
    let event = ShopperEvent {
        event_id: format!("click-{at_us}-{simulated}"),
        kind: "click".into(),
        subject: anna(),
        consent: Consent::Full,
        withdrawn: Subject::default(),
        simulated,
        items: vec![ShopperItem { item, quantity: None, value: None, attributes }],
        attributes: Features::new(),
        query: String::new(),
        value: None,
        currency: None,
        viewed_through: None,
        decisions: Vec::new(),
        time_us: at_us,
        reverses: None,
        keep_us: 1_000_000_000_000,
    };
    service.shopper(event, at_us)
}

/// One person in a real slot and in a simulated one, with the same ids.
#[test]
fn events_of_simulated_shoppers_reach_neither_real_slots_nor_real_profiles() {
    for simulated in [true, false] {
        let slots = vec![definition("real", false), definition("simulated", true)];
        let mut service = EngineService::with_slots(slots, 0).unwrap();
        let (own, other) = if simulated { ("simulated", "real") } else { ("real", "simulated") };
        let shown = show(&mut service, "real", 1_000_000, false);
        show(&mut service, "simulated", 1_000_000, false);
        let effect = click(&mut service, &shown, simulated, 2_000_000);
        let reached: Vec<&str> = effect.slots.keys().map(SlotId::as_str).collect();
        assert_eq!(reached, [own]);
        let rewards = |slot: &str| service.counters(&SlotId::parse("slot", slot).unwrap()).rewards;
        assert_eq!((rewards(own), rewards(other)), (1, 0));
        let profiles = service.state().profiles().unwrap();
        let has_profile = |simulated: bool| {
            !ShopperView::find(&anna(), simulated, 3_000_000, |key| profiles.get(key).cloned()).is_empty()
        };
        assert_eq!((has_profile(simulated), has_profile(!simulated)), (true, false));
        let knows = |service: &mut EngineService, slot: &str| {
            show(service, slot, 3_000_000, false).context.contains_key("session.interest")
        };
        assert!(knows(&mut service, own) && !knows(&mut service, other));
    }
}

#[test]
fn slots_of_scenarios_with_shopper_events_are_for_simulated_traffic() {
    for name in shipped::names() {
        let loaded = load(name, &Changes::default()).unwrap();
        let setup = Setup::new(&loaded.scenario, 1).unwrap();
        let touchpoints = loaded.scenario.touchpoints.len();
        for (policy, slots) in loaded.scenario.policies.iter().zip(&setup.slots) {
            assert_eq!(slots.len(), touchpoints.max(1));
            let reports_rewards = touchpoints == 0 || policy.shop.events.is_some();
            let simulated = slots.iter().all(|slot| slot.controls.simulated());
            assert!(simulated || reports_rewards, "{name}, {}", policy.name);
        }
    }
}

/// The way around by id: a deferred decision of a real slot that an event names.
#[test]
fn simulated_events_confirm_no_deferred_decision_of_a_real_slot() {
    with_server(true, async |server, mut shop| {
        let options = CallOptions { simulated: true, ..CallOptions::default() };
        let mut simulator = Client::connect_with(&server.grpc, &options).await.unwrap();
        for (id, simulated) in [("real", false), ("simulated", true)] {
            shop.create_slot(&definition(id, simulated), &ChangeReason::default(), false).await.unwrap();
        }
        for (slot, confirmed) in [("real", 0), ("simulated", 1)] {
            let request =
                Request { subject: anna(), deferred: true, ..Request::new(SlotId::parse("slot", slot).unwrap()) };
            let decided = shop.decide(&Request { consent: Some(Consent::Full), ..request }).await.unwrap();
            let event = EventReport {
                consent: Some(Consent::Full),
                items: vec![ReportedItem::new("boots")],
                decision_ids: vec![decided.id],
                ..EventReport::new(format!("shown-{slot}"), "shown", anna())
            };
            let foreseen = simulator.check_shopper_events(vec![event.clone()]).await.unwrap().remove(0);
            simulator.record_shopper_events(vec![event]).await.unwrap();
            let report = shop.report(slot).await.unwrap();
            assert_eq!((report.deferred.made, report.deferred.confirmed), (1, confirmed), "{slot}");
            assert_eq!(report.counters.decisions, confirmed, "{slot}");
            if slot == "real" {
                assert!(foreseen.joined.is_empty(), "{foreseen:?}");
            }
        }
    });
}
