//! A day at a live server: its shoppers, its changes, and what was not as expected.

use std::collections::BTreeMap;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use slotwise::wire::proto::{
    ArmReport, BatchDecideRequest, ChosenArm, DecideRequest, DecideResponse, GetSlotReportRequest, GetSlotRequest,
    ListRevisionsRequest, PreviewSlotChangeRequest, PreviewSlotChangeResponse, RecordRewardsRequest, Revision,
    RewardEvent, RollbackSlotRequest, SetSafeChoiceRequest, Slot, SlotReport, Subject, UpdateSlotRequest,
};
use tonic::Code;

use super::{
    AUTHOR, SLOT,
    steps::{DayStep, SHOPPERS, StepAction, StepOutcome},
    support::{Clients, context, text},
};

/// Click rates of the arms, in the order of the template.
const RATES: [(&str, f64); 4] =
    [("no-offer", 0.10), ("free-shipping", 0.18), ("ten-percent", 0.30), ("quarter-off", 0.22)];

pub(crate) struct MarketersDay {
    clients: Clients,
    rng: StdRng,
    shoppers: u64,
    events: u64,
    /// Reasons of all changes, oldest first.
    reasons: Vec<String>,
    /// Everything that was not as expected, so that one failure does not hide the others.
    pub(crate) failures: Vec<String>,
}

impl MarketersDay {
    pub(crate) fn begin(clients: Clients) -> Self {
        let (rng, reasons) = (StdRng::seed_from_u64(99), vec!["created".into()]);
        Self { clients, rng, shoppers: 0, events: 0, reasons, failures: Vec::new() }
    }

    /// Sends `n` shoppers in batches of a hundred. Each clicks with the rate of the arm that it sees.
    pub(crate) async fn send_shoppers(&mut self, n: usize) -> Vec<DecideResponse> {
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
            let decided: Vec<_> = self.clients.decide_all(batch).await.into_iter().map(Result::unwrap).collect();
            self.reward(&decided).await;
            responses.extend(decided);
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
    async fn report(&mut self) -> SlotReport {
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
            decisions: u32::try_from(SHOPPERS).unwrap(),
            ..PreviewSlotChangeRequest::default()
        };
        self.clients.slots.preview_slot_change(request).await.unwrap().into_inner()
    }

    /// Notes a failure unless `holds`.
    pub(crate) fn expect(&mut self, holds: bool, failure: impl FnOnce() -> String) {
        if !holds {
            self.failures.push(failure());
        }
    }

    /// Plays a step: changes the slot, sends shoppers, and notes what is not as the step expects.
    pub(crate) async fn play(&mut self, step: &DayStep) {
        let before = evidence(&self.report().await);
        let preview = match step.action {
            StepAction::Edit(edit) => Some(self.preview_and_apply(step.reason, edit).await),
            StepAction::RollBack(revisions) => {
                let revision = self.slot().await.revision - revisions;
                let (slot_id, reason, author) = (SLOT.into(), step.reason.into(), AUTHOR.into());
                let request =
                    RollbackSlotRequest { slot_id, revision, reason, author, ..RollbackSlotRequest::default() };
                self.clients.slots.rollback_slot(request).await.unwrap();
                None
            }
            StepAction::SafeChoice(on) => {
                let (reason, author) = (step.reason.into(), AUTHOR.into());
                let request = SetSafeChoiceRequest { on, reason, author, ..SetSafeChoiceRequest::default() };
                let changed = self.clients.slots.set_safe_choice(request).await.unwrap().into_inner();
                self.expect(changed.revisions.contains_key(SLOT), || format!("{}: {changed:?}", step.reason));
                None
            }
        };
        self.reasons.push(step.reason.into());
        let after = evidence(&self.report().await);
        self.expect(before == after, || format!("{}: {before:?} was learned, and now {after:?}", step.reason));
        let decisions = self.send_shoppers(step.shoppers).await;
        let outcome = StepOutcome { slot: self.slot().await, preview: preview.unwrap_or_default(), decisions };
        if step.compare_shares {
            self.compare_shares(step.reason, &outcome);
        }
        let expected = (step.expect)(&outcome);
        self.expect(expected.is_ok(), || format!("{}: {}", step.reason, expected.unwrap_err()));
    }

