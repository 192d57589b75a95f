//! `SlotService`: one function per call. The `steering` module holds the changes that several calls share.

use tonic::{Request, Response, Status, Streaming};

use super::{
    Api,
    access::CallAccess,
    actor::actor,
    decode::FieldResult,
    decode_slot,
    encode_slot::{self as encode, SlotHead},
    error, page,
    proto::{
        CloneSlotRequest, CloneSlotResponse, CreateSlotRequest, CreateSlotResponse, DeleteSlotRequest,
        DeleteSlotResponse, ExportLearningRequest, ExportLearningResponse, GetRevisionRequest, GetRevisionResponse,
        GetSlotRequest, GetSlotResponse, ImportLearningRequest, ImportLearningResponse, ListArmsRequest,
        ListArmsResponse, ListRevisionsRequest, ListRevisionsResponse, ListSlotsRequest, ListSlotsResponse,
        PreviewSlotChangeRequest, PreviewSlotChangeResponse, RemoveArmsRequest, RemoveArmsResponse, RenameSlotRequest,
        RenameSlotResponse, ResetArmRequest, ResetArmResponse, ResetSlotRequest, ResetSlotResponse,
        RollbackSlotRequest, RollbackSlotResponse, SetArmAvailabilityRequest, SetArmAvailabilityResponse,
        SetSafeChoiceRequest, SetSafeChoiceResponse, Slot, StartFrom, StreamArmAvailabilityResponse, UpdateSlotRequest,
        UpdateSlotResponse, UpsertArmsRequest, UpsertArmsResponse, slot_service_server::SlotService,
    },
    stream::AnswerStream,
};
use crate::{
    engine::{self, Change},
    node::run_long,
    slot::{ArmId, ChangeReason, Definition, FieldError, SlotId, limits::ARMS_MAX},
};

/// Number of bytes at which a page ends.
const PAGE_BYTES: usize = 2 * 1024 * 1024;

/// Returns the page size that a request asks for, or `default` for 0.
pub(super) fn page_size(size: u32, default: u16, most: u16) -> Result<usize, Status> {
    if size > u32::from(most) {
        let message = format!("is {size}; at most {most} are allowed");
        return Err(error::field(&FieldError::new("page_size", message)));
    }
    Ok(usize::from(if size == 0 { default } else { u16::try_from(size).unwrap_or(most) }))
}

/// Returns the first `size` entries, or fewer if they are large, because a client takes 4 MiB by default.
pub(super) fn page_of<T: prost::Message>(entries: impl Iterator<Item = T>, size: usize) -> Vec<T> {
    let mut bytes = 0;
    let mut page = Vec::new();
    for entry in entries.take(size) {
        bytes += entry.encoded_len();
        if bytes > PAGE_BYTES && !page.is_empty() {
            break;
        }
        page.push(entry);
    }
    page
}

pub(super) fn parse_slot(text: &str) -> Result<SlotId, Status> {
    SlotId::parse("slot_id", text).map_err(|e| error::field(&e))
}

/// Checks that a list has entries, and not too many.
pub(super) fn check_count<T>(field: &str, values: &[T]) -> FieldResult<()> {
    if values.is_empty() || values.len() > ARMS_MAX {
        let message = format!("has {} entries; 1 to {ARMS_MAX} are allowed", values.len());
        return Err(FieldError::new(field, message));
    }
    Ok(())
}

/// Returns the change that creates a slot, with the slot that it starts from, if any. The caller must reach that slot.
fn creation(access: &CallAccess, definition: Definition, start_from: Option<StartFrom>) -> Result<Change, Status> {
    let Some(StartFrom { slot_id, weight }) = start_from else { return Ok(Change::Create(definition)) };
    let slot = SlotId::parse("start_from.slot_id", &slot_id).map_err(|e| error::field(&e))?;
    access.check_slot(&slot)?;
    Ok(Change::CreateFrom(definition, engine::StartFrom { slot, weight: weight.unwrap_or(1.0) }))
}

