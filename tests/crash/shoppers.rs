//! Shoppers of a campaign: deferred decisions, shopper events that confirm and reward them, and subjects that are
//! forgotten.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex},
};

use slotwise::{
    client::{Client, EventReport, ReportedItem, RewardStatus},
    engine::{Body, Request, State, Subject},
    node::decode_event,
    slot::{ChangeReason, Consent, SlotId},
};

/// Slot whose decisions count once they are confirmed.
pub(super) const CAMPAIGN: &str = "campaign";
/// Beginning of the ids of subjects that are forgotten. No file may hold it afterwards.
const GONE: &str = "shopper-to-be-forgotten-";

/// Calls of shoppers that the service acknowledged.
#[derive(Default)]
pub(super) struct ShopperCalls {
    /// Events by id, as they were sent.
    events: BTreeMap<String, EventReport>,
    /// Decisions that were confirmed.
    confirmed: BTreeSet<String>,
    /// Subjects that were forgotten.
    forgotten: BTreeSet<String>,
}

impl ShopperCalls {
    pub(super) fn known(&self) -> BTreeSet<String> {
        self.events.keys().cloned().collect()
    }

    /// Events whose ids are not in `known`.
    pub(super) fn except(&self, known: &BTreeSet<String>) -> Vec<EventReport> {
        self.events.values().filter(|event| !known.contains(&event.event_id)).cloned().collect()
    }
}

fn request(who: &Subject) -> Request {
    let slot = SlotId::parse("slot_id", CAMPAIGN).unwrap();
    Request { subject: who.clone(), deferred: true, ..Request::new(slot) }
}

/// Sends messages, of which every second is opened and clicked, until the service is gone. Every fifth recipient is
/// forgotten.
pub(super) async fn send_messages(address: String, name: String, acknowledged: Arc<Mutex<ShopperCalls>>) {
    let Ok(mut client) = Client::connect(&address).await else { return };
    for i in 0_u32.. {
        let who = Subject { id: format!("{name}-{}", i % 7), session_id: format!("{name}-{i}") };
        let Ok(decision) = client.decide(&request(&who)).await else { return };
        if i % 2 == 0 {
            let report = |kind: &str| EventReport {
                consent: Some(Consent::Full),
                ..EventReport::new(format!("{name}-{i}-{kind}"), kind, who.clone())
            };
            let opened = EventReport { decision_ids: vec![decision.id.clone()], ..report("email_open") };
            let click = EventReport { items: vec![ReportedItem::new(&decision.arms[0].0)], ..report("click") };
            let events = vec![opened, click];
            let Ok(outcomes) = client.record_shopper_events(events.clone()).await else { return };
            assert!(outcomes.iter().all(|outcome| outcome.status == RewardStatus::Accepted), "{outcomes:?}");
            let mut acknowledged = acknowledged.lock().unwrap();
            acknowledged.confirmed.insert(decision.id);
            acknowledged.events.extend(events.into_iter().map(|event| (event.event_id.clone(), event)));
        }
        if i % 5 == 4 {
            let who = Subject { id: format!("{GONE}{name}-{i}."), session_id: String::new() };
            let Ok(_) = client.decide(&request(&who)).await else { return };
            let Ok(_) = client.forget_subject(&who, &ChangeReason::default()).await else { return };
            acknowledged.lock().unwrap().forgotten.insert(who.id);
        }
    }
}

/// Asserts that every acknowledged event is known, and that nothing is held of a subject that was forgotten.
pub(super) async fn assert_shoppers_are_kept(address: &str, events: Vec<EventReport>, calls: &Mutex<ShopperCalls>) {
    let mut client = Client::connect(address).await.unwrap();
    for batch in events.chunks(500) {
        for outcome in client.record_shopper_events(batch.to_vec()).await.unwrap() {
            assert_eq!(outcome.status, RewardStatus::Duplicate, "an acknowledged event is gone: {outcome:?}");
        }
    }
    let latest = calls.lock().unwrap().forgotten.last().cloned();
    let Some(id) = latest else { return };
    let who = Subject { id, session_id: String::new() };
    assert_eq!(client.export_subject(&who, &mut |_| Ok(())).await.unwrap(), 0, "{who:?} was forgotten");
}

/// Asserts that each confirmed decision counts once, and that no file leads to a subject that was forgotten.
pub(super) fn assert_campaign_is_kept(folder: &Path, state: &State, calls: &ShopperCalls) {
    let connection = rusqlite::Connection::open(folder.join("journal.sqlite3")).unwrap();
    let mut select = connection.prepare("SELECT body FROM events ORDER BY position").unwrap();
    let (mut decided, mut deferred, mut shoppers, mut forgotten) = (BTreeSet::new(), 0_u64, BTreeSet::new(), 0);
    for body in select.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap() {
        match decode_event(&body.unwrap()).unwrap().body {
            Body::Decided(record) if record.slot.as_str() == CAMPAIGN => {
                assert!(decided.insert(record.id.to_string()), "{} is confirmed twice", record.id);
            }
            Body::Deferred(_) => deferred += 1,
            Body::Shopper(event) => drop(shoppers.insert(event.event_id.clone())),
            Body::SubjectForgotten(_) => forgotten += 1,
            _ => {}
        }
    }
    assert!(calls.confirmed.is_subset(&decided), "{:?}", calls.confirmed.difference(&decided));
    assert!(calls.known().is_subset(&shoppers) && calls.forgotten.len() <= forgotten);
    assert!(calls.confirmed.len() > 20 && calls.forgotten.len() > 5, "{} {}", decided.len(), forgotten);
    let view = state.slot(CAMPAIGN).unwrap().view();
    assert_eq!((view.counters.decisions, view.deferred.made), (decided.len() as u64, deferred));
    assert_eq!(view.deferred.confirmed, decided.len() as u64);
    let clicks = shoppers.iter().filter(|id| id.ends_with("-click")).count();
    assert_eq!(view.counters.rewards, clicks as u64, "every click counts once");
    let holds = |bytes: &[u8], id: &str| bytes.windows(id.len()).any(|window| window == id.as_bytes());
    for file in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).filter(|path| path.is_file()) {
        let bytes = std::fs::read(&file).unwrap();
        if holds(&bytes, GONE) {
            // A kill before the answer leaves the id of one that need not be forgotten yet.
            let gone = calls.forgotten.iter().find(|id| holds(&bytes, id));
            assert_eq!(gone, None, "{} leads to it", file.display());
        }
    }
}
