//! The item catalogue against a real server: items, their availability, and what slots and shopper events see of them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first thing that is wrong")]

use std::{collections::HashMap, fs};

use slotwise::{
    engine::{Body, snapshot},
    journal::{JournalReader, RecordRange},
    node::{decode_event, fold, recover_state},
    slot::ArmId,
    wire::proto::{
        Candidate, Consent, DecideRequest, EventItem, ExplainDecisionRequest, FeatureValue, Item, ListItemsRequest,
        RecordEventsRequest, RemoveItemsRequest, SetItemAvailabilityRequest, ShopperEvent, Slot, StreamItemsRequest,
        Subject, TryDecideRequest, UpsertItemsRequest, event_service_client::EventServiceClient,
        insight_service_client::InsightServiceClient, item_service_client::ItemServiceClient,
        stream_items_request::Change,
    },
};
use tonic::{Code, transport::Channel};
use tonic_types::StatusExt as _;

use crate::support::{Clients, InProcessServer, arms, context, decide, http_get, number, program, slot, started, text};

type ItemClient = ItemServiceClient<Channel>;

async fn item_client(server: &InProcessServer) -> ItemClient {
    ItemServiceClient::connect(server.address.clone()).await.unwrap()
}

fn item(id: &str, attributes: &[(&str, FeatureValue)]) -> Item {
    Item { item_id: id.into(), attributes: context(attributes), ..Item::default() }
}

fn upsert(items: Vec<Item>) -> UpsertItemsRequest {
    UpsertItemsRequest { items, ..UpsertItemsRequest::default() }
}

fn set_available(id: &str, available: bool) -> SetItemAvailabilityRequest {
    let available = HashMap::from([(id.to_owned(), available)]);
    SetItemAvailabilityRequest { available, ..SetItemAvailabilityRequest::default() }
}

/// Arms that a slot shows in fifty decisions.
async fn shown(clients: &mut Clients, request: DecideRequest) -> Vec<String> {
    let mut shown = Vec::new();
    for _ in 0..50 {
        let decided = clients.decide(request.clone()).await.unwrap();
        shown.extend(decided.arms.into_iter().map(|arm| arm.arm_id));
    }
    shown.sort();
    shown.dedup();
    shown
}

fn open(id: &str) -> Slot {
    Slot { open_catalogue: true, ..slot(id, &[]) }
}

fn candidates(slot: &str, ids: &[&str]) -> DecideRequest {
    let candidate = |id: &&str| Candidate { arm_id: (*id).to_owned(), ..Candidate::default() };
    DecideRequest { candidates: ids.iter().map(candidate).collect(), ..decide(slot) }
}

