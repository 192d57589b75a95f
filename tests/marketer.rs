//! A marketer's day at a live server. Each control is previewed, changed and taken back, and nothing that was learned
//! is lost.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    reason = "a test stops at the first thing that is wrong"
)]

mod support;

use std::collections::BTreeMap;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use slotwise::{
    engine::{Body, Event, State},
    node::{decode_event, recover_state},
    slot::{ChangeReason, SlotId},
    wire::proto::{
        BatchDecideRequest, ChosenArm, Controls, DayCapEffect, DecideRequest, DecideResponse, ExcludeEffect,
        ExplorationStop, FieldChange, GetSlotReportRequest, GetSlotRequest, ListRevisionsRequest, PinEffect,
        PreviewSlotChangeRequest, PreviewSlotChangeResponse, Reason, RecordRewardsRequest, RewardEvent,
        RollbackSlotRequest, Rule, SetSafeChoiceRequest, Slot, Subject, UpdateSlotRequest, rule::Effect,
    },
};
use support::{Clients, Process, context, program, text};

const SLOT: &str = "home-offer";
/// Decisions from which a step is previewed and observed.
const LOOK: usize = 1_500;
/// Click rates of the arms, in the order of the template.
const RATES: [(&str, f64); 4] =
    [("no-offer", 0.10), ("free-shipping", 0.18), ("ten-percent", 0.30), ("quarter-off", 0.22)];

struct Shop {
    clients: Clients,
    rng: StdRng,
    shoppers: u64,
    events: u64,
    /// Reasons of all changes, oldest first.
    reasons: Vec<String>,
}

impl Shop {
    /// Sends `n` shoppers in batches of a hundred. Each clicks with the rate of the arm that it sees.
    async fn shoppers(&mut self, n: usize) -> Vec<DecideResponse> {
        let mut responses = Vec::with_capacity(n);
        for _ in 0..n.div_ceil(100) {
            let requests = (0..100)
                .map(|_| {
                    self.shoppers += 1;
                    let gold = self.rng.random_bool(0.25);
                    DecideRequest {
                        slot_id: SLOT.into(),
                        subject: Some(Subject { id: format!("shopper-{}", self.shoppers), ..Subject::default() }),
                        context: context(&[("loyalty", text(if gold { "gold" } else { "none" }))]),
                        ..DecideRequest::default()
                    }
                })
                .collect();
            let batch = BatchDecideRequest { requests, distinct_arms: false };
            let came: Vec<_> = self.clients.decide_all(batch).await.into_iter().map(Result::unwrap).collect();
            self.reward(&came).await;
            responses.extend(came);
        }
        responses
    }

    async fn reward(&mut self, responses: &[DecideResponse]) {
        let rate = |arm: &ChosenArm| RATES.iter().find(|(id, _)| *id == arm.arm_id).unwrap().1;
        let mut events = Vec::new();
        for response in responses {
            if self.rng.random_bool(rate(&response.arms[0])) {
                self.events += 1;
                events.push(RewardEvent {
                    event_id: format!("click-{}", self.events),
                    decision_id: response.decision_id.clone(),
                    kind: "click".into(),
                    ..RewardEvent::default()
                });
            }
        }
        for events in events.chunks(500) {
            let request = RecordRewardsRequest { events: events.to_vec() };
            self.clients.feedback.record_rewards(request).await.unwrap();
        }
    }

    async fn slot(&mut self) -> Slot {
        let request = GetSlotRequest { slot_id: SLOT.into() };
        self.clients.slots.get_slot(request).await.unwrap().into_inner().slot.unwrap()
    }

