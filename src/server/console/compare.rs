//! Page "Compare" of a slot: what other policies would have earned on its own decisions.
//!
//! The choice stands in the address, so a link shares it. A run begins with a form, and its address names it.

use axum::{
    Form,
    extract::{Path, Query, State},
};
use maud::{Markup, html};
use serde::{Deserialize, Serialize};

use super::{
    SharedConsole,
    compare_result::{failed, finished, reading},
    comparisons::ComparisonStage,
    draft::{ControlsDraft, DraftChange, present},
    fields::{form_path, number_field, redirect},
    layout::{ConsolePage, slot_path},
    live::live_while,
    visitor::{PageResult, Visitor},
};
use crate::{
    access::Role,
    engine::{AmountFormat, SlotView},
    wire::proto::{
        ComparePoliciesRequest, Controls, GetSlotRequest, Period, PolicyBaseline, PolicyDraft,
        slot_service_server::SlotService as _,
    },
};

/// Name under which the draft is compared.
pub(super) const DRAFT: &str = "draft";
/// Arms up to which all of them are compared unless somebody chooses otherwise.
const ARMS_BY_DEFAULT: usize = 10;
/// Lengths of the period, days.
const PERIODS: [u32; 4] = [1, 7, 30, 90];
const DAY_S: i64 = 24 * 3_600;

/// Choice of policies, as the form and the address have it. A box that is not ticked is an empty text.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ComparisonChoice {
    /// Length of the period in days; empty before somebody chose.
    days: String,
    /// Compare a draft of the controls.
    draft: String,
    exploration: String,
    floor: String,
    /// Compare always showing the best guess.
    best: String,
    /// Compare showing every arm equally often.
    even: String,
    /// Compare, for each arm, showing it to everybody.
    each: String,
    /// Arm that everybody would get, or empty.
    always: String,
    /// Id of the run.
    #[serde(skip_serializing_if = "String::is_empty")]
    run: String,
}

impl ComparisonChoice {
    /// Returns the choice, or the one to begin with if nobody chose yet.
    fn or_default(self, view: &SlotView) -> Self {
        if !self.days.is_empty() {
            return self;
        }
        let now = present(view);
        let of_arms = if view.arms_in_effect().len() <= ARMS_BY_DEFAULT { "on" } else { "" };
        let draft_is_given = self.draft == "on";
        Self {
            days: "7".into(),
            exploration: if draft_is_given { self.exploration } else { now.exploration },
            floor: if draft_is_given { self.floor } else { now.floor },
            draft: self.draft,
            best: "on".into(),
            even: "on".into(),
            each: of_arms.into(),
            always: String::new(),
            run: String::new(),
        }
    }

    /// Draft of the slot's controls, in the form of the page "Change".
    pub(super) fn controls_draft(&self, view: &SlotView) -> ControlsDraft {
        ControlsDraft { exploration: self.exploration.clone(), floor: self.floor.clone(), ..present(view) }
    }

    /// Request that the choice makes. `controls` are those of the slot.
    fn request(&self, view: &SlotView, controls: Controls) -> Result<ComparePoliciesRequest, String> {
        let slot = view.definition.id.as_str();
        let days: u32 = self.days.parse().map_err(|_| "Period: choose one of the list".to_owned())?;
        let mut request = ComparePoliciesRequest { slot_id: slot.to_owned(), ..ComparePoliciesRequest::default() };
        let last = prost_types::Duration { seconds: i64::from(days) * DAY_S, nanos: 0 };
        request.period = Some(Period { last: Some(last), ..Period::default() });
        if self.draft == "on" {
            let draft = self.controls_draft(view);
            draft.check(&view.definition)?;
            let Some(DraftChange { slot: changed, mask }) = draft.change(slot, &present(view))? else {
                return Err("Draft: it is what the slot does already; change its exploration or its floor".to_owned());
            };
            let controls = drafted(controls, &changed.controls.unwrap_or_default(), &mask.paths);
            request.drafts.push(PolicyDraft { name: DRAFT.to_owned(), controls: Some(controls) });
        }
        let baselines = [
            (&self.best, PolicyBaseline::Greedy),
            (&self.even, PolicyBaseline::Uniform),
            (&self.each, PolicyBaseline::EveryArm),
        ];
        let chosen = baselines.into_iter().filter(|(ticked, _)| *ticked == "on");
        request.baselines = chosen.map(|(_, baseline)| baseline.into()).collect();
        if !self.always.is_empty() && self.each != "on" {
            request.always_arm_ids.push(self.always.clone());
        }
        if request.drafts.is_empty() && request.baselines.is_empty() && request.always_arm_ids.is_empty() {
            return Err("Tick at least one policy to compare with.".to_owned());
        }
        Ok(request)
    }
}

