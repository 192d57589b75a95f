//! `SlotService` from the other side.

use super::{
    Client, ClientError,
    client_changes::parts,
    decode, decode_slot,
    difference::Difference,
    encode_slot as encode,
    proto::{
        self, ArmAvailability, DeleteSlotRequest, GetRevisionRequest, GetSlotRequest, ListArmsRequest,
        ListRevisionsRequest, ListSlotsRequest, RemoveArmsRequest, ResetSlotRequest, RollbackSlotRequest,
        SetArmAvailabilityRequest, SetSafeChoiceRequest,
    },
};
use crate::{
    engine::Availability,
    slot::{Arm, ArmId, ChangeReason, Definition},
};

/// How often a slot is read again that changed while its arms were listed.
const READ_TRIES: usize = 10;

/// A revision as a client gets it.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientRevision {
    /// Its number.
    pub number: u64,
    /// When it was made, microseconds since 1970.
    pub at_us: i64,
    /// Who made it, and why.
    pub why: ChangeReason,
    /// What kind of change it was.
    pub change: String,
    /// What it changed.
    pub differences: Vec<Difference>,
    /// How many more fields it changed.
    pub differences_left_out: u32,
    /// The slot as it was after it.
    pub definition: Definition,
}

/// A slot as a list has it, without its arms.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientSlot {
    /// The slot, without its arms.
    pub definition: Definition,
    /// Its revision.
    pub revision: u64,
    /// How many arms it has.
    pub arms: u32,
    /// How many of them are available.
    pub available: u32,
}

impl Client {
    /// Reads a slot with its arms, and its revision.
    pub async fn get_slot(&mut self, slot: &str) -> Result<(Definition, u64), ClientError> {
        for _ in 0..READ_TRIES {
            let response = self.slots.get_slot(GetSlotRequest { slot_id: slot.to_owned() }).await?.into_inner();
            let mut head = response.slot.unwrap_or_default();
            let (arms, revision) = self.list_arms(slot, 0).await?;
            if revision == Some(head.revision) {
                head.arms = arms;
                return Some(head).read();
            }
        }
        Err(ClientError::Answer(format!("the slot '{slot}' changes faster than it can be read; try again")))
    }

    /// Reads a slot without its arms, and its revision.
    pub async fn get_slot_head(&mut self, slot: &str) -> Result<(Definition, u64), ClientError> {
        let response = self.slots.get_slot(GetSlotRequest { slot_id: slot.to_owned() }).await?.into_inner();
        response.slot.read_settings()
    }

