//! Page of one arm: its attributes, payload, availability and schedule, and the forms that change or remove it.
//!
//! Invariant: a change is made from the revision that the page showed, so that two editors never overwrite each other silently.

use axum::{
    Form,
    extract::{Path, Query, State},
    http::StatusCode,
};
use maud::{Markup, html};
use prost_types::{FieldMask, Timestamp};
use serde::Deserialize;
use tonic::Code;

use super::{
    SharedConsole,
    arm_draft::{ArmForm, arm_of, in_words_of_the_form},
    change::preview,
    decision::context_list,
    drafts::{ChangeOutcome, apply_button, demands_approval},
    fields::{form_path, may_tune, reason, redirect, time_of},
    layout::{ConsolePage, slot_path},
    visitor::{PageError, PageResult, Visitor},
};
use crate::{
    access::Role,
    engine::{AmountFormat, SlotView},
    wire::proto::{
        self, PreviewSlotChangeRequest, PreviewSlotChangeResponse, UpdateSlotRequest,
        slot_service_server::SlotService as _,
    },
};

/// Arm that is asked for.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ArmQuery {
    /// Id of the arm, or empty for a new one.
    #[serde(default)]
    id: String,
}

/// Form that removes an arm.
#[derive(Debug, Deserialize)]
pub(super) struct RemoveArmForm {
    revision: u64,
    arm: String,
    #[serde(default)]
    reason: String,
}

/// Returns the arms of a slot by their ids alone, in order, which an update leaves as they are.
fn bare_arms(view: &SlotView) -> Vec<proto::Arm> {
    let bare = |id: &crate::slot::ArmId| proto::Arm { arm_id: id.to_string(), ..proto::Arm::default() };
    view.definition.arms.iter().map(|arm| bare(&arm.id)).collect()
}

/// Slot with these arms, and the mask that changes nothing else.
fn with_arms(view: &SlotView, revision: u64, arms: Vec<proto::Arm>) -> (proto::Slot, FieldMask) {
    let slot_id = view.definition.id.to_string();
    let slot = proto::Slot { slot_id, revision, arms, ..proto::Slot::default() };
    (slot, FieldMask { paths: vec!["arms.arm_id".to_owned()] })
}

/// Returns the slot's arms with a changed or a new one.
fn with_arm(view: &SlotView, form: &ArmForm) -> Result<Vec<proto::Arm>, String> {
    let mut arms = bare_arms(view);
    let place = arms.iter().position(|arm| arm.arm_id == form.id());
    match (place, form.is_new()) {
        (Some(_), true) => Err(format!("Id: the slot has an arm '{}' already; open it to change it", form.id())),
        (None, false) => Err("The arm is no longer there: somebody removed it.".to_owned()),
        (None, true) => {
            arms.push(form.arm(None)?);
            Ok(arms)
        }
        (Some(place), false) => {
            arms[place] = form.arm(arm_of(view, form.id()).as_ref())?;
            Ok(arms)
        }
    }
}

fn availability_field(form: &ArmForm) -> Markup {
    let choices = [("", "may be shown"), ("paused", "paused"), ("out_of_stock", "out of stock")];
    html! {
        div.pair {
            label for="unavailable" { "Availability" }
            select #unavailable name="unavailable" {
                @for (value, text) in choices { option value=(value) selected[form.unavailable == value] { (text) } }
            }
        }
        div.pair {
            label for="from" { "Shown from (UTC)" }
            input #from type="datetime-local" step="1" name="from" value=(form.from);
        }
        div.pair {
            label for="until" { "Shown until (UTC)" }
            input #until type="datetime-local" step="1" name="until" value=(form.until) aria-describedby="until-hint";
            p.hint #until-hint { "No call is needed when it begins or ends. Empty means always." }
        }
    }
}

