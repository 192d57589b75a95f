//! Page "Change" of a slot: its controls in words, and what a change of them would do, on past decisions.
//!
//! The draft stands in the address, so a link shares it. Nothing changes until somebody applies it, with a reason.

use axum::extract::{Path, Query, State};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    SharedConsole,
    draft::{ControlsDraft, DraftChange, at_revision, present},
    drafts::{apply_button, demands_approval},
    draw::unit,
    fields::{Meaning, bar, counted, form_path, may_tune, meaning, meanings, percent, reason, slider_field, unbroken},
    layout::{ConsolePage, slot_path},
    visitor::{PageResult, Visitor},
};
use crate::{
    access::Role,
    chart::number::count,
    engine::{AmountFormat, SlotView},
    wire::proto::{
        Estimate, FieldChange, PreviewSlotChangeRequest, PreviewSlotChangeResponse,
        slot_service_server::SlotService as _,
    },
};

/// Number of arms whose shares are listed.
const ARMS: usize = 50;

/// Id of the part of the page that says what a draft would do.
const EFFECT: &str = "effect";
/// Greatest values of the sliders. The fields take more.
const EXPLORATION_MOST: f64 = 3.0;
const HOLDOUT_MOST: f64 = 50.0;
const HALF_LIFE_MOST: f64 = 90.0;

/// Meanings of the preview's figures.
pub(super) const MEANINGS: [Meaning; 2] = [
    meaning(
        "expected reward",
        "By what the models know now, on the same shoppers. After ± stands half of the interval of 95 %.",
        "glossary#reward",
    ),
    meaning(
        "cost of exploring",
        "Expected reward that is given up to learn, in place of always showing the best guess.",
        "reading-the-report#cost-of-exploring",
    ),
];