/// Returns the controls that a comparison takes, with those of the draft that `paths` names.
fn drafted(now: Controls, draft: &Controls, paths: &[String]) -> Controls {
    let names = |path: &str| paths.iter().any(|named| named == path);
    let (wider, floored) = (names("controls.exploration"), names("controls.floor"));
    Controls {
        exploration: if wider { draft.exploration } else { now.exploration },
        // A preset would stand in the way of a number.
        exploration_preset: if wider { 0 } else { now.exploration_preset },
        policy: now.policy,
        floor: if floored { draft.floor } else { now.floor },
        ceiling: now.ceiling,
        arm_bounds: now.arm_bounds,
        ..Controls::default()
    }
}

fn tick(name: &'static str, value: &str, label: &str, hint: &str) -> Markup {
    let hint_id = format!("{name}-hint");
    html! {
        div.pair {
            label { input type="checkbox" name=(name) value="on" checked[value == "on"] aria-describedby=(hint_id); " " (label) }
            p.hint id=(hint_id) { (hint) }
        }
    }
}

fn form(choice: &ComparisonChoice, view: &SlotView) -> Markup {
    let slot = view.definition.id.as_str();
    html! {
        form.card method="post" action=(slot_path(slot, "compare")) {
            h2 { "Compare with" }
            fieldset {
                legend { "A draft" }
                (tick("draft", &choice.draft, "The draft below", "Its models are those of now; only how they choose differs."))
                (number_field("exploration", "Exploration", "0 always shows the best guess; 1 is the default; 2 tries twice as widely.", &choice.exploration))
                (number_field("floor", "Floor, %", "Least share of every arm.", &choice.floor))
            }
            fieldset {
                legend { "Simple policies" }
                (tick("best", &choice.best, "Best guess only", "Everybody gets the arm that looks best for them. Nothing is tried."))
                (tick("even", &choice.even, "Every arm equally often", "Nothing is learned, as in a plain A/B test."))
                (tick("each", &choice.each, "Each arm for everybody", "One line for each of the first 50 arms that may be shown."))
                @if view.arms_in_effect().len() > ARMS_BY_DEFAULT {
                    div.pair {
                        label for="always" { "One arm for everybody" }
                        input #always type="text" name="always" value=(choice.always) maxlength="256" autocomplete="off" aria-describedby="always-hint";
                        p.hint #always-hint { "Id of the arm. Empty for none." }
                    }
                }
            }
            div.pair {
                label for="days" { "Period" }
                select #days name="days" {
                    @for days in PERIODS { option value=(days) selected[choice.days == days.to_string()] { "the last " (days) @if days == 1 { " day" } @else { " days" } } }
                }
            }
            button type="submit" { "Compare" }
            p.hint { "Reads the decisions and rewards that were recorded. Nothing is changed. With a long history it takes a while." }
        }
    }
}

/// Path of the page with a choice.
fn path_of(slot: &str, choice: &ComparisonChoice) -> String {
    form_path(&slot_path(slot, "compare"), choice)
}

/// Page "Compare".
pub(super) async fn page(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Path(slot): Path<String>,
    Query(choice): Query<ComparisonChoice>,
) -> PageResult {
    visitor.check(Role::View)?;
    show(&console, &visitor, &slot, choice, None)
}

