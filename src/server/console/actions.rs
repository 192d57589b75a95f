//! Changes that pages make. Each is a call of the API, and sends the browser on to a page that shows the result.

use std::collections::HashMap;

use axum::{
    Form,
    extract::{Path, State},
};
use serde::Deserialize;
use tonic::Code;

use super::{
    SharedConsole,
    change::show,
    draft::{ControlsDraft, DraftChange, at_revision},
    drafts::{ChangeOutcome, needs_approval},
    fields::redirect,
    layout::{ConsolePage, slot_path},
    slots::new_form,
    visitor::{PageResult, Visitor},
};
use crate::{
    access::Role,
    wire::proto::{
        self, CreateSlotRequest, DeleteSlotRequest, ResetSlotRequest, RollbackSlotRequest, SetArmAvailabilityRequest,
        SetSafeChoiceRequest, UpdateSlotRequest, draft_change, slot_service_server::SlotService as _,
    },
};

/// Form of a new slot.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NewSlotForm {
    slot: String,
    template: String,
    arms: String,
    reason: String,
}

/// Form that pauses or resumes an arm.
#[derive(Debug, Deserialize)]
pub(super) struct AvailabilityForm {
    arm: String,
    available: bool,
    #[serde(default)]
    reason: String,
}

/// Form that switches the safe choice.
#[derive(Debug, Deserialize)]
pub(super) struct SafeChoiceForm {
    on: bool,
    #[serde(default)]
    reason: String,
}

/// Form that goes back to a revision.
#[derive(Debug, Deserialize)]
pub(super) struct RollbackForm {
    revision: u64,
    #[serde(default)]
    reason: String,
}

/// Form of a change that cannot be undone.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ConfirmedForm {
    confirm: String,
    reason: String,
}

fn template_goal(template: &str) -> proto::Goal {
    let kind = |kind: &str, weight, use_value, cap| proto::RewardKind {
        kind: kind.to_owned(),
        weight,
        use_value,
        cap,
        ..proto::RewardKind::default()
    };
    match template {
        "block" => proto::Goal {
            kinds: vec![kind("click", 0.1, false, Some(0.1)), kind("purchase", 1.0, true, None)],
            ..proto::Goal::default()
        },
        "ranking" => proto::Goal {
            kinds: vec![kind("click", 1.0, false, Some(1.0))],
            click_model: proto::ClickModel::PositionBased.into(),
            ..proto::Goal::default()
        },
        _ => proto::Goal { kinds: vec![kind("click", 1.0, false, Some(1.0))], ..proto::Goal::default() },
    }
}

/// Creates a slot from a template.
pub(super) async fn create(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Form(form): Form<NewSlotForm>,
) -> PageResult {
    visitor.check(Role::Tune)?;
    let arms = form.arms.lines().map(str::trim).filter(|id| !id.is_empty());
    let arm = |id: &str| proto::Arm { arm_id: id.to_owned(), ..proto::Arm::default() };
    let kind = match form.template.as_str() {
        "block" => proto::SlotKind::Block,
        "ranking" => proto::SlotKind::Ranking,
        _ => proto::SlotKind::Offer,
    };
    let slot = proto::Slot {
        slot_id: form.slot.trim().to_owned(),
        kind: kind.into(),
        arms: arms.map(arm).collect(),
        goal: Some(template_goal(&form.template)),
        ..proto::Slot::default()
    };
    let request = CreateSlotRequest { slot: Some(slot), reason: form.reason.clone(), ..Default::default() };
    match console.api.create_slot(visitor.call(request)).await {
        Ok(_) => Ok(redirect(&slot_path(form.slot.trim(), ""))),
        Err(status) if matches!(status.code(), Code::InvalidArgument | Code::AlreadyExists) => {
            Ok(new_form(&visitor, &form.slot, &form.arms, &form.template, Some(status.message())))
        }
        Err(status) => Err(status.into()),
    }
}

/// Applies a draft of the controls.
pub(super) async fn apply(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Path(slot): Path<String>,
    Form(draft): Form<ControlsDraft>,
) -> PageResult {
    visitor.check(Role::Tune)?;
    let view = console.api.slot_of(&visitor.call(()), &slot)?;
    // A draft from an older revision is compared with what it was made from, so that it changes what its author meant.
    let from = at_revision(&view, draft.revision);
    let change = match draft.check(&view.definition).and_then(|()| draft.change(&slot, &from)) {
        Ok(Some(change)) => change,
        Ok(None) => return show(&console, &visitor, &slot, None, Some("This changes nothing.".into())).await,
        Err(why) => return show(&console, &visitor, &slot, Some(draft), Some(why)).await,
    };
    let DraftChange { slot: message, mask } = change;
    let request = UpdateSlotRequest {
        slot: Some(message),
        update_mask: Some(mask),
        reason: draft.reason.clone(),
        ..Default::default()
    };
    let done = if draft.as_draft == "on" {
        console.draft(&visitor, draft_change::Change::Update(request)).await
    } else {
        console.update_or_draft(&visitor, request).await
    };
    match done {
        Ok(ChangeOutcome::Applied) => Ok(redirect(&slot_path(&slot, "history"))),
        Ok(ChangeOutcome::Drafted(path)) => Ok(redirect(&path)),
        // Another editor was quicker, a field is wrong, or too many drafts wait: the draft stays, with what happened.
        Err(status)
            if matches!(
                status.code(),
                Code::InvalidArgument | Code::Aborted | Code::FailedPrecondition | Code::ResourceExhausted
            ) =>
        {
            show(&console, &visitor, &slot, Some(draft), Some(status.message().to_owned())).await
        }
        Err(status) => Err(status.into()),
    }
}