fn edit_form(slot: &str, form: &ArmForm) -> Markup {
    html! {
        form.card method="post" action=(slot_path(slot, "arm")) {
            h2 { @if form.is_new() { "New arm" } @else { "Edit the arm" } }
            input type="hidden" name="revision" value=(form.revision);
            input type="hidden" name="original" value=(form.original);
            @if form.is_new() {
                div.pair {
                    label for="arm" { "Id" }
                    input #arm type="text" name="arm" required maxlength="256" value=(form.arm) autocomplete="off" aria-describedby="arm-hint";
                    p.hint #arm-hint { "Programs get it in the answer, as in gift-wrap. It cannot be changed later." }
                }
            }
            div.pair {
                label for="attributes" { "Attributes, one on each line" }
                textarea #attributes name="attributes" rows="5" spellcheck="false" placeholder="brand = acme" aria-describedby="attributes-hint" { (form.attributes) }
                p.hint #attributes-hint { "A number, yes or no, a word, or a list as in [\"a\", \"b\"]. Rules read them as arm.brand, and models that share what they learn between arms do too." }
            }
            div.pair {
                label for="payload" { "Payload, as JSON" }
                textarea #payload name="payload" rows="6" spellcheck="false" placeholder="{\"title\": \"Free shipping\"}" aria-describedby="payload-hint" { (form.payload) }
                p.hint #payload-hint { "Programs get it with the arm, unchanged: a title, a link, the name of an image." }
            }
            (availability_field(form))
            button type="submit" name="action" value="check" { "Check and preview" }
            p.hint { "Nothing is changed yet." }
        }
    }
}

fn apply_form(slot: &str, form: &ArmForm, demanded: bool) -> Markup {
    html! {
        form.card method="post" action=(slot_path(slot, "arm")) {
            h2 { "Apply it" }
            @for (name, value) in form.hidden() { input type="hidden" name=(name) value=(value); }
            (reason("arm-reason"))
            input type="hidden" name="action" value="apply";
            (apply_button(demanded))
        }
    }
}

fn remove_form(slot: &str, form: &ArmForm) -> Markup {
    html! {
        form.card method="post" action=(slot_path(slot, "arm/remove")) {
            h2 { "Remove the arm" }
            p.hint { "The slot keeps what it learned about it, in case it comes back." }
            input type="hidden" name="revision" value=(form.revision);
            input type="hidden" name="arm" value=(form.id());
            (reason("remove-reason"))
            button.danger type="submit" { "Remove" }
        }
    }
}

/// Payload as programs get it.
fn payload_view(payload: &serde_json::Map<String, serde_json::Value>) -> Markup {
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    html! {
        section.card {
            h2 { "Payload" }
            p.hint { "Fields that a program gets with the arm. Images and links are not loaded here." }
            dl.pairs { @for (name, value) in payload { div { dt { (name) } dd { (text(value)) } } } }
        }
    }
}

/// Arm for somebody who may not change it.
fn facts(arm: &proto::Arm) -> Markup {
    let schedule = arm.schedule.unwrap_or_default();
    let moment = |time: Option<Timestamp>, none: &str| time.map_or_else(|| none.to_owned(), |time| time_of(Some(time)));
    html! {
        section.card {
            h2 { "Arm" }
            dl.facts {
                div { dt { "availability" } dd { (if arm.available == Some(false) { "not shown" } else { "may be shown" }) } }
                div { dt { "shown from" } dd { (moment(schedule.from, "always")) } }
                div { dt { "shown until" } dd { (moment(schedule.until, "for ever")) } }
            }
            @if !arm.attributes.is_empty() { h3 { "Attributes" } (context_list(&arm.attributes)) }
        }
    }
}

/// Sentence about a slot that takes its arms from the item catalogue.
pub(super) fn items_note(view: &SlotView) -> Markup {
    html! {
        p { "The slot takes its arms from the item catalogue, those for which " code { (view.definition.from_catalogue) } " holds. Change the items to change its arms." }
    }
}

/// Content of the page besides the form.
#[derive(Default)]
struct ArmAside {
    wrong: Option<String>,
    found: Option<PreviewSlotChangeResponse>,
}

fn show(
    console: &SharedConsole,
    visitor: &Visitor,
    slot: &str,
    form: &ArmForm,
    ArmAside { wrong, found }: ArmAside,
) -> PageResult {
    let view = console.api.slot_of(&visitor.call(()), slot)?;
    let amounts = AmountFormat::of_slot(&view);
    let takes_items = view.definition.takes_items();
    let (payload, may_change) = (form.payload().ok().flatten(), may_tune(visitor) && !takes_items);
    let arm = arm_of(&view, form.id()).unwrap_or_default();
    let content = html! {
        @if let Some(wrong) = &wrong { p.problem role="alert" { (wrong) } }
        @if takes_items { (items_note(&view)) }
        div.columns.sided {
            @if may_change { (edit_form(slot, form)) } @else { (facts(&arm)) }
            div.stack {
                @if found.is_some() && may_change { (apply_form(slot, form, demands_approval(&view, &["arms"]))) }
                @if let Some(payload) = &payload { (payload_view(payload)) }
                @if let Some(found) = &found { (preview(found, &amounts)) }
                @if found.is_none() && may_change && !form.is_new() { (remove_form(slot, form)) }
            }
        }
    };
    let name = if form.is_new() { "new arm" } else { form.id() };
    let title = format!("{slot}: {name}");
    Ok(ConsolePage::new(&title)
        .visitor(visitor)
        .slot(slot, "arms")
        .same_by("slotwise slots apply -f FILE")
        .same_by("POST /v1/UpsertArms, /v1/RemoveArms, /v1/SetArmAvailability, /v1/PreviewSlotChange")
        .show(&content))
}