    /// Reads the arms of a slot as they were after a revision, 0 for as they are; with the revision that all pages are
    /// of, or `None` if they are of several.
    async fn list_arms(&mut self, slot: &str, revision: u64) -> Result<(Vec<proto::Arm>, Option<u64>), ClientError> {
        let (mut arms, mut page_token, mut read) = (Vec::new(), String::new(), None);
        let mut one = true;
        loop {
            let request = ListArmsRequest { slot_id: slot.to_owned(), page_size: 1_000, page_token, revision };
            let page = self.slots.list_arms(request).await?.into_inner();
            one &= *read.get_or_insert(page.revision) == page.revision;
            arms.extend(page.arms);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok((arms, read.filter(|_| one)));
            }
        }
    }

    /// All slots without their arms, by id.
    pub async fn list_slots(&mut self) -> Result<Vec<ClientSlot>, ClientError> {
        let mut slots = Vec::new();
        let mut page_token = String::new();
        loop {
            let response = self.slots.list_slots(ListSlotsRequest { page_size: 0, page_token }).await?.into_inner();
            for (slot, count) in response.slots.into_iter().zip(response.arm_counts) {
                let (definition, revision) = Some(slot).read_settings()?;
                slots.push(ClientSlot { definition, revision, arms: count.arms, available: count.available });
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

    /// Sets whether arms of a slot may be shown; returns the slot's revision.
    pub async fn set_availability(
        &mut self,
        slot: &str,
        arms: &[(ArmId, Availability)],
        why: &ChangeReason,
    ) -> Result<u64, ClientError> {
        let change = |(arm, to): &(ArmId, Availability)| ArmAvailability {
            arm_id: arm.to_string(),
            available: to.available,
            because: encode::because(to.because),
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

    /// Adds arms to a slot, or replaces those of the same ids; in parts where they are many.
    pub async fn upsert_arms(&mut self, slot: &str, arms: &[Arm], why: &ChangeReason) -> Result<(), ClientError> {
        for part in parts(arms.iter().map(encode::arm).collect()) {
            self.upsert_part(slot, part, why, false).await?;
        }
        Ok(())
    }

    /// Removes arms from a slot; what was learned of them stays.
    pub async fn remove_arms(&mut self, slot: &str, arms: &[ArmId], why: &ChangeReason) -> Result<(), ClientError> {
        let (slot_id, arm_ids, ChangeReason { author, reason, actor: _ }) =
            (slot.to_owned(), arms.iter().map(ArmId::to_string).collect(), why.clone());
        self.slots.remove_arms(RemoveArmsRequest { slot_id, arm_ids, reason, author, validate_only: false }).await?;
        Ok(())
    }

    /// Forgets all that a slot has learned.
    pub async fn reset_slot(&mut self, slot: &str, why: &ChangeReason) -> Result<(), ClientError> {
        let ChangeReason { author, reason, actor: _ } = why.clone();
        self.slots.reset_slot(ResetSlotRequest { slot_id: slot.to_owned(), reason, author }).await?;
        Ok(())
    }

    /// The newest revisions of a slot without its arms, newest first, at most so many.
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

    /// A slot with its arms as it was after a revision.
    pub async fn get_revision(&mut self, slot: &str, revision: u64) -> Result<ClientRevision, ClientError> {
        let request = GetRevisionRequest { slot_id: slot.to_owned(), revision };
        let found = self.slots.get_revision(request).await?.into_inner().revision;
        let found = found.ok_or_else(|| ClientError::Answer("there is no revision in it".into()))?;
        let mut head = found.slot.clone().unwrap_or_default();
        head.arms = self.list_arms(slot, revision).await?.0;
        Ok(ClientRevision { definition: Some(head).read()?.0, ..self::revision(found)? })
    }

    /// Makes a slot what it was at a revision; returns the revision that this makes.
    pub async fn rollback(&mut self, slot: &str, revision: u64, why: &ChangeReason) -> Result<u64, ClientError> {
        let (slot_id, ChangeReason { author, reason, actor: _ }) = (slot.to_owned(), why.clone());
        let request = RollbackSlotRequest { slot_id, revision, reason, author, validate_only: false };
        let response = self.slots.rollback_slot(request).await?.into_inner();
        Ok(response.slot.unwrap_or_default().revision)
    }

    /// Turns the safe choice of a slot, or of all, on or off; returns the first of those that it changed with their
    /// revisions, by id, and how many it changed.
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

fn revision(message: proto::Revision) -> Result<ClientRevision, ClientError> {
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
    let at_us = decode::timestamp("time", time.unwrap_or_default());
    let field = |proto::FieldChange { path, before, after }| Difference { path, before, after };
    Ok(ClientRevision {
        number,
        at_us: at_us.map_err(|why| ClientError::Answer(why.to_string()))?,
        why: ChangeReason { author, reason, actor: decode_slot::actor(actor) },
        change,
        differences: diff.into_iter().map(field).collect(),
        differences_left_out: diff_left_out,
        definition: slot.read_settings()?.0,
    })
}

pub(super) trait Read {
    /// A slot of an answer, and its revision.
    fn read(self) -> Result<(Definition, u64), ClientError>;

    /// The same of a slot that comes without its arms.
    fn read_settings(self) -> Result<(Definition, u64), ClientError>;
}

impl Read for Option<proto::Slot> {
    fn read(self) -> Result<(Definition, u64), ClientError> {
        decode_slot::slot(self).map_err(|why| ClientError::Answer(why.to_string()))
    }

    fn read_settings(self) -> Result<(Definition, u64), ClientError> {
        let draft = decode_slot::draft(self).map_err(|why| ClientError::Answer(why.to_string()))?;
        Ok((draft.settings, draft.revision))
    }
}