#[tokio::test(flavor = "multi_thread")]
async fn availability_set_once_holds_for_every_slot_and_survives_a_restart() {
    let (folder, server, mut clients) = started().await;
    let mut items = item_client(&server).await;
    for id in ["home", "email"] {
        clients.create(slot(id, &["boots", "cap"])).await.unwrap();
    }
    clients.create(open("search")).await.unwrap();
    let added = items.upsert_items(upsert(vec![item("boots", &[]), item("cap", &[])])).await.unwrap().into_inner();
    assert_eq!((added.changed, added.item_count), (2, 2));
    let both = ["boots", "cap"];
    assert_eq!(shown(&mut clients, decide("home")).await, both);
    assert_eq!(shown(&mut clients, candidates("search", &both)).await, both);
    let set = items.set_item_availability(set_available("boots", false)).await.unwrap().into_inner();
    assert_eq!((set.changed, set.item_count), (1, 2));
    for request in [decide("home"), decide("email"), candidates("search", &both)] {
        assert_eq!(shown(&mut clients, request).await, ["cap"], "the next decision has it");
    }
    for _ in 0..20 {
        let trial = TryDecideRequest { request: Some(candidates("search", &both)) };
        let tried = clients.insight.try_decide(trial).await.unwrap().into_inner().decision.unwrap();
        assert_eq!(tried.arms[0].arm_id, "cap", "a trial has it, too");
    }
    server.stop().await;
    let bytes = |state: &slotwise::engine::State| snapshot::encode(state).unwrap();
    let folded = fold(folder.path(), 1).unwrap();
    assert_eq!(folded.items().len(), 2);
    assert!(bytes(&folded) == bytes(&fold(folder.path(), 3).unwrap()), "three workers");
    assert!(bytes(&folded) == bytes(&recover_state(folder.path(), None, 2).unwrap()), "from the snapshot");

    let server = InProcessServer::start(folder.path()).await;
    let mut clients = server.clients().await;
    let mut items = item_client(&server).await;
    for request in [decide("home"), candidates("search", &both)] {
        assert_eq!(shown(&mut clients, request).await, ["cap"], "after a restart");
    }
    let removal = RemoveItemsRequest { item_ids: vec!["boots".into()], ..RemoveItemsRequest::default() };
    assert_eq!(items.remove_items(removal).await.unwrap().into_inner().item_count, 1);
    assert_eq!(shown(&mut clients, decide("home")).await, both, "the slot has the arm itself");
    let metrics = http_get(&server.http, "/metrics").await;
    assert!(metrics.contains("\nslotwise_items 1\n") && metrics.contains("\nslotwise_items_bytes "), "{metrics}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attributes_of_an_item_are_features_of_its_candidate_and_of_the_shopper_who_looked_at_it() {
    let (folder, server, mut clients) = started().await;
    let mut items = item_client(&server).await;
    let mut insight = InsightServiceClient::connect(server.address.clone()).await.unwrap();
    let mut events = EventServiceClient::connect(server.address.clone()).await.unwrap();
    clients.create(open("search")).await.unwrap();
    clients.create(slot("home", &["boots", "cap"])).await.unwrap();
    let shoe = |id: &str, price: f64| item(id, &[("category", text("shoes")), ("price", number(price))]);
    let catalogue = vec![shoe("boots", 80.0), shoe("sandals", 40.0), item("cap", &[("category", text("hats"))])];
    items.upsert_items(upsert(catalogue)).await.unwrap();

    // The caller's own features win, and the rest is recorded with the decision.
    let mut request = candidates("search", &["boots", "sandals", "unknown"]);
    request.candidates[0].features = context(&[("price", number(1.0))]);
    let decided = clients.decide(request).await.unwrap();
    let explain = |decision_id: String| ExplainDecisionRequest { decision_id, ..ExplainDecisionRequest::default() };
    let explained = insight.explain_decision(explain(decided.decision_id)).await.unwrap().into_inner();
    let features: HashMap<String, HashMap<String, FeatureValue>> =
        explained.candidates.iter().map(|one| (one.arm_id.clone(), one.features.clone())).collect();
    assert_eq!(features["boots"], context(&[("category", text("shoes")), ("price", number(1.0))]));
    assert_eq!(features["sandals"], context(&[("category", text("shoes")), ("price", number(40.0))]));
    assert!(features["unknown"].is_empty());

    // An event about an item that is no arm of any slot finds its attributes in the catalogue.
    let anna = Subject { id: "anna".into(), session_id: "s1".into() };
    let view = ShopperEvent {
        event_id: "v1".into(),
        subject: Some(anna.clone()),
        consent: Consent::Full.into(),
        kind: "view".into(),
        items: vec![EventItem { item_id: "sandals".into(), ..EventItem::default() }],
        ..ShopperEvent::default()
    };
    let recorded = events.record_events(RecordEventsRequest { events: vec![view], validate_only: false }).await;
    assert!(recorded.unwrap().into_inner().results[0].profile_updated);
    let mut decisions = Vec::new();
    for (slot, request) in [("home", decide("home")), ("search", candidates("search", &["boots", "cap"]))] {
        let request = DecideRequest { subject: Some(anna.clone()), ..request };
        let decided = clients.decide(request).await.unwrap();
        decisions.push(decided.decision_id.clone());
        let explained = insight.explain_decision(explain(decided.decision_id)).await.unwrap().into_inner();
        let interest = &explained.context["session.interest"];
        assert!(format!("{interest:?}").contains("shoes"), "{slot}: {interest:?}");
    }
    server.stop().await;
    let state = fold(folder.path(), 1).unwrap();
    let mut matched = 0;
    let mut look = |stored: &slotwise::journal::Stored<'_>| {
        if let Body::Decided(decided) = decode_event(stored.body)?.body
            && decisions.contains(&decided.id.to_string())
        {
            let definition = state.slot(decided.slot.as_str()).unwrap().definition();
            let boots = decided.matched_features(&ArmId::parse("arm", "boots").unwrap(), Some(definition)).unwrap();
            assert!(boots.contains_key("match.affinity"), "{}: {boots:?}", decided.slot);
            matched += 1;
        }
        Ok(())
    };
    JournalReader::open(folder.path()).unwrap().each(RecordRange::default(), &mut look).unwrap();
    assert_eq!(matched, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_change_names_its_field_and_changes_nothing_on_disk() {
    let (folder, server, mut clients) = started().await;
    let mut items = item_client(&server).await;
    clients.create(slot("home", &["boots"])).await.unwrap();
    items.upsert_items(upsert(vec![item("boots", &[])])).await.unwrap();
    let one = |edit: &dyn Fn(&mut Item)| {
        let mut changed = item("x", &[("price", number(1.0))]);
        edit(&mut changed);
        vec![item("a", &[]), item("b", &[]), item("c", &[]), changed]
    };
    let many = (0..10_001).map(|n| item(&format!("i{n}"), &[])).collect();
    for (items_of, field) in [
        (Vec::new(), "items"),
        (many, "items"),
        (one(&|item| item.item_id.clear()), "items[3].item_id"),
        (one(&|item| item.item_id = "x".repeat(257)), "items[3].item_id"),
        (one(&|item| item.item_id = "a\nb".into()), "items[3].item_id"),
        (one(&|item| item.item_id = "a".into()), "items[3].item_id"),
        (one(&|item| drop(item.attributes.insert("price".into(), number(f64::NAN)))), "items[3].attributes[\"price\"]"),
        (
            one(&|item| drop(item.attributes.insert("price".into(), FeatureValue { value: None }))),
            "items[3].attributes[\"price\"]",
        ),
        (
            one(&|item| (0..201).for_each(|n| drop(item.attributes.insert(format!("f{n}"), number(1.0))))),
            "items[3].attributes",
        ),
    ] {
        let refused = items.upsert_items(upsert(items_of)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{field}");
        let violations = refused.get_error_details().bad_request().unwrap().field_violations.clone();
        assert_eq!(violations[0].field, field, "{refused:?}");
    }
    for item_ids in [Vec::new(), vec!["boots".into(), "nothing".into()]] {
        let refused = items.remove_items(RemoveItemsRequest { item_ids, ..RemoveItemsRequest::default() }).await;
        assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
    }
    let refused = items.set_item_availability(set_available("nothing", false)).await.unwrap_err();
    assert!(refused.message().contains("available[\"nothing\"]"), "{}", refused.message());
    // A change that is only tried, and one that changes nothing, are written neither.
    let tried = UpsertItemsRequest { validate_only: true, ..upsert(vec![item("new", &[])]) };
    assert_eq!(items.upsert_items(tried).await.unwrap().into_inner().item_count, 2);
    assert_eq!(items.upsert_items(upsert(vec![item("boots", &[])])).await.unwrap().into_inner().changed, 0);
    let listed = items.list_items(ListItemsRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.items.iter().map(|item| item.item_id.as_str()).collect::<Vec<_>>(), ["boots"]);
    server.stop().await;
    assert_eq!(fold(folder.path(), 1).unwrap().position(), 2, "the slot and one change of items");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_applies_its_messages_in_order_and_pages_list_every_item_once() {
    let (_folder, server, _clients) = started().await;
    let mut items = item_client(&server).await;
    let message = |change| StreamItemsRequest { change: Some(change) };
    let many = |from: usize| (from..from + 600).map(|n| item(&format!("i{n:04}"), &[("n", number(1.0))])).collect();
    let removal = RemoveItemsRequest { item_ids: vec!["i0001".into()], ..RemoveItemsRequest::default() };
    let stream = vec![
        message(Change::Upsert(upsert(many(0)))),
        message(Change::Availability(set_available("i0003", false))),
        message(Change::Remove(removal.clone())),
        message(Change::Upsert(upsert(many(600)))),
    ];
    let done = items.stream_items(tokio_stream::iter(stream)).await.unwrap().into_inner();
    assert_eq!((done.messages, done.changed, done.item_count), (4, 1_202, 1_199));
    let wrong = vec![message(Change::Upsert(upsert(vec![item("z", &[])]))), message(Change::Remove(removal))];
    let refused = items.stream_items(tokio_stream::iter(wrong)).await.unwrap_err();
    assert!(refused.message().contains("messages[1]") && refused.message().contains("was applied"), "{refused:?}");
    let empty = items.stream_items(tokio_stream::iter(vec![StreamItemsRequest::default()])).await.unwrap_err();
    assert_eq!(empty.code(), Code::InvalidArgument);

    let (mut listed, mut page_token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let request = ListItemsRequest { page_size: 500, page_token };
        let page = items.list_items(request).await.unwrap().into_inner();
        assert_eq!(page.item_count, 1_200);
        listed.extend(page.items);
        (page_token, pages) = (page.next_page_token, pages + 1);
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!((pages, listed.len()), (3, 1_200));
    assert!(listed.windows(2).all(|pair| pair[0].item_id < pair[1].item_id));
    let off: Vec<&str> =
        listed.iter().filter(|one| one.available == Some(false)).map(|one| one.item_id.as_str()).collect();
    assert_eq!(off, ["i0003"]);
    for request in [
        ListItemsRequest { page_size: 1_001, page_token: String::new() },
        ListItemsRequest { page_size: 0, page_token: "nonsense".into() },
    ] {
        assert_eq!(items.list_items(request).await.unwrap_err().code(), Code::InvalidArgument);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_keeps_the_catalogue() {
    let (folder, server, mut clients) = started().await;
    clients.create(Slot { arms: arms(&["boots", "cap"]), ..slot("home", &[]) }).await.unwrap();
    let run = |args: &[&str]| {
        let output = program().args(args).args(["--target", &server.address]).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    };
    let run = |args: &[&str]| tokio::task::block_in_place(|| run(args));
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let lines = file("items.jsonl", "{\"item_id\":\"boots\",\"attributes\":{\"price\":{\"number\":80}}}\n\n");
    assert_eq!(run(&["items", "upsert", &lines]).1, "1 of 1 items are new or changed\n");
    let table = file("items.csv", "item_id,available,category\ncap,false,hats\nboots,,shoes\n");
    assert_eq!(run(&["items", "upsert", &table]).1, "2 of 2 items are new or changed\n");
    assert_eq!(shown(&mut clients, decide("home")).await, ["boots"]);
    let (_, json, _) = run(&["items", "list", "-o", "json"]);
    let listed: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(listed[1]["item_id"], "cap");
    assert_eq!(listed[1]["attributes"]["category"]["text"], "hats");
    assert!(run(&["items", "list"]).1.contains("category"));
    assert_eq!(run(&["items", "available", "cap", "boots"]).1, "1 items are available now, 1 were before\n");
    let ids = file("ids.txt", "boots\n");
    assert!(run(&["items", "available", "--off", "--file", &ids]).0);
    assert_eq!(shown(&mut clients, decide("home")).await, ["cap"]);
    assert!(run(&["items", "remove", "cap"]).1.starts_with("1 items were removed"));
    let (done, _, why) = run(&["items", "remove", "boot"]);
    assert!(!done && why.contains("did you mean 'boots'") && why.lines().count() == 1, "{why}");
    assert!(!run(&["items", "remove"]).0, "an item is needed");
    server.stop().await;
}