fn show(
    console: &SharedConsole,
    visitor: &Visitor,
    slot: &str,
    choice: ComparisonChoice,
    wrong: Option<&str>,
) -> PageResult {
    let view = console.api.slot_of(&visitor.call(()), slot)?;
    let choice = choice.or_default(&view);
    let stage = if choice.run.is_empty() { None } else { console.comparisons.stage(slot, &choice.run) };
    let is_reading = matches!(stage, Some(ComparisonStage::Reading { .. }));
    let path = path_of(slot, &choice);
    let shown = match &stage {
        None if choice.run.is_empty() => html! {
            section.card {
                h2 { "What would have been earned" }
                p { "Each past decision has the probability with which its arm was drawn. From these, this page computes what another policy would have earned on the same shoppers, and says so where the decisions cannot tell." }
                p { "Choose policies and compare." }
            }
        },
        None => failed("This comparison is no longer kept. Run it again; the choice is still filled in."),
        Some(ComparisonStage::Reading { done, total }) => reading(slot, &choice.run, *done, *total, &path),
        Some(ComparisonStage::Stopped) => failed("The comparison was stopped."),
        Some(ComparisonStage::Failed(why)) => failed(why),
        Some(ComparisonStage::Finished(result)) => {
            finished(result, &AmountFormat::of_slot(&view), visitor, &view, &choice)
        }
    };
    let content = html! {
        @if let Some(wrong) = wrong { p.problem role="alert" { (wrong) } }
        div.columns.sided {
            (form(&choice, &view))
            // Once the result is there, it stays as it is.
            (live_while("comparison", is_reading, &shown))
        }
    };
    let title = format!("{slot}: compare");
    Ok(ConsolePage::new(&title)
        .visitor(visitor)
        .slot(slot, "compare")
        .same_by(format!("slotwise compare {slot} --greedy --uniform --every-arm"))
        .same_by("POST /v1/ComparePolicies")
        .show(&content))
}

/// Begins a comparison.
pub(super) async fn begin(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Path(slot): Path<String>,
    Form(choice): Form<ComparisonChoice>,
) -> PageResult {
    visitor.check(Role::View)?;
    let view = console.api.slot_of(&visitor.call(()), &slot)?;
    let read = console.api.get_slot(visitor.call(GetSlotRequest { slot_id: slot.clone() })).await?.into_inner();
    let controls = read.slot.and_then(|slot| slot.controls).unwrap_or_default();
    let begun = match choice.request(&view, controls) {
        Ok(request) => console.begin_comparison(&visitor, request).await.map_err(|why| why.message().to_owned()),
        Err(why) => Err(why),
    };
    match begun {
        Ok(run) => Ok(redirect(&path_of(&slot, &ComparisonChoice { run, ..choice }))),
        Err(why) => show(&console, &visitor, &slot, ComparisonChoice { run: String::new(), ..choice }, Some(&why)),
    }
}

/// Form that stops a comparison.
#[derive(Debug, Deserialize)]
pub(super) struct StopForm {
    run: String,
    /// Path of the page to go back to.
    back: String,
}

/// Stops a comparison.
pub(super) async fn stop(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Path(slot): Path<String>,
    Form(StopForm { run, back }): Form<StopForm>,
) -> PageResult {
    visitor.check(Role::View)?;
    console.api.slot_of(&visitor.call(()), &slot)?;
    console.comparisons.stop(&slot, &run);
    let page = slot_path(&slot, "compare");
    Ok(redirect(if back.starts_with(&page) { &back } else { &page }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_keeps_the_controls_that_it_does_not_name_and_none_that_cannot_be_compared() {
        let now = Controls {
            exploration_preset: 2,
            floor: Some(0.01),
            ceiling: Some(0.9),
            holdout: Some(0.1),
            freeze_learning: Some(true),
            ..Controls::default()
        };
        let draft = Controls { exploration: Some(2.0), floor: Some(0.3), ..Controls::default() };
        let both = drafted(now.clone(), &draft, &["controls.exploration".into(), "controls.floor".into()]);
        assert_eq!((both.exploration, both.exploration_preset, both.floor), (Some(2.0), 0, Some(0.3)));
        assert_eq!((both.ceiling, both.holdout, both.freeze_learning), (Some(0.9), None, None));
        let floor = drafted(now, &draft, &["controls.floor".into()]);
        assert_eq!((floor.exploration, floor.exploration_preset, floor.floor), (None, 2, Some(0.3)));
    }
}
