//! Decisions of slots whose windows are short, and events that come after the windows have closed.

use std::time::Duration;

use slotwise::wire::proto::{
    DecideRequest, DecideResponse, Goal, RewardEvent, RewardKind, RewardStatus as Status, Slot, Subject,
};

use super::{
    support::{Clients, click, decide, slot},
    traffic::{moment, now},
};

/// Window of each of these slots, and their grace period where they set one.
const WINDOW: Duration = Duration::from_secs(1);

/// Session that all shoppers of these slots share.
const TAB: &str = "tab";

/// Slots with short windows, and their first decisions.
pub(crate) struct ShortWindows {
    begun: Duration,
    quick: Vec<DecideResponse>,
    goods: Vec<DecideResponse>,
    patient: Vec<DecideResponse>,
}

fn seconds(count: u64) -> prost_types::Duration {
    prost_types::Duration { seconds: i64::try_from(count).unwrap(), nanos: 0 }
}

fn slot_with_short_window(id: &str, arms: &[&str], goal: Goal) -> Slot {
    let mut short = slot(id, arms);
    let kinds = short.goal.take().unwrap().kinds;
    short.goal = Some(Goal { window: Some(seconds(WINDOW.as_secs())), kinds: [kinds, goal.kinds].concat(), ..goal });
    short
}

fn slots() -> [Slot; 3] {
    let money = |kind: &str, weight| RewardKind { kind: kind.into(), weight, use_value: true, ..RewardKind::default() };
    let goods = vec![money("buy", 1.0), money("refund", -1.0)];
    [
        // A reversal window of 0: rewards stand once the window is closed.
        slot_with_short_window(
            "quick",
            &["x", "y"],
            Goal { grace_period: Some(seconds(1)), reversal_window: Some(seconds(0)), ..Goal::default() },
        ),
        // The reversal window is the default of 60 days.
        slot_with_short_window(
            "goods",
            &["g"],
            Goal { kinds: goods, grace_period: Some(seconds(1)), ..Goal::default() },
        ),
        // The grace period is the default of ten minutes.
        slot_with_short_window("patient", &["p"], Goal::default()),
    ]
}

fn person(id: &str) -> Subject {
    Subject { id: id.into(), session_id: TAB.into() }
}

fn for_person(slot: &str, id: &str) -> DecideRequest {
    DecideRequest { subject: Some(person(id)), ..decide(slot) }
}

/// Returns an event that names the slot's only arm and a subject, but no decision.
fn by_subject(event_id: &str, slot: &str, arm: &str, id: &str) -> RewardEvent {
    let nothing = DecideResponse::default();
    RewardEvent { slot_id: slot.into(), arm_id: arm.into(), subject: Some(person(id)), ..click(event_id, &nothing) }
}

fn with_value(kind: &str, value: f64, event: RewardEvent) -> RewardEvent {
    RewardEvent { kind: kind.into(), value: Some(value), ..event }
}

fn reversal(event_id: &str, reversed: &str, decision: &DecideResponse) -> RewardEvent {
    RewardEvent { reverses_event_id: reversed.into(), ..click(event_id, decision) }
}

async fn send_and_check(clients: &mut Clients, events: impl IntoIterator<Item = (RewardEvent, Status)>) {
    for (event, status) in events {
        let result = clients.reward(event.clone()).await.unwrap();
        assert_eq!(result.status(), status, "{event:?}: {}", result.message);
    }
}

async fn decide_quick(clients: &mut Clients, first: u32) -> Vec<DecideResponse> {
    let mut made = Vec::new();
    for i in first..first + 5 {
        let decision = clients.decide(decide("quick")).await.unwrap();
        clients.reward(click(&format!("quick-{i}"), &decision)).await.unwrap();
        made.push(decision);
    }
    made
}

impl ShortWindows {
    /// Creates the slots and decides in them. Four of five goods are bought.
    pub(crate) async fn begin(clients: &mut Clients) -> Self {
        for slot in slots() {
            clients.create(slot).await.unwrap();
        }
        let quick = decide_quick(clients, 0).await;
        let (mut goods, mut patient) = (Vec::new(), Vec::new());
        let begun = now();
        for i in 0..5 {
            let decision = clients.decide(for_person("goods", &format!("ann-{i}"))).await.unwrap();
            let mut bought = with_value("buy", 40.0, click(&format!("buy-{i}"), &decision));
            bought.time = Some(moment(begun));
            if i < 4 {
                send_and_check(clients, [(bought, Status::Accepted)]).await;
            }
            goods.push(decision);
            patient.push(clients.decide(for_person("patient", &format!("ann-{i}"))).await.unwrap());
        }
        Self { begun: now(), quick, goods, patient }
    }

    /// Waits until the windows and the short grace periods are over, then sends events that come too late and events
    /// that do not.
    pub(crate) async fn end(self, clients: &mut Clients) {
        let over = self.begun + 2 * WINDOW + Duration::from_millis(100);
        tokio::time::sleep(over.saturating_sub(now())).await;
        for (i, decision) in self.quick.iter().enumerate() {
            let (again, undone) = (format!("quick-{i}"), format!("quick-undo-{i}"));
            let late = [click(&again, decision), reversal(&undone, &again, decision)];
            send_and_check(clients, late.map(|event| (event, Status::Late))).await;
        }
        self.give_back(clients).await;
        for (i, decision) in self.patient.iter().enumerate() {
            let in_time = |event| RewardEvent { time: Some(moment(self.begun)), ..event };
            let named = in_time(click(&format!("patient-{i}"), decision));
            let nameless = in_time(by_subject(&format!("patient-s{i}"), "patient", "p", &format!("ann-{i}")));
            let after = click(&format!("patient-late-{i}"), decision);
            let events = [(named, Status::Accepted), (nameless, Status::Accepted), (after, Status::Late)];
            send_and_check(clients, events).await;
        }
        decide_quick(clients, 5).await;
    }

    async fn give_back(&self, clients: &mut Clients) {
        let goods = &self.goods;
        // Another person decides in the same session without an id.
        clients.decide(for_person("goods", "")).await.unwrap();
        let refund = |id: &str, of: usize| with_value("refund", 15.0, click(id, &goods[of]));
        let events = [
            (with_value("buy", 40.0, click("buy-0", &goods[0])), Status::Duplicate),
            (with_value("buy", 5.0, click("buy-more", &goods[0])), Status::Late),
            // The event joins what ann-0 bought, not the later decision of the same session.
            (with_value("refund", 10.0, by_subject("refund-0", "goods", "g", "ann-0")), Status::Accepted),
            (reversal("undo-1", "buy-1", &goods[1]), Status::Accepted),
            (reversal("undo-1", "buy-1", &goods[1]), Status::Duplicate),
            (reversal("undo-1-again", "buy-1", &goods[1]), Status::Rejected),
            (refund("refund-1", 1), Status::Accepted),
            (refund("refund-2", 2), Status::Accepted),
            (reversal("undo-refund-2", "refund-2", &goods[2]), Status::Accepted),
            // The decision is forgotten, because nobody bought anything.
            (refund("refund-4", 4), Status::Late),
            (reversal("undo-4", "buy-4", &goods[4]), Status::Late),
        ];
        send_and_check(clients, events).await;
    }
}
