//! Page of one draft: what it would change, what that would have done, and the steps that it can take.

use axum::{
    Form,
    extract::{Path, Query, State},
};
use maud::{Markup, html};
use serde::Deserialize;
use tonic::Code;

use super::{changes_text, draft_path, state_badge, step_text};
use crate::{
    access::Role,
    engine::AmountFormat,
    server::console::{
        SharedConsole,
        arm_draft::moment,
        change::{changed_fields, preview},
        fields::{form_path, may_tune, reason, redirect, time_of},
        layout::{ConsolePage, slot_path},
        visitor::{PageResult, Visitor},
    },
    wire::proto::{
        ApplyDraftRequest, ApproveDraftRequest, DiscardDraftRequest, Draft, DraftChange, DraftState, GetDraftRequest,
        GetDraftResponse, PreviewDraftRequest, draft_change::Change, draft_service_server::DraftService as _,
    },
};

/// Page that is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::server::console) struct DraftQuery {
    /// Run the draft over past decisions.
    preview: String,
}

/// Step that a draft takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum DraftAction {
    Approve,
    Apply,
    Schedule,
    Withdraw,
}

/// Form of a step.
#[derive(Debug, Deserialize)]
pub(in crate::server::console) struct DraftStepForm {
    action: DraftAction,
    #[serde(default)]
    reason: String,
    /// Moment, UTC, as browsers write it.
    #[serde(default)]
    at: String,
}

/// Meaning of a draft's state, in a sentence.
fn state_sentence(draft: &Draft) -> Markup {
    html! {
        @match draft.state() {
            DraftState::Unspecified => {}
            DraftState::Open => { "It waits for somebody else to approve it." }
            DraftState::Approved => { "It is approved, and waits to be applied." }
            DraftState::Scheduled => { "It is approved, and will be applied at " (time_of(draft.apply_time)) "." }
            DraftState::Stale => {
                "The slot changed since, with "
                a href=(format!("{}#revision-{}", slot_path(&draft.slot_id, "history"), draft.stale_since_revision)) { "revision " (draft.stale_since_revision) }
                ". So it cannot be applied: the result would not be what somebody approved. Make it again from the slot as it is now."
            }
            DraftState::Expired => { "Its time is over. Make it again if it is still wanted." }
            DraftState::Applied => {
                "It was applied, and became "
                a href=(format!("{}#revision-{}", slot_path(&draft.slot_id, "history"), draft.applied_revision)) { "revision " (draft.applied_revision) }
                "."
            }
            DraftState::Discarded => { "It was withdrawn." }
        }
    }
}

fn facts(draft: &Draft, change: Option<&DraftChange>) -> Markup {
    let arm = match change.and_then(|of| of.change.as_ref()) {
        Some(Change::ResetArm(of)) => Some(&of.arm_id),
        Some(
            Change::Update(_)
            | Change::UpsertArms(_)
            | Change::RemoveArms(_)
            | Change::Rollback(_)
            | Change::Reset(_)
            | Change::Rename(_)
            | Change::Delete(_),
        )
        | None => None,
    };
    let steps = [
        ("made by", &draft.created),
        ("approved by", &draft.approved),
        ("scheduled by", &draft.scheduled),
        (if draft.state() == DraftState::Applied { "applied by" } else { "ended by" }, &draft.closed),
    ];
    html! {
        dl.facts {
            div { dt { "changes" } dd { (changes_text(draft)) } }
            @if let Some(arm) = arm { div { dt { "arm" } dd { (arm) } } }
            @for (name, step) in steps {
                @if let Some(step) = step {
                    div { dt { (name) } dd { (step_text(step)) @if !step.reason.is_empty() { ": “" (step.reason) "”" } } }
                }
            }
            div { dt { "expires" } dd { (time_of(draft.expire_time)) } }
        }
    }
}

fn step_form(path: &str, action: &'static str, title: &'static str, fields: &Markup, button: &Markup) -> Markup {
    html! {
        form.card method="post" action=(path) {
            h2 { (title) }
            input type="hidden" name="action" value=(action);
            (fields)
            (button)
        }
    }
}

/// Forms of the steps that the visitor may take now.
fn steps(draft: &Draft, visitor: &Visitor) -> Markup {
    let path = draft_path(&draft.slot_id, draft.draft_id);
    let creator = draft.created.as_ref().and_then(|step| step.actor.as_ref()).map(|actor| actor.principal.as_str());
    let is_own = visitor.name().is_some() && visitor.name() == creator;
    let (open, approved) = match draft.state() {
        DraftState::Open => (true, false),
        DraftState::Approved | DraftState::Scheduled => (false, true),
        DraftState::Unspecified
        | DraftState::Stale
        | DraftState::Expired
        | DraftState::Applied
        | DraftState::Discarded => (false, false),
    };
    let button = |text: &str| html! { button type="submit" { (text) } };
    let schedule =
        if draft.state() == DraftState::Scheduled { "Apply it at another time" } else { "Apply it at a time" };
    let at = html! {
        label for="at" { "Time (UTC)" }
        input #at type="datetime-local" step="1" name="at" required;
    };
    html! {
        div.columns {
            @if open && visitor.may(Role::Approve) {
                @if is_own { p.hint { "You made this draft, so somebody else approves it." } }
                @else { (step_form(&path, "approve", "Approve it", &reason("approve-reason"), &button("Approve"))) }
            }
            @if approved && may_tune(visitor) {
                (step_form(&path, "apply", "Apply it", &html! { p.hint { "It takes effect with the next decision." } }, &button("Apply now")))
                (step_form(&path, "schedule", schedule, &at, &button("Schedule")))
            }
            @if (open || approved) && may_tune(visitor) {
                (step_form(&path, "withdraw", "Withdraw it", &reason("withdraw-reason"), &html! { button.quiet.danger type="submit" { "Withdraw" } }))
            }
        }
    }
}