impl Api {
    /// Makes a change, and returns what the answer says about the slot.
    async fn changed(
        &self,
        access: &CallAccess,
        slot: &str,
        change: Change,
        why: ChangeReason,
        validate_only: bool,
    ) -> Result<SlotHead, Status> {
        let view = self.change(access, &parse_slot(slot)?, change, why, validate_only).await?;
        Ok(encode::slot_head(&view))
    }
}

#[tonic::async_trait]
impl SlotService for Api {
    async fn create_slot(&self, request: Request<CreateSlotRequest>) -> Result<Response<CreateSlotResponse>, Status> {
        let (access, actor) = (CallAccess::of(&request), actor(&request));
        let CreateSlotRequest { slot, reason, validate_only, author, start_from } = request.into_inner();
        let (definition, revision) = decode_slot::slot(slot).map_err(|e| error::field(&e))?;
        if revision != 0 {
            return Err(error::field(&FieldError::new("slot.revision", "must be 0 for a new slot")));
        }
        let (id, why) = (definition.id.clone(), ChangeReason { author, reason, actor });
        let (node, change) = (self.node()?, creation(&access, definition, start_from)?);
        access.check_change(node, &id, &change)?;
        let view = node.change(id, change, why, validate_only).await;
        let view = view.map_err(|e| error::change(e, "slot.slot_id"))?;
        let SlotHead { slot, arm_count, available_arm_count } = encode::slot_head(&view);
        Ok(Response::new(CreateSlotResponse { slot, arm_count, available_arm_count }))
    }

    async fn get_slot(&self, request: Request<GetSlotRequest>) -> Result<Response<GetSlotResponse>, Status> {
        let access = CallAccess::of(&request);
        let GetSlotRequest { slot_id } = request.into_inner();
        let view = self.view(&access, &parse_slot(&slot_id)?)?;
        let SlotHead { slot, arm_count, available_arm_count } = encode::slot_head(&view);
        Ok(Response::new(GetSlotResponse { slot, arm_count, available_arm_count }))
    }

    async fn list_slots(&self, request: Request<ListSlotsRequest>) -> Result<Response<ListSlotsResponse>, Status> {
        let access = CallAccess::of(&request);
        let ListSlotsRequest { page_size, page_token } = request.into_inner();
        let size = self::page_size(page_size, 50, 500)?;
        let mut views = self.node()?.slots();
        views.retain(|view| access.reaches(view.definition.id.as_str()));
        let after = page::last("slots", &page_token)?.unwrap_or_default();
        let mut rest = views.iter().filter(|view| view.definition.id.as_str() > after.as_str());
        let slots: Vec<Slot> = page_of(rest.by_ref().map(|view| encode::slot(view)), size);
        let more =
            views.last().is_some_and(|last| slots.last().is_some_and(|s| *s.slot_id < *last.definition.id.as_str()));
        let next_page_token = if more { slots.last().map(|slot| page::token("slots", &slot.slot_id)) } else { None };
        // The slots of a page follow each other in the list, from the first that comes after the token.
        let first = views.partition_point(|view| view.definition.id.as_str() <= after.as_str());
        let arm_counts = views.iter().skip(first).take(slots.len()).map(|view| encode::arm_count(view.listed_arms()));
        Ok(Response::new(ListSlotsResponse {
            arm_counts: arm_counts.collect(),
            slots,
            next_page_token: next_page_token.unwrap_or_default(),
        }))
    }

    async fn list_arms(&self, request: Request<ListArmsRequest>) -> Result<Response<ListArmsResponse>, Status> {
        let access = CallAccess::of(&request);
        Ok(Response::new(self.arms_page(&access, &request.into_inner())?))
    }

