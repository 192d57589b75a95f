//! Pages "Drafts": changes that wait for a second person, and what other pages need to make one.
//!
//! * `one`: a draft with its effect, and the steps that it can take.
//!
//! Invariant: a page that applies a change makes a draft of it where the slot demands a second person, and says so before.

mod one;

use axum::extract::{Path, Query, State};
use maud::{Markup, html};
use serde::Deserialize;
use tonic::Status;
use tonic_types::StatusExt as _;

pub(super) use self::one::{page as draft_page, step};
use super::{
    Console, SharedConsole,
    fields::{signature, time_of},
    layout::{ConsolePage, slot_path},
    visitor::{PageResult, Visitor},
};
use crate::{
    access::Role,
    engine::SlotView,
    wire::proto::{
        CreateDraftRequest, Draft, DraftChange, DraftState, DraftStep, ListDraftsRequest, UpdateSlotRequest,
        draft_change::Change, draft_service_server::DraftService as _, slot_service_server::SlotService as _,
    },
};

/// Number of drafts of a page.
const DRAFTS: u32 = 200;

/// Drafts that the page shows.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct DraftsQuery {
    /// Show drafts that ended, too.
    ended: String,
}

/// Outcome of a change that a page asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ChangeOutcome {
    /// The change was made.
    Applied,
    /// A draft was made of the change. Its page has this path.
    Drafted(String),
}

/// Returns `true` if a call was refused because a second person must approve its change.
pub(super) fn needs_approval(status: &Status) -> bool {
    status.get_error_details().error_info().is_some_and(|info| info.reason == "APPROVAL_REQUIRED")
}

/// Returns `true` if a slot demands a second person for one of these changes, by the paths of their fields.
pub(super) fn demands_approval(view: &SlotView, changes: &[&str]) -> bool {
    view.definition.controls.approval.as_ref().is_some_and(|approval| !approval.demanded(changes).is_empty())
}

/// Path of a draft's page.
fn draft_path(slot: &str, number: u32) -> String {
    format!("{}/{number}", slot_path(slot, "drafts"))
}

/// Button that applies a change, or sends it for approval, and what it means.
pub(super) fn apply_button(demanded: bool) -> Markup {
    html! {
        @if demanded {
            button type="submit" { "Send for approval" }
            p.hint { "The slot demands that a second person approves this. It becomes a draft, and nothing changes before somebody applies it." }
        } @else {
            button type="submit" { "Apply" }
            p.hint { "It takes effect with the next decision, and forgets nothing. History takes it back." }
        }
    }
}

impl Console {
    /// Makes a draft of a change, and returns the path of its page.
    pub(super) async fn draft(&self, visitor: &Visitor, change: Change) -> Result<ChangeOutcome, Status> {
        let request = CreateDraftRequest { change: Some(DraftChange { change: Some(change) }), expire_time: None };
        let made = self.api.create_draft(visitor.call(request)).await?.into_inner().draft.unwrap_or_default();
        Ok(ChangeOutcome::Drafted(draft_path(&made.slot_id, made.draft_id)))
    }

    /// Updates a slot, or makes a draft of the update where the slot demands a second person.
    pub(super) async fn update_or_draft(
        &self,
        visitor: &Visitor,
        request: UpdateSlotRequest,
    ) -> Result<ChangeOutcome, Status> {
        match self.api.update_slot(visitor.call(request.clone())).await {
            Ok(_) => Ok(ChangeOutcome::Applied),
            Err(status) if needs_approval(&status) => self.draft(visitor, Change::Update(request)).await,
            Err(status) => Err(status),
        }
    }
}

/// Badge of a draft's state: a word with a sign.
fn state_badge(state: DraftState) -> Markup {
    let (class, word) = match state {
        DraftState::Unspecified => ("skipped", "unknown"),
        DraftState::Open => ("unsure", "waits for approval"),
        DraftState::Approved => ("pass", "approved"),
        DraftState::Scheduled => ("pass", "scheduled"),
        DraftState::Stale => ("fail", "stale"),
        DraftState::Expired => ("skipped", "expired"),
        DraftState::Applied => ("pass", "applied"),
        DraftState::Discarded => ("skipped", "withdrawn"),
    };
    html! { span class=(class) { span.badge { (word) } } }
}