    /// Returns the report once it counts all decisions so far, because decisions are recorded after they are answered.
    async fn report(&mut self) -> slotwise::wire::proto::SlotReport {
        for _ in 0..2_000 {
            let request = GetSlotReportRequest { slot_id: SLOT.into(), ..Default::default() };
            let report = self.clients.insight.get_slot_report(request).await.unwrap().into_inner().report.unwrap();
            if report.decisions == self.shoppers {
                return report;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("{} decisions were not all counted", self.shoppers);
    }

    async fn preview(&mut self, slot: &Slot) -> PreviewSlotChangeResponse {
        let request = PreviewSlotChangeRequest {
            slot: Some(slot.clone()),
            decisions: u32::try_from(LOOK).unwrap(),
            ..PreviewSlotChangeRequest::default()
        };
        self.clients.slots.preview_slot_change(request).await.unwrap().into_inner()
    }

    /// Previews a change, applies it, and compares the observed shares of the arms with the previewed ones.
    async fn pull(
        &mut self,
        reason: &str,
        edit: impl FnOnce(&mut Slot),
    ) -> (PreviewSlotChangeResponse, Vec<DecideResponse>) {
        let mut wanted = self.slot().await;
        edit(&mut wanted);
        let before = self.report().await;
        let preview = self.preview(&wanted).await;
        let request = UpdateSlotRequest {
            slot: Some(wanted),
            reason: reason.into(),
            author: "mara".into(),
            ..UpdateSlotRequest::default()
        };
        self.clients.slots.update_slot(request).await.unwrap();
        self.reasons.push(reason.into());
        let after = self.report().await;
        assert_eq!(learned(&before), learned(&after), "{reason}: nothing is forgotten");
        let responses = self.shoppers(LOOK).await;
        compare(reason, &preview, &responses);
        (preview, responses)
    }
}

/// Compares the observed shares of the arms with those that the preview gave for the changed slot.
fn compare(reason: &str, preview: &PreviewSlotChangeResponse, responses: &[DecideResponse]) {
    let mut came = BTreeMap::<&str, f64>::new();
    for response in responses {
        *came.entry(&response.arms[0].arm_id).or_default() += 1.0 / responses.len() as f64;
    }
    let total: f64 = preview.arms.iter().map(|arm| arm.share_after.unwrap().value).sum();
    assert!((total - 1.0).abs() < 1e-6, "{reason}: {preview:?}");
    for arm in &preview.arms {
        let (told, came) = (arm.share_after.unwrap().value, came.get(arm.arm_id.as_str()).copied().unwrap_or(0.0));
        // The tolerance is five standard errors of both, and 0.02 for what the slot learns meanwhile.
        let error =
            (arm.share_after.unwrap().standard_error.powi(2) + told * (1.0 - told) / responses.len() as f64).sqrt();
        assert!((told - came).abs() < 5.0 * error + 0.02, "{reason}: {} told {told}, came {came}", arm.arm_id);
    }
}

/// Returns the evidence behind the beliefs about each arm. The beliefs themselves move a little with time, because
/// silence is learned. The end of the test compares them bit for bit with those of a slot that nobody changed.
fn learned(report: &slotwise::wire::proto::SlotReport) -> Vec<(String, u64, u64)> {
    let of = |arm: &slotwise::wire::proto::ArmReport| (arm.arm_id.clone(), arm.shown, arm.reward_sum.to_bits());
    report.arms.iter().map(of).collect()
}

fn led_by<'a>(responses: &'a [DecideResponse], arm: &'a str) -> impl Iterator<Item = &'a DecideResponse> + 'a {
    responses.iter().filter(move |response| response.arms[0].arm_id == arm)
}

fn rule(name: &str, when: &str, effect: Effect) -> Rule {
    Rule { name: name.into(), when: when.into(), effect: Some(effect), ..Rule::default() }
}

/// Replays the journal twice: with the slot's changes, and without them.
fn learner_without_levers(folder: &std::path::Path) -> (State, State) {
    let whole = recover_state(folder, None, 1).unwrap();
    let mut without = State::default();
    let mut revision = 0;
    slotwise::journal::JournalReader::open(folder)
        .unwrap()
        .each(0, &mut |stored| {
            let event: Event = decode_event(stored.body).unwrap();
            let lever = matches!(event.body, Body::SlotPatched { .. } | Body::AvailabilitySet { .. });
            revision += u32::from(lever);
            // An empty change takes its place, so that time passes in the same way.
            let nothing = |slot: &SlotId| Body::AvailabilitySet {
                slot: slot.clone(),
                available: Vec::new(),
                why: ChangeReason::default(),
            };
            let body = if lever { nothing(event.body.slot()) } else { event.body };
            without.apply(&Event { body, ..event });
            Ok(())
        })
        .unwrap();
    assert!(revision >= 8, "{revision} levers were pulled");
    (whole, without)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_marketers_day() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path());
    // Create an offer slot from a template.
    let file = folder.path().join("offer.toml");
    let run = |args: &[&str]| {
        let output = program().args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let path = file.to_str().unwrap();
    run(&["slots", "new", SLOT, "--template", "offer", "--file", path]);
    // The day lasts seconds. With one model that reads no context, beliefs change only by what is counted.
    let document = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, document.replace("kind = \"offer\"", "kind = \"offer\"\nmodel = \"beta_bernoulli\""))
        .unwrap();
    run(&["slots", "apply", "-f", path, "--reason", "made", "--author", "mara", "--target", &server.address]);
    let clients = Clients::connect(&server.address).await;
    let mut shop =
        Shop { clients, rng: StdRng::seed_from_u64(99), shoppers: 0, events: 0, reasons: vec!["made".into()] };

    // During the warm-up, everybody outside the holdout gets an even split until each arm was shown a hundred times.
    let first = shop.shoppers(300).await;
    for response in first.iter().filter(|response| !response.holdout && response.arms[0].arm_id != "quarter-off") {
        let p = response.arms[0].propensity;
        assert!((p - 0.25).abs() < 1e-9 || (p - 1.0 / 3.0).abs() < 1e-9, "{response:?}");
    }
    shop.shoppers(5_000).await;