    async fn update_slot(&self, request: Request<UpdateSlotRequest>) -> Result<Response<UpdateSlotResponse>, Status> {
        let (access, actor) = (CallAccess::of(&request), actor(&request));
        let UpdateSlotRequest { slot, update_mask, reason, validate_only, author } = request.into_inner();
        let mask = update_mask.filter(|mask| !mask.paths.is_empty());
        let draft = decode_slot::draft(slot).map_err(|e| error::field(&e))?;
        let view =
            self.update(&access, &draft, mask.as_ref(), &ChangeReason { author, reason, actor }, validate_only).await?;
        let SlotHead { slot, arm_count, available_arm_count } = encode::slot_head(&view);
        Ok(Response::new(UpdateSlotResponse { slot, arm_count, available_arm_count }))
    }

    async fn delete_slot(&self, request: Request<DeleteSlotRequest>) -> Result<Response<DeleteSlotResponse>, Status> {
        let (access, actor) = (CallAccess::of(&request), actor(&request));
        let DeleteSlotRequest { slot_id, reason, author } = request.into_inner();
        let SlotHead { slot, arm_count, available_arm_count } =
            self.changed(&access, &slot_id, Change::Delete, ChangeReason { author, reason, actor }, false).await?;
        Ok(Response::new(DeleteSlotResponse { slot, arm_count, available_arm_count }))
    }

    async fn upsert_arms(&self, request: Request<UpsertArmsRequest>) -> Result<Response<UpsertArmsResponse>, Status> {
        let (access, actor) = (CallAccess::of(&request), actor(&request));
        let UpsertArmsRequest { slot_id, arms, reason, author, validate_only } = request.into_inner();
        check_count("arms", &arms).map_err(|e| error::field(&e))?;
        let arms = decode_slot::arms(arms).map_err(|e| error::field(&e))?;
        let SlotHead { slot, arm_count, available_arm_count } = self
            .changed(&access, &slot_id, Change::MergeArms(arms), ChangeReason { author, reason, actor }, validate_only)
            .await?;
        Ok(Response::new(UpsertArmsResponse { slot, arm_count, available_arm_count }))
    }

    async fn remove_arms(&self, request: Request<RemoveArmsRequest>) -> Result<Response<RemoveArmsResponse>, Status> {
        let (access, actor) = (CallAccess::of(&request), actor(&request));
        let RemoveArmsRequest { slot_id, arm_ids, reason, author, validate_only } = request.into_inner();
        check_count("arm_ids", &arm_ids).map_err(|e| error::field(&e))?;
        let arms = arm_ids.iter().enumerate().map(|(i, arm)| ArmId::parse(&format!("arm_ids[{i}]"), arm));
        let arms = arms.collect::<Result<_, _>>().map_err(|e| error::field(&e))?;
        let SlotHead { slot, arm_count, available_arm_count } = self
            .changed(&access, &slot_id, Change::RemoveArms(arms), ChangeReason { author, reason, actor }, validate_only)
            .await?;
        Ok(Response::new(RemoveArmsResponse { slot, arm_count, available_arm_count }))
    }

    async fn set_arm_availability(
        &self,
        request: Request<SetArmAvailabilityRequest>,
    ) -> Result<Response<SetArmAvailabilityResponse>, Status> {
        let (access, actor) = (CallAccess::of(&request), actor(&request));
        let (view, _) = self.set_availability(&access, &actor, request.into_inner()).await?;
        let SlotHead { slot, arm_count, available_arm_count } = encode::slot_head(&view);
        Ok(Response::new(SetArmAvailabilityResponse { slot, arm_count, available_arm_count }))
    }

    async fn stream_arm_availability(
        &self,
        request: Request<Streaming<SetArmAvailabilityRequest>>,
    ) -> Result<Response<StreamArmAvailabilityResponse>, Status> {
        let (access, actor) = (CallAccess::of(&request), actor(&request));
        Ok(Response::new(self.stream_availability(&access, &actor, request.into_inner()).await?))
    }

