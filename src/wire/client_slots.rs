//! `SlotService` from the other side.

use super::{
    Client, ClientError, decode, decode_slot,
    difference::Difference,
    encode_slot as encode,
    proto::{
        self, ArmAvailability, CreateSlotRequest, DeleteSlotRequest, GetRevisionRequest, GetSlotRequest,
        ListRevisionsRequest, ListSlotsRequest, RemoveArmsRequest, ResetSlotRequest, RollbackSlotRequest,
        SetArmAvailabilityRequest, SetSafeChoiceRequest, UpdateSlotRequest, UpsertArmsRequest,
    },
};
use crate::{
    engine::Availability,
    slot::{Arm, ArmId, Definition, Why},
};

/// A revision as a client gets it.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientRevision {
    /// Its number.
    pub number: u64,
    /// When it was made, microseconds since 1970.
    pub at_us: i64,
    /// Who made it, and why.
    pub why: Why,
    /// What kind of change it was.
    pub change: String,
    /// What it changed.
    pub differences: Vec<Difference>,
    /// The slot as it was after it.
    pub definition: Definition,
}

impl Client {
    /// Makes a slot; returns it as it is then, with its revision. With `validate_only`, as it would be.
    pub async fn create_slot(
        &mut self,
        definition: &Definition,
        why: &Why,
        validate_only: bool,
    ) -> Result<(Definition, u64), ClientError> {
        let (slot, Why { author, reason, actor: _ }) = (Some(encode::definition(definition, 0)), why.clone());
        let request = CreateSlotRequest { slot, reason, validate_only, author };
        self.slots.create_slot(request).await?.into_inner().slot.read()
    }

    /// Replaces a slot's definition; returns it as it is then, with its revision. With `validate_only`, as it would be.
    pub async fn update_slot(
        &mut self,
        definition: &Definition,
        revision: u64,
        why: &Why,
        validate_only: bool,
    ) -> Result<(Definition, u64), ClientError> {
        let (slot, Why { author, reason, actor: _ }) = (Some(encode::definition(definition, revision)), why.clone());
        let request = UpdateSlotRequest { slot, update_mask: None, reason, validate_only, author };
        self.slots.update_slot(request).await?.into_inner().slot.read()
    }

    /// Reads a slot and its revision.
    pub async fn get_slot(&mut self, slot: &str) -> Result<(Definition, u64), ClientError> {
        self.slots.get_slot(GetSlotRequest { slot_id: slot.to_owned() }).await?.into_inner().slot.read()
    }

    /// All slots with their revisions, by id.
    pub async fn list_slots(&mut self) -> Result<Vec<(Definition, u64)>, ClientError> {
        let mut slots = Vec::new();
        let mut page_token = String::new();
        loop {
            let response = self.slots.list_slots(ListSlotsRequest { page_size: 0, page_token }).await?.into_inner();
            for slot in response.slots {
                slots.push(Some(slot).read()?);
            }
            page_token = response.next_page_token;
            if page_token.is_empty() {
                return Ok(slots);
            }
        }
    }

    /// Deletes a slot.
    pub async fn delete_slot(&mut self, slot: &str, why: &Why) -> Result<(), ClientError> {
        let Why { author, reason, actor: _ } = why.clone();
        self.slots.delete_slot(DeleteSlotRequest { slot_id: slot.to_owned(), reason, author }).await?;
        Ok(())
    }

