//! Drafts: changes of slots that a second person approves.

use super::{
    changes::update_from,
    connection::Client,
    error::ClientError,
    insight::{ChangePreview, decode_preview},
};
use crate::{
    engine::{DraftState, SignedStep},
    slot::{ChangeReason, Definition, FieldError},
    wire::{
        FieldDifference,
        decode::{FieldResult, decode_timestamp},
        decode_slot,
        encode::encode_timestamp,
        enums::decode_enum,
        proto::{
            self, ApplyDraftRequest, ApproveDraftRequest, CreateDraftRequest, DiscardDraftRequest, DraftChange,
            GetDraftRequest, ListDraftsRequest, PreviewDraftRequest, RenameSlotRequest, ResetArmRequest,
            ResetSlotRequest, RollbackSlotRequest, UpdateSlotRequest, draft_change::Change,
        },
    },
};

/// Draft of a change of a slot.
#[derive(Debug, Clone, PartialEq)]
pub struct SlotDraftSummary {
    /// Slot of the draft.
    pub slot: String,
    /// Number of the draft within its slot.
    pub number: u32,
    /// State of the draft.
    pub state: DraftState,
    /// Names of the changed fields.
    pub changes: Vec<String>,
    /// Revision that it was created from.
    pub revision: u64,
    /// Creation.
    pub created: SignedStep,
    /// Approval, if somebody approved it.
    pub approved: Option<SignedStep>,
    /// Time at which it will be applied, microseconds since 1970, if it is scheduled.
    pub apply_us: Option<i64>,
    /// Time from which it cannot be applied, microseconds since 1970.
    pub expires_us: i64,
    /// Revision that made it stale, or 0.
    pub stale_since: u64,
    /// Revision that it became, or 0.
    pub applied: u64,
}

/// Draft with what it would change.
#[derive(Debug, Clone, PartialEq)]
pub struct SlotDraftDetails {
    /// Draft.
    pub draft: SlotDraftSummary,
    /// Fields that it would change now.
    pub differences: Vec<FieldDifference>,
    /// Number of changed fields that `differences` leaves out.
    pub differences_left_out: u32,
    /// Reason why it cannot be applied now, apart from a missing approval, or an empty text.
    pub problem: String,
}

impl Client {
    /// Drafts the change of a slot from `current` at `revision` to `wanted`. The draft expires at `expires_us`, microseconds
    /// since 1970, or after the lifetime of the slot's drafts.
    pub async fn draft_change(
        &mut self,
        current: &Definition,
        wanted: &Definition,
        revision: u64,
        why: &ChangeReason,
        expires_us: Option<i64>,
    ) -> Result<SlotDraftSummary, ClientError> {
        let (slot, mask) = update_from(current, wanted, revision);
        let ChangeReason { author, reason, actor: _ } = why.clone();
        let (slot, update_mask) = (Some(slot), Some(mask));
        let update = UpdateSlotRequest { slot, update_mask, reason, author, validate_only: false };
        self.create_draft(Change::Update(update), expires_us).await
    }

    /// Drafts the return of a slot to a revision.
    pub async fn draft_rollback(
        &mut self,
        slot: &str,
        revision: u64,
        why: &ChangeReason,
        expires_us: Option<i64>,
    ) -> Result<SlotDraftSummary, ClientError> {
        let (slot_id, ChangeReason { author, reason, actor: _ }) = (slot.to_owned(), why.clone());
        let rollback = RollbackSlotRequest { slot_id, revision, reason, author, validate_only: false };
        self.create_draft(Change::Rollback(rollback), expires_us).await
    }

    /// Drafts the reset of one arm of a slot.
    pub async fn draft_reset_arm(
        &mut self,
        (slot, arm): (&str, &str),
        why: &ChangeReason,
        expires_us: Option<i64>,
    ) -> Result<SlotDraftSummary, ClientError> {
        let (slot_id, ChangeReason { author, reason, actor: _ }) = (slot.to_owned(), why.clone());
        let reset = ResetArmRequest { slot_id, arm_id: arm.to_owned(), reason, author };
        self.create_draft(Change::ResetArm(reset), expires_us).await
    }

    /// Drafts the reset of a slot.
    pub async fn draft_reset(
        &mut self,
        slot: &str,
        why: &ChangeReason,
        expires_us: Option<i64>,
    ) -> Result<SlotDraftSummary, ClientError> {
        let (slot_id, ChangeReason { author, reason, actor: _ }) = (slot.to_owned(), why.clone());
        self.create_draft(Change::Reset(ResetSlotRequest { slot_id, reason, author }), expires_us).await
    }

    /// Drafts another id for a slot.
    pub async fn draft_rename(
        &mut self,
        (slot, to): (&str, &str),
        why: &ChangeReason,
        expires_us: Option<i64>,
    ) -> Result<SlotDraftSummary, ClientError> {
        let (slot_id, ChangeReason { author, reason, actor: _ }) = (slot.to_owned(), why.clone());
        let rename = RenameSlotRequest { slot_id, new_slot_id: to.to_owned(), reason, author };
        self.create_draft(Change::Rename(rename), expires_us).await
    }

