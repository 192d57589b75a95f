//! Slots that take their arms from the item catalogue.

use super::{
    items::{item, upsert},
    *,
};
use crate::{
    engine::{AlertKind, ItemRequest, alerts},
    slot::limits::LEARNED_ARMS_MAX,
};

mod past;

/// Returns a definition that takes the items that this filter lets through.
fn taking(filter: &str) -> Definition {
    Definition { from_catalogue: filter.into(), ..definition(&[]) }
}

fn on_shelf(id: &str, shelf: f64) -> Arm {
    item(id, &[("shelf", shelf)])
}

fn many(prefix: &str, count: usize) -> Vec<Arm> {
    (0..count).map(|i| on_shelf(&format!("{prefix}{i:05}"), 1.0)).collect()
}

fn arms_of(state: &State) -> Vec<Arm> {
    let view = state.slot("offers").unwrap().view();
    assert!(view.definition.arms.is_empty(), "the definition stays as somebody wrote it");
    for (position, arm) in view.arms_in_effect().iter().enumerate() {
        assert_eq!(view.arms.position(arm.id.as_str()), Some(position));
    }
    view.arms_in_effect().iter().map(|arm| (**arm).clone()).collect()
}

fn arm_ids(world: &StateHarness) -> Vec<String> {
    arms_of(&world.state).iter().map(|arm| arm.id.to_string()).collect()
}

#[track_caller]
fn refused(result: Result<impl std::fmt::Debug, crate::engine::ChangeError>, wanted: &str) {
    let why = result.unwrap_err().to_string();
    assert!(why.starts_with(wanted), "{wanted}: {why}");
}

/// Changes items and filters at random, and compares the arms with those that a closure takes.
#[test]
fn the_arms_are_the_items_that_the_filter_takes_whatever_changes() {
    type Taken = fn(&Arm) -> bool;
    fn number(item: &Arm, name: &str) -> Option<f64> {
        let Some(Value::Number(number)) = item.attributes.get(name) else { return None };
        Some(*number)
    }
    let filters: [(&str, Taken); 4] = [
        ("true", |_| true),
        ("item.price > 4 && item.shelf != 1", |item| {
            number(item, "price").is_some_and(|price| price > 4.0)
                && number(item, "shelf").is_some_and(|shelf| shelf.to_bits() != 1.0_f64.to_bits())
        }),
        ("!has(item.shelf) || item.id.startsWith('i1')", |item| {
            !item.attributes.contains_key("shelf") || item.id.as_str().starts_with("i1")
        }),
        ("item[\"price\"] in [2, 3]", |item| number(item, "price").is_some_and(|price| (2.0..=3.0).contains(&price))),
    ];
    let mut rng = StdRng::seed_from_u64(3);
    let mut world = StateHarness::new(taking(filters[0].0));
    let (mut map, mut filter): (BTreeMap<String, Arm>, usize) = (BTreeMap::new(), 0);
    let mut sizes = std::collections::BTreeSet::new();
    for round in 0..200 {
        let id = |rng: &mut StdRng| format!("i{}", rng.random_range(0..60));
        match rng.random_range(0..10) {
            0 => {
                filter = rng.random_range(0..filters.len());
                world.update(|d| d.from_catalogue = filters[filter].0.into());
            }
            1 => {
                world.change(Change::Reset).unwrap();
                world.update(|d| d.display_name = format!("round {round}"));
            }
            2 | 3 => {
                let known: Vec<ArmId> = map.values().filter(|_| rng.random_bool(0.2)).map(|i| i.id.clone()).collect();
                for id in &known {
                    map.remove(id.as_str());
                }
                if !known.is_empty() {
                    world.change_items(ItemRequest::Remove(known)).unwrap();
                }
            }
            4 => {
                let known: Vec<ArmId> = map.values().filter(|_| rng.random_bool(0.2)).map(|i| i.id.clone()).collect();
                let available = rng.random_bool(0.5);
                for id in &known {
                    map.get_mut(id.as_str()).unwrap().available = available;
                }
                if !known.is_empty() {
                    let known = known.into_iter().map(|id| (id, available)).collect();
                    world.change_items(ItemRequest::SetAvailable(known)).unwrap();
                }
            }
            _ => {
                let mut batch = BTreeMap::new();
                for _ in 0..rng.random_range(1..12) {
                    let id = id(&mut rng);
                    let mut new = item(&id, &[]);
                    for name in ["price", "shelf"] {
                        if rng.random_bool(0.7) {
                            new.attributes.insert(name.into(), Value::Number(f64::from(rng.random_range(0..9))));
                        }
                    }
                    batch.insert(id, new);
                }
                map.extend(batch.clone());
                world.change_items(upsert(batch.into_values().collect())).unwrap();
            }
        }
        let wanted: Vec<Arm> = map.values().filter(|item| (filters[filter].1)(item)).cloned().collect();
        sizes.insert(wanted.len());
        assert_eq!(arms_of(&world.state), wanted, "round {round}, {}", filters[filter].0);
        let decided = world.decide(request());
        assert_eq!(decided.chosen.is_empty(), wanted.iter().all(|arm| !arm.available), "round {round}");
    }
    assert!(sizes.len() > 20, "{sizes:?}");
}