/// Pauses or resumes an arm.
pub(super) async fn availability(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Path(slot): Path<String>,
    Form(form): Form<AvailabilityForm>,
) -> PageResult {
    visitor.check(Role::Tune)?;
    let because = if form.available { 0 } else { proto::UnavailableBecause::Paused.into() };
    let change = proto::ArmAvailability {
        arm_id: form.arm,
        available: Some(form.available),
        because,
        ..proto::ArmAvailability::default()
    };
    let request = SetArmAvailabilityRequest {
        slot_id: slot.clone(),
        available: HashMap::new(),
        changes: vec![change],
        reason: form.reason,
        ..Default::default()
    };
    console.api.set_arm_availability(visitor.call(request)).await?;
    Ok(redirect(&slot_path(&slot, "")))
}

/// Switches the safe choice of a slot on or off.
pub(super) async fn safe_choice(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Path(slot): Path<String>,
    Form(form): Form<SafeChoiceForm>,
) -> PageResult {
    visitor.check(Role::Tune)?;
    let request =
        SetSafeChoiceRequest { slot_id: slot.clone(), on: form.on, reason: form.reason, ..Default::default() };
    console.api.set_safe_choice(visitor.call(request)).await?;
    Ok(redirect(&slot_path(&slot, "")))
}

/// Goes back to a revision.
pub(super) async fn rollback(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Path(slot): Path<String>,
    Form(form): Form<RollbackForm>,
) -> PageResult {
    visitor.check(Role::Tune)?;
    let request = RollbackSlotRequest {
        slot_id: slot.clone(),
        revision: form.revision,
        reason: form.reason,
        ..Default::default()
    };
    let (call, id) = visitor.call_with_id(request.clone());
    let now = match console.api.rollback_slot(call).await {
        Ok(response) => response.into_inner().slot.map_or(0, |slot| slot.revision),
        Err(status) if needs_approval(&status) => {
            return drafted(&console, &visitor, draft_change::Change::Rollback(request)).await;
        }
        Err(status) => return Err(status.into()),
    };
    // Another editor may have changed the slot meanwhile, so the number alone does not say whose revision it is.
    let view = console.api.slot_of(&visitor.call(()), &slot)?;
    let made = view.revisions.iter().find(|revision| revision.number == now);
    if made.is_some_and(|revision| revision.why.actor.request_id != id) {
        return Ok(nothing_undone(&visitor, &slot));
    }
    Ok(redirect(&slot_path(&slot, "history")))
}

/// Makes a draft of a change for which the slot demands a second person, and goes on to its page.
async fn drafted(console: &SharedConsole, visitor: &Visitor, change: draft_change::Change) -> PageResult {
    match console.draft(visitor, change).await? {
        ChangeOutcome::Applied => Ok(redirect("/drafts")),
        ChangeOutcome::Drafted(path) => Ok(redirect(&path)),
    }
}

/// Says that going back changed nothing.
fn nothing_undone(visitor: &Visitor, slot: &str) -> axum::response::Response {
    let content = maud::html! {
        p.problem role="alert" {
            "Nothing was undone: the revision differs only in what operations own, which going back never touches. Those are the safe choice, the mode, stopped learning, and whether an arm may be shown."
        }
        p { "Set these where they were set: the page Now has the safe choice and the arms, the page Change has the mode." }
    };
    ConsolePage::new("Nothing was undone").visitor(visitor).slot(slot, "history").show(&content)
}

/// Checks that the slot's id was typed.
fn confirmed(slot: &str, form: &ConfirmedForm) -> Result<(), tonic::Status> {
    if form.confirm.trim() == slot { Ok(()) } else { Err(crate::wire::not_confirmed(slot)) }
}

/// Forgets what a slot learned.
pub(super) async fn reset(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Path(slot): Path<String>,
    Form(form): Form<ConfirmedForm>,
) -> PageResult {
    visitor.check(Role::Admin)?;
    confirmed(&slot, &form)?;
    let request = ResetSlotRequest { slot_id: slot.clone(), reason: form.reason, ..Default::default() };
    match console.api.reset_slot(visitor.call(request.clone())).await {
        Ok(_) => Ok(redirect(&slot_path(&slot, ""))),
        Err(status) if needs_approval(&status) => {
            drafted(&console, &visitor, draft_change::Change::Reset(request)).await
        }
        Err(status) => Err(status.into()),
    }
}

/// Deletes a slot.
pub(super) async fn delete(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Path(slot): Path<String>,
    Form(form): Form<ConfirmedForm>,
) -> PageResult {
    visitor.check(Role::Admin)?;
    confirmed(&slot, &form)?;
    let request = DeleteSlotRequest { slot_id: slot, reason: form.reason, ..Default::default() };
    match console.api.delete_slot(visitor.call(request.clone())).await {
        Ok(_) => Ok(redirect("/")),
        Err(status) if needs_approval(&status) => {
            drafted(&console, &visitor, draft_change::Change::Delete(request)).await
        }
        Err(status) => Err(status.into()),
    }
}
