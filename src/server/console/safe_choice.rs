//! Page "Safe choice": the baseline for everybody in all slots at once, and the way back.
//!
//! Invariants:
//!
//! * Each slot is changed by the API's own call, so a key changes the slots that it reaches and no others.
//! * The way back switches off what was switched on together and nothing else. The slots of one switch are those whose revision
//!   has the id of its request.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Form, extract::State};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    Console, SharedConsole,
    fields::{counted, may_tune, reason, signature, time},
    layout::{ConsolePage, slot_path},
    visitor::{PageError, PageResult, Visitor},
};
use crate::{
    access::Role,
    engine::SlotView,
    slot::Revision,
    wire::proto::{Actor, SetSafeChoiceRequest, slot_service_server::SlotService as _},
};

/// Text that is typed to confirm.
const CONFIRMATION: &str = "all slots";
/// Number of slots that are listed.
const LISTED: usize = 200;

/// Form that switches the safe choice of many slots.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SafeChoiceOfAllForm {
    /// Id of the request whose switch is taken back, or empty to switch on.
    undo: String,
    confirm: String,
    reason: String,
}

/// Outcome for one slot.
struct SwitchedSlot {
    slot: String,
    /// Reason why it was refused, or `None` if it was done.
    refused: Option<String>,
}

/// Slots in which the safe choice was switched on by one request.
struct SafeChoiceSwitch {
    revision: Revision,
    slots: Vec<String>,
}

/// Returns the revision that switched the safe choice of a slot on, or `None` if it is off or not kept.
fn switching_revision(view: &SlotView) -> Option<&Revision> {
    let on = view.revisions.iter().rev().take_while(|revision| revision.definition.controls.safe_choice());
    on.last()
}

/// Returns the switches that are in effect, the latest first.
fn switches(views: &[Arc<SlotView>]) -> Vec<SafeChoiceSwitch> {
    let mut by_request: BTreeMap<String, SafeChoiceSwitch> = BTreeMap::new();
    for view in views {
        let Some(revision) = switching_revision(view) else { continue };
        let request = revision.why.actor.request_id.clone();
        let begun = || SafeChoiceSwitch { revision: revision.clone(), slots: Vec::new() };
        by_request.entry(request).or_insert_with(begun).slots.push(view.definition.id.to_string());
    }
    let mut switches: Vec<_> = by_request.into_values().collect();
    switches.sort_by_key(|of| std::cmp::Reverse(of.revision.at_us));
    switches
}

fn confirmation_form(text: &str) -> Markup {
    html! {
        form.card method="post" action="/safe-choice" {
            p.hint { "Shows everybody the baseline at once, in every slot that your key reaches. Nothing that was learned is lost, and it needs nobody's approval." }
            label for="safe-confirm" { "Type ‘" (CONFIRMATION) "’ to confirm" }
            input #safe-confirm type="text" name="confirm" required autocomplete="off";
            label for="safe-all-reason" { "Why" }
            input #safe-all-reason type="text" name="reason" required maxlength="1000" placeholder="for the history" value=(text);
            button.danger type="submit" { "Switch it on in all slots" }
        }
    }
}

/// Part of the page "Slots": in how many slots the safe choice is on, and the form that switches it on in all.
pub(super) fn safe_choice_of_all(visitor: &Visitor, all: usize, on: usize) -> Markup {
    html! {
        @if on > 0 {
            p.problem role="status" {
                "The safe choice is on in " (counted(on as u64, "slot")) ". "
                a href="/safe-choice" { "Where, since when and why" }
            }
        }
        @if may_tune(visitor) && on < all {
            details.emergency { summary { "Safe choice for all slots" } (confirmation_form("")) }
        }
    }
}

fn signed(revision: &Revision) -> String {
    let why = &revision.why;
    let actor = Actor { principal: why.actor.principal.clone(), ..Actor::default() };
    signature(Some(&actor), &why.author)
}

fn slot_links(slots: &[String]) -> Markup {
    html! {
        p {
            @for (i, slot) in slots.iter().take(LISTED).enumerate() { @if i > 0 { ", " } a href=(slot_path(slot, "")) { (slot) } }
            @if slots.len() > LISTED { " and " (slots.len() - LISTED) " more" }
        }
    }
}

fn switch_card(place: usize, SafeChoiceSwitch { revision, slots }: &SafeChoiceSwitch, may_undo: bool) -> Markup {
    let request = &revision.why.actor.request_id;
    html! {
        section.card {
            h2 { "On in " (counted(slots.len() as u64, "slot")) }
            p { "Since " (time(revision.at_us)) ", by " (signed(revision)) "." }
            @if !revision.why.reason.is_empty() { p.hint { "“" (revision.why.reason) "”" } }
            (slot_links(slots))
            @if may_undo && !request.is_empty() {
                form method="post" action="/safe-choice" {
                    input type="hidden" name="undo" value=(request);
                    div.pair { (reason(&format!("undo-{place}"))) }
                    p.buttons { button type="submit" { "Switch it off in " (counted(slots.len() as u64, "slot")) } }
                }
            }
        }
    }
}

