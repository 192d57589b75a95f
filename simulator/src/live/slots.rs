//! Slots of a run on the server: created for each policy and replication, and deleted afterwards.
//!
//! Invariant: a slot that is not for simulated traffic is neither changed nor deleted, whatever its name.

use std::thread;

use slotwise::{
    client::Client,
    slot::{ChangeReason, Definition, SlotId},
};

use super::{LiveError, LiveServer};
use crate::{
    run::episode::{Setup, state::Episode},
    scenario::{Problem, Scenario},
};

/// Maximum length of a name that becomes part of an id.
const PART_MAX: usize = 40;

/// Returns the reason that the server records for each change.
pub(super) fn why() -> ChangeReason {
    ChangeReason::new("slotwise-simulator", "simulation")
}

/// Returns the letters and digits of a name, with dashes for everything else.
fn part(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let part: String = name.chars().map(plain).take(PART_MAX).collect();
    part.trim_matches('-').to_owned()
}

/// Returns the beginning of the slots' ids: the given one, or one from the scenario's name.
///
/// # Errors
///
/// Returns a problem if no id can begin like that.
pub fn prefix(given: Option<&str>, scenario: &str) -> Result<String, Problem> {
    let prefix = given.map_or_else(|| format!("sim-{}", part(scenario)), str::to_owned);
    // A policy's name and a number follow it.
    let longest = format!("{prefix}-{}-{}", "x".repeat(PART_MAX + 4), u32::MAX);
    SlotId::parse("--slot", &longest).map(|_| ()).map_err(|_| {
        let message = format!("'{prefix}' cannot begin a slot's id; use at most 60 letters, digits and - . _");
        Problem::new("--slot", message)
    })?;
    Ok(prefix)
}

/// Returns the ids of the policies' slots in a replication.
fn ids(prefix: &str, scenario: &Scenario, replication: u64) -> Vec<SlotId> {
    let parts: Vec<String> = scenario.policies.iter().map(|policy| part(&policy.name)).collect();
    let id = |(i, part): (usize, &String)| {
        let twice = part.is_empty() || parts.iter().filter(|other| *other == part).count() > 1;
        let number = if twice { format!("{i}") } else { String::new() };
        SlotId::parse("--slot", &format!("{prefix}-{part}{number}-{replication}")).ok()
    };
    parts.iter().enumerate().filter_map(id).collect()
}

impl LiveServer {
    fn ids(&self, setup: &Setup<'_>, replication: u64) -> Vec<SlotId> {
        ids(self.options.slots.as_deref().unwrap_or("sim"), setup.scenario, replication)
    }

    /// Makes sure that no slot of a run's ids exists. Deletes those for simulated traffic if the options say so.
    pub(super) fn clear_the_way(&self, setup: &Setup<'_>) -> Result<(), LiveError> {
        let all = (0..u64::from(setup.scenario.replications)).flat_map(|number| self.ids(setup, number));
        let mut left = Vec::new();
        for id in all {
            match self.runtime.block_on(self.admin.clone().get_slot_settings(id.as_str())) {
                Err(why) if why.not_found() => {}
                Err(why) => return Err(why.into()),
                Ok((slot, _)) if !slot.controls.simulated() => return Err(LiveError::Foreign(id)),
                Ok(_) if !self.options.replace => return Err(LiveError::Exists(id)),
                Ok(_) => left.push(id),
            }
        }
        // Slots are deleted only after all of them are known to be for simulation.
        for slot in left {
            let deleted = self.runtime.block_on(self.admin.clone().delete_slot(slot.as_str(), &why()));
            deleted.map_err(|why| LiveError::Slot { slot, why })?;
        }
        Ok(())
    }

    /// Creates the slots of a replication's policies, with the arms that exist at its start.
    pub(super) fn make(
        &self,
        setup: &Setup<'_>,
        episode: &Episode<'_>,
        replication: u64,
    ) -> Result<CreatedSlots<'_>, LiveError> {
        let mut created = CreatedSlots { live: self, ids: Vec::new() };
        for (slot, id) in setup.policies.iter().zip(self.ids(setup, replication)) {
            let slot = Definition {
                arms: episode.catalogue.arms(&episode.environment),
                ..self.scale.definition(slot, id.clone())
            };
            match self.runtime.block_on(self.admin.clone().create_slot(&slot, &why(), false)) {
                Ok(_) => created.ids.push(id),
                // Another run created the slot in the meantime.
                Err(why) if why.exists() => return Err(LiveError::Exists(id)),
                Err(why) => {
                    // The slot may exist even if the answer was lost. It did not exist before.
                    created.ids.push(id.clone());
                    return Err(LiveError::Slot { slot: id, why });
                }
            }
        }
        Ok(created)
    }

    /// Deletes created slots, unless they are to be kept. Notes the slots that cannot be deleted.
    fn remove(&self, created: &[SlotId]) {
        if self.options.keep {
            return;
        }
        for id in created {
            let deleted = self.runtime.block_on(remove(self.admin.clone(), id));
            if let Err(why) = deleted {
                self.note(format!("slot '{id}' could not be deleted: {why}"));
            }
        }
    }
}

/// Slots that were created for a replication. Dropping this value deletes them, when the replication is done, given
/// up, or panics.
#[derive(Debug)]
pub(super) struct CreatedSlots<'a> {
    live: &'a LiveServer,
    ids: Vec<SlotId>,
}

impl CreatedSlots<'_> {
    /// Returns the slots' ids, by policy.
    pub(super) fn ids(&self) -> &[SlotId] {
        &self.ids
    }
}

impl Drop for CreatedSlots<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            // The other replications need not be played to their end.
            self.live.stop();
        }
        self.live.remove(&self.ids);
    }
}

async fn remove(mut client: Client, id: &SlotId) -> Result<(), LiveError> {
    match client.get_slot_settings(id.as_str()).await {
        Err(why) if why.not_found() => return Ok(()),
        Err(why) => return Err(why.into()),
        // The slot has been turned into one for real traffic since.
        Ok((slot, _)) if !slot.controls.simulated() => return Err(LiveError::Foreign(id.clone())),
        Ok(_) => {}
    }
    match client.delete_slot(id.as_str(), &why()).await {
        Err(why) if why.not_found() => Ok(()),
        done => Ok(done?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Changes, load};

    #[test]
    fn slot_ids_name_scenario_and_policy_and_are_unique() {
        let mut scenario = load("offer", &Changes::default()).unwrap().scenario;
        let names = ["Never stopped!", "a b", "a-b", "ä"];
        scenario.policies.truncate(1);
        let policy = scenario.policies.remove(0);
        scenario.policies =
            names.map(|name| crate::scenario::PolicySpec { name: name.to_owned(), ..policy.clone() }).to_vec();
        let prefix = prefix(None, "My scenario").unwrap();
        let got: Vec<String> = ids(&prefix, &scenario, 7).iter().map(ToString::to_string).collect();
        let want = ["never-stopped", "a-b1", "a-b2", "3"].map(|name| format!("sim-my-scenario-{name}-7"));
        assert_eq!(got, want);
        assert!(super::prefix(Some("no spaces"), "x").unwrap_err().to_string().contains("--slot: 'no spaces' cannot"));
        assert!(super::prefix(Some(&"x".repeat(100)), "x").is_err());
    }
}
