//! Page "Change" of a slot: its controls in words, and what a change of them would do, on past decisions.
//!
//! The draft stands in the address, so a link shares it. Nothing changes until somebody applies it, with a reason.

use axum::extract::{Path, Query, State};
use maud::{Markup, html};
use prost_types::FieldMask;
use serde::Deserialize;

use super::{
    SharedConsole,
    fields::{bar, counted, may_tune, percent, reason},
    layout::{ConsolePage, slot_path},
    visitor::{PageResult, Visitor},
};
use crate::{
    access::Role,
    engine::{AmountFormat, SlotView, report},
    slot::{Controls, Mode},
    wire::proto::{
        self, Estimate, PreviewSlotChangeRequest, PreviewSlotChangeResponse, slot_service_server::SlotService as _,
    },
};

/// Number of arms whose shares are listed.
const ARMS: usize = 50;
const DAY_US: f64 = 24.0 * 3_600.0 * 1e6;

/// Controls as the form has them. An empty text means the default.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub(super) struct ControlsDraft {
    /// Revision that the draft was made from.
    pub(super) revision: u64,
    /// Width multiplier.
    pub(super) exploration: String,
    /// Floor, percent.
    pub(super) floor: String,
    /// Holdout, percent.
    pub(super) holdout: String,
    /// Half-life, days.
    pub(super) half_life: String,
    /// Mode: `on` or `shadow`.
    pub(super) mode: String,
    /// Learning is stopped: `on`, or empty.
    pub(super) freeze: String,
    /// Reason of the change.
    pub(super) reason: String,
}

/// Change that a draft makes: the slot's message and the paths of the fields that differ.
pub(super) struct DraftChange {
    pub(super) slot: proto::Slot,
    pub(super) mask: FieldMask,
}

fn number(value: Option<f64>, factor: f64) -> String {
    value.map_or_else(String::new, |value| {
        let rounded = (value * factor * 1e6).round() / 1e6;
        rounded.to_string()
    })
}

impl ControlsDraft {
    /// Draft that changes nothing.
    pub(super) fn of(controls: &Controls, revision: u64) -> Self {
        let on = |flag: bool| if flag { "on".to_owned() } else { String::new() };
        Self {
            revision,
            exploration: number(controls.exploration, 1.0),
            floor: number(controls.floor, 100.0),
            holdout: number(controls.holdout, 100.0),
            half_life: number(controls.half_life_us.map(|us| us as f64 / DAY_US), 1.0),
            mode: if controls.mode() == Mode::Shadow { "shadow".into() } else { "on".into() },
            freeze: on(controls.freeze_learning()),
            reason: String::new(),
        }
    }

    /// Change from the slot as it was when the draft was made, or `None` if they are the same.
    ///
    /// # Errors
    ///
    /// The label of a field that is no number.
    pub(super) fn change(&self, slot: &str, from: &Self) -> Result<Option<DraftChange>, String> {
        let parse = |label: &str, text: &str, factor: f64| match text.trim() {
            "" => Ok(None),
            text => match text.replace(',', ".").parse::<f64>() {
                Ok(value) if value.is_finite() => Ok(Some(value / factor)),
                _ => Err(format!("{label}: '{text}' is no number; write it as 5 or 0.5")),
            },
        };
        let mut controls = proto::Controls::default();
        let mut paths = Vec::new();
        if self.exploration != from.exploration {
            controls.exploration = parse("Exploration", &self.exploration, 1.0)?;
            paths.push("controls.exploration");
        }
        if self.floor != from.floor {
            controls.floor = parse("Floor", &self.floor, 100.0)?;
            paths.push("controls.floor");
        }
        if self.holdout != from.holdout {
            controls.holdout = parse("Holdout", &self.holdout, 100.0)?;
            paths.push("controls.holdout");
        }
        if self.half_life != from.half_life {
            let days = parse("Half-life", &self.half_life, 1.0)?;
            let within = days.is_none_or(|days| (0.0..=4_000.0).contains(&days));
            if !within {
                return Err("Half-life: must be from 1 minute to 10 years".into());
            }
            #[expect(clippy::cast_possible_truncation, reason = "checked to be at most 4,000 days")]
            let seconds = |days: f64| (days * 86_400.0).round() as i64;
            controls.half_life = days.map(|days| prost_types::Duration { seconds: seconds(days), nanos: 0 });
            paths.push("controls.half_life");
        }
        if self.mode != from.mode {
            use proto::mode::Mode as Out;
            let mode = match self.mode.as_str() {
                "shadow" => Out::Shadow(proto::ShadowMode {}),
                _ => Out::On(proto::OnMode {}),
            };
            controls.mode = Some(proto::Mode { mode: Some(mode) });
            paths.push("controls.mode");
        }
        if self.freeze != from.freeze {
            controls.freeze_learning = Some(self.freeze == "on");
            paths.push("controls.freeze_learning");
        }
        if paths.is_empty() {
            return Ok(None);
        }
        let slot = proto::Slot {
            slot_id: slot.to_owned(),
            revision: self.revision,
            controls: Some(controls),
            ..proto::Slot::default()
        };
        let mask = FieldMask { paths: paths.into_iter().map(str::to_owned).collect() };
        Ok(Some(DraftChange { slot, mask }))
    }
}

