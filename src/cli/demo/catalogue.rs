//! The demo's scenario, `shop.toml`: shoppers, and three places with twelve things each.

use std::{collections::BTreeMap, sync::LazyLock};

use serde::Deserialize;

use crate::{
    cli::document::SlotDocument,
    environment::spec::{Behaviour, CatalogueSpec, EnvironmentSpec, Shoppers, TrafficSpec},
    slot::{Definition, SlotKind},
};

/// Things per place.
pub(super) const THINGS: usize = 12;

/// The scenario of the demo.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShopScenario {
    traffic: TrafficSpec,
    shoppers: Shoppers,
    /// The places, in the order in which a shopper comes by them.
    places: Vec<PlaceScenario>,
}

/// A place of the shop, as the scenario writes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlaceScenario {
    slot: SlotDocument,
    titles: BTreeMap<String, String>,
    catalogue: CatalogueSpec,
    behaviour: Behaviour,
}

/// A place of the shop, which becomes a slot.
#[derive(Debug)]
pub(super) struct DemoPlace {
    /// The slot's id.
    pub(super) id: String,
    /// The slot's kind.
    pub(super) kind: SlotKind,
    /// The slot, without arms.
    pub(super) definition: Definition,
    /// Chance that a shopper looks at each position. The length is the number of things shown.
    pub(super) looks: Vec<f64>,
    /// The things that can be shown, in the order of the catalogue.
    pub(super) things: Vec<Thing>,
    /// The parts of the scenario that define the place's environment.
    pub(super) spec: EnvironmentSpec<'static>,
}

/// A thing that can be shown, which becomes an arm.
#[derive(Debug)]
pub(super) struct Thing {
    /// The arm's id.
    pub(super) id: String,
    /// The title, for people.
    pub(super) title: String,
}

static SCENARIO: LazyLock<Result<ShopScenario, String>> =
    LazyLock::new(|| toml::from_str(include_str!("shop.toml")).map_err(|why| why.to_string()));

static PLACES: LazyLock<Result<Vec<DemoPlace>, String>> = LazyLock::new(|| {
    let scenario = SCENARIO.as_ref().map_err(String::clone)?;
    scenario.places.iter().map(|place| read(scenario, place)).collect()
});

/// Returns the places in the order in which a shopper comes by them.
///
/// # Errors
///
/// Returns the problem of a scenario that is invalid. A test makes sure that it is not.
pub(super) fn read_places() -> Result<&'static [DemoPlace], String> {
    PLACES.as_deref().map_err(String::clone)
}

/// Returns the places, or none if the scenario is invalid.
pub(super) fn places() -> &'static [DemoPlace] {
    PLACES.as_deref().unwrap_or_default()
}

fn read(scenario: &'static ShopScenario, place: &'static PlaceScenario) -> Result<DemoPlace, String> {
    let PlaceScenario { slot, titles, catalogue, behaviour } = place;
    let definition = slot.definition().map_err(|why| why.to_string())?;
    let thing = |id: &String| Thing { id: id.clone(), title: titles.get(id).unwrap_or(id).clone() };
    let things: Vec<Thing> = catalogue.arms.iter().map(|arm| thing(&arm.arm_id)).collect();
    if things.len() != THINGS {
        return Err(format!("{} has {} things; must have {THINGS}", definition.id, things.len()));
    }
    Ok(DemoPlace {
        id: definition.id.to_string(),
        kind: definition.kind,
        looks: behaviour.position_bias.iter().copied().take(definition.count() as usize).collect(),
        things,
        spec: EnvironmentSpec {
            horizon: u64::MAX,
            shoppers: &scenario.shoppers,
            catalogue,
            traffic: &scenario.traffic,
            behaviour,
            drift: &[],
        },
        definition,
    })
}