/// Returns `true` if a change can be run over past decisions.
fn has_preview(change: Option<&DraftChange>) -> bool {
    match change.and_then(|of| of.change.as_ref()) {
        Some(Change::Update(_) | Change::UpsertArms(_) | Change::RemoveArms(_) | Change::Rollback(_)) => true,
        Some(Change::Reset(_) | Change::Delete(_) | Change::ResetArm(_) | Change::Rename(_)) | None => false,
    }
}

fn effect(found: &GetDraftResponse, preview_path: Option<&str>) -> Markup {
    html! {
        @if !found.diff.is_empty() {
            section.card { h2 { "Fields that it changes" } (changed_fields(&found.diff)) }
            @if found.diff_left_out > 0 { p.hint { (found.diff_left_out) " more fields are left out." } }
        }
        @if let Some(path) = preview_path { p { a href=(path) { "What it would have done in past decisions" } } }
    }
}

async fn show(
    console: &SharedConsole,
    visitor: &Visitor,
    (slot, number): (&str, u32),
    previewed: bool,
    wrong: Option<&str>,
) -> PageResult {
    let request = GetDraftRequest { slot_id: slot.to_owned(), draft_id: number };
    let found = console.api.get_draft(visitor.call(request)).await?.into_inner();
    let view = console.api.slot_of(&visitor.call(()), slot)?;
    let draft = found.draft.clone().unwrap_or_default();
    let mut wrong = wrong.map(str::to_owned);
    let can_preview = has_preview(found.change.as_ref()) && found.problem.is_empty();
    let mut ran = None;
    if previewed && can_preview {
        let request = PreviewDraftRequest { slot_id: slot.to_owned(), draft_id: number, decisions: 0 };
        match console.api.preview_draft(visitor.call(request)).await {
            Ok(response) => ran = response.into_inner().preview,
            Err(status) => wrong = Some(status.message().to_owned()),
        }
    }
    let preview_path = form_path(&draft_path(slot, number), &[("preview", "1")]);
    let preview_path = (can_preview && ran.is_none() && !previewed).then_some(preview_path.as_str());
    let content = html! {
        @if let Some(wrong) = &wrong { p.problem role="alert" { (wrong) } }
        (state_badge(draft.state()))
        p.sentence { (state_sentence(&draft)) }
        @if !found.problem.is_empty() { p.problem { "It cannot be applied now: " (found.problem) } }
        (facts(&draft, found.change.as_ref()))
        (steps(&draft, visitor))
        div.apart #effect data-more=[preview_path] {
            @match &ran {
                Some(ran) => { (preview(ran, &AmountFormat::of_slot(&view))) }
                None => { (effect(&found, preview_path)) }
            }
        }
        p.apart { a href=(slot_path(slot, "drafts")) { "All drafts of the slot" } }
    };
    let title = format!("{slot}: draft {number}");
    Ok(ConsolePage::new(&title)
        .visitor(visitor)
        .slot(slot, "drafts")
        .same_by(format!("slotwise drafts show {slot} {number}"))
        .same_by("POST /v1/GetDraft, /v1/PreviewDraft, /v1/ApproveDraft, /v1/ApplyDraft, /v1/DiscardDraft")
        .show(&content))
}

/// Page of a draft.
pub(in crate::server::console) async fn page(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Path((slot, number)): Path<(String, u32)>,
    Query(DraftQuery { preview }): Query<DraftQuery>,
) -> PageResult {
    visitor.check(Role::View)?;
    show(&console, &visitor, (&slot, number), !preview.is_empty(), None).await
}

/// Takes a step of a draft.
pub(in crate::server::console) async fn step(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Path((slot, number)): Path<(String, u32)>,
    Form(DraftStepForm { action, reason, at }): Form<DraftStepForm>,
) -> PageResult {
    visitor.check(if action == DraftAction::Approve { Role::Approve } else { Role::Tune })?;
    let (slot_id, draft_id) = (slot.clone(), number);
    let apply = async |apply_time| {
        let request = ApplyDraftRequest { slot_id: slot_id.clone(), draft_id, apply_time, author: String::new() };
        console.api.apply_draft(visitor.call(request)).await.map(|_| ())
    };
    let done = match action {
        DraftAction::Approve => {
            let request = ApproveDraftRequest { slot_id: slot_id.clone(), draft_id, reason, author: String::new() };
            console.api.approve_draft(visitor.call(request)).await.map(|_| ())
        }
        DraftAction::Withdraw => {
            let request = DiscardDraftRequest { slot_id: slot_id.clone(), draft_id, reason, author: String::new() };
            console.api.discard_draft(visitor.call(request)).await.map(|_| ())
        }
        DraftAction::Apply => apply(None).await,
        DraftAction::Schedule => match moment("Time", &at) {
            Ok(Some(time)) => apply(Some(time)).await,
            Ok(None) => return show(&console, &visitor, (&slot, number), false, Some("Time: is missing")).await,
            Err(why) => return show(&console, &visitor, (&slot, number), false, Some(&why)).await,
        },
    };
    match done {
        // The slot was deleted, or has another id.
        Ok(()) if console.api.slot_of(&visitor.call(()), &slot).is_err() => Ok(redirect("/")),
        Ok(()) => Ok(redirect(&draft_path(&slot, number))),
        Err(status) if status.code() == Code::NotFound => Err(status.into()),
        Err(status) => show(&console, &visitor, (&slot, number), false, Some(status.message())).await,
    }
}