    async fn set_safe_choice(
        &self,
        request: Request<SetSafeChoiceRequest>,
    ) -> Result<Response<SetSafeChoiceResponse>, Status> {
        let (access, actor) = (CallAccess::of(&request), actor(&request));
        let SetSafeChoiceRequest { slot_id, on, reason, author } = request.into_inner();
        let slot = if slot_id.is_empty() { None } else { Some(parse_slot(&slot_id)?) };
        let why = ChangeReason { author, reason, actor };
        Ok(Response::new(self.safe_choice(&access, slot, on, why).await?))
    }

    async fn list_revisions(
        &self,
        request: Request<ListRevisionsRequest>,
    ) -> Result<Response<ListRevisionsResponse>, Status> {
        let access = CallAccess::of(&request);
        let ListRevisionsRequest { slot_id, page_size, page_token } = request.into_inner();
        let size = self::page_size(page_size, 50, 200)?;
        // The token names the slot, because another slot has other revisions.
        let list = format!("revisions of {slot_id}");
        let before = page::last(&list, &page_token)?.and_then(|last| last.parse().ok()).unwrap_or(u64::MAX);
        let view = self.view(&access, &parse_slot(&slot_id)?)?;
        let end = view.revisions.partition_point(|revision| revision.number < before);
        let encoded =
            (0..end).rev().map(|i| encode::revision(&view.revisions[i], i.checked_sub(1).map(|i| &view.revisions[i])));
        let revisions: Vec<_> = run_long(view.definition.arms.len(), || page_of(encoded, size));
        let oldest = view.revisions.first().map_or(0, |revision| revision.number);
        let next = revisions
            .last()
            .filter(|last| last.revision > oldest)
            .map(|last| page::token(&list, &last.revision.to_string()));
        Ok(Response::new(ListRevisionsResponse { revisions, next_page_token: next.unwrap_or_default() }))
    }

    async fn get_revision(
        &self,
        request: Request<GetRevisionRequest>,
    ) -> Result<Response<GetRevisionResponse>, Status> {
        let access = CallAccess::of(&request);
        let GetRevisionRequest { slot_id, revision } = request.into_inner();
        let view = self.view(&access, &parse_slot(&slot_id)?)?;
        let Some(found) = view.revisions.iter().position(|kept| kept.number == revision) else {
            let message =
                format!("{revision} is not kept; the slot is at {}, and ListRevisions says which are", view.revision);
            return Err(error::field(&FieldError::new("revision", message)));
        };
        let before = found.checked_sub(1).map(|i| &view.revisions[i]);
        let revision = encode::revision(&view.revisions[found], before);
        Ok(Response::new(GetRevisionResponse { revision: Some(revision) }))
    }

    async fn rollback_slot(
        &self,
        request: Request<RollbackSlotRequest>,
    ) -> Result<Response<RollbackSlotResponse>, Status> {
        let (access, actor) = (CallAccess::of(&request), actor(&request));
        let RollbackSlotRequest { slot_id, revision, reason, author, validate_only } = request.into_inner();
        let SlotHead { slot, arm_count, available_arm_count } = self
            .changed(
                &access,
                &slot_id,
                Change::Rollback(revision),
                ChangeReason { author, reason, actor },
                validate_only,
            )
            .await?;
        Ok(Response::new(RollbackSlotResponse { slot, arm_count, available_arm_count }))
    }

    async fn reset_slot(&self, request: Request<ResetSlotRequest>) -> Result<Response<ResetSlotResponse>, Status> {
        let (access, actor) = (CallAccess::of(&request), actor(&request));
        let ResetSlotRequest { slot_id, reason, author } = request.into_inner();
        let SlotHead { slot, arm_count, available_arm_count } =
            self.changed(&access, &slot_id, Change::Reset, ChangeReason { author, reason, actor }, false).await?;
        Ok(Response::new(ResetSlotResponse { slot, arm_count, available_arm_count }))
    }

