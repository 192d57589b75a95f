//! Page "Change" of a slot: its controls in words, and what a change of them would do, on past decisions.
//!
//! The draft stands in the address, so a link shares it. Nothing changes until somebody applies it, with a reason.

use axum::extract::{Path, Query, State};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    SharedConsole,
    draft::{ControlsDraft, DraftChange, at_revision, present},
    draw::unit,
    fields::{bar, counted, form_path, may_tune, meanings, number_field, percent, reason, unbroken},
    layout::{ConsolePage, slot_path},
    visitor::{PageResult, Visitor},
};
use crate::{
    access::Role,
    chart::number::count,
    engine::AmountFormat,
    wire::proto::{
        Estimate, PreviewSlotChangeRequest, PreviewSlotChangeResponse, slot_service_server::SlotService as _,
    },
};

/// Number of arms whose shares are listed.
const ARMS: usize = 50;

fn fields(draft: &ControlsDraft) -> Markup {
    html! {
        input type="hidden" name="revision" value=(draft.revision);
        (number_field("exploration", "Exploration", "0 always shows the best guess; 1 is the default; 2 tries twice as widely.", &draft.exploration))
        (number_field("floor", "Floor, %", "Least share of every arm. It is what the figures “if everybody got it” rest on.", &draft.floor))
        (number_field("holdout", "Holdout, %", "Part of the shoppers who always get the baseline, to compare with.", &draft.holdout))
        (number_field("half_life", "Half-life, days", "After this time an observation counts half. Empty means 14 days.", &draft.half_life))
        div.pair {
            label for="mode" { "Mode" }
            select #mode name="mode" {
                option value="on" selected[draft.mode != "shadow"] { "on: shoppers get what the policy chooses" }
                option value="shadow" selected[draft.mode == "shadow"] { "shadow: everybody gets the baseline" }
            }
        }
        div.pair {
            label { input type="checkbox" name="freeze" value="on" checked[draft.freeze == "on"]; " Stop learning" }
        }
    }
}

fn estimate(estimate: Option<Estimate>, amounts: &AmountFormat) -> String {
    let Some(of) = estimate else { return String::new() };
    let half = 1.96 * of.standard_error;
    match &amounts.currency {
        Some(_) => format!("{} ± {}", amounts.amount(of.value), amounts.amount(half)),
        None => unbroken(&unit(amounts).show_error(of.value, Some(half))),
    }
}

pub(super) fn preview(found: &PreviewSlotChangeResponse, amounts: &AmountFormat) -> Markup {
    let share = |of: Option<Estimate>| of.map_or(0.0, |of| of.value);
    let plain = AmountFormat { percent: false, currency: amounts.currency.clone() };
    html! {
        section.card aria-live="polite" {
            h2 { "What it would have done" }
            @if found.decisions_used == 0 { p { "No past decision to look at yet." } }
            @else {
                p.hint { "On the last " (counted(found.decisions_used.into(), "decision")) ". Nothing is changed yet." }
                div.scroll tabindex="0" { table {
                    caption { "Effect on all decisions" }
                    thead { tr { th scope="col" { "" } th scope="col" { "now" } th scope="col" { "then" } th scope="col" { "difference" } } }
                    tbody {
                        tr {
                            th.text scope="row" { "expected reward per decision" }
                            td { (estimate(found.expected_reward_before, amounts)) }
                            td { (estimate(found.expected_reward_after, amounts)) }
                            td { (estimate(found.expected_reward_change, amounts)) }
                        }
                        tr {
                            th.text scope="row" { "cost of exploring per 1,000 decisions" }
                            td { (estimate(found.exploration_cost_per_1000_before, &plain)) }
                            td { (estimate(found.exploration_cost_per_1000_after, &plain)) }
                            td {}
                        }
                    }
                } }
                (meanings(&[
                    ("expected reward", "By what the models know now, on the same shoppers. After ± stands half of the interval of 95 %."),
                    ("cost of exploring", "Expected reward that is given up to learn, in place of always showing the best guess."),
                ]))
            }
            @if !found.warnings.is_empty() { ul.warnings { @for warning in &found.warnings { li { (warning) } } } }
            @if !found.arms.is_empty() {
                h3 { "Shares of the arms" }
                div.scroll tabindex="0" { table {
                    caption { "Shares of the arms" }
                    thead { tr { th scope="col" { "arm" } th scope="col" { "now" } th scope="col" { "then" } th scope="col" {} } }
                    tbody { @for arm in found.arms.iter().take(ARMS) { tr {
                        th.text scope="row" { (arm.arm_id) @if arm.never_shown { " (never shown: unknown)" } }
                        td { (percent(share(arm.share_before))) }
                        td { (percent(share(arm.share_after))) }
                        td { (bar(share(arm.share_after))) }
                    } } }
                } }
            }
            @if !found.segments.is_empty() {
                h3 { "Effect by segment" }
                div.scroll tabindex="0" { table {
                    caption { "Effect by segment" }
                    thead { tr { th scope="col" { "shoppers" } th scope="col" { "decisions" } th scope="col" { "difference per decision" } } }
                    tbody { @for segment in &found.segments { tr {
                        th.text scope="row" { (segment.feature) " = " (segment.value) }
                        td { (count(segment.decisions.into())) }
                        td { (estimate(segment.expected_reward_change, amounts)) }
                    } } }
                } }
            }
            @if !found.rules.is_empty() {
                h3 { "Decisions in which a rule has an effect" }
                div.scroll tabindex="0" { table {
                    caption { "Decisions in which a rule has an effect" }
                    thead { tr { th scope="col" { "rule" } th scope="col" { "now" } th scope="col" { "then" } } }
                    tbody { @for rule in &found.rules { tr {
                        th.text scope="row" { (rule.name) }
                        td { (rule.matched_before.map_or_else(String::new, percent)) }
                        td { (rule.matched_after.map_or_else(String::new, percent)) }
                    } } }
                } }
            }
            h3 { "Fields that would change" }
            div.scroll tabindex="0" { table {
                caption { "Fields that would change" }
                thead { tr { th scope="col" { "field" } th.text scope="col" { "now" } th.text scope="col" { "then" } } }
                tbody { @for change in &found.diff { tr {
                    th.text scope="row" { (change.path) } td.text { (change.before) } td.text { (change.after) }
                } } }
            } }
        }
    }
}

