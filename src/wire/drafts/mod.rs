//! `DraftService`: changes of slots that a second person approves.

mod change;
mod encode;
mod schedule;

use std::sync::Arc;

use prost::Message as _;
use tonic::{Request, Response, Status};

pub(crate) use change::changed_arms;

use self::{change::DraftedRequest, encode::encode_draft};
use super::{
    Api,
    access::CallAccess,
    actor::actor,
    decode::decode_timestamp,
    encode_slot, error, page,
    proto::{
        self, ApplyDraftRequest, ApplyDraftResponse, ApproveDraftRequest, ApproveDraftResponse, CreateDraftRequest,
        CreateDraftResponse, DiscardDraftRequest, DiscardDraftResponse, DraftChange, GetDraftRequest, GetDraftResponse,
        ListDraftsRequest, ListDraftsResponse, PreviewDraftRequest, PreviewDraftResponse, PreviewSlotChangeResponse,
        draft_change, draft_service_server::DraftService,
    },
    slots::{page_of, page_size, parse_slot},
};
use crate::{
    access::Role,
    engine::{Change, ChangeError, Draft, DraftRefusal, DraftRequest, SlotView},
    node::{ChangeFailure, Node},
    slot::{ChangeReason, FieldError, SlotId},
};

/// Number of attempts at a step, if changes of the slot come between.
const TRIES: usize = 100;

/// Draft of a view, with what its change would be now.
struct FoundDraft {
    view: Arc<SlotView>,
    number: u64,
}

impl FoundDraft {
    fn draft(&self) -> Result<&Draft, Status> {
        let found = self.view.drafts.iter().find(|draft| draft.number == self.number);
        found.ok_or_else(|| {
            let (slot, number) = (self.view.definition.id.clone(), self.number);
            let refused = ChangeError::from(DraftRefusal::NotFound { slot, number });
            error::change(ChangeFailure::Refused(refused), "slot_id")
        })
    }

    /// Request of the draft, or `None` if the draft keeps none any more.
    fn request(&self) -> Result<Option<DraftedRequest>, Status> {
        let draft = self.draft()?;
        if draft.closed.is_some() {
            return Ok(None);
        }
        let change = DraftChange::decode(draft.content.change.as_slice());
        let change = change.map_err(|why| error::unreadable_draft(&why.to_string()))?;
        // The slot may have been renamed since the draft was made.
        Ok(Some(DraftedRequest::read(Some(change))?.with_slot(&self.view.definition.id)))
    }

    fn encoded(&self, now_us: i64) -> Result<proto::Draft, Status> {
        Ok(encode_draft(&self.view.definition.id, self.draft()?, now_us))
    }
}

impl Api {
    fn found_draft(&self, access: &CallAccess, slot: &str, number: u32) -> Result<FoundDraft, Status> {
        let view = self.view(access, &parse_slot(slot)?)?;
        let found = FoundDraft { view, number: number.into() };
        found.draft()?;
        Ok(found)
    }

    /// Takes a step of a draft whose change does not matter for it.
    async fn step_draft(
        &self,
        access: &CallAccess,
        (slot, number): (&str, u32),
        request: DraftRequest,
        why: ChangeReason,
    ) -> Result<FoundDraft, Status> {
        let found = self.found_draft(access, slot, number)?;
        let view = self.node()?.step_draft(found.view.definition.id.clone(), request, why).await;
        let view = view.map_err(|why| error::change(why, "slot_id"))?;
        Ok(FoundDraft { view, ..found })
    }

    /// Creates a draft, from the slot as it is at the moment of its creation.
    async fn create(
        &self,
        access: &CallAccess,
        request: CreateDraftRequest,
        by: ChangeReason,
    ) -> Result<FoundDraft, Status> {
        let CreateDraftRequest { change, expire_time } = request;
        let expires_us = expire_time.map(|time| decode_timestamp("expire_time", time)).transpose();
        let expires_us = expires_us.map_err(|why| error::field(&why))?;
        let (node, mut tries) = (self.node()?, TRIES);
        loop {
            tries -= 1;
            let drafted = DraftedRequest::read(change.clone())?;
            if drafted.needs_admin() {
                access.check_role(Role::Admin)?;
            }
            let (slot, why) = (drafted.slot.clone(), ChangeReason { actor: by.actor.clone(), ..drafted.why.clone() });
            let view = self.view(access, &slot)?;
            let (change, path) = (drafted.change(&view)?, drafted.path());
            check_change(access, node, &slot, &change)?;
            let encoded = drafted.kept(&view, &change).encode_to_vec();
            let request = DraftRequest::Create { encoded, change, expires_us };
            match node.step_draft(slot, request, why).await {
                Ok(view) => {
                    let number = view.drafts.last().map_or(0, |draft| draft.number);
                    return Ok(FoundDraft { view, number });
                }
                Err(ChangeFailure::Refused(ChangeError::Stale { current, .. }))
                    if tries > 0 && current != view.revision => {}
                Err(ChangeFailure::Refused(ChangeError::Field(why))) => {
                    let own = ["change", "expire_time", "reason", "author"].contains(&why.field.as_str());
                    return Err(error::field(&if own { why } else { why.within(path) }));
                }
                Err(why) => return Err(error::change(why, "slot_id")),
            }
        }
    }