fn outcome(outcome: &[SwitchedSlot], on: bool) -> Markup {
    let refused = outcome.iter().filter(|of| of.refused.is_some()).count();
    let done = (outcome.len() - refused) as u64;
    let word = if on { "on" } else { "off" };
    html! {
        section role="status" {
            @if outcome.is_empty() { p.problem { "No slot was changed: the safe choice is " (word) " everywhere already." } }
            @if done > 0 { p.done { "Switched " (word) " in " (counted(done, "slot")) "." } }
            @if refused > 0 { p.problem { "Refused in " (counted(refused as u64, "slot")) "." } }
            @if !outcome.is_empty() {
                div.scroll tabindex="0" { table {
                    caption { "Outcome for each slot" }
                    thead { tr { th scope="col" { "slot" } th.text scope="col" { "outcome" } } }
                    tbody { @for SwitchedSlot { slot, refused } in outcome.iter().take(LISTED) { tr {
                        th.text scope="row" { a href=(slot_path(slot, "")) { (slot) } }
                        td.text { @match refused { None => { "switched " (word) } Some(why) => { "refused: " (why) } } }
                    } } }
                } }
                @if outcome.len() > LISTED { p.hint { "The first " (LISTED) " of " (outcome.len()) " slots." } }
            }
        }
    }
}

/// Part of the page beside the switches that are in effect.
#[derive(Default)]
struct SafeChoiceNotice {
    outcome: Option<Markup>,
    wrong: Option<String>,
    reason: String,
}

fn show(console: &Console, visitor: &Visitor, notice: &SafeChoiceNotice) -> PageResult {
    let views = console.api.slots_of(&visitor.call(()))?;
    let switches = switches(&views);
    let on = views.iter().filter(|view| view.definition.controls.safe_choice()).count();
    let content = html! {
        @if let Some(wrong) = &notice.wrong { p.problem role="alert" { (wrong) } }
        @if let Some(outcome) = &notice.outcome { (outcome) }
        @if switches.is_empty() { p.sentence { "The safe choice is on in no slot." } }
        div.columns {
            @for (place, of) in switches.iter().enumerate() { (switch_card(place, of, may_tune(visitor))) }
            @if may_tune(visitor) && on < views.len() { (confirmation_form(&notice.reason)) }
        }
    };
    Ok(ConsolePage::new("Safe choice")
        .visitor(visitor)
        .same_by("slotwise slots safe --all on, slotwise slots safe SLOT off")
        .same_by("POST /v1/SetSafeChoice")
        .show(&content))
}

/// Page "Safe choice".
pub(super) async fn page(State(console): State<SharedConsole>, visitor: Visitor) -> PageResult {
    visitor.check(Role::View)?;
    show(&console, &visitor, &SafeChoiceNotice::default())
}

impl Console {
    /// Switches the safe choice of each of these slots. A slot that refuses does not keep the others from being switched.
    async fn switch_each(
        &self,
        visitor: &Visitor,
        slots: Vec<String>,
        on: bool,
        (reason, id): (&str, &str),
    ) -> Vec<SwitchedSlot> {
        let mut outcome = Vec::with_capacity(slots.len());
        for slot in slots {
            let request =
                SetSafeChoiceRequest { slot_id: slot.clone(), on, reason: reason.to_owned(), ..Default::default() };
            let switched = self.api.set_safe_choice(visitor.call_of_request(request, id)).await;
            let refused = switched.err().map(|status| status.message().to_owned());
            outcome.push(SwitchedSlot { slot, refused });
        }
        outcome
    }

    /// Switches the safe choice on in all slots that the visitor reaches: together if the key reaches all of them.
    async fn switch_all_on(&self, visitor: &Visitor, reason: &str) -> Result<Vec<SwitchedSlot>, PageError> {
        let off = |view: &&Arc<SlotView>| !view.definition.controls.safe_choice();
        let views = self.api.slots_of(&visitor.call(()))?;
        let slots: Vec<String> = views.iter().filter(off).map(|view| view.definition.id.to_string()).collect();
        let request = SetSafeChoiceRequest { on: true, reason: reason.to_owned(), ..Default::default() };
        let (call, id) = visitor.call_with_id(request);
        if !visitor.reaches_all() {
            return Ok(self.switch_each(visitor, slots, true, (reason, &id)).await);
        }
        self.api.set_safe_choice(call).await?;
        // Slots may have come or been switched meanwhile: those of this request say so.
        let views = self.api.slots_of(&visitor.call(()))?;
        let of_request = |view: &&Arc<SlotView>| {
            switching_revision(view).is_some_and(|revision| revision.why.actor.request_id == id)
        };
        let switched = views.iter().filter(of_request);
        Ok(switched.map(|view| SwitchedSlot { slot: view.definition.id.to_string(), refused: None }).collect())
    }
}

/// Switches the safe choice on in all slots, or takes such a switch back.
pub(super) async fn switch(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Form(SafeChoiceOfAllForm { undo, confirm, reason }): Form<SafeChoiceOfAllForm>,
) -> PageResult {
    visitor.check(Role::Tune)?;
    if !undo.is_empty() {
        let views = console.api.slots_of(&visitor.call(()))?;
        let found = switches(&views).into_iter().find(|of| of.revision.why.actor.request_id == undo);
        let slots = found.map(|of| of.slots).unwrap_or_default();
        let (_, id) = visitor.call_with_id(());
        let switched = console.switch_each(&visitor, slots, false, (&reason, &id)).await;
        let notice = SafeChoiceNotice { outcome: Some(outcome(&switched, false)), ..SafeChoiceNotice::default() };
        return show(&console, &visitor, &notice);
    }
    if confirm.trim().trim_matches(['‘', '’', '\'', '"']) != CONFIRMATION {
        let wrong = Some(format!("Nothing was changed: type ‘{CONFIRMATION}’ to confirm."));
        return show(&console, &visitor, &SafeChoiceNotice { wrong, reason, ..SafeChoiceNotice::default() });
    }
    let switched = console.switch_all_on(&visitor, &reason).await?;
    let notice = SafeChoiceNotice { outcome: Some(outcome(&switched, true)), ..SafeChoiceNotice::default() };
    show(&console, &visitor, &notice)
}
