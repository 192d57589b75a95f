//! `SlotService`.

use std::sync::Arc;

use prost_types::FieldMask;
use tonic::{Request, Response, Status};

use super::{
    Api, decode_slot, encode, error,
    proto::{
        CreateSlotRequest, CreateSlotResponse, DeleteSlotRequest, DeleteSlotResponse, GetSlotRequest, GetSlotResponse,
        ListRevisionsRequest, ListRevisionsResponse, ListSlotsRequest, ListSlotsResponse, RemoveArmsRequest,
        RemoveArmsResponse, ResetSlotRequest, ResetSlotResponse, RollbackSlotRequest, RollbackSlotResponse,
        SetArmAvailabilityRequest, SetArmAvailabilityResponse, Slot, UpdateSlotRequest, UpdateSlotResponse,
        UpsertArmsRequest, UpsertArmsResponse, slot_service_server::SlotService,
    },
};
use crate::{
    engine::{Change, ChangeError, SlotView},
    node::ChangeFailure,
    slot::{ArmId, Definition, FieldError, SlotId, limits::ARMS_MAX},
};

/// A page ends once it has this many bytes.
const PAGE_BYTES: usize = 2 * 1024 * 1024;
/// How often an update without a revision is tried again when another change came between.
const UPDATE_TRIES: usize = 100;

fn page(size: u32, default: u16, most: u16) -> Result<usize, Status> {
    if size > u32::from(most) {
        let message = format!("is {size}; at most {most} are allowed");
        return Err(error::field(&FieldError::new("page_size", message)));
    }
    Ok(usize::from(if size == 0 { default } else { u16::try_from(size).unwrap_or(most) }))
}

/// The first `size` entries, or fewer where they grow large: a client takes 4 MiB unless told otherwise.
fn page_of<T: prost::Message>(entries: impl Iterator<Item = T>, size: usize) -> Vec<T> {
    let mut bytes = 0;
    let mut page = Vec::new();
    for entry in entries.take(size) {
        bytes += entry.encoded_len();
        page.push(entry);
        if bytes > PAGE_BYTES {
            break;
        }
    }
    page
}

fn parse_slot(text: &str) -> Result<SlotId, Status> {
    SlotId::parse("slot_id", text).map_err(|e| error::field(&e))
}

fn some_of<T>(field: &str, values: &[T]) -> Result<(), Status> {
    if values.is_empty() || values.len() > ARMS_MAX {
        let message = format!("has {} entries; 1 to {ARMS_MAX} are allowed", values.len());
        return Err(error::field(&FieldError::new(field, message)));
    }
    Ok(())
}

impl Api {
    fn view(&self, slot: &SlotId) -> Result<Arc<SlotView>, Status> {
        let node = self.node()?;
        node.slot(slot).ok_or_else(|| error::slot_not_found("slot_id", slot, &node.suggest(slot.as_str())))
    }

    async fn change(&self, slot: &str, change: Change, reason: String) -> Result<Option<Slot>, Status> {
        let slot = parse_slot(slot)?;
        let view = self.node()?.change(slot, change, reason, false).await.map_err(|e| error::change(e, "slot_id"))?;
        Ok(Some(encode::slot(&view)))
    }

    async fn update(
        &self,
        wanted: &Definition,
        revision: u64,
        mask: Option<FieldMask>,
        reason: &str,
        validate_only: bool,
    ) -> Result<Arc<SlotView>, Status> {
        let node = self.node()?;
        let masks = mask.as_ref().is_some_and(|mask| !mask.paths.is_empty());
        let mut tries = UPDATE_TRIES;
        loop {
            tries -= 1;
            let current = node
                .slot(&wanted.id)
                .ok_or_else(|| error::slot_not_found("slot.slot_id", &wanted.id, &node.suggest(wanted.id.as_str())))?;
            let definition =
                decode_slot::masked(&current.definition, wanted.clone(), mask.clone()).map_err(|e| error::field(&e))?;
            // Without a mask nothing of the current one is left, so it need not be the one that was read.
            let from = if revision == 0 && masks { current.revision } else { revision };
            let change = Change::Update { definition, revision: from };
            match node.change(wanted.id.clone(), change, reason.to_owned(), validate_only).await {
                Ok(view) => return Ok(view),
                // Somebody else was quicker, and this caller does not care from what it starts.
                Err(ChangeFailure::Refused(ChangeError::Stale { .. })) if revision == 0 && tries > 0 => {}
                Err(why) => return Err(error::change(why, "slot.slot_id")),
            }
        }
    }
}

#[tonic::async_trait]
impl SlotService for Api {
    async fn create_slot(&self, request: Request<CreateSlotRequest>) -> Result<Response<CreateSlotResponse>, Status> {
        let CreateSlotRequest { slot, reason, validate_only } = request.into_inner();
        let (definition, revision) = decode_slot::slot(slot).map_err(|e| error::field(&e))?;
        if revision != 0 {
            return Err(error::field(&FieldError::new("slot.revision", "must be 0 for a new slot")));
        }
        let id = definition.id.clone();
        let view = self.node()?.change(id, Change::Create(definition), reason, validate_only).await;
        let view = view.map_err(|e| error::change(e, "slot.slot_id"))?;
        Ok(Response::new(CreateSlotResponse { slot: Some(encode::slot(&view)) }))
    }

    async fn get_slot(&self, request: Request<GetSlotRequest>) -> Result<Response<GetSlotResponse>, Status> {
        let GetSlotRequest { slot_id } = request.into_inner();
        let view = self.view(&parse_slot(&slot_id)?)?;
        Ok(Response::new(GetSlotResponse { slot: Some(encode::slot(&view)) }))
    }