    async fn reset_arm(&self, request: Request<ResetArmRequest>) -> Result<Response<ResetArmResponse>, Status> {
        let (access, actor) = (CallAccess::of(&request), actor(&request));
        let ResetArmRequest { slot_id, arm_id, reason, author } = request.into_inner();
        let arm = ArmId::parse("arm_id", &arm_id).map_err(|e| error::field(&e))?;
        let why = ChangeReason { author, reason, actor };
        let SlotHead { slot, arm_count, available_arm_count } =
            self.changed(&access, &slot_id, Change::ResetArm(arm), why, false).await?;
        Ok(Response::new(ResetArmResponse { slot, arm_count, available_arm_count }))
    }

    async fn rename_slot(&self, request: Request<RenameSlotRequest>) -> Result<Response<RenameSlotResponse>, Status> {
        let (access, actor) = (CallAccess::of(&request), actor(&request));
        let RenameSlotRequest { slot_id, new_slot_id, reason, author } = request.into_inner();
        let slot = parse_slot(&slot_id)?;
        self.view(&access, &slot)?;
        let to = SlotId::parse("new_slot_id", &new_slot_id).map_err(|e| error::field(&e))?;
        access.check_slot(&to)?;
        let (node, change) = (self.node()?, Change::Rename(to));
        access.check_change(node, &slot, &change)?;
        let view = node.change(slot, change, ChangeReason { author, reason, actor }, false).await;
        let view = view.map_err(|e| error::change(e, "new_slot_id"))?;
        let SlotHead { slot, arm_count, available_arm_count } = encode::slot_head(&view);
        Ok(Response::new(RenameSlotResponse { slot, arm_count, available_arm_count }))
    }

    async fn clone_slot(&self, request: Request<CloneSlotRequest>) -> Result<Response<CloneSlotResponse>, Status> {
        let (access, actor) = (CallAccess::of(&request), actor(&request));
        let CloneSlotRequest { slot_id, new_slot_id, without_learning, weight, reason, author } = request.into_inner();
        let source = self.view(&access, &parse_slot(&slot_id)?)?;
        let id = SlotId::parse("new_slot_id", &new_slot_id).map_err(|e| error::field(&e))?;
        let definition = Definition { id: id.clone(), ..(*source.definition).clone() };
        let from = (!without_learning).then_some(StartFrom { slot_id, weight });
        let (node, change) = (self.node()?, creation(&access, definition, from)?);
        access.check_change(node, &id, &change)?;
        let view = node.change(id, change, ChangeReason { author, reason, actor }, false).await;
        let view = view.map_err(|e| error::change(e, "new_slot_id"))?;
        let SlotHead { slot, arm_count, available_arm_count } = encode::slot_head(&view);
        Ok(Response::new(CloneSlotResponse { slot, arm_count, available_arm_count }))
    }

    type ExportLearningStream = AnswerStream<ExportLearningResponse>;

    async fn export_learning(
        &self,
        request: Request<ExportLearningRequest>,
    ) -> Result<Response<Self::ExportLearningStream>, Status> {
        let access = CallAccess::of(&request);
        let ExportLearningRequest { slot_id } = request.into_inner();
        self.stream_learning(&access, &slot_id).await
    }

    async fn import_learning(
        &self,
        request: Request<Streaming<ImportLearningRequest>>,
    ) -> Result<Response<ImportLearningResponse>, Status> {
        let (access, actor) = (CallAccess::of(&request), actor(&request));
        Ok(Response::new(self.take_learning(&access, actor, request.into_inner()).await?))
    }

    async fn preview_slot_change(
        &self,
        request: Request<PreviewSlotChangeRequest>,
    ) -> Result<Response<PreviewSlotChangeResponse>, Status> {
        let access = CallAccess::of(&request);
        Ok(Response::new(self.preview(&access, request.into_inner()).await?))
    }
}