    /// Makes the change of an approved draft.
    async fn apply_now(
        &self,
        access: &CallAccess,
        (slot, number): (&str, u32),
        why: &ChangeReason,
    ) -> Result<FoundDraft, Status> {
        let (node, mut tries) = (self.node()?, TRIES);
        loop {
            tries -= 1;
            let found = self.found_draft(access, slot, number)?;
            let id = found.view.definition.id.clone();
            let change = match found.request()? {
                Some(drafted) => drafted.change(&found.view)?,
                // The planning of the step says why a draft that is closed cannot be applied.
                None => Change::Reset,
            };
            check_change(access, node, &id, &change)?;
            let request = DraftRequest::Apply { number: found.number, change };
            match node.step_draft(id, request, why.clone()).await {
                Ok(view) => return Ok(FoundDraft { view, number: found.number }),
                // Operations changed something meanwhile.
                Err(ChangeFailure::Refused(ChangeError::Stale { .. })) if tries > 0 => {}
                Err(why) => return Err(error::change(why, "slot_id")),
            }
        }
    }

    /// Returns the preview of a draft, and `None` for a change that has none.
    async fn preview_of(
        &self,
        found: &FoundDraft,
        decisions: u32,
    ) -> Result<Option<PreviewSlotChangeResponse>, Status> {
        let Some(drafted) = found.request()? else { return Ok(None) };
        match drafted.change(&found.view)? {
            Change::Reset | Change::ResetArm(_) | Change::ImportLearning(..) | Change::Rename(_) | Change::Delete => {
                Ok(None)
            }
            change @ (Change::Create(_)
            | Change::CreateFrom(..)
            | Change::Update { .. }
            | Change::UpsertArms(_)
            | Change::MergeArms(_)
            | Change::RemoveArms(_)
            | Change::SetAvailability(_)
            | Change::Rollback(_)
            | Change::SetSafeChoice(_)) => self.preview_change(&drafted.slot, change, decisions).await.map(Some),
        }
    }
}

/// Checks that a caller may make a change, also under the id that it gives the slot.
fn check_change(access: &CallAccess, node: &Node, slot: &SlotId, change: &Change) -> Result<(), Status> {
    if let Change::Rename(to) = change {
        access.check_slot(to)?;
    }
    access.check_change(node, slot, change)
}

fn no_preview() -> Status {
    error::field(&FieldError::new(
        "draft_id",
        "names a draft without a preview: a reset, a rename, a deletion, or one that ended",
    ))
}

#[tonic::async_trait]
impl DraftService for Api {
    async fn create_draft(
        &self,
        request: Request<CreateDraftRequest>,
    ) -> Result<Response<CreateDraftResponse>, Status> {
        let (access, actor) = (CallAccess::of(&request), actor(&request));
        let by = ChangeReason { actor, ..ChangeReason::default() };
        let found = self.create(&access, request.into_inner(), by).await?;
        Ok(Response::new(CreateDraftResponse { draft: Some(found.encoded(self.now_us()?)?) }))
    }

    async fn list_drafts(&self, request: Request<ListDraftsRequest>) -> Result<Response<ListDraftsResponse>, Status> {
        let access = CallAccess::of(&request);
        let ListDraftsRequest { slot_id, waiting_only, page_size: size, page_token } = request.into_inner();
        let size = page_size(size, 50, 500)?;
        let list = format!("drafts of {slot_id}");
        let last = page::last(&list, &page_token)?;
        let after = last.as_deref().and_then(|last| last.split_once(' '));
        let after = after.map(|(slot, number)| (slot.to_owned(), number.parse::<u64>().unwrap_or(u64::MAX)));
        let (node, now_us) = (self.node()?, self.now_us()?);
        let mut views =
            if slot_id.is_empty() { node.slots() } else { vec![self.view(&access, &parse_slot(&slot_id)?)?] };
        views.retain(|view| access.reaches(view.definition.id.as_str()));
        let drafts = views.iter().flat_map(|view| view.drafts.iter().map(move |draft| (&view.definition.id, draft)));
        let place = |(slot, draft): &(&SlotId, &Draft)| (slot.to_string(), draft.number);
        let wanted = drafts
            .filter(|(_, draft)| !waiting_only || draft.waits(now_us))
            .filter(|draft| after.as_ref().is_none_or(|after| place(draft) > *after));
        let wanted: Vec<_> = wanted.collect();
        let drafts = page_of(wanted.iter().map(|(slot, draft)| encode_draft(slot, draft, now_us)), size);
        let last = drafts.last().filter(|_| wanted.len() > drafts.len());
        let token = last.map(|last| page::token(&list, &format!("{} {}", last.slot_id, last.draft_id)));
        let next_page_token = token.unwrap_or_default();
        Ok(Response::new(ListDraftsResponse { drafts, next_page_token }))
    }