    async fn list_slots(&self, request: Request<ListSlotsRequest>) -> Result<Response<ListSlotsResponse>, Status> {
        let ListSlotsRequest { page_size, page_token } = request.into_inner();
        let size = page(page_size, 50, 500)?;
        let views = self.node()?.slots();
        let mut rest = views.iter().filter(|view| view.definition.id.as_str() > page_token.as_str());
        let slots: Vec<Slot> = page_of(rest.by_ref().map(|view| encode::slot(view)), size);
        let more =
            views.last().is_some_and(|last| slots.last().is_some_and(|s| *s.slot_id < *last.definition.id.as_str()));
        let next_page_token = if more { slots.last().map(|slot| slot.slot_id.clone()) } else { None };
        Ok(Response::new(ListSlotsResponse { slots, next_page_token: next_page_token.unwrap_or_default() }))
    }

    async fn update_slot(&self, request: Request<UpdateSlotRequest>) -> Result<Response<UpdateSlotResponse>, Status> {
        let UpdateSlotRequest { slot, update_mask, reason, validate_only } = request.into_inner();
        let (wanted, revision) = decode_slot::slot(slot).map_err(|e| error::field(&e))?;
        let view = self.update(&wanted, revision, update_mask, &reason, validate_only).await?;
        Ok(Response::new(UpdateSlotResponse { slot: Some(encode::slot(&view)) }))
    }

    async fn delete_slot(&self, request: Request<DeleteSlotRequest>) -> Result<Response<DeleteSlotResponse>, Status> {
        let DeleteSlotRequest { slot_id, reason } = request.into_inner();
        let slot = self.change(&slot_id, Change::Delete, reason).await?;
        Ok(Response::new(DeleteSlotResponse { slot }))
    }

    async fn upsert_arms(&self, request: Request<UpsertArmsRequest>) -> Result<Response<UpsertArmsResponse>, Status> {
        let UpsertArmsRequest { slot_id, arms, reason } = request.into_inner();
        some_of("arms", &arms)?;
        let arms = decode_slot::arms(arms).map_err(|e| error::field(&e))?;
        let slot = self.change(&slot_id, Change::UpsertArms(arms), reason).await?;
        Ok(Response::new(UpsertArmsResponse { slot }))
    }

    async fn remove_arms(&self, request: Request<RemoveArmsRequest>) -> Result<Response<RemoveArmsResponse>, Status> {
        let RemoveArmsRequest { slot_id, arm_ids, reason } = request.into_inner();
        some_of("arm_ids", &arm_ids)?;
        let arms = arm_ids.iter().enumerate().map(|(i, arm)| ArmId::parse(&format!("arm_ids[{i}]"), arm));
        let arms = arms.collect::<Result<_, _>>().map_err(|e| error::field(&e))?;
        let slot = self.change(&slot_id, Change::RemoveArms(arms), reason).await?;
        Ok(Response::new(RemoveArmsResponse { slot }))
    }

    async fn set_arm_availability(
        &self,
        request: Request<SetArmAvailabilityRequest>,
    ) -> Result<Response<SetArmAvailabilityResponse>, Status> {
        let SetArmAvailabilityRequest { slot_id, available, reason } = request.into_inner();
        let mut available: Vec<(String, bool)> = available.into_iter().collect();
        some_of("available", &available)?;
        available.sort();
        let parse =
            |(arm, available): (String, bool)| Ok((ArmId::parse(&format!("available[{arm:?}]"), &arm)?, available));
        let available = available.into_iter().map(parse).collect::<Result<_, _>>().map_err(|e| error::field(&e))?;
        let slot = self.change(&slot_id, Change::SetAvailability(available), reason).await?;
        Ok(Response::new(SetArmAvailabilityResponse { slot }))
    }

    async fn list_revisions(
        &self,
        request: Request<ListRevisionsRequest>,
    ) -> Result<Response<ListRevisionsResponse>, Status> {
        let ListRevisionsRequest { slot_id, page_size, page_token } = request.into_inner();
        let size = page(page_size, 50, 200)?;
        let before = if page_token.is_empty() {
            u64::MAX
        } else {
            page_token.parse().map_err(|_| {
                error::field(&FieldError::new("page_token", "is not one of ours; use next_page_token as it was given"))
            })?
        };
        let view = self.view(&parse_slot(&slot_id)?)?;
        let mut rest = view.revisions.iter().rev().filter(|revision| revision.number < before);
        let revisions: Vec<_> = page_of(rest.by_ref().map(encode::revision), size);
        let oldest = view.revisions.first().map_or(0, |revision| revision.number);
        let next = revisions.last().filter(|last| last.revision > oldest).map(|last| last.revision.to_string());
        Ok(Response::new(ListRevisionsResponse { revisions, next_page_token: next.unwrap_or_default() }))
    }

    async fn rollback_slot(
        &self,
        request: Request<RollbackSlotRequest>,
    ) -> Result<Response<RollbackSlotResponse>, Status> {
        let RollbackSlotRequest { slot_id, revision, reason } = request.into_inner();
        let slot = self.change(&slot_id, Change::Rollback(revision), reason).await?;
        Ok(Response::new(RollbackSlotResponse { slot }))
    }

    async fn reset_slot(&self, request: Request<ResetSlotRequest>) -> Result<Response<ResetSlotResponse>, Status> {
        let ResetSlotRequest { slot_id, reason } = request.into_inner();
        let slot = self.change(&slot_id, Change::Reset, reason).await?;
        Ok(Response::new(ResetSlotResponse { slot }))
    }
}