/// Runs a slot that takes items beside one with the same arms of its own: both decide and learn alike, also while an arm
/// is away and when it is back.
#[test]
fn an_arm_from_the_catalogue_is_like_an_arm_of_the_slot_also_when_it_goes_and_comes_back() {
    let all: Vec<Arm> = ["a", "b", "c", "d"].iter().map(|id| on_shelf(id, 2.0)).collect();
    let mut world = StateHarness::new(taking("item.shelf == 2"));
    world.change_items(upsert(all.clone())).unwrap();
    let mut own = definition(&[]);
    own.arms = all.iter().cloned().map(Arc::new).collect();
    let mut twin = StateHarness::new(own);
    let revision = world.state.slot("offers").unwrap().view().revision;
    let (mut rng, mut of_d) = (StdRng::seed_from_u64(5), Vec::new());
    for i in 0..300 {
        (world.at_us, twin.at_us) = (world.at_us + 1_000_000, twin.at_us + 1_000_000);
        if i == 120 {
            world.change_items(ItemRequest::Remove(vec![arm_id("d")])).unwrap();
            twin.change(Change::RemoveArms(vec![arm_id("d")])).unwrap();
            assert_eq!(arm_ids(&world), ["a", "b", "c"]);
            // A reward that comes late is counted for the arm that is gone.
            let (mine, other): &(Arc<DecisionRecord>, Arc<DecisionRecord>) = of_d.last().unwrap();
            assert_eq!(world.reward("late", mine, "click", None), EventStatus::Accepted);
            assert_eq!(twin.reward("late", other, "click", None), EventStatus::Accepted);
        }
        if i == 200 {
            // An item that still is there and no longer matches is gone as well.
            world.change_items(upsert(vec![on_shelf("d", 3.0)])).unwrap();
            assert_eq!(arm_ids(&world).len(), 3);
            world.change_items(upsert(vec![on_shelf("d", 2.0)])).unwrap();
            twin.change(Change::UpsertArms(vec![on_shelf("d", 2.0)])).unwrap();
        }
        let mut asked = request();
        asked.context.insert("age".into(), Value::Number(rng.random_range(18.0..80.0)));
        let (decided, other) = (world.decide(asked.clone()), twin.decide(asked));
        assert_eq!(decided.chosen, other.chosen, "decision {i}");
        assert_eq!(decided.scored, other.scored, "decision {i}");
        if rng.random_bool(0.3) {
            world.reward(&format!("e{i}"), &decided, "click", None);
            twin.reward(&format!("e{i}"), &other, "click", None);
        } else if decided.chosen[0].arm == arm_id("d") {
            of_d.push((decided, other));
        }
    }
    assert_eq!(world.state.slot("offers").unwrap().view().revision, revision, "nobody changed the slot");
    let arms = |world: &StateHarness| report(&world.state.slot("offers").unwrap().view()).arms;
    assert_eq!(arms(&world), arms(&twin));
    assert!(arms(&world).iter().all(|arm| arm.shown > 10));
}

