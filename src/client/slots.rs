//! Calls that read slots, and those that change them in one request.

use super::{changes::split_arms, connection::Client, error::ClientError};
use crate::{
    engine::Availability,
    slot::{Arm, ArmId, ChangeReason, Definition},
    wire::{
        self, FieldDifference, decode, encode_slot as encode,
        enums::encode_enum,
        proto::{
            self, ArmAvailability, CloneSlotRequest, DeleteSlotRequest, GetRevisionRequest, GetSlotRequest,
            ListArmsRequest, ListRevisionsRequest, ListSlotsRequest, RemoveArmsRequest, RenameSlotRequest,
            ResetArmRequest, ResetSlotRequest, RollbackSlotRequest, SetArmAvailabilityRequest, SetSafeChoiceRequest,
        },
    },
};

/// Number of attempts to read a slot that changes while its arms are listed.
const READ_TRIES: usize = 10;

/// Revision of a slot.
#[derive(Debug, Clone, PartialEq)]
pub struct SlotRevision {
    /// Number of the revision.
    pub number: u64,
    /// Time of the change, microseconds since 1970.
    pub at_us: i64,
    /// Author and reason of the change.
    pub why: ChangeReason,
    /// Kind of the change, such as `updated`.
    pub change: String,
    /// Changed fields.
    pub differences: Vec<FieldDifference>,
    /// Number of changed fields that `differences` leaves out.
    pub differences_left_out: u32,
    /// Slot after the change.
    pub definition: Definition,
}

/// Slot in a list of slots.
#[derive(Debug, Clone, PartialEq)]
pub struct SlotSummary {
    /// Slot without its arms.
    pub definition: Definition,
    /// Current revision.
    pub revision: u64,
    /// Number of arms.
    pub arms: u32,
    /// Number of available arms.
    pub available: u32,
}

impl Client {
    /// Reads a slot with its own arms. Returns the slot and its revision.
    pub async fn get_slot(&mut self, slot: &str) -> Result<(Definition, u64), ClientError> {
        for _ in 0..READ_TRIES {
            let response = self.slots.get_slot(GetSlotRequest { slot_id: slot.to_owned() }).await?.into_inner();
            let mut whole = response.slot.unwrap_or_default();
            if !whole.from_catalogue.is_empty() {
                // Its arms are items, and no part of the definition.
                return decode_slot(Some(whole));
            }
            let (arms, revision) = self.list_arms(slot, 0).await?;
            if revision == Some(whole.revision) {
                whole.arms = arms;
                return decode_slot(Some(whole));
            }
        }
        Err(ClientError::Answer(format!("the slot '{slot}' changes faster than it can be read; try again")))
    }

    /// Reads a slot without its arms. Returns the slot and its revision.
    pub async fn get_slot_settings(&mut self, slot: &str) -> Result<(Definition, u64), ClientError> {
        let response = self.slots.get_slot(GetSlotRequest { slot_id: slot.to_owned() }).await?.into_inner();
        decode_settings(response.slot)
    }

