//! Previews and explanations of past decisions against a live server.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "a test stops at the first thing that is wrong"
)]

use std::{collections::HashMap, time::Duration};

use crate::support::{self, Clients, InProcessServer, Process, click, context, decide, number, program, slot, text};
use prost_types::FieldMask;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use slotwise::{
    engine::snapshot,
    journal::JournalReader,
    node::{fold, recover_state},
    wire::proto::{
        Controls, DecideRequest, DecideResponse, ExplainDecisionRequest, GetSlotReportRequest, GetSlotRequest,
        PreviewSlotChangeRequest, PreviewSlotChangeResponse, RewardEvent, Slot, UpdateSlotRequest,
    },
};
use tokio::time::sleep;
use tonic::Code;
use tonic_types::StatusExt as _;

const ARMS: [&str; 4] = ["a", "b", "c", "d"];

fn shopper(rng: &mut StdRng) -> DecideRequest {
    let loyalty = ["gold", "none"][rng.random_range(0..2)];
    DecideRequest {
        context: context(&[("loyalty", text(loyalty)), ("hour", number(f64::from(rng.random_range(0..24))))]),
        ..decide("offers")
    }
}

/// Returns the number of decisions that the slot has recorded.
async fn recorded_decisions(clients: &mut Clients) -> u64 {
    let request = GetSlotReportRequest { slot_id: "offers".into(), ..Default::default() };
    clients.insight.get_slot_report(request).await.unwrap().into_inner().report.unwrap().decisions
}