    async fn create_draft(&mut self, change: Change, expires_us: Option<i64>) -> Result<SlotDraftSummary, ClientError> {
        let change = Some(DraftChange { change: Some(change) });
        let request = CreateDraftRequest { change, expire_time: expires_us.map(encode_timestamp) };
        decode_draft(self.drafts.create_draft(request).await?.into_inner().draft)
    }

    /// Lists the drafts of a slot, or of all slots, by slot and number. With `waiting_only` those that ended are left out.
    pub async fn list_drafts(
        &mut self,
        slot: Option<&str>,
        waiting_only: bool,
    ) -> Result<Vec<SlotDraftSummary>, ClientError> {
        let (mut drafts, mut page_token) = (Vec::new(), String::new());
        loop {
            let slot_id = slot.unwrap_or_default().to_owned();
            let request = ListDraftsRequest { slot_id, waiting_only, page_size: 500, page_token };
            let page = self.drafts.list_drafts(request).await?.into_inner();
            for draft in page.drafts {
                drafts.push(decode_draft(Some(draft))?);
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(drafts);
            }
        }
    }

    /// Reads a draft with what it would change now.
    pub async fn get_draft(&mut self, slot: &str, number: u32) -> Result<SlotDraftDetails, ClientError> {
        let request = GetDraftRequest { slot_id: slot.to_owned(), draft_id: number };
        let response = self.drafts.get_draft(request).await?.into_inner();
        let field = |proto::FieldChange { path, before, after }| FieldDifference { path, before, after };
        Ok(SlotDraftDetails {
            draft: decode_draft(response.draft)?,
            differences: response.diff.into_iter().map(field).collect(),
            differences_left_out: response.diff_left_out,
            problem: response.problem,
        })
    }

    /// Previews a draft on the last `decisions` decisions of its slot; 0 means the greatest number.
    pub async fn preview_draft(
        &mut self,
        slot: &str,
        number: u32,
        decisions: u32,
    ) -> Result<ChangePreview, ClientError> {
        let request = PreviewDraftRequest { slot_id: slot.to_owned(), draft_id: number, decisions };
        let response = self.drafts.preview_draft(request).await?.into_inner();
        let preview = response.preview.unwrap_or_default();
        decode_preview(preview).map_err(|why| ClientError::Answer(why.to_string()))
    }

    /// Approves a draft.
    pub async fn approve_draft(
        &mut self,
        slot: &str,
        number: u32,
        why: &ChangeReason,
    ) -> Result<SlotDraftSummary, ClientError> {
        let (slot_id, ChangeReason { author, reason, actor: _ }) = (slot.to_owned(), why.clone());
        let request = ApproveDraftRequest { slot_id, draft_id: number, reason, author };
        decode_draft(self.drafts.approve_draft(request).await?.into_inner().draft)
    }

    /// Applies an approved draft, or has it applied at `apply_us`, microseconds since 1970. Returns the slot's revision.
    pub async fn apply_draft(
        &mut self,
        slot: &str,
        number: u32,
        apply_us: Option<i64>,
        author: &str,
    ) -> Result<u64, ClientError> {
        let (slot_id, apply_time) = (slot.to_owned(), apply_us.map(encode_timestamp));
        let request = ApplyDraftRequest { slot_id, draft_id: number, apply_time, author: author.to_owned() };
        Ok(self.drafts.apply_draft(request).await?.into_inner().slot.unwrap_or_default().revision)
    }

    /// Discards a draft.
    pub async fn discard_draft(
        &mut self,
        slot: &str,
        number: u32,
        why: &ChangeReason,
    ) -> Result<SlotDraftSummary, ClientError> {
        let (slot_id, ChangeReason { author, reason, actor: _ }) = (slot.to_owned(), why.clone());
        let request = DiscardDraftRequest { slot_id, draft_id: number, reason, author };
        decode_draft(self.drafts.discard_draft(request).await?.into_inner().draft)
    }
}

fn decode_draft(draft: Option<proto::Draft>) -> Result<SlotDraftSummary, ClientError> {
    let draft = draft.ok_or_else(|| ClientError::Answer("there is no draft in it".into()))?;
    decode_summary(draft).map_err(|why| ClientError::Answer(why.to_string()))
}

fn decode_summary(draft: proto::Draft) -> FieldResult<SlotDraftSummary> {
    let missing = |field: &str| FieldError::new(field, "is missing");
    Ok(SlotDraftSummary {
        state: decode_enum("state", draft.state)?.ok_or_else(|| missing("state"))?,
        slot: draft.slot_id,
        number: draft.draft_id,
        changes: draft.changes,
        revision: draft.revision,
        created: decode_step("created", draft.created.ok_or_else(|| missing("created"))?)?,
        approved: draft.approved.map(|step| decode_step("approved", step)).transpose()?,
        apply_us: draft.apply_time.map(|time| decode_timestamp("apply_time", time)).transpose()?,
        expires_us: decode_timestamp("expire_time", draft.expire_time.unwrap_or_default())?,
        stale_since: draft.stale_since_revision,
        applied: draft.applied_revision,
    })
}

fn decode_step(field: &str, step: proto::DraftStep) -> FieldResult<SignedStep> {
    let proto::DraftStep { time, author, reason, actor } = step;
    let at_us = decode_timestamp(field, time.unwrap_or_default())?;
    Ok(SignedStep { at_us, why: ChangeReason { author, reason, actor: decode_slot::actor(actor) } })
}
