//! Item catalogue: changes, joined arms, limits, snapshots and the split of a state.

use super::*;
use crate::engine::{CatalogueLimits, ChangeError, ItemRequest, ItemTable, PlannedItems, plan_items};

pub(super) fn item(id: &str, attributes: &[(&str, f64)]) -> Arm {
    let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), Value::Number(*value))).collect();
    Arm { attributes, ..Arm::new(arm_id(id)) }
}

pub(super) fn upsert(items: Vec<Arm>) -> ItemRequest {
    ItemRequest::Upsert(items.into_iter().map(Into::into).collect())
}

impl StateHarness {
    pub(super) fn change_items(&mut self, request: ItemRequest) -> Result<usize, ChangeError> {
        let limits = CatalogueLimits::default();
        let PlannedItems { body, changed, items } = plan_items(&self.state, request, limits, &ChangeReason::default())?;
        if let Some(body) = body {
            self.apply(body);
        }
        assert_eq!(self.state.items().len(), items, "what was planned is what came");
        Ok(changed)
    }

    fn arm_in_effect(&self, id: &str) -> Arm {
        self.state.slot("offers").unwrap().view().arm(id).unwrap().clone()
    }

    pub(super) fn choices(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.decide(request()).chosen[0].arm.to_string()).collect()
    }
}

fn ids(items: &ItemTable) -> Vec<&str> {
    items.iter().map(|item| item.id.as_str()).collect()
}

#[test]
fn items_are_added_replaced_and_removed_and_what_stays_is_no_change() {
    let mut world = StateHarness::new(definition(&["a", "b"]));
    assert_eq!(world.change_items(upsert(vec![item("x", &[("price", 1.0)]), item("a", &[])])), Ok(2));
    assert_eq!(world.change_items(upsert(vec![item("x", &[("price", 1.0)])])), Ok(0));
    assert_eq!(world.change_items(upsert(vec![item("x", &[("price", 2.0)])])), Ok(1));
    assert_eq!(world.change_items(ItemRequest::SetAvailable(vec![(arm_id("a"), false), (arm_id("x"), true)])), Ok(1));
    assert_eq!(ids(world.state.items()), ["a", "x"]);
    assert!(!world.state.items().get("a").unwrap().available);
    assert_eq!(world.change_items(ItemRequest::Remove(vec![arm_id("a"), arm_id("x")])), Ok(2));
    assert!(world.state.items().is_empty() && world.state.items().bytes() == 0);
}

#[test]
fn an_arm_takes_what_its_item_says_where_it_says_nothing_itself() {
    let mut world = StateHarness::new(definition(&["a", "b"]));
    world.update(|d| d.arms[0] = Arc::new(item("a", &[("price", 1.0)])));
    let revision = world.state.slot("offers").unwrap().view().revision;
    world.change_items(upsert(vec![item("a", &[("price", 9.0), ("weight", 3.0)])])).unwrap();
    assert_eq!(world.arm_in_effect("a"), item("a", &[("price", 1.0), ("weight", 3.0)]));
    let view = world.state.slot("offers").unwrap().view();
    assert_eq!(view.revision, revision, "nobody changed the slot");
    assert_eq!(*view.definition.arms[0], item("a", &[("price", 1.0)]), "the definition stays as it was given");
    // A new definition is joined like the one before.
    world.update(|d| d.arms[0] = Arc::new(item("a", &[])));
    assert_eq!(world.arm_in_effect("a"), item("a", &[("price", 9.0), ("weight", 3.0)]));
    world.change_items(ItemRequest::Remove(vec![arm_id("a")])).unwrap();
    assert_eq!(world.arm_in_effect("a"), item("a", &[]));
}

#[test]
fn an_item_that_is_not_available_is_shown_by_no_slot_and_comes_back_with_its_learning() {
    let mut world = StateHarness::new(definition(&["a", "b"]));
    world.change_items(upsert(vec![item("a", &[])])).unwrap();
    assert!(world.choices(40).contains(&"a".to_owned()));
    let shown = |world: &StateHarness| world.state.slot("offers").unwrap().view().arm_counters[0].shown;
    let before = shown(&world);
    world.change_items(ItemRequest::SetAvailable(vec![(arm_id("a"), false)])).unwrap();
    assert!(!world.choices(40).contains(&"a".to_owned()));
    world.change_items(ItemRequest::SetAvailable(vec![(arm_id("a"), true)])).unwrap();
    assert_eq!(shown(&world), before);
    assert!(world.choices(40).contains(&"a".to_owned()));
    // An arm that the slot itself paused stays so, whatever its item says.
    world.change(Change::SetAvailability(vec![(arm_id("a"), Availability::new(false))])).unwrap();
    assert!(!world.choices(40).contains(&"a".to_owned()));
}