    /// Lists the arms of a slot after a revision, or as they are now if `revision` is 0. Also returns the revision of the
    /// pages, or `None` if the slot changed between two pages.
    async fn list_arms(&mut self, slot: &str, revision: u64) -> Result<(Vec<proto::Arm>, Option<u64>), ClientError> {
        let (mut arms, mut page_token, mut read) = (Vec::new(), String::new(), None);
        let mut same_revision = true;
        loop {
            let request = ListArmsRequest { slot_id: slot.to_owned(), page_size: 1_000, page_token, revision };
            let page = self.slots.list_arms(request).await?.into_inner();
            same_revision &= *read.get_or_insert(page.revision) == page.revision;
            arms.extend(page.arms);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok((arms, read.filter(|_| same_revision)));
            }
        }
    }

    /// Lists all slots without their arms, by id.
    pub async fn list_slots(&mut self) -> Result<Vec<SlotSummary>, ClientError> {
        let mut slots = Vec::new();
        let mut page_token = String::new();
        loop {
            let response = self.slots.list_slots(ListSlotsRequest { page_size: 0, page_token }).await?.into_inner();
            for (slot, count) in response.slots.into_iter().zip(response.arm_counts) {
                let (definition, revision) = decode_settings(Some(slot))?;
                slots.push(SlotSummary { definition, revision, arms: count.arms, available: count.available });
            }
            page_token = response.next_page_token;
            if page_token.is_empty() {
                return Ok(slots);
            }
        }
    }

    /// Deletes a slot.
    pub async fn delete_slot(&mut self, slot: &str, why: &ChangeReason) -> Result<(), ClientError> {
        let ChangeReason { author, reason, actor: _ } = why.clone();
        self.slots.delete_slot(DeleteSlotRequest { slot_id: slot.to_owned(), reason, author }).await?;
        Ok(())
    }

    /// Sets the availability of arms of a slot. Returns the slot's new revision.
    pub async fn set_arm_availability(
        &mut self,
        slot: &str,
        arms: &[(ArmId, Availability)],
        why: &ChangeReason,
    ) -> Result<u64, ClientError> {
        let change = |(arm, to): &(ArmId, Availability)| ArmAvailability {
            arm_id: arm.to_string(),
            available: to.available,
            because: encode_enum(to.because),
            schedule: to.schedule.map(encode::schedule),
        };
        let ChangeReason { author, reason, actor: _ } = why.clone();
        let request = SetArmAvailabilityRequest {
            slot_id: slot.to_owned(),
            available: std::collections::HashMap::new(),
            reason,
            changes: arms.iter().map(change).collect(),
            author,
            validate_only: false,
        };
        let response = self.slots.set_arm_availability(request).await?.into_inner();
        Ok(response.slot.unwrap_or_default().revision)
    }

    /// Adds arms to a slot, or replaces those with the same ids. Many arms are sent in several requests, each of which is
    /// a revision.
    pub async fn upsert_arms(&mut self, slot: &str, arms: &[Arm], why: &ChangeReason) -> Result<(), ClientError> {
        for part in split_arms(arms.iter().map(encode::arm).collect()) {
            self.upsert_part(slot, part, why, false).await?;
        }
        Ok(())
    }

    /// Removes arms from a slot. The slot keeps what it learned about them.
    pub async fn remove_arms(&mut self, slot: &str, arms: &[ArmId], why: &ChangeReason) -> Result<(), ClientError> {
        let (slot_id, arm_ids, ChangeReason { author, reason, actor: _ }) =
            (slot.to_owned(), arms.iter().map(ArmId::to_string).collect(), why.clone());
        self.slots.remove_arms(RemoveArmsRequest { slot_id, arm_ids, reason, author, validate_only: false }).await?;
        Ok(())
    }

    /// Creates a slot like another one. It starts from what that has learned, with this weight of each observation, or
    /// from nothing if `weight` is `None`.
    pub async fn clone_slot(
        &mut self,
        slot: &str,
        new_slot: &str,
        weight: Option<f64>,
        why: &ChangeReason,
    ) -> Result<(), ClientError> {
        let ChangeReason { author, reason, actor: _ } = why.clone();
        let request = CloneSlotRequest {
            slot_id: slot.to_owned(),
            new_slot_id: new_slot.to_owned(),
            without_learning: weight.is_none(),
            weight,
            reason,
            author,
        };
        self.slots.clone_slot(request).await?;
        Ok(())
    }

    /// Gives a slot another id. It keeps everything else.
    pub async fn rename_slot(&mut self, slot: &str, new_slot: &str, why: &ChangeReason) -> Result<(), ClientError> {
        let ChangeReason { author, reason, actor: _ } = why.clone();
        let (slot_id, new_slot_id) = (slot.to_owned(), new_slot.to_owned());
        self.slots.rename_slot(RenameSlotRequest { slot_id, new_slot_id, reason, author }).await?;
        Ok(())
    }

    /// Forgets what a slot learned of one arm.
    pub async fn reset_arm(&mut self, slot: &str, arm: &str, why: &ChangeReason) -> Result<(), ClientError> {
        let ChangeReason { author, reason, actor: _ } = why.clone();
        let request = ResetArmRequest { slot_id: slot.to_owned(), arm_id: arm.to_owned(), reason, author };
        self.slots.reset_arm(request).await?;
        Ok(())
    }

    /// Makes a slot forget everything that it has learned.
    pub async fn reset_slot(&mut self, slot: &str, why: &ChangeReason) -> Result<(), ClientError> {
        let ChangeReason { author, reason, actor: _ } = why.clone();
        self.slots.reset_slot(ResetSlotRequest { slot_id: slot.to_owned(), reason, author }).await?;
        Ok(())
    }

    /// Lists at most `limit` revisions of a slot without its arms, newest first.
    pub async fn list_revisions(&mut self, slot: &str, limit: usize) -> Result<Vec<SlotRevision>, ClientError> {
        let mut revisions: Vec<SlotRevision> = Vec::new();
        let mut page_token = String::new();
        while revisions.len() < limit {
            let request = ListRevisionsRequest { slot_id: slot.to_owned(), page_size: 0, page_token };
            let response = self.slots.list_revisions(request).await?.into_inner();
            for revision in response.revisions {
                revisions.push(decode_revision(revision)?);
            }
            page_token = response.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        revisions.truncate(limit);
        Ok(revisions)
    }

    /// Reads a slot with its arms as it was after a revision.
    pub async fn get_revision(&mut self, slot: &str, revision: u64) -> Result<SlotRevision, ClientError> {
        let request = GetRevisionRequest { slot_id: slot.to_owned(), revision };
        let found = self.slots.get_revision(request).await?.into_inner().revision;
        let found = found.ok_or_else(|| ClientError::Answer("there is no revision in it".into()))?;
        let mut whole = found.slot.clone().unwrap_or_default();
        whole.arms = self.list_arms(slot, revision).await?.0;
        Ok(SlotRevision { definition: decode_slot(Some(whole))?.0, ..decode_revision(found)? })
    }

    /// Gives a slot the content that it had after a revision. Returns the new revision.
    pub async fn rollback_slot(&mut self, slot: &str, revision: u64, why: &ChangeReason) -> Result<u64, ClientError> {
        let (slot_id, ChangeReason { author, reason, actor: _ }) = (slot.to_owned(), why.clone());
        let request = RollbackSlotRequest { slot_id, revision, reason, author, validate_only: false };
        let response = self.slots.rollback_slot(request).await?.into_inner();
        Ok(response.slot.unwrap_or_default().revision)
    }

    /// Turns the safe choice of a slot, or of all slots, on or off. Returns the first changed slots with their new
    /// revisions, by id, and the number of all changed slots.
    pub async fn set_safe_choice(
        &mut self,
        slot: Option<&str>,
        on: bool,
        why: &ChangeReason,
    ) -> Result<(Vec<(String, u64)>, u32), ClientError> {
        let (slot_id, ChangeReason { author, reason, actor: _ }) = (slot.unwrap_or_default().to_owned(), why.clone());
        let request = SetSafeChoiceRequest { slot_id, on, reason, author };
        let response = self.slots.set_safe_choice(request).await?.into_inner();
        let mut named: Vec<_> = response.revisions.into_iter().collect();
        named.sort();
        Ok((named, response.changed))
    }
}

