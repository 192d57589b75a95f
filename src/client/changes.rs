//! Calls that create and change slots of any size.
//!
//! A request may have 8 MiB, and a slot 32 MiB. A change that fits into one request is made in one, all or nothing. A
//! larger one is sent in parts, each of which is a change of its own. If a part fails the call returns its error, and
//! the same call again makes the rest of the change. The last part sets the order of the arms, removes arms, and sets
//! every field that names arms.

use std::sync::Arc;

use prost::Message as _;
use prost_types::FieldMask;

use super::{connection::Client, error::ClientError};
use crate::{
    slot::{Arm, Baseline, ChangeReason, Definition},
    wire::{
        drafts::changed_arms,
        encode_slot as encode,
        proto::{self, CreateSlotRequest, UpdateSlotRequest, UpsertArmsRequest},
    },
};

/// Greatest number of bytes of one request. The service takes twice as many.
const PART_BYTES: usize = 4 * 1024 * 1024;

/// Fields of a slot except its arms.
const SETTINGS: [&str; 11] = [
    "display_name",
    "kind",
    "open_catalogue",
    "from_catalogue",
    "default_arm_id",
    "count",
    "goal",
    "model",
    "controls",
    "default_consent",
    "rules",
];

/// Splits arms into parts that each fit into a request.
pub(super) fn split_arms(arms: Vec<proto::Arm>) -> Vec<Vec<proto::Arm>> {
    let mut parts: Vec<Vec<proto::Arm>> = Vec::new();
    let mut bytes = PART_BYTES;
    for arm in arms {
        let own = arm.encoded_len();
        match parts.last_mut() {
            Some(part) if bytes + own <= PART_BYTES => {
                part.push(arm);
                bytes += own;
            }
            _ => {
                parts.push(vec![arm]);
                bytes = own;
            }
        }
    }
    parts
}

/// Returns the slot and the mask of the request that turns `current` into `wanted`. Unchanged arms are given by their
/// ids only.
pub(super) fn update_from(current: &Definition, wanted: &Definition, revision: u64) -> (proto::Slot, FieldMask) {
    let mut slot = encode::settings(wanted, revision);
    let mut paths: Vec<String> = SETTINGS.map(str::to_owned).to_vec();
    if current.arms != wanted.arms {
        slot.arms = changed_arms(current, wanted);
        paths.push("arms.arm_id".to_owned());
    }
    (slot, FieldMask { paths })
}

fn is_full(arm: &proto::Arm) -> bool {
    *arm != proto::Arm { arm_id: arm.arm_id.clone(), ..proto::Arm::default() }
}

impl Client {
    /// Creates a slot. Returns its revision. With `validate_only` the slot is checked and not created.
    pub async fn create_slot(
        &mut self,
        definition: &Definition,
        why: &ChangeReason,
        validate_only: bool,
    ) -> Result<u64, ClientError> {
        let whole = encode::definition(definition, 0);
        if whole.encoded_len() <= PART_BYTES {
            return self.create_part(whole, why, validate_only).await;
        }
        // No field may name an arm that does not exist yet.
        let mut first = Definition { arms: Vec::new(), default_arm: None, ..definition.clone() };
        first.controls.arm_bounds.clear();
        if let Some(Baseline::Arm(_)) = first.controls.baseline {
            first.controls.baseline = None;
        }
        let mut parts = split_arms(whole.arms).into_iter();
        let slot = proto::Slot { arms: parts.next().unwrap_or_default(), ..encode::settings(&first, 0) };
        let mut revision = self.create_part(slot, why, validate_only).await?;
        if validate_only {
            return Ok(revision);
        }
        let id = definition.id.as_str();
        for part in parts {
            revision = self.upsert_part(id, part, why, false).await?;
        }
        let whole = Definition { arms: Vec::new(), ..definition.clone() };
        if first == whole {
            return Ok(revision);
        }
        let mut slot = encode::settings(definition, revision);
        // The mask names only what was left out above, so that the service sets the defaults of a new slot.
        let mut paths: Vec<String> = Vec::new();
        for (path, differs) in [
            ("default_arm_id", first.default_arm != whole.default_arm),
            ("controls.arm_bounds", first.controls.arm_bounds != whole.controls.arm_bounds),
            ("controls.baseline", first.controls.baseline != whole.controls.baseline),
        ] {
            if differs {
                paths.push(path.to_owned());
            }
        }
        slot.revision = revision;
        self.update_part(slot, FieldMask { paths }, why, false).await
    }