#[test]
fn candidates_of_an_open_catalogue_have_the_attributes_and_the_availability_of_their_items() {
    let mut open = definition(&["a"]);
    open.open_catalogue = true;
    let mut world = StateHarness::new(open);
    world.change_items(upsert(vec![item("x", &[("price", 9.0), ("weight", 3.0)]), item("y", &[])])).unwrap();
    world.change_items(ItemRequest::SetAvailable(vec![(arm_id("y"), false)])).unwrap();
    let candidate = |id: &str, features: &[(&str, f64)]| RequestCandidate {
        arm: arm_id(id),
        features: item(id, features).attributes,
    };
    let mut asked = Request { candidates: vec![candidate("x", &[("price", 1.0)]), candidate("y", &[])], ..request() };
    let view = world.state.slot("offers").unwrap().view();
    let items = world.state.items();
    items.add_features(&mut asked, &view);
    assert_eq!(asked.candidates[0], candidate("x", &[("price", 1.0), ("weight", 3.0)]), "the caller's own win");
    let options =
        DecideOptions { items: Some(items), ..DecideOptions::new(DecisionId::new(view.number, world.at_us, 1), 1) };
    asked.count = 2;
    let decided = decide(&view, asked, options).decided;
    assert_eq!(decided.chosen.iter().map(|chosen| chosen.arm.as_str()).collect::<Vec<_>>(), ["x"]);
    assert_eq!(decided.candidates[0].1, candidate("x", &[("price", 1.0), ("weight", 3.0)]).features, "it is recorded");
}

#[test]
fn a_change_that_is_refused_names_its_field_and_makes_no_event() {
    let mut world = StateHarness::new(definition(&["a"]));
    world.change_items(upsert(vec![item("boots", &[])])).unwrap();
    let long = Arm { attributes: [("p".to_owned(), Value::Number(f64::NAN))].into(), ..Arm::new(arm_id("b")) };
    for (request, field) in [
        (upsert(Vec::new()), "items: has 0"),
        (upsert((0..10_001).map(|n| item(&format!("i{n}"), &[])).collect()), "items: has 10001"),
        (upsert(vec![item("a", &[]), long]), "items[1].attributes"),
        (upsert(vec![item("a", &[]), item("a", &[])]), "items[1].item_id"),
        (ItemRequest::Remove(Vec::new()), "item_ids: has 0"),
        (
            ItemRequest::Remove(vec![arm_id("boot")]),
            "item_ids[0]: the catalogue has no item 'boot'; did you mean 'boots'",
        ),
        (ItemRequest::Remove(vec![arm_id("boots"), arm_id("boots")]), "item_ids[1]"),
        (ItemRequest::SetAvailable(vec![(arm_id("boots"), false), (arm_id("x"), true)]), "available[\"x\"]"),
    ] {
        let refused = world.change_items(request).unwrap_err().to_string();
        assert!(refused.starts_with(field), "{field}: {refused}");
    }
    assert_eq!(world.events.len(), 2, "the slot and one change");
}

#[test]
fn the_limits_of_the_catalogue_refuse_what_would_pass_them_and_never_what_makes_it_smaller() {
    let mut world = StateHarness::new(definition(&["a"]));
    world.change_items(upsert(vec![item("x", &[("price", 1.0)]), item("y", &[]), item("z", &[])])).unwrap();
    let why = ChangeReason::default();
    let bytes = world.state.items().bytes();
    let few = CatalogueLimits { items: 2, bytes };
    let refused = plan_items(&world.state, upsert(vec![item("v", &[])]), few, &why).unwrap_err();
    assert!(matches!(&refused, ChangeError::ItemsFull(why) if why.contains("4 items") && why.contains("at most 2")));
    assert!(plan_items(&world.state, ItemRequest::Remove(vec![arm_id("y")]), few, &why).is_ok());
    assert!(plan_items(&world.state, upsert(vec![item("x", &[])]), few, &why).is_ok(), "it has fewer bytes");
    let small = CatalogueLimits { items: 9, bytes };
    let refused = plan_items(&world.state, upsert(vec![item("y", &[("price", 2.0)])]), small, &why).unwrap_err();
    assert!(matches!(&refused, ChangeError::ItemsFull(why) if why.contains("catalogue.bytes")), "{refused}");
}