/// Sends shoppers: gold customers like `a`, the others `b`. Returns once the last decision is recorded, which happens
/// after it is answered.
async fn send_shoppers(clients: &mut Clients, rng: &mut StdRng, rounds: u32) {
    let all = recorded_decisions(clients).await + u64::from(rounds);
    for i in 0..rounds {
        let request = shopper(rng);
        let gold = request.context["loyalty"] == text("gold");
        let decision = clients.decide(request).await.unwrap();
        let rate = match (decision.arms[0].arm_id.as_str(), gold) {
            ("a", true) | ("b", false) => 0.6,
            _ => 0.2,
        };
        if rng.random_bool(rate) {
            clients.reward(click(&format!("e{i}"), &decision)).await.unwrap();
        }
    }
    for _ in 0..500 {
        if recorded_decisions(clients).await == all {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("not all decisions were taken in within ten seconds");
}

fn slot_with(controls: Controls) -> Slot {
    Slot { controls: Some(controls), ..slot("offers", &ARMS) }
}

fn mask(paths: &[&str]) -> FieldMask {
    FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() }
}

async fn preview(clients: &mut Clients, slot: Slot, paths: &[&str]) -> PreviewSlotChangeResponse {
    let request = PreviewSlotChangeRequest { slot: Some(slot), update_mask: Some(mask(paths)), decisions: 0 };
    clients.slots.preview_slot_change(request).await.unwrap().into_inner()
}

/// A preview gives the shares that are observed once the change is applied, and changes nothing before. Subjects are
/// anonymous, so shares and draws differ by chance alone: an observed share of n decisions is off by √(p(1−p)/n), a
/// previewed one by its own standard error. Five standard errors of both over four arms are one false alarm in 400,000.
#[tokio::test(flavor = "multi_thread")]
async fn a_preview_changes_nothing_and_gives_the_shares_that_are_observed_later() {
    const LATER: u32 = 700;
    let (folder, server, mut clients) = support::started().await;
    clients.create(slot_with(Controls { holdout: Some(0.0), ..Controls::default() })).await.unwrap();
    let mut rng = StdRng::seed_from_u64(3);
    send_shoppers(&mut clients, &mut rng, 400).await;
    let state = async |clients: &mut Clients| {
        let slot = clients.slots.get_slot(GetSlotRequest { slot_id: "offers".into() }).await.unwrap().into_inner();
        let request = GetSlotReportRequest { slot_id: "offers".into(), ..Default::default() };
        let mut report = clients.insight.get_slot_report(request).await.unwrap().into_inner();
        // The periods of a report end when it is read.
        let figures = report.report.as_mut().unwrap();
        for period in [&mut figures.period, &mut figures.previous_period].into_iter().flatten() {
            (period.from, period.until) = (None, None);
        }
        (slot, report)
    };
    let before = state(&mut clients).await;

    let draft = || {
        slot_with(Controls {
            holdout: Some(0.2),
            floor: Some(0.1),
            exploration: Some(0.5),
            freeze_learning: Some(true),
            ..Controls::default()
        })
    };
    let paths = ["controls.holdout", "controls.floor", "controls.exploration", "controls.freeze_learning"];
    let said = preview(&mut clients, draft(), &paths).await;
    let position = JournalReader::open(folder.path()).unwrap().last();
    let twice = preview(&mut clients, draft(), &paths).await;
    assert_eq!(said, twice, "two previews over the same past are equal");
    assert_eq!(state(&mut clients).await, before);
    assert_eq!(JournalReader::open(folder.path()).unwrap().last(), position, "nothing was written");

    assert_eq!(said.decisions_used, 400);
    assert!(said.decisions_per_day.abs() < 1e-12, "less than a day is known");
    assert!(
        said.diff.iter().any(|field| (&*field.path, &*field.after) == ("controls.floor", "0.1")),
        "{:?}",
        said.diff
    );
    let sum: f64 = said.arms.iter().map(|arm| arm.share_after.unwrap().value).sum();
    assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    assert!(said.arms.iter().all(|arm| arm.policy_share_after.unwrap().value >= 0.1 - 1e-9));

    let update =
        UpdateSlotRequest { slot: Some(draft()), update_mask: Some(mask(&paths)), ..UpdateSlotRequest::default() };
    clients.slots.update_slot(update).await.unwrap();
    let mut observed = HashMap::<String, f64>::new();
    for _ in 0..LATER {
        let decision = clients.decide(shopper(&mut rng)).await.unwrap();
        *observed.entry(decision.arms[0].arm_id.clone()).or_default() += 1.0 / f64::from(LATER);
    }
    for arm in &said.arms {
        let (share, seen) = (arm.share_after.unwrap(), observed.get(&arm.arm_id).copied().unwrap_or(0.0));
        let error = (share.value * (1.0 - share.value) / f64::from(LATER) + share.standard_error.powi(2)).sqrt();
        assert!((seen - share.value).abs() <= 5.0 * error, "{}: {seen} observed, {share:?} previewed", arm.arm_id);
    }
    server.stop().await;
    // The previews left no trace in the state or in the journal.
    let bytes = |state| snapshot::encode(&state).unwrap();
    assert!(bytes(fold(folder.path(), 1).unwrap()) == bytes(recover_state(folder.path(), None, 1).unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_of_an_invalid_change_says_why_it_is_invalid() {
    let (_folder, server, mut clients) = support::started().await;
    clients.create(slot("offers", &ARMS)).await.unwrap();
    let none =
        preview(&mut clients, slot_with(Controls { floor: Some(0.1), ..Controls::default() }), &["controls.floor"])
            .await;
    assert_eq!((none.decisions_used, none.arms.len()), (0, 4));
    assert!(none.warnings[0].contains("no past decisions"), "{:?}", none.warnings);

    let mut fails = async |request: PreviewSlotChangeRequest| {
        let status = clients.slots.preview_slot_change(request).await.unwrap_err();
        let field = status.get_details_bad_request().map(|bad| bad.field_violations[0].field.clone());
        (status.code(), field.unwrap_or_default())
    };
    let request = |slot: Slot| PreviewSlotChangeRequest { slot: Some(slot), update_mask: None, decisions: 0 };
    let high = slot_with(Controls { floor: Some(1.5), ..Controls::default() });
    assert_eq!(fails(request(high)).await, (Code::InvalidArgument, "slot.controls.floor".into()));
    assert_eq!(fails(request(slot("orders", &ARMS))).await, (Code::NotFound, "slot.slot_id".into()));
    let many = PreviewSlotChangeRequest { decisions: 10_001, ..request(slot("offers", &ARMS)) };
    assert_eq!(fails(many).await, (Code::InvalidArgument, "decisions".into()));
    let stale = Slot { revision: 7, ..slot("offers", &ARMS) };
    assert_eq!(fails(request(stale)).await.0, Code::Aborted);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_is_explained_by_its_id_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let server = InProcessServer::start(folder.path()).await;
    let mut clients = server.clients().await;
    clients.create(slot_with(Controls { holdout: Some(0.0), ..Controls::default() })).await.unwrap();
    let mut rng = StdRng::seed_from_u64(4);
    send_shoppers(&mut clients, &mut rng, 150).await;
    let mut answers: Vec<(DecideRequest, DecideResponse)> = Vec::new();
    for _ in 0..20 {
        let request = DecideRequest { explain: true, request_id: format!("r{}", answers.len()), ..shopper(&mut rng) };
        let decision = clients.decide(request.clone()).await.unwrap();
        clients.reward(RewardEvent { ..click(&format!("late{}", answers.len()), &decision) }).await.unwrap();
        answers.push((request, decision));
    }
    let check = async |clients: &mut Clients| {
        for (request, decision) in &answers {
            let ask = ExplainDecisionRequest { decision_id: decision.decision_id.clone(), slot_id: "offers".into() };
            let got = clients.insight.explain_decision(ask).await.unwrap().into_inner();
            assert_eq!((&got.context, &got.request_id), (&request.context, &request.request_id));
            assert!(got.revision_kept && got.effects_as_of_now);
            let (then, now) = (decision.clone(), got.decision.unwrap());
            assert_eq!((&now.arms, &now.model, now.revision), (&then.arms, &then.model, then.revision));
            let (then, now) = (then.explanation.unwrap(), now.explanation.unwrap());
            assert_eq!(now.summary, then.summary);
            for (now, then) in now.candidates.iter().zip(&then.candidates) {
                assert_eq!((&now.arm_id, now.eligible), (&then.arm_id, then.eligible));
                for (now, then) in [(now.mean, then.mean), (now.std, then.std), (now.propensity, then.propensity)] {
                    assert!((now - then).abs() <= 1e-6 * then.abs(), "{now} against {then}");
                }
                assert!(!now.moved_by.is_empty() && now.moved_by.len() <= 5, "{now:?}");
            }
        }
    };
    // The explanation is available at once, although the decision may still be on its way to the journal.
    check(&mut clients).await;
    let request = shopper(&mut rng);
    let last = clients.decide(request.clone()).await.unwrap();
    let ask = |id: &str, slot: &str| ExplainDecisionRequest { decision_id: id.into(), slot_id: slot.into() };
    let explained = clients.insight.explain_decision(ask(&last.decision_id, "")).await.unwrap().into_inner();
    assert_eq!((explained.slot_id.as_str(), &explained.context), ("offers", &request.context));
    let mut decision = explained.decision.unwrap();
    let explanation = decision.explanation.take().expect("a past decision comes with its explanation");
    assert_eq!(decision, last, "apart from the explanation the past decision is the answer");
    let chances: f64 = explanation.candidates.iter().map(|candidate| candidate.propensity).sum();
    assert!(explanation.candidates.len() == ARMS.len() && (chances - 1.0).abs() < 1e-6, "{explanation:?}");
    assert!(explanation.summary.contains(&last.arms[0].arm_id), "{}", explanation.summary);
    server.stop().await;

    let server = InProcessServer::start(folder.path()).await;
    let mut clients = server.clients().await;
    check(&mut clients).await;
    let mut fails = async |id: &str, slot: &str| clients.insight.explain_decision(ask(id, slot)).await.unwrap_err();
    assert_eq!(fails("nonsense", "").await.code(), Code::InvalidArgument);
    let known = &answers[0].1.decision_id;
    let other = slotwise::engine::DecisionId::parse(known).unwrap();
    let unknown = slotwise::engine::DecisionId::new(other.slot(), other.at_us(), 99).to_string();
    let status = fails(&unknown, "").await;
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(status.get_details_error_info().unwrap().reason, "DECISION_NOT_FOUND");
    assert!(status.message().contains("holds no such decision"), "{}", status.message());
    let elsewhere = fails(known, "orders").await;
    assert!(elsewhere.message().contains("is of the slot 'offers'"), "{}", elsewhere.message());
    server.stop().await;
}

#[test]
fn the_command_line_previews_a_file_and_explains_a_decision() {
    const OFFERS: &str = "slot_id = \"offers\"\n[[arms]]\narm_id = \"gift\"\n[[arms]]\narm_id = \"ship\"\n";
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(&folder.path().join("data"));
    let run = |words: &[&str]| {
        let output = program().args(words).args(["--target", &process.address]).output().unwrap();
        (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let file = folder.path().join("offers.toml");
    std::fs::write(&file, OFFERS).unwrap();
    let path = file.to_str().unwrap();
    assert!(run(&["slots", "preview", "-f", path]).1.contains("a new slot"));
    assert!(run(&["slots", "apply", "-f", path]).0);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let decision = runtime.block_on(async {
        let mut clients = Clients::connect(&process.address).await;
        let mut decision = DecideResponse::default();
        for _ in 0..120 {
            decision = clients.decide(decide("offers")).await.unwrap();
        }
        decision
    });
    std::fs::write(&file, format!("{OFFERS}[controls]\nholdout = 0.5\n")).unwrap();
    let (good, text) = run(&["slots", "preview", "-f", path]);
    assert!(good, "{text}");
    for part in ["offers: by 120 past decisions", "controls.holdout", "gift", "█", "expected reward per decision"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (good, json) = run(&["slots", "preview", "-f", path, "-o", "json", "--decisions", "50"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(good && json["decisions_used"] == 50 && json["arms"][0]["arm_id"] == "gift", "{json}");
    let same = run(&["slots", "preview", "-f", path, "--decisions", "10001"]);
    assert!(!same.0 && same.1.contains("at most 10000"), "{same:?}");

    let (good, text) = run(&["explain", &decision.decision_id]);
    assert!(good && text.contains(&decision.arms[0].arm_id) && text.contains("slot offers, revision 1"), "{text}");
    let (_, json) = run(&["explain", &decision.decision_id, "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["arms"][0]["arm_id"], decision.arms[0].arm_id.as_str());
    let (good, error) = run(&["explain", "nonsense"]);
    assert!(!good && error.contains("is not the id of a decision"), "{error}");
}