    /// Gives a slot this definition, whatever it is now. Returns its new revision.
    pub async fn update_slot(
        &mut self,
        definition: &Definition,
        revision: u64,
        why: &ChangeReason,
        validate_only: bool,
    ) -> Result<u64, ClientError> {
        let (current, _) = self.get_slot(definition.id.as_str()).await?;
        self.change_slot(&current, definition, revision, why, validate_only).await
    }

    /// Changes a slot from `current` to `wanted`. Returns its new revision.
    ///
    /// The change is refused if the slot is not at `revision`; 0 skips this check. With `validate_only` the change is
    /// checked and not made.
    pub async fn change_slot(
        &mut self,
        current: &Definition,
        wanted: &Definition,
        revision: u64,
        why: &ChangeReason,
        validate_only: bool,
    ) -> Result<u64, ClientError> {
        let (slot, mask) = update_from(current, wanted, revision);
        if slot.encoded_len() <= PART_BYTES {
            return self.update_part(slot, mask, why, validate_only).await;
        }
        let (mut revision, id) = (revision, wanted.id.as_str());
        if current.takes_items() && !validate_only {
            // Until it has no filter, the slot takes no arms of its own.
            let slot = encode::settings(&Definition { from_catalogue: String::new(), ..current.clone() }, revision);
            let mask = FieldMask { paths: vec!["from_catalogue".to_owned()] };
            revision = self.update_part(slot, mask, why, false).await?;
        }
        for part in split_arms(slot.arms.into_iter().filter(is_full).collect()) {
            revision = self.upsert_part(id, part, why, validate_only).await?;
        }
        if validate_only {
            return Ok(revision);
        }
        let bare = |arm: &Arc<Arm>| proto::Arm { arm_id: arm.id.to_string(), ..proto::Arm::default() };
        let slot = proto::Slot { arms: wanted.arms.iter().map(bare).collect(), ..encode::settings(wanted, revision) };
        self.update_part(slot, mask, why, false).await
    }

    async fn create_part(
        &mut self,
        slot: proto::Slot,
        why: &ChangeReason,
        validate_only: bool,
    ) -> Result<u64, ClientError> {
        let ChangeReason { author, reason, actor: _ } = why.clone();
        let request = CreateSlotRequest { slot: Some(slot), reason, validate_only, author, start_from: None };
        Ok(self.slots.create_slot(request).await?.into_inner().slot.unwrap_or_default().revision)
    }

    async fn update_part(
        &mut self,
        slot: proto::Slot,
        mask: FieldMask,
        why: &ChangeReason,
        validate_only: bool,
    ) -> Result<u64, ClientError> {
        let ChangeReason { author, reason, actor: _ } = why.clone();
        let (slot, update_mask) = (Some(slot), Some(mask));
        let request = UpdateSlotRequest { slot, update_mask, reason, validate_only, author };
        Ok(self.slots.update_slot(request).await?.into_inner().slot.unwrap_or_default().revision)
    }

    pub(super) async fn upsert_part(
        &mut self,
        slot: &str,
        arms: Vec<proto::Arm>,
        why: &ChangeReason,
        validate_only: bool,
    ) -> Result<u64, ClientError> {
        let (slot_id, ChangeReason { author, reason, actor: _ }) = (slot.to_owned(), why.clone());
        let request = UpsertArmsRequest { slot_id, arms, reason, author, validate_only };
        Ok(self.slots.upsert_arms(request).await?.into_inner().slot.unwrap_or_default().revision)
    }
}