    async fn get_draft(&self, request: Request<GetDraftRequest>) -> Result<Response<GetDraftResponse>, Status> {
        let access = CallAccess::of(&request);
        let GetDraftRequest { slot_id, draft_id } = request.into_inner();
        let found = self.found_draft(&access, &slot_id, draft_id)?;
        let mut response =
            GetDraftResponse { draft: Some(found.encoded(self.now_us()?)?), ..GetDraftResponse::default() };
        let Some(drafted) = found.request()? else { return Ok(Response::new(response)) };
        let change = drafted.change(&found.view);
        let tried = match change {
            Ok(Change::Reset | Change::ResetArm(_) | Change::ImportLearning(..) | Change::Delete) => None,
            Ok(change) => Some(self.node()?.try_change(drafted.slot.clone(), change).await),
            Err(why) => {
                why.message().clone_into(&mut response.problem);
                None
            }
        };
        match tried {
            Some(Ok((before, after))) => {
                (response.diff, response.diff_left_out) =
                    encode_slot::changed_fields(&before.definition, &after.definition);
            }
            Some(Err(why)) => error::change(why, "slot_id").message().clone_into(&mut response.problem),
            None => {}
        }
        if let draft_change::Change::Rename(of) = &drafted.request {
            let (before, after) = (drafted.slot.to_string(), of.new_slot_id.clone());
            response.diff.push(proto::FieldChange { path: "slot_id".into(), before, after });
        }
        response.change = Some(DraftChange { change: Some(drafted.request) });
        Ok(Response::new(response))
    }

    async fn preview_draft(
        &self,
        request: Request<PreviewDraftRequest>,
    ) -> Result<Response<PreviewDraftResponse>, Status> {
        let access = CallAccess::of(&request);
        let PreviewDraftRequest { slot_id, draft_id, decisions } = request.into_inner();
        let found = self.found_draft(&access, &slot_id, draft_id)?;
        let preview = self.preview_of(&found, decisions).await?.ok_or_else(no_preview)?;
        Ok(Response::new(PreviewDraftResponse { preview: Some(preview) }))
    }

    async fn approve_draft(
        &self,
        request: Request<ApproveDraftRequest>,
    ) -> Result<Response<ApproveDraftResponse>, Status> {
        let (access, actor) = (CallAccess::of(&request), actor(&request));
        let ApproveDraftRequest { slot_id, draft_id, reason, author } = request.into_inner();
        let (step, why) = (DraftRequest::Approve(draft_id.into()), ChangeReason { author, reason, actor });
        let found = self.step_draft(&access, (&slot_id, draft_id), step, why).await?;
        Ok(Response::new(ApproveDraftResponse { draft: Some(found.encoded(self.now_us()?)?) }))
    }

    async fn apply_draft(&self, request: Request<ApplyDraftRequest>) -> Result<Response<ApplyDraftResponse>, Status> {
        let (access, actor) = (CallAccess::of(&request), actor(&request));
        let ApplyDraftRequest { slot_id, draft_id, apply_time, author } = request.into_inner();
        let why = ChangeReason { author, reason: String::new(), actor };
        let found = match apply_time {
            None => self.apply_now(&access, (&slot_id, draft_id), &why).await?,
            Some(time) => {
                let apply_us = decode_timestamp("apply_time", time).map_err(|why| error::field(&why))?;
                let step = DraftRequest::Schedule { number: draft_id.into(), apply_us };
                self.step_draft(&access, (&slot_id, draft_id), step, why).await?
            }
        };
        // A slot that was deleted is answered as it was.
        let kept = self.node()?.slot(&found.view.definition.id).is_some();
        let draft = kept.then(|| found.encoded(self.now_us()?)).transpose()?;
        Ok(Response::new(ApplyDraftResponse { draft, slot: Some(encode_slot::slot(&found.view)) }))
    }

    async fn discard_draft(
        &self,
        request: Request<DiscardDraftRequest>,
    ) -> Result<Response<DiscardDraftResponse>, Status> {
        let (access, actor) = (CallAccess::of(&request), actor(&request));
        let DiscardDraftRequest { slot_id, draft_id, reason, author } = request.into_inner();
        let (step, why) = (DraftRequest::Discard(draft_id.into()), ChangeReason { author, reason, actor });
        let found = self.step_draft(&access, (&slot_id, draft_id), step, why).await?;
        Ok(Response::new(DiscardDraftResponse { draft: Some(found.encoded(self.now_us()?)?) }))
    }
}