/// Shows the form with a draft, what it would do, and what is wrong with it.
pub(super) async fn show(
    console: &SharedConsole,
    visitor: &Visitor,
    slot: &str,
    draft: Option<ControlsDraft>,
    wrong: Option<String>,
) -> PageResult {
    let view = console.api.slot_of(&visitor.call(()), slot)?;
    let now = present(&view);
    let amounts = AmountFormat::of_slot(&view);
    // A draft from an older revision goes on from what the slot is now.
    let draft = draft.map(|draft| draft.rebased(&at_revision(&view, draft.revision), &now));
    let mut wrong = wrong;
    let mut found = None;
    if let (Some(draft), None) = (&draft, &wrong) {
        match draft.check(&view.definition).and_then(|()| draft.change(slot, &now)) {
            Err(why) => wrong = Some(why),
            Ok(None) => wrong = Some("This changes nothing.".into()),
            Ok(Some(DraftChange { slot, mask })) => {
                let request = PreviewSlotChangeRequest { slot: Some(slot), update_mask: Some(mask), decisions: 0 };
                match console.api.preview_slot_change(visitor.call(request)).await {
                    Ok(response) => found = Some(response.into_inner()),
                    Err(status) => wrong = Some(status.message().to_owned()),
                }
            }
        }
    }
    let draft = draft.unwrap_or(now);
    let path = slot_path(slot, "change");
    let content = html! {
        @if let Some(wrong) = &wrong { p.problem role="alert" { (wrong) } }
        div.columns.sided {
            form.card method="get" action=(path) {
                h2 { "Controls" }
                (fields(&draft))
                button type="submit" name="preview" value="1" { "Preview" }
                p.hint { "Runs the change over past decisions. The address of the preview can be shared." }
            }
            @if let Some(found) = &found {
                div.stack {
                    @if may_tune(visitor) {
                        form.card method="post" action=(path) {
                            h2 { "Apply it" }
                            @for (name, value) in [
                                ("revision", draft.revision.to_string()), ("exploration", draft.exploration.clone()), ("floor", draft.floor.clone()),
                                ("holdout", draft.holdout.clone()), ("half_life", draft.half_life.clone()), ("mode", draft.mode.clone()), ("freeze", draft.freeze.clone()),
                            ] { input type="hidden" name=(name) value=(value); }
                            (reason("change-reason"))
                            button type="submit" { "Apply" }
                            p.hint { "It takes effect with the next decision, and forgets nothing. History takes it back." }
                        }
                    }
                    (preview(found, &amounts))
                    p {
                        a href=(form_path(&slot_path(slot, "compare"), &[("draft", "on"), ("exploration", &draft.exploration), ("floor", &draft.floor)])) { "Compare its exploration and floor by the rewards that came" }
                    }
                }
            }
        }
    };
    let title = format!("{slot}: change");
    let page = ConsolePage::new(&title).visitor(visitor).slot(slot, "change");
    Ok(page
        .same_by("slotwise slots preview -f FILE")
        .same_by("POST /v1/PreviewSlotChange, /v1/UpdateSlot")
        .show(&content))
}

/// Parameters of the page: a draft, if it is to be previewed.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ChangeQuery {
    preview: Option<String>,
    #[serde(flatten)]
    draft: ControlsDraftText,
}

/// Draft as an address has it: texts, of which the revision is one.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ControlsDraftText {
    revision: String,
    exploration: String,
    floor: String,
    holdout: String,
    half_life: String,
    mode: String,
    freeze: String,
}

/// Page "Change".
pub(super) async fn page(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Path(slot): Path<String>,
    Query(query): Query<ChangeQuery>,
) -> PageResult {
    visitor.check(Role::View)?;
    let ControlsDraftText { revision, exploration, floor, holdout, half_life, mode, freeze } = query.draft;
    let revision = revision.parse().unwrap_or(0);
    let draft = ControlsDraft { revision, exploration, floor, holdout, half_life, mode, freeze, reason: String::new() };
    show(&console, &visitor, &slot, query.preview.map(|_| draft), None).await
}