/// Person and time of a step.
fn step_text(step: &DraftStep) -> String {
    format!("{}, {}", signature(step.actor.as_ref(), &step.author), time_of(step.time))
}

/// Name of a change for people: the last part of a field's path, in words.
fn change_words(change: &str) -> String {
    match change {
        "reset" => "forgets what was learned".to_owned(),
        "rename" => "another id".to_owned(),
        "delete" => "deletion".to_owned(),
        field => field.strip_prefix("controls.").unwrap_or(field).replace('_', " "),
    }
}

/// Names of a draft's changes for people.
fn changes_text(draft: &Draft) -> String {
    draft.changes.iter().map(|change| change_words(change)).collect::<Vec<_>>().join(", ")
}

fn card(draft: &Draft) -> Markup {
    let created = draft.created.clone().unwrap_or_default();
    html! { li.card {
        h2 { a href=(draft_path(&draft.slot_id, draft.draft_id)) { (draft.slot_id) ", draft " (draft.draft_id) } }
        p { (state_badge(draft.state())) @if draft.apply_time.is_some() { " for " (time_of(draft.apply_time)) } }
        @if !created.reason.is_empty() { p { (created.reason) } }
        dl.facts {
            div { dt { "changes" } dd { (changes_text(draft)) } }
            div { dt { "made by" } dd { (step_text(&created)) } }
            @if let Some(approved) = &draft.approved { div { dt { "approved by" } dd { (step_text(approved)) } } }
            @if draft.closed.is_none() { div { dt { "expires" } dd { (time_of(draft.expire_time)) } } }
        }
    } }
}

fn list(drafts: &[Draft], ended: bool, path: &str) -> Markup {
    html! {
        p {
            @for (shown, query, name) in [(!ended, "", "Waiting"), (ended, "?ended=on", "All that are kept")] {
                a href=(format!("{path}{query}")) aria-current=[shown.then_some("true")] { (name) } " "
            }
        }
        @if drafts.is_empty() {
            p.sentence { @if ended { "There is no draft." } @else { "No draft waits." } }
            p {
                "A slot can demand that a second person approves chosen changes. Such a change becomes a draft, which somebody else approves, and which is then applied at once or at a time. "
                a href="/help/approvals" { "More about approvals" }
            }
        } @else {
            ul.cards { @for draft in drafts { (card(draft)) } }
        }
    }
}

async fn drafts(console: &Console, visitor: &Visitor, slot: &str, ended: bool, path: &str) -> Result<Markup, Status> {
    let request =
        ListDraftsRequest { slot_id: slot.to_owned(), waiting_only: !ended, page_size: DRAFTS, ..Default::default() };
    let found = console.api.list_drafts(visitor.call(request)).await?.into_inner();
    Ok(html! {
        (list(&found.drafts, ended, path))
        @if !found.next_page_token.is_empty() { p.hint { "The first " (DRAFTS) ". All of them: " code { "slotwise drafts list" } } }
        @if visitor.name().is_none() { p.hint { "Drafts need keys, because without them nobody is known to be a second person. " a href="/keys" { "Create the first key" } "." } }
    })
}

/// Page with the drafts of all slots.
pub(super) async fn page_of_all(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Query(query): Query<DraftsQuery>,
) -> PageResult {
    visitor.check(Role::View)?;
    let content = drafts(&console, &visitor, "", !query.ended.is_empty(), "/drafts").await?;
    let page = ConsolePage::new("Drafts").visitor(&visitor);
    Ok(page.same_by("slotwise drafts list").same_by("POST /v1/ListDrafts").show(&content))
}

/// Page with the drafts of a slot.
pub(super) async fn page(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Path(slot): Path<String>,
    Query(query): Query<DraftsQuery>,
) -> PageResult {
    visitor.check(Role::View)?;
    let path = slot_path(&slot, "drafts");
    let content = drafts(&console, &visitor, &slot, !query.ended.is_empty(), &path).await?;
    let title = format!("{slot}: drafts");
    Ok(ConsolePage::new(&title)
        .visitor(&visitor)
        .slot(&slot, "drafts")
        .same_by(format!("slotwise drafts list {slot}"))
        .same_by("POST /v1/ListDrafts")
        .show(&content))
}