fn fields(draft: &ControlsDraft, view: &SlotView) -> Markup {
    let arms = view.arms_in_effect().iter().filter(|arm| arm.available).count().max(1);
    let floor = 100.0 * view.definition.floor(arms, 1.0);
    // Floors leave room for what is learned.
    let floor_most = (100.0 / arms as f64).floor().max(1.0);
    html! {
        input type="hidden" name="revision" value=(draft.revision);
        (slider_field("exploration", "Exploration", "0 always shows the best guess; 1 is the default; 2 tries twice as widely.", &draft.exploration, [0.0, EXPLORATION_MOST, 0.05, 1.0]))
        (slider_field("floor", "Floor, %", "Least share of every arm. It is what the figures “if everybody got it” rest on.", &draft.floor, [0.0, floor_most, 0.1, floor]))
        (slider_field("holdout", "Holdout, %", "Part of the shoppers who always get the baseline, to compare with.", &draft.holdout, [0.0, HOLDOUT_MOST, 1.0, 0.0]))
        (slider_field("half_life", "Half-life, days", "After this time an observation counts half. Empty means 14 days.", &draft.half_life, [1.0, HALF_LIFE_MOST, 1.0, 14.0]))
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
        section.card {
            h2 { "What it would have done" }
            @if found.decisions_used == 0 { p { "No past decision to look at yet." } }
            @else {
                p.hint { "On the last " (counted(found.decisions_used.into(), "decision")) ". Nothing is changed yet." }
                div.scroll tabindex="0" { table {
                    caption { "Effect on all decisions" }
                    thead { tr { th scope="col" { "figure" } th scope="col" { "now" } th scope="col" { "then" } th scope="col" { "difference" } } }
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
                (meanings(&MEANINGS))
            }
            @if !found.warnings.is_empty() { ul.warnings { @for warning in &found.warnings { li { (warning) } } } }
            @if !found.arms.is_empty() {
                h3 { "Shares of the arms" }
                div.scroll tabindex="0" { table {
                    caption { "Shares of the arms" }
                    thead { tr { th scope="col" { "arm" } th scope="col" { "now" } th scope="col" { "then" } th scope="col" { "drawn" } } }
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
            (changed_fields(&found.diff))
        }
    }
}

/// Table of fields that would change.
pub(super) fn changed_fields(diff: &[FieldChange]) -> Markup {
    html! {
        div.scroll tabindex="0" { table {
            caption { "Fields that would change" }
            thead { tr { th scope="col" { "field" } th.text scope="col" { "now" } th.text scope="col" { "then" } } }
            tbody { @for change in diff { tr {
                th.text scope="row" { (change.path) } td.text { (change.before) } td.text { (change.after) }
            } } }
        } }
    }
}

/// Sentence about a preview, for those who do not see the page change.
fn said(found: &PreviewSlotChangeResponse, amounts: &AmountFormat) -> String {
    if found.decisions_used == 0 {
        return "No past decision to look at yet.".to_owned();
    }
    let (now, then) = (found.expected_reward_before, found.expected_reward_after);
    let decisions = counted(found.decisions_used.into(), "decision");
    format!(
        "Expected reward per decision on the last {decisions}: {} now, {} then.",
        estimate(now, amounts),
        estimate(then, amounts)
    )
}

/// Draft that was run over past decisions, or the reason why it was not.
struct ShownDraft {
    draft: ControlsDraft,
    found: Option<PreviewSlotChangeResponse>,
    /// The change needs a second person.
    demanded: bool,
    wrong: Option<String>,
    /// Remark about a draft that is right and changes nothing.
    remark: Option<&'static str>,
}

/// Runs a draft over past decisions.
async fn previewed(
    console: &SharedConsole,
    visitor: &Visitor,
    view: &SlotView,
    draft: Option<ControlsDraft>,
    wrong: Option<String>,
) -> ShownDraft {
    let now = present(view);
    let Some(draft) = draft else {
        return ShownDraft { draft: now, found: None, demanded: false, wrong, remark: None };
    };
    // A draft from an older revision goes on from what the slot is now.
    let draft = draft.rebased(&at_revision(view, draft.revision), &now);
    let mut shown = ShownDraft { draft, found: None, demanded: false, wrong, remark: None };
    if shown.wrong.is_some() {
        return shown;
    }
    let slot = view.definition.id.as_str();
    match shown.draft.check(&view.definition).and_then(|()| shown.draft.change(slot, &now)) {
        Err(why) => shown.wrong = Some(why),
        Ok(None) => shown.remark = Some("This changes nothing."),
        Ok(Some(DraftChange { slot, mask })) => {
            let paths: Vec<&str> = mask.paths.iter().map(String::as_str).collect();
            shown.demanded = demands_approval(view, &paths);
            let request = PreviewSlotChangeRequest { slot: Some(slot), update_mask: Some(mask), decisions: 0 };
            match console.api.preview_slot_change(visitor.call(request)).await {
                Ok(response) => shown.found = Some(response.into_inner()),
                Err(status) => shown.wrong = Some(status.message().to_owned()),
            }
        }
    }
    shown
}

fn apply_form(path: &str, draft: &ControlsDraft, demanded: bool, visitor: &Visitor) -> Markup {
    html! {
        form.card method="post" action=(path) {
            h2 { @if demanded { "Send it for approval" } @else { "Apply it" } }
            @for (name, value) in [
                ("revision", &draft.revision.to_string()), ("exploration", &draft.exploration), ("floor", &draft.floor),
                ("holdout", &draft.holdout), ("half_life", &draft.half_life), ("mode", &draft.mode), ("freeze", &draft.freeze),
            ] { input type="hidden" name=(name) value=(value); }
            (reason("change-reason"))
            (apply_button(demanded))
            @if !demanded && visitor.name().is_some() {
                button.quiet type="submit" name="as_draft" value="on" { "Make a draft for somebody to approve" }
            }
        }
    }
}

/// Part of the page that says what a draft would do. The script replaces it while a control moves.
fn effect(shown: &ShownDraft, path: &str, slot: &str, amounts: &AmountFormat, visitor: &Visitor) -> Markup {
    let ShownDraft { draft, found, demanded, wrong, remark } = shown;
    let said = found.as_ref().map(|found| said(found, amounts));
    let said = said.or_else(|| wrong.clone()).or_else(|| remark.map(str::to_owned)).unwrap_or_default();
    html! {
        div.stack id=(EFFECT) data-said=(said) {
            @if let Some(wrong) = wrong { p.problem role="alert" { (wrong) } }
            @match found {
                None => {
                    @if wrong.is_none() {
                        section.card {
                            h2 { "What it would have done" }
                            p { (remark.unwrap_or("Change a control, and see here what it would have done in past decisions. Nothing is changed before it is applied.")) }
                        }
                    }
                }
                Some(found) => {
                    @if may_tune(visitor) { (apply_form(path, draft, *demanded, visitor)) }
                    (preview(found, amounts))
                    p {
                        a href=(form_path(&slot_path(slot, "compare"), &[("draft", "on"), ("exploration", &draft.exploration), ("floor", &draft.floor)])) { "Compare its exploration and floor by the rewards that came" }
                    }
                }
            }
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
    let amounts = AmountFormat::of_slot(&view);
    let shown = previewed(console, visitor, &view, draft, wrong).await;
    let path = slot_path(slot, "change");
    let content = html! {
        p.unseen #said role="status" {}
        div.columns.sided {
            form.card method="get" action=(path) data-preview=(EFFECT) data-said="said" {
                h2 { "Controls" }
                (fields(&shown.draft, &view))
                button type="submit" name="preview" value="1" { "Preview" }
                p.hint { "Runs the change over past decisions. The address of the preview can be shared." }
            }
            (effect(&shown, &path, slot, &amounts, visitor))
        }
    };
    let title = format!("{slot}: change");
    let page = ConsolePage::new(&title).visitor(visitor).slot(slot, "change");
    Ok(page
        .same_by("slotwise slots preview -f FILE")
        .same_by("POST /v1/PreviewSlotChange, /v1/UpdateSlot, /v1/CreateDraft")
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
    let draft =
        ControlsDraft { revision, exploration, floor, holdout, half_life, mode, freeze, ..ControlsDraft::default() };
    show(&console, &visitor, &slot, query.preview.map(|_| draft), None).await
}
