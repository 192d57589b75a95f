//! The policies of a file alone, for logged data, which needs no shoppers and no catalogue.
//!
//! Three kinds of files are accepted: a scenario, of which `slot` and `policies` are used; a file of these two alone,
//! whose slot may have `arms` with their attributes; and a slot's document, as `slotwise slots apply` reads it, which
//! is one policy.

use std::path::Path;

use serde::Deserialize;
use slotwise::slot::Definition;
use toml::Table;

use super::{
    Changes, PolicySpec, ScenarioError, ShopCalls,
    error::Problem,
    load::{deserialize, find, load, read},
    merge::merge,
    slots,
};

/// A file of policies alone.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PoliciesFile {
    #[serde(default)]
    slot: Table,
    #[serde(default)]
    policies: Vec<PolicySpec>,
}

/// Returns the policies of a file or of a shipped scenario by their names, each with its slot.
///
/// # Errors
///
/// See [`ScenarioError`].
pub fn policies(given: &str) -> Result<Vec<(String, Definition)>, ScenarioError> {
    let (name, source) = find(given, Path::new(""))?;
    let table = read(&name, &source, 0)?;
    let key = |problem| ScenarioError::Key { name: name.clone(), problem };
    let scenario = ["title", "catalogue", "behaviour", "traffic"].iter().any(|key| table.contains_key(*key));
    if scenario {
        let loaded = load(given, &Changes::default())?;
        let slot = |policy: &PolicySpec| Ok((policy.name.clone(), slots::definition(&loaded.scenario, policy)?));
        return loaded.scenario.policies.iter().map(slot).collect::<Result<_, _>>().map_err(key);
    }
    if table.contains_key("slot_id") {
        let definition = slots::of_document(table).map_err(|Problem { path, message }| {
            // The document is the whole file.
            key(Problem::new(path.strip_prefix("slot.").unwrap_or(&path), message))
        })?;
        return Ok(vec![(definition.id.to_string(), definition)]);
    }
    let PoliciesFile { slot, mut policies } = deserialize(table).map_err(key)?;
    policies.retain(|policy| !policy.skip);
    if policies.is_empty() {
        policies.push(PolicySpec { name, slot: Table::new(), shop: ShopCalls::default(), skip: false });
    }
    let definition = |policy: PolicySpec| -> Result<_, Problem> {
        let mut table = slot.clone();
        merge(&mut table, policy.slot).map_err(|e| e.within("slot"))?;
        Ok((policy.name, slots::of_document(table)?))
    };
    let named = given.to_owned();
    let definitions: Result<Vec<_>, _> = policies.into_iter().map(definition).collect();
    definitions.map_err(|problem| ScenarioError::Key { name: named, problem })
}