#[test]
fn a_filter_that_means_nothing_and_changes_of_arms_are_refused_and_change_nothing() {
    let create = |definition| plan(&State::default(), &slot_id(), Change::Create(definition), &ChangeReason::default());
    for (filter, why) in [
        ("item.price >", "slot.from_catalogue: line 1, column 13: the expression ends too early"),
        ("context.age > 3", "slot.from_catalogue: line 1, column 1: 'context' is not known; a filter reads item"),
        ("subject.id == 'x'", "slot.from_catalogue: line 1, column 1: 'subject' is not known"),
        ("arm.price > 3", "slot.from_catalogue: line 1, column 1: 'arm' is not known"),
        ("item.price", ""),
        ("item", "slot.from_catalogue: line 1, column 1: 'item' holds several values; name one, as in item.id"),
        ("3 + 4", "slot.from_catalogue: line 1, column 3: this is a number; a filter needs true or false"),
        ("  ", "slot.from_catalogue: is blank; write true"),
        (
            "item.a == null",
            "slot.from_catalogue: line 1, column 11: nothing is ever null here; ask with has(), as in has(item.brand)",
        ),
        (&"item.a == 1 && ".repeat(300), "slot.from_catalogue: line 1, column 1: has 4500 bytes"),
    ] {
        match why {
            // A feature may be a flag.
            "" => assert!(create(taking(filter)).is_ok()),
            why => refused(create(taking(filter)), why),
        }
    }
    refused(create(Definition { from_catalogue: "true".into(), ..definition(&["a"]) }), "slot.arms: must be empty");

    let mut world = StateHarness::new(taking("true"));
    world.change_items(upsert(vec![on_shelf("a", 1.0)])).unwrap();
    let before = snapshot::encode(&world.state).unwrap();
    refused(world.change(Change::UpsertArms(vec![on_shelf("b", 1.0)])), "arms: the slot 'offers' takes its arms");
    refused(world.change(Change::RemoveArms(vec![arm_id("a")])), "arm_ids: the slot 'offers' takes its arms");
    let off = Change::SetAvailability(vec![(arm_id("a"), Availability::new(false))]);
    let why = "available: the slot 'offers' takes its arms from the item catalogue (from_catalogue); call SetItemAvailability";
    refused(world.change(off), why);
    let wrong = Definition { from_catalogue: "item.x ==".into(), ..taking("true") };
    refused(world.change(Change::Update { definition: wrong, revision: 0 }), "slot.from_catalogue");
    assert!(snapshot::encode(&world.state).unwrap() == before);
    // One arm can be forgotten, and a field may name an item that is not there yet.
    world.change(Change::ResetArm(arm_id("a"))).unwrap();
    world.update(|d| d.default_arm = Some(arm_id("next-season")));
    world.update(|d| d.controls.baseline = Some(crate::slot::Baseline::Arm(arm_id("next-season"))));
}

#[test]
fn a_slot_changes_from_its_own_arms_to_items_and_back_and_keeps_what_it_learned() {
    let mut world = StateHarness::new(definition(&["a", "b"]));
    world.change_items(upsert(vec![on_shelf("a", 1.0), on_shelf("c", 1.0)])).unwrap();
    world.choices(30);
    let shown = |world: &StateHarness| {
        let view = world.state.slot("offers").unwrap().view();
        view.arm_counters[view.arms.learned("a").unwrap() as usize].shown
    };
    let before = shown(&world);
    assert!(before > 0);
    world.update(|d| (d.from_catalogue, d.arms) = ("true".into(), Vec::new()));
    assert_eq!((arm_ids(&world), shown(&world)), (vec!["a".to_owned(), "c".to_owned()], before));
    world.change(Change::Rollback(1)).unwrap();
    assert_eq!(world.state.slot("offers").unwrap().definition().arms.len(), 2);
    assert_eq!((world.state.slot("offers").unwrap().arms_in_effect().len(), shown(&world)), (2, before));
    let now = world.state.slot("offers").unwrap().revision_number();
    world.change(Change::Rollback(now - 1)).unwrap();
    assert_eq!((arm_ids(&world), shown(&world)), (vec!["a".to_owned(), "c".to_owned()], before));
    world.change(Change::Rename(SlotId::parse("slot_id", "teasers").unwrap())).unwrap();
    assert_eq!(world.state.slot("teasers").unwrap().arms_in_effect().len(), 2);
}

#[test]
fn the_limits_of_a_slot_hold_for_items_and_refuse_before_anything_is_written() {
    let mut world = StateHarness::new(taking("item.shelf == 1"));
    world.change_items(upsert(many("x", 9_999))).unwrap();
    let events = world.events.len();
    let two = || upsert(vec![on_shelf("y0", 1.0), on_shelf("y1", 1.0)]);
    refused(
        world.change_items(two()),
        "items: slot 'offers' (from_catalogue): would take 10001 items for its arms, and a slot has at most 10000",
    );
    assert_eq!((world.events.len(), world.state.items().len()), (events, 9_999));
    world.change_items(upsert(vec![on_shelf("y0", 1.0), on_shelf("z", 2.0)])).unwrap();
    assert_eq!(arm_ids(&world).len(), 10_000);
    // A wider filter of the slot is refused, and so is a new slot.
    let wide = Change::Update { definition: taking("true"), revision: 0 };
    refused(
        world.change(wide),
        "slot.from_catalogue: takes 10001 items of the catalogue, and a slot has at most 10000",
    );
    let other = SlotId::parse("slot_id", "other").unwrap();
    let new = Change::Create(Definition { id: other.clone(), ..taking("true") });
    refused(plan(&world.state, &other, new, &ChangeReason::default()), "slot.from_catalogue: takes 10001");
    // Items that leave make room, until the slot has learned about as many arms as it can.
    let all: Vec<ArmId> = many("x", 9_999).into_iter().map(|item| item.id).collect();
    world.change_items(ItemRequest::Remove(all)).unwrap();
    world.change_items(upsert(many("w", 9_999))).unwrap();
    let known = world.state.slot("offers").unwrap().view().arms.names().len();
    assert_eq!(known, LEARNED_ARMS_MAX - 1);
    let all: Vec<ArmId> = many("w", 9_999).into_iter().map(|item| item.id).collect();
    world.change_items(ItemRequest::Remove(all)).unwrap();
    refused(
        world.change_items(upsert(many("v", 2))),
        "items: slot 'offers' (from_catalogue): would make 20001 arms that the slot has ever learned of",
    );
    world.change_items(upsert(many("w", 500))).unwrap();
    world.change(Change::Reset).unwrap();
    world.change_items(upsert(many("v", 2))).unwrap();
}

