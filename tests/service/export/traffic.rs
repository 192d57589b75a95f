//! A small shop's day, in which everything happens to events that can happen.

use std::{path::Path, time::Duration};

use prost_types::Timestamp;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use slotwise::wire::proto::{
    Candidate, DecideRequest, DecideResponse, DeleteSlotRequest, RewardEvent, RewardKind, Slot, SlotKind, Subject,
};

use super::{
    aftermath::ShortWindows,
    support::{InProcessServer, click, context, decide, number, slot, text},
};

/// Text that CSV and JSON must quote.
pub(crate) const AWKWARD: &str = "she said \"hi, there\"\r\nand left; \u{e9}\u{1f6d2}";

/// Id that CSV must quote and that a spreadsheet would run as a formula.
pub(crate) const ODD_ID: &str = "=1+1 \"é\", a/b";

/// Returns a slot that shows three arms. Clicks count at most 1, purchases count their value, and refunds take back at
/// most 20.
fn page() -> Slot {
    let kind = |kind: &str, weight, use_value, cap| RewardKind {
        kind: kind.into(),
        weight,
        use_value,
        cap,
        winsorize: None,
        role: 0,
        joins: 0,
    };
    let mut page = slot("page", &["a", "b", "c", ODD_ID, "e"]);
    page.kind = SlotKind::Block.into();
    page.count = 3;
    let goal = page.goal.as_mut().unwrap();
    goal.kinds = vec![
        kind("click", 0.5, false, Some(1.0)),
        kind("buy", 0.25, true, None),
        kind("refund", -1.0, true, Some(20.0)),
    ];
    goal.default_reward = 0.125;
    goal.window = Some(prost_types::Duration { seconds: 3600, nanos: 0 });
    page
}

/// Returns the time since 1970.
pub(crate) fn now() -> Duration {
    std::time::UNIX_EPOCH.elapsed().unwrap()
}

fn ago(age: Duration) -> Duration {
    now().checked_sub(age).unwrap()
}

pub(crate) fn moment(since_1970: Duration) -> Timestamp {
    Timestamp {
        seconds: i64::try_from(since_1970.as_secs()).unwrap(),
        nanos: i32::try_from(since_1970.subsec_nanos()).unwrap(),
    }
}

fn request(rng: &mut StdRng, i: u32) -> DecideRequest {
    let person = |of: &str, n: u32| format!("{of}{ODD_ID}{n}");
    // Shoppers share sessions, and some are not logged in.
    let id = if rng.random_range(0..8) > 0 { person("", rng.random_range(0..6)) } else { String::new() };
    let subject = Subject { id, session_id: person("session", i / 4) };
    let mut request = DecideRequest { subject: Some(subject), ..decide("page") };
    request.context = context(&[("age", number(f64::from(i % 60))), ("said", text(AWKWARD))]);
    if i.is_multiple_of(3) {
        let candidate =
            |id: &str| Candidate { arm_id: id.into(), features: context(&[("rank", number(f64::from(i)))]) };
        request.candidates = ["a", "b", "c", ODD_ID].map(candidate).to_vec();
        request.request_id = format!("request-{i}");
    }
    request
}

/// Draws an event of a shopper. Most are for an arm that was shown; some name only the subject, some are too late, and
/// some match nothing.
fn event(rng: &mut StdRng, i: u32, (request, decision): &(DecideRequest, DecideResponse)) -> RewardEvent {
    let arm = &decision.arms[rng.random_range(0..decision.arms.len())];
    let mut event = RewardEvent { arm_id: arm.arm_id.clone(), ..click(&format!("e{i}"), decision) };
    event.kind = ["click", "click", "buy", "refund", "look"][rng.random_range(0..5)].into();
    event.value = (rng.random_range(0..8) > 0).then(|| f64::from(rng.random_range(1..60_u32)));
    match rng.random_range(0..12) {
        0..=2 => {
            (event.decision_id, event.slot_id, event.subject) = (String::new(), "page".into(), request.subject.clone());
            match rng.random_range(0..6) {
                0 => event.subject.as_mut().unwrap().id.clear(),
                1 => event.time = Some(moment(ago(Duration::from_millis(rng.random_range(1..1_000))))),
                // The event's clock says that it happened before anything was shown: by a tolerable error, and by too
                // much.
                2 => event.time = Some(moment(ago(Duration::from_mins(5)))),
                3 => event.time = Some(moment(ago(Duration::from_hours(2)))),
                _ => {}
            }
        }
        // The event's clock is ahead or behind, but the event arrives within the window.
        3 => event.time = Some(moment(now() + Duration::from_hours(2))),
        6 => event.time = Some(moment(ago(Duration::from_hours(2)))),
        4 => event.arm_id = "no-such-arm".into(),
        5 => event.arm_id = String::new(),
        _ => {}
    }
    event
}

/// Plays a small shop's day and leaves the folder of the service in `data`.
pub(crate) async fn traffic(data: &Path) {
    let server = InProcessServer::start(data).await;
    let mut clients = server.clients().await;
    for slot in [page(), slot("gone", &["g"])] {
        clients.create(slot).await.unwrap();
    }
    let mut rng = StdRng::seed_from_u64(11);
    let (mut made, mut sent): (Vec<(DecideRequest, DecideResponse)>, Vec<RewardEvent>) = (Vec::new(), Vec::new());
    let short = ShortWindows::begin(&mut clients).await;
    let gone = clients.decide(decide("gone")).await.unwrap();
    clients.reward(click("gone-1", &gone)).await.unwrap();
    clients
        .slots
        .delete_slot(DeleteSlotRequest { slot_id: "gone".into(), ..DeleteSlotRequest::default() })
        .await
        .unwrap();
    for i in 0..700_u32 {
        match rng.random_range(0..10) {
            0..=3 => {
                let request = request(&mut rng, i);
                made.push((request.clone(), clients.decide(request).await.unwrap()));
            }
            4..=7 if !made.is_empty() => {
                let of = &made[rng.random_range(0..made.len())];
                let event = event(&mut rng, i, of);
                clients.reward(event.clone()).await.unwrap();
                sent.push(event);
            }
            8 if !sent.is_empty() => {
                let again = sent[rng.random_range(0..sent.len())].clone();
                clients.reward(again).await.unwrap();
            }
            9 if !sent.is_empty() => {
                let reversed = &sent[rng.random_range(0..sent.len())];
                let reverses_event_id = reversed.event_id.clone();
                let of = made.iter().find(|(_, decision)| decision.decision_id == reversed.decision_id);
                let Some((_, decision)) = of else { continue };
                clients.reward(RewardEvent { reverses_event_id, ..click(&format!("r{i}"), decision) }).await.unwrap();
            }
            _ => {}
        }
    }
    short.end(&mut clients).await;
    server.stop().await;
}