/// Page of an arm.
pub(super) async fn page(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Path(slot): Path<String>,
    Query(ArmQuery { id }): Query<ArmQuery>,
) -> PageResult {
    visitor.check(if id.is_empty() { Role::Tune } else { Role::View })?;
    let view = console.api.slot_of(&visitor.call(()), &slot)?;
    let form = if id.is_empty() {
        ArmForm { revision: view.revision, ..ArmForm::default() }
    } else {
        let Some(arm) = arm_of(&view, &id) else {
            return Err(PageError::Request(StatusCode::NOT_FOUND, "the slot has no arm of this id"));
        };
        ArmForm::of(&arm, view.revision)
    };
    show(&console, &visitor, &slot, &form, ArmAside::default())
}

/// Checks or applies a change of an arm.
pub(super) async fn change(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Path(slot): Path<String>,
    Form(form): Form<ArmForm>,
) -> PageResult {
    visitor.check(Role::Tune)?;
    let view = console.api.slot_of(&visitor.call(()), &slot)?;
    let failed = |why: String| ArmAside { wrong: Some(why), found: None };
    let arms = match with_arm(&view, &form) {
        Ok(arms) => arms,
        Err(why) => return show(&console, &visitor, &slot, &form, failed(why)),
    };
    if form.action != "apply" {
        let (message, mask) = with_arms(&view, 0, arms);
        let request = PreviewSlotChangeRequest { slot: Some(message), update_mask: Some(mask), decisions: 0 };
        let aside = match console.api.preview_slot_change(visitor.call(request)).await {
            Ok(found) if found.get_ref().diff.is_empty() => failed("This changes nothing.".to_owned()),
            Ok(found) => ArmAside { wrong: None, found: Some(found.into_inner()) },
            Err(status) => failed(in_words_of_the_form(status.message())),
        };
        return show(&console, &visitor, &slot, &form, aside);
    }
    let (message, mask) = with_arms(&view, form.revision, arms);
    let request = UpdateSlotRequest {
        slot: Some(message),
        update_mask: Some(mask),
        reason: form.reason.clone(),
        ..UpdateSlotRequest::default()
    };
    match console.update_or_draft(&visitor, request).await {
        Ok(ChangeOutcome::Applied) => Ok(redirect(&form_path(&slot_path(&slot, "arm"), &[("id", form.id())]))),
        Ok(ChangeOutcome::Drafted(path)) => Ok(redirect(&path)),
        // The form stays, made from what the slot is now, to be looked at again.
        Err(status) if matches!(status.code(), Code::InvalidArgument | Code::Aborted) => {
            let form = ArmForm { revision: view.revision, ..form };
            show(&console, &visitor, &slot, &form, failed(in_words_of_the_form(status.message())))
        }
        Err(status) => Err(status.into()),
    }
}

/// Removes an arm.
pub(super) async fn remove(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Path(slot): Path<String>,
    Form(RemoveArmForm { revision, arm, reason }): Form<RemoveArmForm>,
) -> PageResult {
    visitor.check(Role::Tune)?;
    let view = console.api.slot_of(&visitor.call(()), &slot)?;
    let mut arms = bare_arms(&view);
    arms.retain(|of| of.arm_id != arm);
    let (message, mask) = with_arms(&view, revision, arms);
    let request =
        UpdateSlotRequest { slot: Some(message), update_mask: Some(mask), reason, ..UpdateSlotRequest::default() };
    match console.update_or_draft(&visitor, request).await {
        Ok(ChangeOutcome::Applied) => Ok(redirect(&slot_path(&slot, "arms"))),
        Ok(ChangeOutcome::Drafted(path)) => Ok(redirect(&path)),
        Err(status) if matches!(status.code(), Code::InvalidArgument | Code::Aborted) => {
            let form = arm_of(&view, &arm).map(|arm| ArmForm::of(&arm, view.revision)).unwrap_or_default();
            let wrong = Some(in_words_of_the_form(status.message()));
            show(&console, &visitor, &slot, &form, ArmAside { wrong, found: None })
        }
        Err(status) => Err(status.into()),
    }
}