#[test]
fn models_follow_the_number_of_items_as_they_follow_the_number_of_arms() {
    let models = |world: &StateHarness| {
        let slot = world.state.slot("offers").unwrap();
        let (spec, traits) = slot.learner().decides();
        (slot.learner().models_with(&spec, traits), traits.large_catalogue)
    };
    let mut world = StateHarness::new(taking("true"));
    world.change_items(upsert(many("x", CATALOGUE_MIN - 1))).unwrap();
    let (few, large) = models(&world);
    assert!(!large);
    world.change_items(upsert(vec![on_shelf("y", 1.0)])).unwrap();
    assert!(models(&world).1);
    world.change_items(ItemRequest::Remove(vec![arm_id("y")])).unwrap();
    assert!(!models(&world).1);
    // A slot that is created beside a thousand items begins with the models of a large catalogue alone.
    world.change_items(upsert(vec![on_shelf("y", 1.0)])).unwrap();
    let id = SlotId::parse("slot_id", "other").unwrap();
    let new = Change::Create(Definition { id: id.clone(), ..taking("true") });
    let body = plan(&world.state, &id, new, &ChangeReason::default()).unwrap().unwrap();
    world.apply(body);
    let slot = world.state.slot("other").unwrap();
    let (spec, traits) = slot.learner().decides();
    assert!(traits.large_catalogue && slot.learner().models_with(&spec, traits) <= few);
}

#[test]
fn floors_that_too_many_items_would_share_are_scaled_down_and_an_alert_says_so() {
    let mut floors = taking("true");
    floors.controls.floor = Some(0.2);
    let mut world = StateHarness::new(floors.clone());
    world.change_items(upsert(many("x", 5))).unwrap();
    let alert = |world: &StateHarness| {
        let view = world.state.slot("offers").unwrap().view();
        alerts(&view).iter().any(|alert| alert.kind == AlertKind::FloorsAboveOne)
    };
    assert!(!alert(&world));
    // A feed of items must not fail because of one slot's floor.
    world.change_items(upsert(many("y", 5))).unwrap();
    assert!(alert(&world));
    let decided = world.decide(request());
    let sum: f64 = decided.scored.iter().map(|scored| f64::from(scored.propensity)).sum();
    assert!(decided.scaled_floors && (sum - 1.0).abs() < 1e-6, "{sum}");
    // A change of the slot must not make it worse, and may leave it as it is.
    let change = |floor| {
        let mut definition = floors.clone();
        definition.controls.floor = Some(floor);
        Change::Update { definition, revision: 0 }
    };
    refused(world.change(change(0.25)), "slot.controls.floor: floors sum to 2.5 over 10 arms");
    world.update(|d| d.controls.freeze_learning = Some(true));
    assert!(alert(&world));
    world.change(change(0.1)).unwrap();
    assert!(!alert(&world));
    // The default floor depends on the number of arms at each decision.
    let mut default = StateHarness::new(taking("true"));
    default.update(|d| d.controls.floor = None);
    default.change_items(upsert(many("x", 50))).unwrap();
    let decided = default.decide(request());
    assert!(decided.scored.iter().all(|scored| f64::from(scored.propensity) >= 0.1 / 50.0 - 1e-9));
    assert!(!decided.scaled_floors);
}

#[test]
fn a_change_of_items_looks_only_at_the_items_that_change() {
    let mut world = StateHarness::new(taking("item.shelf == 1"));
    world.change_items(upsert(many("x", 5_000))).unwrap();
    let addresses = |world: &StateHarness| -> Vec<*const Arm> {
        world.state.slot("offers").unwrap().arms_in_effect().iter().map(Arc::as_ptr).collect()
    };
    let before = addresses(&world);
    world.change_items(upsert(vec![on_shelf("x00007", 2.0), on_shelf("x00009", 1.5)])).unwrap();
    let after = addresses(&world);
    assert_eq!(after[..7], before[..7], "the others share their memory with the items");
    assert_eq!((after.len(), &after[8..]), (4_998, &before[10..]));
    let unconcerned = world.state.slot("offers").unwrap().view();
    world.change_items(upsert(vec![on_shelf("other", 3.0)])).unwrap();
    assert!(world.state.slot("offers").unwrap().has_arms_of(&unconcerned), "the slot is not published again");
}