    /// Previews an edit and applies it. The same update once more is stale, and the refusal names author and reason.
    async fn preview_and_apply(&mut self, reason: &str, edit: fn(&mut Slot)) -> PreviewSlotChangeResponse {
        let mut wanted = self.slot().await;
        edit(&mut wanted);
        let preview = self.preview(&wanted).await;
        let update = UpdateSlotRequest {
            slot: Some(wanted),
            reason: reason.into(),
            author: AUTHOR.into(),
            ..UpdateSlotRequest::default()
        };
        self.clients.slots.update_slot(update.clone()).await.unwrap();
        let stale = self.clients.slots.update_slot(update).await.unwrap_err();
        let named = stale.message().contains(AUTHOR) && stale.message().contains(reason);
        self.expect(stale.code() == Code::Aborted && named, || format!("{reason}: {stale}"));
        preview
    }

    /// Compares the observed shares of the arms with those that the preview gave for the changed slot.
    fn compare_shares(&mut self, reason: &str, outcome: &StepOutcome) {
        let count = outcome.decisions.len() as f64;
        let mut observed = BTreeMap::<&str, f64>::new();
        for decision in &outcome.decisions {
            *observed.entry(&decision.arms[0].arm_id).or_default() += 1.0 / count;
        }
        let total: f64 = outcome.preview.arms.iter().map(|arm| arm.share_after.unwrap().value).sum();
        self.expect((total - 1.0).abs() < 1e-6, || format!("{reason}: {:?}", outcome.preview));
        for arm in &outcome.preview.arms {
            let share = arm.share_after.unwrap();
            let (previewed, observed) = (share.value, observed.get(arm.arm_id.as_str()).copied().unwrap_or(0.0));
            // The tolerance is five standard errors of both, and 0.02 for what the slot learns meanwhile.
            let error = (share.standard_error.powi(2) + previewed * (1.0 - previewed) / count).sqrt();
            self.expect((previewed - observed).abs() < 5.0 * error + 0.02, || {
                format!("{reason}: {} has the share {observed}, and {previewed} in the preview", arm.arm_id)
            });
        }
    }

    /// The history lists every change with its reason, its author and its time.
    pub(crate) async fn check_history(&mut self) {
        let request = ListRevisionsRequest { slot_id: SLOT.into(), page_size: 100, ..ListRevisionsRequest::default() };
        let mut revisions = self.clients.slots.list_revisions(request).await.unwrap().into_inner().revisions;
        revisions.reverse();
        let reasons: Vec<_> = revisions.iter().map(|revision| revision.reason.clone()).collect();
        let wanted = self.reasons.clone();
        self.expect(reasons == wanted, || format!("the history lists {reasons:?}, not {wanted:?}"));
        let complete = |revision: &Revision| revision.author == AUTHOR && revision.time.is_some();
        self.expect(revisions.iter().all(complete), || format!("{revisions:?}"));
        self.expect(revisions.iter().skip(1).all(|revision| !revision.diff.is_empty()), || format!("{revisions:?}"));
        for (reason, path) in [("dial down", "exploration"), ("safe", "safe_choice")] {
            let changes = |revision: &Revision| {
                revision.reason == reason && revision.diff.iter().any(|field| field.path.contains(path))
            };
            self.expect(revisions.iter().any(changes), || format!("{reason}: no change of {path}"));
        }
    }
}

/// Returns the evidence behind the beliefs about each arm. The beliefs themselves move a little with time, because
/// silence is learned. The end of the test compares them bit for bit with those of a slot that nobody changed.
fn evidence(report: &SlotReport) -> Vec<(String, u64, u64)> {
    let of_arm = |arm: &ArmReport| (arm.arm_id.clone(), arm.shown, arm.reward_sum.to_bits());
    report.arms.iter().map(of_arm).collect()
}