fn decode_revision(message: proto::Revision) -> Result<SlotRevision, ClientError> {
    let proto::Revision {
        revision: number,
        time,
        reason,
        change,
        slot,
        author,
        diff,
        actor,
        arm_count: _,
        diff_left_out,
    } = message;
    let at_us = decode::decode_timestamp("time", time.unwrap_or_default());
    let field = |proto::FieldChange { path, before, after }| FieldDifference { path, before, after };
    Ok(SlotRevision {
        number,
        at_us: at_us.map_err(|why| ClientError::Answer(why.to_string()))?,
        why: ChangeReason { author, reason, actor: wire::decode_slot::actor(actor) },
        change,
        differences: diff.into_iter().map(field).collect(),
        differences_left_out: diff_left_out,
        definition: decode_settings(slot)?.0,
    })
}

/// Decodes a slot of an answer with its arms, and its revision.
fn decode_slot(slot: Option<proto::Slot>) -> Result<(Definition, u64), ClientError> {
    wire::decode_slot::slot(slot).map_err(|why| ClientError::Answer(why.to_string()))
}

/// Decodes a slot of an answer that has no arms, and its revision.
fn decode_settings(slot: Option<proto::Slot>) -> Result<(Definition, u64), ClientError> {
    let draft = wire::decode_slot::draft(slot).map_err(|why| ClientError::Answer(why.to_string()))?;
    Ok((draft.settings, draft.revision))
}