    // Lower the exploration.
    shop.pull("dial down", |slot| {
        let controls = slot.controls.get_or_insert_default();
        controls.exploration_stop = ExplorationStop::Cautious.into();
        (controls.exploration, controls.warm_up) = (None, None);
    })
    .await;
    // Pin an arm for some shoppers.
    let pin = |slot: &mut Slot| {
        let effect = Effect::Pin(PinEffect { position: 1 });
        slot.rules.push(rule(
            "gold sees free shipping",
            "arm.id == 'free-shipping' && context.loyalty == 'gold'",
            effect,
        ));
    };
    let (preview, responses) = shop.pull("pin", pin).await;
    let forced = led_by(&responses, "free-shipping").filter(|r| r.arms[0].reason() == Reason::Rule).count();
    assert!(forced > LOOK / 8, "a quarter of those who are not held out: {forced}");
    let fired = preview.rules.iter().find(|rule| rule.name == "gold sees free shipping").unwrap();
    assert!((fired.fires_after.unwrap() - 0.25).abs() < 5.0 * (0.25 * 0.75 / LOOK as f64).sqrt(), "{fired:?}");
    // Exclude an arm by a rule.
    let (_, responses) = shop
        .pull("exclude", |slot| {
            let effect = Effect::Exclude(ExcludeEffect {});
            slot.rules.push(rule("no quarter", "arm.discount > 0.2", effect));
        })
        .await;
    assert_eq!(led_by(&responses, "quarter-off").count(), 0);
    // Roll back: a new revision has the content of an earlier one.
    let slot = shop.slot().await;
    let back = RollbackSlotRequest {
        slot_id: SLOT.into(),
        revision: slot.revision - 2,
        reason: "roll back".into(),
        author: "mara".into(),
        ..RollbackSlotRequest::default()
    };
    let before = shop.report().await;
    let rolled = shop.clients.slots.rollback_slot(back).await.unwrap().into_inner().slot.unwrap();
    shop.reasons.push("roll back".into());
    assert_eq!(rolled.rules.len(), 1, "the template's rule alone");
    assert_eq!(learned(&before), learned(&shop.report().await));
    // Cap an arm per day.
    let mut capped = shop.slot().await;
    let effect = Effect::DayCap(DayCapEffect { count: 25, together: false });
    capped.rules.push(rule("a budget", "arm.id == 'free-shipping'", effect));
    let preview = shop.preview(&capped).await;
    assert!(
        preview.warnings.iter().any(|warning| warning.contains("Caps are taken for not reached")),
        "{:?}",
        preview.warnings
    );
    let update = UpdateSlotRequest {
        slot: Some(capped),
        reason: "cap".into(),
        author: "mara".into(),
        ..UpdateSlotRequest::default()
    };
    shop.clients.slots.update_slot(update.clone()).await.unwrap();
    shop.reasons.push("cap".into());
    let stale = shop.clients.slots.update_slot(update).await.unwrap_err();
    assert_eq!(stale.code(), tonic::Code::Aborted);
    assert!(stale.message().contains("mara") && stale.message().contains("cap"), "{}", stale.message());
    let responses = shop.shoppers(LOOK).await;
    assert!(led_by(&responses, "free-shipping").count() <= 25);
    // Split evenly.
    shop.pull("even split", |slot| {
        slot.rules.pop();
        slot.controls.get_or_insert_default().exploration_stop = ExplorationStop::EvenSplit.into();
    })
    .await;
    // Switch the safe choice on for all slots, and off again.
    for (on, reason) in [(true, "safe"), (false, "back on")] {
        let request = SetSafeChoiceRequest { on, reason: reason.into(), author: "mara".into(), ..Default::default() };
        let changed = shop.clients.slots.set_safe_choice(request).await.unwrap().into_inner();
        shop.reasons.push(reason.into());
        assert!(changed.revisions.contains_key(SLOT), "{changed:?}");
        let responses = shop.shoppers(200).await;
        let baseline = led_by(&responses, "no-offer").count();
        assert!(if on { baseline == 200 } else { baseline < 150 }, "{reason}: {baseline}");
    }
    shop.pull("balanced again", |slot| {
        let controls: &mut Controls = slot.controls.get_or_insert_default();
        controls.exploration_stop = ExplorationStop::Balanced.into();
    })
    .await;

    // The history lists every change.
    let request = ListRevisionsRequest { slot_id: SLOT.into(), page_size: 100, ..Default::default() };
    let mut revisions = shop.clients.slots.list_revisions(request).await.unwrap().into_inner().revisions;
    revisions.reverse();
    let told: Vec<&str> = revisions.iter().map(|revision| revision.reason.as_str()).collect();
    assert_eq!(told, shop.reasons);
    assert!(revisions.iter().all(|revision| revision.author == "mara" && revision.time.is_some()));
    let diff =
        |reason: &str| -> &[FieldChange] { &revisions.iter().find(|revision| revision.reason == reason).unwrap().diff };
    assert!(revisions.iter().skip(1).all(|revision| !revision.diff.is_empty()));
    assert!(diff("dial down").iter().any(|change| change.path.contains("exploration")), "{:?}", diff("dial down"));
    assert!(diff("safe").iter().any(|change| change.path.contains("safe_choice")), "{:?}", diff("safe"));

    // The slot has learned what it would have learned if nobody had changed anything.
    drop(server);
    let (whole, without) = learner_without_levers(folder.path());
    let learner = |state: &State| state.slot(SLOT).unwrap().learner().clone();
    assert_eq!(learner(&whole), learner(&without));
}