/// Returns the draft that the slot's present controls make, to compare another one with.
pub(super) fn present(view: &SlotView) -> ControlsDraft {
    ControlsDraft::of(&view.definition.controls, view.revision)
}

fn field(id: &'static str, label: &str, hint: &str, value: &str) -> Markup {
    let hint_id = format!("{id}-hint");
    html! {
        div.pair {
            label for=(id) { (label) }
            input id=(id) type="text" inputmode="decimal" name=(id) value=(value) aria-describedby=(hint_id);
            p.hint id=(hint_id) { (hint) }
        }
    }
}

fn fields(draft: &ControlsDraft) -> Markup {
    html! {
        input type="hidden" name="revision" value=(draft.revision);
        (field("exploration", "Exploration", "0 always shows the best guess; 1 is the default; 2 tries twice as widely.", &draft.exploration))
        (field("floor", "Floor, %", "Least share of every arm. It is what the figures “if everybody got it” rest on.", &draft.floor))
        (field("holdout", "Holdout, %", "Part of the shoppers who always get the baseline, to compare with.", &draft.holdout))
        (field("half_life", "Half-life, days", "After this time an observation counts half. Empty means 14 days.", &draft.half_life))
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
    estimate.map_or_else(String::new, |of| {
        format!("{} ± {}", amounts.amount(of.value), amounts.amount(1.96 * of.standard_error))
    })
}

fn preview(found: &PreviewSlotChangeResponse, amounts: &AmountFormat) -> Markup {
    let share = |of: Option<Estimate>| of.map_or(0.0, |of| of.value);
    let plain = AmountFormat { percent: false, currency: amounts.currency.clone() };
    html! {
        section.card aria-live="polite" {
            h2 { "What it would have done" }
            @if found.decisions_used == 0 { p { "No past decision to look at yet." } }
            @else {
                p.hint { "On the last " (counted(found.decisions_used.into(), "decision")) ". Nothing is changed yet." }
                dl.facts {
                    div { dt { "expected reward per decision, now" } dd { (estimate(found.expected_reward_before, amounts)) } }
                    div { dt { "then" } dd { (estimate(found.expected_reward_after, amounts)) } }
                    div { dt { "difference" } dd { (estimate(found.expected_reward_change, amounts)) } }
                    div { dt { "cost of exploring per 1,000 decisions, now" } dd { (estimate(found.exploration_cost_per_1000_before, &plain)) } }
                    div { dt { "then" } dd { (estimate(found.exploration_cost_per_1000_after, &plain)) } }
                }
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
                        td { (segment.decisions) }
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
                thead { tr { th scope="col" { "field" } th scope="col" { "now" } th scope="col" { "then" } } }
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
    let amounts = AmountFormat::of_report(&report(&view.at(console.now_us()?)));
    let mut wrong = wrong;
    let mut found = None;
    if let (Some(draft), None) = (&draft, &wrong) {
        match draft.change(slot, &now) {
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
        div.columns {
            form.card method="get" action=(path) {
                h2 { "Controls" }
                (fields(&draft))
                button type="submit" name="preview" value="1" { "Preview" }
                p.hint { "Runs the change over past decisions. The address of the preview can be shared." }
            }
            @if let Some(found) = &found {
                div {
                    (preview(found, &amounts))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> ControlsDraft {
        let controls = Controls { floor: Some(0.02), holdout: Some(0.1), ..Controls::default() };
        ControlsDraft::of(&controls, 7)
    }

    #[test]
    fn a_draft_changes_the_fields_that_differ_and_no_others() {
        let now = draft();
        assert_eq!((now.floor.as_str(), now.holdout.as_str(), now.exploration.as_str()), ("2", "10", ""));
        assert!(now.change("offers", &now).unwrap().is_none());
        let wanted = ControlsDraft { floor: "0,5".into(), holdout: String::new(), mode: "shadow".into(), ..draft() };
        let DraftChange { slot, mask } = wanted.change("offers", &now).unwrap().unwrap();
        assert_eq!(mask.paths, ["controls.floor", "controls.holdout", "controls.mode"]);
        let controls = slot.controls.unwrap();
        assert_eq!((controls.floor, controls.holdout, slot.revision), (Some(0.005), None, 7));
        assert!(controls.mode.is_some() && controls.exploration.is_none());
    }

    #[test]
    fn a_text_that_is_no_number_is_named() {
        for (wrong, label) in [
            (ControlsDraft { floor: "some".into(), ..draft() }, "Floor"),
            (ControlsDraft { exploration: "inf".into(), ..draft() }, "Exploration"),
            (ControlsDraft { half_life: "-1".into(), ..draft() }, "Half-life"),
        ] {
            let why = wrong.change("offers", &draft()).map(|_| ()).unwrap_err();
            assert!(why.starts_with(label), "{why}");
        }
    }
}