/// Makes random changes and compares the table with a map, also in its pages, its size and its snapshot.
#[test]
fn the_table_is_a_map_whatever_the_order_of_the_changes() {
    let mut rng = StdRng::seed_from_u64(7);
    let mut world = StateHarness::new(definition(&["a", "i77"]));
    let mut map: BTreeMap<String, Arm> = BTreeMap::new();
    for _ in 0..60 {
        let mut batch: BTreeMap<String, Arm> = BTreeMap::new();
        for _ in 0..rng.random_range(1..120) {
            let id = format!("i{}", rng.random_range(0..3_000));
            batch.insert(id.clone(), item(&id, &[("price", f64::from(rng.random_range(0..9)))]));
        }
        if rng.random_bool(0.3) {
            let known: Vec<ArmId> = batch.keys().filter(|id| map.contains_key(*id)).map(|id| arm_id(id)).collect();
            for id in &known {
                map.remove(id.as_str());
            }
            if !known.is_empty() {
                world.change_items(ItemRequest::Remove(known)).unwrap();
            }
        } else {
            map.extend(batch.clone());
            world.change_items(upsert(batch.into_values().collect())).unwrap();
        }
    }
    let items = world.state.items();
    assert!(map.len() > 1_000, "several chunks");
    assert!(items.iter().map(|item| &**item).eq(map.values()));
    assert_eq!((items.len(), items.bytes()), (map.len(), map.values().map(|item| item.bytes() as u64).sum()));
    for after in ["", "i1", "i15", "i2999", "zzz"] {
        let wanted = map.range::<str, _>((std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded));
        assert!(items.after(after).map(|item| &**item).eq(wanted.map(|(_, item)| item)), "{after}");
    }
    // The bytes of a snapshot do not depend on the changes that led to it.
    let mut other = StateHarness::new(definition(&["a", "i77"]));
    other.state.slots.items = ItemTable::default();
    for item in map.values().rev() {
        other.state.slots.items.put(Arc::new(item.clone()));
    }
    let sections = |state: &State| {
        let bytes = snapshot::encode(state).unwrap();
        snapshot::decode(&bytes).unwrap().items().iter().cloned().collect::<Vec<_>>()
    };
    assert_eq!(sections(&other.state), sections(&world.state));
}

#[test]
fn a_snapshot_and_the_events_after_it_give_the_state_of_all_events_for_any_number_of_shards() {
    let mut world = busy_world(11);
    world
        .change_items(upsert((0..2_500).map(|n| item(&format!("i{n}"), &[("price", f64::from(n))])).collect()))
        .unwrap();
    world.change_items(upsert(vec![item("a", &[("price", 3.0)]), item("d", &[("price", 4.0)])])).unwrap();
    let early = snapshot::encode(&world.state).unwrap();
    let events = world.events.len();
    world.choices(30);
    world.change_items(ItemRequest::Remove(vec![arm_id("i5"), arm_id("d")])).unwrap();
    world.change_items(ItemRequest::SetAvailable(vec![(arm_id("a"), false), (arm_id("i9"), false)])).unwrap();
    world.choices(30);
    let want = snapshot::encode(&world.state).unwrap();
    let mut restored = snapshot::decode(&early).unwrap();
    assert_eq!(restored.slot("offers").unwrap().view().arm("a").unwrap().attributes.len(), 1, "arms are joined again");
    for event in &world.events[events..] {
        restored.apply(event);
    }
    assert!(snapshot::encode(&restored).unwrap() == want, "from the snapshot");
    for shards in [1, 3] {
        let (ledger, parts) = State::default().split(shards);
        let mut state = State::join(ledger, parts);
        for event in &world.events {
            state.apply(event);
        }
        let (ledger, parts) = state.split(shards);
        assert!(parts.iter().all(|part| part.items() == world.state.items()), "each shard has all items");
        assert!(snapshot::encode(&State::join(ledger, parts)).unwrap() == want, "{shards} shards");
    }
}
