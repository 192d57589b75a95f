//! Page "History" of a slot: who changed what, when and why, and the way back.

use axum::extract::{Path, State};
use maud::{Markup, html};

use super::{
    SharedConsole,
    fields::{may_tune, reason, signature, time},
    layout::{ConsolePage, slot_path},
    visitor::{PageResult, Visitor},
};
use crate::{
    access::Role,
    wire::proto::{self, ListRevisionsRequest, slot_service_server::SlotService as _},
};

/// Number of revisions of the page.
const REVISIONS: u32 = 50;

fn author(revision: &proto::Revision) -> String {
    signature(revision.actor.as_ref(), &revision.author)
}

fn entry(revision: &proto::Revision, slot: &str, current: u64, may_undo: bool) -> Markup {
    let number = revision.revision;
    let at_us = revision.time.map_or(0, |time| time.seconds * 1_000_000);
    html! {
        li.card id=(format!("revision-{number}")) {
            h2 { "Revision " (number) ": " (revision.change) }
            p { (time(at_us)) ", " (author(revision)) }
            @if !revision.reason.is_empty() { p.hint { "“" (revision.reason) "”" } }
            @if !revision.diff.is_empty() {
                div.scroll tabindex="0" {
                    table {
                        caption { "Fields that changed with revision " (number) }
                        thead { tr { th scope="col" { "field" } th.text scope="col" { "before" } th.text scope="col" { "after" } } }
                        tbody { @for change in &revision.diff {
                            tr { th.text scope="row" { (change.path) } td.text { (change.before) } td.text { (change.after) } }
                        } }
                    }
                }
            }
            @if may_undo && number != current {
                details {
                    summary { "Go back to this revision" }
                    form.inline method="post" action=(slot_path(slot, "rollback")) {
                        input type="hidden" name="revision" value=(number);
                        (reason(&format!("reason-{number}")))
                        button.quiet type="submit" { "Go back" }
                    }
                    p.hint { "What was learned stays, and so does what operations set." }
                }
            }
        }
    }
}

/// Page "History".
pub(super) async fn page(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Path(slot): Path<String>,
) -> PageResult {
    visitor.check(Role::View)?;
    let request = ListRevisionsRequest { slot_id: slot.clone(), page_size: REVISIONS, ..Default::default() };
    let response = console.api.list_revisions(visitor.call(request)).await?.into_inner();
    let current = response.revisions.first().map_or(0, |newest| newest.revision);
    let previous = response.revisions.get(1).map(|before| before.revision);
    let may_undo = may_tune(&visitor);
    let content = html! {
        @if let (true, Some(previous)) = (may_undo, previous) {
            form.card method="post" action=(slot_path(&slot, "rollback")) {
                h2 { "Undo the last change" }
                input type="hidden" name="revision" value=(previous);
                (reason("undo-reason"))
                button type="submit" { "Undo" }
            }
        }
        ul.cards { @for revision in &response.revisions { (entry(revision, &slot, current, may_undo)) } }
        @if !response.next_page_token.is_empty() { p.hint { "Older revisions: " code { "slotwise slots history " (slot) } } }
        @if visitor.may(Role::Admin) { (dangers(&slot)) }
    };
    let title = format!("{slot}: history");
    let same = format!("slotwise slots history {slot}");
    Ok(ConsolePage::new(&title)
        .visitor(&visitor)
        .slot(&slot, "history")
        .same_by(same)
        .same_by("POST /v1/ListRevisions")
        .show(&content))
}

/// Forms that lose something, each of which asks for the slot's id.
fn dangers(slot: &str) -> Markup {
    let form = |action: &'static str, text: &'static str, button: &'static str| {
        let (confirm, why) = (format!("{action}-confirm"), format!("{action}-reason"));
        html! {
            form.card method="post" action=(slot_path(slot, action)) {
                p { (text) }
                label for=(confirm) { "Type the slot's id to confirm" }
                input id=(confirm) type="text" name="confirm" required autocomplete="off";
                (reason(&why))
                button.danger type="submit" { (button) }
            }
        }
    };
    html! {
        section.danger-zone {
            h2 { "What cannot be undone" }
            div.columns {
                (form("reset", "Forgets everything that the slot learned. Its definition and its history stay.", "Forget what was learned"))
                (form("delete", "Deletes the slot with everything that it learned.", "Delete the slot"))
            }
        }
    }
}
