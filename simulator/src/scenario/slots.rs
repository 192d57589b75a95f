//! The slots of a scenario: its document, as each policy changes it, with the arms of the catalogue.

use std::sync::Arc;

use slotwise::{
    cli::document::SlotDocument,
    slot::{Arm, Definition},
};
use toml::{Table, Value};

use super::{PolicySpec, Scenario, Touchpoint, error::Problem, load::deserialize, merge::merge};

/// The id of a slot without one.
const SLOT_ID: &str = "simulated";

/// Returns the slot of a policy, without arms.
pub fn definition(scenario: &Scenario, policy: &PolicySpec) -> Result<Definition, Problem> {
    let mut table = scenario.slot.clone();
    merge(&mut table, policy.slot.clone()).map_err(|e| e.within("slot"))?;
    of_table(table)
}

/// Returns the slots of a policy without arms: one for each touchpoint, or the scenario's only one.
pub fn definitions(scenario: &Scenario, policy: &PolicySpec) -> Result<Vec<Definition>, Problem> {
    if scenario.touchpoints.is_empty() {
        return Ok(vec![definition(scenario, policy)?]);
    }
    let of = |touchpoint: &Touchpoint| {
        let mut table = scenario.slot.clone();
        merge(&mut table, touchpoint.slot.clone())?;
        merge(&mut table, policy.slot.clone())?;
        table.insert("slot_id".to_owned(), Value::String(touchpoint.name.clone()));
        of_table(table)
    };
    let within = |touchpoint: &Touchpoint| format!("touchpoints.{}", touchpoint.name);
    let touchpoints = scenario.touchpoints.iter();
    touchpoints.map(|touchpoint| of(touchpoint).map_err(|e| e.within(&within(touchpoint)))).collect()
}

/// Returns the slot of a document, without arms.
pub fn of_table(table: Table) -> Result<Definition, Problem> {
    if table.contains_key("arms") {
        return Err(Problem::new("slot.arms", "a scenario's arms stand in its catalogue; leave them out here"));
    }
    of_document(table)
}

/// Returns the slot of a document with its arms. The default arm may come later.
pub(super) fn of_document(mut table: Table) -> Result<Definition, Problem> {
    table.entry("slot_id").or_insert_with(|| Value::String(SLOT_ID.to_owned()));
    // The default arm can be one of the catalogue's, so it is checked once those arms are there.
    let default_arm = table.remove("default_arm_id");
    let document: SlotDocument = deserialize(table).map_err(|e| e.within("slot"))?;
    let mut definition = document.definition().map_err(|e| Problem::from(e).within("slot"))?;
    if let Some(default) = default_arm {
        let id = default.as_str().unwrap_or_default();
        let id = slotwise::slot::ArmId::parse("default_arm_id", id).map_err(|e| Problem::from(e).within("slot"))?;
        definition.default_arm = Some(id);
    }
    Ok(definition)
}

/// Returns the slot with these arms.
pub fn with_arms(definition: &Definition, arms: Vec<Arc<Arm>>) -> Result<Definition, Problem> {
    let definition = Definition { arms, ..definition.clone() };
    definition.check().map_err(|e| Problem::from(e).within("slot"))?;
    Ok(definition)
}