    /// Sets whether arms of a slot may be shown; returns the slot's revision.
    pub async fn set_availability(
        &mut self,
        slot: &str,
        arms: &[(ArmId, Availability)],
        why: &Why,
    ) -> Result<u64, ClientError> {
        let change = |(arm, to): &(ArmId, Availability)| ArmAvailability {
            arm_id: arm.to_string(),
            available: to.available,
            because: encode::because(to.because),
            schedule: to.schedule.map(encode::schedule),
        };
        let Why { author, reason, actor: _ } = why.clone();
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

    /// Adds arms to a slot, or replaces those of the same ids.
    pub async fn upsert_arms(&mut self, slot: &str, arms: &[Arm], why: &Why) -> Result<(), ClientError> {
        let (slot_id, arms, Why { author, reason, actor: _ }) =
            (slot.to_owned(), arms.iter().map(encode::arm).collect(), why.clone());
        self.slots.upsert_arms(UpsertArmsRequest { slot_id, arms, reason, author, validate_only: false }).await?;
        Ok(())
    }

    /// Removes arms from a slot; what was learned of them stays.
    pub async fn remove_arms(&mut self, slot: &str, arms: &[ArmId], why: &Why) -> Result<(), ClientError> {
        let (slot_id, arm_ids, Why { author, reason, actor: _ }) =
            (slot.to_owned(), arms.iter().map(ArmId::to_string).collect(), why.clone());
        self.slots.remove_arms(RemoveArmsRequest { slot_id, arm_ids, reason, author, validate_only: false }).await?;
        Ok(())
    }

    /// Forgets all that a slot has learned.
    pub async fn reset_slot(&mut self, slot: &str, why: &Why) -> Result<(), ClientError> {
        let Why { author, reason, actor: _ } = why.clone();
        self.slots.reset_slot(ResetSlotRequest { slot_id: slot.to_owned(), reason, author }).await?;
        Ok(())
    }

    /// The newest revisions of a slot, newest first, at most so many.
    pub async fn revisions(&mut self, slot: &str, most: usize) -> Result<Vec<ClientRevision>, ClientError> {
        let mut revisions: Vec<ClientRevision> = Vec::new();
        let mut page_token = String::new();
        while revisions.len() < most {
            let request = ListRevisionsRequest { slot_id: slot.to_owned(), page_size: 0, page_token };
            let response = self.slots.list_revisions(request).await?.into_inner();
            for revision in response.revisions {
                revisions.push(self::revision(revision)?);
            }
            page_token = response.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        revisions.truncate(most);
        Ok(revisions)
    }

    /// A slot as it was after a revision.
    pub async fn get_revision(&mut self, slot: &str, revision: u64) -> Result<ClientRevision, ClientError> {
        let request = GetRevisionRequest { slot_id: slot.to_owned(), revision };
        let found = self.slots.get_revision(request).await?.into_inner().revision;
        self::revision(found.ok_or_else(|| ClientError::Answer("there is no revision in it".into()))?)
    }

    /// Makes a slot what it was at a revision; returns the revision that this makes.
    pub async fn rollback(&mut self, slot: &str, revision: u64, why: &Why) -> Result<u64, ClientError> {
        let (slot_id, Why { author, reason, actor: _ }) = (slot.to_owned(), why.clone());
        let request = RollbackSlotRequest { slot_id, revision, reason, author, validate_only: false };
        let response = self.slots.rollback_slot(request).await?.into_inner();
        Ok(response.slot.unwrap_or_default().revision)
    }

    /// Turns the safe choice of a slot, or of all, on or off; returns those that it changed with their revisions, by id.
    pub async fn set_safe_choice(
        &mut self,
        slot: Option<&str>,
        on: bool,
        why: &Why,
    ) -> Result<Vec<(String, u64)>, ClientError> {
        let (slot_id, Why { author, reason, actor: _ }) = (slot.unwrap_or_default().to_owned(), why.clone());
        let request = SetSafeChoiceRequest { slot_id, on, reason, author };
        let response = self.slots.set_safe_choice(request).await?.into_inner();
        let mut changed: Vec<_> = response.revisions.into_iter().collect();
        changed.sort();
        Ok(changed)
    }
}

fn revision(message: proto::Revision) -> Result<ClientRevision, ClientError> {
    let proto::Revision { revision: number, time, reason, change, slot, author, diff, actor } = message;
    let at_us = decode::timestamp("time", time.unwrap_or_default());
    let field = |proto::FieldChange { path, before, after }| Difference { path, before, after };
    Ok(ClientRevision {
        number,
        at_us: at_us.map_err(|why| ClientError::Answer(why.to_string()))?,
        why: Why { author, reason, actor: decode_slot::actor(actor) },
        change,
        differences: diff.into_iter().map(field).collect(),
        definition: slot.read()?.0,
    })
}

trait Read {
    /// A slot of an answer, and its revision.
    fn read(self) -> Result<(Definition, u64), ClientError>;
}

impl Read for Option<proto::Slot> {
    fn read(self) -> Result<(Definition, u64), ClientError> {
        decode_slot::slot(self).map_err(|why| ClientError::Answer(why.to_string()))
    }
}
